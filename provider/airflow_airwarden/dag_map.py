"""The DAG map of one bundle: which account the pods of a DAG run under. Pure.

The operator writes one ConfigMap per bundle into the environment's namespace, and nobody else may. `map_view.py` reads
it for the executor. A map that is not wholly understood is not used at all: what an older provider would skip may be
what the operator meant to forbid. The format is described in docs/executor.md.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NoReturn, TypeVar

VERSION = 1
DATA_KEY = "map.json"
LARGEST = 1 << 20
"""Characters; a ConfigMap holds no more bytes."""
OURS = "airwarden.dev/"
"""Prefix of the labels and annotations that nobody else may set on a pod."""
SHORTEST_TOKEN, LONGEST_TOKEN = 600, 86_400
"""Seconds; the API server gives no shorter ones."""
T = TypeVar("T", str, int, list[object], dict[str, object])
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?"
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?")
_NAMESPACED = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?/[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?")
_IDS = re.compile(r"[\w.-]+\*?|\*")
_AUDIENCE = re.compile(r"[\x21-\x7e]{1,512}")
_PATH = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(?:/[A-Za-z0-9][A-Za-z0-9._-]*)*")
_LABEL_KEY = re.compile(rf"[a-z0-9](?:[a-z0-9.-]{{0,251}}[a-z0-9])?/{_LABEL}")
_LABEL_VALUE = re.compile(rf"(?:{_LABEL})?")
_REASON = re.compile(r"[A-Z][A-Za-z0-9]{0,63}")


class MapUnusable(Exception):
    """Nobody can tell from this map whose DAG it is; the text says why."""


@dataclass(frozen=True, slots=True)
class TokenMount:
    """A token of the pod's account for one store, below the folder of all tokens."""

    audience: str
    path: str
    expiration_seconds: int


