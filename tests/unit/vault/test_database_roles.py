"""What is asked of a database engine, and what of its answers is repeated: never a password."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from airwarden.api.database_role import DatabaseRole
from airwarden.domain.errors import (
    AirwardenError,
    DatabaseRefused,
    DatabaseRoleAbsent,
    Forbidden,
    Rejected,
    StoreFailed,
)
from airwarden.domain.rotation.facts import RoleFacts, RoleSettings
from airwarden.providers.vault.answers import Answer
from airwarden.providers.vault.client import VaultClient
from airwarden.providers.vault.rotation.roles import VaultRoles
from airwarden.providers.vault.transport import Call

OWN = "airwarden.c1.team.x"
PATH = f"db/static-roles/{OWN}"
FOUND = {"db_name": "main", "username": "team_x", "rotation_period": 86400}


class Engine(VaultClient):
    """Answers by path; what is not there is absent."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.bodies: list[object] = []
        self.answers: dict[str, dict[str, object] | AirwardenError] = {}

    async def request(self, call: Call, *, identified: bool = True, kind: str = "request") -> Answer:
        del identified, kind
        self.asked.append(call.what)
        self.bodies.append(call.body)
        found = self.answers.get(call.what, self.answers.get(call.path))
        if isinstance(found, AirwardenError):
            raise found
        return Answer({"data": found}) if found is not None else Answer(absent=True)  # type: ignore[dict-item] # JSON


def declared(**more: str) -> DatabaseRole:
    declare = {"connection": "main", "username": "team_x", "period": "24h", **more}
    return DatabaseRole.model_validate({"engine": "db", "name": OWN, "kind": "Static", "declare": declare})


def role(kind: str = "Static", name: str = "team.x") -> DatabaseRole:
    return DatabaseRole.model_validate({"engine": "db", "name": name, "kind": kind})


@pytest.mark.parametrize(
    "said",
    [
        "failed: ALTER USER \"x\" WITH PASSWORD 'hunter2'",
        'failed: alter user x identified by "hunter2"',
        "cannot connect to postgresql://root:hunter2@db.example:5432/main",
        'password="hunter2" was refused',
    ],
)
async def test_a_password_in_a_database_s_error_is_not_repeated(said: str) -> None:
    engine = Engine()
    for kind in (StoreFailed, Rejected):
        engine.answers["db/rotate-role/team.x"] = kind(said)
        with pytest.raises((DatabaseRefused, Rejected)) as caught:
            await VaultRoles(engine, "vault").rotate(role())
        assert "hunter2" not in caught.value.message
        assert "[redacted]" in caught.value.message


async def test_an_unknown_connection_is_no_refusal_of_the_database() -> None:
    engine = Engine()
    engine.answers["db/rotate-root/main"] = StoreFailed('failed to find entry for connection with name: "main"')
    with pytest.raises(DatabaseRoleAbsent, match="does not know the user of connection main"):
        await VaultRoles(engine, "vault").rotate(role("Root", "main"))


@pytest.mark.parametrize(
    ("data", "settings"),
    [
        ({"rotation_period": 86400.0}, RoleSettings("main", "team_x", period=86400)),
        (
            {"rotation_period": None, "rotation_schedule": "0  3 * * *", "rotation_window": 7200},
            RoleSettings("main", "team_x", schedule="0 3 * * *", window=7200),
        ),
    ],
)
async def test_settings_are_read_in_one_form(data: dict[str, object], settings: RoleSettings) -> None:
    engine = Engine()
    engine.answers["db/static-roles/team.x"] = {**FOUND, **data}
    found = await VaultRoles(engine, "vault").look(role())
    assert found == RoleFacts(True, "never", None, settings)


async def test_a_time_with_nine_digits_is_read_and_kept_as_it_is_said() -> None:
    engine = Engine()
    engine.answers["db/static-roles/team.x"] = {**FOUND, "last_vault_rotation": "2031-05-01T10:00:00.123456789+02:00"}
    found = await VaultRoles(engine, "vault").look(role())
    assert found.revision == "2031-05-01T10:00:00.123456789+02:00"
    assert found.made is not None
    assert found.made.isoformat() == "2031-05-01T08:00:00.123456+00:00"


@pytest.mark.parametrize(
    "nonsense",
    [
        {"db_name": 1},
        {"username": None},
        {"rotation_period": "daily"},
        {"rotation_period": True},
        {"last_vault_rotation": "yesterday"},
        {"last_vault_rotation": "2031-05-01T10:00:00"},
    ],
)
async def test_an_answer_that_makes_no_sense_is_a_fault(nonsense: dict[str, object]) -> None:
    engine = Engine()
    engine.answers["db/static-roles/team.x"] = {**FOUND, **nonsense}
    with pytest.raises(StoreFailed, match="something else than a database engine"):
        await VaultRoles(engine, "vault").look(role())


@pytest.mark.parametrize("kind", ["Root", "Dynamic"])
async def test_of_what_vault_tells_nothing_nothing_is_asked(kind: str) -> None:
    engine = Engine()
    assert await VaultRoles(engine, "vault").look(role(kind)) == RoleFacts(present=True)
    assert engine.asked == []


class Clock:
    """Time that goes by when it is told to."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def with_others(engine: Engine, **users: str) -> None:
    """Have the engine list static roles with these users."""
    engine.answers["LIST db/static-roles"] = {"keys": list(users)}
    for name, user in users.items():
        engine.answers[f"db/static-roles/{name}"] = {**FOUND, "username": user}


async def test_other_roles_are_read_once_in_a_while_and_anew_while_there_is_a_twin(clock: Callable[[], float]) -> None:
    engine = Engine()
    assert isinstance(clock, Clock)
    roles = VaultRoles(engine, "vault", clock)
    engine.answers[PATH] = FOUND
    with_others(engine, other="somebody")
    for _ in range(2):
        assert (await roles.look(declared())).twins == ()
    assert engine.asked.count("LIST db/static-roles") == 1
    clock.now += 601
    with_others(engine, other="somebody", twin="team_x")
    assert (await roles.look(declared())).twins == ("twin",)
    with_others(engine, other="somebody")
    clock.now += 6
    assert (await roles.look(declared())).twins == ()


async def test_before_a_role_is_made_the_others_are_read_anew(clock: Callable[[], float]) -> None:
    engine = Engine()
    assert isinstance(clock, Clock)
    roles = VaultRoles(engine, "vault", clock)
    with_others(engine)
    assert await roles.look(declared()) == RoleFacts(present=False)
    with_others(engine, twin="team_x")
    assert (await roles.look(declared())).twins == ("twin",)


async def test_roles_that_may_not_be_seen_hinder_nothing() -> None:
    engine = Engine()
    engine.answers["LIST db/static-roles"] = Forbidden("denied")
    assert await VaultRoles(engine, "vault").look(declared()) == RoleFacts(present=False)


async def test_a_window_goes_by_way_of_a_period() -> None:
    engine = Engine()
    engine.answers[PATH] = {}
    before = RoleSettings("main", "team_x", schedule="0 3 * * *", window=7200)
    await VaultRoles(engine, "vault").declare(declared(), RoleSettings("main", "team_x", schedule="0 3 * * *"), before)
    who = {"db_name": "main", "username": "team_x"}
    assert engine.bodies == [{**who, "rotation_period": 315_360_000}, {**who, "rotation_schedule": "0 3 * * *"}]
