"""`examples/rotation` as a user applies it: a binding's rotation gives a connection a new password that Airflow reads.

Airflow's own code, with its next lookup under the bound account. On a plane of its own: the example's names are fixed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import yaml

from airwarden.domain.rotation.sugar import name_of
from airwarden.providers.vault.rotation.setup import RotationOptions
from integration.commands.running import Person
from plane import quickstart
from plane.airflow import Lookup, Outcome, airflow_python, read_secret
from plane.binaries import REPOSITORY
from plane.control_plane import ControlPlane, Plane
from plane.json_client import Json
from plane.operator import OperatorProcess, Options, install, set_up_vault
from plane.vault_admin import prepare_store
from plane.vault_admin import read_secret as read_with_token
from plane.waiting import wait_for

pytestmark = pytest.mark.timeout(600)  # the first run on a machine installs Airflow

FOLDER = REPOSITORY / "examples" / "rotation"
KEY = "airflow-prod/connections/warehouse"
ROTATION = name_of("billing", "Connection/warehouse")
SOON = 60.0


@pytest.fixture(scope="module")
def applied() -> Iterator[Plane]:
    """Apply the example on a plane with the operator, after Vault's admin has run what vault-setup prints."""
    airflow_python()
    with ControlPlane() as plane:
        install(plane)
        prepare_store(plane)
        quickstart.write_secrets(plane)
        overlay = plane.data_dir / "example" / "kustomization.yaml"
        overlay.parent.mkdir()
        base = os.path.relpath(FOLDER.resolve(), overlay.parent.resolve())
        overlay.write_text(quickstart.OVERLAY.format(base=base, address=plane.vault_address))
        declared = list(yaml.safe_load_all(plane.kubectl("kustomize", str(overlay.parent))))
        (backend,) = [each for each in declared if each["kind"] == "AirflowSecretBackend"]
        set_up_vault(plane, backend, rotation=RotationOptions(True, ()))
        with OperatorProcess(plane, Options(fresh=True)):
            plane.kubectl("apply", "-k", str(overlay.parent))
            wait_for("the rotation is ready", lambda: condition(plane, "asr", ROTATION, "Ready") == "True", SOON)
            wait_for("the binding is ready", lambda: condition(plane, "asb", "billing", "Ready") == "True", SOON)
            yield plane


def body(plane: Plane, kind: str, name: str) -> Json:
    """Return an object of the example as it is now."""
    listed = json.loads(plane.kubectl("get", kind, "-n", quickstart.NAMESPACE, "-o", "json"))["items"]
    return next((dict(each) for each in listed if each["metadata"]["name"] == name), {})


def condition(plane: Plane, kind: str, name: str, wanted: str) -> str:
    """Return the status of a condition; empty where there is none yet."""
    found = (body(plane, kind, name).get("status") or {}).get("conditions", ())
    return next((str(each["status"]) for each in found if each["type"] == wanted), "")


def held(plane: Plane) -> str:
    """Return the password that the store has now."""
    uri = read_with_token(plane, KEY, token=plane.vault_token)["conn_uri"]
    return unquote(urlsplit(uri).password or "")


def look_up(plane: Plane, expected: str) -> Outcome:
    """Have Airflow look the connection up as a task of billing does."""
    targets = body(plane, "asb", "billing")["status"]["targets"]
    role = next(each["name"] for each in targets if each["kind"] == "VaultKubernetesRole")
    jwt = plane.service_account_token(quickstart.NAMESPACE, "billing", "vault", 600)
    lookup = Lookup(role, jwt, "airflow-prod/connections", "warehouse", expected=expected)
    return read_secret(plane.vault_address, lookup)


def test_the_binding_says_when_its_secret_is_rotated(applied: Plane) -> None:
    coming = wait_for(
        "the binding shows it",
        lambda: body(applied, "asb", "billing")["status"]["summary"].get("nextRotation"),
        SOON,
    )
    assert coming == body(applied, "asr", ROTATION)["status"]["next"]
    assert condition(applied, "asb", "billing", "RotationsHealthy") == "True"


def test_the_page_names_the_rotation_and_airflow_reads_what_its_run_writes(applied: Plane, tmp_path: Path) -> None:
    page = (FOLDER / "README.md").read_text()
    assert f"airwarden rotate {quickstart.NAMESPACE}/{ROTATION} --wait" in page
    before = held(applied)
    assert look_up(applied, before).value_as_expected
    said = Person(applied.kubeconfig, tmp_path).runs("rotate", f"{quickstart.NAMESPACE}/{ROTATION}", "--wait")
    assert (said.status, said.err) == (0, "")
    after = held(applied)
    assert after != before
    read = look_up(applied, after)
    assert (read.found, read.value_as_expected, read.login, read.host) == (
        True,
        True,
        "billing",
        "warehouse.internal",
    )
    assert not look_up(applied, before).value_as_expected
