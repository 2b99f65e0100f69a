"""One backend and one binding as the tests hold them: where they are, what they say, what follows from them.

Made by the fixtures `backend` and `binding`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from integration.objects import account_path, backend_path, binding_path
from integration.world import SOON, World, eventually
from plane.json_client import Json
from plane.operator import CLUSTER


def name_in_store(namespace: str, binding: str, backend: str) -> str:
    """Return the name of what a binding has in a backend."""
    return f"airwarden.{CLUSTER}.{namespace}.{binding}.{backend}"


@dataclass(frozen=True)
class Backend:
    """One AirflowSecretBackend."""

    world: World
    name: str

    @property
    def path(self) -> str:
        """Where it is served."""
        return backend_path(self.name)

    def body(self) -> Json:
        """Return it as it is now."""
        found = self.world.get(self.path)
        assert found is not None, f"backend {self.name} is gone"
        return found

    def edit(self, **spec: Any) -> None:
        """Change fields of the spec."""
        self.world.merge(self.path, {"spec": spec})

    def wait_ready(self, deadline: float = SOON) -> None:
        """Wait until it is Ready."""
        self.wait_condition("Ready", "True", deadline=deadline)

    def wait_condition(self, kind: str, status: str, reason: str = "", deadline: float = SOON) -> Json:
        """Wait until a condition is so; return it."""
        return eventually(
            f"backend {self.name} has {kind}={status} {reason}",
            partial(_condition, self.body, kind, status, reason),
            deadline,
        )


@dataclass(frozen=True)
class Binding:
    """One AirflowSecretBinding, with the names that follow from it."""

    world: World
    namespace: str
    name: str
    account: str
    backend: str

    @property
    def path(self) -> str:
        """Where it is served."""
        return binding_path(self.namespace, self.name)

    @property
    def store_name(self) -> str:
        """The name of its policy and role in Vault."""
        return self.name_at(self.backend)

    def name_at(self, backend: str) -> str:
        """The name of its policy and role in one backend."""
        return name_in_store(self.namespace, self.name, backend)

    def body(self) -> Json:
        """Return it as it is now."""
        found = self.world.get(self.path)
        assert found is not None, f"binding {self.namespace}/{self.name} is gone"
        return found

    def status(self) -> Json:
        """Return its status as it is now."""
        status: Json = self.body().get("status") or {}
        return status

    def conditions(self) -> dict[str, Json]:
        """Return its conditions by type."""
        return {each["type"]: each for each in self.status().get("conditions", ())}

    def edit(self, **spec: Any) -> None:
        """Change fields of the spec."""
        self.world.merge(self.path, {"spec": spec})

    def delete(self) -> None:
        """Ask for its deletion."""
        self.world.delete(self.path)

    def wait_gone(self, deadline: float = SOON) -> None:
        """Wait until it is gone."""
        self.world.wait_gone(self.path, deadline)

    def wait_ready(self, deadline: float = SOON) -> Json:
        """Wait until it is Ready at its own generation; return the status."""
        self.wait_condition("Ready", "True", deadline=deadline)
        return self.status()

    def wait_refused(self, reason: str, deadline: float = SOON) -> Json:
        """Wait until it is not Ready for this reason; return the condition."""
        return self.wait_condition("Ready", "False", reason, deadline)

    def wait_condition(self, kind: str, status: str, reason: str = "", deadline: float = SOON) -> Json:
        """Wait until a condition is so at the binding's generation; return it."""
        return eventually(
            f"binding {self.namespace}/{self.name} has {kind}={status} {reason}",
            partial(_condition, self.body, kind, status, reason),
            deadline,
        )

    def events(self) -> list[tuple[str, str, str]]:
        """Return type, reason and message of its Events, the oldest first."""
        return self.world.events(self.namespace, self.name)

    def service_account(self) -> Json | None:
        """Return its service account; None when there is none."""
        return self.world.get(account_path(self.namespace, self.account))

    def login(self, audience: str = "vault") -> str:
        """Log in under its account and role; return the Vault token."""
        return self.world.login(self.namespace, self.account, self.store_name, audience)


def _condition(body: Callable[[], Json], kind: str, status: str, reason: str) -> Json | None:
    found = body()
    shown = found.get("status") or {}
    generation = found["metadata"]["generation"]
    assert shown.get("observedGeneration") == generation, f"not looked at since generation {generation}: {shown}"
    condition = next((each for each in shown.get("conditions", ()) if each["type"] == kind), None)
    assert condition is not None, f"no condition {kind}: {shown}"
    assert (condition["status"], reason or condition["reason"]) == (status, condition["reason"]), condition
    return dict(condition)
