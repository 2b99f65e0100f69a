"""From a plan and its progress to the status: the only place where a binding's status is made.

Pure: the time comes in as text. A status that says the same as before is equal to it, so that it is
not written again. Called by `airwarden.reconcile.bindings`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from airwarden.api.binding import AirflowSecretBinding
from airwarden.api.conditions import (
    Condition,
    Effective,
    Origin,
    SecretState,
    SecretStatus,
    Status,
    Summary,
    Target,
    TargetState,
)
from airwarden.api.fields import duration_text
from airwarden.api.reasons import Reason
from airwarden.domain import alone, drift, effect, grain, sessions
from airwarden.domain.conditions import Said, stated
from airwarden.domain.desired import Decision, Plan
from airwarden.domain.environment.mapping import Mapped
from airwarden.domain.fence import annotated, usage
from airwarden.domain.guardrails import Admitted, Refused
from airwarden.domain.outage import deletion_message, noted, reworded_deletion, steadied, still_gone
from airwarden.domain.progress import CLUSTER, Fault, Progress
from airwarden.domain.record import address_of, targets
from airwarden.domain.resources import Address, Grant
from airwarden.domain.rotation import bound
from airwarden.domain.rotation.bound import Rotated

_STALLING = frozenset(
    {
        Reason.INVALID_SPEC,
        Reason.KEY_NOT_ALLOWED,
        Reason.KEY_INVALID,
        Reason.KEY_OUTSIDE_FENCE,
        Reason.SLOTS_EXHAUSTED,
        Reason.SLOTS_TAKEN,
        Reason.SESSION_NOT_ALLOWED,
        Reason.LIFETIME_NOT_ALLOWED,
        Reason.EXPIRED,
        Reason.SUSPENDED,
        Reason.SERVICE_ACCOUNT_TAKEN,
        Reason.SERVICE_ACCOUNT_NOT_FOUND,
        Reason.SERVICE_ACCOUNT_NOT_ALLOWED,
        Reason.ACCOUNT_MODE_NOT_ALLOWED,
        Reason.NOT_OWNED,
        Reason.DRIFTED,
        Reason.NAMESPACE_NOT_A_WORKER,
        Reason.BUNDLE_NOT_CLAIMABLE,
        Reason.DAG_CONFLICT,
        Reason.NO_LOGIN_FOR_TASKS,
        Reason.MAP_TOO_LARGE,
        Reason.MAP_NOT_OWNED,
        Reason.ORPHAN_NOT_ALLOWED,
        Reason.BACKEND_REJECTED,
    }
)
"""Reasons that time alone does not mend."""

_NO_ROTATIONS: Final = Rotated()
_NOT_MAPPED: Final = Mapped()
_NAMED: Final = 5
"""How many backends a column names before it says how many more there are."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the Ready condition says."""

    ready: bool
    reason: Reason
    message: str
    working: bool = False
    """Airwarden goes on by itself."""


def conditions(previous: Sequence[Condition], verdict: Verdict, generation: int, now: str) -> tuple[Condition, ...]:
    """Return Ready, and while they apply Reconciling and Stalled, as kstatus reads them."""
    stalled = not verdict.ready and not verdict.working
    wanted = [("Ready", verdict.ready)]
    if verdict.working:
        wanted.append(("Reconciling", True))
    if stalled:
        wanted.append(("Stalled", True))
    before = {each.type: each for each in previous}
    return tuple(condition(before.get(kind), kind, holds, verdict, generation, now) for kind, holds in wanted)


def condition(
    before: Condition | None, kind: str, holds: bool, verdict: Verdict, generation: int, now: str
) -> Condition:
    """Return one condition, which holds or does not."""
    said = Said("True" if holds else "False", verdict.reason, verdict.message)
    return stated(before, kind, said, generation, now)


