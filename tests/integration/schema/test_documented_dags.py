"""The binding of docs/bound-dags.md is admitted by the API server."""

from __future__ import annotations

import re

import yaml

from airwarden.api import crd
from plane.binaries import REPOSITORY
from plane.control_plane import Plane

PAGE = (REPOSITORY / "docs" / "bound-dags.md").read_text()


def test_the_documented_binding_is_admitted(plane: Plane) -> None:
    plane.api.apply(*(yaml.safe_load(text) for text in crd.crd_files().values()))
    plane.kubectl("wait", "--for=condition=Established", *(f"crd/{kind.plural}.airwarden.dev" for kind in crd.KINDS))
    plane.create_namespace("airflow-prod")
    [text] = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    said = plane.kubectl("apply", "--server-side", "--dry-run=server", "-f", "-", stdin=text)
    assert "airflowsecretbinding.airwarden.dev/billing" in said
