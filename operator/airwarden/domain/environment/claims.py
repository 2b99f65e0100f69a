"""Whose a DAG is: which bindings' claims are in force in one environment, and why the others are not.

A DAG id is its author's choice, so a claim names the bundle too, and the environment says which namespaces may claim
of it (design section 6). DAGs that two bindings claim go to neither. Kept up to date claim by claim, since thousands of
bindings may come at once. Called by `airwarden.reconcile.environment_views` for the environment's reconcile, which
renders the map for the scheduler, and for the binding's, which says what it got.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from airwarden.api.binding import AirflowSecretBinding
from airwarden.api.dags import DagClaim
from airwarden.api.environment import EnvironmentSpec
from airwarden.api.reasons import Reason
from airwarden.domain.environment.overlaps import Overlaps, outermost

Key = tuple[str, str]
"""Namespace and name of a binding."""

_Place = tuple[str, str]
"""A bundle, and ids of it."""


@dataclass(frozen=True, slots=True)
class Claimant:
    """What a binding asks of an environment."""

    key: Key
    account: str
    claims: tuple[DagClaim, ...]

    @classmethod
    def of(cls, binding: AirflowSecretBinding) -> "Claimant":
        """Return what a binding asks; it has an environmentRef."""
        key = (binding.metadata.namespace, binding.metadata.name)
        return cls(key, binding.spec.service_account.name, binding.spec.dags)


@dataclass(frozen=True, slots=True)
class Complaint:
    """Why a claim is not in force."""

    reason: Reason
    message: str
    bundle: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one binding's claims. A binding gets all of them or none."""

    claims: tuple[DagClaim, ...]
    """In force."""
    complaints: tuple[Complaint, ...] = ()

    @property
    def mapped(self) -> bool:
        """Whether the binding's DAGs run under its account."""
        return not self.complaints

    @property
    def admitted(self) -> bool:
        """Whether the environment takes the binding in. A conflict leaves it in: its DAGs are at issue, no more."""
        return all(each.reason is Reason.DAG_CONFLICT for each in self.complaints)


