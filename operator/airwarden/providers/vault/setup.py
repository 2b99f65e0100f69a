"""What a Vault admin reviews and runs once, so that the operator may do its work and nothing more.

`airwarden vault-setup` prints the script; tests and the demo apply it, or its parts through the API.
Pure. What the policy fences, and what it cannot (whoever writes policy text can reach far), is in the docs.
"""

import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from airwarden.api.backend import AirflowSecretBackend, VaultBackend
from airwarden.api.fields import duration_text, seconds
from airwarden.domain.errors import InvalidSettings
from airwarden.domain.owner import CLUSTER, PREFIX
from airwarden.providers.vault import fences, people
from airwarden.providers.vault.fenced.setup import (
    FenceSetup,
    ModeOptions,
    accessor_lines,
    fence_lines,
    fence_rights,
    fence_setup,
)
from airwarden.providers.vault.fenced.slots import NO_ACCESSOR
from airwarden.providers.vault.opening import refuse_own_names, vault_settings
from airwarden.providers.vault.policy import quote
from airwarden.providers.vault.role_forms import role_form
from airwarden.providers.vault.rotation.setup import RotationOptions, RotationSetup, mounts_of, rotation_setup
from airwarden.providers.vault.setup_login import OwnLogin, mount_lines, own_login

_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_NAMESPACE: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class OperatorAccount:
    """The service account that the operator runs under."""

    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class VaultSetup:
    """The parts of the set-up, and the script that holds them all."""

    policy_name: str
    policy_text: str
    role_mount: str
    """Empty, as are the role's name and fields, where the operator's token comes from a file."""
    role_name: str
    role_fields: Mapping[str, str | bool]
    workload_mount: str
    max_lease_ttl: str
    """Longest login on the tasks' mount, set by tuning it."""
    script: str
    fence: FenceSetup | None = None
    """In mode Fenced: what the tasks log in with. Texts then hold ``${ACCESSOR}`` for the accessor of their mount."""
    rotation: RotationSetup | None = None
    """Where the backend has a login for rotations: its policy and role."""


def vault_setup(  # noqa: PLR0913 - one parameter per option of the command
    backend: AirflowSecretBackend,
    *,
    cluster: str,
    operator: OperatorAccount,
    namespaces: Iterable[str] = (),
    enable_kv: bool = False,
    options: ModeOptions | None = None,
    foreign_role_scan: bool = False,
    rotation: RotationOptions | None = None,
) -> VaultSetup:
    """Return what gives the operator its rights on the backend's Vault.

    ``namespaces`` are those that rules select by label: Vault knows no labels, so they are listed.
    ``enable_kv`` adds the key-value engine to the script, ``foreign_role_scan`` the right to read the roles of others
    on the tasks' mount, so that the operator reports those that name a managed account. ``options`` are those of the
    modes, ``rotation`` what rotations may do beyond writing. Raises InvalidSettings when nothing safe can be rendered:
    no namespace at all would mean every namespace to Vault.
    """
    vault = vault_settings(backend)
    role = vault.login.kubernetes or vault.login.jwt
    if role is not None:
        refuse_own_names(role.role, cluster)
    if CLUSTER.fullmatch(cluster) is None:
        raise InvalidSettings(f"{cluster!r} is no cluster name: write {CLUSTER.pattern}")
    given = tuple(namespaces)
    listed = _namespaces(backend, given)
    longest = max((seconds(rule.session.max_ttl) for rule in backend.spec.allow), default=3600)
    options = options or ModeOptions()
    name = options.policy or f"{PREFIX}-operator.{cluster}"
    _refuse_policy_name(name)
    mode = options.mode or vault.mode
    fenced = mode == "Fenced" or (options.moving and vault.fenced is not None)
    fence = fence_setup(backend, cluster, listed) if fenced else None
    groups = tuple(each for each in backend.spec.known_groups.values() if each)
    text = _policy_text(vault, cluster, listed, groups) if mode == "Roles" or options.moving else ""
    if foreign_role_scan:
        text += _scan_rule(vault.workload_login.mount, listed=bool(text))
    if fence is not None or options.moving:
        text += fence_rights(cluster, listed, fence, sweep=options.sweep)
    account = _checked(operator)
    own = own_login(vault, vault.login, account=account, policy=name, longest=longest)
    rotating = rotation_setup(
        backend,
        cluster,
        account=account,
        namespaces=given,
        policy=options.policy,
        longest=longest,
        options=rotation or RotationOptions(),
    )
    sections = (
        _opening_lines(backend, vault, listed, mode),
        _engine_lines(vault) if enable_kv else (),
        _mount_lines(vault, own, rotating, duration_text(longest)),
        accessor_lines(vault) if NO_ACCESSOR in text else (),
        fence_lines(vault, fence) if fence is not None else (),
        _operator_lines(name, text, own),
        rotating.lines if rotating is not None else (),
        _secret_id_lines(vault, name),
    )
    script = "\n".join(line for section in sections for line in section) + "\n"
    return VaultSetup(
        policy_name=name,
        policy_text=text,
        role_mount=own.mount,
        role_name=own.role,
        role_fields=own.fields,
        workload_mount=vault.workload_login.mount,
        max_lease_ttl=duration_text(longest),
        script=script,
        fence=fence,
        rotation=rotating,
    )


