"""One rotation as the tests hold it, and what a platform team sets up for rotations.

Used by the tests of rotations here and in `faults`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from integration.handles import Backend
from integration.objects import API, AUTH, KV, backend_object, rule
from integration.world import SOON, World, eventually
from plane.json_client import Json
from plane.operator import set_up_vault

ROLE: Final = "airwarden-rotation"
LOGIN: Final[Json] = {"login": {"kubernetes": {"mount": AUTH, "role": ROLE, "audience": "vault"}}}
ROTATES: Final = ("Read", "RotateGenerate")


def rotation_path(namespace: str, name: str = "") -> str:
    """Return where a rotation, or all of a namespace, are served."""
    return f"{API}/namespaces/{namespace}/airflowsecretrotations" + (f"/{name}" if name else "")


def rotating(**spec: Any) -> Json:
    """Return the spec of a backend that lets tenants rotate their own tree."""
    return {"rotation": LOGIN, "allow": [rule(operations=list(ROTATES))], **spec}


def permit_rotations(world: World) -> None:
    """Run the printed set-up with a login for rotations, for all namespaces so far."""
    body = backend_object("setup", world.plane.vault_address, **rotating())
    set_up_vault(world.plane, body, namespaces=world.namespaces)


@dataclass(frozen=True)
class Rotation:
    """One AirflowSecretRotation and its secret."""

    world: World
    namespace: str
    name: str
    key: str
    before: dict[str, str] = field(default_factory=dict)
    """What the secret held at first."""

    @property
    def path(self) -> str:
        """Where it is served."""
        return rotation_path(self.namespace, self.name)

    def body(self) -> Json:
        """Return it as it is now."""
        found = self.world.get(self.path)
        assert found is not None, f"rotation {self.namespace}/{self.name} is gone"
        return found

    def status(self) -> Json:
        """Return its status as it is now."""
        status: Json = self.body().get("status") or {}
        return status

    def edit(self, **spec: Any) -> None:
        """Change fields of the spec."""
        self.world.merge(self.path, {"spec": spec})

    def ask(self, word: str) -> None:
        """Ask for one run."""
        self.world.merge(self.path, {"metadata": {"annotations": {"airwarden.dev/rotate": word}}})

    def wait_condition(self, kind: str, status: str, reason: str = "", deadline: float = SOON) -> Json:
        """Wait until a condition is so at the rotation's generation; return it."""

        def so() -> Json | None:
            found = self.body()
            shown = found.get("status") or {}
            assert shown.get("observedGeneration") == found["metadata"]["generation"], shown
            condition = next((each for each in shown.get("conditions", ()) if each["type"] == kind), None)
            assert condition is not None, shown
            assert (condition["status"], reason or condition["reason"]) == (status, condition["reason"]), condition
            return dict(condition)

        return eventually(f"rotation {self.namespace}/{self.name} has {kind}={status} {reason}", so, deadline)

    def wait_ready(self, deadline: float = SOON) -> None:
        """Wait until nothing stands in the way of a run."""
        self.wait_condition("Ready", "True", deadline=deadline)

    def wait_done(self, word: str, result: str = "Succeeded", deadline: float = SOON) -> Json:
        """Wait until the run for a word has ended so; return how it ended."""

        def ended() -> Json | None:
            status = self.status()
            assert status.get("handledRequest") == word, status
            assert "run" not in status, status
            assert status["lastRun"]["result"] == result, status
            return dict(status["lastRun"])

        return eventually(f"the run {word} of {self.namespace}/{self.name} ended {result}", ended, deadline)

    def events(self) -> list[tuple[str, str, str]]:
        """Return type, reason and message of its Events, the oldest first."""
        return self.world.events(self.namespace, self.name)

    # The secret, as an admin of the store sees it.

    def metadata(self) -> Json:
        """Return what the store's metadata says."""
        return dict(self.world.plane.vault.request("GET", f"{KV}/metadata/{self.key}")["data"])

    def version(self) -> int:
        """Return the current version of the secret."""
        return int(self.metadata()["current_version"])

    def values(self) -> dict[str, str]:
        """Return what the secret holds."""
        return self.world.read(self.world.plane.vault_token, self.key)

    def write(self, **values: str) -> None:
        """Write a version by hand."""
        self.world.plane.vault.request("POST", f"{KV}/data/{self.key}", {"data": values})

    def secret_request(self, method: str, kind: str, body: Json) -> None:
        """Do something with versions of the secret as an admin."""
        self.world.plane.vault.request(method, f"{KV}/{kind}/{self.key}", body, accept=(200, 204))


def make_rotation(
    world: World, namespace: str, backend: Backend | str, name: str = "", *, secret: bool = True, **spec: Any
) -> Rotation:
    """Write a secret with a user and a password, and make a rotation of the password."""
    name = name or world.fresh("warehouse")
    key = spec.pop("key", f"{namespace}/connections/{name}")
    found = Rotation(world, namespace, name, key, {"user": "billing", "password": f"first-of-{name}"})
    if secret:
        found.write(**found.before)
    store = backend if isinstance(backend, str) else backend.name
    body = {
        "apiVersion": "airwarden.dev/v1alpha1",
        "kind": "AirflowSecretRotation",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"backendRef": {"name": store}, "key": key, "field": "password", **spec},
    }
    world.create(rotation_path(namespace), body)
    return found


@contextmanager
def removing(made: list[Rotation]) -> Iterator[None]:
    """Delete the rotations at the end."""
    try:
        yield
    finally:
        for each in made:
            each.world.delete(each.path)
