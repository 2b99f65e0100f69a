"""What a backend's allow rules admit: deny by default, one rule must admit a secret wholly.

The boundary of design section 2; admission repeats it earlier, but only this decides.
Called by `airwarden.domain.desired`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from airwarden.api.backend import AllowRule, Operation
from airwarden.api.binding import AccountMode, SecretItem, Session
from airwarden.api.fields import duration_text, seconds
from airwarden.api.reasons import Reason
from airwarden.domain.fence import Fence
from airwarden.domain.keys import KeyGrammar
from airwarden.domain.lifetime import has_ended
from airwarden.domain.owner import PREFIX
from airwarden.domain.sessions import SessionRange

_LONGEST_MESSAGE = 1000
_NAMESPACE = "{namespace}"
_COARSE = 24
"""Into how many steps a message divides a rule's maxLifetime: what it calls admitted must not change at every look."""


@dataclass(frozen=True, slots=True)
class BackendView:
    """What the guardrails must know of a backend and of its store."""

    name: str
    allow: tuple[AllowRule, ...]
    grammar: KeyGrammar
    sessions: SessionRange | None
    """How long the store itself lets logins last; None where it ends none in time."""
    deleting: bool = False
    fence: Fence | None = None
    """What a binding can hold there at all; None where nothing but the rules limits it."""
    effect_lag: float = 0.0
    """Seconds that the store may take to act on what it has acknowledged."""
    releases: bool = True
    """Whether the store can leave access behind that is nobody's any more."""
    takes_people: bool = False
    """Whether the store can let groups of people in."""
    coarse: frozenset[str] = frozenset()
    """Kinds of its objects that each give more than the keys that were asked for."""
    groups: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """Provider and value of those that may be let in, and what the store knows each by; empty where nothing says."""


@dataclass(frozen=True, slots=True)
class Request:
    """Who asks: the same for all secrets of one binding."""

    namespace: str
    labels: Mapping[str, str] | None
    """Labels of the namespace; None when it has not been seen yet."""
    account_mode: AccountMode
    session: Session
    orphan: bool = False
    """Whether the access shall stay when the binding goes."""
    now: datetime = field(kw_only=True)
    not_after: datetime | None = field(kw_only=True, default=None)
    """When the access is to end; None when no end is declared."""


@dataclass(frozen=True, slots=True)
class RotationRequest:
    """Who asks for a rotation: there is neither account nor session."""

    namespace: str
    labels: Mapping[str, str] | None
    """Labels of the namespace; None when it has not been seen yet."""
    templates: tuple[str, ...] = ()
    """Templates of Jobs that it wants to run."""


@dataclass(frozen=True, slots=True)
class AdmittedRotation:
    """The rule that admits the rotation."""

    rule: str


@dataclass(frozen=True, slots=True)
class Admitted:
    """The rule that admits the secret, and the longest session it permits, in seconds."""

    rule: str
    max_ttl: int
    until: datetime | None = None
    """When an earlier rule begins to admit it, if one will."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Why the secret is not granted, and what would be."""

    reason: Reason
    message: str
    until: datetime | None = None
    """When it will be granted although nobody changes anything, if ever."""


def judge(item: SecretItem, request: Request, backend: BackendView) -> Admitted | Refused | None:
    """Return whether one rule admits the secret wholly.

    None when that cannot be said yet, because a selector asks for labels of a namespace not yet seen.
    """
    if item.key is not None and (complaint := backend.grammar.complaint(item.key)) is not None:
        return Refused(Reason.KEY_INVALID, complaint)
    speaking = [rule for rule in backend.allow if speaks_of(rule, request)]
    placed = [rule for rule in speaking if _admits_place(rule, item, request)]
    carried = [rule for rule in placed if request.account_mode in rule.service_accounts]
    timely = [rule for rule in carried if _admits_session(rule, request.session, backend)]
    lasting = [rule for rule in timely if _admits_orphan(rule, request, backend)]
    later: list[datetime] = []
    for rule in lasting:
        if _admits_lifetime(rule, request):
            return Admitted(rule.name, seconds(rule.session.max_ttl), min(later, default=None))
        later += _admitted_from(rule, request)
    if request.labels is None and any(rule.namespaces.selector for rule in backend.allow):
        return None
    if not placed:
        return Refused(Reason.KEY_NOT_ALLOWED, _place_message(item, request.namespace, backend, speaking))
    if not carried:
        return Refused(Reason.ACCOUNT_MODE_NOT_ALLOWED, _mode_message(placed, request.account_mode, backend))
    return _not_so(carried, timely, lasting, request, backend, min(later, default=None))


