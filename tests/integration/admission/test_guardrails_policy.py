"""The early message: what no allow rule admits is refused when applied, and the words say what would be allowed."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any, Final

import pytest

from airwarden.api.backend import AllowRule
from airwarden.api.binding import AirflowSecretBinding
from airwarden.domain.guardrails import Admitted, BackendView, Request, judge
from integration.admission.asking import Asking, bindings_path
from integration.schema import objects
from plane.errors import PlaneHTTPError
from unit.domain import making

Json = dict[str, Any]
NAMESPACES: Final[Mapping[str, Mapping[str, str]]] = {
    "team": {"tenant": "a"},
    "team-b": {"tenant": "b", "env": "a"},
    "tea": {},
    "shared": {"env": "b"},
    "prod": {"tenant": "a", "env": "a"},
}


def backend(name: str, *rules: Json, **vault: Any) -> Json:
    body = objects.backend(name)
    body["spec"]["allow"] = list(rules)
    body["spec"]["vault"].update(vault)
    return body


def wanting(namespace: str, store: str, *keys: str, session: Mapping[str, str] | None = None) -> Json:
    body = objects.binding("billing", namespace)
    body["spec"]["secrets"] = [
        objects.secret(f"id{number}", key, backendRef={"name": store}) for number, key in enumerate(keys)
    ]
    body["spec"]["access"] = {"session": dict(session or {})}
    return body


@pytest.fixture(scope="module")
def team(asking: Asking) -> str:
    """Return a tenant's namespace, and have the backend `vault` judge it by its own tree and a shared one."""
    asking.make_namespace("team-a", {"airwarden.dev/tenant": "true"})
    asking.judge_by(backend("vault", objects.rule()))
    return "team-a"


def test_what_a_rule_admits_is_admitted(asking: Asking, team: str) -> None:
    assert asking.refusal(wanting(team, "vault", "team-a/db", "shared/smtp")) is None


@pytest.mark.parametrize("key", ["team-b/db", "team-ab/db", "shared2/x", "x/team-a/db"])
def test_a_key_outside_is_refused_and_the_message_names_rule_and_what_would_be_allowed(
    asking: Asking, team: str, key: str
) -> None:
    assert asking.refusal(wanting(team, "vault", "team-a/db", key)) == (
        f"billing (Managed) may not read key {key} of backend vault: rule own-tree allows keys below team-a/, shared/ "
        "and roles of database beginning with team-a., shared. to Managed accounts for sessions up to 1h"
    )


def test_a_session_that_is_too_long_is_refused_with_the_longest(asking: Asking, team: str) -> None:
    said = asking.refusal(wanting(team, "vault", "team-a/db", session={"maxTTL": "1h1s"}))
    assert said is not None
    assert said.endswith("for sessions up to 1h")


def test_a_rule_that_requires_sessions_to_end_says_why_it_admits_nothing_in_mode_fenced(asking: Asking) -> None:
    asking.make_namespace("fenced")
    fenced = {"mode": "Fenced", "fenced": {"role": "tasks"}}
    names = {"names": ["fenced"]}
    asking.judge_by(backend("fenced", objects.rule(namespaces=names), **fenced))
    said = asking.refusal(wanting("fenced", "fenced", "fenced/db")) or ""
    assert "for sessions up to 1h, which the store must end in time and in mode Fenced cannot" in said
    unheld = objects.rule(namespaces=names, session={"maxTTL": "1h", "required": False})
    asking.judge_by(backend("fenced", unheld, **fenced))
    assert asking.refusal(wanting("fenced", "fenced", "fenced/db")) is None
    assert "cannot" not in (asking.refusal(wanting("fenced", "fenced", "else/db")) or "cannot")


def test_several_refusals_are_counted(asking: Asking, team: str) -> None:
    said = asking.refusal(wanting(team, "vault", "x/a", "x/b", "x/c"))
    assert said is not None
    assert said.startswith("billing (Managed) may not read key x/a (and 2 more) of backend vault")


