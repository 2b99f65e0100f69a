"""The API server finds nothing wrong with the types in the expressions of the policies."""

from __future__ import annotations

from typing import Final

from integration.admission.people import Cluster
from plane.json_client import Json
from plane.waiting import wait_for

_POLICIES: Final = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies"


def test_the_expressions_of_all_policies_fit_the_types(cluster: Cluster) -> None:
    def checked() -> list[Json]:
        found = cluster.admin.request("GET", _POLICIES)["items"]
        whole = all(
            each.get("status", {}).get("observedGeneration") == each["metadata"]["generation"] for each in found
        )
        return list(found) if whole else []

    policies = wait_for("the types are checked", checked, 60)
    warnings = {each["metadata"]["name"]: each["status"].get("typeChecking", {}) for each in policies}
    assert {name: found for name, found in warnings.items() if found.get("expressionWarnings")} == {}
