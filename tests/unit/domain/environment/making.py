"""Environments, bindings and their surroundings as small values, for the tests beside this module."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from airwarden.api.environment import AirflowEnvironment
from airwarden.domain.environment.asked import Asked
from airwarden.domain.environment.claims import Claims, Key
from airwarden.domain.environment.rendering import Rendering, Surroundings, render
from airwarden.domain.slices import at_once
from airwarden.domain.task_access import TaskAccess, TokenMount

NOW: Final = datetime(2026, 7, 1, 12, tzinfo=UTC)
VAULT: Final = TaskAccess({}, token=TokenMount("vault", "vault/token"))


def environment(**spec: Any) -> AirflowEnvironment:
    """Return the environment airflow/main, with three worker namespaces and two bundles."""
    standard: dict[str, Any] = {
        "workerNamespaces": ["prod", "staging", "lab"],
        "bundles": [
            {"name": "billing", "namespaces": ["prod", "staging"]},
            {"name": "reports", "namespaces": ["prod"]},
        ],
        "components": {"scheduler": {"serviceAccountName": "airflow-scheduler"}},
        "unbound": {"namespace": "prod", "serviceAccountName": "airflow-unbound"},
    }
    kept = {key: value for key, value in {**standard, **spec}.items() if value is not None}
    return AirflowEnvironment.model_validate({"metadata": {"name": "main", "namespace": "airflow"}, "spec": kept})


def binding(
    name: str, *ids: str, namespace: str = "prod", bundle: str = "billing", in_force: bool = True, **spec: Any
) -> dict[str, Any]:
    """Return a binding's body that claims the ids, which its status says are in force."""
    dags = [{"bundle": bundle, "ids": list(ids)}]
    return {
        "status": {"identity": {"environment": "airflow/main", "podCreator": "x", "dags": dags}} if in_force else {},
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "environmentRef": {"name": "main", "namespace": "airflow"},
            "dags": dags,
            "serviceAccount": {"name": f"{name}-account"},
            "secrets": [{"type": "Variable", "id": "a", "backendRef": {"name": "vault"}, "key": "prod/a"}],
            **spec,
        },
    }


def rendering(
    bodies: Iterable[dict[str, Any]],
    *,
    within: AirflowEnvironment | None = None,
    without_account: Iterable[Key] = (),
    stores: Mapping[str, TaskAccess | None] | None = None,
) -> Rendering:
    """Return what an environment comes to with these bindings."""
    within = within or environment()
    asking = {each.claimant.key: each for body in bodies if (each := Asked.read(body)) is not None}
    claims = Claims(within.spec)
    for each in asking.values():
        claims.put(each.claimant)
    lacking = frozenset(without_account)
    known = {"vault": VAULT} if stores is None else stores
    found = Surroundings(
        asking, claims.verdict, lambda key, _: key not in lacking, lambda _, name: known.get(name, TaskAccess({})), NOW
    )
    return at_once(render(within, found))