class Claims:
    """Who claims what in one environment, kept up to date binding by binding.

    One that the environment does not admit takes nothing from others: it claims in vain, and makes no conflict.
    """

    def __init__(self, spec: EnvironmentSpec) -> None:
        self._take(spec)
        self._claimants: dict[Key, Claimant] = {}
        self._barred: dict[Key, tuple[Complaint, ...]] = {}
        self._bundles: defaultdict[str, Overlaps[Key]] = defaultdict(Overlaps)
        self._held: dict[Key, tuple[_Place, ...]] = {}
        """What each admitted binding claims, without what another claim of its own covers."""
        self._contested: dict[Key, _Place] = {}
        """Who shares a DAG with another, and one place at which that other stands."""
        self._leaning: defaultdict[_Place, set[Key]] = defaultdict(set)
        """The same by place. A binding is looked at anew only when nobody else stands there any more."""

    def adopt(self, spec: EnvironmentSpec) -> None:
        """Go by what the environment says now. The cost hangs on whom it admits that it did not, or the other way."""
        self._take(spec)
        for claimant in tuple(self._claimants.values()):
            if self._complaints(claimant) != self._barred.get(claimant.key, ()):
                self.drop(claimant.key)
                self.put(claimant)

    def _take(self, spec: EnvironmentSpec) -> None:
        self._workers = frozenset(spec.worker_namespaces)
        self._owners = {each.name: frozenset(each.namespaces) for each in spec.bundles}
        self._powerless = (spec.unbound.namespace, spec.unbound.service_account_name) if spec.unbound else None

    def put(self, claimant: Claimant) -> frozenset[Key]:
        """Take in what a binding asks now; return the others that had their DAGs and lose them by that, or get them.

        The cost grows with what this one declares and with how many are returned, not with how many overlap.
        """
        if self._claimants.get(claimant.key) == claimant:
            return frozenset()
        freed = self.drop(claimant.key)
        self._claimants[claimant.key] = claimant
        if complaints := self._complaints(claimant):
            self._barred[claimant.key] = complaints
            return freed
        held = self._held[claimant.key] = tuple(_places(claimant))
        hit: dict[Key, _Place] = {}
        for place in held:
            for other in self._bundles[place[0]].alone_with(place[1], claimant.key):
                hit.setdefault(other, place)
        self._calm(hit, calm=False)
        for other, place in hit.items():
            self._lean(other, place)
        for bundle, ids in held:
            self._bundles[bundle].put(ids, claimant.key)
        if self._shares_none(claimant.key):
            self._calm((claimant.key,), calm=True)
        return freed ^ hit.keys()

    def drop(self, key: Key) -> frozenset[Key]:
        """Forget a binding; return the others that get their DAGs by that."""
        known = self._claimants.pop(key, None)
        if known is None or self._barred.pop(key, None) is not None:
            return frozenset()
        if key in self._contested:
            self._lean_no_more(key)
        else:
            self._calm((key,), calm=False)
        held = self._held.pop(key)
        doubtful: set[Key] = set()
        for place in held:
            left = self._bundles[place[0]].drop(place[1], key)
            if left is None:
                doubtful |= self._leaning.get(place, set())
            elif left in self._leaning.get(place, ()):
                doubtful.add(left)
        for each in doubtful:
            self._lean_no_more(each)
        freed = frozenset(each for each in doubtful if self._shares_none(each))
        self._calm(freed, calm=True)
        return freed

    def verdict(self, key: Key) -> Verdict:
        """Return what became of a binding's claims. KeyError for one that asked nothing."""
        claimant = self._claimants[key]
        complaints = self._barred.get(key) or self._conflicts(key)
        return Verdict(() if complaints else claimant.claims, complaints)

    def verdicts(self) -> Mapping[Key, Verdict]:
        """Return the verdict on each binding, by namespace and name."""
        return {key: self.verdict(key) for key in sorted(self._claimants)}

    def _complaints(self, claimant: Claimant) -> tuple[Complaint, ...]:
        namespace = claimant.key[0]
        if namespace not in self._workers:
            return (
                Complaint(
                    Reason.NAMESPACE_NOT_A_WORKER,
                    f"namespace {namespace} is not among the environment's workerNamespaces, so no task may run there: "
                    "have the platform team add it, or bind in a namespace that is",
                ),
            )
        if (namespace, claimant.account) == self._powerless:
            return (
                Complaint(
                    Reason.SERVICE_ACCOUNT_TAKEN,
                    f"service account {namespace}/{claimant.account} is the environment's account of tasks that no "
                    "binding names, and must have no access: name another account",
                ),
            )
        return tuple(
            Complaint(
                Reason.BUNDLE_NOT_CLAIMABLE,
                f"bundle {claim.bundle} is not one whose DAGs namespace {namespace} may claim: correct dags[].bundle, "
                "or have the platform team name the namespace under bundles of the environment",
                claim.bundle,
            )
            for claim in claimant.claims
            if namespace not in self._owners.get(claim.bundle, ())
        )

    def _conflicts(self, key: Key) -> tuple[Complaint, ...]:
        if key not in self._contested:
            return ()
        found: dict[str, Complaint] = {}
        for bundle, ids in self._held[key]:
            if bundle in found:
                continue
            rival = self._bundles[bundle].rival(ids, key)
            if rival is None:
                continue
            others, other = rival
            found[bundle] = Complaint(
                Reason.DAG_CONFLICT,
                f"the DAGs {ids} of bundle {bundle} are also claimed by binding {other[0]}/{other[1]} ({others}), so "
                "neither gets them: narrow the ids of one of the two",
                bundle,
            )
        return tuple(found[bundle] for bundle in sorted(found))

    def _shares_none(self, key: Key) -> bool:
        """Tell whether a binding that leans nowhere shares no DAG with another; else it leans on one that it does."""
        for bundle, ids in self._held[key]:
            rival = self._bundles[bundle].rival(ids, key)
            if rival is not None:
                self._lean(key, (bundle, rival[0]))
                return False
        return True

    def _lean(self, key: Key, place: _Place) -> None:
        self._contested[key] = place
        self._leaning[place].add(key)

    def _lean_no_more(self, key: Key) -> None:
        place = self._contested.pop(key)
        self._leaning[place].discard(key)
        if not self._leaning[place]:
            del self._leaning[place]

    def _calm(self, keys: Iterable[Key], *, calm: bool) -> None:
        """Note that some bindings share no DAG with anybody, or that they do, or go."""
        claims: defaultdict[str, dict[str, Key]] = defaultdict(dict)
        for key in keys:
            for bundle, ids in self._held[key]:
                claims[bundle][ids] = key
        for bundle, of_bundle in claims.items():
            self._bundles[bundle].set_alone(of_bundle, alone=calm)


def decide(spec: EnvironmentSpec, claimants: Iterable[Claimant]) -> Mapping[Key, Verdict]:
    """Return the verdict on each of some claimants."""
    claims = Claims(spec)
    for each in claimants:
        claims.put(each)
    return claims.verdicts()


def _places(claimant: Claimant) -> Iterator[_Place]:
    named: defaultdict[str, set[str]] = defaultdict(set)
    for claim in claimant.claims:
        named[claim.bundle].update(claim.ids)
    return ((bundle, ids) for bundle in named for ids in outermost(named[bundle]))
