"""`airwarden sweep`: shows what no binding owns, in the stores and in the cluster, and removes it when told to.

The operator does the same by itself, after a grace. This is for a look, for what the operator holds back, and for
what it cannot know: leftovers of a backend that is no more. Runs with the caller's rights alone.
"""

from collections.abc import Awaitable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Final

import typer

from airwarden.api.backend import AirflowSecretBackend
from airwarden.commands.caller import (
    FINE,
    FOUND,
    UNUSABLE,
    Caller,
    Cluster,
    Context,
    Kubeconfig,
    OperatorNamespace,
    VaultAddress,
    VaultCA,
    Ways,
    run,
)
from airwarden.commands.showing import Output, OutputOption, Yes, confirmed, progress, say, show
from airwarden.domain.errors import AirwardenError, Forbidden, InvalidSettings
from airwarden.domain.holdings import Holding
from airwarden.domain.identity import Expected
from airwarden.domain.resources import Claim
from airwarden.domain.sweep import Judged, held_back, judge
from airwarden.providers.kubernetes.accounts import Account, Accounts
from airwarden.providers.kubernetes.live import LiveObjects
from airwarden.providers.opening import cluster_uid
from airwarden.reconcile.account_sweep import delete_account, key_of, orphaned
from airwarden.reconcile.backends import Runtime
from airwarden.reconcile.sweep import take_away

_COLUMNS: Final = ("store", "kind", "name", "since", "action", "why")
_HERE: Final = "cluster"
BackendOption = Annotated[list[str] | None, typer.Option("--backend", help="Only this one; may be given again.")]
Delete = Annotated[bool, typer.Option("--delete", help="Remove what is shown with action remove.")]
Row = dict[str, str]


@dataclass(slots=True)
class Leftovers:
    """What was found: the rows to show, and what they stand for."""

    rows: list[Row] = field(default_factory=list)
    removable: list[tuple[Runtime, Holding]] = field(default_factory=list)
    accounts: list[Account] = field(default_factory=list)
    held: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    unseen: list[str] = field(default_factory=list)
    """What could not be looked at for want of a right that only a backend which changed its mode needs."""


def sweep(  # noqa: PLR0913, PLR0917 - one parameter per option
    cluster: Cluster,
    backend: BackendOption = None,
    delete: Delete = False,
    yes: Yes = False,
    output: OutputOption = Output.TABLE,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    operator_namespace: OperatorNamespace = "airwarden",
    vault_address: VaultAddress = None,
    vault_ca: VaultCA = None,
) -> None:
    """Show what no binding owns in the stores and the cluster; with --delete remove it, after a question.

    Uses your kubeconfig, your Vault token (VAULT_TOKEN or ~/.vault-token), and for key vaults your own login to Azure
    (az login, or the AZURE_ variables). More than a fifth of a store at once goes with --yes only.
    """
    ways = Ways(cluster, kubeconfig, context, operator_namespace, vault_address, vault_ca)
    run(ways, partial(_sweep, names=frozenset(backend or ()), delete=delete, yes=yes, output=output))


async def _sweep(caller: Caller, *, names: frozenset[str], delete: bool, yes: bool, output: Output) -> int:
    found = await _find(caller, names)
    show(_COLUMNS, found.rows, output)
    for each in (*found.failures, *found.unseen, *found.held):
        say(f"airwarden: {each}")
    count = len(found.removable) + len(found.accounts)
    if not delete or not count:
        return UNUSABLE if found.failures else FOUND if found.rows else FINE
    if found.held and not yes:
        say("airwarden: nothing was removed. If the bindings are gone for good, give --yes as well")
        return FOUND
    if not confirmed(f"Remove what {count} binding(s) left?", yes=yes):
        return FOUND
    left = await _remove(caller, found)
    return UNUSABLE if found.failures else FOUND if left else FINE


async def _find(caller: Caller, names: frozenset[str]) -> Leftovers:
    """Look at every backend asked for, and at the accounts. A store that cannot be asked is a failure of its own."""
    listed = await caller.backends()
    known = {each.metadata.name for each in listed.items} | set(listed.unreadable)
    if missing := names - known:
        raise InvalidSettings(f"there is no AirflowSecretBackend {', '.join(sorted(missing))}: correct --backend")
    uid = await cluster_uid(caller.api)
    found = Leftovers()
    asked = [each for each in listed.items if not names or each.metadata.name in names]
    with progress("looking at stores", len(asked)) as step:
        for each in asked:
            try:
                await _look(caller, each, known, uid, found)
            except AirwardenError as error:
                found.failures.append(f"backend {each.metadata.name} was not looked at: {error.message}")
            step()
    unreadable = sorted(name for name in listed.unreadable if not names or name in names)
    found.failures += [f"backend {name} was not looked at: {listed.unreadable[name]}" for name in unreadable]
    if not names:  # an account goes only when it is known that no store has anything left of its binding
        await _look_at_accounts(caller, found)
    return found


