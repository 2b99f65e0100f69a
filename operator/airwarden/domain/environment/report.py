"""The status of an environment: what is rendered, who is left out, and which isolation may be claimed. Pure.

Called by `airwarden.reconcile.environments`.
"""

from collections.abc import Sequence
from typing import Final

from airwarden.api.conditions import Condition
from airwarden.api.environment import (
    AirflowEnvironment,
    EnvironmentBindings,
    EnvironmentStatus,
    PodsSeen,
    Rendered,
)
from airwarden.api.reasons import Reason
from airwarden.domain.conditions import Said, stated
from airwarden.domain.environment.isolation import identity_enforced, isolated
from airwarden.domain.environment.rendering import Rendering
from airwarden.domain.environment.sight import Sight
from airwarden.domain.progress import Fault
from airwarden.domain.report import Verdict, conditions

ENFORCED: Final = "IdentityEnforced"
ISOLATED: Final = "Isolated"


def pending(environment: AirflowEnvironment, rendered: Sequence[Rendered], digest: str, now: str) -> EnvironmentStatus:
    """Return the status that records which ConfigMaps are about to be made, written before the first is."""
    previous = environment.status or EnvironmentStatus()
    verdict = Verdict(False, Reason.PENDING, "the ConfigMaps are recorded and are being written", working=True)
    return previous.model_copy(
        update={
            "observed_generation": environment.metadata.generation,
            "conditions": _conditions(previous, verdict, (), environment.metadata.generation, now),
            "rendered": tuple(rendered),
            "digest": previous.digest or digest,
        }
    )


def report(
    environment: AirflowEnvironment,
    rendering: Rendering,
    rendered: Sequence[Rendered],
    fault: Fault | None,
    sight: Sight,
    now: str,
) -> EnvironmentStatus:
    """Return the status after one pass; ``fault`` is the first of what went wrong."""
    previous = environment.status or EnvironmentStatus()
    generation = environment.metadata.generation
    last = _hour(now) if sight.bound else previous.pods.last
    more = (
        (ENFORCED, identity_enforced(environment, previous.condition(ENFORCED), sight, last, now)),
        (ISOLATED, isolated(environment, previous.condition(ISOLATED), sight, last, now)),
    )
    return EnvironmentStatus(
        observed_generation=generation,
        conditions=_conditions(previous, _verdict(rendering, rendered, fault), more, generation, now),
        bindings=EnvironmentBindings(total=rendering.total, mapped=rendering.mapped),
        conflicts=rendering.refused,
        rendered=tuple(rendered),
        digest=rendering.components.digest,
        pods=PodsSeen(bound=sight.bound, older=sight.older, last=last),
    )


def _hour(now: str) -> str:
    """Return a time without its minutes: one that is told may be written once an hour, not at each look."""
    return f"{now[:13]}:00:00Z"


def invalid(previous: EnvironmentStatus, generation: int, message: str, now: str) -> EnvironmentStatus:
    """Return the status of an environment that does not hold to its schema. What is rendered stays as it is."""
    verdict = Verdict(False, Reason.INVALID_SPEC, message)
    return previous.model_copy(
        update={
            "observed_generation": generation,
            "conditions": _conditions(previous, verdict, (), generation, now),
        }
    )


def deleting(previous: EnvironmentStatus, generation: int, fault: Fault, now: str) -> EnvironmentStatus:
    """Return the status of an environment that is being deleted and whose ConfigMaps are not gone yet."""
    verdict = Verdict(False, Reason.DELETION_BLOCKED, fault.message, working=True)
    return previous.model_copy(
        update={
            "observed_generation": generation,
            "conditions": _conditions(previous, verdict, (), generation, now),
        }
    )


def _verdict(rendering: Rendering, rendered: Sequence[Rendered], fault: Fault | None) -> Verdict:
    if fault is not None:
        return Verdict(False, fault.reason, fault.message, working=fault.retryable)
    left_out = rendering.total - rendering.mapped
    more = f"; {left_out} are not: see status.conflicts and the bindings themselves" if left_out else ""
    full = [each.content for each in rendered if each.reason == Reason.MAP_FILLS_UP.word]
    more += f"; nearly full: {', '.join(full)}, see status.rendered" if full else ""
    message = f"{rendering.mapped} of {rendering.total} bindings are mapped{more}"
    return Verdict(True, Reason.READY, message)


def _conditions(
    previous: EnvironmentStatus, verdict: Verdict, more: Sequence[tuple[str, Said]], generation: int, now: str
) -> tuple[Condition, ...]:
    """Return Ready and what goes with it, then the others, or those that were said before when there is nothing new."""
    first = conditions(previous.conditions, verdict, generation, now)
    if not more:
        return first + tuple(each for each in previous.conditions if each.type in (ENFORCED, ISOLATED))
    return first + tuple(stated(previous.condition(kind), kind, said, generation, now) for kind, said in more)
