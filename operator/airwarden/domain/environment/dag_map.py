"""The DAG map of one bundle: which account the pods of a DAG run under. Pure.

The executor reads it (docs/executor.md) and uses no map that it does not wholly understand, so nothing is added to the
format without a new version. Called by `airwarden.domain.environment.rendering`.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any, Final

from airwarden.api.reasons import Reason
from airwarden.domain.config_map import LARGEST, WantedMap, compact, environment_labels
from airwarden.domain.environment.claims import Key
from airwarden.domain.slices import STEP, Steps, at_once
from airwarden.domain.task_access import TokenMount

MAP_KEY: Final = "map.json"
_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class MappedBinding:
    """One binding whose DAGs run under its account."""

    key: Key
    account: str
    ids: tuple[str, ...]
    """Of the map's bundle."""
    mounts: tuple[str, ...]
    """Names of the tokens that its pods get."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Labels that a store needs on its pods."""
    unsure: frozenset[str] = frozenset()
    """Backends of which it cannot be said now what its pods need for them."""


@dataclass(frozen=True, slots=True)
class Withheld:
    """Claims that are declared and not in force: whoever runs their DAGs gets no answer from any source."""

    ids: frozenset[str]
    reason: Reason


@dataclass(frozen=True, slots=True)
class DagMap:
    """The map of one bundle."""

    environment: Key
    bundle: str
    mounts: Mapping[str, TokenMount]
    bindings: tuple[MappedBinding, ...]
    withheld: tuple[Withheld, ...] = ()
    """A DAG that a binding above has is that binding's, whoever claims it in vain."""

    @property
    def name(self) -> str:
        """Name of its ConfigMap, in the environment's namespace."""
        return map_name(self.environment[1], self.bundle)

    @property
    def text(self) -> str:
        """The map as it stands in the ConfigMap: the same bindings give the same text, in whatever order they came."""
        return at_once(self._steps())

    def _steps(self) -> Steps[str]:
        used = {name for each in self.bindings for name in each.mounts}
        head = {
            "version": _VERSION,
            "environment": "/".join(self.environment),
            "bundle": self.bundle,
            "mounts": {name: _mount(self.mounts[name]) for name in sorted(used)},
        }
        bindings, done = list[str](), 0
        for each in sorted(self.bindings, key=lambda each: each.key):
            bindings.append(compact(_binding(each)))
            done += 1 + len(each.ids)
            if done >= STEP:
                done = 0
                yield
        withheld = [
            {"ids": sorted(each.ids), "reason": each.reason.word}
            for each in sorted(self.withheld, key=lambda each: each.reason.word)
        ]
        return f'{compact(head)[:-1]},"bindings":[{",".join(bindings)}],"withheld":{compact(withheld)}}}'

    def wanted(self) -> Steps[WantedMap]:
        """Return the ConfigMap."""
        namespace, environment = self.environment
        text = yield from self._steps()
        return WantedMap(namespace, self.name, environment_labels(environment), {MAP_KEY: text})


def map_name(environment: str, bundle: str) -> str:
    """Return the name of the ConfigMap of a bundle's map; a bundle's name may hold what a ConfigMap's may not."""
    return f"airwarden.{environment}.dags.{hashlib.sha256(bundle.encode()).hexdigest()[:12]}"


def is_too_large(wanted: WantedMap) -> bool:
    """Tell whether a ConfigMap could not be written, or not for long."""
    return wanted.size > LARGEST


def exceeds(dag_map: DagMap) -> bool:
    """Tell, without its text, whether the DAG ids of a map alone are more than a ConfigMap holds."""
    left = LARGEST
    claims: chain[Iterable[str]] = chain(
        (each.ids for each in dag_map.bindings), (each.ids for each in dag_map.withheld)
    )
    for ids in claims:
        left -= sum(len(each) for each in ids)
        if left < 0:
            return True
    return False


def fills_up(wanted: WantedMap) -> bool:
    """Tell whether a ConfigMap has four fifths of what it may hold."""
    return wanted.size >= LARGEST * 4 // 5


def closed(dag_map: DagMap) -> DagMap:
    """Return the map without the names of what is withheld: each DAG that no binding has is, whoever's it may be."""
    return replace(dag_map, withheld=(Withheld(frozenset({"*"}), Reason.MAP_TOO_LARGE),))


def narrowed(dag_map: DagMap, text: str) -> DagMap:
    """Return what a map in force has in common with the one that should be: what was withdrawn goes, nothing is added.

    ``text`` is that of the map in force. One that cannot be read has nothing in common with any.
    """
    before = _bindings(text, dag_map)
    kept = []
    for binding in dag_map.bindings:
        said = before.get(binding.key)
        if said is None or said.get("account") != binding.account or said.get("labels") != dict(binding.labels):
            continue
        given, tokens = _texts(said.get("ids")), _texts(said.get("mounts"))
        ids = tuple(each for each in binding.ids if each in given)
        mounts = tuple(each for each in binding.mounts if each in tokens)
        if ids:
            kept.append(replace(binding, ids=ids, mounts=mounts))
    return replace(dag_map, bindings=tuple(kept))


def steadied(dag_map: DagMap, text: str) -> DagMap:
    """Return the map with what the one in force gives for stores of which nothing can be said now.

    A store that cannot be opened, for want of a certificate say, takes nothing from tasks that worked before.
    """
    if not any(each.unsure for each in dag_map.bindings):
        return dag_map
    before, tokens = _bindings(text, dag_map), _mounts(text)
    mounts, bindings = dict(dag_map.mounts), []
    for each in dag_map.bindings:
        said = before.get(each.key, {})
        had = {name for name in each.unsure & _texts(said.get("mounts")) if name in tokens}
        mounts |= {name: tokens[name] for name in had if name not in mounts}
        labels = said.get("labels") if each.unsure else None
        older = {key: str(text) for key, text in labels.items()} if isinstance(labels, dict) else {}
        bindings.append(replace(each, mounts=(*each.mounts, *sorted(had)), labels={**older, **each.labels}))
    return replace(dag_map, mounts=mounts, bindings=tuple(bindings))


def _read(text: str) -> Mapping[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) and found.get("version") == _VERSION else {}


def _bindings(text: str, dag_map: DagMap) -> dict[Key, Mapping[str, Any]]:
    found = _read(text)
    bindings = found.get("bindings")
    if found.get("bundle") != dag_map.bundle or not isinstance(bindings, list):
        return {}
    named = {str(each.get("binding")): each for each in bindings if isinstance(each, dict)}
    return {each.key: named[name] for each in dag_map.bindings if (name := "/".join(each.key)) in named}


def _mounts(text: str) -> dict[str, TokenMount]:
    mounts = _read(text).get("mounts")
    found = {}
    for name, each in (mounts if isinstance(mounts, dict) else {}).items():
        if isinstance(each, dict) and isinstance(each.get("expirationSeconds"), int):
            found[name] = TokenMount(str(each.get("audience")), str(each.get("path")), each["expirationSeconds"])
    return found


def _texts(found: object) -> frozenset[str]:
    return frozenset(each for each in found if isinstance(each, str)) if isinstance(found, list) else frozenset()


def _mount(mount: TokenMount) -> dict[str, object]:
    return {"audience": mount.audience, "path": mount.path, "expirationSeconds": mount.expiration_seconds}


def _binding(each: MappedBinding) -> dict[str, object]:
    return {
        "binding": "/".join(each.key),
        "account": each.account,
        "ids": sorted(each.ids),
        "mounts": sorted(each.mounts),
        "labels": {key: each.labels[key] for key in sorted(each.labels)},
    }
