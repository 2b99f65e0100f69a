"""The account that carries a binding's access: made, let go or removed in the cluster, or its owner's own.

Called by `airwarden.reconcile.bindings`, which decides when.
"""

from collections.abc import Mapping
from dataclasses import replace

from airwarden.api.binding import AccountMode
from airwarden.domain.desired import Plan
from airwarden.domain.diff import diff, leave
from airwarden.domain.errors import AirwardenError, NotOwned, ServiceAccountTaken
from airwarden.domain.owner import Owner
from airwarden.domain.progress import CLUSTER, Done, Fault, Progress
from airwarden.domain.resources import Action, Address, Changes, Operation
from airwarden.providers.kubernetes import accounts
from airwarden.providers.kubernetes.accounts import Accounts
from airwarden.reconcile.cache import Cache, Entry


class BindingAccount:
    """Looks at the accounts of bindings, and writes them."""

    def __init__(self, store: Accounts, cache: Cache) -> None:
        self._accounts = store
        self._cache = cache

    async def look(self, wanted: Plan, recorded: Mapping[Address, str], uid: str) -> tuple[Progress, Fault | None]:
        """Return the cluster's part, from the watched accounts: looking costs no request.

        Only an account that is on the record and not watched is read: it was deleted, or never was ours.
        """
        if wanted.account_mode is AccountMode.EXTERNAL:
            return await self._look_at_external(wanted)
        resource = accounts.desired(wanted.owner, wanted.account)
        known = self._cache.accounts.get((wanted.owner.namespace, wanted.account))
        if known is None and resource.address in recorded:
            known = await self._accounts.read(wanted.owner, wanted.account)
        found = known.observed(wanted.owner) if known is not None else accounts.absent(wanted.account)
        digests = {resource.address: resource.digest}
        try:
            if known is not None:
                accounts.refuse_foreign(known, wanted.owner, uid)
        except (NotOwned, ServiceAccountTaken) as error:
            fault = Fault(error.reason, error.message, retryable=False)
            # What is on the record stays there, so that the next look reads the account again.
            kept = (Operation(Action.UPDATE, resource.address, resource, found),)
            changes = Changes(kept if resource.address in recorded else ())
            return Progress(CLUSTER, changes, failed={resource.address: fault}, fault=fault), fault
        changes = diff((resource,), {resource.address: found}, recorded, (resource.address,))
        return Progress(CLUSTER, changes, digests), None

    async def _look_at_external(self, wanted: Plan) -> tuple[Progress, Fault | None]:
        """Return the cluster's part for an account that is not ours: nothing to write, and a fault unless it is given.

        A labelled account is watched, and looking costs no request. One that is not watched is read, to tell a
        missing account from a missing label.
        """
        known = self._cache.accounts.get((wanted.owner.namespace, wanted.account))
        if known is None:
            known = await self._accounts.read(wanted.owner, wanted.account)
        try:
            accounts.require_allowed(known, wanted.owner, wanted.account)
        except AirwardenError as error:
            fault = Fault(error.reason, error.message, retryable=False)
            return Progress(CLUSTER, Changes(), fault=fault), fault
        return Progress(CLUSTER, Changes()), None

    async def write(self, wanted: Plan, part: Progress, uid: str) -> Progress:
        """Write what is planned; what fails ends the part with its fault."""
        if part.changes is None or part.fault is not None:
            return part
        done: list[Done] = []
        for operation in part.changes.operations:
            try:
                written, account = await self._accounts.apply(wanted.owner, operation, uid)
            except AirwardenError as error:
                doing = f"service account {wanted.account}"
                fault = Fault.of(error, doing=doing)
                return replace(part, done=tuple(done), failed={operation.address: fault}, fault=fault)
            if account is not None:
                self._cache.learn_account(account)
            done.append(Done(operation, written.id))
        return replace(part, done=tuple(done))

    async def remove(self, owner: Owner, entry: Entry, uid: str, *, orphan: bool) -> Progress:
        """Remove the account, read live, if it is this binding's by its labels or is the very one that we made.

        It is let go instead when it was there before the binding, or when access that stays is bound to it. One of
        mode External is its owner's: nothing is done to it.
        """
        if entry.external:
            return Progress(CLUSTER, Changes())
        name = entry.account
        try:
            live = await self._accounts.read(owner, name)
            found = live.observed(owner) if live is not None else accounts.absent(name)
            made = live is not None and accounts.is_ours(live, owner, uid)
            record = {found.address: ""} if made else {}
            wanted = (accounts.desired(owner, name),)
            changes = leave(wanted, {found.address: found}, record, (found.address,), orphan=orphan)
            for operation in changes.operations:
                await self._accounts.apply(owner, operation)
        except AirwardenError as error:
            fault = Fault.of(error, doing=f"removing service account {owner.namespace}/{name}")
            return Progress(CLUSTER, Changes(), fault=fault)
        return Progress(CLUSTER, Changes())
