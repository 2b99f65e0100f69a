"""The cluster's other part of one pass over a binding: the map that its tasks read, and whether DAGs are mapped to it.

The map is written last, so that it says what the stores hold, and is read at each look, since ConfigMaps are neither
listed nor watched. Only a binding that names an environment has one. Called by `airwarden.reconcile.bindings`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from airwarden.api.binding import AccountMode, AirflowSecretBinding
from airwarden.api.conditions import Identity
from airwarden.api.reasons import Reason
from airwarden.domain import record as records
from airwarden.domain.config_map import LARGEST, WantedMap
from airwarden.domain.desired import Held, Plan
from airwarden.domain.environment import binding_map
from airwarden.domain.environment.binding_map import Earlier, Given
from airwarden.domain.environment.claims import Complaint
from airwarden.domain.environment.mapping import (
    EnvironmentView,
    Footing,
    Mapped,
    claims_all,
    in_force,
    lessened,
)
from airwarden.domain.errors import AirwardenError
from airwarden.domain.owner import Owner
from airwarden.domain.progress import CLUSTER, Done, Fault, Progress
from airwarden.domain.resources import Action, Address, Changes, Observed, Operation, Resource
from airwarden.providers.kubernetes import accounts
from airwarden.providers.kubernetes.config_maps import ConfigMaps, FoundMap
from airwarden.reconcile.backends import Runtime
from airwarden.reconcile.cache import Cache
from airwarden.reconcile.parts import Part

Opened = Mapping[str, Runtime | Held | None]
_NOTHING: Final = Progress(CLUSTER, Changes())


@dataclass(frozen=True, slots=True)
class Seen:
    """What stands under the map's name. Without a fault and without a map: nothing."""

    found: FoundMap | None = None
    fault: Fault | None = None


@dataclass(frozen=True, slots=True)
class MapPart:
    """The map, and what is done about it."""

    progress: Progress = _NOTHING
    wanted: WantedMap | None = None
    found: FoundMap | None = None
    fault: Fault | None = None
    """Why the map is not as it should be. The secrets are given all the same."""
    there: bool = False
    """Whether a map of the binding's own stands there."""
    unknown: bool = False
    """Whether that could not be seen."""


def environment_of(cache: Cache, binding: AirflowSecretBinding) -> EnvironmentView | Held | None:
    """Return the environment that a binding names, from memory; Held for one that cannot be read."""
    reference = binding.spec.environment_ref
    if reference is None:
        return None
    key = (reference.namespace, reference.name)
    entry = cache.environments.known.get(key)
    if entry is not None and entry.declared is None and not entry.deleting:
        message = f"AirflowEnvironment {key[0]}/{key[1]} cannot be read, so all stays as it is: {entry.wrong}"
        return Held(Reason.ENVIRONMENT_INVALID, message)
    declared = cache.environments.environment(key)
    verdict = cache.environments.verdict(key, (binding.metadata.namespace, binding.metadata.name))
    if declared is None or verdict is None:
        return None
    namespace = cache.namespaces.get(reference.namespace)
    labels = namespace.labels if namespace is not None else None
    return EnvironmentView(reference.namespace, reference.name, declared.spec, labels, verdict)


def name_of(binding: AirflowSecretBinding) -> str:
    """Return the name of a binding's map."""
    return binding_map.name_of(binding.metadata.name)


