"""What an environment comes to: DAG maps, what components are told, and who is left out."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import airflow_airwarden.dag_map
from airflow_airwarden.dag_map import parse_dag_map
from airflow_airwarden.executor_settings import executor_settings
from airflow_airwarden.settings import Settings, settings_of
from airwarden.api.reasons import Reason
from airwarden.domain.environment.components import BACKEND, EXECUTOR
from airwarden.domain.environment.dag_map import DagMap, is_too_large, map_name, narrowed, steadied
from airwarden.domain.environment.rendering import Rendering
from airwarden.domain.slices import at_once
from airwarden.domain.task_access import TaskAccess, TokenMount
from unit.counting import lines_of
from unit.domain.environment.making import NOW, VAULT, binding, environment, rendering


def text(found: Rendering, bundle: str = "billing") -> str:
    return next(each.text for each in found.dag_maps if each.bundle == bundle)


def withheld(found: Rendering, bundle: str = "billing") -> dict[str, list[str]]:
    return {each["reason"]: each["ids"] for each in json.loads(text(found, bundle))["withheld"]}


def listed(found: Rendering, bundle: str = "billing") -> list[str]:
    return [each["binding"] for each in json.loads(text(found, bundle))["bindings"]]


def told(found: Rendering, component: str) -> dict[str, str]:
    return dict(found.components.wanted[component].data)


def test_the_map_of_a_bundle_is_what_the_executor_reads() -> None:
    assert text(rendering([binding("billing", "billing_*")])) == (
        '{"version":1,"environment":"airflow/main","bundle":"billing",'
        '"mounts":{"vault":{"audience":"vault","path":"vault/token","expirationSeconds":600}},'
        '"bindings":[{"binding":"prod/billing","account":"billing-account","ids":["billing_*"],"mounts":["vault"],'
        '"labels":{}}],"withheld":[]}'
    )


def test_a_bundle_that_nobody_claims_has_a_map_without_bindings() -> None:
    found = rendering([])
    assert json.loads(text(found, "reports")) == {
        "version": 1,
        "environment": "airflow/main",
        "bundle": "reports",
        "mounts": {},
        "bindings": [],
        "withheld": [],
    }
    assert (found.total, found.mapped) == (0, 0)


def test_each_map_is_a_config_map_of_the_environments_namespace_with_our_labels() -> None:
    found = rendering([])
    assert [content for content, _ in found.names()] == ["scheduler", "workers", "dags/billing", "dags/reports"]
    maps = [*found.components.wanted.values(), *(at_once(each.wanted()) for each in found.dag_maps)]
    assert [each.name for each in maps] == [name for _, name in found.names()]
    for each in maps:
        assert each.namespace == "airflow"
        assert each.labels == {"app.kubernetes.io/managed-by": "airwarden", "airwarden.dev/environment": "main"}
    assert maps[2].name == map_name("main", "billing") == "airwarden.main.dags.0c95c7ece1ce"


def test_what_stores_need_of_pods_is_in_the_map() -> None:
    azure = TaskAccess({}, labels={"azure.workload.identity/use": "true"})
    two = [
        {"type": "Variable", "id": "a", "backendRef": {"name": "vault"}, "key": "prod/a"},
        {"type": "Variable", "id": "b", "backendRef": {"name": "azure"}, "key": "b"},
    ]
    found = rendering(
        [binding("both", "both", secrets=two), binding("one", "one")], stores={"vault": VAULT, "azure": azure}
    )
    both, one = json.loads(text(found))["bindings"]
    assert (both["mounts"], both["labels"]) == (["vault"], {"azure.workload.identity/use": "true"})
    assert (one["mounts"], one["labels"]) == (["vault"], {})


def test_the_stores_of_common_secrets_are_everybodys() -> None:
    common = {"type": "Connection", "id": "smtp_default", "backendRef": {"name": "shared"}, "key": "shared/smtp"}
    stores = {"vault": VAULT, "shared": VAULT, "unused": VAULT}
    found = rendering([binding("a", "a")], within=environment(commonSecrets=[common]), stores=stores)
    assert json.loads(text(found))["bindings"][0]["mounts"] == ["shared", "vault"]
    assert set(json.loads(text(found))["mounts"]) == {"shared", "vault"}


def test_a_store_that_cannot_be_opened_now_takes_no_token_from_tasks_that_had_it() -> None:
    azure = TaskAccess({}, token=TokenMount("a", "azure/token"), labels={"azure.workload.identity/use": "true"})
    two = [
        {"type": "Variable", "id": "a", "backendRef": {"name": "vault"}, "key": "prod/a"},
        {"type": "Variable", "id": "b", "backendRef": {"name": "azure"}, "key": "b"},
    ]
    bodies = [binding("both", "both", secrets=two), binding("one", "one")]
    before = rendering(bodies, stores={"vault": VAULT, "azure": azure}).dag_maps[0]
    unsure = rendering([*bodies, binding("new", "new", secrets=two)], stores={"vault": VAULT, "azure": None}).dag_maps[
        0
    ]
    steady = {each.key[1]: each for each in steadied(unsure, before.text).bindings}
    assert (steady["both"].mounts, steady["both"].labels) == (("vault", "azure"), azure.labels)
    assert (steady["one"].mounts, steady["new"].mounts) == (("vault",), ("vault",))
    assert json.loads(steadied(unsure, before.text).text)["mounts"] == json.loads(before.text)["mounts"]
    assert steadied(before, "") == before


def test_what_a_store_does_not_tell_yet_is_not_taken_for_nothing() -> None:
    before = rendering([binding("a", "a")]).dag_maps[0]
    waiting = TaskAccess({}, impossible=(Reason.PENDING, "the identity is not made yet"))
    found = rendering([binding("a", "a"), binding("new", "new")], stores={"vault": waiting}).dag_maps[0]
    assert [each.mounts for each in steadied(found, before.text).bindings] == [("vault",), ()]


def test_a_store_in_which_tasks_cannot_log_in_gives_them_nothing() -> None:
    refused = TaskAccess({}, token=VAULT.token, labels={"x/y": "z"}, impossible=(Reason.BACKEND_ERROR, "AppRole"))
    found = json.loads(text(rendering([binding("a", "a")], stores={"vault": refused})))["bindings"][0]
    assert (found["mounts"], found["labels"]) == ([], {})


@pytest.mark.parametrize("executor", ["Celery", "Local"])
def test_where_no_pods_are_made_for_tasks_there_are_no_maps(executor: str) -> None:
    found = rendering([binding("a", "a")], within=environment(executor=executor, unbound=None))
    assert (found.dag_maps, found.total, found.mapped) == ((), 1, 0)


def test_the_executor_takes_what_is_rendered_for_it() -> None:
    found = rendering([binding("billing", "billing_*", "pay")])
    variables = told(found, "scheduler")

    def option(name: str) -> str | None:
        return variables.get(f"AIRFLOW__AIRWARDEN__{name.upper()}")

    spaces = variables["AIRFLOW__KUBERNETES_EXECUTOR__MULTI_NAMESPACE_MODE_NAMESPACE_LIST"].split(",")
    settings = executor_settings(option, frozenset(spaces))
    assert (settings.reference, settings.bundles) == ("airflow/main", ("billing", "reports"))
    assert (settings.unbound.namespace, settings.digest) == ("prod", found.components.digest)
    for each in found.dag_maps:
        assert each.name == airflow_airwarden.dag_map.map_name("main", each.bundle)
        read = parse_dag_map(each.text, settings.reference, each.bundle)
        assert read.digest == at_once(each.wanted()).digest
    claim = parse_dag_map(text(found), settings.reference, "billing").find("billing_daily")
    assert claim is not None
    assert (claim.binding, claim.account, claim.ids) == ("prod/billing", "billing-account", ("billing_*", "pay"))
    assert [(each.audience, each.path) for each in claim.mounts] == [("vault", "vault/token")]


def test_a_backend_that_is_not_there_gives_no_token() -> None:
    assert json.loads(text(rendering([binding("a", "a")], stores={})))["bindings"][0]["mounts"] == []


def test_bindings_in_conflict_are_left_out_and_named() -> None:
    found = rendering([binding("a", "x*"), binding("b", "xy"), binding("c", "z")])
    assert listed(found) == ["prod/c"]
    assert (found.total, found.mapped) == (3, 1)
    assert [(each.binding, each.reason) for each in found.refused] == [
        ("prod/a", "DagConflict"),
        ("prod/b", "DagConflict"),
    ]


def test_dags_that_two_bindings_claim_are_withheld_with_all_that_the_two_claim() -> None:
    found = rendering([binding("a", "x*", "a"), binding("b", "xy"), binding("c", "z")])
    assert withheld(found) == {"DagConflict": ["a", "x*", "xy"]}
    assert withheld(found, "reports") == {}
    assert "account" not in text(found).partition('"withheld"')[2]
    read = parse_dag_map(text(found), "airflow/main", "billing")
    assert read.find("xyz") is None
    assert (read.why_withheld("xyz"), read.why_withheld("z"), read.why_withheld("y")) == ("DagConflict", "", "")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (binding("a", "a", access={"notAfter": "2026-07-01T12:00:00Z"}), "Expired"),
        (binding("a", "a", in_force=False), "Pending"),
        (binding("a", "a", in_force=False, suspend=True), "Suspended"),
        (binding("lost", "a"), "ServiceAccountNotFound"),
        (binding("a", "a", serviceAccount={"name": "airflow-unbound"}), "ServiceAccountTaken"),
    ],
)
def test_a_claim_that_is_not_in_force_is_withheld(body: dict[str, Any], reason: str) -> None:
    found = rendering([body, binding("b", "b")], without_account=[("prod", "lost")])
    assert (withheld(found), listed(found)) == ({reason: ["a"]}, ["prod/b"])


def test_a_claim_that_is_in_force_in_part_is_withheld_in_part() -> None:
    wider = binding("a", "a_*", "b", "c_x")
    wider["status"]["identity"]["dags"] = [{"bundle": "billing", "ids": ["a_1", "b", "c_*"]}]
    assert withheld(rendering([wider])) == {"Pending": ["a_*"]}


def test_who_may_not_claim_a_bundle_withholds_nothing_of_it() -> None:
    both = [{"bundle": "billing", "ids": ["x*"]}, {"bundle": "reports", "ids": ["y*"]}]
    found = rendering([binding("a", namespace="staging", dags=both), binding("b", "*", namespace="lab")])
    assert (withheld(found), withheld(found, "reports")) == ({"BundleNotClaimable": ["x*"]}, {})


def test_who_may_claim_a_bundle_and_run_nothing_withholds_no_dag_that_another_has() -> None:
    within = environment(workerNamespaces=["prod"])
    found = rendering([binding("a", "*", namespace="staging"), binding("b", "b")], within=within)
    assert withheld(found) == {"NamespaceNotAWorker": ["*"]}
    read = parse_dag_map(text(found), "airflow/main", "billing").find("b")
    assert read is not None
    assert read.binding == "prod/b"


def test_a_binding_that_is_in_force_or_goes_withholds_nothing() -> None:
    going = binding("a", "a")
    going["metadata"]["deletionTimestamp"] = "2026-07-01T11:00:00Z"
    assert withheld(rendering([going, binding("b", "b")])) == {}


def test_no_more_conflicts_are_named_than_a_status_may_hold() -> None:
    found = rendering([binding(f"b{number:03}", "same") for number in range(100)])
    assert len(found.refused) == 64
    assert found.refused[0].binding == "prod/b000"


def test_a_binding_is_mapped_no_sooner_than_its_claims_are_in_force_and_no_further() -> None:
    found = rendering([binding("a", "a", in_force=False), binding("b", "b")])
    assert (listed(found), found.mapped, found.refused) == (["prod/b"], 1, ())
    wider = binding("a", "a_*", "b", "c_x")
    wider["status"]["identity"]["dags"] = [{"bundle": "billing", "ids": ["a_1", "b", "c_*"]}]
    assert [each["ids"] for each in json.loads(text(rendering([wider])))["bindings"]] == [["b", "c_x"]]


def test_a_binding_whose_account_is_not_its_own_is_left_out() -> None:
    found = rendering([binding("a", "a"), binding("b", "b")], without_account=[("prod", "a")])
    assert listed(found) == ["prod/b"]
    assert found.refused == ()


@pytest.mark.parametrize(("not_after", "mapped"), [("2026-07-01T12:00:00Z", []), ("2026-07-01T12:00:01Z", ["prod/a"])])
def test_a_binding_whose_access_has_ended_is_left_out(not_after: str, mapped: list[str]) -> None:
    found = rendering([binding("a", "a", access={"notAfter": not_after})])
    assert listed(found) == mapped
    assert (found.turn is not None) == bool(mapped)
    assert found.turn is None or found.turn > NOW


def test_a_binding_that_goes_is_left_out() -> None:
    going = binding("a", "a")
    going["metadata"]["deletionTimestamp"] = "2026-07-01T11:00:00Z"
    assert listed(rendering([going, binding("b", "a")])) == ["prod/b"]


def test_a_suspended_binding_keeps_what_it_had_and_gets_no_more() -> None:
    suspended = binding("a", "old", "new", suspend=True)
    had = {"environment": "airflow/main", "podCreator": "x", "dags": [{"bundle": "billing", "ids": ["old", "gone"]}]}
    suspended["status"] = {"identity": had}
    found = rendering([suspended, binding("b", "new")])
    assert [each["ids"] for each in json.loads(text(found))["bindings"]] == [["old"], ["new"]]


@pytest.mark.parametrize(
    "identity", [None, {"environment": "airflow/other", "dags": [{"bundle": "billing", "ids": ["a"]}]}]
)
def test_a_binding_that_was_suspended_before_it_was_mapped_is_not_mapped(identity: dict[str, Any] | None) -> None:
    suspended = binding("a", "a", suspend=True)
    suspended["status"] = {"identity": identity} if identity else {}
    assert listed(rendering([suspended])) == []


@pytest.mark.parametrize(
    "broken",
    [
        {"dags": [{"bundle": "billing", "ids": ["a b"]}]},
        {"dags": [{"bundle": "billing", "ids": []}]},
        {"dags": "billing"},
        {"serviceAccount": {}},
        {"secrets": [{}]},
        {"access": {"notAfter": "never"}},
    ],
)
def test_a_binding_that_cannot_be_read_claims_nothing(broken: dict[str, Any]) -> None:
    assert listed(rendering([binding("a", "a", **broken), binding("b", "b")])) == ["prod/b"]


def test_the_scheduler_is_told_of_the_executor() -> None:
    found = rendering([])
    assert told(found, "scheduler") == {
        "AIRFLOW__CORE__EXECUTOR": EXECUTOR,
        "AIRFLOW__KUBERNETES_EXECUTOR__MULTI_NAMESPACE_MODE": "True",
        "AIRFLOW__KUBERNETES_EXECUTOR__MULTI_NAMESPACE_MODE_NAMESPACE_LIST": "lab,prod,staging",
        "AIRFLOW__AIRWARDEN__ENVIRONMENT": "airflow/main",
        "AIRFLOW__AIRWARDEN__BUNDLES": "billing,reports",
        "AIRFLOW__AIRWARDEN__UNBOUND_NAMESPACE": "prod",
        "AIRFLOW__AIRWARDEN__UNBOUND_SERVICE_ACCOUNT": "airflow-unbound",
        "AIRFLOW__AIRWARDEN__DIGEST": found.components.digest,
    }


def test_the_api_server_is_told_where_pods_are_and_the_triggerer_is_not() -> None:
    """Else it looks for the log of a running task in its own namespace, where no pod of a binding is."""
    declared = ("scheduler", "apiServer", "triggerer")
    parts = {name: {"serviceAccountName": f"airflow-{name.lower()}"} for name in declared}
    found = rendering([], within=environment(components=parts))
    assert told(found, "api-server") == {
        "AIRFLOW__CORE__EXECUTOR": EXECUTOR,
        "AIRFLOW__KUBERNETES_EXECUTOR__MULTI_NAMESPACE_MODE": "True",
        "AIRFLOW__KUBERNETES_EXECUTOR__MULTI_NAMESPACE_MODE_NAMESPACE_LIST": "lab,prod,staging",
        "AIRFLOW__AIRWARDEN__ENVIRONMENT": "airflow/main",
    }
    assert set(told(found, "triggerer")) == {"AIRFLOW__CORE__EXECUTOR", "AIRFLOW__AIRWARDEN__ENVIRONMENT"}


def test_components_that_are_not_declared_are_told_nothing() -> None:
    assert set(rendering([]).components.wanted) == {"scheduler", "workers"}
    all_of_them = {
        name: {"serviceAccountName": f"airflow-{name.lower()}"}
        for name in ("scheduler", "apiServer", "dagProcessor", "triggerer")
    }
    found = rendering([], within=environment(components=all_of_them)).components.wanted
    assert set(found) == {"scheduler", "api-server", "dag-processor", "triggerer", "workers"}
    assert found["api-server"].name == "airwarden.main.api-server"


@pytest.mark.parametrize("executor", ["Kubernetes", "Celery", "Local"])
def test_no_component_but_those_that_run_tasks_is_given_a_backend(executor: str) -> None:
    unbound = {"unbound": None} if executor != "Kubernetes" else {}
    found = rendering([], within=environment(executor=executor, **unbound))
    with_backend = {
        name for name in found.components.wanted if "AIRFLOW__WORKERS__SECRETS_BACKEND" in told(found, name)
    }
    assert with_backend == ({"workers", "scheduler"} if executor == "Local" else {"workers"})
    named = {name for name in found.components.wanted if told(found, name).get("AIRFLOW__CORE__EXECUTOR") == EXECUTOR}
    assert named == ({"scheduler"} if executor == "Kubernetes" else set())


def test_the_kwargs_that_are_rendered_are_those_that_the_provider_takes() -> None:
    variables = told(rendering([]), "workers")
    assert variables["AIRFLOW__WORKERS__SECRETS_BACKEND"] == BACKEND
    assert settings_of(json.loads(variables["AIRFLOW__WORKERS__SECRETS_BACKEND_KWARGS"])) == Settings()


def test_the_digest_tells_renderings_apart_and_does_not_hang_on_bindings_or_order() -> None:
    one = rendering([]).components.digest
    assert rendering([binding("a", "a")]).components.digest == one
    assert len(one) == 32
    other_order = environment(workerNamespaces=["lab", "staging", "prod"])
    assert rendering([], within=other_order).components.digest == one
    fewer = environment(workerNamespaces=["prod", "staging"])
    assert rendering([], within=fewer).components.digest != one


BINDINGS = st.lists(
    st.tuples(
        st.sampled_from("pqrst"), st.lists(st.sampled_from(["a", "b", "a*", "c*"]), min_size=1, max_size=2, unique=True)
    ),
    max_size=5,
    unique_by=lambda each: each[0],
)


@given(BINDINGS, st.randoms())
def test_the_order_in_which_bindings_come_changes_nothing(drawn: list[tuple[str, list[str]]], random: Any) -> None:
    bodies = [binding(name, *ids) for name, ids in drawn]
    shuffled = list(bodies)
    random.shuffle(shuffled)
    assert text(rendering(bodies)) == text(rendering(shuffled))


def map_of(drawn: list[tuple[str, list[str]]]) -> DagMap:
    return rendering([binding(name, *ids) for name, ids in drawn]).dag_maps[0]


@given(BINDINGS, BINDINGS)
def test_what_is_narrowed_is_in_both_maps(
    before: list[tuple[str, list[str]]], after: list[tuple[str, list[str]]]
) -> None:
    old, new = map_of(before), map_of(after)
    pairs = [
        {(each.key, ids) for each in dag_map.bindings for ids in each.ids}
        for dag_map in (old, new, narrowed(new, old.text))
    ]
    assert pairs[2] == pairs[0] & pairs[1]


@pytest.mark.parametrize(
    "old", ["", "[]", "{}", '{"version":2}', '{"version":1,"bundle":"billing","bindings":{}}', "[" * 9999]
)
def test_with_a_map_that_cannot_be_read_nothing_is_common(old: str) -> None:
    assert narrowed(map_of([("a", ["a"])]), old).bindings == ()


def test_an_account_that_changed_is_withdrawn_and_not_exchanged() -> None:
    new = map_of([("a", ["a"])])
    assert narrowed(new, new.text).bindings == new.bindings
    assert narrowed(new, new.text.replace("a-account", "other")).bindings == ()


def test_a_map_that_a_config_map_does_not_hold_is_too_large() -> None:
    long = [f"{'x' * 240}_{number:02}" for number in range(64)]
    large = rendering([binding(f"b{number:02}", *(f"{number:02}{each}" for each in long)) for number in range(60)])
    assert is_too_large(at_once(large.dag_maps[0].wanted()))
    assert not is_too_large(at_once(large.dag_maps[1].wanted()))


def test_what_a_rendering_costs_grows_as_the_bindings_do() -> None:
    def cost(count: int) -> int:
        bodies = [binding(f"b{number:04}", f"dag_{number:04}_*") for number in range(count)]
        return lines_of(lambda: rendering(bodies), "/airwarden/domain/")

    few, twice = cost(200), cost(400)
    assert 0 < twice <= 2.1 * few


def test_five_thousand_bindings_fit_a_config_map() -> None:
    found = rendering([binding(f"b{number:04}", f"dag_{number:04}_*") for number in range(5000)])
    assert found.mapped == 5000
    assert not is_too_large(at_once(found.dag_maps[0].wanted()))
