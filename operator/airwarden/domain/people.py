"""Which groups of people may read what a binding's tasks read: deny by default, and only what the backend lists.

Pure; called by `airwarden.domain.desired`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from airwarden.api.people import Person
from airwarden.api.reasons import Reason
from airwarden.domain.guardrails import BackendView


@dataclass(frozen=True, slots=True)
class People:
    """What was decided of the groups."""

    groups: Mapping[str, frozenset[str]]
    """Values of the groups that are let in, by backend."""
    complaints: tuple[tuple[Reason, str], ...] = ()
    """Why others are not."""


def judge_people(asked: Sequence[Person], views: Mapping[str, BackendView], backends: Iterable[str]) -> People:
    """Return the groups that each of the backends lets in, and what to say of the others."""
    groups: dict[str, frozenset[str]] = {}
    complaints: list[tuple[Reason, str]] = []
    for name in sorted(backends) if asked else ():
        view = views[name]
        if not view.takes_people:
            what = f"backend {name} lets no people in: take the secrets of people from another, or leave people out"
            complaints.append((Reason.PEOPLE_NOT_SUPPORTED, what))
            continue
        pairs = {(each.group.provider, each.group.value) for each in asked}
        groups[name] = frozenset(value for provider, value in pairs if (provider, value) in view.groups)
        complaints += [
            (Reason.GROUP_NOT_ALLOWED, f"group {value} of {provider} is not in groups of backend {name}")
            for provider, value in sorted(pairs - view.groups)
        ]
    return People(groups, tuple(complaints))
