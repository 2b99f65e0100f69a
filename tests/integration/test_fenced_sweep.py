"""What mode Fenced and a move between the modes leave behind the operator's back, found by the sweep.

On a plane of their own: operators are stopped here, and they sweep within seconds.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from integration.alone import LONG, at_work, in_vault, make_backend, make_binding, make_team, ready_binding
from integration.handles import Binding
from integration.test_fenced import FENCED, FencedWorld, unheld
from integration.test_sweep import QUICK, force_away, rows, stopped, sweep_command
from integration.world import eventually
from plane.control_plane import Plane
from plane.operator import OperatorProcess, Options


@pytest.fixture
def away(quiet: Plane) -> Iterator[FencedWorld]:
    """Return a world whose admin printed the rights of both modes, and whose operator may be stopped and started."""
    world = FencedWorld(quiet, OperatorProcess(quiet, Options(extra=QUICK)), namespaces=["first"])
    with at_work(world):
        yield world


@pytest.fixture
def team(away: FencedWorld) -> str:
    """Return a tenant's namespace."""
    return make_team(away)


def forget(binding: Binding) -> None:
    """Clear what the binding's status records: what a tenant with rights on statuses can do."""
    binding.world.merge(f"{binding.path}/status", {"status": {"targets": None}})
    assert not binding.status().get("targets")


@pytest.mark.timeout(300)
def test_a_binding_made_anew_for_another_account_while_the_operator_was_down_leaves_the_old_one_nothing(
    away: FencedWorld, team: str
) -> None:
    make_backend(away, "vault", vault=FENCED, allow=[unheld()])
    away.write_secret(f"{team}/a")
    kept, stripped = (ready_binding(away, team, name, "vault") for name in ("kept", "stripped"))
    token = away.log_in(stripped)
    assert away.may_read(token, f"{team}/a")
    with stopped(away):
        force_away(stripped)
        anew = make_binding(away, team, "stripped", "vault", account="stripped-b")
        assert away.slots(stripped) == ["a"]
    anew.wait_ready(LONG)
    eventually("the old account's slots are empty", lambda: away.slots(stripped) == [], LONG)
    assert not away.may_read(token, f"{team}/a")
    assert (away.slots(anew), away.slots(kept)) == (["a"], ["a"])
    assert away.may_read(away.log_in(anew), f"{team}/a")
    eventually("then the old account goes", lambda: stripped.service_account() is None, LONG)
    assert anew.service_account() is not None


@pytest.mark.timeout(300)
@pytest.mark.parametrize("to", ["Fenced", "Roles"])
def test_a_status_that_is_cleared_around_a_move_keeps_nothing_of_the_old_mode(
    away: FencedWorld, team: str, to: str
) -> None:
    roles: dict[str, object] = {"mode": "Roles", "fenced": None}
    before, after = (roles, FENCED) if to == "Fenced" else (FENCED, roles)
    store = make_backend(away, "vault", vault=before, allow=[unheld()])
    away.write_secret(f"{team}/a")
    moved = ready_binding(away, team, "moved", "vault")
    token = moved.login() if to == "Fenced" else away.log_in(moved)
    assert away.may_read(token, f"{team}/a")
    with stopped(away):
        store.edit(vault=after)
        forget(moved)
    moved.wait_ready(LONG)
    if to == "Fenced":
        eventually("policy and role are gone", lambda: in_vault(moved) == (False, False), LONG)
        assert away.slots(moved) == ["a"]
        assert away.may_read(away.log_in(moved), f"{team}/a")
        assert not away.may_read(token, f"{team}/a")
    else:
        eventually("the slots are empty", lambda: away.slots(moved) == [], LONG)
        assert in_vault(moved) == (True, True)
        assert not away.may_read(away.log_in(moved), f"{team}/a")
        assert away.may_read(moved.login(), f"{team}/a")
    assert "SweepFormer" in store.body()["status"]["capabilities"]


@pytest.mark.timeout(300)
def test_the_command_shows_and_removes_what_the_other_mode_left_with_an_admins_rights(
    away: FencedWorld, team: str
) -> None:
    store = make_backend(away, "vault", allow=[unheld()])
    away.write_secret(f"{team}/a")
    moved = ready_binding(away, team, "moved", "vault")
    away.operator.stop()
    store.edit(vault=FENCED)
    forget(moved)
    shown = sweep_command(away, "-o", "json")
    assert shown.returncode == 1, shown.stderr
    found = {each["kind"]: each for each in rows(shown) if team in each["name"]}
    assert {each["name"] for each in found.values()} == {moved.store_name}
    assert {each["action"] for each in found.values()} == {"remove"}
    assert "another mode of the backend left it" in found["VaultPolicy"]["why"]
    assert sweep_command(away, "--delete", "--yes").returncode == 0
    assert in_vault(moved) == (False, False)
