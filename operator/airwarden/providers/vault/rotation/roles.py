"""Has Vault's database engine rotate: an implementation of `providers.ports.RoleRotator`.

Passwords are made by Vault, set by Vault and served by Vault: none goes through here. What was found out of Vault's
ways, each shown by tests/contract/vault/test_database_roles.py: it reads schedules in UTC whatever zone is given with
them; an update without a window keeps the old one; creating a role sets the user's password. Called by
`airwarden.reconcile`.
"""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from airwarden.api.database_role import DatabaseKind, DatabaseRole
from airwarden.api.fields import ROLE
from airwarden.domain.errors import (
    AirwardenError,
    DatabaseRefused,
    DatabaseRoleAbsent,
    Forbidden,
    Rejected,
    StoreFailed,
)
from airwarden.domain.rotation.facts import RoleFacts, RoleSettings
from airwarden.domain.rotation.roles import named
from airwarden.providers.vault.answers import Answer
from airwarden.providers.vault.client import VaultClient
from airwarden.providers.vault.role import JSONValue
from airwarden.providers.vault.transport import Call

_FRESH: Final = 600.0
"""Seconds for which the other roles of an engine count as known."""
_SHARED: Final = 5.0
"""Seconds for which they do while one of them has the same user."""
_NAME: Final = re.compile(ROLE.strip("^$"))
"""Only such names fit a path."""
_MOST_ROLES: Final = 200
"""Other roles of one engine that are read."""
_NEVER: Final = 315_360_000
"""Seconds of a period that is set for a moment, so that a window goes: ten years."""
_SYNC: Final = {"sync": True}
"""Vault answers when the leases have ended, and not when it has taken note."""
_UNKNOWN_ROLE: Final = "no static role found"
_UNKNOWN_CONNECTION: Final = "failed to find entry for connection"
_SECRETS: Final = (
    re.compile(r"(?i)(password|identified by)\s*=?\s*(['\"]).*?\2"),
    re.compile(r"://[^/\s@]*:[^\s]*@"),
)
"""What a database may repeat of a statement or an address in its errors."""


@dataclass(frozen=True, slots=True)
class _Others:
    """The static roles of one engine, as they were read at a time."""

    read: float
    users: dict[str, tuple[str, str]]
    """Connection and user by role."""


