"""`airwarden adopt`: makes what somebody else made under a binding's name the binding's own, after showing the change.

For what the operator must not decide: objects that differ from what is declared, and service accounts. Runs with the
caller's rights alone: who may not write the policy, the role or the account cannot adopt it.
"""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Annotated

import typer

from airwarden.api.binding import AirflowSecretBinding
from airwarden.api.metadata import Metadata
from airwarden.commands.access import namespaces
from airwarden.commands.caller import (
    FINE,
    FOUND,
    Caller,
    Cluster,
    Context,
    Kubeconfig,
    OperatorNamespace,
    VaultAddress,
    VaultCA,
    Ways,
    fail,
    run,
)
from airwarden.commands.deciding import World
from airwarden.commands.mapping import environments_of
from airwarden.commands.showing import Yes, confirmed, say
from airwarden.domain.desired import Held, Plan, Surroundings, plan
from airwarden.domain.errors import InvalidSettings, NotOwned
from airwarden.domain.guardrails import Refused
from airwarden.domain.owner import Owner
from airwarden.domain.progress import Progress
from airwarden.domain.resources import Address, Changes, FieldValue, Observed, Operation
from airwarden.domain.takeover import take_over
from airwarden.providers.kubernetes.account_adoption import Unlabelled, adopt_account, find_unlabelled
from airwarden.providers.kubernetes.accounts import labels_of
from airwarden.reconcile import parts
from airwarden.reconcile.backends import Runtime

BackendOption = Annotated[list[str] | None, typer.Option("--backend", help="Only this one; may be given again.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would change, and change nothing.")]


@dataclass(frozen=True, slots=True)
class TakeOver:
    """What is to be written in one store, and what it was decided upon."""

    runtime: Runtime
    observed: Mapping[Address, Observed]
    operations: tuple[Operation, ...]


def adopt(  # noqa: PLR0913, PLR0917 - one parameter per option
    binding: Annotated[str, typer.Argument(help="NAMESPACE/BINDING", metavar="NAMESPACE/BINDING")],
    cluster: Cluster,
    backend: BackendOption = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    operator_namespace: OperatorNamespace = "airwarden",
    vault_address: VaultAddress = None,
    vault_ca: VaultCA = None,
) -> None:
    """Make a policy, role or service account that stands under a binding's name the binding's own.

    Shows what is there and what would be, asks, and then writes. What carries the mark of another owner is never
    taken over. Adopted objects are let go when the binding is deleted, not deleted. Uses your kubeconfig and your
    Vault token (VAULT_TOKEN or ~/.vault-token).
    """
    namespace, _, name = binding.partition("/")
    if not namespace or not name or "/" in name:
        raise fail(f"{binding!r} is no binding: write NAMESPACE/BINDING")
    ways = Ways(cluster, kubeconfig, context, operator_namespace, vault_address, vault_ca)
    run(ways, partial(_adopt, key=(namespace, name), names=frozenset(backend or ()), dry_run=dry_run, yes=yes))


async def _adopt(caller: Caller, *, key: tuple[str, str], names: frozenset[str], dry_run: bool, yes: bool) -> int:
    binding = await caller.binding(*key)
    owner = Owner(caller.ways.cluster, *key)
    used = {each.backend_ref.name for each in binding.spec.secrets}
    if unused := names - used:
        raise InvalidSettings(f"binding {owner} does not use backend {', '.join(sorted(unused))}: correct --backend")
    runtimes = {name: await _open(caller, name) for name in sorted(names or used)}
    wanted = await _plan(caller, binding, owner, runtimes)
    found = [each for each in [await _look(runtime, wanted) for runtime in runtimes.values()] if each.operations]
    account = await find_unlabelled(caller.api, owner, binding.spec.service_account.name)
    for each in found:
        _show(each)
    if account is not None:
        _show_account(account, owner)
    if not found and account is None:
        say(f"There is nothing to adopt for {owner}: what is there is its own.")
        return FINE
    if dry_run or not confirmed(f"Make this the own of binding {owner}?", yes=yes):
        return FOUND
    for each in found:
        await _hold_still(each, wanted)
    if account is not None:
        await adopt_account(caller.api, owner, account)
    for each in found:
        await _write(each)
    say(f"Adopted for {owner}. It is let go, not deleted, when the binding is deleted.")
    return FINE


