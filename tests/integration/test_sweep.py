"""An operator that was away finishes what went meanwhile; what may be a mistake waits for a person.

On a plane of their own: operators are stopped here, and they sweep within seconds.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from airwarden.domain.owner import Owner
from airwarden.providers.vault import policy
from integration.alone import LONG, at_work, in_vault, make_backend, make_binding, make_team, ready_binding
from integration.handles import Backend, Binding
from integration.objects import secret
from integration.world import World, eventually
from plane import program
from plane.binaries import REPOSITORY
from plane.control_plane import Plane
from plane.json_client import Json
from plane.operator import CLUSTER, OperatorProcess, Options

QUICK = ("--sweep-interval=2", "--sweep-grace=1")
MANY = 8


@pytest.fixture
def away(quiet: Plane) -> Iterator[World]:
    """Return a world whose operator may be stopped and started; it runs at first."""
    world = World(quiet, OperatorProcess(quiet, Options(extra=QUICK)), namespaces=["first"])
    with at_work(world):
        yield world


@pytest.fixture
def team(away: World) -> str:
    """Return a tenant's namespace."""
    return make_team(away)


def force_away(binding: Binding) -> None:
    """Strip the finalizer and delete the binding: what nobody should do, and everybody does once."""
    binding.world.merge(binding.path, {"metadata": {"finalizers": []}})
    binding.delete()
    binding.wait_gone()


