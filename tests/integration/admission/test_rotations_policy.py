"""The early message for rotations, and for bindings that ask for them: refused when applied.

Held against `airwarden.domain.guardrails.judge_rotation` over drawn rules. Two differences are meant: an edit that asks
for nothing more is admitted, and so is what the operator itself makes.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import pytest

from airwarden.api.backend import AllowRule, Operation
from airwarden.domain.guardrails import AdmittedRotation, BackendView, Refused, RotationRequest, judge_rotation
from integration.admission.asking import Asking, bindings_path
from integration.admission.wanted import backend, rule, wanting
from integration.rotations import rotation_path
from plane.errors import PlaneHTTPError
from plane.waiting import wait_for
from unit.domain import making

Json = dict[str, Any]
ROTATES: Final = ["Read", "RotateGenerate"]
NAMESPACES: Final[Mapping[str, Mapping[str, str]]] = {
    "team": {"tenant": "a"},
    "team-b": {"tenant": "b", "env": "a"},
    "tea": {},
    "prod": {"tenant": "a", "env": "a"},
}
_WORDS: Final = (*NAMESPACES, "shared", "db")


def rotation(namespace: str, store: str, key: str, name: str = "asked", **spec: Any) -> Json:
    """Return a rotation."""
    return {
        "apiVersion": "airwarden.dev/v1alpha1",
        "kind": "AirflowSecretRotation",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"backendRef": {"name": store}, "key": key, "field": "password", **spec},
    }


def refusal(asking: Asking, body: Json) -> str | None:
    """Return why a rotation would be refused."""
    return asking.refusal_at(rotation_path(body["metadata"]["namespace"]), body)


def refusal_of_edit(asking: Asking, body: Json) -> str | None:
    """Return why an edit of a rotation would be refused."""
    return asking.refusal_of_edit_at(rotation_path(body["metadata"]["namespace"]), body)


@pytest.fixture(scope="module")
def team(asking: Asking) -> str:
    """Return a namespace whose rotations are judged: its own tree may be rotated, the shared one only read."""
    asking.make_namespace("rotating", {"airwarden.dev/tenant": "true"})
    own = rule("own-tree", keyPrefixes=["{namespace}/"], operations=ROTATES)
    asking.judge_by(backend("rotated", own, rule("shared", keyPrefixes=["shared/"], operations=["Read"])))
    wait_for("the policies are at work", lambda: refusal(asking, rotation("rotating", "rotated", "else/x")), 30)
    return "rotating"


def test_a_key_that_a_rule_lets_rotate_is_admitted(asking: Asking, team: str) -> None:
    assert refusal(asking, rotation(team, "rotated", f"{team}/db")) is None
    assert asking.refusal(wanting(team, "rotated", f"{team}/db", rotation={"schedule": "@daily"})) is None


@pytest.mark.parametrize("key", ["shared/db", "rotating-b/db", "rotatin/db", "x/rotating/db"])
def test_another_key_is_refused_with_the_words_of_reconcile(asking: Asking, team: str, key: str) -> None:
    spoken = {"names": [team]}
    rules = (
        making.rule("own-tree", namespaces=spoken, keyPrefixes=["{namespace}/"], operations=ROTATES),
        making.rule("shared", namespaces=spoken, keyPrefixes=["shared/"]),
    )
    said = judge_rotation(
        key, Operation.ROTATE_GENERATE, RotationRequest(team, {}), making.view(*rules, name="rotated")
    )
    assert isinstance(said, Refused)
    assert (refusal(asking, rotation(team, "rotated", key)) or "").startswith(said.message)


def test_a_binding_that_asks_for_the_rotation_of_what_it_may_only_read_is_refused(asking: Asking, team: str) -> None:
    keys = (f"{team}/db", "shared/a", "shared/b")
    assert asking.refusal(wanting(team, "rotated", *keys)) is None
    said = asking.refusal(wanting(team, "rotated", *keys, rotation={})) or ""
    assert said.startswith(
        "spec.rotation: RotateGenerate of key shared/a (and 1 more) is not allowed to namespace rotating by backend "
        "rotated: rule own-tree permits it for keys below rotating/; rule shared permits Read only"
    )


def test_an_unknown_backend_is_admitted_since_it_may_come_later(asking: Asking, team: str) -> None:
    assert refusal(asking, rotation(team, "not-there-yet", "anything/at/all")) is None
    assert asking.refusal(wanting(team, "not-there-yet", "anything/at/all", rotation={})) is None


TAKING: Final[tuple[tuple[Json, Json, bool], ...]] = (
    ({}, {"suspend": True}, True),
    ({"suspend": True}, {}, False),
    ({"schedule": "@daily"}, {}, True),
    ({}, {"schedule": "@daily"}, False),
    ({"schedule": "@daily"}, {"schedule": "@weekly"}, True),
    ({"schedule": "@weekly"}, {"schedule": "@daily"}, False),
    ({"schedule": "@daily"}, {"schedule": "0 0 1 * *"}, False),
    ({"schedule": "0 0 1 * *"}, {"schedule": "0 0 1 * *", "timeZone": "Europe/Berlin", "jitter": "1h"}, True),
    ({}, {"window": {"opens": "@daily", "duration": "1h"}}, True),
    ({"window": {"opens": "@daily", "duration": "1h"}}, {}, False),
    ({"startingDeadline": "1h"}, {}, False),
    ({}, {"maxAge": "1h", "keepVersions": 5, "startingDeadline": "1h"}, True),
    ({}, {"generate": {"length": 20}}, False),
)


@pytest.mark.parametrize("sugar", [False, True])
def test_after_a_rule_was_tightened_only_edits_that_ask_for_nothing_more_pass(asking: Asking, *, sugar: bool) -> None:
    space, store = f"tightened-{sugar}".lower(), f"tightened-{sugar}".lower()
    asking.make_namespace(space)
    spoken = {"names": [space]}
    asking.judge_by(backend(store, rule(namespaces=spoken, operations=ROTATES)))
    collection = bindings_path(space) if sugar else rotation_path(space)

    def body(number: int, spec: Json) -> Json:
        name = f"edited-{number}"
        if sugar:
            return wanting(space, store, f"{space}/db", f"{space}/more", name=name, rotation=spec)
        return rotation(space, store, f"{space}/db", name, **spec)

    for number, (before, _, _) in enumerate(TAKING):
        asking.plane.api.admin.request("POST", collection, body(number, before))
    asking.judge_by(backend(store, rule(namespaces=spoken, operations=["Read"])))
    said = [asking.refusal_of_edit_at(collection, body(number, after)) for number, (_, after, _) in enumerate(TAKING)]
    assert [each is None for each in said] == [passes for _, _, passes in TAKING]
    path = f"{collection}/edited-0"
    headers = {"Content-Type": "application/merge-patch+json"}
    asking.plane.api.admin.request("PATCH", path, {"metadata": {"labels": {"a": "b"}}}, headers=headers)
    if sugar:
        fewer, more = body(0, {}), body(0, {})
        fewer["spec"]["secrets"] = fewer["spec"]["secrets"][:1]
        more["spec"]["secrets"][0]["id"] = "another"
        assert asking.refusal_of_edit_at(collection, fewer) is None
        assert "RotateGenerate" in (asking.refusal_of_edit_at(collection, more) or "")
        del fewer["spec"]["rotation"]
        assert asking.refusal_of_edit_at(collection, fewer) is None


def test_what_the_operator_makes_for_a_binding_is_judged_at_each_pass_and_not_here(asking: Asking, team: str) -> None:
    client = asking.plane.api.client(token=asking.plane.service_account_token("airwarden", "airwarden"))
    body = rotation(team, "rotated", "else/x", "made")
    path = f"{rotation_path(team)}?dryRun=All"
    client.request("POST", path, body)
    with pytest.raises(PlaneHTTPError, match="is not allowed to namespace rotating"):
        asking.plane.api.admin.request("POST", path, body)


def _drawn_rule(draw: random.Random, name: str) -> AllowRule:
    selector = {"matchLabels": {draw.choice(("tenant", "env")): draw.choice("ab")}}
    others = draw.sample([f"{word}/" for word in _WORDS], draw.randrange(1, 4))
    return making.rule(
        name,
        namespaces={"names": draw.sample(list(NAMESPACES), draw.randrange(4)), "selector": selector},
        keyPrefixes=["{namespace}/", *others] if draw.random() < 0.5 else others,
        operations=draw.choice((ROTATES, ["RotateGenerate"], ["Read"])),
    )


@pytest.mark.parametrize("seed", range(2))
def test_admission_and_reconcile_judge_alike(asking: Asking, seed: int) -> None:
    draw = random.Random(seed)  # noqa: S311 - a repeatable choice, not a secret
    for name, labels in NAMESPACES.items():
        asking.make_namespace(name, labels)
    views: dict[str, BackendView] = {}
    for name in (f"rotation-{seed}-{number}" for number in range(6)):
        rules = [_drawn_rule(draw, f"r{number}") for number in range(draw.choice((0, 2, 5)))]
        views[name] = making.view(*rules, name=name)
    shown = [
        backend(name, *(each.model_dump(by_alias=True, mode="json", exclude_none=True) for each in view.allow))
        for name, view in views.items()
    ]
    asking.judge_by(*shown)
    drawn = [
        (store, draw.choice(list(NAMESPACES)), "/".join(draw.choices(_WORDS, k=draw.randrange(1, 4))))
        for store in views
        for _ in range(30)
    ]
    expected = [_admitted(store, namespace, key, views) for store, namespace, key in drawn]

    def ask(each: tuple[str, str, str]) -> bool:
        store, namespace, key = each
        return refusal(asking, rotation(namespace, store, key)) is None

    def ask_sugar(each: tuple[str, str, str]) -> bool:
        store, namespace, key = each
        said = asking.refusal(wanting(namespace, store, key, rotation={})) or ""
        return "spec.rotation" not in said and "RotateGenerate" not in said

    with ThreadPoolExecutor(6) as threads:
        said, of_bindings = list(threads.map(ask, drawn)), list(threads.map(ask_sugar, drawn))
    assert said == expected
    assert 10 < sum(expected) < len(expected) - 10, "what was drawn shows too little"
    # Where the access itself is refused, one of two refusals is told; where only the rotation is, that one.
    assert all(mine or not theirs for mine, theirs in zip(of_bindings, expected, strict=True))
    readable = [_readable(store, namespace, key, views) for store, namespace, key in drawn]
    pairs = [(mine, theirs) for mine, theirs, may in zip(of_bindings, expected, readable, strict=True) if may]
    assert [mine for mine, _ in pairs] == [theirs for _, theirs in pairs]
    assert any(not theirs for _, theirs in pairs)


def _admitted(store: str, namespace: str, key: str, views: Mapping[str, BackendView]) -> bool:
    asked = RotationRequest(namespace, NAMESPACES[namespace])
    return isinstance(judge_rotation(key, Operation.ROTATE_GENERATE, asked, views[store]), AdmittedRotation)


def _readable(store: str, namespace: str, key: str, views: Mapping[str, BackendView]) -> bool:
    asked = RotationRequest(namespace, NAMESPACES[namespace])
    return isinstance(judge_rotation(key, Operation.READ, asked, views[store]), AdmittedRotation)


def _widest_rule(number: int, operations: list[str] | None = None) -> Json:
    prefixes = [f"{{namespace}}/{'x/' * 115}{number:02d}-{each}/" for each in range(8)]
    spoken = {
        "names": ["widest", *(f"{'n' * 60}{each}" for each in range(63))],
        "selector": {"matchLabels": {f"label-{each}": "v" for each in range(8)}},
    }
    return rule(f"{'r' * 60}-{number:02d}", keyPrefixes=prefixes, namespaces=spoken, operations=operations or ROTATES)


def test_the_largest_objects_are_judged(asking: Asking) -> None:
    asking.make_namespace("widest")
    asking.judge_by(backend("widest-rotated", *(_widest_rule(number) for number in range(31))))
    last, nowhere = (f"widest/{'x/' * 115}{end}/" for end in ("30-7", "99-9"))
    assert refusal(asking, rotation("widest", "widest-rotated", f"{last}db")) is None
    said = refusal(asking, rotation("widest", "widest-rotated", f"{nowhere}db")) or ""
    assert said.startswith("RotateGenerate of key ")
    assert said.endswith("…")
    keys = [f"{last}{number}" for number in range(64)]
    assert asking.refusal(wanting("widest", "widest-rotated", *keys, rotation={})) is None
    asking.judge_by(backend("widest-read", *(_widest_rule(number, ["Read"]) for number in range(31))))
    said = asking.refusal(wanting("widest", "widest-read", *keys, rotation={})) or ""
    assert said.startswith(f"spec.rotation: RotateGenerate of key {keys[0]} (and 63 more) is not allowed")
    assert said.endswith("…")
