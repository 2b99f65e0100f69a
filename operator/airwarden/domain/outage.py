"""The words in which an outage was first said, kept for as long as it lasts.

The same outage shows as refused, timed out, sealed or throttled by turns; each new wording would be a write per
binding. Pure; called by `airwarden.domain.report`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from airwarden.api.conditions import Condition, SecretState, SecretStatus, Status, Target, TargetState
from airwarden.api.reasons import Reason
from airwarden.domain import alone
from airwarden.domain.desired import Plan
from airwarden.domain.progress import Fault, Progress

_OUTAGE = frozenset({Reason.BACKEND_UNREACHABLE, Reason.BACKEND_SEALED, Reason.BACKEND_THROTTLED, Reason.BACKEND_ERROR})
"""Faces of one outage: a store that goes down, restarts and is unsealed shows several of them in turn."""
_GONE: Final = frozenset(
    each.word for each in (Reason.MOUNT_MISSING, Reason.VAULT_NOT_FOUND, Reason.VAULT_SOFT_DELETED)
)
"""What held the access is not there: the access is not either, whatever was acknowledged."""


def steadied(previous: Status, plan: Plan, parts: Mapping[str, Progress]) -> dict[str, Progress]:
    """Return the parts with the words of a lasting outage kept as they were first said.

    The same outage shows as refused, timed out, sealed or throttled by turns; each new wording would be a
    write per binding. What is so at the moment stands in the backend's own status.
    """
    ready = previous.condition("Ready")
    if ready is None or ready.status == "True":
        return dict(parts)
    said = _said(previous, plan)
    return {name: _reworded(part, said.get(name, ready)) for name, part in parts.items()}


def still_gone(previous: Status, plan: Plan, parts: Mapping[str, Progress]) -> dict[str, Progress]:
    """Return the parts in which access that was known to be gone is so until its store can be looked at again.

    That what held it cannot be asked now does not bring it back, nor does what else failed since: the record tells.
    """
    said: dict[str, SecretStatus | Target] = {**_said(previous, plan), **_noted(previous.targets)}
    return {
        name: replace(part, unverified=False, fault=Fault(_reason(before.reason), before.message))
        if part.unverified and (before := said.get(name)) is not None and before.reason in _GONE
        else part
        for name, part in parts.items()
    }


def noted(targets: Sequence[Target], previous: Sequence[Target], parts: Mapping[str, Progress]) -> tuple[Target, ...]:
    """Return the targets; those whose store is known to have lost them say so until it is looked at as a whole.

    What is said of a binding or of its secrets is said anew by each pass, and may then be of something else.
    """
    before = _noted(previous)
    gone: dict[str, dict[str, str]] = {}
    for name, part in parts.items():
        if part.seen:
            continue
        if part.fault is not None and part.fault.reason.word in _GONE:
            gone[name] = {"reason": part.fault.reason.word, "message": part.fault.message}
        elif name in before:
            gone[name] = {"reason": before[name].reason, "message": before[name].message}
    return tuple(
        each.model_copy(update=gone[each.backend])
        if each.backend in gone and each.state is TargetState.PRESENT
        else each
        for each in targets
    )


def _noted(targets: Sequence[Target]) -> dict[str, Target]:
    """Return, by backend, a target that says that it is gone with what held it."""
    return {each.backend: each for each in targets if each.state is TargetState.PRESENT and each.reason in _GONE}


def _said(previous: Status, plan: Plan) -> dict[str, SecretStatus]:
    """Return what was said of the first secret that failed in each store."""
    failed = {(each.type, each.id): each for each in previous.secrets if each.state is SecretState.FAILED}
    said: dict[str, SecretStatus] = {}
    for decision in plan.decisions:
        if (before := failed.get((decision.type, decision.id))) is not None:
            said.setdefault(decision.backend, before)
    return said


def _reworded(part: Progress, said: Condition | SecretStatus) -> Progress:
    fault = part.fault
    if fault is None or not fault.retryable or alone.only_alone(part) or not same_outage(fault.reason, said.reason):
        return part
    same = replace(fault, reason=_reason(said.reason), message=said.message)
    return replace(part, fault=same, failed=dict.fromkeys(part.failed, same))


def _reason(word: str) -> Reason:
    return next(each for each in Reason if each.word == word)


def same_outage(reason: Reason, said: str) -> bool:
    """Tell whether a reason is the one that was said before, or another face of the same outage."""
    return reason.word == said or (reason in _OUTAGE and said in {each.word for each in _OUTAGE})


_EXIT: Final = (
    "; if that store is gone for good, remove the finalizer airwarden.dev/revoke-access by hand: "
    "what the store still holds is then yours to remove"
)


_BY_ITSELF: Final = (
    "; nothing has failed: Airwarden comes back to it by itself{}, so leave the finalizer airwarden.dev/revoke-access "
    "where it is"
)


def deletion_message(fault: Fault, previous: Status) -> str:
    """Return why the deletion waits; the same outage keeps the words in which it was first said.

    What only waits for its turn is not told how to be let go of: the access would stay.
    """
    said = previous.condition("Ready")
    if said is not None and said.reason == Reason.DELETION_BLOCKED.word:
        cause = said.message.partition(": ")[0]
        if same_outage(fault.reason, cause):
            return said.message
    ending = _BY_ITSELF.format(_within(fault.retry_after)) if fault.reason is Reason.PENDING else _EXIT
    return f"{fault.reason.word}: {fault.message}{ending}"


def _within(seconds: float | None) -> str:
    minutes = math.ceil((seconds or 0.0) / 60)
    return f" within {minutes} minute{'s' if minutes > 1 else ''}" if minutes else ""


def reworded_deletion(part: Progress, previous: Status) -> Progress:
    """Keep the words of targets that wait for the same reason as before."""
    if part.fault is None:
        return part
    fault = part.fault
    said = next(
        (each for each in previous.targets if each.backend == part.backend and same_outage(fault.reason, each.reason)),
        None,
    )
    if said is None or not said.message:
        return part
    same = replace(fault, reason=_reason(said.reason), message=said.message)
    return replace(part, failed=dict.fromkeys(part.failed, same))