def test_a_backend_that_says_nothing_of_a_namespace_says_so(asking: Asking) -> None:
    asking.make_namespace("stranger")
    asking.judge_by(backend("named", objects.rule(namespaces={"names": ["somebody"]})))
    said = asking.refusal(wanting("stranger", "named", "stranger/db"))
    assert said == "no allow rule of backend named speaks of namespace stranger: ask its owners to add it to one"


def test_an_unknown_backend_is_admitted_since_it_may_come_later(asking: Asking, team: str) -> None:
    assert asking.refusal(wanting(team, "not-there-yet", "anything/at/all")) is None


def test_each_backend_judges_its_own_secrets_only(asking: Asking, team: str) -> None:
    asking.judge_by(backend("second", objects.rule(keyPrefixes=["two/"])))
    body = wanting(team, "vault", "team-a/db")
    body["spec"]["secrets"].append(objects.secret("other", "two/x", backendRef={"name": "second"}))
    assert asking.refusal(body) is None
    body["spec"]["secrets"][1]["key"] = "team-a/x"
    assert "of backend second: rule own-tree allows keys below two/" in (asking.refusal(body) or "")


def test_what_is_there_already_keeps_its_finalizers_and_labels_free_when_a_rule_is_tightened(asking: Asking) -> None:
    asking.make_namespace("older")
    asking.judge_by(backend("tight", objects.rule(namespaces={"names": ["older"]})))
    body = wanting("older", "tight", "older/db")
    admin = asking.plane.api.admin
    admin.request("POST", bindings_path("older"), body)
    path = f"{bindings_path('older')}/billing"
    merge = {"Content-Type": "application/merge-patch+json"}
    asking.judge_by(backend("tight", objects.rule(namespaces={"names": ["older"]}, keyPrefixes=["gone/"])))
    marks = {"metadata": {"labels": {"a": "b"}, "finalizers": ["airwarden.dev/revoke-access"]}}
    admin.request("PATCH", path, marks, headers=merge)
    with pytest.raises(PlaneHTTPError, match="rule own-tree allows keys below gone/"):
        admin.request("PATCH", path, {"spec": {"access": {"session": {"ttl": "5m"}}}}, headers=merge)
    admin.request("DELETE", path)
    admin.request("PATCH", path, {"metadata": {"finalizers": None}}, headers=merge)
    assert admin.status("GET", path) == 404


def _widest_rule(number: int) -> Json:
    prefixes = [f"{{namespace}}/{'x/' * 115}{number:02d}-{each}/" for each in range(8)]
    engines = [
        {"engine": f"{'e' * 126}{each}", "rolePrefixes": [f"{'p' * 250}{each}{other}." for other in range(8)]}
        for each in range(8)
    ]
    spoken = {
        "names": ["team-a", *(f"{'n' * 60}{each}" for each in range(63))],
        "selector": {"matchLabels": {f"label-{each}": "v" for each in range(8)}},
    }
    return objects.rule(f"{'r' * 60}-{number:02d}", keyPrefixes=prefixes, dynamic=engines, namespaces=spoken)


@pytest.mark.parametrize("place", ["key", "dynamic"])
def test_the_largest_objects_stay_within_the_cost_that_the_api_server_permits(
    asking: Asking, team: str, place: str
) -> None:
    rules = [_widest_rule(number) for number in range(31)]  # and the one of the probe
    asking.judge_by(backend("widest", *rules))
    last = {"key": f"team-a/{'x/' * 115}30-7/", "dynamic": f"{'p' * 250}77."}[place]

    def body(tail: str) -> Json:
        found = wanting(team, "widest", "team-a/x")
        secrets = [objects.secret(f"id{each}", f"{tail}{each}", backendRef={"name": "widest"}) for each in range(64)]
        if place == "dynamic":
            for number, each in enumerate(secrets):
                del each["key"]
                each["dynamic"] = {"engine": f"{'e' * 126}7", "role": f"{tail}{number}"}
        return {**found, "spec": {**found["spec"], "secrets": secrets}}

    assert asking.refusal(body(last)) is None
    said = asking.refusal(body(last.replace("7", "9")))
    assert said is not None
    assert said.startswith("billing (Managed) may not read ")
    assert said.endswith("…")


