"""The quickstart as a user meets it: Airflow's own code reads under bound accounts, and is refused everything else.

On a plane of its own: the quickstart's names (backend `vault`, namespace `airflow-prod`) are fixed, and a
second operator on the shared plane would work on the other tests' bindings.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from plane import quickstart
from plane.airflow import Lookup, Outcome, airflow_python, read_secret
from plane.control_plane import ControlPlane, Plane
from plane.errors import PlaneHTTPError
from plane.operator import CLUSTER, OperatorProcess, Options, install, set_up_vault
from plane.vault_admin import login, prepare_store
from plane.vault_admin import read_secret as read_with_token
from plane.waiting import wait_for

pytestmark = pytest.mark.timeout(600)  # the first run on a machine installs Airflow

SOON = 60.0
WAREHOUSE = Lookup("billing", "", "airflow-prod/connections", "warehouse")
REPORTS_DB = Lookup("reporting", "", "airflow-prod/reports/connections", "reports_db")
RECIPIENT = Lookup("reporting", "", "airflow-prod/reports/variables", "report_recipient", "Variable")


@dataclass(frozen=True)
class Quickstart:
    """The quickstart, applied and Ready on a plane with the operator."""

    plane: Plane
    values: dict[str, str]
    store_names: dict[str, str] = field(default_factory=dict)

    def store_name(self, binding: str) -> str:
        """The Vault role and policy of a binding, which its status names."""
        if binding not in self.store_names:
            targets = self.body(binding)["status"]["targets"]
            self.store_names[binding] = next(each["name"] for each in targets if each["kind"] == "VaultKubernetesRole")
        return self.store_names[binding]

    def body(self, binding: str) -> dict[str, Any]:
        """The binding as it is now."""
        found: dict[str, Any] = json.loads(
            self.plane.kubectl("get", "asb", binding, "-n", quickstart.NAMESPACE, "-o", "json")
        )
        return found

    def jwt(self, account: str) -> str:
        """A task's token."""
        return self.plane.service_account_token(quickstart.NAMESPACE, account, "vault", 600)

    def look_up(self, account: str, wanted: Lookup, *, jwt: str = "", role: str = "") -> Outcome:
        """Have Airflow look a secret up under an account, with its binding's role unless another is named."""
        lookup = dataclasses.replace(
            wanted,
            role=self.store_name(role or wanted.role),
            jwt=jwt or self.jwt(account),
            expected=self.values[wanted.id],
        )
        return read_secret(self.plane.vault_address, lookup)

    def ready(self, binding: str) -> dict[str, str]:
        """The Ready condition of a binding."""
        conditions = self.body(binding).get("status", {}).get("conditions", [])
        return next((each for each in conditions if each["type"] == "Ready"), {})

    def reads(self, token: str, key: str) -> bool:
        """Tell whether a Vault token still reads a key."""
        try:
            read_with_token(self.plane, key, token=token)
        except PlaneHTTPError as error:
            if error.status == 403:
                return False
            raise
        return True


@pytest.fixture(scope="module")
def plane_with_operator() -> Iterator[Plane]:
    airflow_python()
    with ControlPlane() as plane:
        install(plane)
        prepare_store(plane)
        set_up_vault(plane, quickstart.backend(plane.vault_address))
        with OperatorProcess(plane, Options(fresh=True)):
            yield plane


@pytest.fixture
def applied(plane_with_operator: Plane) -> Iterator[Quickstart]:
    """Apply the quickstart for one test, and take it away after it, down to the last role."""
    plane = plane_with_operator
    values = quickstart.write_secrets(plane)
    folder = quickstart.write_overlay(plane.data_dir / "quickstart", plane.vault_address).parent
    plane.kubectl("apply", "-k", str(folder))
    plane.kubectl("wait", "--for=condition=Ready", "asb", "--all", "-n", quickstart.NAMESPACE, "--timeout=30s")
    yield Quickstart(plane, values)
    plane.kubectl("delete", "asb", "--all", "-n", quickstart.NAMESPACE, "--timeout=30s")
    plane.kubectl("delete", "asbk", "vault", "--timeout=30s")
    assert "airwarden." not in "\n".join(_listed(plane, "auth/kubernetes/role"))
    ours = [each for each in _listed(plane, "sys/policies/acl") if each.startswith(f"airwarden.{CLUSTER}.")]
    assert ours == [f"airwarden.{CLUSTER}.cluster-id"], "only whose name it is stays: it gives no rights"


def _listed(plane: Plane, path: str) -> list[str]:
    return list(plane.vault.request("LIST", path)["data"]["keys"])


def test_a_bound_account_reads_its_connection(applied: Quickstart) -> None:
    outcome = applied.look_up("billing", WAREHOUSE)
    assert outcome == Outcome(found=True, value_as_expected=True, host="warehouse.internal", login="billing")


