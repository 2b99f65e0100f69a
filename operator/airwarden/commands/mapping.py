"""The environments that bindings name, read with the caller's rights, and what `plan` says of their DAGs and map."""

from collections.abc import Iterable
from dataclasses import dataclass

from airwarden.api.binding import AirflowSecretBinding
from airwarden.api.environment import AirflowEnvironment
from airwarden.api.reasons import Reason
from airwarden.commands.caller import Caller
from airwarden.commands.deciding import World
from airwarden.domain.desired import Held, Plan
from airwarden.domain.environment.claims import Key
from airwarden.domain.environment.mapping import Footing, in_force
from airwarden.domain.errors import ClusterForbidden, InvalidSettings
from airwarden.providers.kubernetes.api import Absent, KubernetesApi
from airwarden.providers.kubernetes.config_maps import ConfigMaps
from airwarden.providers.kubernetes.objects import environment_path
from airwarden.reconcile import binding_maps


@dataclass(frozen=True, slots=True)
class PlannedDags:
    """What would become of the binding's claims of one bundle."""

    bundle: str
    ids: str
    verdict: str
    """mapped, refused, unknown, or none where the environment makes no pods for tasks."""
    message: str = ""


async def environments_of(
    caller: Caller, bindings: Iterable[AirflowSecretBinding], declared: Iterable[AirflowEnvironment] = ()
) -> dict[Key, AirflowEnvironment | Held]:
    """Return the environments that the bindings name, from the files or live; one that is not there is left out.

    One that the caller may not read, or that cannot be read, is Held: what it adds is then unknown, not nothing.
    """
    found: dict[Key, AirflowEnvironment | Held] = {
        (each.metadata.namespace, each.metadata.name): each for each in declared
    }
    named = {(each.namespace, each.name) for binding in bindings if (each := binding.spec.environment_ref) is not None}
    for key in sorted(named - found.keys()):
        what = f"AirflowEnvironment {key[0]}/{key[1]}"
        try:
            body = await caller.api.get(environment_path(*key))
            found[key] = AirflowEnvironment.model_validate(
                {"metadata": body["metadata"], "spec": body.get("spec") or {}, "status": body.get("status")}
            )
        except Absent:
            continue
        except ClusterForbidden as error:
            found[key] = Held(Reason.UNKNOWN, f"{what} cannot be read with your rights: {error.message}")
        except ValueError:
            found[key] = Held(Reason.ENVIRONMENT_INVALID, f"{what} does not hold to its schema: correct it")
    return found


async def rivals_of(caller: Caller, binding: AirflowSecretBinding) -> tuple[AirflowSecretBinding, ...] | None:
    """Return all bindings, whose claims may overlap; None when the caller may not list them."""
    if binding.spec.environment_ref is None:
        return ()
    try:
        return (await caller.bindings()).items
    except (ClusterForbidden, InvalidSettings):
        return None


def planned_dags(binding: AirflowSecretBinding, wanted: Plan, *, all_known: bool) -> tuple[PlannedDags, ...]:
    """Return what would become of each claim."""
    mapping = wanted.mapping
    if mapping is None:
        return ()
    identity = in_force(binding, mapping, Footing.SURE)
    mapped = {(each.bundle, ids) for each in identity.dags for ids in each.ids} if identity is not None else set()
    said = {each.bundle: each for each in mapping.complaints}
    everywhere = said.get("")
    found: list[PlannedDags] = []
    for claim in binding.spec.dags:
        complaint = said.get(claim.bundle) or everywhere or next(iter(mapping.complaints), None)
        if complaint is not None:
            word, message = "refused", f"{complaint.reason.word}: {complaint.message}"
        elif mapping.unreadable or not all_known:
            word, message = "unknown", "other bindings, or the environment, could not be read with your rights"
        elif mapping.view is not None and not mapping.makes_pods:
            word, message = "none", f"executor {mapping.view.spec.executor} makes no pods for tasks"
        elif all((claim.bundle, ids) in mapped for ids in claim.ids):
            word, message = "mapped", ""
        else:
            word, message = "refused", "the access is over or suspended, so nothing new is mapped"
        found.append(PlannedDags(claim.bundle, ", ".join(claim.ids), word, message))
    return tuple(found)


async def map_write(
    api: KubernetesApi, binding: AirflowSecretBinding, wanted: Plan, world: World, *, stores_known: bool
) -> tuple[str, str, str] | None:
    """Return the map's name, what would become of it and why; None for a binding that has none.

    Without ``stores_known`` the certificates of the stores are not known, and with them not the whole map.
    """
    if wanted.mapping is None:
        return None
    given = binding_maps.given_of(wanted, dict(world.backends), {})
    seen = await binding_maps.BindingMaps(ConfigMaps(api)).see(wanted)
    name = f"ConfigMap {binding.metadata.namespace}/{binding_maps.name_of(binding)}"
    if seen.fault is not None:
        return name, "unknown", seen.fault.message
    part = binding_maps.decide(binding, wanted, seen, given, creating=True)
    if part.fault is not None:
        return name, "conflict", f"{part.fault.reason.word}: {part.fault.message}"
    if seen.found is not None and not part.there:
        return name, "conflict", f"{Reason.MAP_NOT_OWNED.word}: it does not carry Airwarden's labels: delete it"
    operations = part.progress.changes.operations if part.progress.changes is not None else ()
    if not operations and not part.there:
        return None
    said = "not compared with what is there: the stores' certificates are not known"
    unsure = bool(operations) and part.there and not stores_known
    return (name, "write", said) if unsure else (name, _action(part, writes=bool(operations)), "")


def _action(part: binding_maps.MapPart, *, writes: bool) -> str:
    if not writes:
        return "keep"
    return "change" if part.there else "create"
