"""Backends, rules and bindings for the tests of the guardrails policy, with as few conditions as possible.

Used by the tests beside this module, which add the one condition that they are about.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from integration.schema import objects

Json = dict[str, Any]


def rule(name: str = "own-tree", **more: Any) -> Json:
    """Return a rule for the namespace's own tree and a shared one, under which access may last but not stay."""
    found = objects.rule(name, **more)
    return {key: value for key, value in found.items() if key in more or key not in ("maxLifetime", "orphan")}


def backend(name: str, *rules: Json, **vault: Any) -> Json:
    """Return a backend with these rules and no other."""
    body = objects.backend(name)
    body["spec"]["allow"] = list(rules)
    body["spec"]["vault"].update(vault)
    return body


def fenced_backend(name: str, *rules: Json) -> Json:
    """Return a backend in mode Fenced."""
    return backend(name, *rules, mode="Fenced", fenced={"role": "tasks"})


def key_vault_backend(name: str, *rules: Json) -> Json:
    """Return a backend that is a key vault."""
    body = backend(name, *rules)
    guid = "11111111-2222-3333-4444-555555555555"
    place = {"subscriptionID": guid, "resourceGroup": "secrets"}
    azure = {
        "tenantID": guid,
        "vault": {**place, "name": "kv-team"},
        "identities": place,
        "issuer": "https://oidc.example/cluster",
        "login": {"method": "WorkloadIdentity", "clientID": guid, "file": "azure"},
    }
    spec = {key: each for key, each in body["spec"].items() if key not in ("vault", "rotation")}
    return {**body, "spec": {**spec, "type": "AzureKeyVault", "azureKeyVault": azure}}


def wanting(
    namespace: str,
    store: str,
    *keys: str,
    session: Mapping[str, str] | None = None,
    end: str | None = None,
    name: str = "billing",
    **spec: Any,
) -> Json:
    """Return a binding of these keys."""
    body = objects.binding(name, namespace)
    secrets = [objects.secret(f"id{number}", key, backendRef={"name": store}) for number, key in enumerate(keys)]
    access = {"session": dict(session or {}), **({} if end is None else {"notAfter": end})}
    body["spec"] = {"serviceAccount": {"name": "billing"}, "secrets": secrets, "access": access, **spec}
    return body


def ahead(**span: float) -> str:
    """Return the moment so far ahead of now, as `access.notAfter` is written."""
    return (datetime.now(UTC) + timedelta(**span)).strftime("%Y-%m-%dT%H:%M:%SZ")
