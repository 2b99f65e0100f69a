"""What of an author's `pod_override` reaches the pod: rebuilt from a list of what is allowed, never patched. Pure.

Called by `executor.py`. A pod has too many ways to another identity to name those that are forbidden: accounts, tokens,
volumes, annotations that inject sidecars or cloud roles, nodes with an identity of their own, and those that the next
Kubernetes brings.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

TASK_CONTAINER = "base"
"""Airflow's name for the container that runs the task."""
_AMOUNTS = ("limits", "requests")


@dataclass(frozen=True, slots=True)
class Allowed:
    """What is taken over from an override."""

    limits: Mapping[str, str] = field(default_factory=dict)
    requests: Mapping[str, str] = field(default_factory=dict)
    image: str = ""
    left_out: tuple[str, ...] = ()
    """Places in the override that are not taken over; names only, since values may be secret."""


def allowed(override: Mapping[str, object], *, image: bool) -> Allowed:
    """Return what an override (as JSON) may say: amounts of resources, and the image if that is permitted."""
    rest: list[str] = [name for name in override if name not in {"apiVersion", "kind", "spec", "metadata"}]
    spec = _object(override.get("spec"))
    rest += [f"metadata.{name}" for name in _object(override.get("metadata"))]
    rest += [f"spec.{name}" for name in spec if name != "containers"]
    task: Mapping[str, object] = {}
    for index, each in enumerate(_list(spec.get("containers"))):
        container = _object(each)
        if container.get("name") == TASK_CONTAINER and not task:
            task = container
        else:
            rest.append(f"spec.containers[{index}]")
    chosen = task.get("image")
    takes_image = image and isinstance(chosen, str)
    amounts = _object(task.get("resources"))
    kept = {name: _amounts(amounts.get(name)) for name in _AMOUNTS}
    taken = {"name", "resources"} | ({"image"} if takes_image else set())
    rest += [f"spec.containers[{TASK_CONTAINER}].{name}" for name in task if name not in taken]
    rest += [f"spec.containers[{TASK_CONTAINER}].resources.{name}" for name in amounts if name not in _AMOUNTS]
    return Allowed(kept["limits"], kept["requests"], str(chosen) if takes_image else "", tuple(sorted(rest)))


def _object(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _amounts(value: object) -> dict[str, str]:
    """Return quantities as texts; the API server judges them."""
    return {
        str(name): str(amount)
        for name, amount in _object(value).items()
        if isinstance(amount, (str, int, float)) and not isinstance(amount, bool)
    }
