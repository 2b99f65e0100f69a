"""Makes a condition, so that ``lastTransitionTime`` moves by one rule everywhere: only when ``status`` does.

Pure; called by the reports of the kinds (`domain.report`, `domain.effect`, `domain.environment.report`) and by
`reconcile.probe` for the backends.
"""

from dataclasses import dataclass
from typing import Literal

from airwarden.api.conditions import Condition
from airwarden.api.reasons import Reason


@dataclass(frozen=True, slots=True)
class Said:
    """What a condition says."""

    status: Literal["True", "False", "Unknown"]
    reason: Reason
    message: str


def stated(before: Condition | None, kind: str, said: Said, generation: int, now: str) -> Condition:
    """Return the condition of that type; ``before`` is the one of the last status, ``now`` is RFC 3339 in UTC."""
    kept = before.last_transition_time if before is not None and before.status == said.status else ""
    return Condition(
        type=kind,
        status=said.status,
        reason=said.reason.word,
        message=said.message,
        observed_generation=generation,
        last_transition_time=kept or now,
    )