async def _look(
    caller: Caller, backend: AirflowSecretBackend, known: Iterable[str], uid: str, found: Leftovers
) -> None:
    name = backend.metadata.name
    store = await caller.store(backend)
    store.expect(Expected.of(backend, uid, claims=False))
    await store.identify()
    runtime = Runtime(backend, store, lambda _: None)
    holdings = await store.holdings()
    try:
        holdings |= await store.former_holdings()
    except Forbidden as error:
        found.unseen.append(f"backend {name}: what another mode of it left was not looked at: {error.message}")
    bindings = await LiveObjects(caller.api).bindings()
    users = {key: each.use for key, each in bindings.items()}
    recorded = {each.name: each.first_seen for each in backend.status.orphans} if backend.status is not None else {}
    mine = [each for each in holdings if each.owner.backend == name]
    judged = judge(mine, users, recorded, datetime.now(UTC), grace=0)
    if judged.held:
        found.held.append(f"backend {name}: {judged.held}")
    await _show(runtime, judged, recorded, found)
    if backend.spec.azure_key_vault is not None:
        found.rows += _unmarked(
            runtime, (*bindings, *((each.owner.namespace, each.owner.binding) for each in mine)), known
        )
    for owner in sorted({each.owner for each in holdings if each.owner.backend not in known}):
        why = f"there is no backend {owner.backend}: apply it again and sweep, or remove it by hand"
        row = {
            "store": name,
            "kind": "unknown",
            "name": owner.name_in_store,
            "since": "",
            "action": "leave",
            "why": why,
        }
        if not any(each["name"] == row["name"] for each in found.rows):
            found.rows.append(row)


async def _show(runtime: Runtime, judged: Judged, recorded: dict[str, str], found: Leftovers) -> None:
    """Add a row for everything that an orphan really has in the store."""
    for holding in judged.since:
        owner = holding.owner
        addresses = holding.former or holding.present or runtime.store.addresses(owner)
        seen = await runtime.store.observe(owner, addresses, known=True)
        there = [each for each in seen.values() if not each.absent]
        for each in there:
            ours = each.claim is Claim.OURS
            found.rows.append(
                {
                    "store": runtime.name,
                    "kind": each.address.kind,
                    "name": each.address.name,
                    "since": recorded.get(str(holding), ""),
                    "action": "remove" if ours else "leave",
                    "why": _why(holding) if ours else "it does not carry our mark",
                }
            )
        if any(each.claim is Claim.OURS for each in there):
            found.removable.append((runtime, holding))


def _unmarked(runtime: Runtime, bindings: Iterable[tuple[str, str]], known: Iterable[str]) -> list[Row]:
    """Return the rows for what has a name of ours in a key vault's surroundings, and nothing that says whose it is."""
    # Azure's clients are loaded by now: the store is one of theirs.
    from airwarden.commands.key_vaults import of_nobody  # noqa: PLC0415

    why = "it has a name of Airwarden's, and no mark: if no other backend needs it, remove it by hand"
    about = {"kind": "AzureFederatedCredential", "since": "", "action": "leave", "why": why}
    return [{"store": runtime.name, "name": each, **about} for each in of_nobody(runtime.store, bindings, known)]


def _why(holding: Holding) -> str:
    account = f" for account {holding.account}" if holding.account else ""
    if holding.former:
        return f"another mode of the backend left it, and no binding {holding.owner} has it on record{account}"
    return f"no binding {holding.owner} uses this backend{account}"


async def _look_at_accounts(caller: Caller, found: Leftovers) -> None:
    live = LiveObjects(caller.api)
    accounts = await live.accounts()
    bindings = await live.bindings()
    found.accounts, ours = orphaned(accounts, bindings, caller.ways.cluster)
    for each in found.accounts:
        found.rows.append(
            {
                "store": _HERE,
                "kind": "ServiceAccount",
                "name": f"{each.namespace}/{each.name}",
                "since": "",
                "action": "remove",
                "why": f"no binding {'/'.join(key_of(each))} names it",
            }
        )
    if held := held_back(len(found.accounts), ours, bindings=len(bindings)):
        found.held.append(f"service accounts: {held}")


async def _remove(caller: Caller, found: Leftovers) -> int:
    """Remove what was found, the stores first; say what was left and return how much that is."""
    live = LiveObjects(caller.api)
    notes: dict[str, str] = {}
    stuck: set[tuple[str, str]] = set()
    with progress("removing", len(found.removable) + len(found.accounts)) as step:
        for runtime, holding in found.removable:
            if note := await _tried(take_away(runtime, holding, live)):
                notes[f"{holding} in {runtime.name}"] = note
                stuck.add((holding.owner.namespace, holding.owner.binding))
            step()
        for account in found.accounts:
            what = f"service account {account.namespace}/{account.name}"
            if key_of(account) in stuck or found.failures:
                notes[what] = "not all stores are free of its binding"
            elif note := await _tried(delete_account(account, caller.ways.cluster, live, Accounts(caller.api))):
                notes[what] = note
            step()
    for what, note in notes.items():
        say(f"airwarden: {what} was left: {note}")
    say(f"Removed what {len(found.removable) + len(found.accounts) - len(notes)} left.")
    return len(notes)


async def _tried(work: Awaitable[str]) -> str:
    """Return the note of the work, or its error: one that fails does not keep the others."""
    try:
        return await work
    except AirwardenError as error:
        return error.message
