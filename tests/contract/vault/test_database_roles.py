"""Passwords that Vault makes in a real PostgreSQL: what rotates them, what does not, and who may ask for it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from airwarden.domain import errors
from airwarden.domain.rotation.facts import RoleFacts, RoleSettings
from airwarden.providers.ports import RoleRotator, Rotator
from airwarden.providers.vault.rotation.rotator import VaultRotator
from contract.vault.bench import CLUSTER, NAMESPACE, Bench
from contract.vault.role_bench import MOUNT, OWN, RoleBench, declared, role
from plane.postgres_server import PostgresServer

DAILY = 86_400


@pytest.fixture(scope="module")
def made(bench: Bench, postgres: PostgresServer) -> RoleBench:
    """Set the engine and the login up once."""
    return RoleBench.prepare(bench, postgres)


@pytest_asyncio.fixture
async def rotator(made: RoleBench) -> AsyncIterator[VaultRotator]:
    """Return the rotating side with the printed rights."""
    opened = made.open()
    as_reconciled: Rotator = opened  # the type checker holds it to the contract
    yield opened
    await as_reconciled.close()


@pytest.fixture
def roles(rotator: VaultRotator) -> RoleRotator:
    return rotator.roles


def settings(user: str, **more: Any) -> RoleSettings:
    return RoleSettings("main", user, **(more or {"period": DAILY}))


async def test_declaring_a_role_gives_the_user_a_new_password_that_works(made: RoleBench, roles: RoleRotator) -> None:
    user, old = made.fresh_user()
    wanted = declared(user)
    assert await roles.look(wanted) == RoleFacts(present=False)
    await roles.declare(wanted, settings(user), None)
    found = await roles.look(wanted)
    assert (found.present, found.settings, found.twins) == (True, settings(user), ())
    assert found.made is not None
    assert found.revision.startswith(f"{found.made:%Y-%m-%dT%H:%M}")
    assert made.engine.postgres.accepts(user, made.engine.password(wanted.name))
    assert not made.engine.postgres.accepts(user, old)


async def test_rotating_moves_the_revision_and_the_old_password_is_refused(made: RoleBench, roles: RoleRotator) -> None:
    user, _ = made.fresh_user()
    name = f"{NAMESPACE}.{user}"
    made.engine.static_role(name, user)
    old, before = made.engine.password(name), await roles.look(role(name))
    await roles.rotate(role(name))
    after = await roles.look(role(name))
    assert after.revision != before.revision
    assert not made.engine.postgres.accepts(user, old)
    assert made.engine.postgres.accepts(user, made.engine.password(name))


async def test_an_edit_rotates_nothing_also_where_a_window_goes(made: RoleBench, roles: RoleRotator) -> None:
    user, _ = made.fresh_user()
    wanted = declared(user)
    with_window = settings(user, schedule="0 3 * * 0", window=7200)
    await roles.declare(wanted, with_window, None)
    before = await roles.look(wanted)
    assert before.settings == with_window
    for each in (
        settings(user, schedule="0 4 * * *"),
        settings(user, period=3600),
        settings(user, schedule="0 5 * * *", window=3600),
        settings(user, period=DAILY),
    ):
        found = (await roles.look(wanted)).settings
        await roles.declare(wanted, each, found)
        after = await roles.look(wanted)
        assert (after.settings, after.revision) == (each, before.revision)


async def test_vault_reads_schedules_in_utc_and_ignores_a_zone(made: RoleBench) -> None:
    # Why timeZone must be UTC for a declared role. When Vault changes this, so may we.
    user, _ = made.fresh_user()
    lives = {}
    for name, schedule in (("utc", "0 12 * * *"), ("zone", "CRON_TZ=Pacific/Kiritimati 0 12 * * *")):
        made.engine.static_role(f"{NAMESPACE}.{user}-{name}", user, rotation_schedule=schedule)
        lives[name] = made.engine.served(f"{NAMESPACE}.{user}-{name}")["ttl"]
    assert abs(lives["utc"] - lives["zone"]) <= 60


async def test_another_role_of_the_same_user_is_seen_before_anything_is_written(
    made: RoleBench, roles: RoleRotator
) -> None:
    user, _ = made.fresh_user()
    made.engine.static_role(f"elsewhere.{user}", user)
    assert await roles.look(declared(user)) == RoleFacts(present=False, twins=(f"elsewhere.{user}",))


async def test_a_database_that_does_not_follow_is_told_and_vault_serves_the_old_password(
    made: RoleBench, roles: RoleRotator
) -> None:
    user, _ = made.fresh_user()
    name = f"{NAMESPACE}.{user}"
    made.engine.static_role(name, user)
    old, before = made.engine.password(name), await roles.look(role(name))
    made.engine.rename(user, f"{user}_away")
    with pytest.raises(errors.DatabaseRefused, match="stays as it was") as caught:
        await roles.rotate(role(name))
    assert old not in caught.value.message
    assert (await roles.look(role(name))).revision == before.revision
    assert made.engine.password(name) == old
    with pytest.raises(errors.DatabaseRefused):
        await roles.declare(declared(f"{NAMESPACE}_nobody"), settings(f"{NAMESPACE}_nobody"), None)
    assert made.engine.read(f"{OWN}{NAMESPACE}_nobody") is None


async def test_what_is_not_there_is_told_and_removing_it_is_nothing(made: RoleBench, roles: RoleRotator) -> None:
    assert not (await roles.look(role(f"{NAMESPACE}.nowhere"))).present
    with pytest.raises(errors.DatabaseRoleAbsent, match="does not know static role"):
        await roles.rotate(role(f"{NAMESPACE}.nowhere"))
    await roles.remove(declared(f"{NAMESPACE}_nowhere"))
    user, _ = made.fresh_user()
    await roles.declare(declared(user), settings(user), None)
    last = made.engine.password(f"{OWN}{user}")
    await roles.remove(declared(user))
    assert made.engine.read(f"{OWN}{user}") is None
    assert made.engine.postgres.accepts(user, last), "the user keeps the last password"


async def test_a_connection_s_user_is_rotated_and_vault_goes_on_with_the_new_password(
    made: RoleBench, roles: RoleRotator
) -> None:
    root = role("spare", "Root")
    assert await roles.look(root) == RoleFacts(present=True)
    for _ in range(2):  # a repeat after a crash harms nothing
        await roles.rotate(root)
    user, _ = made.fresh_user()
    made.engine.static_role(f"elsewhere.{user}", user, "spare")
    assert made.engine.postgres.accepts(user, made.engine.password(f"elsewhere.{user}"))


async def test_revoking_ends_all_leases_of_the_one_role(made: RoleBench, roles: RoleRotator) -> None:
    mine, theirs = f"{NAMESPACE}.reads", f"{NAMESPACE}.reads-too"
    for each in (mine, theirs):
        made.engine.dynamic_role(each)
    ours, others = [made.engine.lease(mine) for _ in range(2)], made.engine.lease(theirs)
    await roles.rotate(role(mine, "Dynamic"))
    users = made.engine.postgres.users()
    assert not {each["username"] for each in ours} & users
    assert others["username"] in users
    await roles.rotate(role(mine, "Dynamic"))


OTHER = f"airwarden.{CLUSTER}.another-team."
USER = {"db_name": "main", "username": f"{NAMESPACE}_x", "rotation_period": DAILY}
BEYOND: list[tuple[str, str, Any]] = [
    ("GET", f"{MOUNT}/static-creds/{NAMESPACE}.x", None),
    ("GET", f"{MOUNT}/static-creds/{OWN}x", None),
    ("GET", f"{MOUNT}/creds/{NAMESPACE}.reads", None),
    ("POST", f"{MOUNT}/static-roles/{OWN}x", {**USER, "username": "vault_root_1"}),
    ("POST", f"{MOUNT}/static-roles/{OWN}x", {**USER, "db_name": "spare"}),
    ("POST", f"{MOUNT}/static-roles/{OWN}x", {**USER, "rotation_statements": ["DROP DATABASE main"]}),
    ("POST", f"{MOUNT}/static-roles/{OWN}x", {**USER, "password": "known"}),
    ("POST", f"{MOUNT}/static-roles/{OTHER}x", USER),
    ("POST", f"{MOUNT}/static-roles/{NAMESPACE}.x", USER),
    ("DELETE", f"{MOUNT}/static-roles/{NAMESPACE}.x", None),
    ("DELETE", f"{MOUNT}/static-roles/{OTHER}x", None),
    ("POST", f"{MOUNT}/rotate-role/{OTHER}x", {}),
    ("POST", f"{MOUNT}/rotate-role/elsewhere.x", {}),
    ("POST", f"{MOUNT}/rotate-root/main", {}),
    ("POST", f"{MOUNT}/config/main", {}),
    ("GET", f"{MOUNT}/config/main", None),
    ("POST", f"{MOUNT}/roles/{OWN}x", {}),
    ("POST", f"{MOUNT}/reset/main", {}),
    ("PUT", f"sys/leases/revoke-prefix/{MOUNT}/creds/another-team.x", {}),
    ("PUT", f"sys/leases/revoke-prefix/{MOUNT}/creds", {}),
    ("PUT", f"sys/leases/revoke-force/{MOUNT}/creds/{NAMESPACE}.reads", {}),
]
WITHIN: list[tuple[str, str, Any]] = [
    ("LIST", f"{MOUNT}/static-roles", None),
    ("GET", f"{MOUNT}/static-roles/elsewhere.x", None),
    ("POST", f"{MOUNT}/rotate-role/{NAMESPACE}.nowhere", {}),
    ("POST", f"{MOUNT}/rotate-role/{OWN}nowhere", {}),
    ("DELETE", f"{MOUNT}/static-roles/{OWN}nowhere", None),
    ("PUT", f"sys/leases/revoke-prefix/{MOUNT}/creds/{NAMESPACE}.nowhere", {}),
]


def test_the_login_may_do_what_its_rules_say_and_nothing_beyond(made: RoleBench) -> None:
    assert [each for each in WITHIN if made.status(*each) == 403] == [], "the control"
    assert [each for each in BEYOND if made.status(*each) != 403] == []