def _namespaces(backend: AirflowSecretBackend, more: Iterable[str]) -> tuple[str, ...]:
    """Return every namespace whose accounts the operator may bind."""
    given = tuple(more)
    for namespace in given:
        if _NAMESPACE.fullmatch(namespace) is None:
            raise InvalidSettings(f"{namespace!r} is not the name of a namespace: write names, without * or labels")
    named = {name for rule in backend.spec.allow for name in rule.namespaces.names}
    found = tuple(sorted({*named, *given}))
    if not found:
        raise InvalidSettings(
            f"backend {backend.metadata.name} allows no namespace by name: an empty list would mean every namespace to "
            "Vault. Name those that its selectors mean with --workload-namespace"
        )
    return found


def _policy_text(vault: VaultBackend, cluster: str, namespaces: tuple[str, ...], groups: tuple[str, ...]) -> str:
    """Return the operator's own policy: its clusters' names, its namespaces, and no field left open."""
    mount, form = vault.workload_login.mount, role_form(vault.workload_login)
    fenced = fences.fence(form, cluster, namespaces)
    lines = [
        f"# Airwarden's operator in cluster {cluster}. Whoever holds it writes policies: guard it as an admin's.",
        *_path(f"sys/policies/acl/{PREFIX}.{cluster}.*", "create", "read", "update", "delete"),
        *_path("sys/policies/acl", "list"),
        *_path(f"auth/{mount}/role", "list"),
        *_fenced_path(f"auth/{mount}/role/{form.names(cluster)}", fenced),
        *_group_rules(cluster, groups),
        *_path(f"sys/mounts/{vault.kv.mount}", "read"),
        *_path("sys/capabilities-self", "update"),
        *_path("auth/token/lookup-self", "read"),
        *_path("auth/token/renew-self", "update"),
        *_path("auth/token/revoke-self", "update"),
    ]
    return "\n".join(lines) + "\n"


def _group_rules(cluster: str, groups: tuple[str, ...]) -> list[str]:
    """Return the rights on the groups that let people in; none where the backend names none."""
    if not groups:
        return []
    own = _fenced_path(f"{people.LIST}/{PREFIX}.{cluster}.*", fences.group_fence(cluster, groups))
    return [*own, *_path(people.LIST, "list")]


def _fenced_path(path: str, fence: fences.Fence) -> list[str]:
    return [
        *_path(path, "create", "read", "update", "delete")[:-1],
        "  allowed_parameters = {",
        *(f'    "{name}" = {values}' for name, values in fence.allowed),
        "  }",
        "  denied_parameters = {",
        *(f'    "{name}" = {values}' for name, values in fence.denied),
        "  }",
        "}",
    ]


def _scan_rule(mount: str, *, listed: bool) -> str:
    """Return the right to read every role of the tasks' mount, with their names unless those are ``listed`` already.

    The rule for our own roles is longer and wins there.
    """
    roles = f"auth/{mount}/role"
    lines = ["# Read roles of others, to report those that name a managed account."]
    lines += () if listed else _path(roles, "list")
    return "\n".join([*lines, f'path {quote(roles)[:-1]}/+" {{', '  capabilities = ["read"]', "}"]) + "\n"


def _path(path: str, *capabilities: str) -> list[str]:
    listed = ", ".join(f'"{each}"' for each in capabilities)
    return [f"path {_quoted(path)} {{", f"  capabilities = [{listed}]", "}"]


def _quoted(path: str) -> str:
    """Return a path as a policy has it. A last star stands for every name of ours, a segment + for any one name."""
    if path.endswith(".*"):
        return quote(path.removesuffix("*"))[:-1] + '*"'
    if "/+" in path:
        quote(path.replace("/+", "/name"))  # refuses the rest of the path as it does every other
        return f'"{path}"'
    return quote(path)


