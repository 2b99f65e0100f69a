"""The methods by which tasks may log in, each with its kind of role: one face for all of them.

`airwarden.providers.vault.store` writes and reads roles through it, `airwarden.providers.vault.fences`
confines what the operator may write. Pure.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Protocol

from airwarden.api.fields import seconds
from airwarden.api.logins import WorkloadLogin
from airwarden.domain.errors import InvalidSettings
from airwarden.domain.owner import PREFIX
from airwarden.domain.resources import FieldValue, Grant
from airwarden.providers.vault import app_role, jwt_role, role
from airwarden.providers.vault.role import JSONValue, SentValue


class RoleForm(Protocol):
    """The roles of one login method."""

    @property
    def kind(self) -> str:
        """What a target of the status calls such a role."""

    @property
    def caveat(self) -> str:
        """What such a role does not protect, for the backend's status; empty when there is nothing to say."""

    def names(self, cluster: str) -> str:
        """Return which names of roles the operator's policy permits, as the last part of a policy's path."""

    def desired(self, grant: Grant) -> dict[str, FieldValue]:
        """Return every field of the role that gives exactly the grant."""

    def normalise(self, data: Mapping[str, JSONValue]) -> dict[str, FieldValue]:
        """Return what Vault has, in the form of `desired`."""

    def body(self, fields: Mapping[str, FieldValue]) -> dict[str, SentValue]:
        """Return the fields as they are sent."""


@dataclass(frozen=True, slots=True)
class KubernetesForm:
    """Roles of the Kubernetes method: Vault asks the API server whether a token is real."""

    kind: ClassVar[str] = role.KIND
    caveat: ClassVar[str] = ""
    audience: str

    def names(self, cluster: str) -> str:
        """Return which names the operator's policy permits."""
        return f"{PREFIX}.{cluster}.*"

    def desired(self, grant: Grant) -> dict[str, FieldValue]:
        """Return every field."""
        return role.desired_fields(grant, self.audience)

    def normalise(self, data: Mapping[str, JSONValue]) -> dict[str, FieldValue]:
        """Return what Vault has."""
        return role.normalise(data)

    def body(self, fields: Mapping[str, FieldValue]) -> dict[str, SentValue]:
        """Return the fields as they are sent."""
        return role.request_body(fields)


@dataclass(frozen=True, slots=True)
class JWTForm:
    """Roles of the JWT method: Vault checks a token by the cluster's public keys."""

    kind: ClassVar[str] = jwt_role.KIND
    caveat: ClassVar[str] = ""
    audience: str

    def names(self, cluster: str) -> str:
        """Return which names the operator's policy permits."""
        return f"{PREFIX}.{cluster}.*"

    def desired(self, grant: Grant) -> dict[str, FieldValue]:
        """Return every field."""
        return jwt_role.desired_fields(grant, self.audience)

    def normalise(self, data: Mapping[str, JSONValue]) -> dict[str, FieldValue]:
        """Return what Vault has."""
        return role.normalise(data, jwt_role.SHAPE)

    def body(self, fields: Mapping[str, FieldValue]) -> dict[str, SentValue]:
        """Return the fields as they are sent."""
        return role.request_body(fields, jwt_role.SHAPE)


@dataclass(frozen=True, slots=True)
class AppRoleForm:
    """Roles of the AppRole method: whoever holds a secret-id may log in."""

    kind: ClassVar[str] = app_role.KIND
    caveat: ClassVar[str] = app_role.CAVEAT
    secret_id_ttl: int
    """Seconds for which a secret-id can be used."""
    secret_id_uses: int
    """How often a secret-id can be used; 0 for any number."""

    def names(self, cluster: str) -> str:
        """Return which names the operator's policy permits: any on the mount, but nothing below a name.

        A glob over our names would reach what lies below them too, and with it the making of secret-ids.
        """
        del cluster
        return "+"

    def desired(self, grant: Grant) -> dict[str, FieldValue]:
        """Return every field."""
        return app_role.desired_fields(grant, self.secret_id_ttl, self.secret_id_uses)

    def normalise(self, data: Mapping[str, JSONValue]) -> dict[str, FieldValue]:
        """Return what Vault has."""
        return role.normalise(data, app_role.SHAPE)

    def body(self, fields: Mapping[str, FieldValue]) -> dict[str, SentValue]:
        """Return the fields as they are sent."""
        return role.request_body(fields, app_role.SHAPE)


def role_form(login: WorkloadLogin) -> RoleForm:
    """Return the roles of the backend's method. Raises InvalidSettings when it has no settings."""
    if login.app_role is not None:
        return AppRoleForm(seconds(login.app_role.secret_id_ttl), login.app_role.secret_id_uses or 0)
    if login.jwt is not None:
        return JWTForm(login.jwt.audience)
    if login.kubernetes is not None:
        return KubernetesForm(login.kubernetes.audience)
    raise InvalidSettings(f"workloadLogin has no settings for method {login.method}: give them")
