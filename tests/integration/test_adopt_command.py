"""`airwarden adopt` as a person runs it: their kubeconfig, their Vault token, and nothing that is another owner's."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from integration.conftest import MakeBackend, MakeBinding
from integration.handles import Backend, Binding, name_in_store
from integration.objects import account_path
from integration.test_adoption import leftovers, origins, put_by_hand, rights, secret_of
from integration.world import World
from plane import program
from plane.binaries import REPOSITORY
from plane.operator import CLUSTER

__all__ = ["leftovers"]
Adopt = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def adopt(world: World, tmp_path: Path) -> Adopt:
    """Return a function that runs the command; as the plane's administrator unless told otherwise."""

    def run(*arguments: str, kubeconfig: Path | None = None, token: str = "") -> subprocess.CompletedProcess[str]:
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "PYTHONPATH": str(REPOSITORY / "operator"),
            "KUBECONFIG": str(kubeconfig or world.plane.kubeconfig),
            "VAULT_TOKEN": token or world.plane.vault_token,
            "AIRWARDEN_CLUSTER": CLUSTER,
        }
        return program.run(["adopt", *arguments], environment, tmp_path)

    return run


@pytest.fixture
def differing(
    world: World, backend: MakeBackend, binding: MakeBinding, team: str, leftovers: list[str]
) -> tuple[Binding, Backend]:
    """Return a binding under whose name a policy and a role stand that give something else."""
    store, name = backend(drift={"interval": "1s"}), world.fresh("billing")
    leftovers.append(put_by_hand(world, team, name, store, f"{team}/theirs", token_ttl="2h", token_max_ttl="2h"))
    made = binding(team, store, name, secrets=[secret_of(f"{team}/db", store)])
    made.wait_refused("NotOwned")
    return made, store


def test_what_differs_is_shown_then_adopted_and_released_with_the_binding(
    world: World, adopt: Adopt, differing: tuple[Binding, Backend]
) -> None:
    made, _ = differing
    before = (world.policy(made.store_name), world.role(made.store_name))
    shown = adopt(f"{made.namespace}/{made.name}", "--dry-run")
    assert shown.returncode == 1, shown.stderr
    assert f'-path "airflow/data/{made.namespace}/theirs" {{' in shown.stdout
    assert f'+path "airflow/data/{made.namespace}/db" {{' in shown.stdout
    assert "-token_ttl = 7200" in shown.stdout
    assert "+token_ttl = 3600" in shown.stdout
    asked = adopt(f"{made.namespace}/{made.name}")
    assert (asked.returncode, "give --yes" in asked.stderr) == (1, True)
    assert (world.policy(made.store_name), world.role(made.store_name)) == before
    done = adopt(f"{made.namespace}/{made.name}", "--backend", made.backend, "--yes")
    assert done.returncode == 0, done.stderr
    made.wait_ready()
    assert origins(made) == {"VaultPolicy": "Adopted", "VaultKubernetesRole": "Adopted", "ServiceAccount": "Created"}
    text, role = rights(world.policy(made.store_name)), world.role(made.store_name)
    assert adopt(f"{made.namespace}/{made.name}", "--yes").returncode == 0
    made.delete()
    made.wait_gone()
    assert (rights(world.policy(made.store_name)), world.role(made.store_name)) == (text, role)


def test_another_owners_mark_stays_whatever_is_said(
    world: World, backend: MakeBackend, binding: MakeBinding, team: str, adopt: Adopt, leftovers: list[str]
) -> None:
    store, name = backend(), world.fresh("billing")
    in_store = name_in_store(team, name, store.name)
    leftovers.append(in_store)
    text = f"# airwarden.dev/owner cluster=other namespace={team} binding={name} backend={store.name}\n"
    world.write_policy(in_store, text)
    made = binding(team, store, name)
    made.wait_refused("NotOwned")
    done = adopt(f"{team}/{name}", "--yes")
    assert (done.returncode, "mark of another owner" in done.stderr) == (1, True)
    assert world.policy(in_store) == text


def test_without_rights_in_vault_or_the_cluster_nothing_is_adopted(
    world: World, adopt: Adopt, differing: tuple[Binding, Backend]
) -> None:
    made, _ = differing
    before = (world.policy(made.store_name), world.role(made.store_name))
    granted = world.plane.vault.request("POST", "auth/token/create", {"policies": ["default"], "ttl": "5m"})
    refused = adopt(f"{made.namespace}/{made.name}", "--yes", token=granted["auth"]["client_token"])
    assert (refused.returncode, "Your token's policies do not cover it" in refused.stderr) == (1, True)
    assert (world.policy(made.store_name), world.role(made.store_name)) == before
    nobody = world.plane.kubeconfig_for(made.namespace, "default")
    refused = adopt(f"{made.namespace}/{made.name}", "--yes", kubeconfig=nobody)
    assert refused.returncode == 1, refused.stderr
    assert "forbidden" in refused.stderr.lower()
    assert (world.policy(made.store_name), world.role(made.store_name)) == before


def test_an_account_is_adopted_only_by_hand_and_is_let_go_with_the_binding(
    world: World, backend: MakeBackend, binding: MakeBinding, team: str, adopt: Adopt
) -> None:
    key, name = f"{team}/connections/warehouse", world.fresh("billing")
    world.write_secret(key)
    world.plane.api.create_service_account(team, name)
    world.merge(account_path(team, name), {"metadata": {"labels": {"team": "kept"}}})
    made = binding(team, backend(adopt="IfIdentical"), name)
    message = made.wait_refused("NotOwned")["message"]
    assert f"airwarden adopt {team}/{name}" in message
    done = adopt(f"{team}/{name}", "--yes")
    assert done.returncode == 0, done.stderr
    made.wait_ready()
    assert origins(made)["ServiceAccount"] == "Adopted"
    assert world.may_read(made.login(), key)
    before = made.service_account()
    made.delete()
    made.wait_gone()
    after = made.service_account()
    assert before is not None
    assert after is not None
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert after["metadata"]["labels"] == {"team": "kept"}
    assert "airwarden.dev/adopted" not in after["metadata"].get("annotations", {})
    assert (world.policy(made.store_name), world.role(made.store_name)) == (None, None)


@pytest.mark.parametrize("how", ["labelled", "named as well"])
def test_an_account_of_another_binding_is_not_adopted(
    world: World, backend: MakeBackend, binding: MakeBinding, team: str, adopt: Adopt, how: str
) -> None:
    store, account = backend(), world.fresh("shared")
    if how == "labelled":
        binding(team, store, account=account).wait_ready()
    else:
        world.plane.api.create_service_account(team, account)
        binding(team, store, account=account).wait_refused("NotOwned")
    second = binding(team, store, account=account)
    second.wait_refused("ServiceAccountTaken" if how == "labelled" else "NotOwned")
    before = second.service_account()
    done = adopt(f"{team}/{second.name}", "--yes")
    assert done.returncode == 1
    assert "binding" in done.stderr
    assert second.service_account() == before
