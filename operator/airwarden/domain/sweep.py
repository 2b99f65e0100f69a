"""What no binding owns, and what of it may be removed now: the rules of the sweep.

Unknown is not absent, and a list of bindings that lacks many of them may itself be what is wrong: then nothing is
removed without a person. Pure; called by `airwarden.reconcile.sweep` and by `airwarden sweep`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from airwarden.domain.owner import Owner

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

    since: Mapping[Owner, str]
    """Every owner here without a binding, and when that was first seen, RFC 3339; the oldest first."""
    due: tuple[Owner, ...] = ()
    """Those that may be removed now."""
    held: str = ""
    """Why nothing may be removed without confirmation."""


def judge(
    here: Iterable[Owner],
    users: Mapping[Key, frozenset[str]],
    seen: Mapping[str, str],
    now: datetime,
    grace: float,
) -> Judged:
    """Return the owners of one backend that no binding owns, and which of them may be removed.

    ``here`` are the owners that the store has under the backend's name. ``users`` are all bindings of the cluster,
    each with the backends that it names or has something recorded in; the list must be live and complete. ``seen``
    says when an orphan, as namespace/name, was first seen; ``grace`` is in seconds from then.
    """
    owners = frozenset(here)
    orphans = sorted(owner for owner in owners if owner.backend not in users.get((owner.namespace, owner.binding), ()))
    since = {owner: _first_seen(seen.get(str(owner), ""), now) for owner in orphans}
    oldest = sorted(orphans, key=lambda owner: (since[owner], owner))
    held = held_back(len(orphans), len(owners), bindings=len(users))
    ripe = [owner for owner in oldest[:MOST] if (now - read_time(since[owner])).total_seconds() >= grace]
    return Judged({owner: since[owner] for owner in oldest}, () if held else tuple(ripe), held)


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
