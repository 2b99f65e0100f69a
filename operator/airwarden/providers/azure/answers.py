"""From what Azure's clients raise to the operator's own errors: each documented code once.

Texts of Azure are cut and cleared of what differs at each try, since they go into statuses. Called by
`airwarden.providers.azure.arm`.
"""

import re
import uuid
from collections.abc import Callable, Mapping
from typing import Any, Final

from azure.core.exceptions import AzureError, HttpResponseError, ServiceRequestError, ServiceResponseError

from airwarden.api.reasons import Reason
from airwarden.domain.errors import (
    AirwardenError,
    Forbidden,
    InvalidSettings,
    NotOwned,
    PartThrottled,
    Rejected,
    StoreFailed,
    Unauthorized,
    Unreachable,
)

_VOLATILE: Final = re.compile(r"\s*(Trace ID|Correlation ID|Timestamp|Request ID|ActivityId)\b.*", re.DOTALL)
_AADSTS: Final = re.compile(r"AADSTS\d{4,7}:.*", re.DOTALL)
_LONGEST: Final = 400
_SHORT_PAUSE: Final = 5.0
_LONGEST_PAUSE: Final = 3600.0
"""Azure refills all limits within the hour: who says more is wrong, and nothing but a restart would end it."""
OPERATOR_LACKS: Final = (
    "The operator lacks the right, the condition on its own role does not permit this role or kind of principal, or "
    "there is no such scope: compare with what airwarden azure-setup prints"
)
_CLIENT: Final = "login.clientID is the client id of the operator's identity in this tenant, not its object id"


class NotSeen(StoreFailed):
    """Azure shows no such thing to this login. That alone proves nothing."""


class ResourceMissing(NotSeen):
    """There is no such resource, for certain. Only who asked knows what that means."""


class GroupMissing(ResourceMissing):
    """There is no such resource group, nor anything in it. Who may not look into it is refused instead."""


class PrincipalNotFound(AirwardenError):
    """Entra knows no such principal: a wrong id, or one so new that it is not known everywhere yet."""

    reason = Reason.PRINCIPAL_NOT_FOUND


class PrincipalInvalid(AirwardenError):
    """The id is that of something else than what it is given as; no second try mends that."""

    reason = Reason.PRINCIPAL_INVALID
    retryable = False


class QuotaReached(AirwardenError):
    """Azure permits no more of these."""

    reason = Reason.QUOTA_REACHED


class NameTaken(StoreFailed):
    """The name of a role assignment was used before for another scope or principal."""


class AssignmentExists(NotOwned):
    """Somebody's role assignment under another name gives the same already."""

    def __init__(self, message: str, name: str) -> None:
        super().__init__(message)
        self.name = name
        """Its GUID; empty where Azure did not say."""


_ABSENT: Final = frozenset({"ResourceNotFound", "RoleAssignmentNotFound", "ParentResourceNotFound"})
"""Codes of a 404 that prove a thing absent. Others may be of a proxy, a route, or a subscription out of sight."""
REFUSED: Final = (Forbidden, Rejected, PrincipalNotFound, PrincipalInvalid, QuotaReached)
"""Answers that say for certain that a write was not done, also where an earlier try of it got no answer."""


def failure(error: AzureError, doing: str, lacking: str = OPERATOR_LACKS) -> AirwardenError:
    """Return the operator's error for one that a client of Azure raised; ``lacking`` says what a refusal may mean."""
    if isinstance(error, ServiceRequestError | ServiceResponseError):
        return Unreachable(f"{doing}: no answer: {_cut(str(error))}")
    message = _text(error)
    if from_entra(error) or not isinstance(error, HttpResponseError):
        meant = f" {_CLIENT}" if "AADSTS700016" in message else ""
        return Unauthorized(f"{doing}: Entra refused the operator's login: {_entra(message)}{meant}")
    status, code = error.status_code or 0, code_of(error)
    return _by_code(code, message, doing) or _by_status(error, status, f"{doing}: {code}: {message}", lacking)


def from_login(error: AzureError) -> str:
    """Return what a login says is wrong with it, cut."""
    return _entra(str(error.message or type(error).__name__)).rstrip(". ")