def binding_conditions(
    binding: AirflowSecretBinding, verdict: Verdict, now: str, rotations: Condition | None
) -> tuple[Condition, ...]:
    """Return the conditions of a binding; a suspended one also says that, whether Ready or not."""
    previous = (binding.status or Status()).conditions
    generation = binding.metadata.generation
    shown = conditions(previous, verdict, generation, now) + ((rotations,) if rotations is not None else ())
    if not binding.spec.suspend:
        return shown
    before = next((each for each in previous if each.type == "Suspended"), None)
    said = Verdict(True, Reason.SUSPENDED, "nothing is added while spec.suspend is true; removals and expiry still act")
    return (*shown, condition(before, "Suspended", True, said, generation, now))


def report(
    binding: AirflowSecretBinding,
    plan: Plan,
    parts: Mapping[str, Progress],
    now: str,
    rotated: Rotated = _NO_ROTATIONS,
    mapped: Mapped = _NOT_MAPPED,
) -> Status:
    """Return the status after one pass over all stores, the binding's map and, last, the rotations of the secrets."""
    previous = binding.status or Status()
    parts = steadied(previous, plan, still_gone(previous, plan, drift.remembered(previous, parts)))
    secrets = tuple(_secret(plan, decision, parts) for decision in plan.decisions)
    verdict = _verdict(plan, parts, secrets, mapped)
    rotations = bound.told(binding, previous, secrets, rotated)
    kept = annotated(targets(previous.targets, parts, now), plan.fences)
    kept = grain.annotated(kept, plan.coarse)
    kept = sessions.annotated(kept, sessions.unenforced(plan.sessions))
    kept = noted(kept, previous.targets, parts)
    acts = effect.condition(binding, previous, kept, plan.lags, now)
    return Status(
        observed_generation=binding.metadata.generation,
        conditions=binding_conditions(binding, verdict, now, _rotations_healthy(binding, rotations, now))
        + ((acts,) if acts is not None else ()),
        effective=_effective(plan, parts, previous.effective, binding.spec.access.not_after),
        summary=Summary(
            secrets=f"{sum(each.state is SecretState.GRANTED for each in secrets)}/{len(secrets)}",
            backends=_names(plan.backends),
            slots=usage(plan.grants.values(), plan.fences),
            next_rotation=rotations.next,
            last_rotation=rotations.last,
        ),
        identity=mapped.identity,
        secrets=secrets,
        rotations=rotations.rotations,
        targets=kept,
    )


def pending(
    binding: AirflowSecretBinding,
    plan: Plan,
    addresses: Iterable[Address],
    now: str,
    adopted: frozenset[Address] = frozenset(),
) -> Status:
    """Return the status that records what is about to be made, written before the first write."""
    previous = binding.status or Status()
    kept = {address_of(target): target for target in previous.targets}
    for address in sorted(addresses):
        kept[address] = Target(
            backend=address.backend,
            kind=address.kind,
            name=address.name,
            state=TargetState.PENDING,
            origin=Origin.ADOPTED if address in adopted else Origin.CREATED,
            reason=Reason.PENDING.word,
        )
    verdict = Verdict(False, Reason.PENDING, "the change is recorded and is being written", working=True)
    return previous.model_copy(
        update={
            "observed_generation": binding.metadata.generation,
            "conditions": binding_conditions(binding, verdict, now, previous.condition(bound.HEALTHY)),
            "targets": tuple(kept[address] for address in sorted(kept)),
            "summary": previous.summary.model_copy(
                update={
                    "secrets": previous.summary.secrets or f"0/{len(plan.decisions)}",
                    "backends": _names(plan.backends),
                }
            ),
        }
    )


def deleting(binding_status: Status | None, generation: int, parts: Mapping[str, Progress], now: str) -> Status:
    """Return the status of a binding that is being deleted and still holds something."""
    previous = binding_status or Status()
    faults = [part.fault for _, part in sorted(parts.items()) if part.fault is not None]
    if faults:
        parts = {name: reworded_deletion(part, previous) for name, part in parts.items()}
        message = deletion_message(min(faults, key=lambda each: each.reason is Reason.PENDING), previous)
        verdict = Verdict(False, Reason.DELETION_BLOCKED, message, working=True)
    else:
        verdict = Verdict(False, Reason.DELETING, "access is being taken away", working=True)
    return previous.model_copy(
        update={
            "observed_generation": generation,
            "conditions": conditions(previous.conditions, verdict, generation, now),
            "targets": targets(previous.targets, parts, now),
        }
    )


