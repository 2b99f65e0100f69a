"""What a backend's allow rules give and refuse, and that a change of them acts without a drift check.

How soon it acts, `make bench` measures (design section 2, rule 10).
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from integration.conftest import MakeBackend, MakeBinding
from integration.handles import Binding
from integration.objects import TENANT, rule, secret
from integration.world import World, eventually
from plane.errors import PlaneHTTPError
from plane.json_client import Json

MANY = 100


def states(binding: Binding) -> dict[str, tuple[str, str]]:
    """Return state and reason of each secret, by its id."""
    return {each["id"]: (each["state"], each.get("reason", "")) for each in binding.status()["secrets"]}


def test_a_key_outside_is_refused_by_name_of_the_rule_and_the_others_are_granted(
    world: World, backend: MakeBackend, binding: MakeBinding, team: str
) -> None:
    store = backend()
    world.write_secret(f"{team}/a")
    wanted = [secret(f"{team}/a", store.name, id="a"), secret("elsewhere/b", store.name, id="b")]
    made = binding(team, store, secrets=wanted)
    ready = made.wait_refused("KeyNotAllowed")
    for part in ("elsewhere/b", "own-tree", f"{team}/", "shared/", store.name):
        assert part in ready["message"]
    assert states(made) == {"a": ("Granted", ""), "b": ("Refused", "KeyNotAllowed")}
    assert made.status()["secrets"][1]["message"] == ready["message"]
    assert {kind: each["status"] for kind, each in made.conditions().items()} == {"Ready": "False", "Stalled": "True"}
    assert world.read(made.login(), f"{team}/a")
    policy = world.policy(made.store_name)
    assert policy is not None
    assert "elsewhere" not in policy


@pytest.mark.parametrize("key", ["{team}x/a", "{team}", "x{team}/a", "share/a", "{namespace}/a"])
def test_a_key_beside_the_prefix_is_refused(
    world: World, backend: MakeBackend, binding: MakeBinding, team: str, key: str
) -> None:
    store = backend()
    key = key.replace("{team}", team)
    if "{" in key:
        with pytest.raises(PlaneHTTPError, match="key"):
            binding(team, store, secrets=[secret(key, store.name)])
        return
    made = binding(team, store, secrets=[secret(key, store.name)])
    made.wait_refused("KeyNotAllowed")
    assert (world.policy(made.store_name), world.role(made.store_name)) == (None, None)


def test_another_namespaces_key_is_refused(backend: MakeBackend, binding: MakeBinding, team: str) -> None:
    store = backend()
    made = binding(team, store, secrets=[secret("first/connections/warehouse", store.name)])
    made.wait_refused("KeyNotAllowed")


def test_a_backend_without_rules_allows_nothing(
    world: World, backend: MakeBackend, binding: MakeBinding, team: str
) -> None:
    store = backend(allow=[])
    made = binding(team, store)
    ready = made.wait_refused("KeyNotAllowed")
    assert "no allow rule at all" in ready["message"]
    assert world.policy(made.store_name) is None
    store.edit(allow=[rule()])
    made.wait_ready()


def test_one_rule_must_admit_a_secret_wholly(backend: MakeBackend, binding: MakeBinding, team: str) -> None:
    """The rule for the key permits a short session only, and the one for long sessions not the key."""
    short = rule("short", max_ttl="10m")
    long = rule("long", max_ttl="1h", keyPrefixes=["elsewhere/"])
    made = binding(team, backend(allow=[short, long]), access={"session": {"maxTTL": "30m"}})
    ready = made.wait_refused("SessionNotAllowed")
    assert "short" in ready["message"]
    assert "10m" in ready["message"]


def dynamic(backend: str, role: str, kind: str = "Dynamic") -> Json:
    return {
        "type": "Connection",
        "id": f"reporting-{kind.lower()}",
        "backendRef": {"name": backend},
        "dynamic": {"engine": "database", "role": role, "kind": kind},
    }


def test_dynamic_credentials_have_a_rule_and_a_policy_line_of_their_own(
    world: World, backend: MakeBackend, binding: MakeBinding, team: str
) -> None:
    engines = [{"engine": "database", "rolePrefixes": ["{namespace}."]}]
    store = backend(allow=[rule(dynamic=engines)])
    both = [dynamic(store.name, f"{team}.reporting"), dynamic(store.name, f"{team}.batch", "Static")]
    made = binding(team, store, secrets=both)
    made.wait_ready()
    policy = world.policy(made.store_name)
    assert policy is not None
    assert f'path "database/creds/{team}.reporting" {{\n  capabilities = ["read"]\n}}\n' in policy
    assert f'path "database/static-creds/{team}.batch" {{\n  capabilities = ["read"]\n}}\n' in policy
    token = made.login()
    paths = [f"database/creds/{team}.reporting", f"database/creds/{team}.other", f"database/creds/{team}.batch"]
    rights = world.plane.vault.request(
        "POST", "sys/capabilities", {"token": token, "paths": [*paths, f"database/static-creds/{team}.batch"]}
    )["data"]
    assert [rights[path] for path in paths] == [["read"], ["deny"], ["deny"]]
    assert rights[f"database/static-creds/{team}.batch"] == ["read"]


def test_a_dynamic_role_outside_is_refused_and_says_what_would_be_allowed(
    backend: MakeBackend, binding: MakeBinding, team: str
) -> None:
    engines = [{"engine": "database", "rolePrefixes": ["{namespace}."]}]
    store = backend(allow=[rule(dynamic=engines)])
    made = binding(team, store, secrets=[dynamic(store.name, f"{team}x.reporting")])
    ready = made.wait_refused("KeyNotAllowed")
    assert f"roles of database beginning with {team}." in ready["message"]


def test_a_rule_by_name_speaks_of_that_namespace_only(
    backend: MakeBackend, binding: MakeBinding, make_namespace: Callable[..., str]
) -> None:
    named, other = make_namespace(labels={}), make_namespace(labels={})
    store = backend(allow=[rule(names=(named,))])
    allowed, refused = binding(named, store), binding(other, store)
    allowed.wait_ready()
    assert f"speaks of namespace {other}" in refused.wait_refused("KeyNotAllowed")["message"]


def test_a_label_of_the_namespace_gives_and_takes_access(
    world: World, backend: MakeBackend, binding: MakeBinding, make_namespace: Callable[..., str]
) -> None:
    team = make_namespace(labels={})
    world.write_secret(f"{team}/connections/warehouse")
    made = binding(team, backend())
    made.wait_refused("KeyNotAllowed")
    world.merge(f"/api/v1/namespaces/{team}", {"metadata": {"labels": {TENANT: "true"}}})
    made.wait_ready()
    token = made.login()
    assert world.may_read(token, f"{team}/connections/warehouse")
    world.merge(f"/api/v1/namespaces/{team}", {"metadata": {"labels": {TENANT: None}}})
    eventually("the live token is cut", lambda: not world.may_read(token, f"{team}/connections/warehouse"))
    made.wait_refused("KeyNotAllowed")


def test_a_changed_selector_takes_and_gives_access_at_once_and_only_where_it_changed(
    world: World, backend: MakeBackend, binding: MakeBinding, make_namespace: Callable[..., str]
) -> None:
    hit = make_namespace(labels={TENANT: "true"})
    kept = make_namespace(labels={TENANT: "true", "stage": "prod"})
    store = backend()
    bound = [binding(team, store) for team in (hit, kept)]
    keys = [f"{team}/connections/warehouse" for team in (hit, kept)]
    for each, key in zip(bound, keys, strict=True):
        world.write_secret(key)
        each.wait_ready()
    tokens = [each.login() for each in bound]
    assert all(world.may_read(token, key) for token, key in zip(tokens, keys, strict=True))
    narrower = rule(namespaces={"selector": {"matchLabels": {TENANT: "true", "stage": "prod"}}})
    store.edit(allow=[narrower])
    eventually("the live token is cut", lambda: not world.may_read(tokens[0], keys[0]))
    assert world.may_read(tokens[1], keys[1])
    bound[0].wait_refused("KeyNotAllowed")
    assert (world.policy(bound[0].store_name), world.role(bound[0].store_name)) == (None, None)
    world.merge(f"/api/v1/namespaces/{kept}", {"metadata": {"labels": {"stage": "test"}}})
    eventually("a changed label cuts it too", lambda: not world.may_read(tokens[1], keys[1]))
    store.edit(allow=[rule()])
    for each, key in zip(bound, keys, strict=True):
        each.wait_ready()
        assert world.may_read(each.login(), key)


def test_without_a_session_the_rules_longest_holds(
    world: World, backend: MakeBackend, binding: MakeBinding, team: str
) -> None:
    made = binding(team, backend(allow=[rule(max_ttl="20m")]))
    effective = made.wait_ready()["effective"]
    role = world.role(made.store_name)
    assert role is not None
    assert (role["token_ttl"], role["token_max_ttl"]) == (1200, 1200)
    assert (effective["sessionTTL"], effective["sessionMaxTTL"]) == ("20m", "20m")


@pytest.mark.parametrize("session", [{"maxTTL": "21m"}, {"ttl": "21m"}, {"ttl": "1m", "maxTTL": "2h"}])
def test_a_session_above_the_rule_is_refused_and_never_shortened(
    world: World, backend: MakeBackend, binding: MakeBinding, team: str, session: Json
) -> None:
    made = binding(team, backend(allow=[rule(max_ttl="20m")]), access={"session": session})
    ready = made.wait_refused("SessionNotAllowed")
    assert "rule own-tree permits at most 20m" in ready["message"]
    assert world.role(made.store_name) is None


def test_a_shorter_session_in_the_rule_shortens_or_refuses(
    world: World, backend: MakeBackend, binding: MakeBinding, team: str
) -> None:
    store = backend()
    silent, asking = binding(team, store), binding(team, store, access={"session": {"maxTTL": "50m"}})
    silent.wait_ready()
    asking.wait_ready()
    store.edit(allow=[rule(max_ttl="20m")])
    asking.wait_refused("SessionNotAllowed")
    eventually("the role is shortened", lambda: (world.role(silent.store_name) or {})["token_max_ttl"] == 1200)
    eventually("the other role is gone", lambda: world.role(asking.store_name) is None)


def test_tightening_cuts_live_tokens_at_once_and_only_those(
    world: World, backend: MakeBackend, binding: MakeBinding, team: str
) -> None:
    store = backend()
    own, shared = f"{team}/connections/warehouse", "shared/smtp"
    for key in (own, shared):
        world.write_secret(key)
    hit, kept = (binding(team, store, secrets=[secret(key, store.name)]) for key in (own, shared))
    hit.wait_ready()
    kept.wait_ready()
    hit_token, kept_token = hit.login(), kept.login()
    store.edit(allow=[rule(keyPrefixes=["shared/"])])
    eventually("the live token is cut", lambda: not world.may_read(hit_token, own))
    assert world.may_read(kept_token, shared)
    assert "rule own-tree allows keys below shared/" in hit.wait_refused("KeyNotAllowed")["message"]
    assert (world.policy(hit.store_name), world.role(hit.store_name)) == (None, None)
    with pytest.raises(PlaneHTTPError, match="invalid role name"):
        hit.login()
    assert hit.service_account() is not None
    kept.wait_ready()
    told = ["Ready", "KeyNotAllowed"]
    eventually("both are told", lambda: [reason for _, reason, _ in hit.events()] == told)
    store.edit(allow=[rule()])
    hit.wait_ready()
    assert world.may_read(hit.login(), own)


@pytest.mark.timeout(180)
def test_tightening_cuts_a_hundred_bindings_and_no_other(
    world: World, backend: MakeBackend, binding: MakeBinding, team: str
) -> None:
    store = backend()
    keys = [f"{team}/connections/c{number}" for number in range(MANY)]
    kept_key = "shared/smtp"
    for key in (*keys, kept_key):
        world.write_secret(key)
    made = [binding(team, store, secrets=[secret(key, store.name)]) for key in (*keys, kept_key)]
    for each in made:
        each.wait_ready(60)
    with ThreadPoolExecutor(4) as pool:
        *tokens, kept = pool.map(Binding.login, made)
    assert all(world.may_read(token, key) for token, key in zip(tokens, keys, strict=True))
    mark = world.marks()
    store.edit(allow=[rule(keyPrefixes=["shared/"])])
    names = {each.store_name for each in made[:-1]}

    def cut() -> bool:
        deleted = {each.path for each in mark.vault_requests() if each.operation == "delete"}
        return {f"sys/policies/acl/{name}" for name in names} <= deleted

    eventually("all policies are deleted", cut, 60)
    assert not any(world.may_read(token, key) for token, key in zip(tokens, keys, strict=True))
    assert world.may_read(kept, kept_key)
    made[-1].wait_ready()


def test_an_unknown_backend_is_named_and_the_binding_heals_when_it_appears(
    world: World, backend: MakeBackend, binding: MakeBinding, team: str
) -> None:
    name = world.fresh("late")
    made = binding(team, name)
    ready = made.wait_refused("BackendNotFound")
    assert name in ready["message"]
    assert made.conditions()["Reconciling"]["status"] == "True"
    backend(name)
    made.wait_ready()


def test_a_backend_in_use_waits_for_its_bindings_and_names_them(
    world: World, backend: MakeBackend, binding: MakeBinding, team: str
) -> None:
    world.write_secret(f"{team}/connections/warehouse")
    store = backend()
    made = [binding(team, store) for _ in range(2)]
    for each in made:
        each.wait_ready()
    token = made[0].login()
    world.delete(store.path)
    ready = store.wait_condition("Ready", "False", "InUse")
    assert "2 binding(s)" in ready["message"]
    for each in made:
        assert f"{team}/{each.name}" in ready["message"]
    assert world.may_read(token, f"{team}/connections/warehouse")
    late = binding(team, store)
    assert "is being deleted" in late.wait_refused("BackendInvalid")["message"]
    assert world.policy(late.store_name) is None
    late.delete()
    late.wait_gone()
    made[0].delete()
    made[0].wait_gone()
    eventually("one is left", lambda: "1 binding(s)" in store.wait_condition("Ready", "False", "InUse")["message"])
    made[1].delete()
    world.wait_gone(store.path)
    assert all(world.policy(each.store_name) is None for each in made)