def _not_so(
    carried: list[AllowRule],
    timely: list[AllowRule],
    lasting: list[AllowRule],
    request: Request,
    backend: BackendView,
    until: datetime | None,
) -> Refused:
    """Return why rules for this place and account admit nothing: each list passed one more question."""
    if lasting:
        return Refused(Reason.LIFETIME_NOT_ALLOWED, _lifetime_message(lasting, request, backend), until)
    if timely:
        return Refused(Reason.ORPHAN_NOT_ALLOWED, _orphan_message(timely, request, backend))
    return Refused(Reason.SESSION_NOT_ALLOWED, _session_message(carried, request.session, backend))


def judge_rotation(
    key: str, operation: Operation, request: RotationRequest, backend: BackendView
) -> AdmittedRotation | Refused | None:
    """Return whether one rule lets the namespace rotate the key in this way.

    The rule must have the operation itself: to read a key is not to rotate it, nor the other way round. None when it
    cannot be said yet, because a selector asks for labels of a namespace not yet seen.
    """
    if (complaint := backend.grammar.complaint(key)) is not None:
        return Refused(Reason.KEY_INVALID, complaint)
    speaking = [each for each in backend.allow if speaks_of(each, request)]
    for rule in speaking:
        if not set(request.templates) <= set(rule.job_templates):
            continue  # whoever could choose any template could have any user's password
        if operation in rule.operations and key.startswith(prefixes_for(rule, request.namespace)):
            return AdmittedRotation(rule.name)
    if request.labels is None and any(each.namespaces.selector for each in backend.allow):
        return None
    return Refused(Reason.ROTATION_NOT_ALLOWED, _rotation_message(key, operation, request, backend, speaking))


def may_read_role(engine: str, role: str, request: RotationRequest, allow: Iterable[AllowRule]) -> bool:
    """Tell whether some rule lets the namespace read leases of a role, whatever account or session it asks for.

    Until the namespace has been seen, every rule that selects by label counts as one that speaks of it.
    """
    return any(
        Operation.READ in rule.operations
        and _covers_role(rule, engine, role, request.namespace)
        and (speaks_of(rule, request) or (request.labels is None and rule.namespaces.selector is not None))
        for rule in allow
    )


def expired(not_after: datetime) -> Refused:
    """Return the refusal of everything after the end of the access."""
    return Refused(
        Reason.EXPIRED,
        f"access ended at {_shown(not_after)} (access.notAfter): move it if the access is still needed",
    )


def asked_seconds(session: Session) -> int:
    """Return the longest lifetime that a session asks for, in seconds; 0 when it leaves it to the rule."""
    return max((seconds(text) for text in (session.ttl, session.max_ttl) if text), default=0)


def speaks_of(rule: AllowRule, request: Request | RotationRequest) -> bool:
    """Tell whether a rule is for the namespace that asks."""
    if request.namespace in rule.namespaces.names:
        return True
    selector = rule.namespaces.selector
    if selector is None or not selector.match_labels or request.labels is None:
        return False
    return all(request.labels.get(name) == value for name, value in selector.match_labels.items())


def _admits_place(rule: AllowRule, item: SecretItem, request: Request) -> bool:
    if Operation.READ not in rule.operations:
        return False
    if item.key is not None:
        return item.key.startswith(tuple(_prefixes(rule.key_prefixes, request.namespace)))
    return item.dynamic is not None and _covers_role(rule, item.dynamic.engine, item.dynamic.role, request.namespace)