def _checked(operator: OperatorAccount) -> tuple[str, str]:
    if _NAMESPACE.fullmatch(operator.namespace) is None or _NAME.fullmatch(operator.name) is None:
        raise InvalidSettings(f"{operator.namespace}/{operator.name} is no service account: give namespace and name")
    return operator.namespace, operator.name


def _refuse_policy_name(name: str) -> None:
    """Raise InvalidSettings for a policy that the operator could rewrite, or that Vault would name otherwise."""
    if _NAME.fullmatch(name) is None or name.startswith(f"{PREFIX}."):
        raise InvalidSettings(
            f"{name!r} cannot be the operator's own policy: write lower-case letters, digits, dots and dashes, and do "
            f"not begin with {PREFIX}., where operators may write"
        )


def _opening_lines(
    backend: AirflowSecretBackend, vault: VaultBackend, listed: tuple[str, ...], mode: str
) -> tuple[str, ...]:
    selecting = [rule.name for rule in backend.spec.allow if rule.namespaces.selector is not None]
    lines = [
        "#!/bin/sh",
        f"# Vault set-up for backend {backend.metadata.name} of Airwarden, mode {mode}.",
        "# Review it, then run it once with the vault command and an admin's token: VAULT_ADDR and VAULT_TOKEN.",
        "# Running it again does no harm.",
        "# Run it again when a rule of the backend names another namespace, audience or session length, and when its",
        "# groups change.",
        "#",
        f"# The operator may bind accounts of these namespaces only: {', '.join(listed)}.",
    ]
    if selecting:
        lines += [
            f"# Selected by label: {', '.join(selecting)}. Vault knows no labels: each namespace that they mean",
            "# must stand above; print this again with --workload-namespace NAME when one comes. No patterns:",
            "# whoever may create a namespace that fits it would come under the operator.",
        ]
    lines += ["set -eu"]
    if vault.namespace:
        lines += [f"export VAULT_NAMESPACE={shlex.quote(vault.namespace)}"]
    return tuple(lines)


def _engine_lines(vault: VaultBackend) -> tuple[str, ...]:
    mount = shlex.quote(vault.kv.mount)
    return (
        "",
        "# The key-value engine that holds the secrets.",
        f"""if ! vault secrets list -format=json | grep -q {shlex.quote(f'"{vault.kv.mount}/"')}; then""",
        f"  vault secrets enable -path={mount} -version={vault.kv.version} kv",
        "fi",
    )


def _mount_lines(
    vault: VaultBackend, own: OwnLogin, rotating: RotationSetup | None, max_lease_ttl: str
) -> tuple[str, ...]:
    """Return the lines for the mount of the tasks and, where they are others, those of the operator."""
    tasks = vault.workload_login
    mounts = {tasks.mount: tasks.method.value.lower()} | ({own.mount: own.type} if own.mount else {})
    mounts |= mounts_of(rotating)
    lines = [
        "",
        "# Where tasks and operator log in. Keep the tasks' mount for Airwarden alone: its longest login holds for",
        "# every role on it, also for one that a stolen operator writes.",
    ]
    if tasks.app_role is not None:
        lines += ["# The operator may write every role of the tasks' mount: keep it for this cluster alone as well."]
    for mount, kind in sorted(mounts.items()):
        lines += mount_lines(mount, kind)
    return (*lines, f"vault auth tune -max-lease-ttl={max_lease_ttl} {shlex.quote(tasks.mount)}")


def _operator_lines(name: str, text: str, own: OwnLogin) -> tuple[str, ...]:
    return (
        "",
        "# The operator's rights.",
        # The shell fills in the accessor, if there is one; nothing else in the text means anything to it.
        f"vault policy write {shlex.quote(name)} - <<" + ("END" if NO_ACCESSOR in text else "'END'"),
        text.removesuffix("\n"),
        "END",
        "",
        "# The operator's login.",
        *own.lines,
    )


def _secret_id_lines(vault: VaultBackend, name: str) -> tuple[str, ...]:
    """Return the rights of those who hand out secret-ids, wrapped and in no other way."""
    if vault.workload_login.app_role is None:
        return ()
    roles = f"auth/{vault.workload_login.mount}/role/+"
    return (
        "",
        "# The rights of those who hand out secret-ids with `airwarden secret-id`: give them this policy. Vault itself",
        "# then refuses to answer with a secret-id that is not wrapped. The operator has no such right.",
        f"vault policy write {shlex.quote(f'{name}.secret-ids')} - <<'END'",
        *_path(f"{roles}/secret-id", "update")[:-1],
        '  min_wrapping_ttl = "30s"',
        '  max_wrapping_ttl = "1h"',
        "}",
        *_path(f"{roles}/role-id", "read"),
        "END",
    )
