"""What a task logs in with: files that the kubelet or people write, and what a projected token says of its pod.

Called by the logins of each store. Nothing is decided by what a token says of itself: it is for the audit line.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from pathlib import Path

from airflow_airwarden.errors import LookupRefused, Reason

PROJECTED = "projected token"
NEXT_STEP = "Run the task in a pod that Airwarden's executor made, or project a token of that audience there"


def file_text(store: str, path: str, what: str = PROJECTED, step: str = NEXT_STEP) -> str:
    """Return what a login's file holds now: files are replaced under a running task. LookupRefused without it."""
    try:
        found = Path(path).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        found = ""
    if not found:
        raise LookupRefused(Reason.TOKEN_FILE_MISSING, f"the {what} for store {store} is not at {path}, or empty", step)
    return found


def pod_of(jwt: str) -> Mapping[str, str]:
    """Return namespace, serviceAccount and pod in the token's own words, each only if known."""
    claims = _claims(jwt)
    found = {
        "namespace": claims.get("namespace"),
        "serviceAccount": _name(claims.get("serviceaccount")),
        "pod": _name(claims.get("pod")),
    }
    return {key: value for key, value in found.items() if isinstance(value, str) and value}


def _name(part: object) -> object:
    return part.get("name") if isinstance(part, dict) else None


def _claims(jwt: str) -> Mapping[str, object]:
    """Return the token's Kubernetes claims, unverified."""
    try:
        middle = jwt.split(".")[1]
        body = json.loads(base64.urlsafe_b64decode(middle + "=" * (-len(middle) % 4)))
        found = body["kubernetes.io"]
    except (IndexError, KeyError, TypeError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
