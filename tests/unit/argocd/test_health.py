"""Argo CD's view of our kinds: the shipped health script, run by a real Lua interpreter on real statuses."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from lupa import LuaRuntime

from airwarden.api.conditions import Condition
from airwarden.api.reasons import Reason
from airwarden.domain.report import Verdict, binding_conditions, condition, conditions
from unit.domain.making import binding

FOLDER = Path(__file__).parents[3] / "manifests" / "argocd"
SCRIPT = (FOLDER / "health.lua").read_text()


def health(found: tuple[Condition, ...] | None, *, observed: int = 1, **metadata: Any) -> tuple[str, str]:
    """Return status and message that Argo CD shows for an object at generation 1."""
    body: dict[str, Any] = {"metadata": {"generation": 1, **metadata}}
    if found is not None:
        shown = [each.model_dump(by_alias=True, mode="json") for each in found]
        body["status"] = {"observedGeneration": observed, "conditions": shown}
    lua = LuaRuntime(unpack_returned_tuples=True)
    lua.globals().obj = lua.table_from(body, recursive=True)
    answer = lua.execute(SCRIPT)
    return answer.status, answer.message


def said(verdict: Verdict) -> tuple[Condition, ...]:
    return conditions((), verdict, 1, "2026-11-21T00:00:00Z")


def test_a_new_object_is_progressing() -> None:
    assert health(None)[0] == "Progressing"


def test_ready_is_healthy_with_its_reason() -> None:
    assert health(said(Verdict(True, Reason.READY, "2 of 2 secrets"))) == ("Healthy", "Ready: 2 of 2 secrets")


def test_what_airwarden_works_on_is_progressing() -> None:
    outage = Verdict(False, Reason.BACKEND_UNREACHABLE, "refused", working=True)
    assert health(said(outage)) == ("Progressing", "BackendUnreachable: refused")


def test_what_a_person_must_mend_is_degraded() -> None:
    refused = Verdict(False, Reason.KEY_NOT_ALLOWED, "key x is not allowed")
    assert health(said(refused)) == ("Degraded", "KeyNotAllowed: key x is not allowed")


def test_a_ready_of_an_older_generation_does_not_count() -> None:
    assert health(said(Verdict(True, Reason.READY, "fine")), observed=0)[0] == "Progressing"


def test_a_deletion_is_progressing_even_when_it_was_ready() -> None:
    found = health(said(Verdict(True, Reason.READY, "fine")), deletionTimestamp="2026-11-21T00:00:00Z")
    assert found[0] == "Progressing"


@pytest.mark.parametrize("kind", ["AirflowSecretBinding", "AirflowSecretBackend", "AirflowSecretRotation"])
def test_the_config_map_holds_this_very_script(kind: str) -> None:
    data = yaml.safe_load((FOLDER / "argocd-cm.yaml").read_text())["data"]
    assert data[f"resource.customizations.health.airwarden.dev_{kind}"] == SCRIPT


def suspended(verdict: Verdict) -> tuple[Condition, ...]:
    """Return what a suspended binding says; the report's own tests hold it to that."""
    declared = binding(suspend=True)
    return binding_conditions(declared, verdict, "2026-11-21T00:00:00Z", None)


@pytest.mark.parametrize("verdict", [Verdict(True, Reason.READY, "fine"), Verdict(False, Reason.SUSPENDED, "1 of 2")])
def test_what_is_suspended_is_suspended_whether_it_holds_all_or_not(verdict: Verdict) -> None:
    assert health(suspended(verdict))[0] == "Suspended"


def test_what_goes_wrong_while_suspended_is_shown() -> None:
    assert health(suspended(Verdict(False, Reason.EXPIRED, "ended")))[0] == "Degraded"
    assert health(suspended(Verdict(False, Reason.BACKEND_UNREACHABLE, "refused", working=True)))[0] == "Progressing"


def test_a_rotation_that_is_ready_but_not_healthy_is_degraded() -> None:
    sick = condition(None, "Healthy", False, Verdict(False, Reason.OVERDUE, "too old"), 1, "2026-11-21T00:00:00Z")
    assert health((*said(Verdict(True, Reason.READY, "fine")), sick)) == ("Degraded", "Overdue: too old")