def invalid(previous: Status | None, generation: int, message: str, now: str) -> Status:
    """Return the status of a binding whose spec cannot be read. What it has stays as it is."""
    status = previous or Status()
    verdict = Verdict(False, Reason.INVALID_SPEC, message)
    rotations = tuple(each for each in status.conditions if each.type == bound.HEALTHY)
    return status.model_copy(
        update={
            "observed_generation": generation,
            "conditions": conditions(status.conditions, verdict, generation, now) + rotations,
        }
    )


def _rotations_healthy(binding: AirflowSecretBinding, told: bound.Told, now: str) -> Condition | None:
    """Return what is said of the rotations. Ready does not hang on it: it speaks of the access, which is there."""
    if told.health is None:
        return None
    verdict = Verdict(told.healthy, told.health.reason, told.health.message)
    before = (binding.status or Status()).condition(bound.HEALTHY)
    return condition(before, bound.HEALTHY, told.healthy, verdict, binding.metadata.generation, now)


def _names(backends: Iterable[str]) -> str:
    found = sorted(backends)
    more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    return ", ".join(found[:_NAMED]) + more


def _effective(plan: Plan, parts: Mapping[str, Progress], previous: Effective, not_after: str | None) -> Effective:
    grants = _actual(plan, parts)
    if not grants:
        return Effective()
    # Where the store ends no session, none is promised.
    kept = [each.session for name, each in grants.items() if name not in sessions.unenforced(plan.sessions)]
    rules = {f"{each.backend}/{each.verdict.rule}" for each in plan.decisions if isinstance(each.verdict, Admitted)}
    roles = [_login_role(grants[name], plan, parts.get(name), previous.roles) for name in sorted(grants)]
    return Effective(
        session_ttl=duration_text(max(each.ttl for each in kept)) if kept else "",
        session_max_ttl=duration_text(max(each.max_ttl for each in kept)) if kept else "",
        not_after=not_after or "",
        rules=tuple(sorted(rules)),
        roles=tuple(role for role in roles if role),
    )


def _login_role(grant: Grant, plan: Plan, part: Progress | None, previous: Sequence[str]) -> str:
    """Return backend/role of the tasks' login: the one that was so far, until the store has acknowledged the new."""
    name = grant.backend
    if not _acknowledged(part):
        return next((each for each in previous if each.startswith(f"{name}/")), "")
    fence = plan.fences.get(name)
    return f"{name}/{grant.owner.name_in_store if fence is None else fence.role}"


def _acknowledged(part: Progress | None) -> bool:
    """Tell whether the store acknowledged all that is granted, whatever became of what it replaces."""
    if part is None or part.fault is None or part.changes is None or not part.digests:
        return _obstacle(part) is None
    written = {each.operation.address for each in part.done if each.operation.resource is not None}
    return part.digests.keys() <= part.changes.present.keys() | written


def _secret(plan: Plan, decision: Decision, parts: Mapping[str, Progress]) -> SecretStatus:
    verdict = decision.verdict
    if isinstance(verdict, Refused):
        return SecretStatus(
            type=decision.type,
            id=decision.id,
            common=decision.common,
            state=SecretState.REFUSED,
            reason=verdict.reason.word,
            message=verdict.message,
        )
    if not isinstance(verdict, Admitted):
        return SecretStatus(
            type=decision.type,
            id=decision.id,
            common=decision.common,
            state=SecretState.PENDING,
            reason=verdict.reason.word,
            message=verdict.message,
        )
    part = parts.get(decision.backend)
    fault = _obstacle(parts.get(CLUSTER)) or (None if _only_former_stays(part) else _trouble(part, decision))
    if fault is not None:
        return SecretStatus(
            type=decision.type,
            id=decision.id,
            common=decision.common,
            state=SecretState.FAILED,
            rule=verdict.rule,
            reason=fault.reason.word,
            message=fault.message,
        )
    if not _held(plan, decision, parts):
        return SecretStatus(
            type=decision.type,
            id=decision.id,
            common=decision.common,
            state=SecretState.PENDING,
            rule=verdict.rule,
            reason=Reason.SUSPENDED.word,
            message="not given when the binding was suspended or taken away since: it is added when suspend is false",
        )
    return SecretStatus(
        type=decision.type, id=decision.id, common=decision.common, state=SecretState.GRANTED, rule=verdict.rule
    )


