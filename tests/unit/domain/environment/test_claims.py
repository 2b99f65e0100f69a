"""Whose a DAG is: claims of bindings in one environment."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airwarden.api.dags import DagClaim
from airwarden.api.environment import Bundle, EnvironmentSpec
from airwarden.api.reasons import Reason
from airwarden.domain.environment import overlaps
from airwarden.domain.environment.claims import Claimant, Claims, Key, decide
from unit.counting import lines_of

SPEC: Final = EnvironmentSpec.model_validate(
    {
        "workerNamespaces": ["prod", "staging", "lab"],
        "bundles": [
            {"name": "billing", "namespaces": ["prod", "staging"]},
            {"name": "reports", "namespaces": ["prod"]},
        ],
        "components": {"scheduler": {"serviceAccountName": "airflow-scheduler"}},
        "unbound": {"namespace": "prod", "serviceAccountName": "airflow-unbound"},
    }
)


def claimant(name: str, *ids: str, namespace: str = "prod", bundle: str = "billing") -> Claimant:
    return Claimant((namespace, name), name, (DagClaim(bundle=bundle, ids=ids),))


def reasons(spec: EnvironmentSpec, *claimants: Claimant) -> dict[str, list[Reason]]:
    return {key[1]: [each.reason for each in found.complaints] for key, found in decide(spec, claimants).items()}


def test_claims_that_lie_apart_are_in_force() -> None:
    first, second = claimant("a", "billing_*"), claimant("b", "reporting_*", "billing")
    found = decide(SPEC, [first, second])
    assert found[first.key].claims == first.claims
    assert found[second.key].claims == second.claims
    assert all(each.mapped for each in found.values())


@pytest.mark.parametrize(
    ("one", "other"),
    [("x", "x"), ("x*", "x*"), ("x*", "x"), ("x*", "xy*"), ("*", "anything"), ("a_*", "a_b_*"), ("a.b*", "a.b.c")],
)
def test_dags_that_two_bindings_claim_go_to_neither(one: str, other: str) -> None:
    found = decide(SPEC, [claimant("a", one), claimant("b", other), claimant("c", "elsewhere")])
    assert found["prod", "a"].claims == found["prod", "b"].claims == ()
    assert [each.reason for each in found["prod", "a"].complaints] == [Reason.DAG_CONFLICT]
    assert "prod/b" in found["prod", "a"].complaints[0].message
    assert "prod/a" in found["prod", "b"].complaints[0].message
    assert found["prod", "c"].mapped == (one != "*")


def test_a_conflict_takes_all_claims_of_the_binding() -> None:
    wide = Claimant(
        ("prod", "wide"),
        "wide",
        (DagClaim(bundle="billing", ids=("x",)), DagClaim(bundle="reports", ids=("only_mine",))),
    )
    found = decide(SPEC, [wide, claimant("other", "x")])
    assert found[wide.key].claims == ()


def test_the_same_ids_of_two_bundles_are_two_sets_of_dags() -> None:
    assert reasons(SPEC, claimant("a", "x*"), claimant("b", "x*", bundle="reports")) == {"a": [], "b": []}


def test_one_binding_may_say_the_same_twice() -> None:
    assert reasons(SPEC, claimant("a", "x*", "xy", "x")) == {"a": []}


def test_a_namespace_that_the_bundle_does_not_name_claims_nothing_and_hinders_nobody() -> None:
    found = reasons(SPEC, claimant("mine", "x"), claimant("thief", "*", namespace="lab"))
    assert found == {"mine": [], "thief": [Reason.BUNDLE_NOT_CLAIMABLE]}


def test_a_bundle_that_the_environment_does_not_know_is_nobody_s() -> None:
    assert reasons(SPEC, claimant("a", "x", bundle="unknown")) == {"a": [Reason.BUNDLE_NOT_CLAIMABLE]}


def test_a_namespace_without_workers_gets_no_dags() -> None:
    assert reasons(SPEC, claimant("a", "x", namespace="elsewhere")) == {"a": [Reason.NAMESPACE_NOT_A_WORKER]}


def test_the_powerless_account_is_nobody_s() -> None:
    thief = Claimant(("prod", "thief"), "airflow-unbound", claimant("x", "x").claims)
    elsewhere = Claimant(("staging", "same-name"), "airflow-unbound", claimant("y", "y").claims)
    assert reasons(SPEC, thief, elsewhere) == {"thief": [Reason.SERVICE_ACCOUNT_TAKEN], "same-name": []}


def test_a_message_names_the_claims_of_both() -> None:
    message = decide(SPEC, [claimant("a", "x*"), claimant("b", "xy")])["prod", "b"].complaints[0].message
    assert "the DAGs xy of bundle billing" in message
    assert "(x*)" in message


IDS = st.from_regex(r"[ab]{1,3}\*?|\*", fullmatch=True)
CLAIMANTS = st.lists(
    st.tuples(st.sampled_from("pqrst"), st.lists(IDS, min_size=1, max_size=3, unique=True)),
    max_size=5,
    unique_by=lambda each: each[0],
)


def covers(one: str, other: str) -> bool:
    """Whether two ids name a common DAG, by the definition."""
    if one.endswith("*") and other.endswith("*"):
        short, long = sorted((one[:-1], other[:-1]), key=len)
        return long.startswith(short)
    if one.endswith("*"):
        return other.startswith(one[:-1])
    return covers(other, one) if other.endswith("*") else one == other


@given(CLAIMANTS)
def test_exactly_those_whose_claims_overlap_with_another_s_conflict(drawn: list[tuple[str, list[str]]]) -> None:
    found = decide(SPEC, [claimant(name, *ids) for name, ids in drawn])
    expected: dict[Key, bool] = {
        ("prod", name): any(
            covers(one, other) for rival, others in drawn if rival != name for one in ids for other in others
        )
        for name, ids in drawn
    }
    assert {key: not verdict.mapped for key, verdict in found.items()} == expected


@given(CLAIMANTS)
def test_each_conflict_names_a_rival_that_is_in_conflict_too(drawn: list[tuple[str, list[str]]]) -> None:
    found = decide(SPEC, [claimant(name, *ids) for name, ids in drawn])
    for (_, name), verdict in found.items():
        for complaint in verdict.complaints:
            named = complaint.message.split("binding prod/")[1][0]
            assert named != name
            assert not found["prod", named].mapped


STEPS = st.lists(
    st.tuples(st.sampled_from("pqrst"), st.lists(IDS, max_size=3, unique=True)),  # nothing: the binding goes
    max_size=12,
)


@pytest.mark.parametrize("few", [0, 256])
@given(STEPS)
def test_kept_up_to_date_claims_are_judged_as_all_at_once(few: int, steps: list[tuple[str, list[str]]]) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(overlaps, "_FEW", few)  # as with thousands
        keep_up_to_date(steps)


def keep_up_to_date(steps: list[tuple[str, list[str]]]) -> None:
    claims, now = Claims(SPEC), dict[str, Claimant]()
    for name, ids in steps:
        before = {key: each.mapped for key, each in claims.verdicts().items()}
        if ids:
            now[name] = claimant(name, *ids)
            told = claims.put(now[name])
        else:
            now.pop(name, None)
            told = claims.drop(("prod", name))
        found = claims.verdicts()
        assert found == decide(SPEC, reversed(now.values()))
        after = {key: each.mapped for key, each in found.items()}
        assert told == {key for key in after if key[1] != name and before[key] != after[key]}


@pytest.mark.parametrize("few", [0, 256])
@given(STEPS)
def test_an_edit_of_the_environment_is_judged_as_all_anew(few: int, steps: list[tuple[str, list[str]]]) -> None:
    other = SPEC.model_copy(
        update={
            "worker_namespaces": ("prod", "lab"),
            "bundles": (Bundle(name="billing", namespaces=("prod", "lab")), Bundle(name="new", namespaces=("prod",))),
        }
    )
    spaces = dict(zip("pqrst", ("prod", "staging", "lab", "prod", "staging"), strict=True))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(overlaps, "_FEW", few)  # as with thousands
        claims, now = Claims(SPEC), dict[str, Claimant]()
        for name, ids in steps:
            if ids:
                now[name] = claimant(name, *ids, namespace=spaces[name])
                claims.put(now[name])
        for spec in (other, SPEC, other):
            claims.adopt(spec)
            assert claims.verdicts() == decide(spec, now.values())
        for each in now.values():
            claims.drop(each.key)
        assert claims.verdicts() == {}


def test_an_edit_that_admits_nobody_else_judges_nobodys_claims_anew() -> None:
    def cost(ids: int) -> int:
        claims = Claims(SPEC)
        for number in range(50):
            claims.put(claimant(f"b{number}", *(f"dag_{number}_{each}" for each in range(ids))))
        return lines_run(lambda: claims.adopt(SPEC.model_copy(update={"worker_namespaces": ("prod", "staging")})))

    assert cost(32) == cost(1)


def test_a_claim_among_five_thousand_costs_what_one_among_fifty_does() -> None:
    def cost(others: int) -> int:
        claims = Claims(SPEC)
        for number in range(others):
            claims.put(claimant(f"b{number}", f"dag_{number:05}_*", f"one_{number:05}"))
            assert claims.verdict(("prod", f"b{number}")).mapped
        new = claimant("new", "dag_new_*", "one_new")
        return lines_run(lambda: (claims.put(new), claims.verdict(new.key), claims.drop(new.key)))

    assert cost(5000) <= cost(50)


def lines_run(act: Callable[[], object]) -> int:
    """Return how many lines of the code that judges claims an act runs."""
    return lines_of(act, "environment/claims.py", "environment/overlaps.py")


NESTED: Final = tuple("a" * length + "*" for length in range(1, 65))


def longest_put_and_drop(ids: tuple[str, ...], bindings: int) -> int:
    """Return the most lines that one put, verdict or drop runs, of so many bindings with these ids."""
    claims = Claims(SPEC)
    made = [claimant(f"b{number:04}", *ids) for number in range(bindings)]
    found = [lines_run(lambda each=each: (claims.put(each), claims.verdict(each.key))) for each in made]  # type: ignore[misc]
    assert not any(each.mapped for each in claims.verdicts().values())
    found += [lines_run(lambda each=each: claims.drop(each.key)) for each in made]  # type: ignore[misc]
    assert claims.verdicts() == {}
    return max(found)


@pytest.mark.parametrize("ids", [("same_*",), ("same",), NESTED, tuple(f"dag_{number}" for number in range(64))])
def test_what_an_edit_costs_does_not_grow_with_how_many_claim_the_same(ids: tuple[str, ...]) -> None:
    assert longest_put_and_drop(ids, 200) <= longest_put_and_drop(ids, 20)


def test_prefixes_of_one_s_own_that_another_covers_cost_nothing() -> None:
    assert longest_put_and_drop(NESTED, 20) < longest_put_and_drop(("a*",), 20) + 5 * len(NESTED)


def test_one_more_that_claims_everything_costs_no_look_at_those_who_are_in_conflict_already() -> None:
    def cost(others: int) -> int:
        claims = Claims(SPEC)
        for number in range(others):
            claims.put(claimant(f"b{number:04}", f"dag_{number:04}_*"))
        assert len(claims.put(claimant("wide", "*"))) == others
        wider = claimant("wider", "*")
        found = lines_run(lambda: claims.put(wider)) + lines_run(lambda: claims.drop(wider.key))
        assert not any(each.mapped for each in claims.verdicts().values())
        return found

    assert cost(1000) <= cost(10)
