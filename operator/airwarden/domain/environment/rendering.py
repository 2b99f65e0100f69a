"""All that one environment comes to: what its components are told, a DAG map a bundle, and who is left out. Pure.

Called by `airwarden.reconcile.environments`.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from airwarden.api.environment import AirflowEnvironment, ClaimRefused
from airwarden.domain.config_map import WantedMap
from airwarden.domain.environment.asked import Asked
from airwarden.domain.environment.claims import Key, Verdict
from airwarden.domain.environment.components import ComponentMaps, components_of
from airwarden.domain.environment.dag_map import DagMap, MappedBinding, TokenMount
from airwarden.domain.lifetime import has_ended

CONFLICTS_SHOWN = 64
"""How many claims that are not in force a status names."""


@dataclass(frozen=True, slots=True)
class TokenOfStore:
    """What the pods of a store's readers carry."""

    mount: TokenMount | None
    """The token by which they log in; None where they log in by something else."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Labels that the store needs on them."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What an environment is rendered from, beside itself."""

    asking: Mapping[Key, Asked]
    """What each binding asks that names it."""
    verdict: Callable[[Key], Verdict]
    """What becomes of a binding's claims."""
    has_account: Callable[[Key, Asked], bool]
    """Whether the account that a binding names is there and the binding's own."""
    tokens: Mapping[str, TokenOfStore]
    """By backend, of all backends that can be read."""
    now: datetime


@dataclass(frozen=True, slots=True)
class Rendering:
    """What one environment comes to."""

    components: ComponentMaps
    dag_maps: tuple[DagMap, ...]
    """One for each declared bundle, in their order."""
    total: int
    """Bindings that name the environment."""
    mapped: int
    """Those of them whose DAGs run under their accounts."""
    refused: tuple[ClaimRefused, ...]
    """Claims that are not in force, the first by binding."""
    turn: datetime | None = None
    """When the access of a mapped binding ends, and its DAGs with it."""

    def config_maps(self) -> Iterator[tuple[str, WantedMap]]:
        """Yield what each ConfigMap is, as a status names it, and the ConfigMap."""
        yield from self.components.wanted.items()
        for each in self.dag_maps:
            yield f"dags/{each.bundle}", each.wanted()


def render(environment: AirflowEnvironment, found: Surroundings) -> Rendering:
    """Return what the environment comes to. The order of what was found does not matter."""
    common = frozenset(each.backend_ref.name for each in environment.spec.common_secrets)
    mapped: defaultdict[str, list[MappedBinding]] = defaultdict(list)
    keys, refused, ends = 0, list[ClaimRefused](), list[datetime]()
    for key in sorted(found.asking):
        asked = found.asking[key]
        verdict = found.verdict(key)
        if not verdict.mapped:
            refused += _refused(key, verdict)
            continue
        if has_ended(found.now, asked.ends) or not verdict.claims or not found.has_account(key, asked):
            continue
        keys += 1
        ends += [asked.ends] if asked.ends is not None else []
        for bundle, binding in _bindings(key, asked, verdict, common, found.tokens):
            mapped[bundle].append(binding)
    mounts = {name: each.mount for name, each in found.tokens.items() if each.mount is not None}
    where = (environment.metadata.namespace, environment.metadata.name)
    return Rendering(
        components=components_of(environment),
        dag_maps=tuple(
            DagMap(where, each.name, mounts, tuple(mapped.get(each.name, ()))) for each in environment.spec.bundles
        ),
        total=len(found.asking),
        mapped=keys,
        refused=tuple(refused[:CONFLICTS_SHOWN]),
        turn=min(ends, default=None),
    )


def _bindings(
    key: Key, asked: Asked, verdict: Verdict, common: frozenset[str], tokens: Mapping[str, TokenOfStore]
) -> Iterator[tuple[str, MappedBinding]]:
    stores = [(name, tokens[name]) for name in sorted(asked.backends | common) if name in tokens]
    mounts = tuple(name for name, each in stores if each.mount is not None)
    labels = {label: value for _, each in stores for label, value in each.labels.items()}
    for claim in verdict.claims:
        yield claim.bundle, MappedBinding(key, asked.claimant.account, claim.ids, mounts, labels)


def _refused(key: Key, verdict: Verdict) -> list[ClaimRefused]:
    return [
        ClaimRefused(binding="/".join(key), bundle=each.bundle, reason=each.reason.word, message=each.message)
        for each in verdict.complaints
    ]
