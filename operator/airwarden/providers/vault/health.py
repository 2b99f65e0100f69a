"""How a Vault is and which it is, from the one answer that needs no login.

Asked with each check, and before each login. Called by `airwarden.providers.vault.client`.
"""

from http import HTTPStatus
from typing import Final

from airwarden.domain.errors import Sealed, StoreFailed
from airwarden.providers.vault.answers import Asked, RawAnswer, interpret
from airwarden.providers.vault.transport import Call

HEALTH: Final = Call("GET", "sys/health")
_SERVING: Final = (200, 429, 473)


def read_health(raw: RawAnswer, address: str) -> tuple[str, str, float | None]:
    """Return version, id and time (seconds since 1970, if told) of a Vault that serves, an active node or a standby.

    Raises Sealed.
    """
    # A sealed Vault answers this path with a status of its own, but without errors in the body.
    readable = raw.status in (*_SERVING, HTTPStatus.SERVICE_UNAVAILABLE) and raw.body.lstrip().startswith(b"{")
    status = HTTPStatus.OK if readable else raw.status
    answer = interpret(RawAnswer(status, raw.body, raw.retry_after, raw.location), Asked(HEALTH.what, address))
    if answer.body.get("sealed") is True:
        raise Sealed(f"Vault at {address} is sealed: unseal it")
    version, cluster_id = answer.body.get("version"), answer.body.get("cluster_id", "")
    if not isinstance(version, str) or not isinstance(cluster_id, str):
        # Also what stands before a Vault answers 429 and 503: then the status says what it is.
        interpret(raw, Asked(HEALTH.what, address))
        raise StoreFailed(f"{address} answered {HEALTH.what} without a version: is it a Vault?")
    told = answer.body.get("server_time_utc")
    server_time = float(told) if isinstance(told, int | float) and not isinstance(told, bool) else None
    return version[:64], cluster_id[:256], server_time