def _covers_role(rule: AllowRule, engine: str, role: str, namespace: str) -> bool:
    return any(
        each.engine == engine and role.startswith(tuple(role_prefixes(each.role_prefixes, namespace)))
        for each in rule.dynamic
    )


def _admits_session(rule: AllowRule, session: Session, backend: BackendView) -> bool:
    asked, permitted = asked_seconds(session), seconds(rule.session.max_ttl)
    if rule.session.required and (backend.sessions is None or not backend.sessions.keeps(asked, permitted)):
        return False
    return asked <= permitted


def _admits_lifetime(rule: AllowRule, request: Request) -> bool:
    """Tell whether the access ends, and early enough. Once it does, time alone never changes that."""
    if rule.max_lifetime is None:
        return True
    return request.not_after is not None and request.not_after <= request.now + _lifetime(rule)


def _admitted_from(rule: AllowRule, request: Request) -> list[datetime]:
    """Return from when on the rule admits the lifetime; nothing when it never will."""
    if request.not_after is None or has_ended(request.now, request.not_after):
        return []
    return [request.not_after - _lifetime(rule)]


def _lifetime(rule: AllowRule) -> timedelta:
    return timedelta(seconds=seconds(rule.max_lifetime or "0s"))


def _prefixes(prefixes: tuple[str, ...], namespace: str) -> list[str]:
    """Return the prefixes with the namespace put in. Only as a whole first segment is it a placeholder."""
    return [
        namespace + prefix.removeprefix(_NAMESPACE) if prefix.startswith(_NAMESPACE) else prefix for prefix in prefixes
    ]


def role_prefixes(prefixes: tuple[str, ...], namespace: str) -> list[str]:
    """Return how names of roles must begin, with the namespace put in where the placeholder is a whole segment.

    A namespace named as Airwarden's own names begin would with it reach the roles declared in all namespaces: to such
    a one, what begins with the placeholder gives nothing.
    """
    return [
        ".".join(namespace if part == _NAMESPACE else part for part in prefix.split("."))
        for prefix in prefixes
        if namespace != PREFIX or not prefix.startswith(_NAMESPACE)
    ]


def prefixes_for(rule: AllowRule, namespace: str) -> tuple[str, ...]:
    """Return how keys must begin that a rule gives a namespace it speaks of."""
    return tuple(_prefixes(rule.key_prefixes, namespace))


def _place_message(item: SecretItem, namespace: str, backend: BackendView, speaking: list[AllowRule]) -> str:
    if (silence := silence_of(namespace, backend, speaking)) is not None:
        return silence
    what = f"key {item.key}" if item.dynamic is None else f"role {item.dynamic.role} of engine {item.dynamic.engine}"
    allowed = "; ".join(_allowed_by(rule, namespace) for rule in speaking)
    return cut(f"{what} is not allowed to namespace {namespace} by backend {backend.name}: {allowed}")


def silence_of(namespace: str, backend: BackendView, speaking: list[AllowRule]) -> str | None:
    """Return what to say where no rule speaks of the namespace; None where one does."""
    if not backend.allow:
        return f"backend {backend.name} has no allow rule at all, so nothing is allowed: ask its owners to add one"
    if speaking:
        return None
    return f"no allow rule of backend {backend.name} speaks of namespace {namespace}: ask its owners to add it to one"


def _rotation_message(
    key: str, operation: Operation, request: RotationRequest, backend: BackendView, speaking: list[AllowRule]
) -> str:
    namespace = request.namespace
    if (silence := silence_of(namespace, backend, speaking)) is not None:
        return silence
    told = f"{operation} of key {key} is not allowed to namespace {namespace} by backend {backend.name}"
    return cut(f"{told}: " + "; ".join(_rotated_by(rule, operation, namespace) for rule in speaking))


def _rotated_by(rule: AllowRule, operation: Operation, namespace: str) -> str:
    if operation not in rule.operations:
        return f"rule {rule.name} permits {' and '.join(rule.operations)} only"
    prefixes = _prefixes(rule.key_prefixes, namespace)
    told = f"rule {rule.name} permits it for " + (f"keys below {', '.join(prefixes)}" if prefixes else "no key at all")
    if operation is Operation.ROTATE_JOB:
        told += f" with {'template ' + ', '.join(rule.job_templates) if rule.job_templates else 'no template at all'}"
    return told