_WORDS: Final = (*NAMESPACES, "db", "x")
_SESSIONS: Final = ("1s", "15m", "1h", "1h1s", "24h")


def _draw_rule(draw: random.Random, name: str) -> AllowRule:
    selector = {"matchLabels": {draw.choice(("tenant", "env")): draw.choice("ab")}}
    prefixes = draw.sample(["{namespace}/", *(f"{word}/" for word in _WORDS), "team/db/"], draw.randrange(1, 5))
    roles = draw.sample(["{namespace}.", *(f"{word}." for word in _WORDS)], draw.randrange(1, 3))
    return making.rule(
        name,
        namespaces={"names": draw.sample(list(NAMESPACES), draw.randrange(3)), "selector": selector},
        keyPrefixes=prefixes,
        dynamic=draw.choice([[], [{"engine": draw.choice(("database", "ssh")), "rolePrefixes": roles}]]),
        session={"maxTTL": draw.choice(_SESSIONS), "required": draw.choice((True, False))},
    )


def _draw_binding(draw: random.Random, store: str) -> AirflowSecretBinding:
    namespace = draw.choice(list(NAMESPACES))
    items = []
    for number in range(draw.choice((1, 1, 2))):
        words = [draw.choice((namespace, namespace, *_WORDS)), *draw.choices(_WORDS, k=draw.randrange(3))]
        if draw.random() < 0.6:
            items.append(making.item("/".join(words), f"id{number}", store))
        else:
            found = {"engine": draw.choice(("database", "ssh")), "role": ".".join(words)}
            items.append(making.item(None, f"id{number}", store, dynamic=found))
    session = {"maxTTL": draw.choice(_SESSIONS)} if draw.random() < 0.3 else {}
    return making.binding(*items, session=session, namespace=namespace)


@pytest.mark.parametrize("seed", range(3))
def test_admission_and_reconcile_judge_alike(asking: Asking, seed: int) -> None:
    draw = random.Random(seed)  # noqa: S311 - a repeatable choice, not a secret
    for name, labels in NAMESPACES.items():
        asking.make_namespace(name, labels)
    names = [f"drawn-{number}" for number in range(8)]
    views = {
        each: making.view(*(_draw_rule(draw, f"r{number}") for number in range(draw.randrange(8))), name=each)
        for each in names
    }
    asking.judge_by(*(backend(each, *(_rule(rule) for rule in views[each].allow)) for each in names))
    drawn = [_draw_binding(draw, each) for each in names for _ in range(20)]
    said = asking.refusals([_body(each) for each in drawn])
    expected = [_admitted(each, views) for each in drawn]
    differing = [
        (_body(each)["spec"]["secrets"], words)
        for each, words, admitted in zip(drawn, said, expected, strict=True)
        if (words is None) is not admitted
    ]
    assert differing == []
    assert 10 < sum(expected) < len(expected) - 10, "what was drawn shows too little"


def _rule(rule: AllowRule) -> Json:
    found: Json = rule.model_dump(by_alias=True, mode="json", exclude_none=True)
    return found


def _body(binding: AirflowSecretBinding) -> Json:
    spec = binding.spec.model_dump(by_alias=True, mode="json", exclude_none=True)
    metadata = {"name": binding.metadata.name, "namespace": binding.metadata.namespace}
    return {"apiVersion": binding.api_version, "kind": binding.kind, "metadata": metadata, "spec": spec}


def _admitted(binding: AirflowSecretBinding, views: Mapping[str, BackendView]) -> bool:
    namespace = binding.metadata.namespace
    mode, session = binding.spec.service_account.mode, binding.spec.access.session
    request = Request(namespace, NAMESPACES[namespace], mode, session, now=making.NOW)
    return all(
        isinstance(judge(item, request, views[item.backend_ref.name]), Admitted) for item in binding.spec.secrets
    )
