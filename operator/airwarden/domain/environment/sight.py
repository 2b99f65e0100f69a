"""What can be seen of an environment beside what is declared: its task pods, and what guards their marks.

A mark proves something only where admission keeps others from setting it. Then it says the account as well, which is
not looked at: a pod that names a binding is refused under any other account.

Looked at by `airwarden.reconcile.environments`, if the platform team lets it; told of in
`airwarden.domain.environment.report`. Pure.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from airwarden.api import GROUP
from airwarden.api.fields import moment, moment_text
from airwarden.domain.config_map import ENVIRONMENT
from airwarden.domain.environment.claims import Key
from airwarden.domain.environment.guards import Guards

IDENTITY: Final = f"{GROUP}/identity"
DIGEST: Final = f"{GROUP}/environment-digest"
HOLDS: Final = f"{GROUP}/worker-holds"
BINDING: Final = f"{GROUP}/binding"
MADE_BY_EXECUTOR: Final = "kubernetes_executor=True"
"""Label selector of all pods that any KubernetesExecutor makes."""
_MARKS: Final = frozenset({"Bound", "Unbound"})
_HELD: Final = frozenset({"DatabaseCredentials", "FernetKey", "JWTSecret"})
_FROM: Final = "envFrom:"
_SOURCE: Final = re.compile(r"envFrom:(ConfigMap|Secret)/[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_LONGEST: Final = 16_384
"""Characters of a mark. The executor's are far shorter; whoever may make pods may write 256 KB."""
_NAMED: Final = 64
LAG: Final = timedelta(seconds=30)
"""How long after a policy or a binding was made an API server may still judge pods without it: it watches both."""
UNKNOWN: Final = "a source that its marks do not name"
"""Said of marks that the executor does not write: their text is not repeated."""
_OURS: Final = "ConfigMap/airwarden."
"""What Airwarden renders holds no credentials."""


@dataclass(frozen=True, slots=True)
class TaskPod:
    """The metadata of one task pod."""

    key: Key
    """Namespace and name."""
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    created: str = ""
    """When it was made, as the API server writes times."""


@dataclass(frozen=True, slots=True)
class Sight:
    """What one look found."""

    hidden: str = ""
    """Why nothing could be seen; empty when it could."""
    gaps: tuple[str, ...] = ()
    """What is missing of the policies; empty when all of them hold for everything."""
    bound: int = 0
    """Task pods of the environment that surely run under the account of a binding that is mapped."""
    older: int = 0
    """Pods with the environment's marks whose scheduler knew an older rendering."""
    unmarked: str = ""
    """The first task pod without marks; empty when there is none."""
    holds: tuple[str, ...] = ()
    """What of Airflow's own credentials they hold."""
    opaque: tuple[str, ...] = ()
    """From where they take variables that cannot be seen."""
    doubtful: str = ""
    """The first pod that says that it holds something, while anybody may have made it say so."""


def see(
    pods: Iterable[TaskPod],
    environment: str,
    digest: str,
    *,
    guards: Guards,
    mapped: Mapping[Key, str],
    others: Collection[tuple[str, str]] = (),
) -> Sight:
    """Return what some task pods come to, for one environment with this digest.

    ``mapped`` says when each binding was made whose DAGs are in force: admission judges pods where there is one.
    ``others`` are worker namespace and name of all environments: marks of none of them are no marks.
    """
    mine, unmarked = list[TaskPod](), list[str]()
    for each in pods:
        marked = each.labels.get(ENVIRONMENT, "")
        if each.labels.get(IDENTITY) in _MARKS and marked == environment:
            mine.append(each)
        elif each.labels.get(IDENTITY) not in _MARKS or (each.key[0], marked) not in others:
            unmarked.append("/".join(each.key))
    since = _guarded_since(guards, mapped)
    guarded, loose = list[TaskPod](), list[TaskPod]()
    for each in mine:
        begun = since.get(each.key[0])
        (guarded if begun is not None and _surely_after(each, begun) else loose).append(each)
    named = {name for each in guarded for name in _held(each, environment)}
    sources = {name.removeprefix(_FROM) for name in named - _HELD}
    doubtful = ("/".join(each.key) for each in loose if any(_held(each, environment)))
    return Sight(
        gaps=guards.gaps,
        bound=sum(_is_bound(each, mapped) for each in guarded),
        older=sum(each.annotations.get(DIGEST) != digest for each in mine),
        unmarked=min(unmarked, default=""),
        holds=tuple(sorted(named & _HELD)),
        opaque=tuple(sorted(sources)),
        doubtful=min(doubtful, default=""),
    )


def _guarded_since(guards: Guards, mapped: Mapping[Key, str]) -> dict[str, str]:
    """Return, by namespace, when admission began to judge the marks there: with the policies and with a binding."""
    since: dict[str, str] = {}
    for (namespace, _), made in mapped.items() if guards.since and not guards.gaps else ():
        since[namespace] = max(guards.since, min(made, since.get(namespace, made)))
    return since


def _is_bound(pod: TaskPod, mapped: Mapping[Key, str]) -> bool:
    """Tell whether a guarded pod surely runs under the account of the binding that it names."""
    binding = (pod.key[0], pod.labels.get(BINDING, ""))
    return pod.labels[IDENTITY] == "Bound" and binding in mapped and _surely_after(pod, mapped[binding])


def _surely_after(pod: TaskPod, begun: str) -> bool:
    """Tell whether every API server knew of what was made then, when the pod came. Unknown times prove nothing."""
    return bool(begun) and pod.created >= moment_text(moment(begun) + LAG)


def _held(pod: TaskPod, environment: str) -> Iterator[str]:
    """Yield what a pod says that it holds, but for what Airwarden renders."""
    ours = f"{_FROM}{_OURS}{environment}."
    return (name for name in _named(pod.annotations.get(HOLDS, "")) if not name.startswith(ours))


def _named(mark: str) -> Iterator[str]:
    """Yield what a mark names. It may be forged: of a text that is not the executor's only that is told."""
    names = mark.split(",", _NAMED) if len(mark) <= _LONGEST else [mark]
    if mark and not all(each in _HELD or _SOURCE.fullmatch(each) for each in names):
        yield UNKNOWN
    elif mark:
        yield from names
