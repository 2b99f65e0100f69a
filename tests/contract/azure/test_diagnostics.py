"""One diagnostic setting for all bindings of a backend: made with the first, removed with the last, nobody else's."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from airwarden.domain.errors import Forbidden
from airwarden.providers.azure.diagnostics import name_of, same
from airwarden.providers.azure.store import AzureStore
from airwarden.providers.ports import KeepsShared
from contract.azure.bench import UID, Bench
from plane.binaries import REPOSITORY
from stand_ins.azure.roles import MONITORING_CONTRIBUTOR, Role
from stand_ins.azure.stand_in import AzureStandIn

Opening = Callable[[AzureStore], AzureStore]


@pytest.fixture
def workspace(azure: AzureStandIn, bench: Bench) -> str:
    """A workspace that the operator may send to."""
    azure.grant(bench.operator.principal_id, MONITORING_CONTRIBUTOR)
    return (
        f"/subscriptions/{azure.subscription}/resourceGroups/airwarden"
        "/providers/Microsoft.OperationalInsights/workspaces/audit"
    )


async def test_it_is_made_once_compared_as_a_set_and_removed_with_the_last(
    azure: AzureStandIn, bench: Bench, workspace: str, opening: Opening
) -> None:
    store = opening(bench.open(diagnostics={"workspaceID": workspace}))
    assert isinstance(store, KeepsShared)
    await store.keep_shared(used=True)
    (found,) = azure.diagnostics(store.place.vault_id).values()
    assert found["name"] == name_of(store.place, bench.uid)
    assert [each["category"] for each in found["properties"]["logs"] if each["enabled"]] == ["AuditEvent"]
    for _ in range(2):
        azure.clock.advance(600)
        await store.keep_shared(used=True)
    assert len(azure.requests(method="PUT", path="diagnosticSettings")) == 1
    azure.diagnostics(store.place.vault_id)
    with azure.world() as world:
        (setting,) = world.diagnostics[store.place.vault_id].values()
        setting["properties"]["logs"][0]["enabled"] = not setting["properties"]["logs"][0]["enabled"]
    azure.clock.advance(600)
    await store.keep_shared(used=True)
    assert len(azure.requests(method="PUT", path="diagnosticSettings")) == 2
    await store.keep_shared(used=False)
    assert azure.diagnostics(store.place.vault_id) == {}
    await store.keep_shared(used=False)
    assert len(azure.requests(method="DELETE", path="diagnosticSettings")) == 1


@pytest.mark.parametrize(
    ("sink", "kind", "action", "shown"),
    [
        ("workspaceID", "Microsoft.OperationalInsights/workspaces/audit", "workspaces/sharedKeys", "workspaceId"),
        ("storageAccountID", "Microsoft.Storage/storageAccounts/audit", "storageAccounts/listKeys", "storageAccountId"),
        (
            "eventHub",
            "Microsoft.EventHub/namespaces/logs/authorizationRules/send",
            "namespaces/authorizationRules/listKeys",
            "eventHubAuthorizationRuleId",
        ),
    ],
)
async def test_the_audit_log_goes_to_each_kind_of_sink_with_the_one_right_that_is_documented(
    azure: AzureStandIn, bench: Bench, opening: Opening, sink: str, kind: str, action: str, shown: str
) -> None:
    needed = f"{kind.partition('/')[0]}/{action}/action"
    assert needed in " ".join((REPOSITORY / "docs" / "azure.md").read_text().split())
    target = f"/subscriptions/{azure.subscription}/resourceGroups/airwarden/providers/{kind}"
    declared: dict[str, Any] = {sink: {"authorizationRuleID": target, "name": "hub"} if sink == "eventHub" else target}
    bench.allow(diagnostics=declared)
    at_sink = azure.add_role(Role(str(uuid.uuid4()), "sends", (needed,), built_in=False))
    azure.grant(bench.operator.principal_id, at_sink.id, target)
    store = opening(bench.open(diagnostics=declared))
    await store.keep_shared(used=True)
    (found,) = (each["properties"] for each in azure.diagnostics(store.place.vault_id).values())
    assert found[shown] == target
    assert (found["eventHubName"] == "hub") is (sink == "eventHub")
    assert [each["category"] for each in found["logs"] if each["enabled"]] == ["AuditEvent"]
    azure.clock.advance(600)
    await store.keep_shared(used=True)
    assert len(azure.requests(method="PUT", path="diagnosticSettings")) == 1, "it is found as it was written"


async def test_a_backend_without_one_needs_no_right_for_it(
    azure: AzureStandIn, bench: Bench, store: AzureStore
) -> None:
    await store.keep_shared(used=True)
    assert azure.requests(method="PUT", path="diagnosticSettings") == []
    for _ in range(5):
        azure.clock.advance(300)
        await store.keep_shared(used=True)
    assert len(azure.requests(path="diagnosticSettings")) == 1


async def test_one_that_is_declared_no_more_is_removed(
    azure: AzureStandIn, bench: Bench, workspace: str, opening: Opening
) -> None:
    store = opening(bench.open(diagnostics={"workspaceID": workspace}))
    await store.keep_shared(used=True)
    await opening(bench.open()).keep_shared(used=True)
    assert azure.diagnostics(store.place.vault_id) == {}


async def test_a_cluster_of_the_same_name_has_its_own_and_removes_no_other(
    azure: AzureStandIn, bench: Bench, workspace: str, opening: Opening
) -> None:
    store = opening(bench.open(diagnostics={"workspaceID": workspace}))
    await store.keep_shared(used=True)
    bench.uid = "33333333-aaaa-bbbb-cccc-444444444444"
    twin = opening(bench.open(diagnostics={"workspaceID": workspace}))
    await twin.keep_shared(used=False)
    assert list(azure.diagnostics(store.place.vault_id)) == [name_of(store.place, UID)]


def test_cluster_and_backend_are_told_apart_wherever_one_name_ends(bench: Bench) -> None:
    place = bench.open().place
    one = replace(place, cluster="prod", backend="eu-kv")
    other = replace(place, cluster="prod-eu", backend="kv")
    assert name_of(one, UID) != name_of(other, UID)


async def test_two_clusters_on_one_vault_and_one_workspace_do_not_fight(
    azure: AzureStandIn, bench: Bench, workspace: str, opening: Opening
) -> None:
    other = Bench(azure, bench.folder / "second", cluster="c2")
    azure.grant(other.operator.principal_id, MONITORING_CONTRIBUTOR)
    first = opening(bench.open(diagnostics={"workspaceID": workspace}))
    second = opening(other.open(diagnostics={"workspaceID": workspace}))
    await first.keep_shared(used=True)
    await second.keep_shared(used=True)
    assert list(azure.diagnostics(first.place.vault_id)) == [name_of(first.place, bench.uid)]
    await second.keep_shared(used=False)
    assert list(azure.diagnostics(first.place.vault_id)) == [name_of(first.place, bench.uid)]


async def test_a_workspace_that_the_operator_may_not_send_to_is_said(
    bench: Bench, azure: AzureStandIn, opening: Opening
) -> None:
    sink = f"/subscriptions/{azure.subscription}/resourceGroups/airwarden/providers/Microsoft.Storage/storageAccounts/a"
    bench.allow(diagnostics={"storageAccountID": sink})
    store = opening(bench.open(diagnostics={"storageAccountID": sink}))
    with pytest.raises(Forbidden, match="LinkedAuthorizationFailed"):
        await store.keep_shared(used=True)


def test_order_case_and_what_is_off_make_no_difference() -> None:
    one = {"workspaceId": "/A", "logs": [{"category": "AuditEvent", "enabled": True}], "metrics": []}
    other = {
        "workspaceId": "/a",
        "logs": [
            {"category": "Other", "enabled": False, "retentionPolicy": {"enabled": False, "days": 0}},
            {"category": "AuditEvent", "enabled": True},
        ],
        "metrics": [{"category": "AllMetrics", "enabled": False}],
    }
    assert same(one, other)
    assert not same(one, {**other, "workspaceId": "/b"})
    assert not same(one, {**other, "logs": [{"category": "AuditEvent", "enabled": False}]})
