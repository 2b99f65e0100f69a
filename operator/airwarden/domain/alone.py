"""What failed of one secret alone, in stores that have an object for each secret.

Such an object stands by itself: when it cannot be written, or is somebody else's, its own secret has failed and no
other. Pure; called by `airwarden.domain.report` and `airwarden.domain.outage`.
"""

from airwarden.api.reasons import Reason
from airwarden.domain import drift
from airwarden.domain.progress import Fault, Progress
from airwarden.domain.resources import Address, Readable


def troubles(part: Progress) -> dict[Address, Fault]:
    """Return what stands in the way at each address: a write that failed, or an object that is not ours."""
    conflicts = part.changes.conflicts if part.changes is not None else ()
    foreign = {each.address: Fault(Reason.NOT_OWNED, each.message, retryable=False) for each in conflicts}
    reported = part.changes.reported if part.changes is not None else {}
    left = {each: Fault(Reason.DRIFTED, drift.said({each: text}), retryable=False) for each, text in reported.items()}
    return {**left, **foreign, **part.failed}


def only_alone(part: Progress) -> bool:
    """Tell whether nothing is wrong but objects that stand by themselves."""
    if part.partly:
        return False
    found = troubles(part)
    broken_off = part.fault is not None and part.fault not in part.failed.values()
    return bool(found) and not broken_off and found.keys() <= part.alone


def of_secret(part: Progress, secret: Readable) -> Fault | None:
    """Return what is wrong with one secret where `only_alone` holds; None when it is none of those that failed."""
    found = troubles(part)
    known = {each.operation.address for each in part.done} | set(
        part.changes.present if part.changes is not None else ()
    )
    for address in sorted(each for each, opened in part.opens.items() if opened == secret):
        if address in found:
            return found[address]
        if address not in known:
            return Fault(Reason.PENDING, f"{address} is not written yet")
    return None
