"""All that one environment comes to: what its components are told, a DAG map a bundle, and who is left out. Pure.

Thousands of bindings are gone through in steps. What they ask is that of one moment; whose claims are in force may be
known better at a later step, and takes effect as far as it was in force at that moment.

Called by `airwarden.reconcile.environments`.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from airwarden.api.dags import DagClaim
from airwarden.api.environment import AirflowEnvironment, ClaimRefused, Executor
from airwarden.api.reasons import Reason
from airwarden.domain.environment.asked import Asked, within
from airwarden.domain.environment.claims import Key, Verdict
from airwarden.domain.environment.components import ComponentMaps, components_of
from airwarden.domain.environment.dag_map import DagMap, MappedBinding, Withheld
from airwarden.domain.lifetime import has_ended
from airwarden.domain.slices import STEP, Steps
from airwarden.domain.task_access import TaskAccess, TokenMount

CONFLICTS_SHOWN = 64
"""How many claims that are not in force a status names."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What an environment is rendered from, beside itself."""

    asking: Mapping[Key, Asked]
    """What each binding asks that names it."""
    verdict: Callable[[Key], Verdict | None]
    """What becomes of a binding's claims; None for one that is gone meanwhile."""
    has_account: Callable[[Key, Asked], bool]
    """Whether the account that a binding names is there and the binding's own."""
    access: Callable[[Key, str], TaskAccess | None]
    """How a binding's tasks read a backend's store; None where that cannot be said now."""
    now: datetime


@dataclass(frozen=True, slots=True)
class Rendering:
    """What one environment comes to."""

    components: ComponentMaps
    dag_maps: tuple[DagMap, ...]
    """One for each declared bundle, in their order; none where no pods are made for tasks."""
    total: int
    """Bindings that name the environment."""
    mapped: int
    """Those of them whose DAGs run under their accounts."""
    refused: tuple[ClaimRefused, ...]
    """Claims that are not in force, the first by binding."""
    turn: datetime | None = None
    """When the access of a mapped binding ends, and its DAGs with it."""

    @property
    def keys(self) -> frozenset[Key]:
        """The bindings whose DAGs run under their accounts."""
        return frozenset(binding.key for each in self.dag_maps for binding in each.bindings)

    def names(self) -> Iterator[tuple[str, str]]:
        """Yield what each ConfigMap is, as a status says it, and its name."""
        yield from ((content, each.name) for content, each in self.components.wanted.items())
        yield from ((content_of(each), each.name) for each in self.dag_maps)


def content_of(dag_map: DagMap) -> str:
    """Return what the map of a bundle is, as a status says it."""
    return f"dags/{dag_map.bundle}"


def render(environment: AirflowEnvironment, found: Surroundings) -> Steps[Rendering]:
    """Return what the environment comes to. The order of what was found does not matter."""
    common = frozenset(each.backend_ref.name for each in environment.spec.common_secrets)
    mapped: defaultdict[str, list[MappedBinding]] = defaultdict(list)
    mounts: dict[str, TokenMount] = {}
    keys, refused, ends = 0, list[ClaimRefused](), list[datetime]()
    makes_pods = environment.spec.executor is Executor.KUBERNETES
    owners = {each.name: frozenset(each.namespaces) for each in environment.spec.bundles}
    withheld: defaultdict[str, dict[Reason, set[str]]] = defaultdict(dict)
    done = 0
    for key in sorted(found.asking):
        asked = found.asking[key]
        if done >= STEP:
            done = 0
            yield
        done += 1 + sum(len(each.ids) for each in asked.declared)
        verdict = found.verdict(key)
        if verdict is None:
            continue
        # No sooner than a task finds all that it needs there, and admission lets its pod in.
        claims = within(verdict.claims, asked.in_force)
        obstacle = _obstacle(key, asked, verdict, found)
        for bundle, ids in _lacking(asked.declared, () if obstacle else claims):
            if key[0] in owners.get(bundle, ()):  # else it is not the namespace's to claim, not even in vain
                withheld[bundle].setdefault(obstacle or _wait(asked), set()).update(ids)
        if not verdict.mapped:
            refused += _refused(key, verdict)
        if obstacle or not claims:
            continue
        if not makes_pods:
            continue  # there is none to tell apart
        keys += 1
        ends += [asked.ends] if asked.ends is not None else []
        for bundle, binding in _bindings(asked, claims, common, found.access, mounts):
            mapped[bundle].append(binding)
    where = (environment.metadata.namespace, environment.metadata.name)
    return Rendering(
        components=components_of(environment),
        dag_maps=tuple(
            DagMap(
                where,
                each.name,
                mounts,
                tuple(mapped.get(each.name, ())),
                tuple(Withheld(frozenset(ids), reason) for reason, ids in withheld.get(each.name, {}).items()),
            )
            for each in environment.spec.bundles
            if makes_pods
        ),
        total=len(found.asking),
        mapped=keys,
        refused=tuple(refused[:CONFLICTS_SHOWN]),
        turn=min(ends, default=None),
    )


def _obstacle(key: Key, asked: Asked, verdict: Verdict, found: Surroundings) -> Reason | None:
    """Return why none of a binding's DAGs runs under its account, None where some may."""
    if not verdict.mapped:
        return verdict.complaints[0].reason
    if has_ended(found.now, asked.ends):
        return Reason.EXPIRED
    return None if found.has_account(key, asked) else Reason.SERVICE_ACCOUNT_NOT_FOUND


def _wait(asked: Asked) -> Reason:
    """Return why a claim that nothing stands against is not in force."""
    return Reason.PENDING if asked.claimant.claims == asked.declared else Reason.SUSPENDED


def _lacking(declared: Iterable[DagClaim], claims: Iterable[DagClaim]) -> Iterator[tuple[str, frozenset[str]]]:
    """Yield, by bundle, the ids that a binding declares and that are not in force."""
    given = {each.bundle: frozenset(each.ids) for each in claims}
    for each in declared:
        if ids := frozenset(each.ids) - given.get(each.bundle, frozenset()):
            yield each.bundle, ids


def _bindings(
    asked: Asked,
    claims: Iterable[DagClaim],
    common: frozenset[str],
    access: Callable[[Key, str], TaskAccess | None],
    mounts: dict[str, TokenMount],
) -> Iterator[tuple[str, MappedBinding]]:
    """Yield a binding's part of each bundle; its tokens are added to those of the map."""
    names, labels, unsure = list[str](), dict[str, str](), set[str]()
    for backend in sorted(asked.backends | common):
        found = access(asked.claimant.key, backend)
        if found is None or (found.impossible is not None and found.impossible[0] is Reason.PENDING):
            unsure.add(backend)
        elif found.impossible is None:
            labels |= found.labels
            if found.token is not None:
                mounts[backend] = found.token
                names.append(backend)
    key, account = asked.claimant.key, asked.claimant.account
    for claim in claims:
        yield claim.bundle, MappedBinding(key, account, claim.ids, tuple(names), labels, frozenset(unsure))


def _refused(key: Key, verdict: Verdict) -> list[ClaimRefused]:
    return [
        ClaimRefused(binding="/".join(key), bundle=each.bundle, reason=each.reason.word, message=each.message)
        for each in verdict.complaints
    ]
