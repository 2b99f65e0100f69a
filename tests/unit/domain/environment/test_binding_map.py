"""The map of a binding: what its tasks are told, and that the provider takes whatever is written."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from airflow_airwarden.map_file import parse_map
from airwarden.api.backend import AirflowSecretBackend
from airwarden.api.binding import AirflowSecretBinding, SecretItem
from airwarden.api.reasons import Reason
from airwarden.domain.config_map import WantedMap
from airwarden.domain.desired import Held, Plan, Surroundings, plan
from airwarden.domain.environment.binding_map import MAP_KEY, Earlier, Given, render, without_login
from airwarden.domain.environment.mapping import EnvironmentView
from airwarden.domain.guardrails import BackendView
from airwarden.domain.owner import Owner
from airwarden.domain.resources import StaticSecret
from airwarden.domain.task_access import TaskAccess
from airwarden.providers.vault.opening import open_store
from unit.domain import making
from unit.domain.making import binding, dynamic_item, environment, environment_spec, item, rule, view

OWNER = Owner("c1", "team", "billing")
CLAIMS = {"git": ("billing_*",)}
HELD = Held(Reason.BACKEND_NOT_FOUND, "there is no backend")


def backend(name: str = "vault", workload: Mapping[str, Any] | None = None, **vault: Any) -> AirflowSecretBackend:
    """Return a Vault in which tasks log in by their account's token, unless told otherwise."""
    spec = {
        "address": "https://vault.test:8200",
        "login": {"kubernetes": {"role": "airwarden"}},
        "kv": {"mount": "airflow"},
        "workloadLogin": workload or {"kubernetes": {"audience": "vault"}},
        **vault,
    }
    return AirflowSecretBackend.model_validate(
        {"metadata": {"name": name, "uid": "u", "generation": 1}, "spec": {"type": "Vault", "vault": spec}}
    )


def access(declared: AirflowSecretBackend, ca_pem: str | None = None) -> TaskAccess:
    """Return what the backend's store says of its tasks."""
    store = open_store(declared, cluster="c1", token_directory=Path("/nowhere"), ca_pem=None)
    store.client.connection = replace(store.client.connection, ca_pem=ca_pem)
    return store.task_access(OWNER.at(declared.metadata.name))


VAULT = access(backend())


def decided(
    declared: AirflowSecretBinding, env: EnvironmentView | Held | None, *found: BackendView | tuple[str, Held]
) -> Plan:
    """Return the plan of a binding."""
    backends: dict[str, BackendView | Held] = dict(
        each if isinstance(each, tuple) else (each.name, each) for each in found or (view(rule()),)
    )
    return plan(declared, Surroundings("c1", backends, {}, frozenset({"vault"}), env, now=making.NOW))


def body_of(made: WantedMap | None) -> dict[str, Any]:
    """Return the map, which the provider has taken."""
    assert made is not None
    parse_map(made.data[MAP_KEY].encode(), "binding.json")
    found: dict[str, Any] = json.loads(made.data[MAP_KEY])
    return found


def rendered(
    declared: AirflowSecretBinding,
    *found: BackendView | tuple[str, Held],
    env: EnvironmentView | Held | None = None,
    given: Given | None = None,
    earlier: Earlier | None = None,
) -> dict[str, Any]:
    """Return the map of a binding."""
    wanted = decided(declared, env or environment(declared), *found)
    return body_of(render(declared, wanted, given or Given({"vault": VAULT}), earlier))


def refused(body: Mapping[str, Any]) -> dict[str, str]:
    return {f"{each['type']}/{each['id']}": each["reason"] for each in body["refused"]}


def ids(body: Mapping[str, Any]) -> list[str]:
    return [each["id"] for each in body["secrets"]]


def test_a_binding_without_an_environment_has_no_map() -> None:
    declared = binding(item())
    assert render(declared, decided(declared, None), Given({"vault": VAULT}), None) is None


