"""When what was written takes effect, in stores that acknowledge a write before they act on it.

Ready says that everything is written and was read back; the condition Effective says whether the store has had the
time that it may take. Time alone moves it on, so it comes with the moment of the next look. Pure; called by
`airwarden.domain.report` and `airwarden.reconcile.bindings`.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from airwarden.api.binding import AirflowSecretBinding
from airwarden.api.conditions import Condition, Status, Target, TargetState
from airwarden.api.fields import duration_text, moment, moment_text
from airwarden.api.reasons import Reason
from airwarden.domain.conditions import Said, stated
from airwarden.domain.lifetime import Turn

EFFECTIVE: Final = "Effective"
"""Type of the condition."""


def condition(
    binding: AirflowSecretBinding, previous: Status, targets: Sequence[Target], lags: Mapping[str, float], now: str
) -> Condition | None:
    """Return the condition; None for a binding with nothing in a store that lags."""
    at = acts_at(targets, lags)
    if at is None:
        return None
    longest = duration_text(int(max(lags.values())))
    if moment(now) < at:
        message = f"what was written last acts by {moment_text(at)}: the store may take {longest} to act on a change"
        said = Said("Unknown", Reason.PROPAGATING, message)
    else:
        message = f"the store has had the {longest} that it may take to act on what was written last"
        said = Said("True", Reason.EFFECTIVE, message)
    return stated(previous.condition(EFFECTIVE), EFFECTIVE, said, binding.metadata.generation, now)


def acts_at(targets: Sequence[Target], lags: Mapping[str, float]) -> datetime | None:
    """Return by when everything that is recorded as present acts; None where nothing is in a store that lags."""
    found = [
        moment(each.last_applied_time) + timedelta(seconds=lags[each.backend])
        for each in targets
        if lags.get(each.backend) and each.state is TargetState.PRESENT and each.last_applied_time
    ]
    return max(found, default=None)


def turn(status: Status, lags: Mapping[str, float]) -> Turn | None:
    """Return when the condition is to be looked at again; None when it stands."""
    shown = status.condition(EFFECTIVE)
    if shown is None or shown.status == "True":
        return None
    at = acts_at(status.targets, lags)
    return Turn(at, tightens=False) if at is not None else None
