"""The backend of docs/azure.md is admitted by the API server as it stands."""

from __future__ import annotations

import re

import yaml

from airwarden.api import crd
from plane.binaries import REPOSITORY
from plane.control_plane import Plane

PAGE = (REPOSITORY / "docs" / "azure.md").read_text()


def test_the_documented_backend_is_admitted(plane: Plane) -> None:
    plane.api.apply(*(yaml.safe_load(text) for text in crd.crd_files().values()))
    plane.kubectl("wait", "--for=condition=Established", *(f"crd/{kind.plural}.airwarden.dev" for kind in crd.KINDS))
    (text,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    said = plane.kubectl("apply", "--server-side", "--dry-run=server", "--force-conflicts", "-f", "-", stdin=text)
    assert "kv-airflow-prod" in said
