"""What mode Fenced adds to the printed set-up: the tasks' role and policy, and the operator's few rights.

Pure; called by `airwarden.providers.vault.setup`, which prints it with the rest. The accessor of the tasks'
auth mount is known to Vault alone, so it stands in the texts as a shell variable.
"""

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from airwarden.api.backend import AirflowSecretBackend, VaultBackend
from airwarden.api.fields import duration_text, seconds
from airwarden.domain.errors import InvalidSettings
from airwarden.providers.vault import policy
from airwarden.providers.vault.fenced import aliases, slots
from airwarden.providers.vault.fenced.checking import policy_name
from airwarden.providers.vault.opening import fence_of, fenced_tasks, vault_settings

_HOUR: Final = 3600


@dataclass(frozen=True, slots=True)
class ModeOptions:
    """Which mode is set up, and with what beside it."""

    mode: Literal["Roles", "Fenced"] | None = None
    """None stands for the backend's own."""
    moving: bool = False
    """Also give the rights of the other mode, with which what it left is removed."""
    sweep: bool = True
    """Let the operator list all aliases of Vault, so that it finds what no binding owns."""
    policy: str = ""
    """Name of the operator's policy, for a Vault that several backends with different mounts share: each needs a
    policy, and a login, of its own. Default: one name for the cluster."""


@dataclass(frozen=True, slots=True)
class FenceSetup:
    """The one role and the one policy of all bound accounts."""

    policy_name: str
    policy_text: str
    role_mount: str
    role_name: str
    role_fields: Mapping[str, str | bool | list[str]]


def fence_setup(backend: AirflowSecretBackend, cluster: str, namespaces: tuple[str, ...]) -> FenceSetup:
    """Return the tasks' role and policy. Raises InvalidSettings for a backend that has no fenced settings."""
    vault = vault_settings(backend)
    if vault.fenced is None:
        raise InvalidSettings(f"backend {backend.metadata.name} has no vault.fenced: give mode Fenced, role and slots")
    fence = fence_of(backend, vault.fenced, cluster)
    name = policy_name(cluster, fence.role)
    # No session of any rule is exceeded when the one role keeps to the shortest.
    ttl = duration_text(min((seconds(rule.session.max_ttl) for rule in backend.spec.allow), default=_HOUR))
    fields: dict[str, str | bool | list[str]] = {
        "bound_service_account_names": "*",
        "bound_service_account_namespaces": list(namespaces),
        "bound_service_account_namespace_selector": "",
        "audience": fenced_tasks(vault).audience,
        "alias_name_source": "serviceaccount_name",
        "token_policies": name,
        "token_ttl": ttl,
        "token_max_ttl": ttl,
        "token_explicit_max_ttl": "0",
        "token_period": "0",
        "token_num_uses": "0",
        "token_bound_cidrs": "",
        "token_type": "service",
        "token_no_default_policy": True,
    }
    text = slots.policy_text(fence, mount=vault.kv.mount, version=vault.kv.version)
    return FenceSetup(name, text, vault.workload_login.mount, fence.role, fields)


def fence_rights(cluster: str, namespaces: tuple[str, ...], fence: FenceSetup | None, *, sweep: bool) -> str:
    """Return the operator's rights on aliases: the accounts of its namespaces, and no field left open.

    Without ``fence`` only what it takes to empty the slots that mode Fenced left.
    """
    names = ", ".join(f'"{namespace}/*"' for namespace in namespaces)
    accessor = f'"{slots.NO_ACCESSOR}"'
    lines = [
        f"# Airwarden's operator in cluster {cluster}, mode Fenced: it fills slots; what they reach is the admin's.",
        *_fenced_path(aliases.WRITE, '"create", "update"', name=names, mount_accessor=accessor, custom_metadata=""),
        *_fenced_path(aliases.LOOKUP, '"update"', alias_name=names, alias_mount_accessor=accessor),
    ]
    if fence is not None:
        for path in (f"auth/{fence.role_mount}/role/{fence.role_name}", f"sys/policies/acl/{fence.policy_name}"):
            lines += _path(path, '"read"')
        lines += _path("auth/token/lookup-self", '"read"')
        for path in ("sys/capabilities-self", "auth/token/renew-self", "auth/token/revoke-self"):
            lines += _path(path, '"update"')
    if sweep:
        lines += ["# For the sweep: shows the names of all aliases of this Vault, and what stands in their metadata."]
        lines += _path(aliases.LIST, '"list"')
    return "\n".join(lines) + "\n"


def accessor_lines(vault: VaultBackend) -> tuple[str, ...]:
    """Return the lines that ask Vault for the accessor of the tasks' mount."""
    mount = shlex.quote(f"sys/auth/{vault.workload_login.mount}")
    return (
        "",
        "# Aliases are told apart by the accessor of the mount.",
        f"ACCESSOR=$(vault read -field=accessor {mount})",
    )


def fence_lines(vault: VaultBackend, fence: FenceSetup) -> tuple[str, ...]:
    """Return the lines that write the tasks' policy and role."""
    role = f"auth/{vault.workload_login.mount}/role/{fence.role_name}"
    return (
        "",
        "# What a bound account reads: its own namespace's tree, and what stands in the slots of its alias.",
        f"vault policy write {shlex.quote(fence.policy_name)} - <<END",
        fence.policy_text.removesuffix("\n"),
        "END",
        "",
        "# The tasks' login. An account without slots logs in and reads nothing.",
        f"vault write {shlex.quote(role)} - <<'END'",
        json.dumps(dict(fence.role_fields), indent=2),
        "END",
    )


def _fenced_path(path: str, capabilities: str, **parameters: str) -> list[str]:
    """Return a block that admits these parameters only; an empty one stands for any value."""
    listed = [f'    "{name}" = [{values}]' for name, values in parameters.items()]
    return [*_path(path, capabilities)[:-1], "  allowed_parameters = {", *listed, "  }", "}"]


def _path(path: str, capabilities: str) -> list[str]:
    return [f"path {policy.quote(path)} {{", f"  capabilities = [{capabilities}]", "}"]
