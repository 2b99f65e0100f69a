"""Drift policy Report, adoption, and what stays in a store and in the cluster when a binding is deleted."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from airwarden.domain.errors import Unreachable
from airwarden.domain.resources import Address, FieldValue
from airwarden.providers.kubernetes.objects import binding_path
from unit.reconcile.fake_cluster import Killed
from unit.reconcile.fakes import KEY, Bench, backend_body

NAME = "airwarden.c1.team.billing.vault"
POLICY, ROLE = Address("vault", "Policy", NAME), Address("vault", "Role", NAME)
ACCOUNTS = "/api/v1/namespaces/team/serviceaccounts"
FOUND: dict[Address, Mapping[str, FieldValue]] = {
    POLICY: {"owner": "", "paths": ("team/db",)},
    ROLE: {"account": "billing", "ttl": 3600, "max_ttl": 3600},
}


def bench_with(**spec: object) -> Bench:
    """Return a world whose backend has these fields, with a declared binding."""
    bench = Bench()
    change(bench, **spec)
    bench.declare("team/db")
    return bench


def change(bench: Bench, *prefixes: str, **spec: object) -> None:
    """Change the backend, as the platform team does."""
    version = int(bench.backend_bodies["vault"]["metadata"]["resourceVersion"]) + 1
    bench.backend_bodies["vault"] = backend_body("vault", prefixes or ("{namespace}/",), version, **spec)
    bench.backends.learn(bench.backend_bodies["vault"])


def rule(*prefixes: str, orphan: bool, name: str = "own") -> dict[str, object]:
    return {"name": name, "namespaces": {"names": ["team"]}, "keyPrefixes": list(prefixes), "orphan": orphan}


def put_by_hand(bench: Bench) -> None:
    """Put into the store what the binding would write, without a mark."""
    bench.store.contents |= FOUND
    bench.store.unmarked |= set(FOUND)


def origins(bench: Bench) -> dict[str, str]:
    return {each["kind"]: each["origin"] for each in bench.binding["status"]["targets"]}


def drift_events(bench: Bench) -> list[str]:
    return [each["reason"] for each in bench.api.events if each["reason"].startswith("Drift")]


@pytest.fixture
async def reporting() -> Bench:
    """Return a Ready binding in a backend that only reports drift; the journal starts afterwards."""
    bench = bench_with(drift={"policy": "Report"})
    await bench.settle()
    bench.journal.lines.clear()
    return bench


async def test_reported_drift_costs_one_status_one_event_and_no_write_to_the_store(reporting: Bench) -> None:
    reporting.store.contents[POLICY] = {"owner": "team/billing", "paths": ("team/db", "finance")}
    for _ in range(3):
        await reporting.look()
    assert reporting.journal.kinds() == ["PATCH billing status Drifted"]
    assert reporting.ready == ("False", "Drifted")
    assert reporting.targets["Policy"] == "Drifted"
    assert drift_events(reporting) == ["Drifted"]
    assert reporting.reconciler._tools.metrics.registry.get_sample_value("airwarden_drift_reported_total") == 1
    assert [each["type"] for each in reporting.binding["status"]["conditions"]] == ["Ready", "Stalled"]


async def test_it_heals_when_somebody_sets_it_right_or_the_policy_becomes_correct(reporting: Bench) -> None:
    before = dict(reporting.store.contents)
    del reporting.store.contents[ROLE]
    await reporting.look()
    assert reporting.ready == ("False", "Drifted")
    reporting.store.contents = dict(before)
    await reporting.look()
    assert reporting.ready == ("True", "Ready")
    del reporting.store.contents[ROLE]
    await reporting.look()
    change(reporting)
    await reporting.look()
    assert reporting.ready == ("True", "Ready")
    assert reporting.store.contents == before


async def test_it_is_not_written_after_a_restart_a_wiped_status_or_an_outage_either(reporting: Bench) -> None:
    drifted: Mapping[str, FieldValue] = {"owner": "team/billing", "paths": ("finance",)}
    reporting.store.contents[POLICY] = drifted
    await reporting.look()
    reporting.store.errors["observe"] = Unreachable("no answer")
    await reporting.look()
    assert reporting.ready == ("False", "Drifted")
    reporting.store.errors.clear()
    reporting.api.change(binding_path(*KEY), lambda body: body.pop("status"))
    await reporting.settle()
    reporting.restart()
    await reporting.settle()
    assert reporting.ready == ("False", "Drifted")
    assert reporting.store.contents[POLICY] == drifted


async def test_edits_tightening_and_deletion_act_on_what_is_drifted(reporting: Bench) -> None:
    reporting.store.contents[POLICY] = {"owner": "team/billing", "paths": ("finance",)}
    await reporting.look()
    reporting.declare("team/db", "team/more")
    await reporting.settle()
    assert reporting.store.contents[POLICY]["paths"] == ("team/db", "team/more")
    reporting.store.contents[POLICY] = {"owner": "team/billing", "paths": ("finance",)}
    await reporting.look()
    reporting.tighten()
    await reporting.settle()
    assert reporting.store.contents == {}


async def test_what_was_taken_away_and_is_permitted_again_is_made_again(reporting: Bench) -> None:
    reporting.tighten()
    await reporting.settle()
    assert reporting.store.contents == {}
    change(reporting, drift={"policy": "Report"})
    await reporting.settle()
    assert reporting.ready == ("True", "Ready")


async def test_a_forged_digest_does_not_make_a_tightened_rule_look_like_drift(reporting: Bench) -> None:
    reporting.declare("team/db/x", "team/more")
    await reporting.settle()
    twin = bench_with(drift={"policy": "Report"})
    twin.declare("team/db/x")
    await twin.settle()
    for fresh in (False, True):
        change(reporting, "team/db/", drift={"policy": "Report"})
        reporting.api.change(binding_path(*KEY), lambda body: body["status"].update(targets=_digests(body, twin)))
        if fresh:
            reporting.restart()
            reporting.store.own_writings.add(POLICY)
        await reporting.settle()
        assert reporting.store.contents[POLICY]["paths"] == ("team/db/x",)
        change(reporting, drift={"policy": "Report"})
        await reporting.settle()
        assert reporting.store.contents[POLICY]["paths"] == ("team/db/x", "team/more")


def _digests(body: dict[str, object], twin: Bench) -> list[dict[str, object]]:
    """Return a status's targets with the digests that the tightened declaration will have."""
    theirs = {each["kind"]: each["digest"] for each in twin.binding["status"]["targets"]}
    status = body["status"]
    assert isinstance(status, dict)
    return [{**each, "digest": theirs[each["kind"]]} for each in status["targets"]]


