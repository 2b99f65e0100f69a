"""What a breakage is, and the names of the tests that notice them. Used by the lists beside this module."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

SOURCE = Path("operator/airwarden")
DOMAIN = "tests/unit/domain"
GUARDRAILS, DESIRED, DIFF, OWNER = (f"{DOMAIN}/test_{name}.py" for name in ("guardrails", "desired", "diff", "owner"))
RECONCILE = "tests/unit/reconcile"
BINDINGS, ATTACKS, ENGINE, QUEUE, MEMORY = (
    f"{RECONCILE}/test_{name}.py" for name in ("bindings", "attacks", "engine", "queue", "memory")
)
LIFETIME, LIFETIMES = f"{DOMAIN}/test_lifetime.py", f"{RECONCILE}/test_lifetimes.py"
SUSPENSION, NARROWING = f"{RECONCILE}/test_suspension.py", "tests/unit/vault/test_narrowing.py"
GAPS = f"{RECONCILE}/test_gaps.py"
BACKENDS = f"{RECONCILE}/test_backends.py"
EXTERNAL = f"{RECONCILE}/test_external.py"
API = "tests/unit/kubernetes/test_api.py"
SWEEP_RULES, IDENTITY = (f"{DOMAIN}/test_{name}.py" for name in ("sweep", "identity"))
SWEEP = f"{RECONCILE}/test_sweep.py"
CALLER = "tests/unit/commands/test_caller.py"
IDENTITY_CONTRACT = "tests/contract/vault/test_identity.py"
TELEMETRY = "tests/unit/test_telemetry.py"
POLICY, ROLE, ANSWERS, SETUP, CREDENTIALS, ROLE_FORMS, FENCES = (
    f"tests/unit/vault/test_{name}.py"
    for name in ("policy", "role", "answers", "setup", "credentials", "role_forms", "fences")
)
MARKS = "tests/unit/vault/test_marks.py"
ADOPTION, LETTING_GO = f"{DOMAIN}/test_adoption.py", f"{RECONCILE}/test_letting_go.py"
SECRECY, STORE, LOGINS = (f"tests/contract/vault/test_{name}.py" for name in ("secrecy", "store", "logins"))


@dataclass(frozen=True)
class Mutant:
    """One breakage: what it takes away, where, and who must notice."""

    name: str
    file: str
    text: str
    replacement: str
    tests: tuple[str, ...]
    servers: bool = False
    """Whether the tests need the local control plane."""
    source: Path = SOURCE
    """The folder that the file is in."""
