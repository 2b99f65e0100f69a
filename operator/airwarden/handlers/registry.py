"""Which events of the cluster the operator listens to, and where they go.

kopf is used for its watches. Finalizers, retries and statuses are ours, and so is the order at start
(docs/decisions/0003). Called by `airwarden.operator_process`.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import kopf

from airwarden.api import BACKENDS, BINDINGS, ENVIRONMENTS, GROUP, ROTATIONS, VERSION
from airwarden.providers.kubernetes.accounts import SELECTOR
from airwarden.providers.kubernetes.api import load_configuration
from airwarden.reconcile.engine import Engine
from airwarden.reconcile.environment_engine import EnvironmentEngine
from airwarden.reconcile.rotation_engine import RotationEngine


def register(
    registry: kopf.OperatorRegistry,
    engine: Engine,
    rotations: RotationEngine,
    environments: EnvironmentEngine,
    listed: Callable[[], None],
) -> None:
    """Register all handlers for the engines; ``listed`` hears of each object that came by a list, not by a watch."""
    _register_surroundings(registry, engine, rotations, environments, listed)
    _register_rotations(registry, rotations, listed)
    _register_environments(registry, environments, listed)
    binding = (GROUP, VERSION, BINDINGS)
    backend = (GROUP, VERSION, BACKENDS)

    @kopf.on.event(*binding, id="binding", registry=registry)
    async def see_binding(type: str | None, body: kopf.Body, **_: Any) -> None:  # noqa: A002 - kopf calls by name
        engine.see_binding(type, body)
        if type is None:
            listed()

    @kopf.on.event(*backend, id="backend", registry=registry)
    async def see_backend(type: str | None, body: kopf.Body, **_: Any) -> None:  # noqa: A002 - kopf calls by name
        if engine.see_backend(type, body):
            rotations.see_backend(body["metadata"]["name"])
            environments.see_backend()
        if type is None:
            listed()


def _register_surroundings(
    registry: kopf.OperatorRegistry,
    engine: Engine,
    rotations: RotationEngine,
    environments: EnvironmentEngine,
    listed: Callable[[], None],
) -> None:
    namespace = ("", "v1", "namespaces")
    account = ("", "v1", "serviceaccounts")

    @kopf.on.event(*namespace, id="namespace", registry=registry)
    async def see_namespace(type: str | None, body: kopf.Body, **_: Any) -> None:  # noqa: A002 - kopf calls by name
        if engine.see_namespace(type, body):
            rotations.see_namespace(body["metadata"]["name"])
        if type is None:
            listed()

    @kopf.on.event(*account, id="account", registry=registry)
    async def see_account(type: str | None, body: kopf.Body, **_: Any) -> None:  # noqa: A002 - kopf calls by name
        engine.see_account(type, body)
        environments.see_account(body["metadata"]["namespace"], body["metadata"]["name"])
        if type is None:
            listed()


def _register_rotations(registry: kopf.OperatorRegistry, rotations: RotationEngine, listed: Callable[[], None]) -> None:
    @kopf.on.event(GROUP, VERSION, ROTATIONS, id="rotation", registry=registry)
    async def see_rotation(type: str | None, body: kopf.Body, **_: Any) -> None:  # noqa: A002 - kopf calls by name
        rotations.see_rotation(type, body)
        if type is None:
            listed()


def _register_environments(
    registry: kopf.OperatorRegistry, environments: EnvironmentEngine, listed: Callable[[], None]
) -> None:
    @kopf.on.event(GROUP, VERSION, ENVIRONMENTS, id="environment", registry=registry)
    async def see_environment(type: str | None, body: kopf.Body, **_: Any) -> None:  # noqa: A002 - kopf calls by name
        environments.see_environment(type, body)
        if type is None:
            listed()


def register_login(registry: kopf.OperatorRegistry, kubeconfig: str | None) -> None:
    """Let kopf log in as the rest of the operator does; it asks again when its token was refused."""

    @kopf.on.login(id="login", registry=registry)
    async def login(**_: Any) -> kopf.ConnectionInfo:
        found = await load_configuration(kubeconfig)
        token = str(found.api_key.get("BearerToken", "")).removeprefix("Bearer ")
        return kopf.ConnectionInfo(
            server=found.host,
            ca_path=found.ssl_ca_cert,
            certificate_path=found.cert_file,
            private_key_path=found.key_file,
            token=token or None,
        )


class _NoDiffBase(kopf.DiffBaseStorage):
    """Keeps no last-handled state: there are no change handlers, and building it costs a copy of each event."""

    def build(self, *, body: kopf.Body, extra_fields: Iterable[kopf.FieldSpec] | None = None) -> kopf.BodyEssence:
        """Return nothing to compare."""
        del body, extra_fields
        return kopf.BodyEssence({})

    def fetch(self, *, body: kopf.Body) -> kopf.BodyEssence | None:  # noqa: ARG002 - kopf's signature
        """Return that nothing was kept."""
        return None

    def store(self, *, body: kopf.Body, patch: kopf.Patch, essence: kopf.BodyEssence) -> None:
        """Keep nothing."""


class _Patience(Iterable[float]):
    """Pauses between the tries of one request of kopf's, without end.

    When they end, kopf ends the operator: an API server that is restarted behind a balancer answers 503, and 403
    until it has read its roles, for longer than any fixed number of tries.
    """

    def __iter__(self) -> Iterator[float]:
        """Return one request's pauses, in seconds."""
        return itertools.chain((1.0, 1.0, 2.0, 3.0), itertools.repeat(5.0))


def kopf_settings() -> kopf.OperatorSettings:
    """Return kopf's settings: no bookkeeping on objects, no worker limit, no Events of its own."""
    settings = kopf.OperatorSettings()
    settings.persistence.finalizer = f"{GROUP}/unused"
    settings.persistence.progress_storage = kopf.AnnotationsProgressStorage(prefix=GROUP)
    settings.persistence.diffbase_storage = _NoDiffBase()
    settings.posting.enabled = False
    settings.scanning.disabled = True
    settings.watching.chunk_size = 500
    settings.watching.label_selectors["serviceaccounts"] = SELECTOR
    settings.networking.request_timeout = 30.0
    settings.networking.error_backoffs = _Patience()
    return settings
