"""What the acts share: the running plane, the terminal, and the names that follow from the quickstart.

Made by `demo.__main__`, handed to each act.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from demo.terminal import Terminal
from plane import quickstart
from plane.airflow import Lookup, Outcome, read_secret
from plane.binaries import REPOSITORY
from plane.control_plane import Plane

CLUSTER = "demo"
WORK = REPOSITORY / ".local" / "demo"


@dataclass(frozen=True)
class Secret:
    """One secret of the quickstart as Airflow asks for it."""

    type: str
    id: str
    folder: str

    @property
    def key(self) -> str:
        """The key in the store."""
        return f"{self.folder}/{self.id}"

    def __str__(self) -> str:
        return f"{self.type} {self.id}"


WAREHOUSE = Secret("Connection", "warehouse", "airflow-prod/connections")
REPORTS_DB = Secret("Connection", "reports_db", "airflow-prod/reports/connections")
RECIPIENT = Secret("Variable", "report_recipient", "airflow-prod/reports/variables")


@dataclass
class Stage:
    """A running plane and what the demo knows of it."""

    plane: Plane
    terminal: Terminal
    values: dict[str, str] = field(default_factory=dict, repr=False)
    """The secret values by Airflow id; compared, never shown."""
    roles: dict[str, str] = field(default_factory=dict)
    """Vault's role of each binding; the policy has the same name."""

    def environment(self) -> dict[str, str]:
        """Return what a user of this plane has set: the plane's programs first on PATH, and its addresses."""
        programs = self.plane.binaries
        folders = [Path(sys.executable).parent, programs.kubectl.parent, programs.vault.parent]
        path = os.pathsep.join([*map(str, folders), os.environ.get("PATH", ""), os.defpath])
        return {
            "PATH": path,
            "HOME": str(self.plane.data_dir / "home"),  # neither ~/.kube nor ~/.vault-token of the user plays a part
            "KUBECONFIG": str(self.plane.kubeconfig),
            "VAULT_ADDR": self.plane.vault_address,
            "VAULT_TOKEN": self.plane.vault_token,
        }

    def learn_roles(self, *bindings: str) -> None:
        """Take the roles' names from the status, where a user finds them too."""
        for binding in bindings:
            targets = self.binding(binding)["status"]["targets"]
            self.roles[binding] = next(each["name"] for each in targets if each["kind"] == "VaultKubernetesRole")

    def role(self, binding: str) -> str:
        """Return the Vault role and policy of a binding, also of one that is gone."""
        return self.roles[binding]

    def jwt(self, account: str) -> str:
        """Return a token as the kubelet would put it into a task's pod."""
        return self.plane.service_account_token(quickstart.NAMESPACE, account, "vault", 600)

    def look_up(self, jwt: str, binding: str, secret: Secret) -> Outcome:
        """Have Airflow look a secret up with a token and a binding's role."""
        lookup = Lookup(self.role(binding), jwt, secret.folder, secret.id, secret.type, self.values[secret.id])
        return read_secret(self.plane.vault_address, lookup)

    def binding(self, name: str) -> dict[str, Any]:
        """Return a binding as it is now."""
        found: dict[str, Any] = json.loads(
            self.terminal.ask(f"kubectl get asb {name} -n {quickstart.NAMESPACE} -o json")
        )
        return found

    def condition(self, name: str) -> dict[str, str]:
        """Return the Ready condition of a binding."""
        conditions = self.binding(name).get("status", {}).get("conditions", [])
        return next((each for each in conditions if each["type"] == "Ready"), {})
