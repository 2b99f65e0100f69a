"""From a binding and the backends to the grants that it may have: the plan.

Pure and cheap, so that it is made anew at every look. Called by `airwarden.reconcile.bindings`, and by
`airwarden.reconcile.engine` to tell how urgent a change of a backend is for a binding.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from airwarden.api.binding import AccountMode, AirflowSecretBinding, DeletionPolicy, SecretItem
from airwarden.api.fields import seconds
from airwarden.api.reasons import Reason
from airwarden.domain.environment.mapping import DagMapping, EnvironmentView, mapping_of
from airwarden.domain.fence import Asked, Fence, confine
from airwarden.domain.guardrails import Admitted, BackendView, Refused, Request, expired, judge
from airwarden.domain.lifetime import Turn, ends, has_ended, session_at, soonest
from airwarden.domain.owner import Owner
from airwarden.domain.people import for_people, judge_people, judge_secrets
from airwarden.domain.progress import CLUSTER
from airwarden.domain.resources import DynamicCredentials, Grant, Readable, Session, StaticSecret
from airwarden.domain.sessions import SessionRange


@dataclass(frozen=True, slots=True)
class Held:
    """The secret cannot be judged now. What it had stays as it is; nothing is added."""

    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided of one declared secret."""

    type: str
    id: str
    backend: str
    verdict: Admitted | Refused | Held
    readable: Readable
    """What is read, as a grant has it."""
    common: bool = False
    """The binding's environment declares it, for all who name that environment."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What one binding may have, store by store."""

    owner: Owner
    account: str
    decisions: tuple[Decision, ...]
    grants: Mapping[str, Grant]
    held: frozenset[str]
    """Backends on which nothing may be changed now, because it is not known what is allowed there."""
    fences: Mapping[str, Fence] = field(default_factory=dict)
    """What a binding can hold, for those of the backends that limit it."""
    turn: Turn | None = None
    """When this plan becomes another one although nobody changes anything."""
    expired: bool = False
    """The access has ended: nothing is granted, whatever is known of the backends."""
    suspended: bool = False
    """Nothing is added: of a grant only that counts which the store gives already."""
    sessions: Mapping[str, SessionRange | None] = field(default_factory=dict)
    """How long logins last in each of the backends; None where the store ends none in time."""
    lags: Mapping[str, float] = field(default_factory=dict)
    """Seconds after which what was written acts, for those of the backends where that is not at once."""
    coarse: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Kinds of objects that give more than was asked for, for those of the backends that have such."""
    complaints: tuple[tuple[Reason, str], ...] = ()
    """What is refused of it beside secrets."""
    account_mode: AccountMode = AccountMode.MANAGED
    """Whose the account is: an External one is only looked at."""
    mapping: DagMapping | None = None
    """Which DAGs its environment gives it; None when it names none."""
    environment_held: Held | None = None
    """Why it is not known what the environment declares."""

    def why_held(self, backend: str) -> Held:
        """Return why nothing may be changed on a backend. Raises StopIteration for one that is not held."""
        found = (each.verdict for each in self.decisions if each.backend == backend and isinstance(each.verdict, Held))
        return self.environment_held or next(found)

    @property
    def backends(self) -> frozenset[str]:
        """All backends that the binding names."""
        return frozenset(each.backend for each in self.decisions)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Everything outside the binding that the plan depends on."""

    cluster: str
    backends: Mapping[str, BackendView | Held]
    """Known backends; Held for one whose settings cannot be used."""
    namespace_labels: Mapping[str, str] | None
    recorded: frozenset[str] = frozenset()
    """Backends in which the binding already has something."""
    environment: EnvironmentView | Held | None = None
    """The environment that the binding names; None when it names none or there is none, Held for an unreadable one."""
    now: datetime = field(kw_only=True)
    """The operator's clock: it decides when access ends."""


def plan(binding: AirflowSecretBinding, around: Surroundings) -> Plan:
    """Return what the binding may have. No mix of rules, nothing clamped, what is refused is left out."""
    account = binding.spec.service_account
    owner = Owner(around.cluster, binding.metadata.namespace, binding.metadata.name, account=account.name)
    request = Request(
        owner.namespace,
        around.namespace_labels,
        account.mode,
        binding.spec.access.session,
        orphan=binding.spec.deletion_policy is DeletionPolicy.ORPHAN,
        now=around.now,
        not_after=ends(binding),
    )
    fences = {
        name: each.fence for name, each in around.backends.items() if isinstance(each, BackendView) and each.fence
    }
    views = {name: each for name, each in around.backends.items() if isinstance(each, BackendView)}
    ranges = {name: each.sessions for name, each in views.items()}
    own = len(binding.spec.secrets)
    judged = [(item, _verdict(item, request, around)) for item in binding.spec.secrets]
    judged += [(item, _verdict(item, asked, around)) for item, asked in _common(binding, request, around)]
    pairs = _confined(judged, owner.namespace, fences, around.recorded)
    decisions = tuple(
        Decision(item.type.value, item.id, item.backend_ref.name, verdict, _readable(item), common=number >= own)
        for number, (item, verdict) in enumerate(pairs)
    )
    held = frozenset(each.backend for each in decisions if isinstance(each.verdict, Held))
    environment_held = around.environment if isinstance(around.environment, Held) else None
    if environment_held is not None:
        held |= around.recorded - {CLUSTER}  # what it declares for all may lie in any of them
    grants: dict[str, Grant] = {}
    turns = [_admission_turn(verdict) for _, verdict in pairs]
    for name in sorted({each.backend for each in decisions} - held):
        if (whole := _grant(name, owner, binding, pairs)) is not None:
            session, turn = session_at(around.now, request.not_after, whole.session)
            grants[name] = replace(whole, session=session)
            # Where the store ends no session in time, nothing changes before the end.
            turns.append(turn if ranges.get(name) is not None else None)
    people = judge_people(binding.spec.people, views, grants)
    own_secrets = frozenset(_readable(each) for each in binding.spec.secrets)
    grants = {
        name: replace(each, people=people.groups[name], for_people=for_people(each.readable & own_secrets))
        if people.groups.get(name)
        else each
        for name, each in grants.items()
    }
    over = has_ended(around.now, request.not_after)
    if request.not_after is not None and not over:
        turns.append(Turn(request.not_after, tightens=True))
    return Plan(
        owner,
        account.name,
        decisions,
        grants,
        held,
        fences,
        soonest(*turns),
        expired=over,
        suspended=binding.spec.suspend,
        sessions=ranges,
        lags={name: each.effect_lag for name, each in views.items() if each.effect_lag},
        coarse={name: each.coarse for name, each in views.items() if each.coarse},
        account_mode=account.mode,
        complaints=(*people.complaints, *judge_secrets(grants.values())),
        mapping=mapping_of(
            binding,
            around.environment if isinstance(around.environment, EnvironmentView) else None,
            unreadable=environment_held is not None,
            ended=over,
        ),
        environment_held=environment_held,
    )


