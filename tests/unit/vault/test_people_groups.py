"""What lets people in at Vault: what is written, whose it is, what the operator's policy permits of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from airwarden.api.backend import AirflowSecretBackend
from airwarden.domain.diff import Terms, diff
from airwarden.domain.owner import Owner
from airwarden.domain.record import derived
from airwarden.domain.resources import Address, Claim, Grant, Observed
from airwarden.providers.vault import people
from airwarden.providers.vault.answers import Answer
from airwarden.providers.vault.setup import OperatorAccount, vault_setup
from airwarden.providers.vault.store import POLICY, ROLE
from airwarden.providers.vault.transport import Call
from unit.vault.test_narrowing import DB, OWNER, SMTP, STORE, given_by, grant

ONE, TWO = "11111111-aaaa", "22222222-bbbb"
OWN_POLICY, GROUP = people.addresses("vault", OWNER)


def let_in(*groups: str, shown: frozenset[Any] = frozenset({DB})) -> Grant:
    return replace(grant(DB, SMTP), people=frozenset(groups), for_people=shown)


def observed(wanted: Grant) -> dict[Address, Observed]:
    """Return what Vault has after the grant was written."""
    return {each.address: Observed(each.address, each.fields, Claim.OURS) for each in STORE.render(wanted)}


def test_without_groups_or_without_secrets_for_them_nothing_is_made_or_looked_for() -> None:
    for nobody in (grant(DB), let_in(), let_in(ONE, shown=frozenset())):
        desired = [each.address for each in STORE.render(nobody)]
        assert [each.kind for each in desired] == [POLICY, ROLE]
        assert [each.kind for each in STORE.addresses(OWNER, desired)] == [POLICY, ROLE]


def test_the_policies_go_before_the_role_and_the_group() -> None:
    desired = [each.address for each in STORE.render(let_in(ONE))]
    assert [each.kind for each in desired] == [POLICY, ROLE, people.POLICY, people.GROUP]
    assert [each.kind for each in STORE.addresses(OWNER, desired)] == [POLICY, people.POLICY, ROLE, people.GROUP]


def test_everything_of_the_group_is_sent_each_time() -> None:
    group = STORE.render(let_in(ONE, TWO))[-1]
    sent = people.body(group.fields, released=False)
    assert sent == {
        "type": "internal",
        "policies": "airwarden.c1.team.billing.vault_people",
        "member_group_ids": [ONE, TWO],
        "member_entity_ids": "",
        "metadata": {"airwarden-owner": "cluster=c1 namespace=team binding=billing backend=vault"},
    }
    single = people.body(STORE.render(let_in(ONE))[-1].fields, released=True)
    assert single["member_group_ids"] == ONE
    assert single["metadata"] == {"airwarden-released": MARK}


MARK = "cluster=c1 namespace=team binding=billing backend=vault"


@pytest.mark.parametrize(
    ("metadata", "claim"),
    [
        ({"airwarden-owner": MARK}, Claim.OURS),
        ({"airwarden-owner": MARK.replace("billing", "other")}, Claim.FOREIGN),
        ({"airwarden-owner": MARK.replace("c1", "c2")}, Claim.FOREIGN),
        ({"airwarden-owner": f"{MARK} more=x"}, Claim.UNMARKED),
        ({"airwarden-released": MARK}, Claim.RELEASED),
        ({}, Claim.UNMARKED),
        (None, Claim.UNMARKED),
    ],
)
async def test_the_metadata_says_whose_a_group_is(metadata: Mapping[str, str] | None, claim: Claim) -> None:
    async def ask(call: Call) -> Answer:
        assert (call.method, call.path) == ("GET", f"identity/group/name/{GROUP.name}")
        return Answer({"data": {"id": "x", "type": "internal", "metadata": metadata, "policies": None}})

    found = await people.observe_group(ask, GROUP, OWNER)
    assert found.claim is claim
    assert (found.held_by == "") == (claim is Claim.OURS)


def test_beside_a_foreign_policy_no_group_is_made_and_beside_a_foreign_group_the_tasks_get_theirs() -> None:
    wanted = STORE.render(let_in(ONE))
    order = STORE.addresses(OWNER, [each.address for each in wanted])
    absent = {each: Observed(each, None) for each in order}
    for foreign, made in ((OWN_POLICY, []), (GROUP, [POLICY, ROLE, people.POLICY])):
        seen = {**absent, foreign: Observed(foreign, {"policy": "x"}, Claim.FOREIGN)}
        found = diff(wanted, seen, {}, order, Terms(alone=STORE.alone))
        assert [each.address.kind for each in found.operations] == made


def test_suspended_nobody_comes_in_and_nothing_more_is_shown() -> None:
    wanted = let_in(ONE, TWO, shown=frozenset({DB, SMTP}))
    kept = STORE.narrowed(wanted, observed(let_in(ONE)))
    assert kept is not None
    assert kept.people == {ONE}
    assert kept.for_people == {DB}
    for address, fields in (
        (GROUP, {**observed(let_in(ONE))[GROUP].fields, "policies": ("other",)}),  # type: ignore[dict-item]
        (OWN_POLICY, {"policy": 'path "*" { capabilities = ["read"] }'}),
    ):
        without = STORE.narrowed(wanted, {**observed(let_in(ONE)), address: Observed(address, fields, Claim.OURS)})
        assert without is not None
        assert without.people == frozenset()
    alone = STORE.narrowed(wanted, given_by(grant(DB)))
    assert alone is not None
    assert alone.people == frozenset()


def test_a_record_counts_only_under_names_that_the_binding_derives() -> None:
    other = people.addresses("vault", Owner("c1", "team", "other", "vault"))
    found = derived(dict.fromkeys((OWN_POLICY, GROUP, *other), "x"), OWNER, "billing")
    assert set(found) == {OWN_POLICY, GROUP}


def printed(*ids: str | None) -> str:
    settings = {
        "address": "https://vault:8200",
        "login": {"kubernetes": {"role": "airwarden"}},
        "kv": {"mount": "airflow"},
        "workloadLogin": {"kubernetes": {"audience": "vault"}},
    }
    groups = [
        {"provider": "idp", "value": f"g{number}", **({"vaultGroupID": each} if each else {})}
        for number, each in enumerate(ids)
    ]
    rule = {"name": "own", "namespaces": {"names": ["team"]}}
    spec = {"type": "Vault", "vault": settings, "groups": groups, "allow": [rule]}
    backend = AirflowSecretBackend.model_validate({"metadata": {"name": "vault"}, "spec": spec})
    return vault_setup(backend, cluster="c1", operator=OperatorAccount("airwarden", "airwarden")).policy_text


def test_rights_on_groups_are_printed_only_where_the_backend_names_some_and_as_narrow_as_vault_can() -> None:
    assert "identity/" not in printed()
    assert "identity/" not in printed(None)
    assert """path "identity/group/name/airwarden.c1.*" {
  capabilities = ["create", "read", "update", "delete"]
  allowed_parameters = {
    "type" = ["internal"]
    "policies" = ["airwarden.c1.*"]
    "member_group_ids" = ["11111111-aaaa", "22222222-bbbb"]
    "member_entity_ids" = [""]
    "metadata" = []
  }
  denied_parameters = {
    "policies" = ["*,*"]
  }
}
path "identity/group/name" {
  capabilities = ["list"]
}
""" in printed(TWO, None, ONE)
