"""What `airwarden plan` forecasts: a verdict per secret, and the writes that the operator would make. It makes none."""

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from airwarden.api.binding import AccountMode, AirflowSecretBinding
from airwarden.api.fields import duration_text
from airwarden.api.reasons import Reason
from airwarden.commands.access import key_of
from airwarden.commands.deciding import World
from airwarden.commands.mapping import PlannedDags
from airwarden.domain import record as records
from airwarden.domain.desired import Decision, Held, Plan
from airwarden.domain.errors import (
    AirwardenError,
    NotOwned,
    ServiceAccountNotAllowed,
    ServiceAccountNotFound,
    ServiceAccountTaken,
)
from airwarden.domain.guardrails import Admitted, Refused, RotationRequest, judge_rotation
from airwarden.domain.resources import Action, Address, Changes, FieldValue
from airwarden.domain.rotation import sugar
from airwarden.providers.kubernetes import accounts
from airwarden.providers.kubernetes.accounts import Accounts
from airwarden.providers.kubernetes.api import KubernetesApi
from airwarden.reconcile import parts
from airwarden.reconcile.backends import Runtime
from airwarden.reconcile.rotation_verdicts import OPERATIONS

_VERBS: Final = {Action.CREATE: "create", Action.UPDATE: "change", Action.DELETE: "remove"}
CONFLICT: Final = "conflict"
UNKNOWN: Final = "unknown"
"""It could not be found out what is there."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What would become of one secret."""

    id: str
    backend: str
    key: str
    verdict: str
    """granted, refused or unknown."""
    rule: str
    session: str
    message: str


@dataclass(frozen=True, slots=True)
class Write:
    """What would happen to one object: create, change, remove, keep, conflict, unknown, or write where nobody asked."""

    where: str
    object: str
    action: str
    message: str = ""
    difference: tuple[str, ...] = ()
    """A unified diff of what is there and what would be."""


@dataclass(frozen=True, slots=True)
class PlannedRotation:
    """A rotation that the binding's spec.rotation would make."""

    name: str
    secret: str
    key: str
    verdict: str
    """admitted, refused or unknown."""
    rule: str
    message: str


@dataclass(frozen=True, slots=True)
class Planned:
    """The whole forecast for one binding."""

    binding: str
    account: str
    verdicts: tuple[Verdict, ...]
    writes: tuple[Write, ...]
    rotations: tuple[PlannedRotation, ...] = ()
    dags: tuple[PlannedDags, ...] = ()
    """What would become of the binding's claims, by bundle."""
    people: tuple[str, ...] = ()
    """Which of the groups under people would not be let in, and why."""

    @property
    def refused(self) -> bool:
        """Whether something declared would not be had."""
        return (
            any(each.verdict == "refused" for each in self.verdicts)
            or any(each.action == CONFLICT for each in self.writes)
            or any(each.verdict == "refused" for each in self.rotations)
            or any(each.verdict == "refused" for each in self.dags)
            or bool(self.people)
        )

    @property
    def unknown(self) -> bool:
        """Whether something could not be found out."""
        return (
            any(each.verdict == UNKNOWN for each in self.verdicts)
            or any(each.action == UNKNOWN for each in self.writes)
            or any(each.verdict == UNKNOWN for each in self.rotations)
            or any(each.verdict == UNKNOWN for each in self.dags)
        )


def planned(
    binding: AirflowSecretBinding,
    wanted: Plan,
    writes: Iterable[Write],
    world: World,
    dags: tuple[PlannedDags, ...] = (),
) -> Planned:
    """Return the forecast."""
    pairs = zip(world.items(binding), wanted.decisions, strict=True)
    verdicts = tuple(_verdict(key_of(item), decision, wanted) for item, decision in pairs)
    name = f"{binding.metadata.namespace}/{binding.metadata.name}"
    return Planned(
        name,
        f"{binding.metadata.namespace}/{wanted.account}",
        verdicts,
        tuple(writes),
        planned_rotations(binding, world),
        dags,
        tuple(f"{reason.word}: {message}" for reason, message in wanted.complaints),
    )


def _verdict(key: str, decision: Decision, wanted: Plan) -> Verdict:
    found, what = decision.verdict, f"{decision.type}/{decision.id}"
    if isinstance(found, Admitted):
        grant = wanted.grants.get(decision.backend)
        session = duration_text(grant.session.max_ttl) if grant is not None else ""
        return Verdict(what, decision.backend, key, "granted", found.rule, session, "")
    word = UNKNOWN if isinstance(found, Held) else "refused"
    return Verdict(what, decision.backend, key, word, "", "", f"{found.reason.word}: {found.message}")


def planned_rotations(binding: AirflowSecretBinding, world: World) -> tuple[PlannedRotation, ...]:
    """Return the rotations that the binding would make, and what the rules say of each."""
    return tuple(_rotation(each, binding.metadata.namespace, world) for each in sugar.wanted(binding))


