"""What one binding can hold in a store that has a fixed number of slots instead of a policy per binding.

A Vault in mode Fenced is such a store: its admin wrote the policy, and the operator only fills the slots in
it. What no slot can express is refused here, and never dropped. Pure; called by `airwarden.domain.desired`
and `airwarden.domain.report`, and by the store for what goes where.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, Self

from airwarden.api.conditions import Target, TargetState
from airwarden.api.reasons import Reason
from airwarden.domain.resources import Grant, Readable, StaticSecret

SHARED: Final = "shared/"
"""The tree beside the namespaces' own from which shared slots read."""
_LOW: Final = "; running low"


class SlotKind(StrEnum):
    """Which tree a slot reads from."""

    OWN = "own"
    SHARED = "shared"
    DYNAMIC = "dynamic"


@dataclass(frozen=True, slots=True)
class Fence:
    """The slots that the store's admin made for each account."""

    role: str
    """With which all tasks log in."""
    engine: str
    """Mount of the secrets engine of dynamic slots."""
    own: int
    shared: int
    dynamic: int
    place: str
    """Where the slots of an account are: two backends of one place share them."""
    within: str = ""
    """The part of ``place`` that is the same under every address of the store."""

    def of_store(self, store_id: str) -> Self:
        """Return the fence of a store whose id is known: it is one place under whatever address."""
        return replace(self, place=f"{store_id} {self.within}") if store_id and self.within else self

    def capacity(self, kind: SlotKind) -> int:
        """Return how many slots of a kind an account has."""
        return {SlotKind.OWN: self.own, SlotKind.SHARED: self.shared, SlotKind.DYNAMIC: self.dynamic}[kind]

    def kind(self, item: Readable, namespace: str) -> SlotKind | None:
        """Return the kind of slot that can hold the secret; None when there is none."""
        if isinstance(item, StaticSecret):
            if item.key.startswith(f"{namespace}/"):
                return SlotKind.OWN
            return SlotKind.SHARED if item.key.startswith(SHARED) else None
        fits = item.engine == self.engine and item.role.startswith(f"{namespace}.")
        return SlotKind.DYNAMIC if fits else None

    def expresses(self, namespace: str) -> str:
        """Return in words what the slots can hold."""
        found = [f"keys below {namespace}/"]
        found += [f"keys below {SHARED}"] if self.shared else []
        found += [f"roles of {self.engine} beginning with {namespace}."] if self.dynamic else []
        return ", ".join(found)


@dataclass(frozen=True, slots=True)
class Asked:
    """One secret that the rules admit. ``number`` is its place in the binding's list."""

    number: int
    backend: str
    item: Readable


def confine(
    namespace: str, asked: Sequence[Asked], fences: Mapping[str, Fence], recorded: frozenset[str]
) -> dict[int, tuple[Reason, str]]:
    """Return reason and message for each secret that does not fit, by its number.

    The secrets that are declared first get the slots, so that a new one at the end takes nothing from
    another. Where two backends share a place, the one that has something recorded keeps it.
    """
    found: dict[int, tuple[Reason, str]] = {}
    holders = _holders(asked, fences, recorded)
    filled: dict[tuple[str, SlotKind], set[Readable]] = {}
    for each in sorted(asked, key=lambda one: one.number):
        fence = fences.get(each.backend)
        if fence is None:
            continue
        if holders[fence.place] != each.backend:
            found[each.number] = (Reason.SLOTS_TAKEN, _taken(each.backend, holders[fence.place]))
            continue
        kind = fence.kind(each.item, namespace)
        if kind is None or not fence.capacity(kind):
            found[each.number] = (Reason.KEY_OUTSIDE_FENCE, _outside(each, namespace, fence))
            continue
        held = filled.setdefault((each.backend, kind), set())
        if each.item not in held and len(held) >= fence.capacity(kind):
            found[each.number] = (Reason.SLOTS_EXHAUSTED, _exhausted(each, kind, fence))
            continue
        held.add(each.item)
    return found


def usage(grants: Iterable[Grant], fences: Mapping[str, Fence]) -> str:
    """Return slots in use and present, as ``vault: own 3/32, shared 0/8, dynamic 1/8``; empty without a fence."""
    return ", ".join(_usage(each, fences[each.backend]) for each in grants if each.backend in fences)


def runs_low(text: str) -> bool:
    """Tell whether a text of `usage` says that slots of some kind will run out."""
    return _LOW in text


def annotated(targets: Sequence[Target], fences: Mapping[str, Fence]) -> tuple[Target, ...]:
    """Return the targets; those in a fenced store say that their sessions are not held."""
    return tuple(
        _annotated(each, fences[each.backend]) if each.backend in fences and each.state is TargetState.PRESENT else each
        for each in targets
    )


def _annotated(target: Target, fence: Fence) -> Target:
    message = (
        f"tasks log in with role {fence.role}: its lifetimes are those that the Vault admin chose, "
        "and access.session is not held"
    )
    return target.model_copy(update={"reason": Reason.SESSION_TTL_NOT_ENFORCED.word, "message": message})


def _holders(asked: Iterable[Asked], fences: Mapping[str, Fence], recorded: frozenset[str]) -> dict[str, str]:
    """Return the one backend of each place that may use its slots."""
    names = {each.backend for each in asked if each.backend in fences}
    found: dict[str, str] = {}
    for name in sorted(names, key=lambda each: (each not in recorded, each)):
        found.setdefault(fences[name].place, name)
    return found


def _usage(grant: Grant, fence: Fence) -> str:
    used = dict.fromkeys(SlotKind, 0)
    for item in grant.readable:
        kind = fence.kind(item, grant.owner.namespace)
        if kind is not None:
            used[kind] += 1
    counts = ", ".join(f"{kind} {count}/{fence.capacity(kind)}" for kind, count in used.items())
    low = any(count and count * 5 >= fence.capacity(kind) * 4 for kind, count in used.items())
    return f"{grant.backend}: {counts}" + (_LOW if low else "")


def _taken(backend: str, holder: str) -> str:
    return (
        f"backends {holder} and {backend} are both fenced in one Vault, where an account has one set of slots, and "
        f"{holder} uses it: take the secret from {holder}, or make a binding of its own for it"
    )


def _outside(asked: Asked, namespace: str, fence: Fence) -> str:
    item = asked.item
    what = f"key {item.key}" if isinstance(item, StaticSecret) else f"role {item.role} of engine {item.engine}"
    return (
        f"{what} fits no slot of backend {asked.backend}, which is in mode Fenced: its slots hold "
        f"{fence.expresses(namespace)}"
    )


def _exhausted(asked: Asked, kind: SlotKind, fence: Fence) -> str:
    return (
        f"all {fence.capacity(kind)} {kind} slots of backend {asked.backend} are in use by secrets declared before "
        f"this one: split the binding, or have vault.fenced.slots.{kind} raised and airwarden vault-setup applied again"
    )
