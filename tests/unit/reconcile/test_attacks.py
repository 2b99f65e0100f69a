"""What a binding author tries who may also write statuses and service accounts, to reach further than their namespace.

Each test is one attempt. Statuses are forged after the binding is settled, as a patch of the status
subresource does it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from airwarden.domain.resources import Address
from airwarden.providers.kubernetes.objects import binding_path
from unit.reconcile.fakes import KEY, Bench, backend_body

MINE, THEIRS = "airwarden.c1.team.billing.vault", "airwarden.c1.victim.billing.vault"
ACCOUNTS = "/api/v1/namespaces/team/serviceaccounts"
VICTIMS = "/api/v1/namespaces/victim/serviceaccounts"


@pytest.fixture
async def bench() -> Bench:
    """Return a world with a settled binding of the attacker, and things of others beside it."""
    made = Bench()
    made.declare("team/db")
    await made.settle()
    store = made.store
    store.contents[Address("vault", "Policy", THEIRS)] = {"owner": "victim/billing"}
    store.contents[Address("vault", "Role", THEIRS)] = {"account": "billing"}
    labels = {"airwarden.dev/binding": "billing", "airwarden.dev/cluster": "c1"}
    victim = {"name": "billing", "namespace": "victim", "labels": labels}
    made.api.put(f"{VICTIMS}/billing", {"metadata": victim})
    made.api.put(f"{ACCOUNTS}/airflow-scheduler", {"metadata": {"name": "airflow-scheduler", "namespace": "team"}})
    made.journal.lines.clear()
    return made


def others(bench: Bench) -> dict[str, Any]:
    """Return everything that is not the attacker's."""
    kept = {path: body for path, body in bench.api.objects.items() if "victim" in path or "scheduler" in path}
    return {**kept, **{str(each): fields for each, fields in bench.store.contents.items() if each.name != MINE}}


def forge(bench: Bench, *targets: dict[str, str]) -> None:
    """Write targets into the status."""
    made = [{"state": "Present", "backend": "vault", **each} for each in targets]
    bench.api.change(binding_path(*KEY), lambda body: body["status"]["targets"].extend(made))


def uid_of(bench: Bench, path: str) -> str:
    return str(bench.api.objects[path]["metadata"]["uid"])


FORGERIES: dict[str, Callable[[Bench], dict[str, str]]] = {
    "a policy of another namespace": lambda _: {"kind": "Policy", "name": THEIRS},
    "a role of another namespace": lambda _: {"kind": "Role", "name": THEIRS},
    "the operator's own policy": lambda _: {"kind": "Policy", "name": "airwarden-operator.c1"},
    "a policy by a path": lambda _: {"kind": "Policy", "name": f"../{THEIRS}"},
    "a component's account, with its uid": lambda bench: {
        "backend": "",
        "kind": "ServiceAccount",
        "name": "airflow-scheduler",
        "id": uid_of(bench, f"{ACCOUNTS}/airflow-scheduler"),
    },
    "an account of another namespace by a path": lambda bench: {
        "backend": "",
        "kind": "ServiceAccount",
        "name": "../../victim/serviceaccounts/billing",
        "id": uid_of(bench, f"{VICTIMS}/billing"),
    },
    "an account with a query": lambda _: {"backend": "", "kind": "ServiceAccount", "name": "x?watch=true"},
    "an account that is a dot": lambda _: {"backend": "", "kind": "ServiceAccount", "name": "."},
    "something of a backend that cannot be": lambda _: {"backend": "No.Such/Backend", "kind": "Policy", "name": MINE},
    "something of a backend that does not exist": lambda _: {"backend": "gone", "kind": "Policy", "name": THEIRS},
}


@pytest.mark.parametrize("forgery", FORGERIES, ids=lambda each: each.replace(" ", "-"))
async def test_a_forged_status_changes_nothing_of_others_in_a_pass_or_a_deletion(bench: Bench, forgery: str) -> None:
    before = others(bench)
    forge(bench, FORGERIES[forgery](bench))
    await bench.settle()
    assert others(bench) == before
    assert bench.ready == ("True", "Ready")
    forge(bench, FORGERIES[forgery](bench))
    bench.delete()
    await bench.settle()
    assert others(bench) == before
    assert binding_path(*KEY) not in bench.api.objects
    assert not any(f"{ACCOUNTS}/" in line and "/billing" not in line for line in bench.journal.lines), (
        "a name from a status must not get into a request"
    )


async def test_a_component_s_account_cannot_be_taken_over_by_naming_it_and_forging_its_uid() -> None:
    bench = Bench()
    scheduler = bench.api.put(f"{ACCOUNTS}/scheduler", {"metadata": {"name": "scheduler", "namespace": "team"}})
    bench.declare("team/db", account="scheduler")
    await bench.settle()
    forged = {"backend": "", "kind": "ServiceAccount", "name": "scheduler", "id": scheduler["metadata"]["uid"]}
    bench.api.change(
        binding_path(*KEY), lambda body: body["status"].update(targets=[{**forged, "state": "Present", "digest": "x"}])
    )
    await bench.settle()
    assert bench.ready == ("False", "NotOwned")
    assert bench.store.contents == {}
    assert bench.account("scheduler") == scheduler
    bench.delete()
    await bench.settle()
    assert bench.account("scheduler") == scheduler


