"""What a Vault admin sets up for rotations: a second policy and a second login, apart from those that write policies.

Pure; called by `airwarden.providers.vault.setup`, which prints it with the rest.
"""

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from airwarden.api.backend import AirflowSecretBackend, Operation
from airwarden.domain.guardrails import prefixes_for
from airwarden.domain.owner import PREFIX
from airwarden.providers.vault.identity import marker_name
from airwarden.providers.vault.opening import refuse_own_names, vault_settings
from airwarden.providers.vault.policy import TOKEN_CALLS, VERSIONED, quote
from airwarden.providers.vault.rotation.role_setup import role_rights
from airwarden.providers.vault.rotation.setup_jobs import METADATA, job_rights
from airwarden.providers.vault.setup_login import OwnLogin, own_login

_ROTATES: Final = frozenset({Operation.ROTATE_GENERATE})


@dataclass(frozen=True, slots=True)
class RotationOptions:
    """Rights that rotations have only where somebody asks for them."""

    read: bool = False
    """Also read the secrets: part URIPassword needs it."""
    password_policies: tuple[str, ...] = ()
    """Password policies of Vault that may make values."""


@dataclass(frozen=True, slots=True)
class RotationSetup:
    """The policy and the login of rotations."""

    policy_name: str
    policy_text: str
    login: OwnLogin

    @property
    def lines(self) -> tuple[str, ...]:
        """The part of the script that writes them."""
        return (
            "",
            "# The operator's rights when it rotates. This login writes no policy and no role, and the one above reads",
            "# and writes no value: keep them apart.",
            f"vault policy write {shlex.quote(self.policy_name)} - <<'END'",
            self.policy_text.removesuffix("\n"),
            "END",
            "",
            "# The operator's login for rotations.",
            *self.login.lines,
        )


def rotation_setup(  # noqa: PLR0913 - what the printed set-up knows already
    backend: AirflowSecretBackend,
    cluster: str,
    *,
    account: tuple[str, str],
    namespaces: Iterable[str],
    policy: str,
    longest: int,
    options: RotationOptions,
) -> RotationSetup | None:
    """Return the second policy and login; None for a backend that has no login for rotations.

    ``account`` is the operator's namespace and name, ``namespaces`` those that rules select by label, ``policy`` the
    name that the operator's other policy was given, if any, ``longest`` the cap of a login on the tasks' mount in
    seconds. Raises InvalidSettings for a role that the operator could rewrite, ValueError for a name that no path can
    hold.
    """
    if backend.spec.rotation is None:
        return None
    login = backend.spec.rotation.login
    role = login.kubernetes or login.jwt
    if role is not None:
        refuse_own_names(role.role, cluster)
    name = f"{policy}.rotation" if policy else f"{PREFIX}-rotation.{cluster}"
    vault = vault_settings(backend)
    made = own_login(vault, login, account=account, policy=name, longest=longest, variables="ROTATION_")
    return RotationSetup(name, policy_text(backend, cluster, tuple(namespaces), options), made)


def rotated_prefixes(backend: AirflowSecretBackend, namespaces: Iterable[str]) -> tuple[str, ...]:
    """Return the beginnings of every key that some rule lets some namespace rotate, sorted.

    ``namespaces`` are those that rules select by label.
    """
    found: set[str] = set()
    for rule in backend.spec.allow:
        if _ROTATES.isdisjoint(rule.operations):
            continue
        selected = tuple(namespaces) if rule.namespaces.selector is not None else ()
        for namespace in (*rule.namespaces.names, *selected):
            found |= set(prefixes_for(rule, namespace))
    return tuple(sorted(found))


def policy_text(
    backend: AirflowSecretBackend, cluster: str, namespaces: tuple[str, ...], options: RotationOptions
) -> str:
    """Return the policy of the login for rotations. Raises ValueError for a name that no path can hold."""
    vault = vault_settings(backend)
    mount = vault.kv.mount
    lines = [f"# Airwarden's operator in cluster {cluster}, when it rotates: it writes values, and no policy or role."]
    if vault.kv.version != VERSIONED:
        lines += [f"# {mount} is a key-value engine of version {vault.kv.version}, where nothing can be rotated."]
    for prefix in rotated_prefixes(backend, namespaces) if vault.kv.version == VERSIONED else ():
        values = ("patch", "read") if options.read else ("patch",)
        lines += _below(f"{mount}/data/{prefix}", *values)
        lines += _below(f"{mount}/metadata/{prefix}", "patch", "read", parameters=METADATA)
        lines += _below(f"{mount}/subkeys/{prefix}", "read")
    if vault.kv.version == VERSIONED:
        lines += job_rights(backend, cluster, mount, namespaces, _below)
    for name in dict.fromkeys(options.password_policies):
        lines += _block(quote(f"sys/policies/password/{name}/generate"), "read")
    lines += role_rights(backend, cluster, namespaces)
    if vault.mode == "Roles":
        lines += ["# To tell this cluster's name from another's: it is read before anything is written."]
        lines += _block(quote(f"sys/policies/acl/{marker_name(cluster)}"), "read")
    for path, capability in TOKEN_CALLS:
        lines += _block(quote(path), capability)
    return "\n".join(lines) + "\n"


def _below(prefix: str, *capabilities: str, parameters: tuple[str, ...] = ()) -> list[str]:
    """Return the right on everything below a path that ends with a slash."""
    return _block(quote(prefix.removesuffix("/"))[:-1] + '/*"', *capabilities, parameters=parameters)


def _block(quoted: str, *capabilities: str, parameters: tuple[str, ...] = ()) -> list[str]:
    """Return one right; with parameters, no other may be sent."""
    listed = ", ".join(f'"{each}"' for each in capabilities)
    allowed = [f'    "{each}" = []' for each in parameters]
    limit = ["  allowed_parameters = {", *allowed, "  }"] if allowed else []
    return [f"path {quoted} {{", f"  capabilities = [{listed}]", *limit, "}"]


def mounts_of(setup: RotationSetup | None) -> Mapping[str, str]:
    """Return the auth mount of the login for rotations with its type, if it has one."""
    return {setup.login.mount: setup.login.type} if setup is not None and setup.login.mount else {}