def _allowed_by(rule: AllowRule, namespace: str) -> str:
    places = []
    if rule.key_prefixes:
        places.append("keys below " + ", ".join(_prefixes(rule.key_prefixes, namespace)))
    for each in rule.dynamic:
        places.append(
            f"roles of {each.engine} beginning with " + ", ".join(role_prefixes(each.role_prefixes, namespace))
        )
    return f"rule {rule.name} allows " + (" and ".join(places) or "no key at all")


def _mode_message(placed: list[AllowRule], mode: AccountMode, backend: BackendView) -> str:
    permitted = "; ".join(f"rule {rule.name} permits {' and '.join(rule.service_accounts)}" for rule in placed)
    return cut(f"backend {backend.name} does not permit an account of mode {mode} here: {permitted}")


def _session_message(placed: list[AllowRule], session: Session, backend: BackendView) -> str:
    required = all(rule.session.required for rule in placed)
    if required and backend.sessions is None:
        return f"backend {backend.name} cannot end a session in time, and rule {placed[0].name} requires it"
    if required and backend.sessions is not None and backend.sessions.shortest > 1:
        return (
            f"every session in backend {backend.name} lasts {duration_text(backend.sessions.shortest)}, longer than "
            f"asked for or permitted, and rule {placed[0].name} requires it to be kept"
        )
    longest = max(placed, key=lambda rule: seconds(rule.session.max_ttl))
    return (
        f"a session of {duration_text(asked_seconds(session))} is longer than backend {backend.name} permits: "
        f"rule {longest.name} permits at most {longest.session.max_ttl}"
    )


def _lifetime_message(timely: list[AllowRule], request: Request, backend: BackendView) -> str:
    longest = max(timely, key=_lifetime)
    asked = "access.notAfter is not given" if request.not_after is None else f"{_shown(request.not_after)} is too late"
    return (
        f"{asked}: rule {longest.name} of backend {backend.name} permits access for at most {longest.max_lifetime} "
        f"ahead; at present access.notAfter {_shown(_latest(longest, request.now))} or earlier is admitted"
    )


def _latest(rule: AllowRule, now: datetime) -> datetime:
    """Return the latest end that the rule admits, rounded down to a part of its maxLifetime.

    Rounded, because the exact moment moves with the clock, and a message that does so is a write at every look.
    """
    step = max(seconds(rule.max_lifetime or "0s") // _COARSE, 1)
    latest = int((now + _lifetime(rule)).timestamp())
    return datetime.fromtimestamp(latest - latest % step, UTC)


def _shown(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _admits_orphan(rule: AllowRule, request: Request, backend: BackendView) -> bool:
    """Tell whether the access may stay when the binding goes.

    Not where it has to end, since nobody would end it; not in slots, which the account's next binding fills; and not in
    a store that cannot let go.
    """
    if not request.orphan:
        return True
    permitted = rule.orphan and rule.max_lifetime is None and request.not_after is None
    return permitted and backend.releases and backend.fence is None


def _orphan_message(timely: list[AllowRule], request: Request, backend: BackendView) -> str:
    if request.not_after is not None:
        return "deletionPolicy Orphan is not permitted to access that ends (access.notAfter): set it to Delete"
    if backend.fence is not None:
        return f"backend {backend.name} is in mode Fenced and cannot leave access behind: set deletionPolicy to Delete"
    if not backend.releases:
        return f"a store of the type of backend {backend.name} cannot leave access behind: set deletionPolicy to Delete"
    return cut(
        f"deletionPolicy Orphan is not permitted by backend {backend.name}: "
        + "; ".join(f"rule {rule.name} allows the secret with deletionPolicy Delete" for rule in timely)
    )


def cut(message: str) -> str:
    """Return a message in a length that a condition can hold."""
    return message if len(message) <= _LONGEST_MESSAGE else message[: _LONGEST_MESSAGE - 1] + "…"