async def _open(caller: Caller, name: str) -> Runtime:
    backend = await caller.backend(name)
    if backend.spec.azure_key_vault is not None:
        raise InvalidSettings(
            f"backend {name} is a key vault, which this command does not adopt in: see what is assigned with az role "
            f"assignment list --scope {backend.spec.azure_key_vault.vault_id}"
        )
    return Runtime(backend, await caller.store(backend), lambda _: None)


async def _plan(caller: Caller, binding: AirflowSecretBinding, owner: Owner, runtimes: Mapping[str, Runtime]) -> Plan:
    """Return what the guardrails give the binding: nothing else is taken over."""
    namespace = Metadata.model_validate((await caller.api.get(f"/api/v1/namespaces/{owner.namespace}"))["metadata"])
    views = {name: each.view() for name, each in runtimes.items()}
    environments = await environments_of(caller, (binding,))
    known = {owner.namespace: namespace}
    for key in environments:
        known |= await namespaces(caller, key[0])
    environment = World(owner.cluster, runtimes, known, environments).environment(binding)
    wanted = plan(
        binding,
        Surroundings(owner.cluster, views, namespace.labels, frozenset(runtimes), environment, now=datetime.now(UTC)),
    )
    for each in wanted.decisions:
        if each.backend in runtimes and isinstance(each.verdict, Refused | Held):
            say(f"airwarden: {each.type} {each.id} is left out ({each.verdict.reason.word}): {each.verdict.message}")
    return wanted


async def _look(runtime: Runtime, wanted: Plan) -> TakeOver:
    owner = wanted.owner.at(runtime.name)
    observed = await runtime.store.observe(owner, runtime.store.addresses(owner), known=True)
    grant = wanted.grants.get(runtime.name)
    if grant is not None:
        grant = replace(grant, people=frozenset())  # what lets people in is never taken over, but made
    return TakeOver(runtime, observed, take_over(runtime.store.render(grant), observed) if grant is not None else ())


async def _hold_still(each: TakeOver, wanted: Plan) -> None:
    """Raise unless the store is as it was shown: only what a person has seen is written over."""
    if (await _look(each.runtime, wanted)).observed != each.observed:
        raise NotOwned(f"backend {each.runtime.name} changed since it was shown, and nothing was written: look again")


async def _write(each: TakeOver) -> None:
    progress = Progress(each.runtime.name, Changes(each.operations))
    done = await parts.write(parts.Part(progress, each.runtime, each.observed), creating=True)
    if done.fault is not None:
        raise NotOwned(f"not all was adopted: {done.fault.message}")


def _show(each: TakeOver) -> None:
    """Print what is there and what would be, as a diff."""
    for operation in each.operations:
        resource = operation.resource
        if resource is not None:
            _show_lines(str(operation.address), _lines(operation.observed.fields or {}), _lines(resource.fields))


def _show_account(found: Unlabelled, owner: Owner) -> None:
    after = {**found.labels, **labels_of(owner)}
    _show_lines(found.path.rsplit("/", 1)[1], _lines(dict(found.labels)), _lines(dict(after)))


def _show_lines(what: str, before: list[str], after: list[str]) -> None:
    lines = list(difflib.unified_diff(before, after, f"{what} (there)", f"{what} (adopted)", n=100, lineterm=""))
    for line in lines or [f"  {what}: only the mark is new"]:
        typer.echo("".join(each if each.isprintable() else "?" for each in line))


def _lines(fields: Mapping[str, FieldValue]) -> list[str]:
    found: list[str] = []
    for name in sorted(fields):
        value = fields[name]
        if isinstance(value, str) and "\n" in value:
            found += value.splitlines()
        else:
            found.append(f"{name} = {', '.join(value) if isinstance(value, tuple) else value}")
    return found
