"""The early message for rotations of strategy Job: one rule has the operation, covers the key and names each template.

Held against `airwarden.domain.guardrails.judge_rotation` over drawn rules.
"""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import pytest

from airwarden.api.backend import AllowRule, Operation
from airwarden.api.rotation_job import RotationJob
from airwarden.domain.guardrails import AdmittedRotation, BackendView, Refused, RotationRequest, judge_rotation
from integration.admission.asking import Asking
from integration.admission.wanted import backend, rule
from integration.rotations import rotation_path
from plane.waiting import wait_for
from unit.domain import making

Json = dict[str, Any]
BY_JOB: Final = ["Read", "RotateJob"]
RULES: Final[tuple[tuple[str, Json], ...]] = (
    ("own", {"keyPrefixes": ["{namespace}/"], "operations": BY_JOB, "jobTemplates": ["change", "log-in"]}),
    ("second", {"keyPrefixes": ["{namespace}/"], "operations": BY_JOB, "jobTemplates": ["other"]}),
    ("bare", {"keyPrefixes": ["shared/"], "operations": BY_JOB}),
    ("value", {"keyPrefixes": ["{namespace}/"], "operations": ["RotateGenerate"], "jobTemplates": ["change"]}),
)


def rotation(namespace: str, store: str, key: str, name: str = "asked", *, job: Json, **spec: Any) -> Json:
    """Return a rotation by Job."""
    return {
        "apiVersion": "airwarden.dev/v1alpha1",
        "kind": "AirflowSecretRotation",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "backendRef": {"name": store},
            "key": key,
            "field": "password",
            "strategy": "Job",
            "job": job,
            **spec,
        },
    }


def refusal(asking: Asking, body: Json) -> str | None:
    """Return why a rotation would be refused."""
    return asking.refusal_at(rotation_path(body["metadata"]["namespace"]), body)


def judged(namespace: str, key: str, job: Json, view: BackendView) -> AdmittedRotation | Refused:
    """Return what reconcile says."""
    asked = RotationRequest(namespace, {}, RotationJob.model_validate(job).templates)
    found = judge_rotation(key, Operation.ROTATE_JOB, asked, view)
    assert found is not None
    return found


@pytest.fixture(scope="module")
def team(asking: Asking) -> str:
    """Return a namespace whose rotations are judged."""
    asking.make_namespace("jobs")
    spoken = {"names": ["jobs"]}
    asking.judge_by(backend("by-job", *(rule(name, namespaces=spoken, dynamic=[], **more) for name, more in RULES)))
    probe = rotation("jobs", "by-job", "else/x", job={"template": "nobody-s"})
    wait_for("the policy is at work", lambda: refusal(asking, probe), 30)
    return "jobs"


@pytest.mark.parametrize(
    "job",
    [
        {"template": "change"},
        {"template": "other"},
        {"template": "change", "verify": "log-in"},
        {"template": "change", "verify": ""},
        {"template": "change", "verify": "change"},
    ],
)
def test_templates_that_the_rule_of_the_key_names_are_admitted(asking: Asking, team: str, job: Json) -> None:
    assert refusal(asking, rotation(team, "by-job", "jobs/db", job=job)) is None


@pytest.mark.parametrize(
    ("key", "job"),
    [
        ("jobs/db", {"template": "third"}),
        ("jobs/db", {"template": "change", "verify": "third"}),
        ("jobs/db", {"template": "change", "verify": "other"}),
        ("jobs/db", {"template": "other", "verify": "log-in"}),
        ("shared/db", {"template": "change"}),
        ("else/db", {"template": "change"}),
    ],
)
def test_other_templates_are_refused_with_the_words_of_reconcile(
    asking: Asking, team: str, key: str, job: Json
) -> None:
    rules = (making.rule(name, namespaces={"names": [team]}, **more) for name, more in RULES)
    said = judged(team, key, job, making.view(*rules, name="by-job"))
    assert isinstance(said, Refused)
    assert (refusal(asking, rotation(team, "by-job", key, job=job)) or "").startswith(said.message)


CHANGE: Final[Json] = {"template": "change", "verify": "log-in", "userField": "login"}
TAKING: Final[tuple[tuple[Json, Json, bool], ...]] = (
    ({"job": CHANGE}, {"job": CHANGE, "suspend": True}, True),
    ({"job": CHANGE, "suspend": True}, {"job": CHANGE}, False),
    ({"job": CHANGE, "schedule": "@daily"}, {"job": CHANGE}, True),
    ({"job": CHANGE}, {"job": {**CHANGE, "template": "log-in"}, "suspend": True}, False),
    ({"job": CHANGE}, {"job": {**CHANGE, "verify": "change"}}, False),
    ({"job": CHANGE}, {"job": {**CHANGE, "userField": "user"}}, False),
    ({"job": CHANGE}, {"job": {**CHANGE, "users": ["a", "b"]}}, False),
    ({"job": CHANGE}, {"job": {**CHANGE, "timeout": "1h"}}, False),
    ({"job": CHANGE}, {"job": {**CHANGE, "attempts": 5}}, False),
)


