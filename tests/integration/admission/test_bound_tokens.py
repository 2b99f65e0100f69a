"""Tokens of an account whose binding names an environment are made for its pods, by their kubelet, and not else."""

from __future__ import annotations

import base64
from functools import partial

import pytest

from integration.admission.mapped import Airflow, Json, forbidden, node, plain_pod, pod_path, token_path
from plane.json_client import JsonClient
from plane.waiting import wait_for


@pytest.fixture(scope="module")
def billing(tasks: Airflow) -> str:
    """Return a binding whose DAGs are in force."""
    return tasks.bind("billing")


def asked(audience: str = "", pod: Json | None = None) -> Json:
    """Return what asks for a token."""
    spec: Json = {"audiences": [audience] if audience else [], "expirationSeconds": 600}
    if pod is not None:
        meta = pod["metadata"]
        spec["boundObjectRef"] = {"apiVersion": "v1", "kind": "Pod", "name": meta["name"], "uid": meta["uid"]}
    return {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}


def run_on(tasks: Airflow, name: str, account: str, pod: Json) -> JsonClient:
    """Put a pod onto a node of that name; return its kubelet, once it may ask for tokens of the pod's account."""
    target = {"apiVersion": "v1", "kind": "Node", "name": name}
    meta = pod["metadata"]
    body = {"metadata": {"name": meta["name"], "uid": meta["uid"]}, "target": target}
    tasks.masters.request("POST", f"{pod_path(tasks.namespace, meta['name'])}/binding", body)
    kubelet = node(tasks.cluster, name)
    path = token_path(tasks.namespace, account)
    wait_for("the node has its pod", lambda: forbidden(kubelet, "POST", path, asked(pod=pod)) == "", 30)
    return kubelet


@pytest.mark.parametrize("audience", ["vault", "", "api://AzureADTokenExchange"])
def test_nobody_asks_for_a_token_of_the_account(tasks: Airflow, billing: str, audience: str) -> None:
    path = token_path(tasks.namespace, billing)
    for somebody in (tasks.editor, tasks.scheduler, tasks.masters):
        said = forbidden(somebody, "POST", path, asked(audience))
        assert said.startswith(
            f"service account {billing} carries the access of binding tasks/{billing}, so its tokens"
        )
    pod = tasks.run(billing)
    assert "made for pods alone" in forbidden(tasks.masters, "POST", path, asked(audience, pod))
    assert "no relationship found" in forbidden(tasks.node, "POST", path, asked(audience, pod))


def test_the_kubelet_gets_the_tokens_that_the_pod_has_and_no_others(tasks: Airflow, billing: str) -> None:
    pod = tasks.run(billing)
    kubelet = run_on(tasks, "tokens-1", billing, pod)
    path = token_path(tasks.namespace, billing)
    for audience in ("vault", ""):
        assert kubelet.request("POST", path, asked(audience, pod))["status"]["token"]
    assert "not bound to a pod" in forbidden(kubelet, "POST", path, asked("vault"))
    assert "not found in pod spec volume" in forbidden(kubelet, "POST", path, asked("sts.example", pod))
    assert forbidden(node(tasks.cluster, "tokens-2"), "POST", path, asked("vault", pod))


def test_a_pod_of_another_account_gives_no_token_of_this_one(tasks: Airflow, billing: str) -> None:
    pod = tasks.run_plain("unbound")
    kubelet = run_on(tasks, "tokens-3", "unbound", pod)
    assert forbidden(kubelet, "POST", token_path(tasks.namespace, billing), asked("vault", pod))


def test_no_tokens_while_the_binding_has_no_dags_in_force(tasks: Airflow, billing: str) -> None:
    assert forbidden(tasks.editor, "POST", token_path(tasks.namespace, billing), asked("vault"))
    name = tasks.bind("withdrawn")
    tasks.map(name, None)
    tasks.wait(name, lambda: "no DAGs in force" in tasks.refusal(plain_pod(name), tasks.editor))
    assert "made for pods alone" in forbidden(tasks.editor, "POST", token_path(tasks.namespace, name), asked("vault"))


def test_tokens_of_other_accounts_are_free(tasks: Airflow, billing: str) -> None:
    free = tasks.declare("free")
    get = partial(tasks.editor.request, "POST")
    for account in ("unbound", free):
        assert get(token_path(tasks.namespace, account), asked("vault"))["status"]["token"]
    tasks.cluster.plane.create_namespace("elsewhere")
    tasks.cluster.plane.api.create_service_account("elsewhere", billing)
    somebody = tasks.cluster.author("elsewhere", role="edit")
    assert somebody.request("POST", token_path("elsewhere", billing), asked("vault"))["status"]["token"]


def test_a_token_in_a_secret_is_for_no_store(tasks: Airflow, billing: str) -> None:
    name = tasks.cluster.fresh("old-way")
    path = f"/api/v1/namespaces/{tasks.namespace}/secrets"
    meta = {"name": name, "annotations": {"kubernetes.io/service-account.name": billing}}
    tasks.editor.request("POST", path, {"metadata": meta, "type": "kubernetes.io/service-account-token"})
    filled = partial(tasks.editor.request, "GET", f"{path}/{name}")
    token = base64.b64decode(wait_for("the token is there", lambda: filled().get("data", {}).get("token"), 30)).decode()

    def reviewed(**spec: list[str]) -> Json:
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token, **spec}}
        return dict(tasks.masters.request("POST", "/apis/authentication.k8s.io/v1/tokenreviews", body)["status"])

    # The API server checks such a token against what it watches, which follows the Secret a moment later.
    wait_for("what was made is a token", lambda: reviewed().get("authenticated") is True, 30)
    assert "authenticated" not in reviewed(audiences=["vault"])
