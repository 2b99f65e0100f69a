"""The person who runs a command: their way to the cluster and to the stores, with their rights and no others.

Every command of `airwarden` for people goes through `Caller`. The Kubernetes API is opened as kubectl does it,
a Vault with the caller's own token as the vault command does it, a key vault with the caller's own login to Azure; the
operator's login is never used. Beside `airwarden.settings` this module alone reads the environment.
"""

import asyncio
import logging
import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final, Generic, TypeVar

import typer
from pydantic import ValidationError

from airwarden.api import API_VERSION, BACKENDS, BINDINGS, ENVIRONMENTS, ROTATIONS
from airwarden.api.backend import AirflowSecretBackend
from airwarden.api.binding import AirflowSecretBinding
from airwarden.api.environment import AirflowEnvironment
from airwarden.api.metadata import Metadata
from airwarden.api.rotation import AirflowSecretRotation
from airwarden.domain.errors import (
    AirwardenError,
    ClusterFailed,
    ClusterForbidden,
    Forbidden,
    InvalidSettings,
    NotOwned,
    Rejected,
    ServiceAccountTaken,
    Unauthorized,
)
from airwarden.providers.kubernetes.api import COMMAND_AGENT, Absent, Json, KubernetesApi
from airwarden.providers.kubernetes.objects import backend_path, binding_path, rotation_path
from airwarden.providers.opening import Opening
from airwarden.providers.ports import Store
from airwarden.providers.vault.borrowed import BorrowedClient
from airwarden.providers.vault.opening import open_store, vault_settings
from airwarden.reconcile.wording import complaints
from airwarden.settings import LogFormat, LogLevel
from airwarden.telemetry import set_up_logging

FINE: Final = 0
FOUND: Final = 1
"""Something was found, or refused."""
UNUSABLE: Final = 2
"""Wrong usage, or the other side could not be reached."""
_REFUSALS: Final = (Unauthorized, Forbidden, ClusterForbidden, NotOwned, ServiceAccountTaken, Rejected)
_TIMEOUT: Final = 30.0
_TOKEN: Final = re.compile(r"[\x21-\x7e]{1,4096}")
_LONGEST_TOKEN_FILE: Final = 64 * 1024

M = TypeVar("M")

Kubeconfig = Annotated[
    Path | None, typer.Option("--kubeconfig", help="Kubeconfig. Default: as kubectl finds it [KUBECONFIG].")
]
Context = Annotated[str | None, typer.Option("--context", help="Context of the kubeconfig. Default: its current one.")]
Cluster = Annotated[
    str, typer.Option("--cluster", envvar="AIRWARDEN_CLUSTER", help="Name of this cluster, as the operator has it.")
]
OperatorNamespace = Annotated[
    str,
    typer.Option("--operator-namespace", envvar="AIRWARDEN_NAMESPACE", help="Namespace that the operator runs in."),
]
VaultAddress = Annotated[
    str | None, typer.Option("--vault-address", help="Reach the Vault here, instead of at the backend's address.")
]
VaultCA = Annotated[
    Path | None,
    typer.Option(
        "--vault-ca",
        envvar="VAULT_CACERT",
        help="File of certificates that Vault's is checked against. Default: the backend's bundle.",
    ),
]


@dataclass(frozen=True, slots=True)
class Ways:
    """How the caller wants the cluster and the stores to be reached."""

    cluster: str
    kubeconfig: Path | None = None
    context: str | None = None
    operator_namespace: str = "airwarden"
    vault_address: str | None = None
    vault_ca: Path | None = None


@dataclass(frozen=True, slots=True)
class Listing(Generic[M]):
    """All objects of a kind: those that hold to the schema, and why the others do not."""

    items: tuple[M, ...]
    unreadable: Mapping[str, str] = field(default_factory=dict)
    """Complaints by name, or by namespace/name."""


