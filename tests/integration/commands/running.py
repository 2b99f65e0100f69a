"""Runs the commands for people as a person does: in a process of their own, with a kubeconfig and a Vault token.

Used by the tests beside this module.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from plane import program
from plane.binaries import REPOSITORY
from plane.control_plane import Plane
from plane.operator import CLUSTER

DEADLINE = 60.0


@dataclass(frozen=True)
class Said:
    """What a command printed, and how it ended."""

    status: int
    out: str
    err: str


@dataclass(frozen=True)
class Person:
    """Somebody with a kubeconfig, maybe a Vault token, and a home directory with nothing in it."""

    kubeconfig: Path
    home: Path
    token: str = ""
    variables: Mapping[str, str] = field(default_factory=dict)
    """More of their environment, as a login to Azure."""

    def runs(self, *arguments: str, stdin: str = "") -> Said:
        """Run `airwarden` with these arguments, into a pipe."""
        environment = {
            "PATH": os.environ.get("PATH", ""),
            "HOME": str(self.home),
            "PYTHONPATH": str(REPOSITORY / "operator"),
            "KUBECONFIG": str(self.kubeconfig),
            "AIRWARDEN_CLUSTER": CLUSTER,
            **({"VAULT_TOKEN": self.token} if self.token else {}),
            **self.variables,
        }
        done = program.run(arguments, environment, self.home, stdin, DEADLINE)
        assert "Traceback" not in done.stderr, done.stderr
        return Said(done.returncode, done.stdout, done.stderr)


def admin(plane: Plane, home: Path) -> Person:
    """Return somebody with every right in the cluster and in Vault."""
    return Person(plane.kubeconfig, home, plane.vault_token)