@dataclass(frozen=True, slots=True)
class Claim:
    """One binding, and which DAGs of the bundle are its."""

    namespace: str
    """Of the binding, and of its pods."""
    name: str
    account: str
    ids: tuple[str, ...]
    mounts: tuple[TokenMount, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def binding(self) -> str:
        """Namespace and name, with a slash between them."""
        return f"{self.namespace}/{self.name}"

    def covers(self, dag_id: str) -> bool:
        """Tell whether the DAG is this binding's: by its exact id, or by a prefix with a star."""
        return _covers(self.ids, dag_id)


@dataclass(frozen=True, slots=True)
class Withheld:
    """Claims that are declared and not in force: their DAGs are some binding's, and run under no binding's account."""

    ids: tuple[str, ...]
    reason: str
    """One word of the operator's."""


@dataclass(frozen=True, slots=True)
class DagMap:
    """All claims on the DAGs of one bundle."""

    claims: tuple[Claim, ...]
    digest: str
    """Names this very text in annotations of pods: 32 hexadecimal digits."""
    withheld: tuple[Withheld, ...] = ()

    def find(self, dag_id: str) -> Claim | None:
        """Return the one claim on a DAG, None where there is none; MapUnusable where there are several."""
        found = [each for each in self.claims if each.covers(dag_id)]
        if len(found) > 1:
            names = ", ".join(sorted(each.binding for each in found))
            raise MapUnusable(f"several bindings claim the DAG {dag_id!r}: {names}")
        return found[0] if found else None

    def why_withheld(self, dag_id: str) -> str:
        """Return why a claim on a DAG is not in force, empty where there is no such claim. Asked after `find`."""
        return next((each.reason for each in self.withheld if _covers(each.ids, dag_id)), "")


def map_name(environment: str, bundle: str) -> str:
    """Return the name of the ConfigMap of a bundle; ``environment`` is the environment's name alone."""
    return f"airwarden.{environment}.dags.{hashlib.sha256(bundle.encode()).hexdigest()[:12]}"


def parse_dag_map(text: str, environment: str, bundle: str) -> DagMap:
    """Return the map that the text describes; MapUnusable names place and fault.

    ``environment`` (namespace and name) and ``bundle`` must be those that the map names: it lies where it belongs.
    """
    try:
        body = json.loads(text) if len(text) <= LARGEST else None
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        what = f"larger than {LARGEST} characters" if len(text) > LARGEST else "no whole JSON object"
        raise MapUnusable(f"the DAG map of bundle {bundle!r} is {what}: it has {len(text)} characters")
    if body.get("version") != VERSION:
        raise MapUnusable(
            f"the DAG map of bundle {bundle!r} does not have the version {VERSION}: use the provider that belongs to "
            "the operator's version"
        )
    part = _Part(body, "")
    part.take("version", int)
    for name, expected in (("environment", environment), ("bundle", bundle)):
        if part.take(name, str) != expected:
            part.wrong(name, f"it is not {expected!r}")
    mounts = _mounts(part)
    claims = []
    for index, each in enumerate(part.take("bindings", list)):
        if not isinstance(each, dict):
            part.wrong(f"bindings[{index}]", "it is no object")
        claims.append(_claim(_Part(each, f"bindings[{index}]."), mounts))
    withheld = tuple(_withheld(part, index, each) for index, each in enumerate(part.take("withheld", list)))
    part.end()
    if len({each.binding for each in claims}) < len(claims):
        part.wrong("bindings", "a binding stands there twice")
    return DagMap(tuple(claims), hashlib.sha256(text.encode()).hexdigest()[:32], withheld)


def _covers(ids: tuple[str, ...], dag_id: str) -> bool:
    return any(dag_id.startswith(each[:-1]) if each.endswith("*") else dag_id == each for each in ids)


class _Part:
    """One object of the map, taken apart key by key; what nobody took is an error."""

    def __init__(self, body: Mapping[str, object], where: str) -> None:
        self._rest = dict(body)
        self._where = where

    def wrong(self, name: str, what: str) -> NoReturn:
        raise MapUnusable(f"the DAG map is wrong at {self._where}{name}: {what}")

    def take(self, name: str, kind: type[T]) -> T:
        value = self._rest.pop(name, None)
        if not isinstance(value, kind) or isinstance(value, bool):
            self.wrong(name, "it is missing" if value is None else f"it is no {kind.__name__}")
        return value

    def text(self, name: str, pattern: re.Pattern[str]) -> str:
        value = self.take(name, str)
        if not pattern.fullmatch(value):
            self.wrong(name, "it has characters that are not allowed there")
        return value

    def texts(self, name: str, pattern: re.Pattern[str]) -> tuple[str, ...]:
        items = self.take(name, list)
        values = tuple(each for each in items if isinstance(each, str) and pattern.fullmatch(each))
        if len(values) != len(items):
            self.wrong(name, "not each of its items is a text that is allowed there")
        return values

    def parts(self, name: str) -> list[tuple[str, _Part]]:
        """Return the objects below a key by their names."""
        found = []
        for key, body in self.take(name, dict).items():
            if not isinstance(body, dict):
                self.wrong(f"{name}.{key}", "it is no object")
            found.append((key, _Part(body, f"{self._where}{name}.{key}.")))
        return found

    def end(self) -> None:
        if self._rest:
            self.wrong(min(self._rest), "this version of the provider does not know it")


def _mounts(part: _Part) -> dict[str, TokenMount]:
    found = {}
    for name, each in part.parts("mounts"):
        mount = TokenMount(
            each.text("audience", _AUDIENCE), each.text("path", _PATH), each.take("expirationSeconds", int)
        )
        if not SHORTEST_TOKEN <= mount.expiration_seconds <= LONGEST_TOKEN:
            each.wrong("expirationSeconds", f"it is not between {SHORTEST_TOKEN} and {LONGEST_TOKEN}")
        each.end()
        found[name] = mount
    return found


def _claim(part: _Part, mounts: Mapping[str, TokenMount]) -> Claim:
    namespace, _, name = part.text("binding", _NAMESPACED).partition("/")
    wanted = part.texts("mounts", _PATH)
    if not set(wanted) <= set(mounts):
        part.wrong("mounts", "the map describes no such mount")
    found = Claim(
        namespace,
        name,
        part.text("account", _NAME),
        part.texts("ids", _IDS),
        tuple(mounts[each] for each in wanted),
        _labels(part),
    )
    if len({each.path for each in found.mounts}) < len(wanted):
        part.wrong("mounts", "two tokens would be one file")
    part.end()
    return found


def _withheld(whole: _Part, index: int, body: object) -> Withheld:
    if not isinstance(body, dict):
        whole.wrong(f"withheld[{index}]", "it is no object")
    part = _Part(body, f"withheld[{index}].")
    found = Withheld(part.texts("ids", _IDS), part.text("reason", _REASON))
    part.end()
    return found


def _labels(part: _Part) -> dict[str, str]:
    labels = {}
    for key, value in part.take("labels", dict).items():
        if not _LABEL_KEY.fullmatch(key) or key.startswith(OURS):
            part.wrong(f"labels.{key}", f"it needs a prefix, which is not {OURS}")
        if not isinstance(value, str) or not _LABEL_VALUE.fullmatch(value):
            part.wrong(f"labels.{key}", "it is no label's value")
        labels[key] = value
    return labels