def common_items(binding: AirflowSecretBinding, environment: EnvironmentView | Held | None) -> tuple[SecretItem, ...]:
    """Return what the environment adds to the binding's own secrets. An own one of the same type and id wins.

    Anybody may name an environment: one that it does not admit gets nothing by that.
    """
    if not isinstance(environment, EnvironmentView) or not environment.verdict.admitted:
        return ()
    own = {(each.type, each.id) for each in binding.spec.secrets}
    return tuple(each for each in environment.spec.common_secrets if (each.type, each.id) not in own)


def _common(
    binding: AirflowSecretBinding, request: Request, around: Surroundings
) -> Sequence[tuple[SecretItem, Request]]:
    """Return the environment's secrets, each with who asks for it: the environment's namespace, for this account."""
    found = around.environment
    if not isinstance(found, EnvironmentView):
        return ()
    asked = replace(request, namespace=found.namespace, labels=found.labels)
    return [(item, asked) for item in common_items(binding, found)]


def _confined(
    pairs: list[tuple[SecretItem, Admitted | Refused | Held]],
    namespace: str,
    fences: Mapping[str, Fence],
    recorded: frozenset[str],
) -> list[tuple[SecretItem, Admitted | Refused | Held]]:
    """Refuse what the rules admit but a backend cannot hold."""
    asked = [
        Asked(number, item.backend_ref.name, _readable(item))
        for number, (item, verdict) in enumerate(pairs)
        if isinstance(verdict, Admitted)
    ]
    complaints = confine(namespace, asked, fences, recorded) if fences else {}
    return [
        (item, Refused(*complaints[number]) if number in complaints else verdict)
        for number, (item, verdict) in enumerate(pairs)
    ]


def _admission_turn(verdict: Admitted | Refused | Held) -> Turn | None:
    """Return when time alone makes a rule admit what it does not admit now."""
    if isinstance(verdict, Held) or verdict.until is None:
        return None
    return Turn(verdict.until, tightens=False)


def _verdict(item: SecretItem, request: Request, around: Surroundings) -> Admitted | Refused | Held:
    if request.not_after is not None and has_ended(request.now, request.not_after):
        return expired(request.not_after)
    backend = _backend(item.backend_ref.name, around)
    if isinstance(backend, Held):
        return backend
    verdict = judge(item, request, backend)
    if verdict is None:
        return Held(Reason.PENDING, f"namespace {request.namespace} has not been seen yet, so its labels are not known")
    return verdict


def _backend(name: str, around: Surroundings) -> BackendView | Held:
    if isinstance(around.environment, Held):
        return around.environment
    backend = around.backends.get(name)
    if backend is None:
        return Held(
            Reason.BACKEND_NOT_FOUND,
            f"there is no AirflowSecretBackend {name}: correct backendRef.name, or apply the backend",
        )
    if isinstance(backend, BackendView) and backend.deleting and name not in around.recorded:
        return Held(Reason.BACKEND_INVALID, f"AirflowSecretBackend {name} is being deleted, so nothing is added to it")
    return backend


def _grant(
    backend: str,
    owner: Owner,
    binding: AirflowSecretBinding,
    pairs: list[tuple[SecretItem, Admitted | Refused | Held]],
) -> Grant | None:
    admitted = [
        (item, verdict) for item, verdict in pairs if item.backend_ref.name == backend and isinstance(verdict, Admitted)
    ]
    if not admitted:
        return None
    asked = binding.spec.access.session
    permitted = min(verdict.max_ttl for _, verdict in admitted)
    max_ttl = seconds(asked.max_ttl) if asked.max_ttl else permitted
    ttl = seconds(asked.ttl) if asked.ttl else max_ttl
    return Grant(
        backend=backend,
        owner=owner.at(backend),
        account=binding.spec.service_account.name,
        readable=frozenset(_readable(item) for item, _ in admitted),
        session=Session(ttl, max_ttl),
    )


def _readable(item: SecretItem) -> Readable:
    if item.dynamic is not None:
        return DynamicCredentials(item.dynamic.engine, item.dynamic.role, item.dynamic.kind.value)
    if item.key is None:
        raise ValueError(f"{item.type} {item.id} has neither key nor dynamic")
    return StaticSecret(item.key)
