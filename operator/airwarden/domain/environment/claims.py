"""Whose a DAG is: which bindings' claims are in force in one environment, and why the others are not.

A DAG id is its author's choice, so a claim names the bundle too, and the environment says which namespaces may claim
of it (design section 6). DAGs that two bindings claim go to neither. Called by the environment's reconcile, which
renders the map for the scheduler, and by the binding's, which says what it got.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

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


def decide(spec: EnvironmentSpec, claimants: Iterable[Claimant]) -> Mapping[Key, Verdict]:
    """Return the verdict on each claimant.

    One that the environment does not admit takes nothing from others: it claims in vain, and makes no conflict.
    """
    everybody = sorted(claimants, key=lambda each: each.key)
    barred = {each.key: complaints for each in everybody if (complaints := _barred(spec, each))}
    contested = _contested(each for each in everybody if each.key not in barred)
    against = {each.key: barred.get(each.key) or contested.get(each.key, ()) for each in everybody}
    return {each.key: Verdict(() if against[each.key] else each.claims, against[each.key]) for each in everybody}


def _barred(spec: EnvironmentSpec, claimant: Claimant) -> tuple[Complaint, ...]:
    namespace = claimant.key[0]
    if namespace not in spec.worker_namespaces:
        return (
            Complaint(
                Reason.NAMESPACE_NOT_A_WORKER,
                f"namespace {namespace} is not among the environment's workerNamespaces, so no task may run there: "
                "have the platform team add it, or bind in a namespace that is",
            ),
        )
    whose = {each.name: each.namespaces for each in spec.bundles}
    return tuple(
        Complaint(
            Reason.BUNDLE_NOT_CLAIMABLE,
            f"bundle {claim.bundle} is not one whose DAGs namespace {namespace} may claim: correct dags[].bundle, or "
            "have the platform team name the namespace under bundles of the environment",
            claim.bundle,
        )
        for claim in claimant.claims
        if namespace not in whose.get(claim.bundle, ())
    )


def _contested(claimants: Iterable[Claimant]) -> dict[Key, tuple[Complaint, ...]]:
    asked: dict[str, list[tuple[str, Key]]] = defaultdict(list)
    for each in claimants:
        for claim in each.claims:
            asked[claim.bundle].extend((ids, each.key) for ids in claim.ids)
    rivals: dict[Key, dict[str, tuple[str, Key, str]]] = defaultdict(dict)
    for bundle, all_ids in asked.items():
        for ids, key, others, rival in _overlaps(all_ids):
            rivals[key].setdefault(bundle, (ids, rival, others))
            rivals[rival].setdefault(bundle, (others, key, ids))
    return {
        key: tuple(
            Complaint(
                Reason.DAG_CONFLICT,
                f"the DAGs {ids} of bundle {bundle} are also claimed by binding {rival[0]}/{rival[1]} ({others}), so "
                "neither gets them: narrow the ids of one of the two",
                bundle,
            )
            for bundle, (ids, rival, others) in sorted(found.items())
        )
        for key, found in rivals.items()
    }


def _overlaps(asked: Iterable[tuple[str, Key]]) -> Iterable[tuple[str, Key, str, Key]]:
    """Yield, for each claim of which another binding claims a part, one such pair. Linear once sorted.

    Prefixes nest or are apart: sorted by their text, all that a prefix covers follows it directly. So a claim collides
    with the innermost prefix of another binding that is still open, or with a neighbour that says the same.
    """
    ordered = sorted((ids.removesuffix("*"), not ids.endswith("*"), ids, key) for ids, key in asked)
    open_prefixes: list[tuple[str, str, Key]] = []
    last: tuple[str, str, Key] | None = None
    for text, exact, ids, key in ordered:
        while open_prefixes and not text.startswith(open_prefixes[-1][0]):
            open_prefixes.pop()
        rival = next((each for each in reversed(open_prefixes) if each[2] != key), None)
        if rival is not None:
            yield ids, key, rival[1], rival[2]
        elif exact and last is not None and last[0] == text and last[2] != key:
            yield ids, key, last[1], last[2]
        if exact:
            last = (text, ids, key)
        else:
            open_prefixes.append((text, ids, key))