def _rotation(wanted: sugar.Wanted, namespace: str, world: World) -> PlannedRotation:
    spec = wanted.spec
    backend, seen = world.backends.get(spec.backend_ref.name), world.namespaces.get(namespace)
    word, rule, message = UNKNOWN, "", f"there is no backend {spec.backend_ref.name}"
    if isinstance(backend, Held):
        message = f"{backend.reason.word}: {backend.message}"
    elif backend is not None:
        templates = spec.job.templates if spec.job is not None else ()
        request = RotationRequest(namespace, seen.labels if seen is not None else None, templates)
        verdict = judge_rotation(spec.key or "", OPERATIONS[spec.strategy], request, backend.view())
        if isinstance(verdict, Refused):
            word, message = "refused", f"{verdict.reason.word}: {verdict.message}"
        elif verdict is None:
            message = f"namespace {namespace} could not be seen"
        elif backend.backend.spec.rotation is None:
            word, rule = "refused", verdict.rule
            message = f"{Reason.ROTATION_NOT_ENABLED.word}: backend {backend.name} has no login for rotations"
        else:
            word, rule, message = "admitted", verdict.rule, ""
    return PlannedRotation(wanted.name, wanted.secret, spec.key or "", word, rule, message)


async def account_write(api: KubernetesApi, wanted: Plan, binding: AirflowSecretBinding) -> Write:
    """Return what would happen to the service account."""
    resource = accounts.desired(wanted.owner, wanted.account)
    what = f"{resource.address.kind} {wanted.owner.namespace}/{wanted.account}"
    uid = records.recorded_id(binding.status, resource.address)
    external = wanted.account_mode is AccountMode.EXTERNAL
    try:
        found = await Accounts(api).read(wanted.owner, wanted.account)
        if external:
            accounts.require_allowed(found, wanted.owner, wanted.account)
        elif found is not None:
            accounts.refuse_foreign(found, wanted.owner, uid)
    except (NotOwned, ServiceAccountTaken, ServiceAccountNotFound, ServiceAccountNotAllowed) as error:
        return Write("cluster", what, CONFLICT, f"{error.reason.word}: {error.message}")
    except AirwardenError as error:
        return Write("cluster", what, UNKNOWN, error.message)
    seen = found.observed(wanted.owner) if found is not None else accounts.absent(wanted.account)
    if external or seen.fields == resource.fields:
        return Write("cluster", what, "keep")
    return Write("cluster", what, "create" if seen.absent else "change", "", difference(seen.fields, resource.fields))


async def store_writes(
    name: str, world: World, wanted: Plan, binding: AirflowSecretBinding, *, why_unasked: str
) -> list[Write]:
    """Return what would happen in one store: as a difference from what it has, or as it would be written."""
    runtime = world.backends.get(name)
    if not isinstance(runtime, Runtime) or name in wanted.held:
        return []  # its secrets say why it is not known
    if why_unasked:
        grant = wanted.grants.get(name)
        desired = runtime.store.render(grant) if grant is not None else ()
        said = f"not compared with the store: {why_unasked}"
        return [Write(name, _shown(each.address), "write", said, difference(None, each.fields)) for each in desired]
    # The operator's own look: it reads, and says what it would do.
    part = await parts.observe(
        runtime, wanted, world.recorded(binding), parts.Standing(records.adopted(binding.status))
    )
    if part.progress.changes is None:
        said = part.progress.fault.message if part.progress.fault is not None else "the store gave no answer"
        return [Write(name, "what it holds", UNKNOWN, f"not compared with the store: {said}")]
    return _changes(name, part.progress.changes)


def _changes(name: str, changes: Changes) -> list[Write]:
    found = [Write(name, _shown(each.address), CONFLICT, f"NotOwned: {each.message}") for each in changes.conflicts]
    found += [
        Write(
            name,
            _shown(each.address),
            _VERBS[each.action],
            "changed from outside" if each.address in changes.drifted else "",
            difference(each.observed.fields, each.resource.fields if each.resource is not None else None),
        )
        for each in changes.operations
    ]
    return found + [Write(name, _shown(each), "keep") for each in sorted(changes.present)]


def difference(before: Mapping[str, FieldValue] | None, after: Mapping[str, FieldValue] | None) -> tuple[str, ...]:
    """Return a unified diff of two states of one object, without its file headings. None is an object not there."""
    lines = difflib.unified_diff(_lines(before), _lines(after), "before", "after", lineterm="", n=2)
    return tuple(lines)[2:]


def _lines(fields: Mapping[str, FieldValue] | None) -> list[str]:
    found: list[str] = []
    for name, value in sorted((fields or {}).items()):
        if isinstance(value, str) and "\n" in value:
            found += value.splitlines()
        else:
            found.append(f"{name} = {', '.join(value) if isinstance(value, tuple) else value}")
    return found


def _shown(address: Address) -> str:
    return f"{address.kind} {address.name}"
