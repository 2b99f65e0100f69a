"""Which groups of people may read what a binding's tasks read: deny by default, and only what the backend lists.

Pure; called by `airwarden.domain.desired`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from airwarden.api.people import Person
from airwarden.api.reasons import Reason
from airwarden.domain.guardrails import BackendView
from airwarden.domain.resources import DynamicCredentials, Grant, Readable


@dataclass(frozen=True, slots=True)
class People:
    """What was decided of the groups."""

    groups: Mapping[str, frozenset[str]]
    """The groups that are let in, as the store knows them, by backend."""
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
        groups[name] = frozenset(known for each in pairs if (known := view.groups.get(each)))
        complaints += [
            (Reason.GROUP_NOT_ALLOWED, f"group {value} of {provider} {_why(view, (provider, value))} of backend {name}")
            for provider, value in sorted(pairs)
            if not view.groups.get((provider, value))
        ]
    return People(groups, tuple(complaints))


def judge_secrets(grants: Iterable[Grant]) -> tuple[tuple[Reason, str], ...]:
    """Return what to say where people are let in and nothing is there that they may read."""
    return tuple(
        (
            Reason.PEOPLE_NOT_SUPPORTED,
            f"backend {each.backend} has only credentials made for each reader, which are for tasks alone",
        )
        for each in grants
        if each.people and not each.for_people
    )


def for_people(readable: frozenset[Readable]) -> frozenset[Readable]:
    """Return what of it people may read.

    No credentials that are made for each reader: their lease would be that of a person's login, which outlives the
    binding.
    """
    return frozenset(each for each in readable if not isinstance(each, DynamicCredentials) or each.kind != "Dynamic")


def _why(view: BackendView, group: tuple[str, str]) -> str:
    return "has no vaultGroupID in groups" if group in view.groups else "is not in groups"