async def test_a_status_that_says_all_is_well_does_not_keep_what_a_tightened_rule_takes(bench: Bench) -> None:
    before = others(bench)
    bench.tighten()
    bench.api.change(binding_path(*KEY), lambda body: body["status"].update(targets=[], secrets=[]))
    await bench.settle()
    assert not any(each.name == MINE for each in bench.store.contents)
    assert bench.ready == ("False", "KeyNotAllowed")
    assert others(bench) == before


async def test_a_wiped_status_does_not_leave_anything_behind_at_deletion(bench: Bench) -> None:
    before = others(bench)
    bench.api.change(binding_path(*KEY), lambda body: body.pop("status"))
    bench.delete()
    await bench.settle()
    assert others(bench) == before
    assert bench.account() is None


async def test_an_account_relabelled_for_the_attacker_s_binding_does_not_carry_another_binding_s_access() -> None:
    bench = Bench()
    labels = {"airwarden.dev/binding": "billing", "airwarden.dev/cluster": "other-cluster"}
    theirs = bench.api.put(
        f"{ACCOUNTS}/billing", {"metadata": {"name": "billing", "namespace": "team", "labels": labels}}
    )
    bench.declare("team/db")
    await bench.settle()
    assert bench.ready == ("False", "ServiceAccountTaken")
    assert bench.account() == theirs
    assert bench.store.contents == {}


async def test_a_key_of_another_namespace_is_not_granted_by_a_label_on_the_attacker_s_own_namespace() -> None:
    bench = Bench()
    bench.namespace_labels = {"kubernetes.io/metadata.name": "victim", "airwarden.dev/tenant": "true"}
    body = backend_body()
    body["spec"]["allow"][0]["namespaces"] = {"selector": {"matchLabels": {"airwarden.dev/tenant": "true"}}}
    bench.backend_bodies["vault"] = body
    bench.restart()
    bench.declare("victim/db", "team/db", "{namespace}/db")
    bench.api.change(binding_path(*KEY), lambda each: each["spec"]["secrets"].pop())
    await bench.settle()
    policy = bench.store.contents[Address("vault", "Policy", MINE)]
    assert policy["paths"] == ("team/db",)


async def test_nothing_is_added_to_a_backend_that_is_being_deleted_whatever_the_status_claims() -> None:
    bench = Bench()
    body = bench.backend_bodies["vault"]
    body["metadata"] |= {"deletionTimestamp": "2031-05-01T00:00:00Z", "resourceVersion": "2"}
    bench.restart()
    bench.declare("team/db")
    await bench.settle()
    forge_status = {"conditions": [], "targets": [{"backend": "vault", "kind": "X", "name": "y", "state": "Present"}]}
    bench.api.change(binding_path(*KEY), lambda each: each.update(status=forge_status))
    await bench.settle()
    assert bench.store.contents == {}


async def test_a_forged_record_in_a_backend_that_is_gone_blocks_nothing_but_the_forger_s_own_deletion(
    bench: Bench,
) -> None:
    before = others(bench)
    forge(bench, {"backend": "gone", "kind": "Policy", "name": "airwarden.c1.team.billing.gone"})
    bench.delete()
    await bench.settle()
    assert bench.ready == ("False", "DeletionBlocked")
    assert not any(each.name == MINE for each in bench.store.contents)
    assert others(bench) == before


async def test_an_account_swapped_between_look_and_correction_is_not_taken_over(bench: Bench) -> None:
    where = f"{ACCOUNTS}/billing"
    bench.api.change(where, lambda body: body.update(automountServiceAccountToken=True))
    bench.watch()
    del bench.api.objects[where]
    swapped = bench.api.put(where, {"metadata": {"name": "billing", "namespace": "team"}})
    await bench.reconciler.reconcile(KEY)
    assert bench.account() == swapped
    assert bench.ready == ("False", "NotOwned")
    assert not any(each.name == MINE for each in bench.store.contents)


async def test_an_account_swapped_between_look_and_deletion_is_not_deleted(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = f"{ACCOUNTS}/billing"
    bench.delete()
    read = bench.api.get

    async def swapping(path: str) -> dict[str, Any]:
        found = await read(path)
        if path == where:
            del bench.api.objects[where]
            bench.api.put(where, {"metadata": {"name": "billing", "namespace": "team", "uid": "another"}})
        return found

    monkeypatch.setattr(bench.api, "get", swapping)
    await bench.look()
    account = bench.account()
    assert account is not None
    assert account["metadata"]["uid"] == "another"
