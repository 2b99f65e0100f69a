"""The objects that the benchmarks create: one backend, and as many bindings as asked for.

Called by `stage` and the scenarios. A binding is the smallest useful one: one connection, one account.
"""

from typing import Any, Final

Json = dict[str, Any]
API: Final = "/apis/airwarden.dev/v1alpha1"
BINDINGS: Final = f"{API}/airflowsecretbindings"
BACKEND: Final = "vault"
BACKEND_PATH: Final = f"{API}/airflowsecretbackends/{BACKEND}"
CALM: Final = "10m"
"""The drift interval that users get by default."""
NAMESPACES: Final = ("bench-many", "bench-paced", "bench-going", "bench-hostile", "bench-floor", "bench-ending")


def backend(address: str, interval: str = CALM) -> Json:
    """Return the backend, with limits high enough to show what the operator can do, not what it is allowed."""
    return {
        "apiVersion": "airwarden.dev/v1alpha1",
        "kind": "AirflowSecretBackend",
        "metadata": {"name": BACKEND},
        "spec": {
            "type": "Vault",
            "vault": {
                "address": address,
                "login": {"kubernetes": {"role": "airwarden"}},
                "kv": {"mount": "airflow"},
                "workloadLogin": {"kubernetes": {"audience": "vault"}},
            },
            "requests": {"perSecond": 5000, "maxConcurrent": 16},
            "allow": [{"name": "own", "namespaces": {"names": list(NAMESPACES)}, "keyPrefixes": ["{namespace}/"]}],
            "drift": {"interval": interval},
        },
    }


def binding(namespace: str, name: str, key: str = "") -> Json:
    """Return one binding. Without a key it asks for one of its namespace's own tree, which is admitted."""
    return {
        "apiVersion": "airwarden.dev/v1alpha1",
        "kind": "AirflowSecretBinding",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"serviceAccount": {"name": f"{name}-account"}, "secrets": secrets(key or f"{namespace}/{name}")},
    }


def secrets(key: str) -> list[Json]:
    """Return what a binding asks for."""
    return [{"type": "Connection", "id": "warehouse", "backendRef": {"name": BACKEND}, "key": key}]


def names(count: int, prefix: str = "b") -> list[str]:
    """Return names for so many bindings."""
    return [f"{prefix}{number:05d}" for number in range(count)]


def collection(namespace: str) -> str:
    """Return where the bindings of a namespace are served."""
    return f"{API}/namespaces/{namespace}/airflowsecretbindings"