def _only_former_stays(part: Progress | None) -> bool:
    """Tell whether this pass read all that is granted, and failed in nothing but removing what another mode left."""
    if part is None or part.changes is None or not part.failed or part.changes.conflicts:
        return False
    return part.failed.keys() <= part.changes.former and part.digests.keys() <= part.changes.present.keys()


def _held(plan: Plan, decision: Decision, parts: Mapping[str, Progress]) -> bool:
    """Tell whether an admitted secret is really held; only a suspended binding may lack one."""
    grant = _actual(plan, parts).get(decision.backend)
    return grant is not None and decision.readable in grant.readable


def _actual(plan: Plan, parts: Mapping[str, Progress]) -> dict[str, Grant]:
    """Return the grants as they are given: those of a suspended binding only as far as the stores were found to."""
    looked = {name for name, part in parts.items() if plan.suspended and part.seen}
    kept = {name: grant for name in looked if (grant := parts[name].kept) is not None}
    return {name: grant for name, grant in plan.grants.items() if name not in looked} | kept


def _trouble(part: Progress | None, decision: Decision) -> Fault | None:
    if part is not None and alone.only_alone(part):
        return alone.of_secret(part, decision.readable)
    return _obstacle(part)


def _obstacle(part: Progress | None) -> Fault | None:
    if part is None:
        return Fault(Reason.PENDING, "not written yet")
    if part.fault is not None:
        return part.fault
    if part.changes is not None and part.changes.conflicts:
        return Fault(Reason.NOT_OWNED, part.changes.conflicts[0].message, retryable=False)
    return drift.fault(part)


def _verdict(plan: Plan, parts: Mapping[str, Progress], secrets: Sequence[SecretStatus], mapped: Mapped) -> Verdict:
    obstacles = [fault for _, part in sorted(parts.items()) if (fault := _obstacle(part)) is not None]
    obstacles += mapped.obstacles
    refused = [each.verdict for each in plan.decisions if isinstance(each.verdict, Refused)]
    waiting = [each.verdict for each in plan.decisions if not isinstance(each.verdict, Refused | Admitted)]
    retrying = any(fault.reason not in _STALLING for fault in obstacles) or bool(waiting)
    for fault in sorted(obstacles, key=lambda each: each.reason not in _STALLING):
        return Verdict(False, fault.reason, fault.message, working=retrying)
    if refused:
        first = refused[0]
        more = f" (and {len(refused) - 1} more: see status.secrets)" if len(refused) > 1 else ""
        return Verdict(False, first.reason, first.message + more, working=retrying)
    if waiting or plan.complaints:
        reason, said = (waiting[0].reason, waiting[0].message) if waiting else plan.complaints[0]
        return Verdict(False, reason, said, working=bool(waiting))
    held = sum(each.state is SecretState.GRANTED for each in secrets)
    if held < len(secrets):
        message = f"suspended: {held} of {len(secrets)} secrets are held, the others are added when suspend is false"
        return Verdict(False, Reason.SUSPENDED, message)
    if mapped.lacking:
        return Verdict(
            False, Reason.SUSPENDED, "suspended: not all of its DAGs are mapped, which they are when suspend is false"
        )
    return Verdict(True, Reason.READY, f"{len(secrets)} of {len(secrets)} secrets granted to {plan.account}")
