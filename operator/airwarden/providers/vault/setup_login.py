"""What a Vault admin sets up for the operator's own login, by method: a part of what `setup` prints.

Pure; called by `airwarden.providers.vault.setup`.
"""

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from airwarden.api.backend import VaultBackend
from airwarden.api.fields import duration_text
from airwarden.api.logins import Login
from airwarden.providers.vault.jwt_role import subject

_TTL: Final = 15 * 60
_MAX_TTL: Final = 4 * 3600
_KUBERNETES_CONFIG: Final = (
    "  # Where Vault runs in this cluster, KUBERNETES_HOST=https://kubernetes.default.svc is enough. Elsewhere",
    "  # it also needs the API server's CA, and a token that may create TokenReviews (system:auth-delegator).",
    '  set -- "kubernetes_host=${KUBERNETES_HOST:?set it to the URL of the API server}"',
    '  if [ -n "${KUBERNETES_CA_FILE:-}" ]; then set -- "$@" "kubernetes_ca_cert=@$KUBERNETES_CA_FILE"; fi',
    '  if [ -n "${TOKEN_REVIEWER_JWT_FILE:-}" ]; then',
    '    set -- "$@" "token_reviewer_jwt=@$TOKEN_REVIEWER_JWT_FILE" disable_local_ca_jwt=true',
    "  fi",
)
_JWT_CONFIG: Final = (
    "  # Vault checks tokens by the cluster's public keys: a PEM file of them, or else the issuer's own page of",
    "  # them, which Vault fetches without credentials. A new key of the cluster needs a new PEM file.",
    '  set -- "bound_issuer=${SERVICE_ACCOUNT_ISSUER:?set it to the issuer of service-account tokens}"',
    '  if [ -n "${JWT_PUBLIC_KEYS_FILE:-}" ]; then',
    '    set -- "$@" "jwt_validation_pubkeys=@$JWT_PUBLIC_KEYS_FILE"',
    "  else",
    '    set -- "$@" "jwks_url=${JWKS_URL:?set it, or JWT_PUBLIC_KEYS_FILE}"',
    '    if [ -n "${KUBERNETES_CA_FILE:-}" ]; then set -- "$@" "jwks_ca_pem=@$KUBERNETES_CA_FILE"; fi',
    "  fi",
)
_CONFIG: Final[Mapping[str, tuple[str, ...]]] = {
    "kubernetes": _KUBERNETES_CONFIG,
    "jwt": _JWT_CONFIG,
    "approle": (),
}
"""The lines that configure a new mount, by the type of the auth method."""


@dataclass(frozen=True, slots=True)
class OwnLogin:
    """The operator's own login: where its role is, what the role says, and what else there is to do."""

    mount: str
    """Empty where there is none: a token from a file."""
    type: str
    role: str
    fields: Mapping[str, str | bool]
    lines: tuple[str, ...]


def own_login(
    vault: VaultBackend, login: Login, *, account: tuple[str, str], policy: str, longest: int, variables: str = ""
) -> OwnLogin:
    """Return what gives the operator a token: the policy alone, short, and without Vault's default policy.

    ``login`` is the one of the operator's logins that it is for. ``account`` is the operator's namespace and name.
    ``longest`` caps a login on the tasks' mount, in seconds. ``variables`` begins the names of the variables that say
    where the script writes a secret-id or token.
    """
    token = _token_fields(vault, login, policy, longest)
    namespace, name = account
    if login.app_role is not None:
        fields: dict[str, str | bool] = {
            "bind_secret_id": True,
            "secret_id_num_uses": "0",
            "secret_id_ttl": "0",
            "secret_id_bound_cidrs": "",
            **token,
        }
        role = policy.lower()
        lines = _app_role_lines(login.app_role.mount, role, login.app_role.role_id, variables)
        return _with_role(login.app_role.mount, "approle", role, fields, lines)
    if login.jwt is not None:
        fields = {
            "role_type": "jwt",
            "user_claim": "sub",
            "bound_audiences": login.jwt.audience,
            "bound_subject": subject(namespace, name),
            **token,
        }
        return _with_role(login.jwt.mount, "jwt", login.jwt.role, fields)
    if login.kubernetes is not None:
        fields = {
            "bound_service_account_names": name,
            "bound_service_account_namespaces": namespace,
            "bound_service_account_namespace_selector": "",
            "audience": login.kubernetes.audience,
            "alias_name_source": "serviceaccount_uid",
            **token,
        }
        return _with_role(login.kubernetes.mount, "kubernetes", login.kubernetes.role, fields)
    return OwnLogin("", "", "", {}, _token_file_lines(policy, variables))


