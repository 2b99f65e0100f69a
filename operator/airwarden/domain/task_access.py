"""How a task reads a store: the store's part of a binding's map, and what its pod needs for it.

Said by each store's provider (`airwarden.providers.ports.Store.task_access`), put together by
`airwarden.domain.environment`. Nothing here is secret. Pure.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from airwarden.api.reasons import Reason

MAP_FOLDER: Final = "/etc/airwarden"
"""Where a task finds its binding's map."""
TOKEN_FOLDER: Final = "/var/run/secrets/airwarden"  # noqa: S105 - a folder
"""Where it finds its projected tokens."""


@dataclass(frozen=True, slots=True)
class TokenMount:
    """One projected token of a pod, below the folder of its tokens."""

    audience: str
    path: str
    expiration_seconds: int = 600


@dataclass(frozen=True, slots=True)
class TaskAccess:
    """How tasks of one binding read one store."""

    entry: Mapping[str, object]
    """What stands under ``stores`` in the binding's map; in the form of docs/reference/binding-map.md."""
    ca_pem: str = ""
    """Certificates that are laid beside the map, under `ca_key`; empty when those of the image decide."""
    token: TokenMount | None = None
    """What the pod is given to log in with."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Labels that the pod must carry."""
    impossible: tuple[Reason, str] | None = None
    """Why no task can log in there; then the rest says nothing."""


def ca_key(backend: str) -> str:
    """Return the name of a store's certificates beside the map."""
    return f"ca.{backend}.pem"


def ca_file(backend: str) -> str:
    """Return where a task finds them."""
    return f"{MAP_FOLDER}/{ca_key(backend)}"


def token_path(backend: str) -> str:
    """Return where a task's token for the store is, below the folder of its tokens."""
    return f"{backend}/token"


def token_file(backend: str) -> str:
    """Return the same as the task sees it."""
    return f"{TOKEN_FOLDER}/{token_path(backend)}"
