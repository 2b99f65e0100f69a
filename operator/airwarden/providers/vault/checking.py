"""Asks a Vault how it is, and whether the operator's login has every right that it needs.

Called by `airwarden.providers.vault.store` for the backend's status.
"""

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from airwarden.domain.errors import Forbidden
from airwarden.domain.owner import PREFIX
from airwarden.providers.ports import FOREIGN_ROLE_SCAN, SWEEP_FORMER, Health
from airwarden.providers.vault import people
from airwarden.providers.vault.client import VaultClient
from airwarden.providers.vault.connection import TokenFile
from airwarden.providers.vault.fenced import aliases
from airwarden.providers.vault.foreign import probe_path
from airwarden.providers.vault.identity import marker_name
from airwarden.providers.vault.role import JSONValue
from airwarden.providers.vault.role_forms import KubernetesForm, RoleForm
from airwarden.providers.vault.transport import Call

CAPABILITIES: Final = ("Static", "Dynamic", "SessionTTL")
_RIGHTS: Final = "sys/capabilities-self"
_WRITE: Final = ("create", "read", "update", "delete")
_PROBE: Final = "airwarden-probe.airwarden-probe"
Rights = tuple[tuple[str, tuple[str, ...]], ...]
Optional = tuple[str, tuple[str, ...], str]
"""A path, what it takes there, and the capability of the backend that this gives, with all others that name it."""


def needed_rights(
    cluster: str,
    auth_mount: str,
    kv_mount: str,
    form: RoleForm,
    *,
    own_token: bool = True,
    lets_people_in: bool = False,
) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Return every path that the operator calls, with what it must be allowed there.

    ``own_token`` says that it logs in itself: a token from a file it only looks up. ``lets_people_in`` says that the
    backend names groups.
    """
    token_calls = (("renew-self", "update"), ("revoke-self", "update")) if own_token else (("lookup-self", "read"),)
    names = f"{PREFIX}.{cluster}.*"
    groups = ((f"{people.LIST}/{names}", _WRITE), (people.LIST, ("list",))) if lets_people_in else ()
    return (
        (f"sys/policies/acl/{names}", _WRITE),
        ("sys/policies/acl", ("list",)),
        (f"auth/{auth_mount}/role/{form.names(cluster)}", _WRITE),
        (f"auth/{auth_mount}/role", ("list",)),
        (f"sys/mounts/{kv_mount}", ("read",)),
        (_RIGHTS, ("update",)),
        *((f"auth/token/{call}", (capability,)) for call, capability in token_calls),
        *groups,
    )


def former_rights(form: RoleForm) -> tuple[Optional, ...]:
    """Return what it takes to find and empty what mode Fenced left: it knows no login but that of Kubernetes."""
    if form.kind != KubernetesForm.kind:
        return ()
    needed = ((aliases.LIST, "list"), (aliases.LOOKUP, "update"), (aliases.WRITE, "update"))
    return tuple((path, (capability,), SWEEP_FORMER) for path, capability in needed)


async def check_vault(  # noqa: PLR0913 - where things are, and what for
    client: VaultClient,
    cluster: str,
    auth_mount: str,
    kv_mount: str,
    form: RoleForm,
    clock: Callable[[], float] = time.time,
    *,
    lets_people_in: bool = False,
) -> Health:
    """Return version, id, missing rights and the clock's difference. Raises the error that stands in the way.

    StoreChanged, ClusterIDConflict and MountMissing are such errors.
    """
    own_token = not isinstance(client.connection.credentials, TokenFile)
    needed = needed_rights(cluster, auth_mount, kv_mount, form, own_token=own_token, lets_people_in=lets_people_in)
    scan = (probe_path(auth_mount), ("read",), FOREIGN_ROLE_SCAN)
    health = replace(
        await check_rights(client, needed, CAPABILITIES, (*former_rights(form), scan), clock), caveat=form.caveat
    )
    if not health.missing_permissions:
        await client.prove()
        # A role that nobody has and the settings of a mount: each is answered otherwise where there is no mount.
        await client.request(Call("GET", f"auth/{auth_mount}/role/{marker_name(cluster)}"))
        await client.request(Call("GET", f"sys/mounts/{kv_mount}"))
    return health


async def check_rights(
    client: VaultClient,
    needed: Rights,
    capabilities: tuple[str, ...],
    optional: tuple[Optional, ...] = (),
    clock: Callable[[], float] = time.time,
) -> Health:
    """Return version, id, which of the needed rights are missing, and the clock's difference.

    ``optional`` rights are not missed: a capability is there when all that name it are. Raises the error that
    stands in the way.
    """
    version, store_id, server_time = await client.health()
    ahead = server_time - clock() if server_time is not None else None
    await client.ensure_login()
    paths = (*(each[0] for each in needed), *(each[0] for each in optional))
    probes = {path: re.sub(r"[*+]$", _PROBE, path) for path in paths}
    try:
        answer = await client.request(Call("POST", _RIGHTS, {"paths": list(probes.values())}), identified=False)
    except Forbidden:
        return Health(store_id, version, (f"{_RIGHTS}: update",), capabilities, ahead)
    named = dict.fromkeys(name for _, _, name in optional)
    lost = {name for path, wanted, name in optional if _lacking(answer.data.get(probes[path]), wanted)}
    more = tuple(name for name in named if name not in lost)
    missing = []
    for path, wanted in needed:
        lacking = _lacking(answer.data.get(probes[path]), wanted)
        if lacking:
            missing.append(f"{path}: {','.join(lacking)}")
    return Health(store_id, version, tuple(missing), capabilities + more, ahead)


def _lacking(granted: JSONValue, wanted: Sequence[str]) -> tuple[str, ...]:
    found = set() if isinstance(granted, str) or not isinstance(granted, Sequence) else set(granted)
    return () if "root" in found else tuple(each for each in wanted if each not in found)
