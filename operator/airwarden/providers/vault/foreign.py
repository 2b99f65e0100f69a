"""Reads the roles of an auth mount that are not ours: who may log in besides the accounts of bindings.

Only where Vault's admin grants that read (`airwarden vault-setup --foreign-role-scan`) or the caller of
`airwarden doctor` has it. At most so many roles in one look, a few at a time: a mount may hold thousands.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote as quote_for_url

from airwarden.domain.errors import StoreFailed
from airwarden.domain.logins import ForeignLogin, ForeignLogins
from airwarden.domain.owner import PREFIX
from airwarden.providers.vault.client import VaultClient
from airwarden.providers.vault.role import JSONValue
from airwarden.providers.vault.transport import Call

_AT_ONCE: Final = 4
_PROBE: Final = "not-of-airwarden"
_NAMESPACE_CLAIMS: Final = ("/kubernetes.io/namespace", "kubernetes.io/namespace")
_NAME_CLAIMS: Final = ("/kubernetes.io/serviceaccount/name", "kubernetes.io/serviceaccount/name")
_ANYONE: Final = ("*",)


def probe_path(auth_mount: str) -> str:
    """Return a path that stands for every role outside our prefix when rights are asked for."""
    return f"auth/{auth_mount}/role/{_PROBE}"


@dataclass(frozen=True, slots=True)
class Bounds:
    """How far one look goes: whatever is left then is counted as not looked at."""

    roles: int = 1000
    seconds: float = 30.0


async def read_foreign_logins(
    client: VaultClient,
    auth_mount: str,
    cluster: str,
    known: frozenset[str] = frozenset(),
    bounds: Bounds = Bounds(),
) -> ForeignLogins:
    """Return the mount's roles outside our prefix: one LIST, and one GET a role.

    ``known`` are roles outside the prefix that belong to Airwarden's own set-up. Raises Forbidden without the rights.
    """
    path = f"auth/{auth_mount}/role"
    ends = asyncio.get_running_loop().time() + bounds.seconds
    answer = await client.request(Call("LIST", path), kind="scan")
    keys = () if answer.absent else answer.data.get("keys")
    if isinstance(keys, str) or not isinstance(keys, Sequence):
        raise StoreFailed(f"Vault answered the list of {path} without names: is it a Vault?")
    ours = f"{PREFIX}.{cluster}."
    names = sorted(name for name in _texts(keys) if not name.startswith(ours) and name not in known)
    found: list[ForeignLogin | None] = []
    wanted = names[: bounds.roles]
    for batch in (wanted[place : place + _AT_ONCE] for place in range(0, len(wanted), _AT_ONCE)):
        if asyncio.get_running_loop().time() >= ends:
            break
        # Batch by batch: the first failure ends the look, and no request is left under way behind it.
        found += await asyncio.gather(*(_read(client, path, name) for name in batch))
    return ForeignLogins(tuple(each for each in found if each is not None), len(names) - len(found))


async def _read(client: VaultClient, path: str, name: str) -> ForeignLogin | None:
    found = await client.request(Call("GET", f"{path}/{quote_for_url(name, safe='')}"), kind="scan")
    return None if found.absent else login_of(f"{path}/{name}", found.data)


def login_of(where: str, data: Mapping[str, JSONValue]) -> ForeignLogin | None:
    """Return whom a role admits; None for a role that goes by something else than service accounts."""
    policies = tuple(sorted({*_texts(data.get("token_policies")), *_texts(data.get("policies"))}))
    if "bound_service_account_names" in data:
        return ForeignLogin(
            where,
            _texts(data.get("bound_service_account_names")),
            _texts(data.get("bound_service_account_namespaces")),
            by_label=bool(data.get("bound_service_account_namespace_selector")),
            policies=policies,
        )
    if "bound_subject" in data or "bound_claims" in data:
        return _by_claims(where, data, policies)
    return None


def _by_claims(where: str, data: Mapping[str, JSONValue], policies: tuple[str, ...]) -> ForeignLogin:
    """Return whom a JWT role admits. Claims that say nothing of the account are taken as held: better one too many."""
    claims = data.get("bound_claims")
    bound = claims if isinstance(claims, Mapping) else {}
    subjects = _texts(data.get("bound_subject")) or _texts(bound.get("sub"))
    names, namespaces = _claim(bound, _NAME_CLAIMS), _claim(bound, _NAMESPACE_CLAIMS)
    if names or namespaces:
        return ForeignLogin(where, names or _ANYONE, namespaces or _ANYONE, policies=policies)
    return ForeignLogin(where, subjects=subjects or _ANYONE, policies=policies)


def _claim(bound: Mapping[str, JSONValue], names: Sequence[str]) -> tuple[str, ...]:
    return next((found for name in names if (found := _texts(bound.get(name)))), ())


def _texts(value: JSONValue) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,) if value else ()
    return tuple(each for each in value if isinstance(each, str)) if isinstance(value, Sequence) else ()
