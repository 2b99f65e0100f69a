"""The objects of docs/admission.md are taken by the API server as they are printed."""

from __future__ import annotations

import re

import yaml

from integration.admission.people import Cluster
from plane.binaries import REPOSITORY


def test_every_object_of_the_page_is_taken(cluster: Cluster) -> None:
    texts = re.findall(r"```yaml\n(.*?)```", (REPOSITORY / "docs" / "admission.md").read_text(), re.DOTALL)
    found = [each for text in texts for each in yaml.safe_load_all(text)]
    assert {"ServiceAccount", "Role", "AirflowSecretBinding"} <= {each["kind"] for each in found}
    cluster.plane.create_namespace("airflow-prod")
    text = yaml.safe_dump_all(found)
    said = cluster.plane.kubectl("apply", "--server-side", "--dry-run=server", "-f", "-", stdin=text)
    assert len(said.splitlines()) == len(found)
