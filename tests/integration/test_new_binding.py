"""A new binding: what it makes in the cluster and in Vault, and who can then read what."""

from __future__ import annotations

import pytest

from integration.conftest import MakeBackend, MakeBinding
from integration.objects import secret
from integration.world import World
from plane.errors import PlaneHTTPError
from plane.kubernetes_server import ISSUER


def test_its_account_carries_its_labels_and_mounts_no_token(
    backend: MakeBackend, binding: MakeBinding, team: str
) -> None:
    made = binding(team, backend())
    made.wait_ready()
    account = made.service_account()
    assert account is not None
    assert account["metadata"]["labels"] == {
        "app.kubernetes.io/managed-by": "airwarden",
        "airwarden.dev/binding": made.name,
        "airwarden.dev/cluster": "test",
        "airwarden.dev/allow-binding": made.name,
    }
    assert account["automountServiceAccountToken"] is False
    assert "ownerReferences" not in account["metadata"]


def test_its_policy_gives_read_on_the_exact_paths_and_nothing_wider(
    world: World, backend: MakeBackend, binding: MakeBinding, team: str
) -> None:
    store = backend()
    keys = [f"{team}/connections/warehouse", f"{team}/variables/limit", "shared/smtp"]
    kinds = ["Connection", "Variable", "Config"]
    wanted = [secret(key, store.name, id=f"id{at}", kind=kinds[at]) for at, key in enumerate(keys)]
    made = binding(team, store, secrets=wanted)
    made.wait_ready()
    assert world.policy(made.store_name) == (
        f"# airwarden.dev/owner cluster=test namespace={team} binding={made.name} backend={store.name}\n"
        "# Written by Airwarden. A change made here is undone: change the binding instead.\n"
        'path "airflow/data/shared/smtp" {\n  capabilities = ["read"]\n}\n'
        f'path "airflow/data/{team}/connections/warehouse" {{\n  capabilities = ["read"]\n}}\n'
        f'path "airflow/data/{team}/variables/limit" {{\n  capabilities = ["read"]\n}}\n'
        'path "auth/token/lookup-self" {\n  capabilities = ["read"]\n}\n'
        'path "auth/token/renew-self" {\n  capabilities = ["update"]\n}\n'
        'path "auth/token/revoke-self" {\n  capabilities = ["update"]\n}\n'
    )


def test_its_role_binds_the_account_the_namespace_the_audience_and_the_session(
    world: World, backend: MakeBackend, binding: MakeBinding, team: str
) -> None:
    made = binding(team, backend(), access={"session": {"ttl": "15m", "maxTTL": "30m"}})
    made.wait_ready()
    assert world.role(made.store_name) == {
        "bound_service_account_names": [made.account],
        "bound_service_account_namespaces": [team],
        "bound_service_account_namespace_selector": "",
        "audience": "vault",
        "alias_name_source": "serviceaccount_uid",
        "token_policies": [made.store_name],
        "token_ttl": 900,
        "token_max_ttl": 1800,
        "token_explicit_max_ttl": 0,
        "token_period": 0,
        "token_num_uses": 0,
        "token_bound_cidrs": [],
        "token_type": "service",
        "token_no_default_policy": True,
    }


def test_the_bound_account_reads_its_key_and_is_refused_another(
    world: World, backend: MakeBackend, binding: MakeBinding, team: str
) -> None:
    value = world.write_secret(f"{team}/connections/warehouse")
    world.write_secret(f"{team}/connections/other")
    made = binding(team, backend())
    made.wait_ready()
    token = made.login()
    assert world.read(token, f"{team}/connections/warehouse") == value
    with pytest.raises(PlaneHTTPError, match="permission denied"):
        world.read(token, f"{team}/connections/other")


def test_two_bindings_are_each_refused_the_others_key_and_role(
    world: World, backend: MakeBackend, binding: MakeBinding, team: str
) -> None:
    store = backend()
    keys = [f"{team}/connections/{name}" for name in ("one", "two")]
    values = [world.write_secret(key) for key in keys]
    one, two = (binding(team, store, secrets=[secret(key, store.name)]) for key in keys)
    for made, own, value, other in ((one, keys[0], values[0], keys[1]), (two, keys[1], values[1], keys[0])):
        made.wait_ready()
        token = made.login()
        assert world.read(token, own) == value
        assert not world.may_read(token, other)
    with pytest.raises(PlaneHTTPError, match="service account name not authorized"):
        world.login(team, two.account, one.store_name)


def test_an_unbound_account_and_one_of_another_namespace_are_refused(
    world: World, backend: MakeBackend, binding: MakeBinding, team: str
) -> None:
    made = binding(team, backend())
    made.wait_ready()
    with pytest.raises(PlaneHTTPError, match="service account name not authorized"):
        world.login(team, "default", made.store_name)
    elsewhere = world.make_namespace(world.fresh("elsewhere"))
    world.plane.api.create_service_account(elsewhere, made.account)
    with pytest.raises(PlaneHTTPError, match="namespace not authorized"):
        world.login(elsewhere, made.account, made.store_name)


@pytest.mark.parametrize("audience", [ISSUER, "vault-of-others"])
def test_a_token_of_another_audience_is_refused(
    backend: MakeBackend, binding: MakeBinding, team: str, audience: str
) -> None:
    made = binding(team, backend())
    made.wait_ready()
    with pytest.raises(PlaneHTTPError, match="invalid audience"):
        made.login(audience)
