"""Whose a DAG is: which bindings' claims are in force in one environment, and why the others are not.

A DAG id is its author's choice, so a claim names the bundle too, and the environment says which namespaces may claim
of it (design section 6). DAGs that two bindings claim go to neither. Kept up to date claim by claim, since thousands of
bindings may come at once. Called by `airwarden.reconcile.environment_views` for the environment's reconcile, which
renders the map for the scheduler, and for the binding's, which says what it got.
"""

from bisect import bisect_left, insort
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from airwarden.api.binding import AirflowSecretBinding
from airwarden.api.dags import DagClaim
from airwarden.api.environment import EnvironmentSpec
from airwarden.api.reasons import Reason

Key = tuple[str, str]
"""Namespace and name of a binding."""


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
        self._workers = frozenset(spec.worker_namespaces)
        self._owners = {each.name: frozenset(each.namespaces) for each in spec.bundles}
        self._powerless = (spec.unbound.namespace, spec.unbound.service_account_name) if spec.unbound else None
        self._claimants: dict[Key, Claimant] = {}
        self._barred: dict[Key, tuple[Complaint, ...]] = {}
        self._bundles: defaultdict[str, _Bundle] = defaultdict(_Bundle)
        self._contested: set[Key] = set()

    def put(self, claimant: Claimant) -> frozenset[Key]:
        """Take in what a binding asks now; return the others that had their DAGs and lose them by that, or get them."""
        if self._claimants.get(claimant.key) == claimant:
            return frozenset()
        freed = self.drop(claimant.key)
        self._claimants[claimant.key] = claimant
        if complaints := self._complaints(claimant):
            self._barred[claimant.key] = complaints
            return freed
        for bundle, ids in _pairs(claimant):
            self._bundles[bundle].put(ids, claimant.key)
        rivals = self._rivals(claimant)
        hit = rivals - self._contested
        self._contested |= rivals | ({claimant.key} if rivals else set())
        return freed ^ hit

    def drop(self, key: Key) -> frozenset[Key]:
        """Forget a binding; return the others that get their DAGs by that."""
        known = self._claimants.pop(key, None)
        if known is None or self._barred.pop(key, None) is not None:
            return frozenset()
        for bundle, ids in _pairs(known):
            self._bundles[bundle].drop(ids, key)
        freed = frozenset(each for each in self._rivals(known) if not self._conflicts(self._claimants[each]))
        self._contested -= freed | {key}
        return freed

    def verdict(self, key: Key) -> Verdict:
        """Return what became of a binding's claims. KeyError for one that asked nothing."""
        claimant = self._claimants[key]
        complaints = self._barred.get(key) or self._conflicts(claimant)
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

    def _conflicts(self, claimant: Claimant) -> tuple[Complaint, ...]:
        found: dict[str, Complaint] = {}
        for bundle, ids in _pairs(claimant):
            if bundle in found:
                continue
            rival = next(self._bundles[bundle].rivals(ids, claimant.key), None)
            if rival is None:
                continue
            others, key = rival
            found[bundle] = Complaint(
                Reason.DAG_CONFLICT,
                f"the DAGs {ids} of bundle {bundle} are also claimed by binding {key[0]}/{key[1]} ({others}), so "
                "neither gets them: narrow the ids of one of the two",
                bundle,
            )
        return tuple(found[bundle] for bundle in sorted(found))

    def _rivals(self, claimant: Claimant) -> frozenset[Key]:
        return frozenset(
            key for bundle, ids in _pairs(claimant) for _, key in self._bundles[bundle].rivals(ids, claimant.key)
        )


def decide(spec: EnvironmentSpec, claimants: Iterable[Claimant]) -> Mapping[Key, Verdict]:
    """Return the verdict on each of some claimants."""
    claims = Claims(spec)
    for each in claimants:
        claims.put(each)
    return claims.verdicts()


def _pairs(claimant: Claimant) -> Iterator[tuple[str, str]]:
    return ((claim.bundle, ids) for claim in claimant.claims for ids in claim.ids)


@dataclass(slots=True)
class _Bundle:
    """Who claims which ids of one bundle, in a form in which overlaps are found without looking at everybody.

    Sorted by their text, all ids that a prefix covers follow each other; and what covers an id is found by asking for
    its beginnings, of the lengths that there are.
    """

    exact: dict[str, list[Key]] = field(default_factory=dict)
    prefixes: dict[str, list[Key]] = field(default_factory=dict)
    lengths: Counter[int] = field(default_factory=Counter)
    """Of the prefixes."""
    ordered: list[str] = field(default_factory=list)
    """All that is in ``exact`` and, with its star, in ``prefixes``. The star sorts before all that an id may hold."""

    def put(self, ids: str, key: Key) -> None:
        found = self._place(ids)
        text = ids.removesuffix("*")
        if text not in found:
            found[text] = []
            insort(self.ordered, ids)
            self.lengths[len(text)] += ids.endswith("*")
        insort(found[text], key)

    def drop(self, ids: str, key: Key) -> None:
        found = self._place(ids)
        text = ids.removesuffix("*")
        found[text].remove(key)
        if not found[text]:
            del found[text]
            del self.ordered[bisect_left(self.ordered, ids)]
            self.lengths[len(text)] -= ids.endswith("*")

    def rivals(self, ids: str, key: Key) -> Iterator[tuple[str, Key]]:
        """Yield each claim of another binding that has a DAG in common with the ids, in an order of their own."""
        text = ids.removesuffix("*")
        for length in sorted(self.lengths):
            if length <= len(text) and self.lengths[length]:
                prefix = text[:length]
                yield from self._others(f"{prefix}*", self.prefixes.get(prefix), key)
        if text == ids:
            yield from self._others(ids, self.exact.get(text), key)
            return
        at = bisect_left(self.ordered, text)
        while at < len(self.ordered) and self.ordered[at].startswith(text):
            each = self.ordered[at]
            if each != ids:
                yield from self._others(each, self._place(each)[each.removesuffix("*")], key)
            at += 1

    def _place(self, ids: str) -> dict[str, list[Key]]:
        return self.prefixes if ids.endswith("*") else self.exact

    @staticmethod
    def _others(ids: str, keys: list[Key] | None, key: Key) -> Iterator[tuple[str, Key]]:
        return ((ids, each) for each in keys or () if each != key)
