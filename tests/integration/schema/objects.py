"""Objects for the schema tests: a valid one of each kind, and the largest that the schema permits."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any, Literal

Json = dict[str, Any]
Kind = Literal["binding", "backend"]
API_VERSION = "airwarden.dev/v1alpha1"


def secret(id_: str = "warehouse", key: str = "team-a/connections/warehouse", **fields: object) -> Json:
    return {"type": "Connection", "id": id_, "backendRef": {"name": "vault"}, "key": key, **fields}


def binding(name: str = "billing", namespace: str = "default") -> Json:
    """A valid binding that sets every field."""
    dynamic = {"engine": "database", "role": "team-a.reporting", "kind": "Static"}
    return {
        "apiVersion": API_VERSION,
        "kind": "AirflowSecretBinding",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "serviceAccount": {"name": "billing", "mode": "Managed"},
            "secrets": [
                secret(),
                {"type": "Connection", "id": "reporting", "backendRef": {"name": "vault"}, "dynamic": dynamic},
            ],
            "access": {"notAfter": "2028-02-29T23:59:59Z", "session": {"ttl": "15m", "maxTTL": "1h30m"}},
            "suspend": True,
            "deletionPolicy": "Orphan",
        },
    }


def rule(name: str = "own-tree", **fields: object) -> Json:
    return {
        "name": name,
        "namespaces": {"names": ["team-a"], "selector": {"matchLabels": {"airwarden.dev/tenant": "true"}}},
        "keyPrefixes": ["{namespace}/", "shared/"],
        "dynamic": [
            {
                "engine": "database",
                "rolePrefixes": ["{namespace}.", "shared."],
                "connections": ["main"],
                "usernames": ["{namespace}_*", "reporting"],
                "roots": ["main"],
            }
        ],
        "operations": ["Read", "RotateGenerate", "RotateNative", "RotateRevoke"],
        "serviceAccounts": ["Managed"],
        "session": {"maxTTL": "1h", "required": True},
        "maxLifetime": "2160h",
        "orphan": True,
        **fields,
    }


def rotation_login(role: str = "airwarden-rotation", mount: str = "kubernetes") -> Json:
    return {"method": "Kubernetes", "kubernetes": {"mount": mount, "role": role, "audience": "vault"}}


def backend(name: str = "vault") -> Json:
    """A valid backend that sets every field."""
    ca = {"configMap": {"name": "vault-ca", "key": "ca.crt"}}
    return {
        "apiVersion": API_VERSION,
        "kind": "AirflowSecretBackend",
        "metadata": {"name": name},
        "spec": {
            "type": "Vault",
            "vault": {
                "address": "https://vault.example:8200",
                "namespace": "team/airflow",
                "mode": "Roles",
                "tls": {"serverName": "vault.example", "caBundleRef": ca},
                "login": {
                    "method": "Kubernetes",
                    "kubernetes": {"mount": "kubernetes", "role": "airwarden", "audience": "vault"},
                },
                "kv": {"mount": "airflow", "version": 2},
                "workloadLogin": {"method": "Kubernetes", "kubernetes": {"mount": "tasks", "audience": "vault"}},
            },
            "requests": {"timeout": "5s", "maxConcurrent": 16, "perSecond": 500},
            "allow": [rule()],
            "adopt": "IfIdentical",
            "drift": {"policy": "Report", "interval": "10m"},
            "rotation": {"login": rotation_login()},
        },
    }


LOGINS: tuple[Json, ...] = (
    {"method": "AppRole", "appRole": {"mount": "ops", "roleID": "airwarden", "secretIDFile": "secret-id"}},
    {"method": "JWT", "jwt": {"mount": "ops", "role": "airwarden", "audience": "vault"}},
    {"method": "TokenFile", "tokenFile": {"name": "vault-token"}},
)
"""Each way in which the operator can log in besides the usual one, with all its fields."""
WORKLOAD_LOGINS: tuple[Json, ...] = (
    {"method": "JWT", "jwt": {"mount": "tasks", "audience": "https://vault.example/tasks"}},
    {"method": "AppRole", "appRole": {"mount": "tasks", "secretIDTTL": "1h", "secretIDUses": 5}},
)
"""Each way in which tasks can log in besides the usual one, with all its fields."""


def with_logins(login: Json, workload: Json, name: str = "vault") -> Json:
    """A valid backend with these ways to log in."""
    return changed(changed(backend(name), "spec.vault.login", login), "spec.vault.workloadLogin", workload)


def valid(kind: Kind) -> Json:
    return binding() if kind == "binding" else backend()


def largest_binding() -> Json:
    """A binding with every list and text as long as the schema permits."""
    found = binding("b" * 63)
    found["spec"]["serviceAccount"]["name"] = _dotted(253)
    stores = {"name": "s" * 63}
    found["spec"]["secrets"] = [
        {"type": "Connection", "id": f"{number:02}" + "i" * 248, "backendRef": stores, "key": "k/" * 255 + "kk"}
        for number in range(32)
    ] + [
        {
            "type": "Connection",
            "id": f"{number:02}" + "i" * 248,
            "backendRef": stores,
            "dynamic": {"engine": "e/" * 63 + "ee", "role": "r" * 256, "kind": "Dynamic"},
        }
        for number in range(32, 64)
    ]
    found["spec"]["access"]["session"] = {"ttl": "999999h999999m999999s", "maxTTL": "999999h999999m999999s"}
    return found


def largest_backend() -> Json:
    """A backend with every list and text as long as the schema permits."""
    found = backend("b" * 63)
    found["spec"]["vault"] |= {
        "address": "https://" + "a" * 498 + ":65535",
        "workloadAddresses": ["https://" + f"{number}" * 498 + ":65535" for number in range(8)],
        "namespace": "n/" * 127 + "nn",
        "tls": {"serverName": "s" * 253, "caBundleRef": {"configMap": {"name": _dotted(253), "key": "k" * 253}}},
        "login": {"kubernetes": {"mount": "m/" * 63 + "mm", "role": "r" * 256, "audience": "a" * 253}},
        "kv": {"mount": "m/" * 63 + "mm", "version": 1},
        "workloadLogin": {"kubernetes": {"mount": "m/" * 63 + "mm", "audience": "a" * 253}},
    }
    found["spec"]["rotation"] = {"login": rotation_login("x" * 256, "m/" * 63 + "mm")}
    found["spec"]["allow"] = [_largest_rule(number) for number in range(32)]
    return found


def _largest_rule(number: int) -> Json:
    labels = {f"{each}{'l' * 252}/{'n' * 62}": "v" * 63 for each in range(8)}
    prefixes = [f"{each}." + "r" * 253 + "." for each in range(8)]
    connections = [f"{each:02}" + "c" * 62 for each in range(8)]
    users = [f"{each:02}" + "u" * 93 + "*" for each in range(8)]
    roles = {"rolePrefixes": prefixes, "connections": connections, "usernames": users, "roots": connections[:4]}
    return rule(
        f"{number:02}" + "r" * 61,
        namespaces={
            "names": [f"{each:02}" + "n" * 61 for each in range(64)],
            "selector": {"matchLabels": labels},
        },
        keyPrefixes=[f"{each}/" * 128 for each in range(8)],
        maxLifetime="999999h999999m999999s",
        dynamic=[{"engine": f"{each}/" + "e/" * 62 + "ee", **roles} for each in range(8)],
    )


def _dotted(length: int) -> str:
    return ("a" * 62 + ".") * (length // 63) + "a" * (length % 63 or 1)


@dataclass(frozen=True)
class Remove:
    """Takes a field away."""


def changed(body: Json, path: str, value: Any) -> Json:
    found = copy.deepcopy(body)
    place: Any = found
    *parents, last = (int(each) if each.isdigit() else each for each in path.split("."))
    for each in parents:
        place = place[each]
    if isinstance(value, Remove):
        del place[last]
    else:
        place[last] = value
    return found
