"""What is said of drift that a backend only reports: once when it is found, and the same for as long as it lasts.

Called by `airwarden.domain.report` and, for Events and metrics, by `airwarden.reconcile.bindings`.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from airwarden.api.conditions import Status, TargetState
from airwarden.api.reasons import Reason
from airwarden.domain.progress import Fault, Progress
from airwarden.domain.resources import Address

_LEFT: Final = "changed from outside, and left as it is since the backend only reports drift: "


def fault(part: Progress) -> Fault | None:
    """Return what keeps a binding from being Ready; None when nothing was changed from outside."""
    found = part.still_drifted if part.changes is None else part.changes.reported
    return Fault(Reason.DRIFTED, said(found), retryable=False) if found else None


def news(before: Status | None, after: Status) -> Mapping[Address, str]:
    """Return what one status says is changed from outside and the status before did not."""
    known = _drifted(before or Status())
    return {address: message for address, message in _drifted(after).items() if address not in known}


def remembered(previous: Status, parts: Mapping[str, Progress]) -> dict[str, Progress]:
    """Return the parts in which a store that could not be asked is still as it was last seen."""
    drifted = _drifted(previous)
    return {
        name: replace(part, still_drifted={each: text for each, text in drifted.items() if each.backend == name})
        if part.unverified
        else part
        for name, part in parts.items()
    }


def _drifted(status: Status) -> dict[Address, str]:
    return {
        Address(each.backend, each.kind, each.name): each.message
        for each in status.targets
        if each.state is TargetState.DRIFTED
    }


def said(found: Mapping[Address, str]) -> str:
    """Return the message of a condition or an Event that tells of them."""
    return _LEFT + "; ".join(f"{address} {message}" for address, message in sorted(found.items()))
