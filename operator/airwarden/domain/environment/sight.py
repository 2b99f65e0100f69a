"""What can be seen of an environment beside what is declared: its task pods and the policy that guards their marks.

Looked at by `airwarden.reconcile.environments`, if the platform team lets it; told of in
`airwarden.domain.environment.report`. Pure.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from airwarden.api import GROUP
from airwarden.domain.config_map import ENVIRONMENT

IDENTITY: Final = f"{GROUP}/identity"
DIGEST: Final = f"{GROUP}/environment-digest"
HOLDS: Final = f"{GROUP}/worker-holds"
POLICY: Final = "bound-pods.airwarden.dev"
"""The admission policy that keeps others from making pods with the executor's marks."""
MADE_BY_EXECUTOR: Final = "kubernetes_executor=True"
"""Label selector of all pods that any KubernetesExecutor makes."""
_MARKS: Final = frozenset({"Bound", "Unbound"})
_HELD: Final = frozenset({"DatabaseCredentials", "FernetKey", "JWTSecret"})
_FROM: Final = "envFrom:"
_SOURCE: Final = re.compile(r"envFrom:(ConfigMap|Secret)/[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_LONGEST: Final = 16_384
"""Characters of a mark. The executor's are far shorter; whoever may make pods may write 256 KB."""
_NAMED: Final = 64
UNKNOWN: Final = "a source that its marks do not name"
"""Said of marks that the executor does not write: their text is not repeated."""
_OURS: Final = "ConfigMap/airwarden."
"""What Airwarden renders holds no credentials."""


@dataclass(frozen=True, slots=True)
class TaskPod:
    """The metadata of one task pod."""

    where: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Sight:
    """What one look found."""

    hidden: str = ""
    """Why nothing could be seen; empty when it could."""
    guarded: bool = False
    """Whether the policy is there, and denies."""
    marked: int = 0
    """Task pods of the environment with the executor's marks."""
    bound: int = 0
    """Those of them that run under a binding's account."""
    older: int = 0
    """Those of them whose scheduler knew an older rendering."""
    unmarked: str = ""
    """The first task pod without marks; empty when there is none."""
    holds: tuple[str, ...] = ()
    """What of Airflow's own credentials they hold."""
    opaque: tuple[str, ...] = ()
    """From where they take variables that cannot be seen."""


def see(pods: Iterable[TaskPod], environment: str, digest: str, *, guarded: bool) -> Sight:
    """Return what some task pods come to, for one environment with this digest."""
    mine, unmarked = [], []
    for each in pods:
        if each.labels.get(IDENTITY) not in _MARKS:
            unmarked.append(each.where)
        elif each.labels.get(ENVIRONMENT) == environment:
            mine.append(each)
    named = {name for each in mine for name in _named(each.annotations.get(HOLDS, ""))}
    sources = {name.removeprefix(_FROM) for name in named - _HELD}
    return Sight(
        guarded=guarded,
        marked=len(mine),
        bound=sum(each.labels[IDENTITY] == "Bound" for each in mine),
        older=sum(each.annotations.get(DIGEST) != digest for each in mine),
        unmarked=min(unmarked, default=""),
        holds=tuple(sorted(named & _HELD)),
        opaque=tuple(sorted(name for name in sources if not name.startswith(f"{_OURS}{environment}."))),
    )


def _named(mark: str) -> Iterator[str]:
    """Yield what a mark names. It may be forged: of a text that is not the executor's only that is told."""
    names = mark.split(",", _NAMED) if len(mark) <= _LONGEST else [mark]
    if mark and not all(each in _HELD or _SOURCE.fullmatch(each) for each in names):
        yield UNKNOWN
    elif mark:
        yield from names
