"""What a Vault admin does before the operator comes: mounts, the login method, the token reviewer.

Called by tests, the demo, the benchmarks and `python -m plane up`, with the
root token. Nothing in here is what the operator does itself, and nothing gives
the operator a right: that is what `airwarden vault-setup` prints.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from plane.control_plane import Plane
from plane.errors import PlaneError, PlaneHTTPError
from plane.json_client import Json
from plane.waiting import wait_for

REVIEWER_NAMESPACE = "vault-system"
REVIEWER_SECONDS = 30 * 24 * 3600  # a plane kept by `make up` outlives a day
KV_DEADLINE = 60.0


@dataclass(frozen=True)
class Store:
    """A prepared store: where secrets lie and where accounts log in."""

    kv_mount: str
    kv_version: int
    auth_mount: str
    auth_accessor: str


def prepare_store(
    plane: Plane,
    *,
    kv_mount: str = "airflow",
    kv_version: int = 2,
    auth_mount: str = "kubernetes",
    max_lease_ttl: str = "1h",
    reviewer: str = "vault-token-reviewer",
) -> Store:
    """Mount KV at `kv_mount` and Kubernetes login at `auth_mount`; what is there already stays."""
    _mount(plane, "sys/mounts", kv_mount, {"type": "kv", "options": {"version": str(kv_version)}})
    _mount(plane, "sys/auth", auth_mount, {"type": "kubernetes"})
    plane.vault.request("POST", f"sys/auth/{auth_mount}/tune", {"max_lease_ttl": max_lease_ttl})
    config = {
        "kubernetes_host": plane.api_url,
        "kubernetes_ca_cert": plane.ca_path.read_text(),
        "token_reviewer_jwt": token_reviewer_jwt(plane, reviewer),
        "disable_local_ca_jwt": True,
    }
    plane.vault.request("POST", f"auth/{auth_mount}/config", config)
    if kv_version == 2:
        _wait_for_kv(plane, kv_mount)
    accessor = plane.vault.request("GET", f"sys/auth/{auth_mount}")["data"]["accessor"]
    return Store(kv_mount, kv_version, auth_mount, str(accessor))


def token_reviewer_jwt(plane: Plane, name: str = "vault-token-reviewer") -> str:
    """Make the account with which Vault asks the API server about tokens; return its token."""
    plane.create_namespace(REVIEWER_NAMESPACE)
    plane.api.create_service_account(REVIEWER_NAMESPACE, name)
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": f"{REVIEWER_NAMESPACE}-{name}"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "system:auth-delegator"},
        "subjects": [{"kind": "ServiceAccount", "namespace": REVIEWER_NAMESPACE, "name": name}],
    }
    path = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"
    plane.api.admin.request("POST", path, binding, accept=[409])
    return plane.service_account_token(REVIEWER_NAMESPACE, name, seconds=REVIEWER_SECONDS)


def write_policy(plane: Plane, name: str, text: str) -> None:
    """Write an ACL policy."""
    plane.vault.request("PUT", f"sys/policies/acl/{name}", {"policy": text})


def write_kubernetes_role(
    plane: Plane,
    name: str,
    *,
    namespace: str,
    account: str,
    policy: str,
    auth_mount: str = "kubernetes",
    audience: str = "vault",
    **more: Any,
) -> None:
    """Write a login role for one account: the operator's own, and those of tests without an operator."""
    role = {
        "bound_service_account_names": account,
        "bound_service_account_namespaces": namespace,
        "audience": audience,
        "token_policies": policy,
        **more,
    }
    plane.vault.request("POST", f"auth/{auth_mount}/role/{name}", role)


def login(plane: Plane, role: str, jwt: str, auth_mount: str = "kubernetes") -> str:
    """Log in as a task does; return the Vault token. PlaneHTTPError with status 400 or 403 on refusal."""
    answer = plane.vault.request("POST", f"auth/{auth_mount}/login", {"role": role, "jwt": jwt}, token="")
    return str(answer["auth"]["client_token"])


def write_secret(
    plane: Plane, path: str, values: Mapping[str, str], *, mount: str = "airflow", version: int = 2
) -> None:
    """Write a secret; only strings, because Vault's audit log shows numbers in clear."""
    if version == 2:
        plane.vault.request("POST", f"{mount}/data/{path}", {"data": dict(values)})
    else:
        plane.vault.request("POST", f"{mount}/{path}", dict(values))


def read_secret(
    plane: Plane, path: str, *, token: str | None = None, mount: str = "airflow", version: int = 2
) -> dict[str, str]:
    """Read a secret with a token (the root token if none is given); PlaneHTTPError on refusal."""
    answer = plane.vault.request("GET", f"{mount}/data/{path}" if version == 2 else f"{mount}/{path}", token=token)
    data: Json = answer["data"]["data"] if version == 2 else answer["data"]
    return {str(key): str(value) for key, value in data.items()}


def _mount(plane: Plane, listing: str, mount: str, body: Json) -> None:
    present: Json = plane.vault.request("GET", listing)["data"]
    there = present.get(f"{mount}/")
    if there is None:
        plane.vault.request("POST", f"{listing}/{mount}", body)
    elif there["type"] != body["type"] or (there.get("options") or {}) != body.get(
        "options", there.get("options") or {}
    ):
        raise PlaneError(f"{mount}/ exists in {listing} as another type or version: {there['type']}")


def _wait_for_kv(plane: Plane, mount: str) -> None:
    """Wait until a new version 2 mount has upgraded itself; until then it refuses requests with 400."""

    def ready() -> bool:
        try:
            plane.vault.request("GET", f"{mount}/config")
        except PlaneHTTPError as error:
            if error.status == 400 and "Upgrading" in error.text:
                return False
            raise
        return True

    wait_for(f"the KV mount {mount} is ready", ready, KV_DEADLINE)