class VaultRoles:
    """Rotates roles of database engines with the login for rotations."""

    def __init__(self, client: VaultClient, backend: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._backend = backend
        self._clock = clock
        self._others: dict[str, _Others] = {}

    async def look(self, role: DatabaseRole) -> RoleFacts:
        """Read a static role; nothing is asked of the others, since Vault tells nothing of their last rotation."""
        if role.kind is not DatabaseKind.STATIC:
            return RoleFacts(present=True)
        call = Call("GET", f"{role.engine}/static-roles/{role.name}")
        answer = await self._client.request(call)
        twins = await self._twins(role, anew=answer.absent) if role.declare is not None else ()
        if answer.absent:
            return RoleFacts(present=False, twins=twins)
        settings = _settings(answer, call.what)
        revision, made = _last_rotation(answer.data.get("last_vault_rotation"), call.what)
        return RoleFacts(True, revision, made, settings, twins)

    async def rotate(self, role: DatabaseRole) -> None:
        """Rotate a role or a connection's user, or end leases: one request."""
        calls = {
            DatabaseKind.STATIC: Call("POST", f"{role.engine}/rotate-role/{role.name}", {}),
            DatabaseKind.ROOT: Call("POST", f"{role.engine}/rotate-root/{role.name}", {}),
            DatabaseKind.DYNAMIC: Call("PUT", f"sys/leases/revoke-prefix/{role.engine}/creds/{role.name}", _SYNC),
        }
        await self._send(calls[role.kind], role)

    async def declare(self, role: DatabaseRole, settings: RoleSettings, found: RoleSettings | None) -> None:
        """Make a static role, or change by what an existing one is rotated."""
        path = f"{role.engine}/static-roles/{role.name}"
        who: dict[str, object] = {"db_name": settings.connection, "username": settings.username}
        if found is None:
            # The default of the connection may be to leave the password as it is: Vault would then have none to serve.
            who["skip_import_rotation"] = False
        elif found.window and settings.schedule and not settings.window:
            # Vault keeps the window of a schedule until a period has taken its place.
            await self._send(Call("POST", path, {**who, "rotation_period": _NEVER}), role)
        await self._send(Call("POST", path, {**who, **_timing(settings)}), role)

    async def remove(self, role: DatabaseRole) -> None:
        """Remove a static role."""
        await self._client.request(Call("DELETE", f"{role.engine}/static-roles/{role.name}"))

    async def _send(self, call: Call, role: DatabaseRole) -> None:
        """Send a write. Raises DatabaseRoleAbsent, DatabaseRefused, and what the client raises."""
        failure: AirwardenError
        try:
            await self._client.request(call)
        except Rejected as error:
            absent = _UNKNOWN_ROLE in error.message
            failure = Rejected(_redacted(error.message))
        except StoreFailed as error:
            absent = _UNKNOWN_CONNECTION in error.message
            failure = DatabaseRefused(f"{_redacted(error.message)}. What Vault serves stays as it was")
        else:
            return
        if absent:
            raise DatabaseRoleAbsent(
                f"Vault does not know {named(role)}: correct databaseRole, or have its administrator make what lacks"
            )
        raise failure

    async def _twins(self, role: DatabaseRole, *, anew: bool) -> tuple[str, ...]:
        """Return other static roles for the same user, as far as the login may see them."""
        if role.declare is None:
            return ()
        known = self._others.get(role.engine)
        age = self._clock() - known.read if known is not None else _FRESH
        found = _twins_in(known, role)
        # Read anew where it matters: before a role is made, and while there is a twin that may be gone by now.
        if anew or age >= _FRESH or (found and age > _SHARED):
            self._others[role.engine] = known = _Others(self._clock(), await self._users(role.engine))
            found = _twins_in(known, role)
        return found

    async def _users(self, engine: str) -> dict[str, tuple[str, str]]:
        """Return connection and user of the engine's static roles; none where the login may not see them."""
        found: dict[str, tuple[str, str]] = {}
        try:
            listed = (await self._client.request(Call("LIST", f"{engine}/static-roles"))).data.get("keys")
            names = [each for each in listed if isinstance(each, str)] if isinstance(listed, list) else []
            for name in [each for each in names if _NAME.fullmatch(each)][:_MOST_ROLES]:
                call = Call("GET", f"{engine}/static-roles/{name}")
                answer = await self._client.request(call)
                if not answer.absent:
                    settings = _settings(answer, call.what)
                    found[name] = (settings.connection, settings.username)
        except Forbidden:
            return found
        return found


def _twins_in(known: _Others | None, role: DatabaseRole) -> tuple[str, ...]:
    if known is None or role.declare is None:
        return ()
    user = (role.declare.connection, role.declare.username)
    return tuple(sorted(name for name, each in known.users.items() if each == user and name != role.name))


def _timing(settings: RoleSettings) -> dict[str, object]:
    if settings.period:
        return {"rotation_period": settings.period}
    window = {"rotation_window": settings.window} if settings.window else {}
    return {"rotation_schedule": settings.schedule, **window}


def _settings(answer: Answer, what: str) -> RoleSettings:
    """Return what a read of a static role says. Raises StoreFailed."""
    data = answer.data
    connection, username = data.get("db_name"), data.get("username")
    schedule = data.get("rotation_schedule", "")
    if not isinstance(connection, str) or not isinstance(username, str) or not isinstance(schedule, str):
        raise _senseless(what)
    period, window = (_seconds(data.get(f"rotation_{each}"), what) for each in ("period", "window"))
    return RoleSettings(connection, username, period, " ".join(schedule.split()), window)


def _seconds(value: JSONValue, what: str) -> int:
    if value is None:
        return 0
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise _senseless(what)
    return int(value)


def _last_rotation(value: JSONValue, what: str) -> tuple[str, datetime | None]:
    """Return what Vault says of the last rotation, as it says it, and as a time; it was never rotated where it is None.

    A time of Go's has up to nine digits after the second, of which a Python one holds six.
    """
    if value is None:
        return "never", None
    try:
        found = datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", value)) if isinstance(value, str) else None
    except ValueError:
        found = None
    if found is None or found.tzinfo is None or not isinstance(value, str):
        raise _senseless(what)
    return value, found.astimezone(UTC)


def _redacted(message: str) -> str:
    for each in _SECRETS:
        message = each.sub("[redacted]", message)
    return message


def _senseless(what: str) -> StoreFailed:
    return StoreFailed(f"Vault answered {what} with something else than a database engine says: is it one?")