async def test_identical_objects_are_adopted_and_a_second_look_writes_nothing() -> None:
    bench = bench_with(adopt="IfIdentical")
    put_by_hand(bench)
    await bench.look()
    assert bench.journal.kinds()[2:] == [f"POST {ACCOUNTS}", "Adopt Policy in vault", "PATCH billing status Ready"]
    assert origins(bench) == {"Policy": "Adopted", "Role": "Adopted", "ServiceAccount": "Created"}
    bench.journal.lines.clear()
    await bench.look()
    assert bench.journal.kinds() == []


async def test_without_leave_they_stay_as_they_are() -> None:
    bench = bench_with()
    put_by_hand(bench)
    await bench.settle()
    assert bench.ready == ("False", "NotOwned")
    assert bench.store.contents == FOUND


@pytest.mark.parametrize("lost_status", [False, True])
async def test_adopted_objects_outlive_the_binding_also_when_the_record_is_lost(lost_status: bool) -> None:
    bench = bench_with(adopt="IfIdentical")
    put_by_hand(bench)
    await bench.settle()
    bench.delete()
    if lost_status:
        bench.api.change(binding_path(*KEY), lambda body: body.pop("status"))
    await bench.settle()
    assert bench.store.contents == {POLICY: FOUND[POLICY], ROLE: {**FOUND[ROLE], "owner": ""}}
    assert bench.api.objects == {}


async def test_a_forged_origin_lets_nothing_outlive_its_binding() -> None:
    bench = bench_with()
    await bench.settle()
    bench.api.change(
        binding_path(*KEY), lambda body: [each.update(origin="Adopted") for each in body["status"]["targets"]]
    )
    bench.delete()
    await bench.settle()
    assert bench.store.contents == {}
    assert bench.account() is None


async def test_a_crash_before_an_adoption_leaves_what_was_there_to_its_owner() -> None:
    bench = bench_with(adopt="IfIdentical")
    put_by_hand(bench)
    bench.journal.fail_at, bench.journal.error = 4, Killed()
    with pytest.raises(Killed):
        await bench.look()
    assert bench.journal.lines[3].startswith("POST")
    bench.journal.error = None
    changed: Mapping[str, FieldValue] = {"owner": "", "paths": ("theirs",)}
    bench.store.contents[POLICY] = changed
    bench.restart()
    await bench.settle()
    assert bench.ready == ("False", "NotOwned")
    bench.delete()
    await bench.settle()
    assert bench.store.contents[POLICY] == changed


