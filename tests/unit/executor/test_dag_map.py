"""Whose DAG it is: by exact id or prefix, for one binding or for none; a map that is not understood says nothing."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from airflow_airwarden.dag_map import LARGEST, MapUnusable, map_name, parse_dag_map
from unit.executor.making import BUNDLE, ENVIRONMENT, claim_body, dag_map, map_body, map_text

MOUNT = {"audience": "vault", "path": "vault/token", "expirationSeconds": 600}


def parse(text: str) -> None:
    parse_dag_map(text, ENVIRONMENT, BUNDLE)


def test_the_name_is_that_of_the_contract() -> None:
    digest = hashlib.sha256(b"billing-git").hexdigest()[:12]
    assert map_name("main", "billing-git") == f"airwarden.main.dags.{digest}"
    assert map_name("main", "Billing/ Git") != map_name("main", "billing-git")


@pytest.mark.parametrize(
    ("dag_id", "bound"),
    [
        ("invoices", True),
        ("billing_", True),
        ("billing_daily", True),
        ("billing", False),
        ("invoices2", False),
        ("Invoices", False),
        ("my_billing_daily", False),
        ("invoices\n", False),
        ("\uff49nvoices", False),
        ("*", False),
        ("billing_*", True),
        ("", False),
    ],
)
def test_an_id_is_bound_exactly_or_by_its_prefix(dag_id: str, bound: bool) -> None:
    found = dag_map().find(dag_id)
    assert (found is not None) is bound
    assert found is None or (found.binding, found.account) == ("airflow-prod/billing", "billing")


def test_a_star_alone_is_the_whole_bundle() -> None:
    assert dag_map(claim_body(ids=["*"])).find("anything") is not None


def test_a_dot_in_an_id_is_a_dot() -> None:
    assert dag_map(claim_body(ids=["a.b"])).find("axb") is None


def test_two_claims_on_a_dag_give_it_to_nobody() -> None:
    other = claim_body(binding="airflow-prod/reports", account="reports", ids=["billing_daily"])
    both = dag_map(claim_body(), other)
    with pytest.raises(MapUnusable, match=r"several bindings .*airflow-prod/billing, airflow-prod/reports"):
        both.find("billing_daily")
    found = both.find("billing_weekly")
    assert found is not None
    assert found.account == "billing"


def test_a_bundle_that_nobody_claims_has_a_map_without_bindings() -> None:
    text = map_text(bindings=[])
    empty = parse_dag_map(text, ENVIRONMENT, BUNDLE)
    assert empty.find("billing_daily") is None
    assert empty.digest == hashlib.sha256(text.encode()).hexdigest()[:32]


@pytest.mark.parametrize("length", [0, 1, 40, 200, len(map_text()) - 1])
def test_a_map_that_is_cut_off_is_not_used(length: int) -> None:
    with pytest.raises(MapUnusable, match="no whole JSON object"):
        parse(map_text()[:length])


@pytest.mark.parametrize("text", ["[]", "null", "1", '"x"', "[" * 100_000])
def test_what_is_no_object_is_not_used(text: str) -> None:
    with pytest.raises(MapUnusable, match="no whole JSON object"):
        parse(text)


def test_each_of_five_thousand_bindings_has_its_own_dags_and_no_others() -> None:
    names = [f"team_{number:04}" for number in range(5000)]
    claims = [
        claim_body(binding=f"airflow-prod/{each.replace('_', '-')}", account=each.replace("_", "-"), ids=[f"{each}_*"])
        for each in names
    ]
    found = dag_map(*claims)
    for each in names[::499]:
        claim = found.find(f"{each}_daily")
        assert claim is not None
        assert claim.account == each.replace("_", "-")
    assert found.find("team_5000_daily") is None


def test_a_map_that_is_too_large_is_not_read() -> None:
    with pytest.raises(MapUnusable, match="larger than"):
        parse(map_text() + " " * LARGEST)


@pytest.mark.parametrize("version", [0, 2, "1", None, [1]])
def test_a_map_of_another_version_is_not_used(version: object) -> None:
    with pytest.raises(MapUnusable, match="does not have the version 1"):
        parse(map_text(version=version))


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"environment": "airflow/other"}, "environment"),
        ({"bundle": "other-git"}, "bundle"),
        ({"mounts": []}, "mounts"),
        ({"mounts": {"vault": "x"}}, "mounts.vault"),
        ({"mounts": {"vault": {**MOUNT, "path": "../x"}}}, "mounts.vault.path"),
        ({"mounts": {"vault": {**MOUNT, "path": "/x"}}}, "mounts.vault.path"),
        ({"mounts": {"vault": {**MOUNT, "path": "a/../../x"}}}, "mounts.vault.path"),
        ({"mounts": {"vault": {**MOUNT, "audience": ""}}}, "mounts.vault.audience"),
        ({"mounts": {"vault": {**MOUNT, "expirationSeconds": 1}}}, "mounts.vault.expirationSeconds"),
        ({"mounts": {"vault": {**MOUNT, "expirationSeconds": True}}}, "mounts.vault.expirationSeconds"),
        ({"mounts": {"vault": {**MOUNT, "mode": 511}}}, "mounts.vault.mode"),
        ({"bindings": {}}, "bindings"),
        ({"bindings": ["x"]}, "bindings[0]"),
        ({"bindings": [claim_body(), claim_body()]}, "bindings"),
        ({"bindings": [claim_body(binding="billing")]}, "bindings[0].binding"),
        ({"bindings": [claim_body(binding="a/b/c")]}, "bindings[0].binding"),
        ({"bindings": [claim_body(account="A B")]}, "bindings[0].account"),
        ({"bindings": [claim_body(account="")]}, "bindings[0].account"),
        ({"bindings": [claim_body(ids=[""])]}, "bindings[0].ids"),
        ({"bindings": [claim_body(ids=["a*b"])]}, "bindings[0].ids"),
        ({"bindings": [claim_body(ids=[1])]}, "bindings[0].ids"),
        ({"bindings": [claim_body(mounts=["gcp"])]}, "bindings[0].mounts"),
        ({"bindings": [claim_body(mounts=["vault", "vault"])]}, "bindings[0].mounts"),
        ({"bindings": [claim_body(labels={"use": "true"})]}, "bindings[0].labels.use"),
        (
            {"bindings": [claim_body(labels={"airwarden.dev/identity": "x"})]},
            "bindings[0].labels.airwarden.dev/identity",
        ),
        ({"bindings": [claim_body(labels={"a.b/c": "x y"})]}, "bindings[0].labels.a.b/c"),
        ({"bindings": [claim_body(labels={"a.b/c": 1})]}, "bindings[0].labels.a.b/c"),
        ({"bindings": [claim_body(namespace="x")]}, "bindings[0].namespace"),
        ({"withheld": {}}, "withheld"),
        ({"withheld": ["x"]}, "withheld[0]"),
        ({"withheld": [{"ids": ["a b"], "reason": "Pending"}]}, "withheld[0].ids"),
        ({"withheld": [{"ids": ["a"], "reason": "no word"}]}, "withheld[0].reason"),
        ({"withheld": [{"ids": ["a"], "reason": "Pending", "account": "x"}]}, "withheld[0].account"),
        ({"default": "billing"}, "default"),
    ],
)
def test_a_map_with_something_else_in_it_is_not_used(changes: dict[str, Any], where: str) -> None:
    with pytest.raises(MapUnusable) as refusal:
        parse(map_text(**changes))
    assert f"the DAG map is wrong at {where}: " in str(refusal.value)


@pytest.mark.parametrize("name", list(map_body()))
def test_nothing_may_be_missing(name: str) -> None:
    body = map_body()
    del body[name]
    with pytest.raises(MapUnusable):
        parse(json.dumps(body))