class BindingMaps:
    """Reads, decides and writes the maps of bindings."""

    def __init__(self, config_maps: ConfigMaps) -> None:
        self._config_maps = config_maps

    async def see(self, wanted: Plan) -> Seen:
        """Return what stands under the map's name; nothing is asked for a binding that has none."""
        if wanted.mapping is None:
            return Seen()
        owner = wanted.owner
        try:
            return Seen(await self._config_maps.read(owner.namespace, binding_map.name_of(owner.binding)))
        except AirwardenError as error:
            return Seen(fault=Fault.of(error, doing="reading the binding's map"))

    async def write(self, part: MapPart) -> MapPart:
        """Write the map if it differs."""
        if part.wanted is None or part.progress.changes is None:
            return part
        done: list[Done] = []
        for operation in part.progress.changes.operations:
            try:
                kept = await self._config_maps.keep(part.wanted, part.found)
            except AirwardenError as error:
                fault = Fault.of(error, doing="writing the binding's map")
                progress = replace(part.progress, failed={operation.address: fault})
                return replace(part, progress=progress, fault=fault)
            done.append(Done(operation, kept.uid))
        return replace(part, progress=replace(part.progress, done=tuple(done)), there=part.there or bool(done))

    async def remove(self, owner: Owner) -> Fault | None:
        """Remove the map if it is the binding's; return why it could not be."""
        try:
            found = await self._config_maps.read(owner.namespace, binding_map.name_of(owner.binding))
            labels = binding_map.labels_of(owner)
            if found is not None and found.belongs(labels):
                await self._config_maps.remove(found, labels)
        except AirwardenError as error:
            return Fault.of(error, doing=f"removing the map of binding {owner}")
        return None


def decide(binding: AirflowSecretBinding, wanted: Plan, seen: Seen, given: Given, *, creating: bool) -> MapPart:
    """Return what is to be done about the map, from what was seen of it. Without ``creating`` none is made."""
    if wanted.mapping is None:
        return MapPart()
    address, found = binding_map.address(wanted.owner.binding), seen.found
    recorded = records.recorded(binding.status)
    if seen.fault is not None:
        uid = records.recorded_id(binding.status, address)
        return MapPart(_unchanged(address, uid, recorded), fault=seen.fault, unknown=True)
    standing = _resource(address, found.data) if found is not None else None
    ours = found is not None and found.belongs(binding_map.labels_of(wanted.owner))
    written = ours and standing is not None and standing.digest == recorded.get(address)
    earlier = Earlier.read(found.data) if found is not None and written else None
    made = binding_map.render(binding, wanted, given, earlier)
    if made is None or (found is None and not (creating and _may_begin(wanted, address, recorded))):
        return MapPart()
    resource = _resource(address, made.data)
    if made.size > LARGEST:
        said = (
            f"the binding's map would have {made.size} bytes, and {LARGEST} fit: split the binding, or its CA bundles"
        )
        fault = Fault(Reason.MAP_TOO_LARGE, said, retryable=False)
        return MapPart(_unchanged(address, found.uid if found else "", recorded), fault=fault, there=ours, found=found)
    observed = Observed(address, standing.fields if standing is not None else None, id=found.uid if found else "")
    if found is not None and ours and found.equals(made):
        progress = Progress(CLUSTER, Changes(present={address: observed}), {address: resource.digest})
        return MapPart(progress, made, found, there=True)
    drifted = frozenset({address}) if recorded.get(address) == resource.digest else frozenset[Address]()
    operation = Operation(Action.UPDATE if found is not None else Action.CREATE, address, resource, observed)
    progress = Progress(CLUSTER, Changes((operation,), drifted=drifted), {address: resource.digest})
    return MapPart(progress, made, found, there=ours)


def given_of(wanted: Plan, opened: Opened, looked: Mapping[str, Part]) -> Given:
    """Return what is known of the stores that the binding's tasks read."""
    accesses = {
        name: found.store.task_access(wanted.owner.at(name))
        for name, found in opened.items()
        if isinstance(found, Runtime) and name in wanted.backends
    }
    if not wanted.suspended:
        return Given(accesses)
    had = {
        name: part.progress.kept.readable if part.progress.kept is not None else frozenset()
        for name, part in looked.items()
        if part.progress.seen
    }
    return Given(accesses, had)


def merged(account: Progress, part: MapPart) -> Progress:
    """Return the cluster's whole part. What is wrong with the map is no fault of the account's."""
    added = part.progress
    if account.changes is None or added.changes is None:
        return account
    changes = replace(
        account.changes,
        operations=(*account.changes.operations, *added.changes.operations),
        drifted=account.changes.drifted | added.changes.drifted,
        present={**account.changes.present, **added.changes.present},
    )
    return replace(
        account,
        changes=changes,
        digests={**account.digests, **added.digests},
        done=(*account.done, *added.done),
        failed={**account.failed, **added.failed},
    )