def test_the_map_says_where_each_secret_lies_and_how_to_log_in() -> None:
    parts = {"connType": "postgres", "host": "db.test", "port": 5432, "schema": "x", "login": "l", "extra": "{}"}
    declared = binding(
        item("team/db", "db", field="uri", connection={**parts, "loginField": "user", "passwordField": "pw"}),
        dynamic_item("team.ro", name="ro"),
        dags=CLAIMS,
    )
    rules = rule(dynamic=[{"engine": "database", "rolePrefixes": ["{namespace}."]}])
    assert rendered(declared, view(rules)) == {
        "version": 1,
        "binding": "team/billing",
        "environment": "airflow/main",
        "unboundIDs": "FallThrough",
        "cacheTTLSeconds": 60,
        "stores": {
            "vault": {
                "type": "Vault",
                "addresses": ["https://vault.test:8200"],
                "namespace": "",
                "kv": {"mount": "airflow", "version": 2},
                "login": {
                    "method": "Kubernetes",
                    "mount": "kubernetes",
                    "role": "airwarden.c1.team.billing.vault",
                    "tokenFile": "/var/run/secrets/airwarden/vault/token",
                },
            }
        },
        "secrets": [
            {
                "type": "Connection",
                "id": "db",
                "store": "vault",
                "key": "team/db",
                "field": "uri",
                "connection": {
                    "conn_type": "postgres",
                    "host": "db.test",
                    "port": 5432,
                    "schema": "x",
                    "login": "l",
                    "extra": "{}",
                },
                "connectionFields": {"login": "user", "password": "pw"},
            },
            {
                "type": "Connection",
                "id": "ro",
                "store": "vault",
                "dynamic": {"engine": "database", "role": "team.ro", "kind": "Dynamic"},
            },
        ],
        "refused": [],
    }


def test_certificates_lie_beside_the_map() -> None:
    declared = binding(item(), dags=CLAIMS)
    given = Given({"vault": access(backend(tls={"serverName": "vault.inner"}), "PEM")})
    made = render(declared, decided(declared, environment(declared)), given, None)
    assert made is not None
    assert made.data["ca.vault.pem"] == "PEM"
    tls = body_of(made)["stores"]["vault"]["tls"]
    assert tls == {"caFile": "/etc/airwarden/ca.vault.pem", "serverName": "vault.inner"}


def test_the_map_is_the_binding_s_own_by_name_and_labels() -> None:
    declared = binding(item(), dags=CLAIMS)
    made = render(declared, decided(declared, environment(declared)), Given({"vault": VAULT}), None)
    assert made is not None
    assert (made.namespace, made.name) == ("team", "airwarden.billing.map")
    assert made.labels == {
        "app.kubernetes.io/managed-by": "airwarden",
        "airwarden.dev/binding": "billing",
        "airwarden.dev/cluster": "c1",
    }


def test_tasks_of_a_fence_log_in_under_the_admin_s_role() -> None:
    fenced = backend(mode="Fenced", fenced={"role": "fence", "engine": "database", "slots": {}})
    login = access(fenced).entry["login"]
    assert isinstance(login, dict)
    assert login["role"] == "fence"


def test_tasks_may_log_in_by_jwt() -> None:
    login = access(backend(workload={"method": "JWT", "jwt": {"audience": "v", "mount": "j"}})).entry["login"]
    assert isinstance(login, dict)
    assert (login["method"], login["mount"]) == ("JWT", "j")


def test_what_lies_where_no_task_can_log_in_is_refused_and_said() -> None:
    declared = binding(item(), dags=CLAIMS)
    given = Given({"vault": access(backend(workload={"method": "AppRole", "appRole": {}}))})
    assert refused(rendered(declared, given=given)) == {"Connection/db": "NoLoginForTasks"}
    [(reason, message)] = without_login(decided(declared, environment(declared)), given)
    assert reason is Reason.NO_LOGIN_FOR_TASKS
    assert "backend vault" in message


def test_what_no_rule_admits_is_bound_and_refused() -> None:
    body = rendered(binding(item("team/db", "db"), item("other/db", "other"), dags=CLAIMS))
    assert ids(body) == ["db"]
    assert refused(body) == {"Connection/other": "KeyNotAllowed"}