async def test_an_edit_that_an_adopted_policy_has_to_follow_makes_it_the_bindings_own() -> None:
    bench = bench_with(adopt="IfIdentical")
    put_by_hand(bench)
    await bench.settle()
    bench.declare("team/db", "team/more")
    await bench.settle()
    assert origins(bench)["Policy"] == "Created"
    bench.delete()
    await bench.settle()
    assert bench.store.contents == {}


async def test_orphan_is_refused_where_no_rule_permits_it_and_names_the_rule() -> None:
    bench = bench_with()
    bench.declare("team/db", deletionPolicy="Orphan")
    await bench.settle()
    assert bench.ready == ("False", "OrphanNotAllowed")
    assert bench.store.contents == {}
    assert "rule own allows the secret with deletionPolicy Delete" in bench.binding["status"]["secrets"][0]["message"]


async def test_an_orphaned_binding_leaves_what_is_permitted_with_its_account() -> None:
    bench = bench_with(allow=[rule("{namespace}/", orphan=True)])
    bench.declare("team/db", deletionPolicy="Orphan")
    await bench.settle()
    assert bench.ready == ("True", "Ready")
    bench.journal.lines.clear()
    bench.delete()
    await bench.settle()
    assert bench.journal.kinds()[:2] == ["Release Role in vault", "Release Policy in vault"]
    assert bench.store.contents[POLICY] == {"owner": "", "paths": ("team/db",)}
    account = bench.account()
    assert account is not None
    assert account["metadata"]["labels"] == {}
    assert binding_path(*KEY) not in bench.api.objects


async def test_the_guardrail_is_judged_again_at_the_deletion() -> None:
    bench = bench_with(allow=[rule("{namespace}/", orphan=True)])
    bench.declare("team/db/x", "team/more", deletionPolicy="Orphan")
    await bench.settle()
    change(bench, allow=[rule("team/db/", orphan=True), rule("{namespace}/", orphan=False, name="rest")])
    bench.delete()
    await bench.settle()
    assert bench.store.contents[POLICY]["paths"] == ("team/db/x",)
    assert bench.account() is not None


async def test_orphan_without_permission_at_the_deletion_is_a_deletion() -> None:
    bench = bench_with(allow=[rule("{namespace}/", orphan=True)])
    bench.declare("team/db", deletionPolicy="Orphan")
    await bench.settle()
    change(bench)
    bench.delete()
    await bench.settle()
    assert bench.store.contents == {}
    assert bench.account() is None


async def test_while_the_namespace_or_the_backend_is_not_known_an_orphan_waits() -> None:
    selector = {**rule("{namespace}/", orphan=True), "namespaces": {"selector": {"matchLabels": {"tenant": "a"}}}}
    bench = bench_with(allow=[selector])
    bench.namespace_labels = {"tenant": "a"}
    bench.restart()
    bench.declare("team/db", deletionPolicy="Orphan")
    await bench.settle()
    held = dict(bench.store.contents)
    bench.delete()
    bench.namespace_labels = None
    bench.restart()
    await bench.settle()
    assert bench.ready == ("False", "DeletionBlocked")
    bench.backends.forget("vault")
    await bench.settle()
    assert bench.ready == ("False", "DeletionBlocked")
    assert bench.store.contents == held
    bench.namespace_labels = {"tenant": "a"}
    bench.restart()
    await bench.settle()
    assert bench.store.contents[POLICY]["owner"] == ""
    assert binding_path(*KEY) not in bench.api.objects


@pytest.mark.parametrize("when", ["before", "after"])
async def test_killed_at_any_request_of_a_letting_go_the_end_is_the_same(when: str) -> None:
    async def gone(kill_at: int) -> tuple[str, int]:
        bench = bench_with(allow=[rule("{namespace}/", orphan=True)])
        bench.declare("team/db", deletionPolicy="Orphan")
        await bench.settle()
        bench.delete()
        bench.journal.lines.clear()
        bench.journal.fail_at, bench.journal.error = kill_at, Killed()
        bench.journal.when = "before" if when == "before" else "after"
        try:
            await bench.settle()
        except Killed:
            bench.journal.error = None
            bench.restart()
            if binding_path(*KEY) in bench.api.objects:
                await bench.settle()
        return bench.world(), len(bench.journal.lines)

    whole, requests = await gone(0)
    assert requests >= 6
    for point in range(1, requests + 1):
        assert (await gone(point))[0] == whole, f"killed {when} request {point}"
