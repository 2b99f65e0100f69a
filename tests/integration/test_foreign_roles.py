"""Roles of others that name a managed account: reported by the operator where Vault's admin lets it read them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from integration.conftest import MakeBackend, MakeBinding
from integration.objects import AUTH, backend_object
from integration.world import OPERATOR_LOGIN, World, eventually
from plane.operator import set_up_vault


@pytest.fixture
def grant_scan(world: World) -> Iterator[Callable[[], None]]:
    """Return what lets the operator read roles of others, until the end of the test."""

    def grant() -> None:
        body = backend_object("setup", world.plane.vault_address)
        set_up_vault(world.plane, body, namespaces=world.namespaces, foreign_role_scan=True)

    yield grant
    world.permit_namespaces()


@pytest.fixture
def legacy(world: World) -> Iterator[str]:
    """Return the name of a role of somebody else; it goes after the test."""
    name = world.fresh("legacy")
    yield name
    world.delete_role(name)


def scans(world: World, mark: int) -> list[str]:
    """Return what the operator read of roles outside its prefix since a mark in Vault's audit log."""
    entries = world.plane.vault.audit.entries(mark)
    mine = [each for each in entries if each.display_name == OPERATOR_LOGIN and each.operation == "read"]
    return [each.path for each in mine if each.path.startswith(f"auth/{AUTH}/role/") and "/airwarden." not in each.path]


def test_a_foreign_role_for_a_managed_account_is_named_in_the_backends_status(
    world: World, backend: MakeBackend, binding: MakeBinding, team: str, grant_scan: Callable[[], None], legacy: str
) -> None:
    made = binding(team, backend())
    made.wait_ready()
    world.write_role(
        legacy,
        bound_service_account_names=[made.account],
        bound_service_account_namespaces=["team-*"],
        audience="vault",
        token_policies=["everything"],
    )
    before = world.role(legacy)
    grant_scan()
    looking = backend()
    found = looking.wait_condition("ForeignRoles", "True", "ForeignRoles")
    assert f"auth/{AUTH}/role/{legacy} lets {team}/{made.account} log in with policies everything" in found["message"]
    status = looking.body()["status"]
    assert "ForeignRoleScan" in status["capabilities"]
    assert {each["type"]: each["status"] for each in status["conditions"]}["Ready"] == "True"
    assert world.role(legacy) == before, "a role of somebody else was touched"


def test_without_the_right_no_role_of_others_is_read_and_nothing_is_said_of_them(
    world: World, backend: MakeBackend, legacy: str
) -> None:
    world.write_role(legacy, bound_service_account_names=["*"], bound_service_account_namespaces=["*"])
    mark = world.plane.vault.audit.mark()
    made = backend()
    status = made.body()["status"]
    assert "ForeignRoleScan" not in status["capabilities"]
    assert "ForeignRoles" not in {each["type"] for each in status["conditions"]}
    assert scans(world, mark) == []


def test_a_right_taken_away_takes_the_condition_with_it(
    world: World, backend: MakeBackend, grant_scan: Callable[[], None]
) -> None:
    grant_scan()
    made = backend()
    eventually(
        "it was looked", lambda: "ForeignRoles" in {each["type"] for each in made.body()["status"]["conditions"]}
    )
    world.permit_namespaces()
    made.edit(requests={"timeout": "6s"})  # opens the store anew, which has it checked at once

    def silent() -> bool:
        status = made.body()["status"]
        said = {each["type"] for each in status["conditions"]}
        return "ForeignRoles" not in said and "ForeignRoleScan" not in status["capabilities"]

    eventually("nothing is said any more", silent, 60)
