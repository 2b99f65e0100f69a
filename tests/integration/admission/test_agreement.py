"""Admission and reconcile judge alike: what one refuses the other does not allow, over drawn rules and bindings.

Two differences are meant. An edit that only takes away is admitted whatever is left. And an edit that leaves the end
where it was is not measured by it, since admission cannot know what time it is then.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

import pytest

from airwarden.api.backend import AllowRule
from airwarden.api.binding import AirflowSecretBinding, DeletionPolicy
from airwarden.api.fields import seconds
from airwarden.domain.fence import Fence
from airwarden.domain.guardrails import Admitted, BackendView, Request, judge
from airwarden.domain.lifetime import ends
from integration.admission.asking import Asking
from integration.admission.wanted import ahead, backend, fenced_backend
from unit.domain import making

Json = dict[str, Any]
NAMESPACES: Final[Mapping[str, Mapping[str, str]]] = {
    "team": {"tenant": "a"},
    "team-b": {"tenant": "b", "env": "a"},
    "tea": {},
    "shared": {"env": "b"},
    "prod": {"tenant": "a", "env": "a"},
}
_WORDS: Final = (*NAMESPACES, "db", "x")
_SESSIONS: Final = ("1s", "15m", "1h", "1h1s", "24h")
_LIFETIMES: Final = (None, None, None, None, "1h", "720h", "999999h")
_ENDS: Final = (
    *[None] * 3,
    ahead(days=-1),
    ahead(minutes=40),
    ahead(days=10),
    ahead(days=400),
    "2999-12-31T23:59:59Z",
)
"""Each far from all that the lifetimes reach, so that neither the time of the test nor the clocks' leeway matters."""
_SOME_DAY: Final = datetime(2999, 12, 31, 23, 30, tzinfo=UTC)
"""For an end that is not measured: less than the shortest lifetime before the last of them."""
_FENCE: Final = Fence("tasks", "database", 1, 1, 1, "here")


def _draw_rule(draw: random.Random, name: str) -> AllowRule:
    selector = {"matchLabels": {draw.choice(("tenant", "env")): draw.choice("ab")}}
    others = draw.sample([*(f"{word}/" for word in _WORDS), "team/db/"], draw.randrange(1, 5))
    prefixes = ["{namespace}/", *others] if draw.random() < 0.6 else others
    nested = (f"{word}.{{namespace}}." for word in _WORDS)
    roles = draw.sample(["{namespace}.", *nested, *(f"{word}." for word in _WORDS)], draw.randrange(1, 4))
    return making.rule(
        name,
        namespaces={"names": draw.sample(list(NAMESPACES), draw.randrange(5)), "selector": selector},
        keyPrefixes=prefixes,
        dynamic=draw.choice([[], [{"engine": draw.choice(("database", "ssh")), "rolePrefixes": roles}]]),
        session={"maxTTL": draw.choice(_SESSIONS), "required": draw.choice((True, False))},
        maxLifetime=draw.choice(_LIFETIMES),
        orphan=draw.random() < 0.6,
    )


def _draw_view(draw: random.Random, name: str) -> BackendView:
    fenced = draw.random() < 0.2
    rules = [_draw_rule(draw, f"r{number}") for number in range(draw.choice((0, 3, 6, 9)))]
    return replace(making.view(*rules, name=name, enforces=not fenced), fence=_FENCE if fenced else None)


def _draw_binding(draw: random.Random, name: str, store: str, namespace: str) -> AirflowSecretBinding:
    items = []
    for number in range(draw.choice((1, 1, 2))):
        words = [draw.choice((*[namespace] * 6, *_WORDS)), *draw.choices(_WORDS, k=draw.randrange(3))]
        if draw.random() < 0.6:
            items.append(making.item("/".join(words), f"id{number}", store))
        else:
            found = {"engine": draw.choice(("database", "ssh")), "role": ".".join(words)}
            items.append(making.item(None, f"id{number}", store, dynamic=found))
    made = making.binding(
        *items, session=_draw_session(draw), namespace=namespace, name=name, not_after=draw.choice(_ENDS)
    )
    return _with(made, deletionPolicy=draw.choice(("Delete", "Delete", "Delete", "Orphan")))


def _draw_session(draw: random.Random) -> dict[str, str]:
    first, longest = sorted(draw.choices(_SESSIONS, k=2), key=seconds)
    return draw.choice(({}, {}, {}, {"maxTTL": longest}, {"ttl": first}, {"ttl": first, "maxTTL": longest}))


def _draw_edit(draw: random.Random, old: AirflowSecretBinding, store: str) -> AirflowSecretBinding:
    """Draw another spec, mostly of the same secrets, so that edits that only take away come up."""
    found = _body(_draw_binding(draw, old.metadata.name, store, old.metadata.namespace))["spec"]
    spec = _body(old)["spec"]
    more: Json = {"suspend": draw.choice((True, False))} if draw.random() < 0.3 else {}
    for each in ("access", "deletionPolicy"):
        if draw.random() < 0.4:
            more[each] = found[each]
    if draw.random() < 0.3:
        more["secrets"] = found["secrets"]
    elif draw.random() < 0.5:
        more["secrets"] = spec["secrets"][-1:]
    return _with(old, **more)


def _with(binding: AirflowSecretBinding, **spec: Any) -> AirflowSecretBinding:
    body = _body(binding)
    return AirflowSecretBinding.model_validate({**body, "spec": {**body["spec"], **spec}})


