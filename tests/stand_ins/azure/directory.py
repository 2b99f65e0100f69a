"""The Entra directory of the stand-in: users, groups, service principals, applications and who is a member of what.

Read by the token endpoint (who may log in), by Graph (what it shows) and by Resource Manager (whom a role may be
given to). A new object is there for Graph at once, and for Resource Manager after the replication delay.
"""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives import hashes

Certificate = x509.Certificate


@dataclass(frozen=True)
class Principal:
    """One object of the directory."""

    id: str
    """Object id."""
    kind: str
    """User | Group | ServicePrincipal | Application."""
    name: str
    app_id: str = ""
    """Client id, of service principals and applications."""
    created: float = 0.0


@dataclass
class Application:
    """An app registration: its own object id is not the one that roles are given to."""

    object_id: str
    app_id: str
    principal_id: str
    """Object id of its service principal: this one."""
    secrets: dict[str, float] = field(default_factory=dict)
    """Digest of each client secret and when it ends."""
    certificates: dict[bytes, Certificate] = field(default_factory=dict)
    """By each of their thumbprints."""


class Directory:
    """Who there is."""

    def __init__(self) -> None:
        self.principals: dict[str, Principal] = {}
        self.applications: dict[str, Application] = {}
        """By client id."""
        self.members: dict[str, set[str]] = {}
        """Of each group, directly."""
        self.graph_roles: dict[str, set[str]] = {}
        """Application permissions for Graph, by object id."""

    def add(self, kind: str, name: str, now: float, app_id: str = "") -> Principal:
        """Make an object with a fresh id."""
        principal = Principal(str(uuid.uuid4()), kind, name, app_id, now)
        self.principals[principal.id] = principal
        if kind == "Group":
            self.members[principal.id] = set()
        return principal

    def add_application(self, name: str, now: float) -> Application:
        """Make an app registration with its service principal."""
        app_id = str(uuid.uuid4())
        registration = self.add("Application", name, now, app_id)
        principal = self.add("ServicePrincipal", name, now, app_id)
        application = Application(registration.id, app_id, principal.id)
        self.applications[app_id] = application
        return application

    def remove(self, object_id: str) -> None:
        """Delete an object, also out of the groups that it is in. Its role assignments stay, as in Azure."""
        self.principals.pop(object_id, None)
        self.members.pop(object_id, None)
        self.graph_roles.pop(object_id, None)
        for members in self.members.values():
            members.discard(object_id)

    def find(self, object_id: str) -> Principal | None:
        """Return the object of this id."""
        return self.principals.get(object_id.lower())

    def service_principal(self, app_id: str) -> Principal | None:
        """Return the service principal of this client id."""
        matches = (each for each in self.principals.values() if each.kind == "ServicePrincipal")
        return next((each for each in matches if each.app_id == app_id.lower()), None)

    def groups_of(self, object_id: str, *, nested: bool = True) -> set[str]:
        """Return the groups that hold this object, through other groups too unless told otherwise."""
        found = {group for group, members in self.members.items() if object_id in members}
        if nested:
            waiting = list(found)
            while waiting:
                for group in self.groups_of(waiting.pop(), nested=False) - found:
                    found.add(group)
                    waiting.append(group)
        return found


def digest(secret: str) -> str:
    """Return what is kept of a client secret."""
    return hashlib.sha256(secret.encode()).hexdigest()


def thumbprints(certificate: Certificate) -> tuple[bytes, bytes]:
    """Return what a client's assertion may name its certificate by: `x5t#S256` or, of older clients, `x5t`."""
    return certificate.fingerprint(hashes.SHA256()), certificate.fingerprint(hashes.SHA1())  # noqa: S303  (a name)
