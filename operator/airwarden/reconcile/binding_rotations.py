"""The rotations of a binding's secrets: those that its `spec.rotation` makes, and what it shows of all of them.

Looking costs no request, since rotations are watched; a binding that says nothing of rotations and whose secrets have
none costs nothing at all. Called by `airwarden.reconcile.bindings` within a pass.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import structlog
from pydantic import ValidationError

from airwarden.api.binding import AirflowSecretBinding
from airwarden.api.conditions import RotationSeen, Status
from airwarden.api.fields import moment_text
from airwarden.api.rotation import RotationSpec, RotationStatus
from airwarden.domain.errors import AirwardenError
from airwarden.domain.owner import Owner
from airwarden.domain.progress import Fault
from airwarden.domain.rotation import bound, sugar
from airwarden.domain.rotation.bound import Bound, Rotated
from airwarden.domain.rotation.sugar import Action, Difference, Found, Step
from airwarden.domain.rotation.targets import read_from
from airwarden.providers.kubernetes.rotations import Rotations, has_labels_of
from airwarden.reconcile.queue import Key
from airwarden.reconcile.rotation_cache import RotationCache, RotationEntry

log = structlog.get_logger("airwarden.binding_rotations")
_NONE: Final = Rotated()


@dataclass(frozen=True, slots=True)
class RotationsTools:
    """What it needs of the world."""

    cluster: str
    cache: RotationCache
    writer: Rotations
    clock: Callable[[], datetime]


class BindingRotations:
    """Makes, sets right and removes the rotations of bindings."""

    def __init__(self, tools: RotationsTools) -> None:
        self._tools = tools
        self._deleted: dict[Key, frozenset[str]] = {}
        """Uids of rotations that were deleted and are still in the cache, by binding."""

    async def establish(self, binding: AirflowSecretBinding) -> Rotated:
        """Make the binding's rotations as it declares them; return what there is to say of all that it reads.

        Never raises AirwardenError: what hinders a rotation does not hinder the access.
        """
        owner = self._owner((binding.metadata.namespace, binding.metadata.name))
        difference = self._difference(binding, owner)
        removed, fault = await self._take_all(owner, difference.steps)
        found = self._bound(binding, owner)
        if not (found or removed or difference.taken or fault):
            return _NONE
        return Rotated(found, difference.taken, tuple(removed), fault)

    async def remove(self, key: Key) -> Fault | None:
        """Delete all rotations that a binding made; return why that failed."""
        owner = self._owner(key)
        steps = self._without(owner, sugar.difference((), self._ours(owner), suspended=True)).steps
        _, fault = await self._take_all(owner, steps)
        if fault is None:
            # The binding goes: no pass of it comes that would drop the note.
            self._deleted.pop(key, None)
        return fault

    def shows_what_is_so(self, binding: AirflowSecretBinding) -> bool:
        """Tell whether the rotations are as declared, and the status says of all of them what a pass would say."""
        owner = self._owner((binding.metadata.namespace, binding.metadata.name))
        difference = self._difference(binding, owner)
        status = binding.status or Status()
        rotated = Rotated(self._bound(binding, owner), difference.taken)
        told = bound.told(binding, status, status.secrets, rotated)
        shown = status.condition(bound.HEALTHY)
        said = (shown.status == "True", shown.reason, shown.message) if shown is not None else None
        would = (told.healthy, told.health.reason.word, told.health.message) if told.health is not None else None
        return not difference.steps and told.rotations == status.rotations and said == would

    def _owner(self, key: Key) -> Owner:
        return Owner(self._tools.cluster, *key)

    def _difference(self, binding: AirflowSecretBinding, owner: Owner) -> Difference:
        wanted = sugar.wanted(binding)
        there = list(self._ours(owner))
        known = {each.name for each in there}
        for each in wanted:
            entry = self._tools.cache.rotations.get((owner.namespace, each.name))
            if entry is not None and each.name not in known:
                there.append(_found(entry, owner))
        return self._without(owner, sugar.difference(wanted, there, suspended=binding.spec.suspend))

    def _ours(self, owner: Owner) -> list[Found]:
        """Return what carries the binding's labels and a name that its rotations have."""
        entries = self._tools.cache.made_for((owner.namespace, owner.binding))
        return [each for each in (_found(entry, owner) for entry in entries) if each.ours]

    def _without(self, owner: Owner, difference: Difference) -> Difference:
        """Return the difference without what was deleted already, and is in the cache until its event comes."""
        key = (owner.namespace, owner.binding)
        deleted = self._deleted.get(key)
        if deleted is None:
            return difference
        there = {each.uid for each in self._tools.cache.made_for(key)}
        if deleted & there:
            self._deleted[key] = deleted & there
        else:
            del self._deleted[key]
        kept = (each for each in difference.steps if each.action is Action.CREATE or each.uid not in deleted)
        return Difference(tuple(kept), difference.taken)

    async def _take_all(self, owner: Owner, steps: Iterable[Step]) -> tuple[list[RotationSeen], Fault | None]:
        """Take steps until one fails; return what was removed for good, and why the rest was not done."""
        removed: list[RotationSeen] = []
        for step in steps:
            try:
                removed += await self._take(owner, step)
            except AirwardenError as error:
                log.warning("rotation of a binding", binding=str(owner), reason=error.reason.word, error=error.message)
                return removed, Fault.of(error, doing=f"{step.action.value} rotation {owner.namespace}/{step.name}")
        return removed, None

    async def _take(self, owner: Owner, step: Step) -> list[RotationSeen]:
        """Take one step; return the rotation as it was, if it is removed for good."""
        writer, key = self._tools.writer, (owner.namespace, owner.binding)
        last = self._tools.cache.rotations.get((owner.namespace, step.name))
        if step.action in (Action.DELETE, Action.REPLACE):
            await writer.delete(owner, step.name, step.uid)
            self._deleted[key] = self._deleted.get(key, frozenset()) | {step.uid}
        if step.wanted is None:
            when = moment_text(self._tools.clock())
            return [_left(last, when)] if last is not None else []
        if step.action is Action.CORRECT:
            body = await writer.correct(owner, step.name, step.uid, step.wanted.spec)
        else:
            body = await writer.create(owner, step.name, step.wanted.spec)
        self._tools.cache.learn(body)
        return []

    def _bound(self, binding: AirflowSecretBinding, owner: Owner) -> tuple[Bound, ...]:
        places = {(item.backend_ref.name, read_from(item)) for item in binding.spec.secrets}
        deleted = self._deleted.get((owner.namespace, owner.binding), frozenset())
        entries = {
            entry.key: entry
            for _, claim in sorted(places)
            for entry in self._tools.cache.of_secret(claim)
            if (entry.backend, claim) in places and entry.uid not in deleted
        }
        return tuple(
            Bound(each.backend, each.claims[0], _seen(each), _found(each, owner).ours, judged=each.judged)
            for each in entries.values()
        )


def _found(entry: RotationEntry, owner: Owner) -> Found:
    raw = entry.load()
    try:
        spec = RotationSpec.model_validate(raw["spec"])
    except ValidationError:
        spec = None
    namespace, name = entry.key
    labelled = has_labels_of(raw["metadata"].get("labels") or {}, owner)
    return Found(
        name,
        entry.uid,
        ours=labelled and namespace == owner.namespace and sugar.is_name_of(owner.binding, name),
        deleting=entry.deleting,
        target=(entry.backend, entry.secret, str(raw["spec"].get("field", ""))),
        spec=spec,
    )


def _seen(entry: RotationEntry) -> RotationSeen:
    return bound.seen("/".join(entry.key), RotationStatus.model_validate(entry.load()["status"]))


def _left(entry: RotationEntry, when: str) -> RotationSeen:
    """Return the last state of a rotation that is gone."""
    return _seen(entry).model_copy(update={"next": "", "reason": "", "message": "", "removed": when})
