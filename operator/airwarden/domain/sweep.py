"""What no binding owns, and what of it may be removed now: the rules of the sweep.

Unknown is not absent, and a list of bindings that lacks many of them may itself be what is wrong: then nothing is
removed without a person. Pure; called by `airwarden.reconcile.sweep` and by `airwarden sweep`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from airwarden.domain.holdings import Holding, Use, owns

Key = tuple[str, str]
"""Namespace and name of a binding."""
FEW: Final = 5
SHARE: Final = 5
"""More than FEW, and more than one in SHARE, go only when a person has confirmed it."""
MOST: Final = 64
"""How many are on the record of a backend; the others come when these are gone."""
_FORM: Final = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(frozen=True, slots=True)
class Judged:
    """What one look at a store and at the bindings says."""

    since: Mapping[Holding, str]
    """Everything here that no binding lays claim to, and when that was first seen, RFC 3339; the oldest first."""
    due: tuple[Holding, ...] = ()
    """Those that may be removed now."""
    held: str = ""
    """Why nothing may be removed without confirmation."""


def judge(
    here: Iterable[Holding],
    users: Mapping[Key, Use],
    seen: Mapping[str, str],
    now: datetime,
    grace: float,
) -> Judged:
    """Return what of one backend no binding lays claim to, and what of that may be removed.

    ``here`` is what the store has under the backend's name. ``users`` are all bindings of the cluster, each with what
    it uses; the list must be live and complete. ``seen`` says when an orphan, by its text, was first seen; ``grace``
    is in seconds from then. A record without an account, where nothing here is without one, is that of each account.
    """
    holdings = frozenset(here)
    names = {str(each) for each in holdings}
    earlier = {each: "" if str(each.owner) in names else seen.get(str(each.owner), "") for each in holdings}
    orphans = [each for each in holdings if not owns(users.get((each.owner.namespace, each.owner.binding)), each)]
    since = {each: _first_seen(seen.get(str(each)) or earlier[each], now) for each in orphans}
    oldest = sorted(orphans, key=lambda each: (since[each], each.order))
    held = held_back(len(orphans), len(holdings), bindings=len(users))
    ripe = [each for each in oldest[:MOST] if (now - read_time(since[each])).total_seconds() >= grace]
    return Judged({each: since[each] for each in oldest}, () if held else tuple(ripe), held)


def held_back(orphans: int, owners: int, *, bindings: int) -> str:
    """Return why so many must not be removed without confirmation; empty when they may be."""
    if orphans and not bindings:
        return f"{orphans} of {owners} have no binding, and the API server lists no binding at all"
    if orphans > FEW and orphans * SHARE > owners:
        return f"{orphans} of {owners} have no binding, more than {FEW} and more than one in {SHARE}"
    return ""


def read_time(text: str) -> datetime:
    """Return a time as `show_time` writes it. Raises ValueError for anything else."""
    return datetime.strptime(text, _FORM).replace(tzinfo=UTC)


def show_time(moment: datetime) -> str:
    """Return a time as Kubernetes writes it, in whole seconds."""
    return moment.astimezone(UTC).strftime(_FORM)


def _first_seen(text: str, now: datetime) -> str:
    """Return when it was first seen: now, if nothing that can be is on the record."""
    try:
        return text if read_time(text) <= now else show_time(now)
    except ValueError:
        return show_time(now)