def mount_lines(mount: str, kind: str) -> tuple[str, ...]:
    """Return the lines that enable and configure an auth method, unless it is there already."""
    return (
        f"""if ! vault auth list -format=json | grep -q {shlex.quote(f'"{mount}/"')}; then""",
        f"  vault auth enable -path={shlex.quote(mount)} {kind}",
        *_CONFIG[kind],
        *((f'  vault write {shlex.quote(f"auth/{mount}/config")} "$@"',) if _CONFIG[kind] else ()),
        "fi",
    )


def _token_fields(vault: VaultBackend, login: Login, policy: str, longest: int) -> dict[str, str | bool]:
    settings = login.kubernetes or login.jwt or login.app_role
    same_mount = settings is not None and settings.mount == vault.workload_login.mount
    max_ttl = min(_MAX_TTL, longest) if same_mount else _MAX_TTL
    return {
        "token_policies": policy,
        "token_ttl": duration_text(min(_TTL, max_ttl)),
        "token_max_ttl": duration_text(max_ttl),
        "token_explicit_max_ttl": "0",
        "token_period": "0",
        "token_num_uses": "0",
        "token_bound_cidrs": "",
        "token_type": "service",
        "token_no_default_policy": True,
    }


def _with_role(
    mount: str, kind: str, role: str, fields: Mapping[str, str | bool], more: tuple[str, ...] = ()
) -> OwnLogin:
    lines = (
        f"vault write {shlex.quote(f'auth/{mount}/role/{role}')} - <<'END'",
        json.dumps(dict(fields), indent=2),
        "END",
        *more,
    )
    return OwnLogin(mount, kind, role, fields, lines)


def _app_role_lines(mount: str, role: str, role_id: str, variables: str) -> tuple[str, ...]:
    file = f"{variables}SECRET_ID_FILE"
    path = f"auth/{mount}/role/{role}"
    return (
        f"vault write {shlex.quote(f'{path}/role-id')} {shlex.quote(f'role_id={role_id}')}",
        "# The secret-id goes into the file that login.appRole.secretIDFile names, and nowhere else. To make one, run",
        f"# this with {file} set to where it shall be written. Replace it from time to time, and then destroy",
        "# the old one; each login reads the file anew.",
        f'if [ -n "${{{file}:-}}" ]; then',
        f'  (umask 077 && vault write -f -field=secret_id {shlex.quote(f"{path}/secret-id")} > "${file}")',
        "fi",
    )


def _token_file_lines(policy: str, variables: str) -> tuple[str, ...]:
    file = f"{variables}TOKEN_FILE"
    return (
        "# The operator uses the token in the file that login.tokenFile.name names, and neither renews nor revokes",
        f"# it: whoever keeps the file does, Vault Agent for one. To make one by hand, run this with {file} set to",
        "# where it shall be written.",
        f'if [ -n "${{{file}:-}}" ]; then',
        f"  (umask 077 && vault token create -orphan -no-default-policy -policy={shlex.quote(policy)} \\",
        f'    -ttl="${{TOKEN_TTL:-24h}}" -field=token > "${file}")',
        "fi",
    )
