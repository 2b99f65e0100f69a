"""Airflow's door to bound secrets: `[workers] secrets_backend = airflow_airwarden.backend.AirwardenBackend`.

Airflow imports this module and makes the backend in every process, so nothing is loaded or looked at here before the
first lookup. A bound secret that cannot be read ends Airflow's search: whatever goes wrong, the answer is
AirflowSecretsBackendAccessDenied, since Airflow takes any other exception for "ask the next source".
"""

from __future__ import annotations

from airflow_airwarden import airflow_version  # noqa: F401 - first: of what else is imported, older Airflow has not all

# isort: split

import asyncio
import sys
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING, Any, TypeVar

from airflow.secrets import BaseSecretsBackend

from airflow_airwarden.processes import THIS_PROCESS
from airflow_airwarden.settings import settings_of

if TYPE_CHECKING:
    from airflow_airwarden.sessions import Found, Session

T = TypeVar("T")


class AirwardenBackend(BaseSecretsBackend):
    """Reads the connections, variables and options that the task's own binding holds."""

    def __init__(self, **kwargs: object) -> None:
        super().__init__()
        self._settings = settings_of(kwargs)

    def __repr__(self) -> str:
        """Name the map; there is nothing else to show."""
        return f"AirwardenBackend(map_path={self._settings.map_path!r})"

    def get_connection(self, conn_id: str, team_name: str | None = None) -> Any:  # noqa: ARG002 - a map has no teams
        """Return a bound connection, or None for an id that is not bound."""
        return self._guarded("Connection", conn_id, self._connection)

    async def aget_connection(self, conn_id: str) -> Any:
        """Do the same for a trigger, whose event loop goes on meanwhile."""
        session = None
        try:
            session = THIS_PROCESS.session(self._settings)
            found = await asyncio.to_thread(session.look_up, "Connection", conn_id)
            return None if found is None else await self._aconnection(found)
        except Exception as error:  # noqa: BLE001 - see _guarded
            why = _why(error)
        raise _denial("Connection", conn_id, session, why)

    def get_conn_value(self, conn_id: str, team_name: str | None = None) -> str | None:  # noqa: ARG002 - no teams
        """Return a bound connection as a URI, for callers of this older method."""
        return self._guarded("Connection", conn_id, lambda found: str(self._connection(found).get_uri()))

    def get_variable(self, key: str, team_name: str | None = None) -> str | None:  # noqa: ARG002 - a map has no teams
        """Return a bound variable, or None for a key that is not bound."""
        as_json = _wants_json(sys._getframe(1))  # noqa: SLF001 - Airflow tells a backend nothing of it
        return self._guarded("Variable", key, _json if as_json else _text)

    def get_config(self, key: str) -> str | None:
        """Return a bound option, or None for a key that is not bound."""
        return self._guarded("Config", key, _text)

    def _connection(self, found: Found) -> Any:
        from airflow_airwarden.masking import mask  # noqa: PLC0415 - only where something was found
        from airflow_airwarden.rehearsal import rehearse  # noqa: PLC0415 - only where something was found

        made, secret = self._made(found)
        mask(secret)
        rehearse(made, found)
        return made

    async def _aconnection(self, found: Found) -> Any:
        from airflow_airwarden.masking import amask  # noqa: PLC0415 - only where something was found
        from airflow_airwarden.rehearsal import arehearse  # noqa: PLC0415 - only where something was found

        made, secret = self._made(found)
        await amask(secret)
        await arehearse(made, found)
        return made

    def _made(self, found: Found) -> tuple[Any, list[str]]:
        """Return the connection in the class that Airflow wants here, and what is secret about it."""
        from airflow_airwarden import connections  # noqa: PLC0415 - only where something was found

        payload = connections.connection_payload(found.secret, found.reading.values)
        wanted = self._get_connection_class()
        if payload.uri:
            made = self._deserialize_connection_value(wanted, found.secret.id, payload.uri)
        else:
            made = wanted(conn_id=found.secret.id, **payload.parts)
        return made, connections.masked(payload, found.reading.values)

    def _guarded(self, kind: str, wanted: str, take: Callable[[Found], T]) -> T | None:
        """Return what was found, taken apart and masked, or None for an id that is not bound; all else is a denial."""
        session = None
        try:
            session = THIS_PROCESS.session(self._settings)
            found = session.look_up(kind, wanted)
            return None if found is None else take(found)
        except Exception as error:  # noqa: BLE001 - anything else than a denial would open the next source
            why = _why(error)
        raise _denial(kind, wanted, session, why)


def _text(found: Found) -> str:
    from airflow_airwarden.connections import text_payload  # noqa: PLC0415 - only where something was found
    from airflow_airwarden.masking import mask  # noqa: PLC0415 - only where something was found

    text = text_payload(found.secret, found.reading.values)
    mask([text])
    return text


def _json(found: Found) -> str:
    from airflow_airwarden.rehearsal import rehearse_json  # noqa: PLC0415 - only where something was found

    text = _text(found)
    rehearse_json(text, found)
    return text


def _wants_json(caller: FrameType) -> bool:
    """Tell whether Airflow reads this variable as JSON, which it does within its search: an error opens the next."""
    return caller.f_code.co_name == "_get_variable" and bool(caller.f_locals.get("deserialize_json"))


def _why(error: Exception) -> str:
    """Say why nothing is given out, with nothing imported: a process may have no file left to open."""
    errors = sys.modules.get("airflow_airwarden.errors")
    if errors is not None and isinstance(error, errors.LookupRefused):
        return str(error)
    return f"InternalError: {_where(error)}. Report it; the secret is not looked for anywhere else"


def _where(error: Exception) -> str:
    """Name an unforeseen error and its place; its own words could hold a value."""
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    place = "" if last is None else f" in {last.tb_frame.f_code.co_name}, line {last.tb_lineno}"
    return f"{type(error).__name__}{place}"


def _denial(kind: str, wanted: object, session: Session | None, why: str) -> PermissionError:
    """Return the one exception that ends Airflow's search."""
    from airflow.sdk.exceptions import AirflowSecretsBackendAccessDenied  # noqa: PLC0415 - not before it is needed

    binding = "unknown" if session is None else session.binding
    return AirflowSecretsBackendAccessDenied(
        f"Airwarden gives no {kind} {str(wanted)[:250]!r} to binding {binding}: {why}"
    )
