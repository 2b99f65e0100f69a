"""Backend and binding of docs/azure.md are admitted by the API server as they stand, and its words are the code's."""

from __future__ import annotations

import re

import yaml

from airwarden.api import crd
from plane.binaries import REPOSITORY
from plane.control_plane import Plane

PAGE = (REPOSITORY / "docs" / "azure.md").read_text()


def test_the_documented_backend_and_binding_are_admitted(plane: Plane) -> None:
    plane.api.apply(*(yaml.safe_load(text) for text in crd.crd_files().values()))
    plane.kubectl("wait", "--for=condition=Established", *(f"crd/{kind.plural}.airwarden.dev" for kind in crd.KINDS))
    plane.api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "airflow-prod"}})
    texts = re.findall(r"```yaml\n(apiVersion.*?)```", PAGE, re.DOTALL)
    said = [
        plane.kubectl("apply", "--server-side", "--dry-run=server", "--force-conflicts", "-f", "-", stdin=each)
        for each in texts
    ]
    assert [each.partition(" ")[0] for each in said] == [
        "airflowsecretbinding.airwarden.dev/billing",
        "airflowsecretbackend.airwarden.dev/kv-airflow-prod",
    ]


def test_the_overlay_gives_the_operator_a_token_for_entra_beside_its_other_one(plane: Plane) -> None:
    rendered = plane.kubectl("kustomize", str(REPOSITORY / "manifests" / "overlays" / "azure"))
    (deployment,) = [each for each in yaml.safe_load_all(rendered) if each and each["kind"] == "Deployment"]
    (volume,) = deployment["spec"]["template"]["spec"]["volumes"]
    tokens = {
        each["serviceAccountToken"]["path"]: each["serviceAccountToken"]["audience"]
        for each in volume["projected"]["sources"]
    }
    assert tokens == {"vault": "vault", "azure": "api://AzureADTokenExchange"}
    account = deployment["spec"]["template"]["spec"]["serviceAccountName"]
    subjects = set(re.findall(r"system:serviceaccount:[a-z0-9-]+:[a-z0-9-]+", PAGE))
    assert subjects == {f"system:serviceaccount:{deployment['metadata']['namespace']}:{account}"}
