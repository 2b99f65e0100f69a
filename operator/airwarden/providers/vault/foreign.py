"""Reads the roles of an auth mount that are not ours: who may log in besides the accounts of bindings.

Only where Vault's admin grants that read (`airwarden vault-setup --foreign-role-scan`) or the caller of
`airwarden doctor` has it. At most so many roles in one look, a few at a time: a mount may hold thousands.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import quote as quote_for_url

from airwarden.domain.errors import StoreFailed
from airwarden.domain.logins import ForeignLogin, ForeignLogins
from airwarden.domain.owner import PREFIX
from airwarden.providers.vault.client import VaultClient
from airwarden.providers.vault.role import JSONValue
from airwarden.providers.vault.transport import Call

MOST: Final = 1000
"""How many roles one look reads. The rest is counted as not looked at."""
_AT_ONCE: Final = 4
_PROBE: Final = "not-of-airwarden"
_NAMESPACE_CLAIMS: Final = ("/kubernetes.io/namespace", "kubernetes.io/namespace")
_NAME_CLAIMS: Final = ("/kubernetes.io/serviceaccount/name", "kubernetes.io/serviceaccount/name")
_ANYONE: Final = ("*",)


def probe_path(auth_mount: str) -> str:
    """Return a path that stands for every role outside our prefix when rights are asked for."""
    return f"auth/{auth_mount}/role/{_PROBE}"


async def read_foreign_logins(
    client: VaultClient, auth_mount: str, cluster: str, known: frozenset[str] = frozenset(), most: int = MOST
) -> ForeignLogins:
    """Return the mount's roles outside our prefix. One LIST, and one GET a role, at most ``most``.

    ``known`` are roles outside the prefix that belong to Airwarden's own set-up. Raises Forbidden without the rights.
    """
    path = f"auth/{auth_mount}/role"
    answer = await client.request(Call("LIST", path), "scan")
    keys = () if answer.absent else answer.data.get("keys")
    if isinstance(keys, str) or not isinstance(keys, Sequence):
        raise StoreFailed(f"Vault answered the list of {path} without names: is it a Vault?")
    ours = f"{PREFIX}.{cluster}."
    names = sorted(name for name in _texts(keys) if not name.startswith(ours) and name not in known)
    turn = asyncio.Semaphore(_AT_ONCE)

    async def read(name: str) -> ForeignLogin | None:
        async with turn:
            found = await client.request(Call("GET", f"{path}/{quote_for_url(name, safe='')}"), "scan")
        return None if found.absent else login_of(f"{path}/{name}", found.data)

    found = await asyncio.gather(*(read(name) for name in names[:most]))
    return ForeignLogins(tuple(each for each in found if each is not None), max(0, len(names) - most))


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
