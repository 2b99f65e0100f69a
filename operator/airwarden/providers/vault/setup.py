"""What a Vault admin reviews and runs once, so that the operator may do its work and nothing more.

`airwarden vault-setup` prints the script; tests and the demo apply it, or its parts through the API.
Pure. What the policy fences, and what it cannot (whoever writes policy text can reach far), is in the docs.
"""

import json
import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from airwarden.api.backend import AirflowSecretBackend, VaultBackend
from airwarden.api.fields import duration_text, seconds
from airwarden.domain.errors import InvalidSettings
from airwarden.domain.owner import CLUSTER, PREFIX
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

_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_NAMESPACE: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_VALUE: Final = re.compile(r"[A-Za-z0-9._:/-]+")
_TTL: Final = 15 * 60
_MAX_TTL: Final = 4 * 3600


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
    role_name: str
    role_fields: Mapping[str, str | bool]
    workload_mount: str
    max_lease_ttl: str
    """Longest login on the tasks' mount, set by tuning it."""
    script: str
    fence: FenceSetup | None = None
    """In mode Fenced: what the tasks log in with. Texts then hold ``${ACCESSOR}`` for the accessor of their mount."""


def vault_setup(
    backend: AirflowSecretBackend,
    *,
    cluster: str,
    operator: OperatorAccount,
    namespaces: Iterable[str] = (),
    enable_kv: bool = False,
    options: ModeOptions | None = None,
) -> VaultSetup:
    """Return what gives the operator its rights on the backend's Vault.

    ``namespaces`` are those that rules select by label: Vault knows no labels, so they are listed.
    ``enable_kv`` adds the key-value engine to the script. ``options`` are those of the modes. Raises
    InvalidSettings when nothing safe can be rendered: no namespace at all would mean every namespace to Vault.
    """
    vault = vault_settings(backend)
    login = vault.login.kubernetes
    refuse_own_names(login.role, cluster)
    if CLUSTER.fullmatch(cluster) is None:
        raise InvalidSettings(f"{cluster!r} is no cluster name: write {CLUSTER.pattern}")
    listed = _namespaces(backend, namespaces)
    longest = max((seconds(rule.session.max_ttl) for rule in backend.spec.allow), default=3600)
    name = f"{PREFIX}-operator.{cluster}"
    options = options or ModeOptions()
    mode = options.mode or vault.mode
    fenced = mode == "Fenced" or (options.moving and vault.fenced is not None)
    fence = fence_setup(backend, cluster, listed) if fenced else None
    text = _policy_text(vault, cluster, listed) if mode == "Roles" or options.moving else ""
    if fence is not None or options.moving:
        text += fence_rights(cluster, listed, fence, sweep=options.sweep)
    fields = _role_fields(vault, operator, name, longest)
    sections = (
        _opening_lines(backend, vault, listed, mode),
        _engine_lines(vault) if enable_kv else (),
        _mount_lines(vault, duration_text(longest)),
        accessor_lines(vault) if NO_ACCESSOR in text else (),
        fence_lines(vault, fence) if fence is not None else (),
        _operator_lines(vault, name, text, fields),
    )
    script = "\n".join(line for section in sections for line in section) + "\n"
    return VaultSetup(
        policy_name=name,
        policy_text=text,
        role_mount=login.mount,
        role_name=login.role,
        role_fields=fields,
        workload_mount=vault.workload_login.kubernetes.mount,
        max_lease_ttl=duration_text(longest),
        script=script,
        fence=fence,
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


def _policy_text(vault: VaultBackend, cluster: str, namespaces: tuple[str, ...]) -> str:
    """Return the operator's own policy: its clusters' names, its namespaces, and no field left open."""
    mount = vault.workload_login.kubernetes.mount
    parameters = (
        ("bound_service_account_names", "[]"),
        ("bound_service_account_namespaces", _strings(*namespaces)),
        ("bound_service_account_namespace_selector", '[""]'),
        ("audience", _strings(vault.workload_login.kubernetes.audience)),
        ("alias_name_source", _strings("serviceaccount_uid")),
        ("token_policies", f'["{PREFIX}.{cluster}.*"]'),
        ("token_ttl", "[]"),
        ("token_max_ttl", "[]"),
        ("token_explicit_max_ttl", "[]"),
        ("token_period", '["0"]'),
        ("token_num_uses", '["0"]'),
        ("token_bound_cidrs", '[""]'),
        ("token_type", _strings("service")),
        ("token_no_default_policy", "[true]"),
    )
    # A star, and a comma that Vault would split at, get past an allowed value that ends with a star.
    denied = (
        ("token_policies", '["*,*"]'),
        ("bound_service_account_names", '["***", "*,*"]'),
        ("bound_service_account_namespaces", '["***", "*,*"]'),
    )
    lines = [
        f"# Airwarden's operator in cluster {cluster}. Whoever holds it writes policies: guard it as an admin's.",
        *_path(f"sys/policies/acl/{PREFIX}.{cluster}.*", "create", "read", "update", "delete"),
        *_path("sys/policies/acl", "list"),
        *_path(f"auth/{mount}/role", "list"),
        *_path(f"auth/{mount}/role/{PREFIX}.{cluster}.*", "create", "read", "update", "delete")[:-1],
        "  allowed_parameters = {",
        *(f'    "{name}" = {values}' for name, values in parameters),
        "  }",
        "  denied_parameters = {",
        *(f'    "{name}" = {values}' for name, values in denied),
        "  }",
        "}",
        *_path("sys/capabilities-self", "update"),
        *_path("auth/token/lookup-self", "read"),
        *_path("auth/token/renew-self", "update"),
        *_path("auth/token/revoke-self", "update"),
    ]
    return "\n".join(lines) + "\n"


def _path(path: str, *capabilities: str) -> list[str]:
    glob = path.endswith(".*")
    quoted = quote(path.removesuffix("*"))[:-1] + '*"' if glob else quote(path)
    listed = ", ".join(f'"{each}"' for each in capabilities)
    return [f"path {quoted} {{", f"  capabilities = [{listed}]", "}"]


def _strings(*values: str) -> str:
    for value in values:
        if _VALUE.fullmatch(value) is None:
            raise InvalidSettings(f"{value!r} cannot stand in a policy: write letters, digits and . _ : / -")
    return "[" + ", ".join(f'"{value}"' for value in values) + "]"


def _role_fields(vault: VaultBackend, operator: OperatorAccount, name: str, longest: int) -> Mapping[str, str | bool]:
    """Return the operator's own login: its account, short, and without Vault's default policy."""
    if _NAMESPACE.fullmatch(operator.namespace) is None or _NAME.fullmatch(operator.name) is None:
        raise InvalidSettings(f"{operator.namespace}/{operator.name} is no service account: give namespace and name")
    same_mount = vault.login.kubernetes.mount == vault.workload_login.kubernetes.mount
    max_ttl = min(_MAX_TTL, longest) if same_mount else _MAX_TTL
    return {
        "bound_service_account_names": operator.name,
        "bound_service_account_namespaces": operator.namespace,
        "bound_service_account_namespace_selector": "",
        "audience": vault.login.kubernetes.audience,
        "alias_name_source": "serviceaccount_uid",
        "token_policies": name,
        "token_ttl": duration_text(min(_TTL, max_ttl)),
        "token_max_ttl": duration_text(max_ttl),
        "token_explicit_max_ttl": "0",
        "token_period": "0",
        "token_num_uses": "0",
        "token_bound_cidrs": "",
        "token_type": "service",
        "token_no_default_policy": True,
    }


def _opening_lines(
    backend: AirflowSecretBackend, vault: VaultBackend, listed: tuple[str, ...], mode: str
) -> tuple[str, ...]:
    selecting = [rule.name for rule in backend.spec.allow if rule.namespaces.selector is not None]
    lines = [
        "#!/bin/sh",
        f"# Vault set-up for backend {backend.metadata.name} of Airwarden, mode {mode}.",
        "# Review it, then run it once with the vault command and an admin's token: VAULT_ADDR and VAULT_TOKEN.",
        "# Running it again does no harm.",
        "# Run it again when a rule of the backend names another namespace, audience or session length.",
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


def _mount_lines(vault: VaultBackend, max_lease_ttl: str) -> tuple[str, ...]:
    """Return the lines for the mount of the tasks and, where it is another, that of the operator."""
    mounts = sorted({vault.workload_login.kubernetes.mount, vault.login.kubernetes.mount})
    lines = [
        "",
        "# Where tasks and operator log in. Keep the tasks' mount for Airwarden alone: its longest login holds for",
        "# every role on it, also for one that a stolen operator writes.",
    ]
    for mount in mounts:
        lines += [
            f"""if ! vault auth list -format=json | grep -q {shlex.quote(f'"{mount}/"')}; then""",
            f"  vault auth enable -path={shlex.quote(mount)} kubernetes",
            "  # Where Vault runs in this cluster, KUBERNETES_HOST=https://kubernetes.default.svc is enough. Elsewhere",
            "  # it also needs the API server's CA, and a token that may create TokenReviews (system:auth-delegator).",
            '  set -- "kubernetes_host=${KUBERNETES_HOST:?set it to the URL of the API server}"',
            '  if [ -n "${KUBERNETES_CA_FILE:-}" ]; then set -- "$@" "kubernetes_ca_cert=@$KUBERNETES_CA_FILE"; fi',
            '  if [ -n "${TOKEN_REVIEWER_JWT_FILE:-}" ]; then',
            '    set -- "$@" "token_reviewer_jwt=@$TOKEN_REVIEWER_JWT_FILE" disable_local_ca_jwt=true',
            "  fi",
            f'  vault write {shlex.quote(f"auth/{mount}/config")} "$@"',
            "fi",
        ]
    workload = shlex.quote(vault.workload_login.kubernetes.mount)
    return (*lines, f"vault auth tune -max-lease-ttl={max_lease_ttl} {workload}")


def _operator_lines(vault: VaultBackend, name: str, text: str, fields: Mapping[str, str | bool]) -> tuple[str, ...]:
    role = f"auth/{vault.login.kubernetes.mount}/role/{vault.login.kubernetes.role}"
    return (
        "",
        "# The operator's rights.",
        # The shell fills in the accessor, if there is one; nothing else in the text means anything to it.
        f"vault policy write {shlex.quote(name)} - <<" + ("END" if NO_ACCESSOR in text else "'END'"),
        text.removesuffix("\n"),
        "END",
        "",
        "# The operator's login.",
        f"vault write {shlex.quote(role)} - <<'END'",
        json.dumps(dict(fields), indent=2),
        "END",
    )
