"""Taking access away is never held up: not by a rule that became tighter meanwhile for what is left."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable
from typing import Any, Final

import pytest

from integration.admission.asking import Asking
from integration.admission.wanted import ahead, backend, rule, wanting
from integration.schema import objects

Json = dict[str, Any]
Make = Callable[..., Json]
_NUMBERS: Final = itertools.count()
_SOON, _LATER, _LATEST = ahead(days=10), ahead(days=20), ahead(days=30)


@pytest.fixture(scope="module")
def make(asking: Asking) -> Make:
    """Return what makes a binding of two keys, of which the rules admit only the second any more."""
    asking.make_namespace("left")

    def made(allowed: Json | None = None, **spec: Any) -> Json:
        name = f"left-{next(_NUMBERS)}"
        body = wanting("left", name, "gone/db", "kept/db", name=name, **spec)
        asking.make(body)
        asking.judge_by(backend(name, allowed or rule(namespaces={"names": ["left"]}, keyPrefixes=["kept/"])))
        return body

    return made


def edited(body: Json, **spec: Any) -> Json:
    return {**body, "spec": {**copy.deepcopy(body["spec"]), **spec}}


def limits(end: str | None = None, **session: str) -> Json:
    return {"session": session, **({} if end is None else {"notAfter": end})}


def fields(spec: Json) -> str:
    """Name a case by its fields: moments in names would differ between two processes."""
    return "+".join(spec) or "nothing"


def test_a_secret_is_removed_while_another_is_not_allowed_any_more(asking: Asking, make: Make) -> None:
    body = make()
    gone, kept = body["spec"]["secrets"]
    assert asking.refusal_of_edit(edited(body, secrets=[gone])) is None
    assert asking.refusal_of_edit(edited(body, secrets=[kept])) is None
    assert asking.refusal_of_edit(edited(body, secrets=[kept, gone], suspend=True)) is None


@pytest.mark.parametrize("change", [{"key": "gone/else"}, {"id": "renamed"}, {"type": "Variable"}], ids=str)
def test_a_secret_that_is_changed_is_judged_and_so_is_what_is_there_beside_it(
    asking: Asking, make: Make, change: Json
) -> None:
    body = make()
    gone, kept = body["spec"]["secrets"]
    assert "may not read key gone/" in (asking.refusal_of_edit(edited(body, secrets=[{**gone, **change}])) or "")
    assert "may not read key gone/db" in (
        asking.refusal_of_edit(edited(body, secrets=[gone, {**kept, **change}])) or ""
    )


def test_a_secret_that_is_added_is_judged_also_where_another_goes(asking: Asking, make: Make) -> None:
    body = make()
    gone, kept = body["spec"]["secrets"]
    store = gone["backendRef"]
    more = objects.secret("more", "gone/more", backendRef=store)
    fine = objects.secret("fine", "kept/more", backendRef=store)
    elsewhere = objects.secret("elsewhere", "gone/x", backendRef={"name": "comes-later"})
    for added in (more, fine, elsewhere):
        assert "may not read key gone/" in (asking.refusal_of_edit(edited(body, secrets=[gone, added])) or "")
    assert "may not read key gone/more" in (asking.refusal_of_edit(edited(body, secrets=[kept, more])) or "")
    assert asking.refusal_of_edit(edited(body, secrets=[kept, fine, elsewhere])) is None


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, {"suspend": True}),
        ({}, {"access": limits(_SOON)}),
        ({"end": _LATER}, {"access": limits(_SOON)}),
        ({"end": _LATER}, {"access": limits("2020-01-01T00:00:00Z"), "suspend": True}),
        ({}, {"access": limits(ttl="5m")}),
        ({}, {"access": limits(ttl="5m", maxTTL="1h")}),
        ({"session": {"maxTTL": "10h"}}, {"access": limits(ttl="5m", maxTTL="9h59m")}),
        ({"deletionPolicy": "Orphan"}, {"deletionPolicy": "Delete"}),
        ({"deletionPolicy": "Orphan", "end": _LATER}, {"access": limits(_SOON)}),
        (
            {"deletionPolicy": "Orphan"},
            {"deletionPolicy": "Delete", "access": limits(_SOON, ttl="1m"), "suspend": True},
        ),
    ],
    ids=fields,
)
def test_a_limit_is_set_or_made_narrower(asking: Asking, make: Make, before: Json, after: Json) -> None:
    assert asking.refusal_of_edit(edited(make(**before), **after)) is None


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"suspend": True}, {"suspend": False}),
        ({"end": _LATER}, {"access": limits()}),
        ({"end": _LATER}, {"access": limits(_LATEST)}),
        ({"end": _LATER}, {"access": limits(_LATEST), "suspend": True}),
        ({"session": {"maxTTL": "30m"}}, {"access": limits(maxTTL="31m")}),
        ({"session": {"maxTTL": "30m"}}, {"access": limits()}),
        ({"session": {"ttl": "30m", "maxTTL": "1h"}}, {"access": limits(maxTTL="1h")}),
        ({"session": {"ttl": "10m", "maxTTL": "1h"}}, {"access": limits(ttl="20m", maxTTL="50m")}),
        ({}, {"access": limits(maxTTL="1h1s")}),
        ({}, {"deletionPolicy": "Orphan"}),
        ({"deletionPolicy": "Orphan"}, {"access": limits(_SOON)}),
    ],
    ids=fields,
)
def test_a_limit_that_is_loosened_or_cannot_hold_is_judged(
    asking: Asking, make: Make, before: Json, after: Json
) -> None:
    assert "may not read key gone/db" in (asking.refusal_of_edit(edited(make(**before), **after)) or "")


def test_an_end_is_shortened_where_the_rule_wants_a_nearer_one_still(asking: Asking, make: Make) -> None:
    body = make(rule(namespaces={"names": ["left"]}, maxLifetime="1h"), end=_LATER)
    assert asking.refusal_of_edit(edited(body, access=limits(_SOON))) is None
    assert asking.refusal_of_edit(edited(body, access=limits(_LATEST))) is not None


def test_a_namespace_of_which_no_rule_speaks_any_more_gets_shorter_sessions(asking: Asking, make: Make) -> None:
    body = make(rule(namespaces={"names": ["elsewhere"]}))
    assert asking.refusal_of_edit(edited(body, access=limits(ttl="5m"))) is None
    assert "no allow rule" in (asking.refusal_of_edit(edited(body, deletionPolicy="Orphan")) or "")