def mapped(binding: AirflowSecretBinding, wanted: Plan, account: Progress, part: MapPart, given: Given) -> Mapped:
    """Return which claims are in force, and what is said of the mapping."""
    if wanted.mapping is None:
        return Mapped()
    lacking = tuple(Complaint(reason, message) for reason, message in binding_map.without_login(wanted, given))
    identity = in_force(binding, wanted.mapping, footing(wanted, account, part))
    complaints = (*wanted.mapping.complaints, *lacking)
    waiting = wanted.suspended and not complaints and wanted.mapping.makes_pods and not claims_all(binding, identity)
    return Mapped(identity, part.fault, complaints, lacking=waiting)


def before_the_stores(binding: AirflowSecretBinding, wanted: Plan, account: Progress, part: MapPart) -> Identity | None:
    """Return what is in force until the stores are written: what is withdrawn goes first, what is new comes last."""
    before = binding.status.identity if binding.status is not None else None
    if before is None or wanted.mapping is None:
        return None
    foreign = part.found is not None and not part.there
    sure = Footing.NONE if foreign or (account.fault is not None and not account.fault.retryable) else Footing.SURE
    return lessened(before, in_force(binding, wanted.mapping, sure))


def withdraws(binding: AirflowSecretBinding, wanted: Plan) -> bool:
    """Tell from memory whether some DAG is to be taken out of force."""
    before = binding.status.identity if binding.status is not None else None
    return before is not None and lessened(before, in_force(binding, wanted.mapping, Footing.SURE)) != before


def shows_what_is_so(
    binding: AirflowSecretBinding, wanted: Plan, opened: Opened, recorded: Mapping[Address, str]
) -> bool:
    """Tell from memory whether map and claims seem to be as they should; where that hangs on a look, they do."""
    if wanted.mapping is None:
        return True
    before = binding.status.identity if binding.status is not None else None
    if in_force(binding, wanted.mapping, Footing.SURE) != before:
        return False
    if wanted.suspended or wanted.held:
        return True
    address = binding_map.address(wanted.owner.binding)
    made = binding_map.render(binding, wanted, given_of(wanted, opened, {}), None)
    return made is None or address not in recorded or _resource(address, made.data).digest == recorded[address]


def footing(wanted: Plan, account: Progress, part: MapPart) -> Footing:
    """Tell whether account and map are such that tasks may run under the binding."""
    if account.fault is not None:
        return Footing.UNKNOWN if account.fault.retryable else Footing.NONE
    if not _has_account(wanted, account) or not (part.there or part.unknown):
        return Footing.NONE
    return Footing.UNKNOWN if part.unknown or part.fault is not None else Footing.SURE


def _has_account(wanted: Plan, account: Progress) -> bool:
    if wanted.account_mode is AccountMode.EXTERNAL or account.changes is None:
        return True
    address = accounts.address(wanted.account)
    return address in account.changes.present or any(each.operation.address == address for each in account.done)


def _may_begin(wanted: Plan, address: Address, recorded: Mapping[Address, str]) -> bool:
    """Tell whether a map that is not there is made: one that went is made anew, but a new one not at any time."""
    if wanted.expired or wanted.mapping is None:
        return False
    if recorded.get(address):
        return True
    return not wanted.suspended and wanted.mapping.view is not None


def _resource(address: Address, data: Mapping[str, str]) -> Resource:
    return Resource(address, {key: data[key] for key in sorted(data)})


def _unchanged(address: Address, uid: str, recorded: Mapping[Address, str]) -> Progress:
    """Return the part of a map that is left as it is, and stays on the record if it was there."""
    if address not in recorded:
        return _NOTHING
    kept = Observed(address, {}, id=uid)
    return Progress(CLUSTER, Changes(present={address: kept}), {address: recorded[address]})
