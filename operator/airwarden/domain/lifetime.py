"""How access ends in time: shorter logins as the end nears, and the moments at which something changes by itself.

A task that logs in just before ``access.notAfter`` must not keep its login, and with it the leases of its
dynamic credentials, for a whole session longer. So the session is halved as the end nears. Pure: the time
comes in as a value, and the answer depends on nothing but time, end and session, so that two looks between
two steps agree and the second writes nothing. Called by `airwarden.domain.desired`, and by
`airwarden.reconcile.engine` for what must be known of a binding before its first pass.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from airwarden.api.binding import AirflowSecretBinding
from airwarden.api.conditions import Status
from airwarden.api.fields import moment, seconds
from airwarden.domain.resources import Session

FLOOR: Final = 15
"""Seconds below which no login is shortened, since a task must have the time to read. None outlives the end by more."""
LEAD: Final = timedelta(seconds=5)
"""How long before it must be so a shorter session is written: the time that a change may take to act."""


@dataclass(frozen=True, slots=True)
class Turn:
    """A moment at which a plan changes although nobody changes anything."""

    at: datetime
    tightens: bool
    """Whether access becomes less then, which is as urgent as a removal; else more may be admitted."""


def soonest(*turns: Turn | None) -> Turn | None:
    """Return the first of some turns; of two at one moment the one that tightens."""
    return min(
        (each for each in turns if each is not None), key=lambda each: (each.at, not each.tightens), default=None
    )


def ends(binding: AirflowSecretBinding) -> datetime | None:
    """Return when the binding's access ends; None when it says no end."""
    return moment(binding.spec.access.not_after) if binding.spec.access.not_after else None


def has_ended(now: datetime, not_after: datetime | None) -> bool:
    """Tell whether the end has come. At the very moment it has."""
    return not_after is not None and now >= not_after


def session_at(now: datetime, not_after: datetime | None, session: Session) -> tuple[Session, Turn | None]:
    """Return the session for logins made from now on, and when the next shorter one, or the end, is due.

    The longest lifetime is halved until a login made up to the next step ends before ``not_after``; the last
    step is `FLOOR`. A session that is shorter from the start is never made longer. From 1 h these are 8 steps.
    """
    if not_after is None:
        return session, None
    longest = session.max_ttl
    floor = min(FLOOR, longest)
    while longest > floor and now >= _step(not_after, longest):
        longest = max(longest // 2, floor)
    at = not_after if longest == floor else _step(not_after, longest)
    return Session(min(session.ttl, longest), longest), Turn(at, tightens=True)


def _step(not_after: datetime, longest: int) -> datetime:
    """Return until when logins of this lifetime may be made."""
    return not_after - timedelta(seconds=longest) - LEAD


def overdue(binding: AirflowSecretBinding, now: datetime) -> bool:
    """Tell whether the status shows what time alone has ended: access after the end, or too long a session."""
    status = binding.status or Status()
    not_after = ends(binding)
    if has_ended(now, not_after):
        return any(target.backend for target in status.targets)
    shown = _shown(status)
    return shown is not None and session_at(now, not_after, shown)[0].max_ttl < shown.max_ttl


def expected_turn(binding: AirflowSecretBinding, now: datetime) -> Turn | None:
    """Return when the binding must be looked at at the latest, judged by its status alone, before any pass."""
    not_after = ends(binding)
    if not_after is None or has_ended(now, not_after):
        return None
    shown = _shown(binding.status or Status())
    return session_at(now, not_after, shown)[1] if shown is not None else Turn(not_after, tightens=True)


def _shown(status: Status) -> Session | None:
    """Return the session that a status shows; None when it shows none, or none that can be read."""
    try:
        return Session(seconds(status.effective.session_ttl), seconds(status.effective.session_max_ttl))
    except ValueError:
        return None