def test_a_bound_account_reads_its_variable(applied: Quickstart) -> None:
    assert applied.look_up("reporting", RECIPIENT) == Outcome(found=True, value_as_expected=True)


def test_another_value_in_the_store_is_noticed(applied: Quickstart) -> None:
    """The control of the two above: the comparison is no rubber stamp."""
    changed = dataclasses.replace(applied, values={**applied.values, "warehouse": "another"})
    assert changed.look_up("billing", WAREHOUSE).value_as_expected is False


def test_a_bound_account_is_refused_the_others_secret(applied: Quickstart) -> None:
    for account, wanted in (("billing", REPORTS_DB), ("billing", RECIPIENT), ("reporting", WAREHOUSE)):
        outcome = applied.look_up(account, wanted, role=account)
        assert (outcome.found, outcome.cause) == (False, "permission denied")
        assert outcome.request == f"GET /v1/airflow/data/{wanted.folder}/{wanted.id}"


def test_a_bound_account_cannot_take_the_others_role(applied: Quickstart) -> None:
    outcome = applied.look_up("billing", REPORTS_DB)
    assert (outcome.found, outcome.cause) == (False, "service account name not authorized")


def test_an_unbound_account_is_refused_every_role(applied: Quickstart) -> None:
    applied.plane.api.create_service_account(quickstart.NAMESPACE, "intern")
    for wanted in (WAREHOUSE, REPORTS_DB):
        outcome = applied.look_up("intern", wanted)
        assert (outcome.found, outcome.cause) == (False, "service account name not authorized")
        assert outcome.request == "POST /v1/auth/kubernetes/login"


def test_a_token_for_another_audience_is_refused(applied: Quickstart) -> None:
    jwt = applied.plane.service_account_token(quickstart.NAMESPACE, "billing")
    outcome = applied.look_up("billing", WAREHOUSE, jwt=jwt)
    assert not outcome.found
    assert outcome.cause.startswith("invalid audience (aud) claim")


def test_a_wish_outside_the_guardrail_is_refused_with_the_rule(applied: Quickstart) -> None:
    applied.plane.kubectl("apply", "-f", str(quickstart.FOLDER / "refused"))
    refused = wait_for("curious is refused", lambda: _not_ready(applied, "curious"), SOON)
    assert refused["reason"] == "KeyNotAllowed"
    assert "key finance/connections/ledger is not allowed to namespace airflow-prod" in refused["message"]
    assert "rule own-tree allows keys below airflow-prod/" in refused["message"]
    assert not [each for each in _listed(applied.plane, "auth/kubernetes/role") if "curious" in each]


def test_a_tightened_rule_cuts_off_one_binding_and_leaves_the_other(applied: Quickstart) -> None:
    token = login(applied.plane, applied.store_name("reporting"), applied.jwt("reporting"))
    key = f"{REPORTS_DB.folder}/{REPORTS_DB.id}"
    assert applied.reads(token, key)
    patch = '[{"op":"replace","path":"/spec/allow/0/keyPrefixes","value":["{namespace}/connections/"]}]'
    applied.plane.kubectl("patch", "asbk", "vault", "--type=json", "-p", patch)
    wait_for("the live token is refused", lambda: not applied.reads(token, key), SOON)
    refused = wait_for("reporting is refused", lambda: _not_ready(applied, "reporting"), SOON)
    assert refused["reason"] == "KeyNotAllowed"
    assert "rule own-tree allows keys below airflow-prod/connections/" in refused["message"]
    assert not applied.look_up("reporting", REPORTS_DB).found
    assert applied.look_up("billing", WAREHOUSE).value_as_expected


def test_a_deleted_binding_leaves_no_way_in(applied: Quickstart) -> None:
    jwt = applied.jwt("billing")
    token = login(applied.plane, applied.store_name("billing"), jwt)
    applied.plane.kubectl("delete", "asb", "billing", "-n", quickstart.NAMESPACE, "--timeout=30s")
    outcome = applied.look_up("billing", WAREHOUSE, jwt=jwt)
    assert (outcome.found, outcome.cause) == (False, f'invalid role name "{applied.store_name("billing")}"')
    assert not applied.reads(token, f"{WAREHOUSE.folder}/{WAREHOUSE.id}")
    assert applied.store_name("billing") not in _listed(applied.plane, "sys/policies/acl")
    accounts = applied.plane.kubectl("get", "serviceaccounts", "-n", quickstart.NAMESPACE, "-o", "name")
    assert "serviceaccount/billing" not in accounts.split()


def _not_ready(applied: Quickstart, binding: str) -> dict[str, str] | None:
    condition = applied.ready(binding)
    return condition if condition.get("status") == "False" else None
