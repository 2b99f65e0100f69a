"""Which policies identities rest on, and what is missing of them: on the manifests as they are, and weakened."""

from __future__ import annotations

import copy
from typing import Any, Final

import pytest
import yaml

from airwarden.domain.environment.guards import APPLY, POLICIES, Guards, judge
from plane.binaries import REPOSITORY

ADMISSION: Final = REPOSITORY / "manifests" / "admission"
PODS, TOKENS = "bound-pods.airwarden.dev", "bound-tokens.airwarden.dev"
Both = dict[str, list[dict[str, Any]]]


def manifests() -> Both:
    """Return each policy and its binding, by name."""
    found: Both = {name: [{}, {}] for name in POLICIES}
    for path in ADMISSION.glob("*.yaml"):
        for body in yaml.safe_load_all(path.read_text()):
            if (name := body.get("metadata", {}).get("name")) in found:
                found[name][body["kind"].endswith("Binding")] = body
    return found


def judged(found: Both) -> Guards:
    return judge({name: (both[0] or None, both[1] or None) for name, both in found.items()})


def test_the_policies_of_the_manifests_are_whole() -> None:
    assert all(all(both) for both in manifests().values())
    assert judged(manifests()).gaps == ()
    listed = yaml.safe_load((ADMISSION / "kustomization.yaml").read_text())["resources"]
    assert {"bound-pods.yaml", "bound-tokens.yaml", "config-maps.yaml", "binding-identity.yaml"} <= set(listed)
    assert APPLY.endswith(" -k manifests/admission")


def test_the_operator_may_read_them_by_name_and_no_other() -> None:
    rules = [
        rule
        for body in yaml.safe_load_all((REPOSITORY / "manifests/environment/rbac.yaml").read_text())
        for rule in body.get("rules", ())
        if rule["apiGroups"] == ["admissionregistration.k8s.io"]
    ]
    assert [(rule["resourceNames"], rule["verbs"]) for rule in rules] == [(list(POLICIES), ["get"])]


@pytest.mark.parametrize("name", POLICIES)
@pytest.mark.parametrize(("which", "said"), [(0, "is not there"), (1, "is not bound")])
def test_each_that_is_missing_is_named(name: str, which: int, said: str) -> None:
    found = manifests()
    found[name][which] = {}
    assert judged(found).gaps == (f"{name} {said}",)


def weakened(which: int, **spec: Any) -> Guards:
    """Return what the policies for tokens come to with another field."""
    found = copy.deepcopy(manifests())
    found[TOKENS][which]["spec"].update(spec)
    return judged(found)


@pytest.mark.parametrize(
    ("which", "spec", "said"),
    [
        (0, {"failurePolicy": "Ignore"}, "failurePolicy"),
        (0, {"matchConstraints": {"objectSelector": {"matchLabels": {"a": "b"}}}}, "matchConstraints"),
        (0, {"matchConstraints": {"namespaceSelector": {"matchLabels": {"a": "b"}}}}, "matchConstraints"),
        (0, {"matchConstraints": {"excludeResourceRules": [{"resources": ["pods"]}]}}, "matchConstraints"),
        (1, {"policyName": PODS}, "is not bound by the binding of its name"),
        (1, {"validationActions": ["Warn", "Audit"]}, "validationActions"),
        (1, {"matchResources": {"namespaceSelector": {"matchLabels": {"a": "b"}}}}, "matchResources"),
        (1, {"matchResources": {"objectSelector": {"matchLabels": {"a": "b"}}}}, "matchResources"),
        (1, {"matchResources": {"resourceRules": [{"resources": ["none"]}]}}, "matchResources"),
        (1, {"paramRef": {"selector": {"matchLabels": {"a": "b"}}}}, "paramRef"),
        (1, {"paramRef": {"selector": {}, "namespace": "elsewhere"}}, "paramRef"),
        (1, {"paramRef": {"name": "one"}}, "paramRef"),
    ],
)
def test_one_that_does_not_hold_for_everything_does_not_count(which: int, spec: dict[str, Any], said: str) -> None:
    [gap] = weakened(which, **spec).gaps
    assert gap.startswith(f"{TOKENS} ")
    assert said in gap


def test_what_the_api_server_fills_in_narrows_nothing() -> None:
    everything = {"matchPolicy": "Equivalent", "namespaceSelector": {}, "objectSelector": {}}
    assert weakened(1, matchResources=everything).gaps == ()


def test_they_guard_since_the_last_of_them_was_made_or_changed_but_for_its_status() -> None:
    found = manifests()
    for number, both in enumerate(found.values()):
        for body in both:
            body["metadata"]["creationTimestamp"] = f"2026-07-0{number + 1}T10:00:00Z"
    assert judged(found).since == "2026-07-07T10:00:00Z"
    edit = {"manager": "kubectl", "time": "2026-08-01T10:00:00Z"}
    status = {"manager": "kube-controller-manager", "time": "2026-09-01T10:00:00Z", "subresource": "status"}
    found[PODS][1]["metadata"]["managedFields"] = [edit, status]
    assert judged(found).since == "2026-08-01T10:00:00Z"
