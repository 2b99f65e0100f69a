"""Whether a status says already what another pass would say, as far as memory shows it: nobody looks again for nothing.

Pure. Called by `airwarden.reconcile.urgency` of bindings that something around them was said of.
"""

from airwarden.api.conditions import SecretState, SecretStatus, Status, TargetState
from airwarden.domain.desired import Decision, Plan
from airwarden.domain.guardrails import Admitted, Refused


def settled(status: Status | None, wanted: Plan, generation: int) -> bool:
    """Tell whether the last pass ended well, or in nothing but refusals that are still the same word by word.

    A binding that something failed of is not settled, even where it is refused something as well.
    """
    if status is None or status.observed_generation != generation:
        return False
    ready = status.condition("Ready")
    if ready is None or ready.status == "True":
        return ready is not None
    refused = [each.verdict for each in wanted.decisions if isinstance(each.verdict, Refused)]
    if not refused or ready.reason != refused[0].reason.word or status.condition("Reconciling") is not None:
        return False
    if wanted.complaints or (wanted.mapping is not None and wanted.mapping.complaints):
        return False
    shown = {(each.type, each.id): each for each in status.secrets}
    return all(each.state is TargetState.PRESENT for each in status.targets) and all(
        _is_shown(each, shown.get((each.type, each.id))) for each in wanted.decisions
    )


def _is_shown(decision: Decision, shown: SecretStatus | None) -> bool:
    if shown is None:
        return False
    verdict = decision.verdict
    if isinstance(verdict, Refused):
        said = (shown.state, shown.reason, shown.message)
        return said == (SecretState.REFUSED, verdict.reason.word, verdict.message)
    return isinstance(verdict, Admitted) and (shown.state, shown.rule) == (SecretState.GRANTED, verdict.rule)