def test_after_a_template_was_taken_from_the_rule_edits_of_the_job_are_judged(asking: Asking) -> None:
    space = "tightened-jobs"
    asking.make_namespace(space)
    spoken = {"names": [space]}
    named: Json = {"operations": BY_JOB, "jobTemplates": ["change", "log-in"]}
    asking.judge_by(backend(space, rule(namespaces=spoken, **named)))
    collection = rotation_path(space)
    for number, (before, _, _) in enumerate(TAKING):
        body = rotation(space, space, f"{space}/db", f"edited-{number}", **before)
        asking.plane.api.admin.request("POST", collection, body)
    asking.judge_by(backend(space, rule(namespaces=spoken, **{**named, "jobTemplates": ["other"]})))
    said = [
        asking.refusal_of_edit_at(collection, rotation(space, space, f"{space}/db", f"edited-{number}", **after))
        for number, (_, after, _) in enumerate(TAKING)
    ]
    assert [each is None for each in said] == [passes for _, _, passes in TAKING]


_TEMPLATES: Final = ("change", "log-in", "other")
_WORDS: Final = ("team", "tea", "shared")


def _drawn_rule(draw: random.Random, name: str) -> AllowRule:
    return making.rule(
        name,
        namespaces={"names": draw.sample(("team", "tea"), draw.randrange(1, 3))},
        keyPrefixes=draw.sample(("{namespace}/", *(f"{each}/" for each in _WORDS)), draw.randrange(1, 4)),
        operations=draw.choice((BY_JOB, BY_JOB, ["RotateJob"], ["Read", "RotateGenerate"])),
        jobTemplates=draw.sample(_TEMPLATES, draw.randrange(4)),
    )


@pytest.mark.parametrize("seed", range(2))
def test_admission_and_reconcile_judge_alike(asking: Asking, seed: int) -> None:
    draw = random.Random(seed)  # noqa: S311 - a repeatable choice, not a secret
    for name in ("team", "tea"):
        asking.make_namespace(name)
    views: dict[str, BackendView] = {}
    for name in (f"jobs-{seed}-{number}" for number in range(5)):
        rules = [_drawn_rule(draw, f"r{number}") for number in range(draw.choice((0, 2, 3)))]
        views[name] = making.view(*rules, name=name)
    asking.judge_by(
        *(
            backend(name, *(each.model_dump(by_alias=True, mode="json", exclude_none=True) for each in view.allow))
            for name, view in views.items()
        )
    )
    drawn = [
        (store, draw.choice(("team", "tea")), f"{draw.choice(_WORDS)}/db", _drawn_job(draw))
        for store in views
        for _ in range(40)
    ]
    expected = [
        isinstance(judged(namespace, key, job, views[store]), AdmittedRotation) for store, namespace, key, job in drawn
    ]

    def ask(each: tuple[str, str, str, Json]) -> bool:
        store, namespace, key, job = each
        return refusal(asking, rotation(namespace, store, key, job=job)) is None

    with ThreadPoolExecutor(6) as threads:
        said = list(threads.map(ask, drawn))
    assert said == expected
    assert 10 < sum(expected) < len(expected) - 10, "what was drawn shows too little"


def _drawn_job(draw: random.Random) -> Json:
    return {"template": draw.choice(_TEMPLATES), "verify": draw.choice(("", *_TEMPLATES))}


def _widest_rule(number: int) -> Json:
    """Return a rule that is only refused for its last template, or for its last key."""
    prefixes = [f"{{namespace}}/{'x/' * 118}{each}/" for each in range(8)]
    templates = [*(f"{'t' * 50}{each:02d}" for each in range(15)), f"{'t' * 46}{number:02d}last"]
    spoken = {
        "names": ["widest-jobs", *(f"{'n' * 60}{each}" for each in range(63))],
        "selector": {"matchLabels": {f"label-{each}": "v" for each in range(8)}},
    }
    more = {"keyPrefixes": prefixes, "operations": BY_JOB, "jobTemplates": templates}
    return rule(f"{'r' * 60}-{number:02d}", namespaces=spoken, **more)


def test_the_largest_objects_are_judged(asking: Asking) -> None:
    asking.make_namespace("widest-jobs")
    asking.judge_by(backend("widest-jobs", *(_widest_rule(number) for number in range(31))))
    key = f"widest-jobs/{'x/' * 118}7/db"
    first, last, missing = f"{'t' * 50}14", f"{'t' * 46}30last", f"{'t' * 46}99last"
    assert refusal(asking, rotation("widest-jobs", "widest-jobs", key, job={"template": first, "verify": last})) is None
    said = refusal(asking, rotation("widest-jobs", "widest-jobs", key, job={"template": first, "verify": missing}))
    assert (said or "").startswith(f"RotateJob of key {key} is not allowed")
    assert (said or "").endswith("…")