class Caller:
    """Reads the cluster and opens stores as the person who runs the command."""

    def __init__(self, api: KubernetesApi, ways: Ways, environment: Mapping[str, str], home: Path) -> None:
        self.api = api
        self.ways = ways
        self._environment = environment
        self._home = home
        self._stores: list[Store] = []
        self._key_vaults: list[tuple[AirflowSecretBackend, Store | AirwardenError]] = []

    async def bodies(self, path: str, selector: str = "") -> list[Json]:
        """Return all objects of a collection as the API server has them, read page by page."""
        try:
            return [body async for body in self.api.pages(path, selector)]
        except Absent:
            raise ClusterFailed(
                f"this cluster does not serve {path}: apply the files of crds/, or choose another --context"
            ) from None

    async def bindings(self, namespace: str = "") -> Listing[AirflowSecretBinding]:
        """Return the bindings of one namespace, or of all."""
        path = binding_path(namespace, "").rstrip("/") if namespace else f"/apis/{API_VERSION}/{BINDINGS}"
        return _listing(AirflowSecretBinding, await self.bodies(path))

    async def rotations(self, namespace: str = "") -> Listing[AirflowSecretRotation]:
        """Return the rotations of one namespace, or of all."""
        path = rotation_path(namespace, "").rstrip("/") if namespace else f"/apis/{API_VERSION}/{ROTATIONS}"
        return _listing(AirflowSecretRotation, await self.bodies(path))

    async def environments(self, namespace: str = "") -> Listing[AirflowEnvironment]:
        """Return all environments, or those of one namespace."""
        path = f"/apis/{API_VERSION}/namespaces/{namespace}" if namespace else f"/apis/{API_VERSION}"
        return _listing(AirflowEnvironment, await self.bodies(f"{path}/{ENVIRONMENTS}"))

    async def backends(self) -> Listing[AirflowSecretBackend]:
        """Return all backends."""
        return _listing(AirflowSecretBackend, await self.bodies(f"/apis/{API_VERSION}/{BACKENDS}"))

    async def namespaces(self) -> dict[str, Metadata]:
        """Return the metadata of all namespaces, by name."""
        found = [Metadata.model_validate(body["metadata"]) for body in await self.bodies("/api/v1/namespaces")]
        return {each.name: each for each in found}

    async def binding(self, namespace: str, name: str) -> AirflowSecretBinding:
        """Return one binding. Raises InvalidSettings when there is none, or when it cannot be read."""
        body = await self._one(binding_path(namespace, name), f"AirflowSecretBinding {name} in namespace {namespace}")
        return _model(AirflowSecretBinding, body, f"AirflowSecretBinding {namespace}/{name}")

    async def rotation(self, namespace: str, name: str) -> AirflowSecretRotation:
        """Return one rotation. Raises InvalidSettings when there is none, or when it cannot be read."""
        body = await self._one(rotation_path(namespace, name), f"AirflowSecretRotation {name} in namespace {namespace}")
        return _model(AirflowSecretRotation, body, f"AirflowSecretRotation {namespace}/{name}")

    async def backend(self, name: str) -> AirflowSecretBackend:
        """Return one backend. Raises InvalidSettings when there is none, or when it cannot be read."""
        body = await self._one(backend_path(name), f"AirflowSecretBackend {name}")
        return _model(AirflowSecretBackend, body, f"AirflowSecretBackend {name}")

    async def environment(self, namespace: str, name: str) -> AirflowEnvironment:
        """Return one environment. Raises InvalidSettings when there is none, or when it cannot be read."""
        path = f"/apis/{API_VERSION}/namespaces/{namespace}/{ENVIRONMENTS}/{name}"
        body = await self._one(path, f"AirflowEnvironment {name} in namespace {namespace}")
        return _model(AirflowEnvironment, body, f"AirflowEnvironment {namespace}/{name}")

    async def store(self, backend: AirflowSecretBackend) -> Store:
        """Return the backend's store, used with the caller's own token. Nothing is sent to it yet.

        Raises InvalidSettings when there is no token, or no usable CA bundle. For a key vault the token is got now, so
        that it raises what `BorrowedLogin` does. The store is closed with the caller.
        """
        if backend.spec.azure_key_vault is not None:
            return await self._key_vault(backend)
        vault_settings(backend)
        token = vault_token(self._environment, self._home)
        address = self.ways.vault_address
        if address is not None:
            vault = vault_settings(backend).model_copy(update={"address": address.rstrip("/")})
            backend = backend.model_copy(update={"spec": backend.spec.model_copy(update={"vault": vault})})
        store = open_store(
            backend,
            cluster=self.ways.cluster,
            token_directory=Path(os.devnull),
            ca_pem=await self._ca_bundle(backend),
            client=partial(BorrowedClient, token=token),
        )
        self._stores.append(store)
        return store

    async def _key_vault(self, backend: AirflowSecretBackend) -> Store:
        """Return the one store of a backend, however often it is asked for: its lists and login serve all bindings."""
        known = (each for one, each in self._key_vaults if (one.metadata, one.spec) == (backend.metadata, backend.spec))
        found = next(known, None)
        if found is None:
            found = await self._opened_key_vault(backend)
            self._key_vaults.append((backend, found))
        if isinstance(found, AirwardenError):
            raise found
        return found

    async def _opened_key_vault(self, backend: AirflowSecretBackend) -> Store | AirwardenError:
        """Return the store, or why there is none: who is not logged in is not asked for each binding anew."""
        # Azure's clients take a second to load, which commands for other stores need not spend.
        from airwarden.commands.key_vaults import borrowed_store  # noqa: PLC0415

        opening = Opening(self.api, self.ways.cluster, self.ways.operator_namespace, Path(os.devnull))
        try:
            store = await borrowed_store(backend, opening, self._environment)
        except AirwardenError as error:
            return error
        self._stores.append(store)
        return store

    async def close(self) -> None:
        """Close all stores and the connection to the cluster. The caller's token stays valid."""
        await asyncio.gather(*(store.close() for store in self._stores))
        await self.api.close()

    async def _one(self, path: str, what: str) -> Json:
        try:
            return await self.api.get(path)
        except Absent:
            raise InvalidSettings(f"there is no {what}: correct the name, or choose another --context") from None

    async def _ca_bundle(self, backend: AirflowSecretBackend) -> str | None:
        if self.ways.vault_ca is None:
            opening = Opening(self.api, self.ways.cluster, self.ways.operator_namespace, Path(os.devnull))
            return await opening.ca_bundle(backend)
        try:
            return self.ways.vault_ca.read_text(encoding="ascii", errors="replace")
        except OSError as error:
            raise InvalidSettings(
                f"{self.ways.vault_ca} cannot be read ({error.strerror}): correct --vault-ca or VAULT_CACERT"
            ) from None