def sweep_command(
    world: World, *flags: str, token: str | None = None, kubeconfig: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `airwarden sweep`: as administrator of the cluster and of Vault, unless told otherwise."""
    return program.run(
        ["sweep", f"--cluster={CLUSTER}", *flags],
        {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(REPOSITORY / "operator"),
            "HOME": str(world.operator.folder),
            "KUBECONFIG": str(kubeconfig or world.plane.kubeconfig),
            "VAULT_TOKEN": world.plane.vault_token if token is None else token,
            "VAULT_ADDR": "http://127.0.0.1:1",
        },
        world.operator.folder,
    )


def rows(done: subprocess.CompletedProcess[str]) -> list[Json]:
    found: list[Json] = json.loads(done.stdout)
    return found


@contextmanager
def stopped(world: World) -> Iterator[None]:
    world.operator.stop()
    yield
    world.operator.start()


@pytest.mark.timeout(300)
def test_a_binding_forced_away_while_the_operator_was_down_leaves_nothing(away: World, team: str) -> None:
    make_backend(away, "vault")
    kept, gone = (ready_binding(away, team, name, "vault") for name in ("kept", "gone"))
    with stopped(away):
        force_away(gone)
        assert in_vault(gone) == (True, True)
    eventually("policy and role are gone", lambda: in_vault(gone) == (False, False), LONG)
    eventually("the account is gone", lambda: gone.service_account() is None, LONG)
    assert in_vault(kept) == (True, True)
    assert kept.service_account() is not None
    swept = eventually(
        "the backend says so",
        lambda: (
            (found := Backend(away, "vault").wait_condition("Swept", "True", "Swept"))["message"].startswith("every")
            and found
        ),
        LONG,
    )
    assert swept["message"] == "everything of ours in the store belongs to a binding"
    assert "airwarden_swept_total 2.0" in away.operator.metrics()


@pytest.mark.timeout(300)
def test_a_binding_moved_to_another_backend_with_its_status_wiped_leaves_nothing(away: World, team: str) -> None:
    for name in ("before", "after"):
        make_backend(away, name)
    ready_binding(away, team, "other", "before")
    moved = ready_binding(away, team, "moved", "before")
    with stopped(away):
        moved.edit(secrets=[secret(f"{team}/a", "after")])
        away.merge(f"{moved.path}/status", {"status": None})
        assert "status" not in moved.body() or not moved.status().get("targets")
    moved.wait_ready(LONG)
    eventually("nothing is left where it was", lambda: in_vault(moved) == (False, False), LONG)
    assert in_vault(Binding(away, team, "moved", "moved", "after")) == (True, True)
    assert moved.service_account() is not None


@pytest.mark.timeout(300)
def test_an_orphan_waits_for_its_grace_on_the_record_of_the_backend(away: World, team: str) -> None:
    make_backend(away, "vault")
    ready_binding(away, team, "kept", "vault")
    gone = ready_binding(away, team, "gone", "vault")
    away.operator.stop()
    force_away(gone)
    patient = OperatorProcess(away.plane, Options(extra=("--sweep-interval=1", "--sweep-grace=3600")), "patient")
    with patient:
        status = eventually("it is on the record", lambda: orphans(away), LONG)
        assert [each["name"] for each in status["orphans"]] == [f"{team}/gone"]
        assert status["bindings"]["orphans"] == 1
        first_seen = status["orphans"][0]["firstSeen"]
    with patient:
        mark = away.marks()
        eventually(
            "it was swept again",
            lambda: sum(each.path.rstrip("/") == "sys/policies/acl" for each in mark.vault_requests()) >= 2,
            LONG,
        )
        assert (orphans(away) or {})["orphans"][0]["firstSeen"] == first_seen
        assert in_vault(gone) == (True, True)
        assert gone.service_account() is not None
    away.operator.start()
    eventually("its time comes", lambda: in_vault(gone) == (False, False), LONG)


def orphans(world: World) -> Json | None:
    status: Json = Backend(world, "vault").body().get("status") or {}
    return status if status.get("orphans") else None


@pytest.mark.timeout(300)
def test_many_at_once_wait_for_a_person_who_sees_and_removes_them(away: World, team: str) -> None:
    store = make_backend(away, "vault")
    ready_binding(away, team, "kept", "vault")
    gone = [make_binding(away, team, f"gone{number}", "vault") for number in range(MANY)]
    for each in gone:
        each.wait_ready(LONG)
    away.write_policy(f"airwarden.{CLUSTER}.{team}.by-hand.vault", "# not ours")
    stranger = Owner(CLUSTER, team, "left", "no-such-backend")
    away.write_policy(stranger.name_in_store, policy.render(stranger, ()))
    with stopped(away):
        for each in gone:
            force_away(each)
    said = store.wait_condition("Swept", "False", "SweepHeld", LONG)
    assert f"{MANY + 1} of {MANY + 2} have no binding" in said["message"]
    assert "airwarden sweep --backend vault --delete" in said["message"]
    assert all(in_vault(each) == (True, True) for each in gone)

    shown = sweep_command(away, "-o", "json")
    assert shown.returncode == 1, shown.stderr
    actions = {(each["kind"], each["name"]): (each["action"], each["why"]) for each in rows(shown)}
    for each in gone:
        for kind in ("VaultPolicy", "VaultKubernetesRole"):
            assert actions[kind, each.store_name] == ("remove", f"no binding {team}/{each.name} uses this backend")
        assert actions["ServiceAccount", f"{team}/{each.name}"][0] == "remove"
    assert actions["VaultPolicy", f"airwarden.{CLUSTER}.{team}.by-hand.vault"] == (
        "leave",
        "it does not carry our mark",
    )
    assert actions["unknown", stranger.name_in_store][0] == "leave"
    assert "there is no backend no-such-backend" in actions["unknown", stranger.name_in_store][1]
    assert sum(team in name for _, name in actions) == 3 * MANY + 2
    assert all(each["since"] for each in rows(shown) if each["name"] == gone[0].store_name)

    refused = sweep_command(away, "--delete")
    assert refused.returncode == 1
    assert "give --yes as well" in refused.stderr
    assert all(in_vault(each) == (True, True) for each in gone)

    done = sweep_command(away, "--delete", "--yes")
    assert done.returncode == 0, done.stderr
    assert all(in_vault(each) == (False, False) for each in gone)
    assert all(each.service_account() is None for each in gone)
    assert away.policy(f"airwarden.{CLUSTER}.{team}.by-hand.vault") == "# not ours"
    assert away.policy(stranger.name_in_store) is not None
    assert in_vault(Binding(away, team, "kept", "kept", "vault")) == (True, True)
    for name in (f"airwarden.{CLUSTER}.{team}.by-hand.vault", stranger.name_in_store):
        away.delete_policy(name)
    clean = sweep_command(away)
    assert (clean.returncode, clean.stdout.split()) == (0, ["STORE", "KIND", "NAME", "SINCE", "ACTION", "WHY"])


@pytest.mark.timeout(300)
def test_with_no_binding_left_at_all_nothing_goes_by_itself(away: World, team: str) -> None:
    store = make_backend(away, "vault")
    last = ready_binding(away, team, "last", "vault")
    with stopped(away):
        force_away(last)
    said = store.wait_condition("Swept", "False", "SweepHeld", LONG)
    assert "lists no binding at all" in said["message"]
    assert in_vault(last) == (True, True)
    assert sweep_command(away, "--delete", "--yes").returncode == 0
    assert in_vault(last) == (False, False)


@pytest.mark.timeout(300)
def test_the_command_has_the_rights_of_its_caller_and_no_others(away: World, team: str) -> None:
    make_backend(away, "vault")
    done = sweep_command(away, kubeconfig=away.plane.kubeconfig_for(team, "default"))
    assert (done.returncode, done.stdout) == (1, "")
    assert f"system:serviceaccount:{team}:default" in done.stderr
    weak = away.plane.vault.request("POST", "auth/token/create", {"policies": ["default"]})["auth"]["client_token"]
    refused = sweep_command(away, token=weak)
    assert refused.returncode == 2
    assert "Your token's policies do not cover it" in refused.stderr
    assert weak not in refused.stderr + refused.stdout
    assert away.plane.vault.request("GET", "auth/token/lookup-self", token=weak)["data"], "the token lives on"
