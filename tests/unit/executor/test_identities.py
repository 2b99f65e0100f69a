"""Whose pod a task's is; whatever is not certain is nobody's."""

from __future__ import annotations

import pytest

from airflow_airwarden.identities import BindingGone, Bound, Identities, Identity, Unbound, still
from airflow_airwarden.map_view import MapView
from unit.executor.making import BUNDLE, ENVIRONMENT, claim_body, map_text


def identities(text: str | None, *namespaces: str) -> Identities:
    view = MapView(ENVIRONMENT, BUNDLE, lambda: 0.0)
    view.saw(text, 0.0)
    return Identities({BUNDLE: view}, frozenset(namespaces))


def of(text: str | None, dag_id: str = "billing_daily", bundle: str = BUNDLE, *namespaces: str) -> Identity:
    return identities(text, *namespaces).of(bundle, dag_id)


def bound(text: str) -> Bound:
    found = of(text)
    assert isinstance(found, Bound)
    return found


def unbound(found: Identity) -> Unbound:
    assert isinstance(found, Unbound)
    return found


def test_a_dag_that_a_binding_names_is_that_bindings() -> None:
    found = bound(map_text())
    assert found.claim.account == "billing"
    assert len(found.digest) == 32


def test_a_dag_of_another_bundle_is_nobodys_whatever_it_is_called() -> None:
    found = unbound(of(map_text(), "billing_daily", "other-git"))
    assert "told of no bundle 'other-git'" in found.why


def test_a_bundle_that_was_added_while_the_scheduler_runs_is_not_taken_for_one_without_bindings() -> None:
    found = unbound(of(map_text(), "billing_daily", "other-git"))
    assert (found.certain, found.withheld) == (False, False)


def test_a_dag_that_no_binding_names_is_certainly_nobodys() -> None:
    found = unbound(of(map_text(), "reports"))
    assert found.certain
    assert found.digest


@pytest.mark.parametrize("text", [None, "{", map_text(version=2)])
def test_without_a_usable_map_it_cannot_be_told(text: str | None) -> None:
    assert not unbound(of(text)).certain


@pytest.mark.parametrize("ids", ["billing_*", "billing_daily", "*"])
def test_a_dag_whose_claim_is_not_in_force_is_nobodys_and_lookups_are_refused(ids: str) -> None:
    withheld = [{"ids": ["other", ids], "reason": "DagConflict"}]
    found = unbound(of(map_text(bindings=[], withheld=withheld)))
    assert (found.certain, found.withheld) == (False, True)
    assert "its claim is not in force: DagConflict" in found.why
    assert found.digest


def test_a_claim_in_vain_takes_a_dag_from_nobody() -> None:
    withheld = [{"ids": ["*"], "reason": "NamespaceNotAWorker"}]
    assert bound(map_text(withheld=withheld)).claim.account == "billing"


def test_what_is_withheld_is_no_other_dag() -> None:
    withheld = [{"ids": ["billing_daily2", "reports_*"], "reason": "Expired"}]
    assert unbound(of(map_text(bindings=[], withheld=withheld))).certain


def test_with_two_claims_it_cannot_be_told() -> None:
    other = claim_body(binding="airflow-prod/b", account="b")
    assert not unbound(of(map_text(claim_body(), other))).certain


def test_a_binding_where_no_pods_are_watched_gets_none() -> None:
    found = unbound(of(map_text(), "billing_daily", BUNDLE, "airflow-dev"))
    assert "watches no pods" in found.why
    assert not found.certain
    assert isinstance(of(map_text(), "billing_daily", BUNDLE, "airflow-prod"), Bound)


def test_a_task_whose_binding_was_removed_meanwhile_is_discarded() -> None:
    with pytest.raises(BindingGone, match=r"airflow-prod/billing, which has its DAG no longer: no binding names"):
        still("airflow-prod/billing", of(map_text(bindings=[])))


def test_a_task_whose_dag_went_to_another_binding_is_discarded() -> None:
    with pytest.raises(BindingGone, match=r"is airflow-prod/new's by now"):
        still("airflow-prod/billing", of(map_text(claim_body(binding="airflow-prod/new"))))


def test_a_binding_with_another_account_by_now_is_still_the_binding() -> None:
    found = still("airflow-prod/billing", of(map_text(claim_body(account="billing-2"))))
    assert isinstance(found, Bound)
    assert found.claim.account == "billing-2"


def test_a_task_whose_binding_lost_its_dag_to_a_conflict_meanwhile_is_discarded() -> None:
    withheld = [{"ids": ["billing_*"], "reason": "DagConflict"}]
    with pytest.raises(BindingGone, match="its claim is not in force: DagConflict"):
        still("airflow-prod/billing", of(map_text(bindings=[], withheld=withheld)))


def test_a_map_that_cannot_be_used_discards_nothing() -> None:
    assert isinstance(still("airflow-prod/billing", of(None)), Unbound)


def test_a_task_that_was_queued_unbound_is_what_it_is_now() -> None:
    assert isinstance(still("", of(map_text())), Bound)
    assert isinstance(still("", of(map_text(bindings=[]))), Unbound)
