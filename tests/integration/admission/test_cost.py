"""The largest objects that the schemas permit stay within what the API server allows an expression to cost."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, Final

import pytest

from integration.admission.asking import Asking
from integration.admission.wanted import ahead, backend, fenced_backend, rule, wanting
from integration.schema import objects

Json = dict[str, Any]
_LONGEST: Final = "100000h99999m99999s"
_SESSION: Final = {"ttl": "1h", "maxTTL": "1h"}


@pytest.fixture(scope="module")
def team(asking: Asking) -> str:
    asking.make_namespace("team-a")
    return "team-a"


def _widest_rules(**more: Any) -> list[Json]:
    return [_widest_rule(number, **more) for number in range(31)]  # and the one of the probe


def _widest_rule(number: int, **more: Any) -> Json:
    prefixes = [f"{{namespace}}/{'x/' * 115}{number:02d}-{each}/" for each in range(8)]
    engines = [
        {"engine": f"{'e' * 126}{each}", "rolePrefixes": [f"{'p' * 250}{each}{other}." for other in range(8)]}
        for each in range(8)
    ]
    spoken = {
        "names": ["team-a", *(f"{'n' * 60}{each}" for each in range(63))],
        "selector": {"matchLabels": {f"label-{each}": "v" for each in range(8)}},
    }
    return rule(f"{'r' * 60}-{number:02d}", keyPrefixes=prefixes, dynamic=engines, namespaces=spoken, **more)


def _most_secrets(place: str, store: str, tail: str) -> list[Json]:
    found = [objects.secret(f"id{each}", f"{tail}{each}", backendRef={"name": store}) for each in range(64)]
    if place == "dynamic":
        for number, each in enumerate(found):
            del each["key"]
            each["dynamic"] = {"engine": f"{'e' * 126}7", "role": f"{tail}{number}"}
    return found


_LAST: Final = {"key": f"team-a/{'x/' * 115}30-7/", "dynamic": f"{'p' * 250}77."}
_NOWHERE: Final = {place: text.replace("7", "9") for place, text in _LAST.items()}
places = pytest.mark.parametrize("place", ["key", "dynamic"])


@places
@pytest.mark.parametrize("limit", ["end", "orphan", "fenced"])
def test_the_largest_objects_are_judged(asking: Asking, team: str, place: str, limit: str) -> None:
    session = {"maxTTL": "1h", "required": False}
    rules = _widest_rules(session=session, **({"maxLifetime": _LONGEST} if limit == "end" else {"orphan": True}))
    made: Callable[..., Json] = fenced_backend if limit == "fenced" else backend
    asking.judge_by(made("widest", *rules))
    spec: Json = {"deletionPolicy": "Orphan"} if limit == "orphan" else {}
    body = wanting(team, "widest", end=ahead(days=3000) if limit == "end" else None, session=_SESSION, **spec)
    body["spec"]["secrets"] = _most_secrets(place, "widest", _LAST[place])
    assert asking.refusal(body) is None
    body["spec"]["secrets"] = _most_secrets(place, "widest", _NOWHERE[place])
    said = asking.refusal(body) or ""
    assert said.startswith("billing (Managed) may not read ")
    assert said.endswith("…")


@places
def test_edits_of_the_largest_objects_are_judged(asking: Asking, team: str, place: str) -> None:
    store = f"edited-{place}"
    old = wanting(team, store, end=ahead(days=6000), name=store, session=_SESSION)
    old["spec"]["secrets"] = _most_secrets(place, store, _NOWHERE[place])
    asking.make(old)
    asking.judge_by(backend(store, *_widest_rules(maxLifetime=_LONGEST)))
    edit = copy.deepcopy(old)
    edit["spec"]["access"] = {"notAfter": ahead(days=3000), "session": {"ttl": "59m", "maxTTL": "59m"}}
    del edit["spec"]["secrets"][0]
    assert asking.refusal_of_edit(edit) is None
    edit["spec"]["secrets"][-1]["type"] = "Variable"
    said = asking.refusal_of_edit(edit) or ""
    assert said.startswith("billing (Managed) may not read ")
    assert said.endswith("…")
