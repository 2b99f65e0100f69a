"""`airwarden plan`: what a binding would be granted and what would be written for it, without writing anything."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from airwarden.api.backend import AirflowSecretBackend
from airwarden.api.binding import AirflowSecretBinding
from airwarden.api.environment import AirflowEnvironment
from airwarden.api.metadata import Metadata
from airwarden.commands.access import namespaces
from airwarden.commands.caller import (
    FINE,
    FOUND,
    UNUSABLE,
    Caller,
    Cluster,
    Context,
    Kubeconfig,
    Listing,
    OperatorNamespace,
    VaultAddress,
    VaultCA,
    Ways,
    run,
)
from airwarden.commands.deciding import World, closed, opened, uid_of
from airwarden.commands.mapping import environments_of, map_write, planned_dags, rivals_of
from airwarden.commands.planning import Planned, Write, account_write, planned, store_writes
from airwarden.commands.planning_files import Declared, read_files
from airwarden.commands.planning_showing import show
from airwarden.commands.showing import Output, OutputOption
from airwarden.domain.desired import Held
from airwarden.domain.environment.claims import Key
from airwarden.domain.errors import AirwardenError, InvalidSettings
from airwarden.providers.ports import Store

FileOption = Annotated[
    list[Path] | None,
    typer.Option(
        "-f", "--filename", help="File with bindings, and backends or namespaces to try; - for standard input."
    ),
]
BindingArgument = Annotated[str | None, typer.Argument(metavar="[NAMESPACE/BINDING]", help="A live binding.")]
NamespaceOption = Annotated[
    str, typer.Option("-n", "--namespace", help="Namespace of bindings that name none, as kubectl has it.")
]


def plan(  # noqa: PLR0913, PLR0917 - one parameter per option
    cluster: Cluster,
    binding: BindingArgument = None,
    filename: FileOption = None,
    namespace: NamespaceOption = "default",
    output: OutputOption = Output.TABLE,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    operator_namespace: OperatorNamespace = "airwarden",
    vault_address: VaultAddress = None,
    vault_ca: VaultCA = None,
) -> None:
    """Show what a binding would be granted, and what would be written for it. Writes nothing anywhere.

    Give a file before it is applied, or the name of a live binding. Per secret you see the rule that admits it, or
    why none does and what would be allowed. A backend or namespace in the files stands in for the live one, so the
    effect of a changed rule can be seen before it is applied. With a Vault token (VAULT_TOKEN, or what vault login
    left) policies and roles are shown as a difference from what the store has; without one, as they would be written.
    The same holds for a key vault with your own login to Azure (az login, or the AZURE_ variables).

    With spec.rotation you also see the rotations that it makes; with environmentRef what becomes of its DAGs, what the
    environment adds, and the map.

    Exit status: 0 everything would be granted, 1 something would be refused, 2 something could not be found out.
    """
    ways = Ways(cluster, kubeconfig, context, operator_namespace, vault_address, vault_ca)
    run(ways, partial(forecast, name=binding or "", files=tuple(filename or ()), namespace=namespace, output=output))


async def forecast(caller: Caller, *, name: str, files: tuple[Path, ...], namespace: str, output: Output) -> int:
    """Read what is declared and what is live, decide, show; return the exit status."""
    if bool(name) == bool(files):
        raise InvalidSettings("give either -f FILE or NAMESPACE/BINDING")
    declared = read_files(files, namespace) if files else Declared(bindings=(await _live(caller, name, namespace),))
    if not declared.bindings:
        raise InvalidSettings("the files hold no AirflowSecretBinding: name a file that does")
    found = [await _forecast(caller, binding, declared, live=bool(name)) for binding in declared.bindings]
    show(found, output)
    if any(each.unknown for each in found):
        return UNUSABLE
    return FOUND if any(each.refused for each in found) else FINE


async def _live(caller: Caller, name: str, namespace: str) -> AirflowSecretBinding:
    where, _, binding = name.rpartition("/")
    return await caller.binding(where or namespace, binding)


async def _forecast(caller: Caller, binding: AirflowSecretBinding, declared: Declared, *, live: bool) -> Planned:
    if not live:
        binding = await _with_live_parts(caller, binding)
    here = binding.metadata.namespace
    environments = await environments_of(caller, (binding,), declared.environments)
    known: dict[str, Metadata] = {}
    for each in {here, *(key[0] for key in environments)}:
        known |= await namespaces(caller, each)
    known |= {each.name: each for each in declared.namespaces}
    named = _backends_of(binding) | _common_backends(binding, environments)
    backends = await _backends(caller, named, declared)
    stores, unasked = await _stores(caller, backends)
    rivals = await rivals_of(caller, binding)
    others = (*declared.bindings, *(rivals or ()))
    uid = await uid_of(caller.api, backends.items)
    world = World(caller.ways.cluster, opened(backends, caller.ways.cluster, stores, uid), known, environments, others)
    wanted = world.decide(binding)
    writes: list[Write] = [await account_write(caller.api, wanted, binding)]
    for name in sorted(named):
        writes += await store_writes(name, world, wanted, binding, why_unasked=unasked.get(name, ""))
    if (found := await map_write(caller.api, binding, wanted, world, stores_known=not unasked)) is not None:
        writes.append(Write("cluster", *found))
    await closed(each for name, each in world.backends.items() if name not in stores)
    return planned(binding, wanted, writes, world, planned_dags(binding, wanted, all_known=rivals is not None))


def _backends_of(binding: AirflowSecretBinding) -> frozenset[str]:
    named = {each.backend_ref.name for each in binding.spec.secrets}
    recorded = {each.backend for each in binding.status.targets} if binding.status is not None else set()
    return frozenset((named | recorded) - {""})


def _common_backends(
    binding: AirflowSecretBinding, environments: Mapping[Key, AirflowEnvironment | Held]
) -> frozenset[str]:
    reference = binding.spec.environment_ref
    found = environments.get((reference.namespace, reference.name)) if reference is not None else None
    if not isinstance(found, AirflowEnvironment):
        return frozenset()
    return frozenset(each.backend_ref.name for each in found.spec.common_secrets)


async def _with_live_parts(caller: Caller, binding: AirflowSecretBinding) -> AirflowSecretBinding:
    """Return a declared binding with the status of the live one, which records what is there already."""
    for each in (await caller.bindings(binding.metadata.namespace)).items:
        if each.metadata.name == binding.metadata.name:
            return binding.model_copy(update={"status": each.status})
    return binding


async def _backends(caller: Caller, named: frozenset[str], declared: Declared) -> Listing[AirflowSecretBackend]:
    """Return the backends of these names: from the files, else the live ones."""
    given = {each.metadata.name: each for each in declared.backends}
    if named <= given.keys():
        return Listing(tuple(given[name] for name in sorted(named)))
    listed = await caller.backends()
    live = {each.metadata.name: each for each in listed.items}
    found = {name: given.get(name) or live.get(name) for name in sorted(named)}
    unreadable = {name: why for name, why in listed.unreadable.items() if name in named and name not in given}
    return Listing(tuple(each for each in found.values() if each is not None), unreadable)


async def _stores(caller: Caller, backends: Listing[AirflowSecretBackend]) -> tuple[dict[str, Store], dict[str, str]]:
    """Return the stores that the caller may ask, and why the others are not asked."""
    stores: dict[str, Store] = {}
    unasked: dict[str, str] = {}
    for backend in backends.items:
        try:
            stores[backend.metadata.name] = await caller.store(backend)
        except AirwardenError as error:
            unasked[backend.metadata.name] = error.message
    return stores, unasked