def test_after_its_end_everything_is_refused() -> None:
    body = rendered(binding(item(), not_after="2031-05-01T09:00:00Z", dags=CLAIMS))
    assert (ids(body), refused(body), body["stores"]) == ([], {"Connection/db": "Expired"}, {})


def test_what_cannot_be_judged_keeps_its_place_and_gets_no_new_one() -> None:
    before = binding(item("team/db", "db"), dags=CLAIMS)
    made = render(before, decided(before, environment(before)), Given({"vault": access(backend(), "PEM")}), None)
    assert made is not None
    more = binding(item("team/db", "db"), item("team/new", "new"), dags=CLAIMS)
    body = rendered(more, ("vault", HELD), given=Given({}), earlier=Earlier.read(made.data))
    assert ids(body) == ["db"]
    assert refused(body) == {"Connection/new": "BackendNotFound"}
    assert body["stores"] == json.loads(made.data[MAP_KEY])["stores"]
    moved = binding(item("team/elsewhere", "db"), dags=CLAIMS)
    assert refused(rendered(moved, ("vault", HELD), given=Given({}), earlier=Earlier.read(made.data))) == {
        "Connection/db": "BackendNotFound"
    }
    wanted = decided(before, environment(before), ("vault", HELD))
    again = render(before, wanted, Given({}), Earlier.read(made.data))
    assert again is not None
    assert again.data == made.data, "its certificates stay as well"


def test_what_others_wrote_into_the_map_is_not_taken_over() -> None:
    body = rendered(binding(item(), dags=CLAIMS), ("vault", HELD), given=Given({}), earlier=None)
    assert refused(body) == {"Connection/db": "BackendNotFound"}
    assert Earlier.read({MAP_KEY: "{"}) == Earlier()
    assert Earlier.read({MAP_KEY: "[]"}) == Earlier()


def test_a_suspended_binding_gets_nothing_new() -> None:
    declared = binding(item("team/a", "a"), item("team/b", "b"), suspend=True, dags=CLAIMS)
    body = rendered(declared, given=Given({"vault": VAULT}, {"vault": frozenset({StaticSecret("team/a")})}))
    assert (ids(body), refused(body)) == (["a"], {"Connection/b": "Suspended"})
    unknown = rendered(declared, given=Given({"vault": VAULT}))
    assert refused(unknown) == {"Connection/a": "Suspended", "Connection/b": "Suspended"}


def test_common_secrets_stand_in_the_map_and_own_ones_win() -> None:
    common = (item("airflow/smtp", "smtp"), item("airflow/db", "db"), item("nobody/x", "x"))
    declared = binding(item("team/db", "db"), dags=CLAIMS)
    env = environment(declared, spec=environment_spec(*common))
    body = rendered(declared, view(rule(names=("team", "airflow"))), env=env)
    assert {each["id"]: each["key"] for each in body["secrets"]} == {"db": "team/db", "smtp": "airflow/smtp"}
    assert refused(body) == {"Connection/x": "KeyNotAllowed"}


def test_without_its_environment_a_binding_reads_its_own_and_nothing_falls_through() -> None:
    declared = binding(item(), dags=CLAIMS)
    body = body_of(render(declared, decided(declared, None), Given({"vault": VAULT}), None))
    assert (ids(body), body["unboundIDs"], body["cacheTTLSeconds"]) == (["db"], "Refuse", 0)


def test_an_environment_that_cannot_be_read_changes_nothing() -> None:
    declared = binding(item(), dags=CLAIMS)
    spec = environment_spec(item("airflow/smtp", "smtp"), reader={"unboundIDs": "Refuse", "cacheTTL": "5s"})
    rules = view(rule(names=("team", "airflow")))
    env = environment(declared, spec=spec)
    made = render(declared, decided(declared, env, rules), Given({"vault": VAULT}), None)
    assert made is not None
    unreadable = Held(Reason.ENVIRONMENT_INVALID, "no")
    wanted = decided(declared, unreadable, rules)
    again = body_of(render(declared, wanted, Given({"vault": VAULT}), Earlier.read(made.data)))
    assert (again["unboundIDs"], again["cacheTTLSeconds"], ids(again)) == ("Refuse", 5, ["db"])
    assert wanted.held == {"vault"}, "what was common stays where it is"
    assert wanted.why_held("vault") is unreadable