def vault_token(environment: Mapping[str, str], home: Path) -> str:
    """Return the caller's token: VAULT_TOKEN, else what `vault login` left in ~/.vault-token.

    Raises InvalidSettings without one. The token is in no message.
    """
    token, where = environment.get("VAULT_TOKEN", "").strip(), "VAULT_TOKEN"
    if not token:
        where = "~/.vault-token"
        try:
            with (home / ".vault-token").open("rb") as file:
                token = file.read(_LONGEST_TOKEN_FILE).decode("ascii", "replace").strip()
        except FileNotFoundError:
            token = ""
        except OSError as error:
            raise InvalidSettings(f"~/.vault-token cannot be read ({error.strerror}): set VAULT_TOKEN") from None
    if not token:
        raise InvalidSettings("there is no token for Vault: log in with vault login, or set VAULT_TOKEN")
    if _TOKEN.fullmatch(token) is None:
        raise InvalidSettings(f"{where} holds no token of Vault: log in again with vault login, or set VAULT_TOKEN")
    return token


def process_environment() -> Mapping[str, str]:
    """Return the variables of this process."""
    return os.environ


def kubeconfig_of(given: Path | None, environment: Mapping[str, str], home: Path) -> str | None:
    """Return the kubeconfig that kubectl would use; None for the pod's own account."""
    if given is not None:
        return str(given)
    if listed := environment.get("KUBECONFIG", ""):
        return listed
    usual = home / ".kube" / "config"
    return str(usual) if usual.exists() else None


def run(ways: Ways, work: Callable[[Caller], Awaitable[int]]) -> None:
    """Do the work of a command and end with its exit status: FINE, FOUND or UNUSABLE.

    Expected errors become one line on standard error.
    """
    set_up_logging(LogLevel.WARNING, LogFormat.CONSOLE)
    # It warns of each way that gives no token, with the whole answer: what counts is raised, and told once.
    logging.getLogger("azure.identity").setLevel(logging.CRITICAL)
    try:
        status = asyncio.run(_work(ways, work))
    except AirwardenError as error:
        raise fail(error.message, exit_status(error)) from None
    if status != FINE:
        raise typer.Exit(status)


def exit_status(error: AirwardenError) -> int:
    """Return FOUND for a refusal, UNUSABLE for everything that could not be asked."""
    return FOUND if isinstance(error, _REFUSALS) else UNUSABLE


def fail(message: str, status: int = UNUSABLE) -> typer.Exit:
    """Say what is wrong on standard error; return what the command raises to end with the status."""
    typer.echo(f"airwarden: {message}", err=True)
    return typer.Exit(status)


async def _work(ways: Ways, work: Callable[[Caller], Awaitable[int]]) -> int:
    async with calling(ways, os.environ, Path.home()) as caller:
        return await work(caller)


@asynccontextmanager
async def calling(ways: Ways, environment: Mapping[str, str], home: Path) -> AsyncIterator[Caller]:
    """Open the way to the cluster, and close everything that was opened through it at the end."""
    kubeconfig = kubeconfig_of(ways.kubeconfig, environment, home)
    if kubeconfig is None and ways.context is not None:
        raise InvalidSettings("there is no kubeconfig with that context: give --kubeconfig, or set KUBECONFIG")
    api = await KubernetesApi.connect(kubeconfig, _TIMEOUT, ways.context, agent=COMMAND_AGENT)
    caller = Caller(api, ways, environment, home)
    try:
        yield caller
    finally:
        await caller.close()


Kind = TypeVar("Kind", AirflowSecretBinding, AirflowSecretBackend, AirflowSecretRotation, AirflowEnvironment)


def _listing(kind: type[Kind], bodies: list[Json]) -> Listing[Kind]:
    items: list[Kind] = []
    unreadable: dict[str, str] = {}
    for body in bodies:
        try:
            items.append(kind.model_validate(_parts(body)))
        except ValidationError as error:
            metadata = body["metadata"]
            key = "/".join(each for each in (metadata.get("namespace", ""), metadata["name"]) if each)
            unreadable[key] = complaints(error)
    return Listing(tuple(items), unreadable)


def _model(kind: type[Kind], body: Json, what: str) -> Kind:
    try:
        return kind.model_validate(_parts(body))
    except ValidationError as error:
        raise InvalidSettings(f"{what} does not hold to its schema: {complaints(error)}") from None


def _parts(body: Json) -> dict[str, Any]:
    return {"metadata": body["metadata"], "spec": body.get("spec") or {}, "status": body.get("status")}
