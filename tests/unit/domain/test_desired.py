"""The plan: what is refused is left out, what is unknown is held, and no grant is wider than its rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from airwarden.api.binding import AirflowSecretBinding, SecretItem
from airwarden.api.fields import moment, seconds
from airwarden.api.reasons import Reason
from airwarden.domain.desired import Held, Plan, Surroundings, plan
from airwarden.domain.guardrails import Admitted, BackendView, Refused
from airwarden.domain.resources import DynamicCredentials, StaticSecret
from airwarden.providers.vault import policy
from unit.domain import making
from unit.domain.making import binding, item, rule, view


def around(*backends: BackendView | tuple[str, Held], **more: object) -> Surroundings:
    known: dict[str, BackendView | Held] = {}
    for each in backends:
        if isinstance(each, BackendView):
            known[each.name] = each
        else:
            known[each[0]] = each[1]
    recorded = more.get("recorded", frozenset())
    assert isinstance(recorded, frozenset)
    return Surroundings("c1", known, {}, recorded, now=making.NOW)


def granted_keys(found: Plan, backend: str = "vault") -> set[str]:
    grant = found.grants.get(backend)
    return {each.key for each in grant.readable if isinstance(each, StaticSecret)} if grant else set()


def test_what_is_refused_is_left_out_and_the_rest_stays() -> None:
    found = plan(binding(item("team/a", "a"), item("other/b", "b")), around(view(rule())))
    assert granted_keys(found) == {"team/a"}
    assert [type(each.verdict) for each in found.decisions] == [Admitted, Refused]
    assert found.held == frozenset()


def test_without_any_admitted_secret_there_is_no_grant() -> None:
    found = plan(binding(item("other/a", "a")), around(view(rule())))
    assert found.grants == {}
    assert plan(binding(item()), around(view())).grants == {}


def test_the_account_default_never_gets_as_far_as_a_plan() -> None:
    with pytest.raises(ValidationError, match="shared by every pod"):
        binding(account="default")


def test_an_unknown_backend_is_held_and_the_other_store_is_planned_as_usual() -> None:
    found = plan(binding(item("team/a", "a"), item("team/b", "b", "missing")), around(view(rule())))
    assert found.held == {"missing"}
    assert set(found.grants) == {"vault"}
    (held,) = [each.verdict for each in found.decisions if isinstance(each.verdict, Held)]
    assert held.reason is Reason.BACKEND_NOT_FOUND


def test_a_backend_that_cannot_be_read_is_held_with_its_own_reason() -> None:
    why = Held(Reason.BACKEND_INVALID, "cannot be read")
    found = plan(binding(item()), around(("vault", why)))
    assert found.grants == {}
    assert found.decisions[0].verdict == why


def test_nothing_is_added_to_a_backend_that_is_being_deleted_but_what_is_there_stays() -> None:
    going = view(rule(), deleting=True)
    assert plan(binding(item()), around(going)).held == {"vault"}
    assert granted_keys(plan(binding(item()), around(going, recorded=frozenset({"vault"})))) == {"team/db"}


@pytest.mark.parametrize(
    ("session", "ttl", "longest"),
    [
        ({}, 1800, 1800),
        ({"maxTTL": "10m"}, 600, 600),
        ({"ttl": "5m"}, 300, 1800),
        ({"ttl": "5m", "maxTTL": "10m"}, 300, 600),
    ],
)
def test_what_a_session_leaves_out_is_the_shortest_limit_of_the_rules_in_use(
    session: Mapping[str, str], ttl: int, longest: int
) -> None:
    short = rule("short", keyPrefixes=["shared/"], session={"maxTTL": "30m"})
    two = binding(item("team/a", "a"), item("shared/b", "b"), session=session)
    grant = plan(two, around(view(rule(), short))).grants["vault"]
    assert (grant.session.ttl, grant.session.max_ttl) == (ttl, longest)


@given(making.bindings(), making.backends("vault"), making.backends("other"), making.labels)
def test_no_grant_holds_more_or_lasts_longer_than_some_rule_for_each_secret(
    declared: AirflowSecretBinding, one: BackendView, two: BackendView, labels: dict[str, str]
) -> None:
    stores = {"vault": one, "other": two}
    found = plan(declared, Surroundings("c1", stores, labels, now=making.NOW))
    for name, grant in found.grants.items():
        admitted = [
            each
            for each, decision in zip(declared.spec.secrets, found.decisions, strict=True)
            if decision.backend == name and isinstance(decision.verdict, Admitted)
        ]
        wanted = {StaticSecret(each.key) for each in admitted if each.key is not None} | {
            DynamicCredentials(each.dynamic.engine, each.dynamic.role, "Dynamic")
            for each in admitted
            if each.dynamic is not None
        }
        assert grant.readable == wanted
        rules_in_use = {
            decision.verdict.rule
            for decision in found.decisions
            if decision.backend == name and isinstance(decision.verdict, Admitted)
        }
        limits = [seconds(each.session.max_ttl) for each in stores[name].allow if each.name in rules_in_use]
        assert 0 < grant.session.ttl <= grant.session.max_ttl <= min(limits)
        assert grant.account == declared.spec.service_account.name
        assert grant.owner.namespace == declared.metadata.namespace


@given(making.bindings(("vault",)), making.backends("vault"), making.labels)
def test_a_refused_key_never_stands_in_the_policy_and_every_granted_one_does(
    declared: AirflowSecretBinding, backend: BackendView, labels: dict[str, str]
) -> None:
    found = plan(declared, Surroundings("c1", {"vault": backend}, labels, now=making.NOW))
    grant = found.grants.get("vault")
    text = ""
    if grant is not None:
        text = policy.render(grant.owner, policy.rules_for(grant.readable, mount="airflow", version=2))
    places = [place(each) for each in declared.spec.secrets]
    admitted = {
        path for path, decision in zip(places, found.decisions, strict=True) if isinstance(decision.verdict, Admitted)
    }
    assert {path for path in places if f'path "{path}" {{' in text} == admitted


def place(secret: SecretItem) -> str:
    """Return where a reader finds a secret."""
    if secret.dynamic is None:
        return f"airflow/data/{secret.key}"
    return f"{secret.dynamic.engine}/creds/{secret.dynamic.role}"


@given(making.bindings(), making.backends("vault"), st.booleans())
def test_planning_is_the_same_each_time(declared: AirflowSecretBinding, backend: BackendView, known: bool) -> None:
    stores = {"vault": backend} if known else {}
    world = Surroundings("c1", stores, {}, now=making.NOW)
    assert plan(declared, world) == plan(declared, world)


@given(making.bindings(), making.backends("vault"), making.backends("other"), st.integers(-3600, 10**6))
def test_after_its_end_a_binding_never_has_a_grant_whatever_is_known_of_its_backends(
    declared: AirflowSecretBinding, one: BackendView, two: BackendView, after: int
) -> None:
    not_after = declared.spec.access.not_after
    now = making.NOW + timedelta(seconds=after)
    stores: dict[str, BackendView | Held] = {"vault": one, "other": two}
    for known in (stores, {"vault": Held(Reason.BACKEND_INVALID, "cannot be read")}):
        found = plan(declared, Surroundings("c1", known, None, now=now))
        over = not_after is not None and now >= moment(not_after)
        assert found.expired is over
        if over:
            assert (found.grants, found.held, found.turn) == ({}, frozenset(), None)
            reasons = {each.verdict.reason for each in found.decisions if not isinstance(each.verdict, Admitted)}
            assert reasons == {Reason.EXPIRED}


@given(making.bindings(), making.backends("vault"), making.backends("other"), st.floats(0, 200_000))
def test_a_plan_stays_as_it_is_until_its_turn(
    declared: AirflowSecretBinding, one: BackendView, two: BackendView, passed: float
) -> None:
    """So whoever looks again at the turn misses nothing."""
    early = Surroundings("c1", {"vault": one, "other": two}, {}, now=making.NOW)
    found = plan(declared, early)
    now = making.NOW + timedelta(seconds=passed)
    assert found.turn is None or found.turn.at > making.NOW
    if found.turn is None or now < found.turn.at:
        again = plan(declared, replace(early, now=now))
        assert (again.grants, again.turn, again.expired) == (found.grants, found.turn, found.expired)
        assert [_kind(each.verdict) for each in again.decisions] == [_kind(each.verdict) for each in found.decisions]
    elif not found.expired:
        at = plan(declared, replace(early, now=found.turn.at))
        assert (at.grants, at.decisions) != (found.grants, found.decisions)


def _kind(verdict: Admitted | Refused | Held) -> tuple[type, object]:
    """Return what counts of a verdict; the message of a refusal may name a later time."""
    return type(verdict), verdict.rule if isinstance(verdict, Admitted) else verdict.reason


def test_the_turn_is_the_first_of_all_that_time_changes() -> None:
    limited = view(rule(maxLifetime="24h"), name="other")
    both = binding(item("team/a", "a"), item("team/b", "b", "other"), not_after="2031-05-04T10:00:00Z")
    found = plan(both, around(view(rule()), limited)).turn
    assert found is not None
    assert (found.at, found.tightens) == (making.NOW + timedelta(days=2), False)
    near = plan(binding(item(), not_after="2031-05-01T10:40:00Z"), around(view(rule())))
    assert near.turn is not None
    assert near.turn.tightens
    assert near.grants["vault"].session.max_ttl == 1800