def from_entra(error: AzureError) -> bool:
    """Tell whether it was the login that was refused, and not a request with its token."""
    return "AADSTS" in str(error.message) or not isinstance(error, HttpResponseError) or error.response is None


def code_of(error: HttpResponseError) -> str:
    """Return Azure's word for what is wrong."""
    return str(getattr(error.error, "code", None) or f"HTTP {error.status_code}")


def retry_after(error: HttpResponseError) -> float | None:
    """Return for how many seconds Azure asked to be left alone, if it did; never more than an hour."""
    response: Any = error.response
    header = str(response.headers.get("Retry-After", "")) if response is not None else ""
    return min(float(header), _LONGEST_PAUSE) if header.isdecimal() else None


def _by_code(code: str, message: str, doing: str) -> AirwardenError | None:
    told = f"{doing}: {code}: {message}"
    if code == "RoleAssignmentExists":
        found = re.search(r"\b([0-9a-f]{32})\b", message)
        return AssignmentExists(told, str(uuid.UUID(found[1])) if found is not None else "")
    if "Too many Federated Identity Credentials:" in message:
        return QuotaReached(told)
    make = _CODES.get(code)
    return make(told) if make is not None else None


def _no_subscription(told: str) -> NotSeen:
    return NotSeen(
        f"{told} A login that lost its roles sees no subscription either, so nothing is taken to be gone: correct the "
        "subscription in the backend, or grant the roles again"
    )


_CODES: Final[Mapping[str, Callable[[str], AirwardenError]]] = {
    "PrincipalNotFound": lambda told: PrincipalNotFound(
        f"{told} Give the object id, not the client id of an application. If it is right, it is only new to Entra, and "
        "this is tried again",
        retry_after=_SHORT_PAUSE,
    ),
    "UnmatchedPrincipalType": lambda told: PrincipalInvalid(
        f"{told} For people give the object id of a security group, never that of a person; of an identity or "
        "application the object id of its service principal"
    ),
    "PrincipalTypeNotSupported": lambda told: PrincipalInvalid(
        f"{told} The id is that of an app registration: give the object id of its service principal, which the portal "
        "shows under enterprise applications"
    ),
    "InvalidPrincipalId": lambda told: PrincipalInvalid(f"{told} Give the object id of the group, a GUID"),
    "RoleAssignmentUpdateNotPermitted": NameTaken,
    "HashConflictOnDifferentRoleAssignmentIds": NameTaken,
    "RoleAssignmentLimitExceeded": QuotaReached,
    "ConcurrentFederatedIdentityCredentialsWritesForSingleManagedIdentity": lambda told: StoreFailed(
        told, retry_after=_SHORT_PAUSE
    ),
    "MissingSubscriptionRegistration": lambda told: InvalidSettings(
        f"{told} Register the resource provider in the subscription: az provider register"
    ),
    "ResourceGroupNotFound": GroupMissing,
    "SubscriptionNotFound": _no_subscription,
    "InvalidSubscriptionId": _no_subscription,
}


def _by_status(error: HttpResponseError, status: int, told: str, lacking: str) -> AirwardenError:
    if status == 401:
        return Unauthorized(told)
    if status == 403:
        return Forbidden(f"{told} {lacking}")
    if status == 404:
        known = code_of(error) in _ABSENT
        return ResourceMissing(told) if known else NotSeen(f"{told} That does not prove that it is gone")
    if status == 429:
        return PartThrottled(told, retry_after=retry_after(error))
    return StoreFailed(told, retry_after=retry_after(error)) if status >= 500 or status == 409 else Rejected(told)


def _text(error: AzureError) -> str:
    found = getattr(getattr(error, "error", None), "message", None)
    return _cut(str(found or error.message or type(error).__name__))


def _entra(message: str) -> str:
    found = _AADSTS.search(message)
    return _cut(found[0] if found is not None else message)


def _cut(text: str) -> str:
    words = " ".join(_VOLATILE.sub("", text).split())
    return words if len(words) <= _LONGEST else words[: _LONGEST - 1] + "…"
