"""The early message for rotations of database roles: refused when applied, with the words of reconcile.

Held against `airwarden.domain.role_guardrails.judge_role` over drawn rules. Three differences are meant: an edit that
asks for nothing more is admitted, what the operator writes too, and the name of a declared role is judged as the
cluster would that stands in it, since only the operator knows which cluster this is.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import pytest

from airwarden.api.backend import AllowRule, Operation
from airwarden.api.database_role import DatabaseRole
from airwarden.domain.guardrails import AdmittedRotation, BackendView, Refused, RotationRequest
from airwarden.domain.role_guardrails import judge_role
from integration.admission.asking import Asking
from integration.admission.wanted import backend, rule
from integration.rotations import rotation_path
from plane.errors import PlaneHTTPError
from plane.waiting import wait_for
from unit.domain import making

Json = dict[str, Any]
ROTATES: Final = ["Read", "RotateNative", "RotateRevoke"]
OPERATIONS: Final = {"Native": Operation.ROTATE_NATIVE, "Revoke": Operation.ROTATE_REVOKE}
CLUSTER: Final = "prod-eu"
ENGINE: Final[Json] = {
    "engine": "database",
    "rolePrefixes": ["{namespace}.", f"airwarden.{CLUSTER}.{{namespace}}."],
    "connections": ["main"],
    "usernames": ["{namespace}_*", "exact"],
    "roots": ["main"],
}
NAMESPACES: Final[Mapping[str, Mapping[str, str]]] = {
    "team": {"tenant": "a"},
    "team-b": {"tenant": "b", "env": "a"},
    "tea": {},
    "airwarden": {},
}


def role(name: str, kind: str = "Static", *, engine: str = "database", **declare: str) -> Json:
    """Return what names a role; with a user it is declared."""
    declared = {"declare": {"connection": "main", **declare}} if declare else {}
    return {"engine": engine, "name": name, "kind": kind, **declared}


def rotation(namespace: str, store: str, target: Json, name: str = "asked", **spec: Any) -> Json:
    """Return a rotation of a database role, with a schedule where the store needs one."""
    timed = {"schedule": "@daily"} if "declare" in target and "period" not in target["declare"] else {}
    strategy = "Revoke" if target["kind"] == "Dynamic" else "Native"
    more = {"strategy": strategy, "databaseRole": target, **timed, **spec}
    return {
        "apiVersion": "airwarden.dev/v1alpha1",
        "kind": "AirflowSecretRotation",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"backendRef": {"name": store}, **more},
    }


def refusal(asking: Asking, body: Json) -> str | None:
    """Return why a rotation would be refused."""
    return asking.refusal_at(rotation_path(body["metadata"]["namespace"]), body)


def judged(namespace: str, target: Json, view: BackendView, cluster: str = CLUSTER) -> AdmittedRotation | Refused:
    """Return what reconcile says."""
    operation = OPERATIONS["Revoke" if target["kind"] == "Dynamic" else "Native"]
    asked = RotationRequest(namespace, NAMESPACES.get(namespace, {}))
    found = judge_role(DatabaseRole.model_validate(target), operation, cluster, asked, view)
    assert found is not None
    return found


@pytest.fixture(scope="module")
def team(asking: Asking) -> str:
    """Return a namespace whose rotations are judged: one rule rotates its roles, another only reads."""
    asking.make_namespace("roles")
    spoken = {"names": ["roles"]}
    own = rule("own", namespaces=spoken, operations=ROTATES, dynamic=[ENGINE])
    reads = rule("reads", namespaces=spoken, operations=["Read"], dynamic=[{**ENGINE, "engine": "other"}])
    bare = rule("bare", namespaces=spoken, operations=["RotateNative"], dynamic=[_bare("bare")])
    asking.judge_by(backend("databases", own, reads, bare))
    wait_for("the policy is at work", lambda: refusal(asking, rotation("roles", "databases", role("x.y"))), 30)
    return "roles"


def _bare(engine: str) -> Json:
    return {"engine": engine, "rolePrefixes": ["{namespace}."]}


OWN: Final = f"airwarden.{CLUSTER}.roles.x"


@pytest.mark.parametrize(
    "target",
    [
        role("roles.x"),
        role("roles.x", "Dynamic"),
        role("main", "Root"),
        role(OWN),
        role(OWN, username="roles_x"),
        role(OWN, username="exact", period="24h"),
    ],
)
def test_a_role_that_a_rule_covers_is_admitted(asking: Asking, team: str, target: Json) -> None:
    assert refusal(asking, rotation(team, "databases", target)) is None


@pytest.mark.parametrize(
    "target",
    [
        role("roles-b.x"),
        role("x.roles.x", "Dynamic"),
        role("roles.x", engine="other"),
        role("roles.x", engine="third"),
        role("roles.main", "Root"),
        role("main", "Root", engine="bare"),
        role(OWN, username="other_x"),
        role(OWN, username="exactly"),
        role(OWN, username="roles_x", connection="second"),
        role(OWN, engine="bare", username="roles_x"),
    ],
)
def test_what_no_rule_covers_is_refused_with_the_words_of_reconcile(asking: Asking, team: str, target: Json) -> None:
    spoken = {"names": [team]}
    rules = (
        making.rule("own", namespaces=spoken, operations=ROTATES, dynamic=[ENGINE]),
        making.rule("reads", namespaces=spoken, dynamic=[{**ENGINE, "engine": "other"}]),
        making.rule("bare", namespaces=spoken, operations=["RotateNative"], dynamic=[_bare("bare")]),
    )
    said = judged(team, target, making.view(*rules, name="databases"))
    assert isinstance(said, Refused)
    assert (refusal(asking, rotation(team, "databases", target)) or "").startswith(said.message)


@pytest.mark.parametrize(
    "name", ["airwarden.c1.roles-b.x", "airwarden.c1.x.roles.x", "airwarden.roles.x", "airwarden.x"]
)
def test_a_declared_role_has_a_name_of_its_namespace_whatever_the_rules_say(asking: Asking, name: str) -> None:
    asking.make_namespace("roles")
    wide = {**ENGINE, "rolePrefixes": ["airwarden."], "usernames": ["roles_*"]}
    asking.judge_by(backend("wide", rule(namespaces={"names": ["roles"]}, operations=ROTATES, dynamic=[wide])))
    assert refusal(asking, rotation("roles", "wide", role("airwarden.c2.roles.x", username="roles_x"))) is None
    assert refusal(asking, rotation("roles", "wide", role(name, username="roles_x"))) == (
        f"role {name} cannot be declared in namespace roles: what is declared here has a name that begins with "
        "airwarden.<cluster>.roles., so that it is nobody else's"
    )


def test_an_unknown_backend_is_admitted_since_it_may_come_later(asking: Asking, team: str) -> None:
    assert refusal(asking, rotation(team, "not-there-yet", role("any.role"))) is None


def test_what_the_operator_writes_is_judged_at_each_pass_and_not_here(asking: Asking, team: str) -> None:
    client = asking.plane.api.client(token=asking.plane.service_account_token("airwarden", "airwarden"))
    body = rotation(team, "databases", role("any.role"))
    path = f"{rotation_path(team)}?dryRun=All"
    client.request("POST", path, body)
    with pytest.raises(PlaneHTTPError, match="is not allowed to namespace roles"):
        asking.plane.api.admin.request("POST", path, body)


PLAIN: Final = role("tightened-roles.x")
_HERE: Final = f"airwarden.{CLUSTER}.tightened-roles.x"


def _every(period: str) -> Json:
    return role(_HERE, username="tightened-roles_x", period=period)


DAILY: Final = role(_HERE, username="tightened-roles_x")
WINDOW: Final = {"opens": "@daily", "duration": "1h"}
TAKING: Final[tuple[tuple[Json, Json, Json, Json, bool], ...]] = (
    (PLAIN, {}, PLAIN, {"suspend": True}, True),
    (PLAIN, {"suspend": True}, PLAIN, {}, False),
    (PLAIN, {"schedule": "@daily"}, PLAIN, {}, True),
    (PLAIN, {}, PLAIN, {"schedule": "@daily"}, False),
    (PLAIN, {"schedule": "@daily"}, PLAIN, {"schedule": "@weekly"}, True),
    (PLAIN, {"schedule": "@weekly"}, PLAIN, {"schedule": "@daily"}, False),
    (PLAIN, {"schedule": "@weekly"}, PLAIN, {"schedule": "0 0 1 * *"}, False),
    (PLAIN, {}, PLAIN, {"window": WINDOW, "startingDeadline": "1h"}, True),
    (PLAIN, {"window": WINDOW}, PLAIN, {}, False),
    (PLAIN, {"startingDeadline": "1h"}, PLAIN, {}, False),
    (PLAIN, {}, PLAIN, {"maxAge": "1h", "timeZone": "Europe/Berlin", "jitter": "1h"}, True),
    (_every("24h"), {}, _every("48h"), {}, True),
    (_every("24h"), {}, _every("1440m"), {"suspend": True}, True),
    (_every("24h"), {}, _every("23h59m"), {}, False),
    (_every("24h"), {}, DAILY, {}, False),
    (DAILY, {}, _every("24h"), {}, False),
    (DAILY, {"schedule": "@daily"}, DAILY, {"schedule": "@monthly"}, True),
)


def test_after_a_rule_was_tightened_only_edits_that_ask_for_nothing_more_pass(asking: Asking) -> None:
    space, store = "tightened-roles", "tightened-roles"
    asking.make_namespace(space)
    spoken = {"names": [space]}
    asking.judge_by(backend(store, rule(namespaces=spoken, operations=ROTATES, dynamic=[ENGINE])))
    collection = rotation_path(space)
    for number, (target, before, *_) in enumerate(TAKING):
        asking.plane.api.admin.request("POST", collection, rotation(space, store, target, f"edited-{number}", **before))
    asking.judge_by(backend(store, rule(namespaces=spoken, operations=["Read"], dynamic=[ENGINE])))
    said = [
        asking.refusal_of_edit_at(collection, rotation(space, store, target, f"edited-{number}", **after))
        for number, (_, _, target, after, _) in enumerate(TAKING)
    ]
    assert [each is None for each in said] == [passes for *_, passes in TAKING]
    path = f"{collection}/edited-0"
    headers = {"Content-Type": "application/merge-patch+json"}
    kept = {"metadata": {"finalizers": ["example.com/kept"], "labels": {"a": "b"}}}
    asking.plane.api.admin.request("PATCH", path, kept, headers=headers)
    asking.plane.api.admin.request("DELETE", path)
    freed = {"metadata": {"finalizers": None}, "spec": {"schedule": "@hourly"}}
    asking.plane.api.admin.request("PATCH", path, freed, headers=headers)
    assert asking.plane.api.admin.status("GET", path) == 404


_STEMS: Final = (*NAMESPACES, "shared", "db")
_CLUSTERS: Final = (CLUSTER, "c2")
_ENGINES: Final = ("database", "db/other")
_NAMES: Final = ("main", "second", "db")
_PATTERNS: Final = ("{namespace}_*", "{namespace}.ro", "team*", "team_x", "exact", "{namespace}@*")


def _drawn_rule(draw: random.Random, name: str) -> AllowRule:
    own = ["{namespace}.", *(f"airwarden.{each}.{{namespace}}." for each in _CLUSTERS)]
    prefixes = [*own, "airwarden.", *(f"{each}." for each in _STEMS[:3]), "shared.{namespace}."]
    selector = {"matchLabels": {draw.choice(("tenant", "env")): draw.choice("ab")}}
    engines = [
        {
            "engine": engine,
            "rolePrefixes": draw.sample(prefixes, draw.choice((1, 3, 5))),
            "connections": draw.sample(_NAMES, draw.choice((0, 1, 2, 3))),
            "usernames": draw.sample(_PATTERNS, draw.choice((0, 2, 4))),
            "roots": draw.sample(_NAMES, draw.choice((0, 1, 2))),
        }
        for engine in draw.sample(_ENGINES, draw.choice((0, 1, 2, 2, 2)))
    ]
    return making.rule(
        name,
        namespaces={"names": draw.sample(list(NAMESPACES), draw.randrange(1, 5)), "selector": selector},
        dynamic=engines,
        operations=draw.choice((ROTATES, ROTATES, ["RotateNative"], ["RotateRevoke"], ["Read"])),
    )


def _drawn_target(draw: random.Random, namespace: str) -> Json:
    engine, kind = draw.choice(_ENGINES), draw.choice(("Static", "Dynamic", "Root", *["Declared"] * 4))
    if kind == "Root":
        return role(draw.choice((*_NAMES, f"{namespace}.main")), kind, engine=engine)
    space = draw.choice((*[namespace] * 6, *NAMESPACES))
    if kind == "Declared":
        user = draw.choice((f"{space}_x", f"{space}.ro", f"{space}@x", "exact", "exactly", "team_x"))
        made = f"airwarden.{draw.choice(_CLUSTERS)}.{space}.{draw.choice(_STEMS)}"
        return role(made, engine=engine, connection=draw.choice(_NAMES), username=user)
    words = draw.choices(_STEMS, k=draw.randrange(1, 3))
    return role(".".join([draw.choice((space, space, f"airwarden.{CLUSTER}.{space}")), *words]), kind, engine=engine)


def _with(body: Json, **spec: Any) -> Json:
    return {**body, "spec": {**body["spec"], **spec}}


def _drawn_views(draw: random.Random, stem: str) -> dict[str, BackendView]:
    found = {}
    for number, count in enumerate((0, 2, 4, 6, 8, 8)):
        name = f"{stem}-{number}"
        found[name] = making.view(*(_drawn_rule(draw, f"r{each}") for each in range(count)), name=name)
    return found


@pytest.mark.parametrize("seed", range(3))
def test_admission_and_reconcile_judge_alike_and_say_the_same(asking: Asking, seed: int) -> None:
    draw = random.Random(seed)  # noqa: S311 - a repeatable choice, not a secret
    for name, labels in NAMESPACES.items():
        asking.make_namespace(name, labels)
    views = _drawn_views(draw, f"roles-{seed}")
    asking.judge_by(
        *(
            backend(name, *(each.model_dump(by_alias=True, mode="json", exclude_none=True) for each in view.allow))
            for name, view in views.items()
        )
    )
    drawn = []
    for store in views:
        for _ in range(60):
            namespace = draw.choice(list(NAMESPACES))
            drawn.append((store, namespace, _drawn_target(draw, namespace)))
    verdicts = [judged(namespace, target, views[store], _cluster_of(target)) for store, namespace, target in drawn]

    def ask(each: tuple[str, str, Json]) -> str | None:
        store, namespace, target = each
        return refusal(asking, rotation(namespace, store, target))

    with ThreadPoolExecutor(6) as threads:
        said = list(threads.map(ask, drawn))
    differing = [
        (each, words, verdict)
        for each, words, verdict in zip(drawn, said, verdicts, strict=True)
        if not _alike(words, verdict, views[each[0]])
    ]
    assert differing == []
    for kind in ("Static", "Dynamic", "Root", "Declared"):
        found = [
            isinstance(verdict, AdmittedRotation)
            for (_, _, target), verdict in zip(drawn, verdicts, strict=True)
            if kind == ("Declared" if "declare" in target else target["kind"])
        ]
        assert 7 < sum(found) < len(found) - 7, f"what was drawn of {kind} shows too little"


def _alike(words: str | None, verdict: AdmittedRotation | Refused, view: BackendView) -> bool:
    """Tell whether both admit, or both refuse and, where the rules are why, in the same words as far as both go."""
    if words is None or isinstance(verdict, AdmittedRotation):
        return words is None and isinstance(verdict, AdmittedRotation)
    if not view.allow:  # there the API server sees the rule of the probe
        return True
    if "cannot be declared" in verdict.message:
        return "cannot be declared" in words
    return words.startswith(verdict.message.removesuffix("…"))


def _cluster_of(target: Json) -> str:
    return str(target["name"]).split(".")[1] if "declare" in target else CLUSTER


_TREE: Final = f"airwarden.c1.widest-roles.{'x' * 213}"
_WIDEST: Final = f"{'e' * 127}7"


def _widest_rule(number: int, operations: list[str]) -> Json:
    """Return a rule that comes as far as the last user, or the last root, before it refuses."""
    engines = [
        {
            "engine": f"{'e' * 127}{engine}",
            "rolePrefixes": [f"{_TREE}{each}.{{namespace}}." for each in range(8)],
            "connections": [f"{'c' * 63}{each}" for each in range(8)],
            "usernames": [f"{{namespace}}_{'u' * 79}{number:02d}-{each}*" for each in range(8)],
            "roots": [f"{'c' * 60}{number:02d}-{each}" for each in range(4)],
        }
        for engine in range(8)
    ]
    spoken = {
        "names": ["widest-roles", *(f"{'n' * 60}{each}" for each in range(63))],
        "selector": {"matchLabels": {f"label-{each}": "v" for each in range(8)}},
    }
    return rule(f"{'r' * 60}-{number:02d}", dynamic=engines, namespaces=spoken, operations=operations)


def _widest(end: str, kind: str) -> Json:
    if kind == "Root":
        return role(f"{'c' * 60}{end}", kind, engine=_WIDEST)
    user = f"widest-roles_{'u' * 79}{end}"
    return role(f"{_TREE}7.widest-roles.x", engine=_WIDEST, connection=f"{'c' * 63}7", username=user)


@pytest.mark.parametrize(("kind", "last"), [("Static", "30-7"), ("Root", "30-3")])
def test_the_largest_objects_are_judged_and_so_are_their_edits(asking: Asking, kind: str, last: str) -> None:
    space, store = "widest-roles", f"widest-{kind}".lower()
    asking.make_namespace(space)
    asking.judge_by(backend(store, *(_widest_rule(number, ROTATES) for number in range(31))))  # and that of the probe
    there = rotation(space, store, _widest(last, kind), store)
    asking.plane.api.admin.request("POST", rotation_path(space), there)
    said = refusal(asking, rotation(space, store, _widest("99-9", kind))) or ""
    assert said.startswith("RotateNative of ")
    assert said.endswith("…")
    asking.judge_by(backend(store, *(_widest_rule(number, ["Read"]) for number in range(31))))
    assert asking.refusal_of_edit_at(rotation_path(space), _with(there, schedule="@hourly")) is not None
    assert asking.refusal_of_edit_at(rotation_path(space), _with(there, suspend=True)) is None
