"""`examples/quickstart` on a local plane: an overlay with the plane's Vault address, and the secrets that it names.

Called by the demo, the end-to-end tests and `python -m plane up`.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Any

import yaml

from plane.binaries import REPOSITORY
from plane.control_plane import Plane
from plane.vault_admin import write_secret

FOLDER = REPOSITORY / "examples" / "quickstart"
NAMESPACE = "airflow-prod"
OVERLAY = """\
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources:
  - {base}
patches:
  - target: {{kind: AirflowSecretBackend, name: vault}}
    patch: |-
      - op: replace
        path: /spec/vault/address
        value: {address}
"""


def write_overlay(folder: Path, address: str) -> Path:
    """Write a kustomization that gives the quickstart another Vault address; return its file."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "kustomization.yaml"
    base = os.path.relpath(FOLDER.resolve(), folder.resolve())  # kustomize refuses absolute paths
    path.write_text(OVERLAY.format(base=base, address=address))
    return path


def backend(address: str) -> dict[str, Any]:
    """Return the quickstart's backend with another Vault address."""
    found: dict[str, Any] = yaml.safe_load((FOLDER / "backend.yaml").read_text())
    found["spec"]["vault"]["address"] = address
    return found


def write_secrets(plane: Plane) -> dict[str, str]:
    """Put fresh random values where the quickstart's bindings point to; return them by Airflow id."""
    values = {name: secrets.token_urlsafe(18) for name in ("warehouse", "reports_db", "report_recipient", "ledger")}
    connections = {
        "warehouse": ("airflow-prod/connections/warehouse", "billing", "warehouse.internal"),
        "reports_db": ("airflow-prod/reports/connections/reports_db", "reporting", "reports.internal"),
        "ledger": ("finance/connections/ledger", "finance", "ledger.internal"),
    }
    for name, (key, login, host) in connections.items():
        write_secret(plane, key, {"conn_uri": f"postgres://{login}:{values[name]}@{host}:5432/prod"})
    recipient = "airflow-prod/reports/variables/report_recipient"
    write_secret(plane, recipient, {"value": values["report_recipient"]})
    return values
