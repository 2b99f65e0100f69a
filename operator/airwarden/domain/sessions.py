"""Which lifetimes of a task's login a store can hold to: any that is asked for, one of its own, or none.

Each provider says it of its store; `airwarden.domain.guardrails` refuses where a rule requires what the store cannot
keep, and `airwarden.domain.report` promises nothing that it does not. Pure.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from airwarden.api.conditions import Target, TargetState
from airwarden.api.reasons import Reason


@dataclass(frozen=True, slots=True)
class SessionRange:
    """The lifetimes, in seconds, after which a store itself ends a login."""

    shortest: int = 1
    longest: int | None = None
    """None: as long as a rule permits."""

    def keeps(self, asked: int, permitted: int) -> bool:
        """Tell whether the store ends logins by then: ``asked`` by a binding (0: nothing), ``permitted`` by a rule."""
        return self.shortest <= (asked or permitted)


PER_BINDING: Final = SessionRange()
"""The lifetime is each binding's own."""


def fixed(seconds: int) -> SessionRange:
    """Return the range of a store in which every login lasts equally long."""
    return SessionRange(seconds, seconds)


def unenforced(ranges: Mapping[str, SessionRange | None]) -> frozenset[str]:
    """Return the backends whose stores end no login in time."""
    return frozenset(name for name, found in ranges.items() if found is None)


def annotated(targets: Sequence[Target], backends: Iterable[str]) -> tuple[Target, ...]:
    """Return the targets; those in these backends say that nobody ends their sessions in time."""
    told = frozenset(backends)
    return tuple(
        each.model_copy(update={"reason": Reason.SESSION_TTL_NOT_ENFORCED.word, "message": _NOT_ENDED})
        if each.backend in told and each.state is TargetState.PRESENT and not each.reason
        else each
        for each in targets
    )


_NOT_ENDED: Final = "the store decides how long a login lasts, and access.session is not held"