def _prepared(asking: Asking, draw: random.Random, stem: str) -> dict[str, BackendView]:
    for name, labels in NAMESPACES.items():
        asking.make_namespace(name, labels)
    return {name: _draw_view(draw, name) for name in (f"{stem}-{number}" for number in range(8))}


def _objects(views: Mapping[str, BackendView]) -> list[Json]:
    return [
        (fenced_backend if view.fence else backend)(name, *(_rule(rule) for rule in view.allow))
        for name, view in views.items()
    ]


@pytest.mark.parametrize("seed", range(4))
def test_admission_and_reconcile_judge_alike(asking: Asking, seed: int) -> None:
    draw = random.Random(seed)  # noqa: S311 - a repeatable choice, not a secret
    views = _prepared(asking, draw, "drawn")
    asking.judge_by(*_objects(views))
    drawn = [_draw_binding(draw, "billing", each, draw.choice(list(NAMESPACES))) for each in views for _ in range(25)]
    said = asking.refusals([_body(each) for each in drawn])
    now = datetime.now(UTC)
    expected = [_admitted(each, views, now) for each in drawn]
    differing = [
        (_body(each)["spec"], words)
        for each, words, admitted in zip(drawn, said, expected, strict=True)
        if (words is None) is not admitted
    ]
    assert differing == []
    assert 10 < sum(expected) < len(expected) - 10, "what was drawn shows too little"


@pytest.mark.parametrize("seed", range(4))
def test_an_edit_is_refused_when_reconcile_would_and_it_does_more_than_take_away(asking: Asking, seed: int) -> None:
    draw = random.Random(seed)  # noqa: S311 - a repeatable choice, not a secret
    views = _prepared(asking, draw, f"edited-{seed}")
    pairs = []
    for number in range(160):
        store = draw.choice(list(views))
        old = _draw_binding(draw, f"edited-{seed}-{number}", store, draw.choice(list(NAMESPACES)))
        pairs.append((old, _draw_edit(draw, old, store)))
        asking.make(_body(old))
    asking.judge_by(*_objects(views))
    said = asking.refusals_of_edits([_body(new) for _, new in pairs])
    differing, counts = [], {"same": 0, "taken": 0, "admitted": 0, "refused": 0}
    for (old, new), words in zip(pairs, said, strict=True):
        same = old.spec == new.spec
        admitted = _admitted(new, views, datetime.now(UTC) if ends(old) != ends(new) else _SOME_DAY)
        taken = _takes_away(old, new, views)
        counts["same" if same else "admitted" if admitted else "taken" if taken else "refused"] += 1
        if (words is None) is not (same or admitted or taken):
            differing.append((_body(old)["spec"], _body(new)["spec"], words))
    assert differing == []
    assert min(counts.values()) > 5, f"what was drawn shows too little: {counts}"


def _takes_away(old: AirflowSecretBinding, new: AirflowSecretBinding, views: Mapping[str, BackendView]) -> bool:
    """Tell whether the edit takes away and does nothing else, by the words of docs/admission.md."""
    before, after = old.spec.access, new.spec.access
    orphan = new.spec.deletion_policy is DeletionPolicy.ORPHAN
    if orphan and (old.spec.deletion_policy is not DeletionPolicy.ORPHAN or (not ends(old) and ends(new))):
        return False
    was, will = ends(old), ends(new)
    if was is not None and (will is None or will > was):
        return False
    if old.spec.suspend and not new.spec.suspend:
        return False
    return set(map(str, new.spec.secrets)) <= set(map(str, old.spec.secrets)) and all(
        _no_longer(mine, theirs, _longest(new, views))
        for mine, theirs in (
            (after.session.ttl, before.session.ttl),
            (after.session.max_ttl, before.session.max_ttl),
        )
    )


def _no_longer(text: str | None, before: str | None, permitted: int) -> bool:
    if text is None or before is None:
        return before is None and (text is None or seconds(text) <= permitted)
    return seconds(text) <= seconds(before)


def _longest(binding: AirflowSecretBinding, views: Mapping[str, BackendView]) -> int:
    """Return the longest session of the rules that speak of the namespace; any where none does."""
    namespace = binding.metadata.namespace
    found = [
        seconds(rule.session.max_ttl)
        for rule in views[binding.spec.secrets[0].backend_ref.name].allow
        if namespace in rule.namespaces.names
        or (rule.namespaces.selector and rule.namespaces.selector.match_labels.items() <= NAMESPACES[namespace].items())
    ]
    return max(found, default=10**9)


def _rule(rule: AllowRule) -> Json:
    found: Json = rule.model_dump(by_alias=True, mode="json", exclude_none=True)
    return found


def _body(binding: AirflowSecretBinding) -> Json:
    spec = binding.spec.model_dump(by_alias=True, mode="json", exclude_none=True)
    metadata = {"name": binding.metadata.name, "namespace": binding.metadata.namespace}
    return {"apiVersion": binding.api_version, "kind": binding.kind, "metadata": metadata, "spec": spec}


def _admitted(binding: AirflowSecretBinding, views: Mapping[str, BackendView], now: datetime) -> bool:
    spec, namespace = binding.spec, binding.metadata.namespace
    request = Request(
        namespace,
        NAMESPACES[namespace],
        spec.service_account.mode,
        spec.access.session,
        orphan=spec.deletion_policy is DeletionPolicy.ORPHAN,
        now=now,
        not_after=ends(binding),
    )
    return all(isinstance(judge(item, request, views[item.backend_ref.name]), Admitted) for item in spec.secrets)
