"""Why a lookup was refused: one exception with a reason, what is wrong and what to do.

Raised by the map, the readers and the payload checks; `backend.py` turns it into the one exception that ends
Airflow's search. No message ever holds a value, a token or a header.
"""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """What a refusal is called in messages, in the audit line and in the metrics."""

    MAP_MISSING = "MapMissing"
    MAP_INVALID = "MapInvalid"
    MAP_VERSION_UNKNOWN = "MapVersionUnknown"
    STORE_NOT_INSTALLED = "StoreNotInstalled"
    NOT_FOR_PRODUCTION = "NotForProduction"
    UPDATE_NOT_ALLOWED = "UpdateNotAllowed"
    NOT_BOUND = "NotBound"
    NOT_GRANTED = "NotGranted"
    TOKEN_FILE_MISSING = "TokenFileMissing"  # noqa: S105 - a reason, no token
    LOGIN_REFUSED = "LoginRefused"
    ACCESS_DENIED = "AccessDenied"
    SECRET_ABSENT = "SecretAbsent"  # noqa: S105 - a reason, no secret
    SECRET_DISABLED = "SecretDisabled"  # noqa: S105 - a reason, no secret
    SECRET_NOT_YET_VALID = "SecretNotYetValid"  # noqa: S105 - a reason, no secret
    SECRET_EXPIRED = "SecretExpired"  # noqa: S105 - a reason, no secret
    STORE_UNREACHABLE = "StoreUnreachable"
    STORE_SEALED = "StoreSealed"
    STORE_BUSY = "StoreBusy"
    STORE_FAILED = "StoreFailed"
    PAYLOAD_INVALID = "PayloadInvalid"
    INTERNAL_ERROR = "InternalError"


class LookupRefused(Exception):
    """The secret is not given out, whatever other sources may hold."""

    def __init__(self, reason: Reason, wrong: str, next_step: str) -> None:
        super().__init__(f"{reason}: {wrong}. {next_step}")
        self.reason = reason
        self.wrong = wrong


def task_ended() -> LookupRefused:
    """Refuse a thread that lives on after its task: nobody would give up a login that it makes."""
    return LookupRefused(
        Reason.STORE_UNREACHABLE,
        "the task has ended, and its logins were given up",
        "Look it up before the task ends",
    )


class Unavailable(Exception):
    """A store does not serve now: another address, or the same one later, may. Readers try again within bounds."""

    def __init__(self, reason: Reason, wrong: str, retry_after: float = 0.0) -> None:
        super().__init__(wrong)
        self.reason = reason
        self.wrong = wrong
        self.retry_after = retry_after
