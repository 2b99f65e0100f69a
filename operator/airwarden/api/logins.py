"""How the operator and the tasks log in to a Vault: the parts of a backend that name mounts, roles and files.

Used by `airwarden.api.backend`. No secret stands in any of them: what is secret lies in files that the
operator alone can read, and these name the files.
"""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import ConfigDict, Field, model_validator

from airwarden.api.fields import Duration, Model, rule, schema
from airwarden.api.texts import Audience, FileName, MountName, OwnAudience, RoleID, RoleName


class LoginMethod(StrEnum):
    """How the operator logs in."""

    KUBERNETES = "Kubernetes"
    APP_ROLE = "AppRole"
    JWT = "JWT"
    TOKEN_FILE = "TokenFile"  # noqa: S105 - the name of a method


class WorkloadMethod(StrEnum):
    """How tasks log in."""

    KUBERNETES = "Kubernetes"
    JWT = "JWT"
    APP_ROLE = "AppRole"


def _only_with(method: str, field: str) -> str:
    return f"{field} must be given for method {method}, and for no other"


def _blocks(fields: tuple[tuple[str, str], ...], *more: dict[str, str]) -> ConfigDict:
    """Return the rules that exactly the method's own block is given, and more of them."""
    rules = (
        rule(f"(self.method == '{method}') == has(self.{field})", _only_with(method, field)) for method, field in fields
    )
    return ConfigDict(json_schema_extra=schema(*rules, *more))


def _check_blocks(fields: tuple[tuple[str, str], ...], method: str, given: dict[str, object]) -> None:
    for each, field in fields:
        if (method == each) != (given[field] is not None):
            raise ValueError(_only_with(each, field))


class KubernetesLogin(Model):
    """The operator's own login, with its projected service-account token."""

    mount: MountName = "kubernetes"
    """Mount of the Kubernetes auth method."""
    role: RoleName
    """Vault role of the operator, not beginning with airwarden.<cluster>."""
    audience: OwnAudience = "vault"
    """Audience of the projected token, and the name of its file."""


class AppRoleLogin(Model):
    """The operator's own login with a role id and a secret-id, for a Vault that cannot check its token."""

    mount: MountName = "approle"
    """Mount of the method. Never the one where tasks log in: the operator writes roles there."""
    role_id: Annotated[RoleID, Field(alias="roleID")]
    """Role id of the operator's role. Not secret by itself."""
    secret_id_file: Annotated[FileName, Field(alias="secretIDFile")]
    """File of the operator's token directory that holds the secret-id, and nothing else."""


class JWTLogin(Model):
    """The operator's own login with its projected service-account token, checked by Vault without asking Kubernetes."""

    mount: MountName = "jwt"
    """Mount of the JWT auth method."""
    role: RoleName
    """Vault role of the operator, not beginning with airwarden.<cluster>."""
    audience: OwnAudience = "vault"
    """Audience of the projected token, and the name of its file."""


class TokenFileLogin(Model):
    """A Vault token that somebody else keeps in a file. The operator neither renews nor revokes it."""

    name: FileName
    """File of the operator's token directory that holds the token, and nothing else."""


_LOGIN_BLOCKS = (("Kubernetes", "kubernetes"), ("AppRole", "appRole"), ("JWT", "jwt"), ("TokenFile", "tokenFile"))


class Login(Model):
    """How the operator logs in."""

    method: LoginMethod = LoginMethod.KUBERNETES
    """Kubernetes and JWT: with a projected service-account token. AppRole: with a secret-id from a file.

    TokenFile: with a token that somebody else keeps in a file.
    """
    kubernetes: KubernetesLogin | None = None
    """Settings of the Kubernetes login."""
    app_role: AppRoleLogin | None = None
    """Settings of the AppRole login."""
    jwt: JWTLogin | None = None
    """Settings of the JWT login."""
    token_file: TokenFileLogin | None = None
    """Settings of the login with a token from a file."""

    model_config = _blocks(_LOGIN_BLOCKS)

    @model_validator(mode="after")
    def _settings_of_method(self) -> Self:
        given: dict[str, object] = {
            "kubernetes": self.kubernetes,
            "appRole": self.app_role,
            "jwt": self.jwt,
            "tokenFile": self.token_file,
        }
        _check_blocks(_LOGIN_BLOCKS, self.method, given)
        return self


class KubernetesWorkloadLogin(Model):
    """Where tasks log in with the token of their bound account."""

    mount: MountName = "kubernetes"
    """Mount of the Kubernetes auth method; Airwarden writes roles there."""
    audience: Audience
    """Audience that a task's token must carry. Never the API server's own."""


class JWTWorkloadLogin(Model):
    """Where tasks log in with the token of their bound account, checked by Vault without asking Kubernetes."""

    mount: MountName = "jwt"
    """Mount of the JWT auth method; Airwarden writes roles there."""
    audience: Audience
    """Audience that a task's token must carry. Never the API server's own."""


class AppRoleWorkloadLogin(Model):
    """Where workloads log in with a secret-id. Whoever holds one has the binding's access, from wherever it is."""

    mount: MountName = "approle"
    """Mount of the method, for Airwarden alone; it writes roles there, and never a secret-id."""
    secret_id_ttl: Annotated[Duration, Field(alias="secretIDTTL")] = "24h"  # noqa: S105 - a time
    """How long a secret-id can be used to log in."""
    secret_id_uses: Annotated[int | None, Field(alias="secretIDUses", ge=1, le=1000000)] = None
    """How often a secret-id can be used to log in. Default: as often as its time permits."""


_WORKLOAD_BLOCKS = (("Kubernetes", "kubernetes"), ("JWT", "jwt"), ("AppRole", "appRole"))


_SAME_MOUNT = rule(
    " && ".join(
        f"(!has(self.{each}) || !has(oldSelf.{each}) || self.{each}.mount == oldSelf.{each}.mount)"
        for _, each in _WORKLOAD_BLOCKS
    ),
    "mount of workloadLogin is immutable; make a new backend instead",
)
"""Skipped when the whole login appears or goes, which it cannot: it is required."""


class WorkloadLogin(Model):
    """How tasks log in."""

    method: WorkloadMethod = WorkloadMethod.KUBERNETES
    """Kubernetes and JWT: with the bound account's projected token. AppRole: with a secret-id. Immutable.

    An AppRole is tied to no account: choose it only for workloads that can have no projected token.
    """
    kubernetes: KubernetesWorkloadLogin | None = None
    """Settings of the tasks' Kubernetes login."""
    jwt: JWTWorkloadLogin | None = None
    """Settings of the tasks' JWT login."""
    app_role: AppRoleWorkloadLogin | None = None
    """Settings of the workloads' AppRole login."""

    model_config = _blocks(_WORKLOAD_BLOCKS, _SAME_MOUNT)

    @model_validator(mode="after")
    def _settings_of_method(self) -> Self:
        given: dict[str, object] = {"kubernetes": self.kubernetes, "jwt": self.jwt, "appRole": self.app_role}
        _check_blocks(_WORKLOAD_BLOCKS, self.method, given)
        return self

    @property
    def settings(self) -> KubernetesWorkloadLogin | JWTWorkloadLogin | AppRoleWorkloadLogin:
        """The settings of the method."""
        found = self.kubernetes or self.jwt or self.app_role
        if found is None:
            raise ValueError(f"workloadLogin has no settings for method {self.method}")
        return found

    @property
    def mount(self) -> str:
        """Mount where the tasks log in."""
        return self.settings.mount
