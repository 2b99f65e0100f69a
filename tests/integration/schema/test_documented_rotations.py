"""The rotations of docs/rotation.md are admitted by the API server, and their schedules can be read."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import pytest
import yaml

from airwarden.api import crd
from airwarden.api.rotation import AirflowSecretRotation
from airwarden.domain.rotation.decide import timetable_of
from plane.binaries import REPOSITORY
from plane.control_plane import Plane

PAGE = (REPOSITORY / "docs" / "rotation.md").read_text()
ROTATIONS: list[dict[str, Any]] = [yaml.safe_load(each) for each in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)]


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
