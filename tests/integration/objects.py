"""The objects that the integration tests apply, and where the API server serves them.

Used by the modules beside this one. All backends use the same mounts of a prepared Vault.
"""

from __future__ import annotations

from typing import Any, Final

from plane.json_client import Json

GROUP: Final = "airwarden.dev"
API: Final = "/apis/airwarden.dev/v1alpha1"
KV: Final = "airflow"
AUTH: Final = "kubernetes"
TENANT: Final = "airwarden.dev/tenant"


def binding_path(namespace: str, name: str = "") -> str:
    """Return where a binding, or all of a namespace, are served."""
    return f"{API}/namespaces/{namespace}/airflowsecretbindings" + (f"/{name}" if name else "")


def backend_path(name: str = "") -> str:
    """Return where a backend, or all, are served."""
    return f"{API}/airflowsecretbackends" + (f"/{name}" if name else "")


def account_path(namespace: str, name: str = "") -> str:
    """Return where a service account, or all of a namespace, are served."""
    return f"/api/v1/namespaces/{namespace}/serviceaccounts" + (f"/{name}" if name else "")


def rule(name: str = "own-tree", *, max_ttl: str = "1h", names: tuple[str, ...] = (), **more: Any) -> Json:
    """Return an allow rule; without names it is for namespaces with the tenant label."""
    namespaces: Json = {"names": list(names)} if names else {"selector": {"matchLabels": {TENANT: "true"}}}
    return {
        "name": name,
        "namespaces": namespaces,
        "keyPrefixes": ["{namespace}/", "shared/"],
        "session": {"maxTTL": max_ttl},
        **more,
    }


def backend_object(name: str, address: str, **spec: Any) -> Json:
    """Return a backend for a prepared Vault. Its one rule gives tenants their own tree and the shared one."""
    vault = {
        "address": address,
        "login": {"method": "Kubernetes", "kubernetes": {"mount": AUTH, "role": "airwarden", "audience": "vault"}},
        "kv": {"mount": KV, "version": 2},
        "workloadLogin": {"method": "Kubernetes", "kubernetes": {"mount": AUTH, "audience": "vault"}},
        **spec.pop("vault", {}),
    }
    return {
        "apiVersion": "airwarden.dev/v1alpha1",
        "kind": "AirflowSecretBackend",
        "metadata": {"name": name},
        "spec": {"type": "Vault", "vault": vault, "allow": [rule()], **spec},
    }


def secret(key: str, backend: str, *, id: str = "warehouse", kind: str = "Connection") -> Json:  # noqa: A002 - its name
    """Return one entry of a binding's secrets."""
    return {"type": kind, "id": id, "backendRef": {"name": backend}, "key": key}
