"""The rotations of the docs are admitted by the API server, and their schedules can be read."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import pytest
import yaml

from airwarden.api import crd
from airwarden.api.backend import AirflowSecretBackend
from airwarden.api.binding import AirflowSecretBinding
from airwarden.api.rotation import AirflowSecretRotation
from airwarden.domain.guardrails import AdmittedRotation, RotationRequest
from airwarden.domain.role_guardrails import judge_role
from airwarden.domain.rotation import roles
from airwarden.domain.rotation.decide import timetable_of
from airwarden.domain.rotation.sugar import wanted
from airwarden.reconcile.rotation_verdicts import OPERATIONS
from plane.binaries import REPOSITORY
from plane.control_plane import Plane
from unit.domain.making import view

NATIVE = (REPOSITORY / "docs" / "rotation-native.md").read_text()
BACKEND, *ROLES = (yaml.safe_load(each) for each in re.findall(r"```yaml\n(.*?)```", NATIVE, re.DOTALL))
PAGE = (REPOSITORY / "docs" / "rotation.md").read_text()
EXAMPLES: list[dict[str, Any]] = [yaml.safe_load(each) for each in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)]
ROTATIONS = [each for each in EXAMPLES if each["kind"] == "AirflowSecretRotation"]
BINDINGS = [each for each in EXAMPLES if each["kind"] == "AirflowSecretBinding"]


@pytest.mark.parametrize("body", ROTATIONS, ids=lambda each: each["metadata"]["name"])
def test_a_documented_rotation_is_admitted_and_has_a_next_run(plane: Plane, body: dict[str, Any]) -> None:
    plane.api.apply(*(yaml.safe_load(text) for text in crd.crd_files().values()))
    plane.kubectl("wait", "--for=condition=Established", *(f"crd/{kind.plural}.airwarden.dev" for kind in crd.KINDS))
    plane.create_namespace(body["metadata"]["namespace"])
    text = yaml.safe_dump(body)
    said = plane.kubectl("apply", "--server-side", "--dry-run=server", "--force-conflicts", "-f", "-", stdin=text)
    assert body["metadata"]["name"] in said
    now = datetime.now(UTC)
    table = timetable_of(
        AirflowSecretRotation.model_validate({**body, "metadata": {**body["metadata"], "uid": "u"}}), now
    )
    assert table is not None
    assert next(table.coming(now)) > now


@pytest.mark.parametrize("body", BINDINGS, ids=lambda each: each["metadata"]["name"])
def test_a_documented_binding_is_admitted_and_so_are_the_rotations_that_it_makes(
    plane: Plane, body: dict[str, Any]
) -> None:
    plane.api.apply(*(yaml.safe_load(text) for text in crd.crd_files().values()))
    plane.kubectl("wait", "--for=condition=Established", *(f"crd/{kind.plural}.airwarden.dev" for kind in crd.KINDS))
    plane.create_namespace(body["metadata"]["namespace"])
    plane.kubectl("apply", "--dry-run=server", "-f", "-", stdin=yaml.safe_dump(body))
    made = wanted(AirflowSecretBinding.model_validate(body))
    assert len(made) == len(body["spec"]["secrets"])
    for each in made:
        spec = each.spec.model_dump(by_alias=True, mode="json", exclude_none=True)
        metadata = {"name": each.name, "namespace": body["metadata"]["namespace"]}
        text = yaml.safe_dump({**ROTATIONS[0], "metadata": metadata, "spec": spec})
        said = plane.kubectl("apply", "--server-side", "--dry-run=server", "--force-conflicts", "-f", "-", stdin=text)
        assert each.name in said


@pytest.mark.parametrize("body", ROLES, ids=lambda each: each["metadata"]["name"])
def test_a_documented_rotation_of_a_role_is_admitted(plane: Plane, body: dict[str, Any]) -> None:
    plane.api.apply(*(yaml.safe_load(text) for text in crd.crd_files().values()))
    plane.kubectl("wait", "--for=condition=Established", *(f"crd/{kind.plural}.airwarden.dev" for kind in crd.KINDS))
    plane.create_namespace(body["metadata"]["namespace"])
    for each in (BACKEND, body):
        text = yaml.safe_dump(each)
        plane.kubectl("apply", "--server-side", "--dry-run=server", "--force-conflicts", "-f", "-", stdin=text)
    read = AirflowSecretRotation.model_validate({**body, "metadata": {**body["metadata"], "uid": "u"}})
    role = read.spec.database_role
    assert role is not None
    rules = AirflowSecretBackend.model_validate(BACKEND).spec.allow
    asked = RotationRequest(read.metadata.namespace, {})
    found = judge_role(role, OPERATIONS[read.spec.strategy], "prod-eu", asked, view(*rules))
    assert isinstance(found, AdmittedRotation), found
    now = datetime.now(UTC)
    table = timetable_of(read, now) or roles.shown_table(read)
    assert (table is None) == (read.spec.schedule is None)
