"""Commands act as the person who runs them: their kubeconfig, token and rights, and nothing of the operator."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from aiohttp import web
from kubernetes.aio.client import ApiClient, Configuration

from airwarden.api.backend import AirflowSecretBackend
from airwarden.commands import caller as callers
from airwarden.commands.caller import Caller, Ways, calling, exit_status, kubeconfig_of, vault_token
from airwarden.domain.errors import (
    AirwardenError,
    ClusterFailed,
    ClusterForbidden,
    Forbidden,
    InvalidSettings,
    Sealed,
    Unauthorized,
    Unreachable,
)
from airwarden.domain.owner import Owner
from airwarden.providers.kubernetes.api import KubernetesApi
from airwarden.providers.vault.store import VaultStore

OWNER = Owner("c1", "team", "billing", "vault")


@dataclass
class Server:
    """A Vault and an API server in one: answers by path, and remembers who asked for what."""

    answers: dict[str, tuple[int, Any]] = field(default_factory=dict)
    seen: list[tuple[str, str, str]] = field(default_factory=list)
    address: str = ""

    async def handle(self, request: web.Request) -> web.Response:
        """Answer one request: what is not known is absent, as Vault says it."""
        self.seen.append((request.method, request.path, request.headers.get("X-Vault-Token", "")))
        status, body = self.answers.get(request.path, (404, {"errors": []}))
        return web.Response(status=status, text=json.dumps(body), content_type="application/json")


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    """Return a running server."""
    made = Server()
    application = web.Application()
    application.router.add_route("*", "/{tail:.*}", made.handle)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.address = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield made
    await runner.cleanup()


def calls(server: Server, home: Path, environment: dict[str, str] | None = None, **ways: Any) -> Caller:
    configuration = Configuration()
    configuration.host = server.address
    api = KubernetesApi(ApiClient(configuration), 2.0)
    return Caller(
        api, Ways("c1", **ways), {"VAULT_TOKEN": "of-the-caller"} if environment is None else environment, home
    )


def backend(address: str, **tls: Any) -> AirflowSecretBackend:
    return AirflowSecretBackend.model_validate({"metadata": {"name": "vault"}, "spec": spec(address, **tls)})


def spec(address: str, **tls: Any) -> dict[str, Any]:
    return {
        "type": "Vault",
        "vault": {
            "address": address,
            "tls": tls,
            "login": {"kubernetes": {"role": "airwarden"}},
            "kv": {"mount": "airflow"},
            "workloadLogin": {"kubernetes": {"audience": "vault"}},
        },
    }


def test_the_token_is_that_of_the_variable_else_that_of_the_vault_command(tmp_path: Path) -> None:
    (tmp_path / ".vault-token").write_text("from-file\n")
    assert vault_token({"VAULT_TOKEN": "from-variable\n"}, tmp_path) == "from-variable"
    assert vault_token({"VAULT_TOKEN": ""}, tmp_path) == "from-file"
    assert vault_token({}, tmp_path) == "from-file"


def test_without_a_usable_token_it_says_so_and_shows_none(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match="vault login, or set VAULT_TOKEN"):
        vault_token({}, tmp_path)
    with pytest.raises(InvalidSettings, match="VAULT_TOKEN holds no token") as caught:
        vault_token({"VAULT_TOKEN": "two words"}, tmp_path)
    assert "two words" not in caught.value.message
    (tmp_path / ".vault-token").mkdir()
    with pytest.raises(InvalidSettings, match="cannot be read"):
        vault_token({}, tmp_path)


def test_the_kubeconfig_is_found_as_kubectl_finds_it(tmp_path: Path) -> None:
    assert kubeconfig_of(Path("/given"), {"KUBECONFIG": "/a:/b"}, tmp_path) == "/given"
    assert kubeconfig_of(None, {"KUBECONFIG": "/a:/b"}, tmp_path) == "/a:/b"
    assert kubeconfig_of(None, {}, tmp_path) is None
    (tmp_path / ".kube").mkdir()
    (tmp_path / ".kube" / "config").write_text("{}")
    assert kubeconfig_of(None, {}, tmp_path) == str(tmp_path / ".kube" / "config")


async def test_the_context_decides_which_cluster_is_asked(server: Server, tmp_path: Path) -> None:
    clusters = [
        {"name": "here", "cluster": {"server": server.address}},
        {"name": "nowhere", "cluster": {"server": "http://127.0.0.1:1"}},
    ]
    contexts = [{"name": each["name"], "context": {"cluster": each["name"], "user": "me"}} for each in clusters]
    path = tmp_path / "config"
    path.write_text(
        yaml.safe_dump(
            {
                "clusters": clusters,
                "contexts": contexts,
                "users": [{"name": "me", "user": {"token": "mine"}}],
                "current-context": "nowhere",
            }
        )
    )
    server.answers["/api/v1/namespaces"] = (200, {"items": [{"metadata": {"name": "team", "labels": {"a": "b"}}}]})
    async with calling(Ways("c1", kubeconfig=path, context="here"), {}, tmp_path) as caller:
        assert (await caller.namespaces())["team"].labels == {"a": "b"}
    async with calling(Ways("c1", kubeconfig=path), {}, tmp_path) as caller:
        with pytest.raises(ClusterFailed, match="gave no answer"):
            await caller.namespaces()
    with pytest.raises(ClusterFailed, match="missing"):
        async with calling(Ways("c1", kubeconfig=path, context="missing"), {}, tmp_path):
            pass


async def test_a_kubeconfig_that_is_not_yaml_and_a_context_without_one_are_said(tmp_path: Path) -> None:
    (tmp_path / "config").write_text("a: [")
    with pytest.raises(ClusterFailed, match="no way to the Kubernetes API"):
        async with calling(Ways("c1", kubeconfig=tmp_path / "config"), {}, tmp_path):
            pass
    with pytest.raises(InvalidSettings, match="give --kubeconfig"):
        async with calling(Ways("c1", context="here"), {}, tmp_path):
            pass


async def test_objects_are_read_as_models_and_those_that_cannot_be_are_named(server: Server, tmp_path: Path) -> None:
    good = {"metadata": {"name": "vault"}, "spec": spec("http://vault")}
    server.answers["/apis/airwarden.dev/v1alpha1/airflowsecretbackends"] = (
        200,
        {"items": [good, {"metadata": {"name": "broken"}, "spec": {}}]},
    )
    binding = {
        "metadata": {"name": "billing", "namespace": "team"},
        "spec": {
            "serviceAccount": {"name": "billing"},
            "secrets": [{"type": "Connection", "id": "db", "backendRef": {"name": "vault"}, "key": "team/db"}],
        },
    }
    server.answers["/apis/airwarden.dev/v1alpha1/airflowsecretbindings"] = (
        200,
        {"items": [binding, {"metadata": {"name": "broken", "namespace": "team"}}]},
    )
    caller = calls(server, tmp_path)
    found = await caller.backends()
    assert ([each.metadata.name for each in found.items], set(found.unreadable)) == (["vault"], {"broken"})
    bound = await caller.bindings()
    assert ([each.metadata.name for each in bound.items], set(bound.unreadable)) == (["billing"], {"team/broken"})
    with pytest.raises(InvalidSettings, match="there is no AirflowSecretBackend other"):
        await caller.backend("other")
    with pytest.raises(InvalidSettings, match="there is no AirflowSecretBinding other in namespace team"):
        await caller.binding("team", "other")
    await caller.close()


async def test_a_cluster_without_our_kinds_is_no_empty_cluster(server: Server, tmp_path: Path) -> None:
    caller = calls(server, tmp_path)
    with pytest.raises(ClusterFailed, match="apply the files of crds/"):
        await caller.bindings()
    await caller.close()


async def test_the_store_is_asked_with_the_callers_token_which_lives_on(server: Server, tmp_path: Path) -> None:
    server.answers["/v1/sys/policies/acl/" + OWNER.name_in_store] = (200, {"data": {"policy": "# no mark"}})
    caller = calls(server, tmp_path, {"VAULT_TOKEN": "of-the-caller", "VAULT_ADDR": "http://127.0.0.1:1"})
    store = await caller.store(backend(server.address))
    assert isinstance(store, VaultStore)
    found = await store.observe(OWNER, store.addresses(OWNER)[:1], known=True)
    assert [each.fields for each in found.values()] == [{"policy": "# no mark"}]
    await caller.close()
    assert {token for _, _, token in server.seen} == {"of-the-caller"}
    assert not [path for _, path, _ in server.seen if "login" in path or "revoke" in path or "renew" in path]


async def test_only_the_flag_leads_to_another_address(server: Server, tmp_path: Path) -> None:
    caller = calls(server, tmp_path, vault_address=f"{server.address}/")
    store = await caller.store(backend("http://127.0.0.1:1"))
    await store.observe(OWNER, store.addresses(OWNER)[:1], known=True)
    assert server.seen
    await caller.close()


async def test_a_refusal_speaks_of_the_callers_rights_and_not_of_the_operators(server: Server, tmp_path: Path) -> None:
    where = "/v1/sys/policies/acl/" + OWNER.name_in_store
    server.answers[where] = (403, {"errors": ["permission denied"]})
    caller = calls(server, tmp_path)
    store = await caller.store(backend(server.address))
    with pytest.raises(Forbidden, match="Your token's policies") as refused:
        await store.observe(OWNER, store.addresses(OWNER)[:1], known=True)
    assert "vault-setup" not in refused.value.message
    server.answers[where] = (403, {"errors": ["permission denied", "invalid token"]})
    with pytest.raises(Unauthorized, match="log in again with vault login") as unknown:
        await store.observe(OWNER, store.addresses(OWNER)[:1], known=True)
    assert "of-the-caller" not in unknown.value.message
    await caller.close()


async def test_the_ca_is_the_given_file_else_the_backends_bundle_read_with_the_callers_rights(
    server: Server, tmp_path: Path
) -> None:
    bundle = {"caBundleRef": {"configMap": {"name": "vault-ca"}}}
    where = "/api/v1/namespaces/secrets-team/configmaps/vault-ca"
    server.answers[where] = (403, {"message": "you may not"})
    caller = calls(server, tmp_path, operator_namespace="secrets-team")
    with pytest.raises(ClusterForbidden, match="you may not"):
        await caller.store(backend("https://127.0.0.1:1", **bundle))
    await caller.close()
    caller = calls(server, tmp_path, vault_ca=tmp_path / "missing.pem")
    with pytest.raises(InvalidSettings, match="VAULT_CACERT"):
        await caller.store(backend("https://127.0.0.1:1", **bundle))
    await caller.close()
    (tmp_path / "ca.pem").write_text("no certificate")
    caller = calls(server, tmp_path, vault_ca=tmp_path / "ca.pem")
    with pytest.raises(InvalidSettings, match="holds no certificate"):
        await caller.store(backend("https://127.0.0.1:1", **bundle))
    await caller.close()


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Forbidden("x"), 1),
        (ClusterForbidden("x"), 1),
        (Unauthorized("x"), 1),
        (Unreachable("x"), 2),
        (Sealed("x"), 2),
        (ClusterFailed("x"), 2),
        (InvalidSettings("x"), 2),
    ],
)
def test_a_refusal_and_what_could_not_be_asked_end_differently(error: AirwardenError, status: int) -> None:
    assert exit_status(error) == status


def test_a_command_ends_with_the_status_of_its_work(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "config").write_text(
        yaml.safe_dump(
            {
                "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:1"}}],
                "contexts": [{"name": "c", "context": {"cluster": "c", "user": "me"}}],
                "users": [{"name": "me", "user": {}}],
                "current-context": "c",
            }
        )
    )
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    monkeypatch.setattr("airwarden.commands.caller.set_up_logging", lambda *_: None)  # it is the whole process.s

    async def fine(_: Caller) -> int:
        return await asyncio.sleep(0, callers.FINE)

    async def found(_: Caller) -> int:
        return await asyncio.sleep(0, callers.FOUND)

    async def asks(caller: Caller) -> int:
        return len(await caller.namespaces())

    callers.run(Ways("c1"), fine)
    with pytest.raises(typer.Exit) as ended:
        callers.run(Ways("c1"), found)
    assert ended.value.exit_code == 1
    with pytest.raises(typer.Exit) as ended:
        callers.run(Ways("c1"), asks)
    assert ended.value.exit_code == 2
    assert capsys.readouterr().err.startswith("airwarden: the Kubernetes API gave no answer")
