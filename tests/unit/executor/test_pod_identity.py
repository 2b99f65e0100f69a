"""What the executor puts on a pod, and that nothing that was there before stands against it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from kubernetes.client import models as k8s

from airflow_airwarden.identities import Bound, Identity, Unbound
from airflow_airwarden.pod_identity import BACKEND, BACKEND_VARIABLE, KWARGS_VARIABLE, QUEUED_FOR, Stamp, stamped
from airflow_airwarden.settings import Settings, settings_of
from unit.executor.making import UNBOUND, as_json, built_pod, claim_body, dag_map

NOBODYS = Unbound("no binding names it", certain=True, digest="d" * 32)
UNKNOWN = Unbound("the map cannot be read", certain=False)


def bound(**changes: Any) -> Bound:
    found = dag_map(claim_body(**changes))
    return Bound(found.claims[0], found.digest)


def stamp(identity: Identity) -> Stamp:
    return Stamp("main", "e" * 32, "billing-git", "billing_daily", identity, UNBOUND)


def made(identity: Identity, pod: k8s.V1Pod | None = None) -> dict[str, Any]:
    return as_json(stamped(pod or built_pod(), stamp(identity)))


def backend(pod: dict[str, Any]) -> list[str]:
    return [each["value"] for each in pod["spec"]["containers"][0]["env"] if each["name"] == BACKEND_VARIABLE]


def test_a_bound_pod_has_account_namespace_map_tokens_and_marks() -> None:
    identity = bound(labels={"azure.workload.identity/use": "true"})
    pod = made(identity)
    assert pod["metadata"] == {
        "name": "airwarden-billing-daily-load-abcd1234",
        "namespace": "airflow-prod",
        "labels": {
            "dag_id": "billing_daily",
            "azure.workload.identity/use": "true",
            "airwarden.dev/identity": "Bound",
            "airwarden.dev/environment": "main",
            "airwarden.dev/binding": "billing",
        },
        "annotations": {
            "dag_id": "billing_daily",
            "airwarden.dev/bundle": "billing-git",
            "airwarden.dev/dag-id": "billing_daily",
            "airwarden.dev/map-digest": identity.digest,
            "airwarden.dev/environment-digest": "e" * 32,
            "airwarden.dev/worker-holds": "",
        },
    }
    spec = pod["spec"]
    assert spec["serviceAccountName"] == "billing"
    assert "serviceAccount" not in spec
    token = {"serviceAccountToken": {"audience": "vault", "path": "vault/token", "expirationSeconds": 600}}
    assert spec["volumes"][1:] == [
        {"name": "airwarden-map", "configMap": {"name": "airwarden.billing.map"}},
        {"name": "airwarden-tokens", "projected": {"sources": [token]}},
    ]
    assert spec["containers"][0]["volumeMounts"][1:] == [
        {"name": "airwarden-map", "mountPath": "/etc/airwarden", "readOnly": True},
        {"name": "airwarden-tokens", "mountPath": "/var/run/secrets/airwarden", "readOnly": True},
    ]
    assert backend(pod) == [BACKEND]


@pytest.mark.parametrize("identity", [NOBODYS, UNKNOWN], ids=["certain", "unknown"])
def test_an_unbound_pod_has_the_powerless_account_and_no_map_or_token(identity: Unbound) -> None:
    pod = made(identity)
    assert pod["metadata"]["namespace"] == "airflow-prod"
    assert pod["spec"]["serviceAccountName"] == "airflow-unbound"
    assert [each["name"] for each in pod["spec"]["volumes"]] == ["logs"]
    labels = pod["metadata"]["labels"]
    assert labels == {
        "dag_id": "billing_daily",
        "airwarden.dev/identity": "Unbound",
        "airwarden.dev/environment": "main",
    }
    assert pod["metadata"]["annotations"]["airwarden.dev/map-digest"] == identity.digest
    assert not pod["metadata"]["name"].startswith("airwarden-")


def test_only_where_it_cannot_be_told_whose_the_dag_is_are_lookups_refused_too() -> None:
    assert backend(made(NOBODYS)) == []
    assert backend(made(UNKNOWN)) == [BACKEND]


@pytest.mark.parametrize("identity", [bound(), NOBODYS], ids=["bound", "unbound"])
def test_what_template_and_hook_say_of_an_identity_is_overwritten(identity: Identity) -> None:
    ours = {"airwarden.dev/identity": "Bound", "airwarden.dev/binding": "other", "airwarden.dev/more": "x"}
    forged = built_pod(service_account="other", service_account_name="other")
    assert forged.metadata is not None
    forged.metadata.labels = dict(ours)
    forged.metadata.annotations = {**ours, QUEUED_FOR: "airflow-prod/other"}
    pod = made(identity, forged)
    for kind in ("labels", "annotations"):
        assert "other" not in pod["metadata"][kind].values()
        assert "airwarden.dev/more" not in pod["metadata"][kind]
    assert QUEUED_FOR not in pod["metadata"]["annotations"]
    assert "other" not in {pod["spec"].get("serviceAccount"), pod["spec"]["serviceAccountName"]}


@pytest.mark.parametrize(
    "path", ["/etc/airwarden", "/etc//airwarden/", "/var/run/secrets/airwarden/vault", "/etc/x/../airwarden"]
)
def test_a_mount_of_the_template_in_our_place_gives_way(path: str) -> None:
    task = k8s.V1Container(name="base", volume_mounts=[k8s.V1VolumeMount(name="old", mount_path=path)])
    pod = made(bound(), built_pod(containers=[task]))
    assert [each["name"] for each in pod["spec"]["containers"][0]["volumeMounts"]] == [
        "airwarden-map",
        "airwarden-tokens",
    ]


def test_volumes_of_our_names_are_ours_in_every_container() -> None:
    mount = k8s.V1VolumeMount(name="airwarden-tokens", mount_path="/x")
    pod = made(
        bound(mounts=[]),
        built_pod(
            containers=[k8s.V1Container(name="base"), k8s.V1Container(name="sidecar", volume_mounts=[mount])],
            init_containers=[k8s.V1Container(name="init", volume_mounts=[mount])],
            volumes=[k8s.V1Volume(name="airwarden-tokens", secret=k8s.V1SecretVolumeSource(secret_name="s"))],
        ),
    )
    assert [each["name"] for each in pod["spec"]["volumes"]] == ["airwarden-map"]
    assert pod["spec"]["containers"][1]["volumeMounts"] == []
    assert pod["spec"]["initContainers"][0]["volumeMounts"] == []


def test_the_task_is_found_by_its_name_and_a_sidecar_gets_nothing() -> None:
    pod = made(bound(), built_pod(containers=[k8s.V1Container(name="proxy"), k8s.V1Container(name="base")]))
    proxy, task = pod["spec"]["containers"]
    assert "env" not in proxy
    assert len(task["volumeMounts"]) == 2


def test_a_backend_of_the_template_gives_way() -> None:
    other = k8s.V1EnvVar(name=BACKEND_VARIABLE, value="other")
    pod = made(bound(), built_pod(containers=[k8s.V1Container(name="base", env=[other])]))
    assert backend(pod) == [BACKEND]


def variables(identity: Identity, env: dict[str, str | None], like: str = BACKEND_VARIABLE) -> dict[str, str]:
    task = k8s.V1Container(name="base", env=[k8s.V1EnvVar(name=name, value=value) for name, value in env.items()])
    made_of = made(identity, built_pod(containers=[task]))["spec"]["containers"][0]["env"]
    assert len(made_of) == len({each["name"] for each in made_of})
    return {each["name"]: each["value"] for each in made_of if each["name"].startswith(like)}


@pytest.mark.parametrize("other", ["airflow.providers.hashicorp.secrets.vault.VaultBackend", "", None])
@pytest.mark.parametrize("identity", [bound(), UNKNOWN], ids=["bound", "unknown"])
def test_kwargs_of_another_backend_go_with_it(identity: Identity, other: str | None) -> None:
    kwargs = {f"{BACKEND_VARIABLE}_{name}": "x" for name in ("KWARGS", "KWARGS_CMD", "KWARGS_SECRET", "KWARG__ROLE_ID")}
    found = variables(identity, {"OTHER": "y", BACKEND_VARIABLE: other, f"{BACKEND_VARIABLE}_CMD": "z", **kwargs})
    assert found == {BACKEND_VARIABLE: BACKEND, KWARGS_VARIABLE: "{}"}
    assert settings_of(json.loads(found[KWARGS_VARIABLE])) == Settings()
    assert variables(identity, {"OTHER": "y", **kwargs}, "OTHER") == {"OTHER": "y"}


def test_kwargs_that_are_not_seen_from_here_are_set_aside() -> None:
    assert variables(bound(), {}) == {BACKEND_VARIABLE: BACKEND, KWARGS_VARIABLE: "{}"}


def test_kwargs_that_stand_beside_our_own_backend_are_for_it() -> None:
    ours = {BACKEND_VARIABLE: BACKEND, KWARGS_VARIABLE: '{"lookup_seconds": 60}'}
    assert variables(bound(), {**ours}) == ours


def test_an_unbound_pod_keeps_the_backend_of_the_template() -> None:
    theirs: dict[str, str | None] = {BACKEND_VARIABLE: "other", KWARGS_VARIABLE: '{"url": "x"}'}
    assert variables(NOBODYS, theirs) == theirs


@pytest.mark.parametrize("length", [52, 53, 54, 63])
def test_a_long_name_keeps_its_random_end(length: int) -> None:
    pod = built_pod()
    assert pod.metadata is not None
    pod.metadata.name = "a" * (length - 9) + "-" + "z9z9z9z9"
    name = made(bound(), pod)["metadata"]["name"]
    assert name.startswith("airwarden-aaa")
    assert name.endswith("-z9z9z9z9")
    assert len(name) <= 63


@pytest.mark.parametrize(
    ("variable", "held"),
    [
        ("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "DatabaseCredentials"),
        ("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_CMD", "DatabaseCredentials"),
        ("AIRFLOW__CORE__SQL_ALCHEMY_CONN", "DatabaseCredentials"),
        ("AIRFLOW__CORE__FERNET_KEY", "FernetKey"),
        ("AIRFLOW__API_AUTH__JWT_SECRET", "JWTSecret"),
        ("AIRFLOW__API_AUTH__JWT_PRIVATE_KEY_PATH", "JWTSecret"),
        ("AIRFLOW__CORE__EXECUTOR", ""),
    ],
)
def test_what_the_pod_holds_of_airflows_own_secrets_is_told(variable: str, held: str) -> None:
    task = k8s.V1Container(name="base", env=[k8s.V1EnvVar(name=variable, value="x")])
    pod = made(bound(), built_pod(containers=[task]))
    assert pod["metadata"]["annotations"]["airwarden.dev/worker-holds"] == held


def test_what_cannot_be_seen_is_told_too_whichever_container_has_it() -> None:
    secret = k8s.V1EnvFromSource(secret_ref=k8s.V1SecretEnvSource(name="keys"))
    plain = k8s.V1EnvFromSource(config_map_ref=k8s.V1ConfigMapEnvSource(name="common"))
    containers = [
        k8s.V1Container(name="base", env_from=[plain], env=[k8s.V1EnvVar(name="AIRFLOW__CORE__FERNET_KEY")]),
        k8s.V1Container(name="sidecar", env_from=[secret, plain]),
    ]
    pod = made(NOBODYS, built_pod(containers=containers))
    assert pod["metadata"]["annotations"]["airwarden.dev/worker-holds"] == (
        "FernetKey,envFrom:ConfigMap/common,envFrom:Secret/keys"
    )


def test_a_pod_without_a_container_is_refused() -> None:
    with pytest.raises(ValueError, match="no container"):
        stamped(k8s.V1Pod(), stamp(NOBODYS))
