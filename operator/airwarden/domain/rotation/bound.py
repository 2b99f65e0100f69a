"""What a binding says of the rotations of its secrets: when the next is, when the last was, and what is wrong.

Pure: what says the same as before is equal to it, so that it is not written again. Called by
`airwarden.domain.report`, and by `airwarden.reconcile.binding_rotations` to tell whether a binding shows what is so.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from airwarden.api.binding import AirflowSecretBinding
from airwarden.api.conditions import Condition, RotationSeen, SecretState, SecretStatus, Status
from airwarden.api.reasons import Reason
from airwarden.api.rotation import RotationStatus
from airwarden.domain.progress import Fault
from airwarden.domain.rotation.targets import read_from

HEALTHY: Final = "RotationsHealthy"
"""The condition; a binding has it while its secrets have rotations."""
_MOST: Final = 128
_KEPT: Final = 16
"""How many rotations a status names, and how many that are gone."""
_LONGEST: Final = 1024
"""Characters of what is said of one of them."""


@dataclass(frozen=True, slots=True)
class Bound:
    """A rotation of a key or a database role in a backend, as it was last seen."""

    backend: str
    claim: str
    """What it is for, as `airwarden.domain.rotation.targets` says it."""
    seen: RotationSeen
    ours: bool = False
    """The binding made it: it is shown also where the secret itself is refused."""
    judged: bool = True
    """The operator has looked at it since it was made."""


@dataclass(frozen=True, slots=True)
class Rotated:
    """Everything about rotations that a binding's report depends on."""

    found: tuple[Bound, ...] = ()
    """All rotations of the keys and roles that the binding names."""
    taken: tuple[str, ...] = ()
    """Names of rotations that it should have made and that somebody else's have."""
    removed: tuple[RotationSeen, ...] = ()
    """Those that it removed just now."""
    fault: Fault | None = None
    """Why not all of them could be made, corrected or removed."""


@dataclass(frozen=True, slots=True)
class Told:
    """What the status says of rotations."""

    rotations: tuple[RotationSeen, ...] = ()
    health: Fault | None = None
    """What the condition says; None without rotations."""
    healthy: bool = True
    next: str = ""
    last: str = ""


def seen(name: str, status: RotationStatus) -> RotationSeen:
    """Return a rotation as a binding shows it; ``name`` is namespace/name."""
    ready, healthy = status.condition("Ready"), status.condition("Healthy")
    wrong = next((each for each in (ready, healthy) if each is not None and each.status == "False"), None)
    return RotationSeen(
        name=name,
        next=status.next,
        last_run=status.last_run.time,
        result=status.last_run.result,
        version=status.last_run.version,
        last_success=status.last_success,
        reason=wrong.reason if wrong is not None else "",
        message=_cut(wrong.message) if wrong is not None else "",
    )


def told(binding: AirflowSecretBinding, previous: Status, secrets: Sequence[SecretStatus], rotated: Rotated) -> Told:
    """Return what the status says, where ``secrets`` is what became of the declared ones.

    Of secrets that are not granted only the binding's own rotations are shown: when others rotate what it may not read
    is no business of its author's.
    """
    may = {(each.type, each.id) for each in secrets if each.state is SecretState.GRANTED}
    readable, places = set(), dict[tuple[str, str], str]()
    for item in binding.spec.secrets:
        place = (item.backend_ref.name, read_from(item))
        places.setdefault(place, f"{item.type.value}/{item.id}")
        readable |= {place} if (item.type.value, item.id) in may else set()
    own = f"{binding.metadata.namespace}/"
    gone = {each.name for each in rotated.removed}
    shown = [
        each.seen.model_copy(update={"secret": places.get((each.backend, each.claim), "")})
        for each in rotated.found
        if (each.ours or (each.backend, each.claim) in readable) and each.seen.name not in gone
    ]
    shown = sorted(shown, key=lambda each: (not each.reason, each.name))[:_MOST]
    names = {each.name for each in shown} | gone
    known = {each.name: each.secret for each in previous.rotations}
    left = [each.model_copy(update={"secret": known.get(each.name, "")}) for each in rotated.removed]
    kept = [each for each in previous.rotations if each.removed and each.name not in names]
    kept = sorted((*kept, *left), key=lambda each: (each.removed, each.name))[-_KEPT:]
    shown.sort(key=lambda each: each.name)
    waiting = not all(each.judged for each in rotated.found)
    upcoming = sorted(each.next for each in shown if each.next)
    past = sorted(each.last_success for each in shown if each.last_success)
    health = _health(shown, [f"{own}{name}" for name in rotated.taken], rotated.fault)
    if waiting and health is not None and health.reason is Reason.HEALTHY:
        # Nothing is said of what was not looked at yet: what was said before stays meanwhile.
        before = previous.condition(HEALTHY)
        health = Fault(_reason(before.reason), before.message) if before is not None else None
    return Told(
        (*shown, *kept),
        health,
        health is not None and health.reason is Reason.HEALTHY,
        upcoming[0] if upcoming else "",
        past[-1] if past else "",
    )


def news(before: Status | None, after: Status) -> Condition | None:
    """Return the condition that went wrong, or is wrong for another reason than before; None when neither is so."""
    was, now = (before or Status()).condition(HEALTHY), after.condition(HEALTHY)
    if now is None or now.status == "True" or (was is not None and (was.status, was.reason) == ("False", now.reason)):
        return None
    return now


def _health(shown: Sequence[RotationSeen], taken: Sequence[str], fault: Fault | None) -> Fault | None:
    if fault is not None:
        return fault
    if taken:
        more = f" (and {len(taken) - 1} more)" if len(taken) > 1 else ""
        return Fault(
            Reason.NOT_OWNED,
            f"rotation {taken[0]}{more} was made by somebody else and is left alone, and spec.rotation needs the name: "
            "delete it, or take the secret out of the binding",
        )
    wrong = [each for each in shown if each.reason]
    if wrong:
        more = f" (and {len(wrong) - 1} more: see status.rotations)" if len(wrong) > 1 else ""
        return Fault(_reason(wrong[0].reason), f"rotation {wrong[0].name}: {wrong[0].message}{more}")
    if shown:
        return Fault(Reason.HEALTHY, "nothing stands in the way of the secrets' rotations, and none of them failed")
    return None


def _cut(message: str) -> str:
    return message if len(message) <= _LONGEST else f"{message[: _LONGEST - 1]}…"


def _reason(word: str) -> Reason:
    """Return the reason of a word; one of a newer release is read as unknown."""
    return next((each for each in Reason if each.word == word), Reason.UNKNOWN)