def test_a_longer_cache_than_a_reader_takes_is_cut() -> None:
    declared = binding(item(), dags=CLAIMS)
    env = environment(declared, spec=environment_spec(reader={"cacheTTL": "24h"}))
    assert rendered(declared, env=env)["cacheTTLSeconds"] == 3600


OTHERS = [
    access(backend("other", workload, address=address, namespace="a/b"), pem)
    for address in ("https://vault.test:8200", "http://10.0.0.1", "https://[fd00::1]:8200")
    for workload in ({"kubernetes": {"audience": "a:b/c", "mount": "k/x"}}, {"method": "AppRole", "appRole": {}})
    for pem in (None, "PEM")
]
TEXTS = st.text(max_size=8)
PARTS = st.fixed_dictionaries(
    {},
    optional={
        "connType": TEXTS,
        "host": TEXTS,
        "port": st.integers(1, 65535),
        "schema": TEXTS,
        "login": TEXTS,
        "extra": TEXTS,
        "loginField": TEXTS,
        "passwordField": TEXTS,
    },
).filter(bool)


@st.composite
def drawn_items(draw: st.DrawFn, number: int) -> SecretItem:
    """Draw any secret that the API server takes."""
    place: dict[str, Any] = (
        {"key": draw(making.keys)}
        if draw(st.booleans())
        else {
            "dynamic": {
                "engine": draw(st.sampled_from(("database", "a/b"))),
                "role": draw(making.roles),
                "kind": draw(st.sampled_from(("Dynamic", "Static"))),
            }
        }
    )
    kind = draw(st.sampled_from(("Connection", "Variable", "Config")))
    more = {"field": draw(st.from_regex(r"[A-Za-z0-9_.-]{1,8}", fullmatch=True))} if draw(st.booleans()) else {}
    connection = {"connection": draw(PARTS)} if kind == "Connection" and draw(st.booleans()) else {}
    return SecretItem.model_validate(
        {
            "type": kind,
            "id": f"id{number}",
            "backendRef": {"name": draw(st.sampled_from(("vault", "other", "gone")))},
            **place,
            **more,
            **connection,
        }
    )


@st.composite
def worlds(draw: st.DrawFn) -> tuple[AirflowSecretBinding, Plan, Given]:
    """Draw a binding, what is decided of it, and what is known of its stores."""
    declared = binding(
        *(draw(drawn_items(number)) for number in range(draw(st.integers(1, 5)))),
        suspend=draw(st.booleans()),
        dags=CLAIMS,
    )
    common = [draw(drawn_items(number)) for number in range(3, 3 + draw(st.integers(0, 4)))]
    env = draw(st.sampled_from((None, HELD, environment(declared, spec=environment_spec(*common)))))
    wanted = decided(declared, env, draw(making.backends("vault")), draw(making.backends("other")))
    return declared, wanted, Given({"vault": VAULT, "other": draw(st.sampled_from(OTHERS))})


@given(worlds())
def test_the_provider_takes_every_map_and_each_declared_id_is_bound(
    world: tuple[AirflowSecretBinding, Plan, Given],
) -> None:
    declared, wanted, given_stores = world
    made = render(declared, wanted, given_stores, None)
    assert made is not None
    taken = parse_map(made.data[MAP_KEY].encode(), "binding.json")
    bound = {*taken.secrets, *taken.refused}
    assert bound == {(each.type, each.id) for each in wanted.decisions}
    assert {(each.type.value, each.id) for each in declared.spec.secrets} <= bound
    granted = {readable for grant in wanted.grants.values() for readable in grant.readable}
    readable = {(each.type, each.id): each.readable for each in wanted.decisions}
    assert {readable[each] for each in taken.secrets} <= granted, "no place of what is not granted stands in the map"
    assert render(declared, wanted, given_stores, Earlier.read(made.data)) == made, "a second look changes nothing"
