"""`airwarden doctor`: what is wrong with bindings, backends, stores and the cluster around them."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Annotated

import typer

from airwarden.api.backend import AirflowSecretBackend
from airwarden.api.fields import seconds
from airwarden.api.rotation import AirflowSecretRotation
from airwarden.commands.caller import (
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
from airwarden.commands.doctor import (
    backend_checks,
    cluster,
    cluster_checks,
    environment_checks,
    rotation_checks,
    rotation_state_checks,
    store_checks,
    stores,
)
from airwarden.commands.doctor.cluster import known
from airwarden.commands.doctor.facts import Facts, Unknown
from airwarden.commands.doctor.findings import Diagnosis
from airwarden.commands.doctor.showing import show
from airwarden.commands.showing import Output, OutputOption, progress
from airwarden.domain.errors import InvalidSettings

_CHECKS = (
    store_checks.stores,
    rotation_checks.rotations,
    rotation_state_checks.rotations,
    cluster_checks.role_grants,
    cluster_checks.accounts,
    cluster_checks.bindings,
    environment_checks.environments,
    backend_checks.backends,
    backend_checks.rules,
    cluster_checks.kinds,
)
BackendOption = Annotated[str | None, typer.Option("--backend", help="Look at this backend only.")]
NamespaceOption = Annotated[
    str | None, typer.Option("-n", "--namespace", help="Look at the bindings of this namespace only.")
]
AgeOption = Annotated[
    str | None,
    typer.Option(
        "--older-than", help="Also name secrets of bindings that nothing rotates and that are older, as 2160h."
    ),
]


def doctor(  # noqa: PLR0913, PLR0917 - one parameter per option
    cluster: Cluster,
    backend: BackendOption = None,
    namespace: NamespaceOption = None,
    older_than: AgeOption = None,
    output: OutputOption = Output.TABLE,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    operator_namespace: OperatorNamespace = "airwarden",
    vault_address: VaultAddress = None,
    vault_ca: VaultCA = None,
) -> None:
    """Say what is wrong, why, and what to do next. Changes nothing and reads no secret value.

    Looks at roles in the store that let a managed account in beside Airwarden, at leftovers, at the operator's own
    rights, at stuck or forged bindings, at rules that admit nobody, at rotations that are refused, failed, overdue or
    for nobody, at Kubernetes rights and tokens of managed accounts, at environments and the accounts that they name,
    and at the installed kinds; of a key vault at who else may read it, and at how it is kept. Uses your kubeconfig, and
    for the stores your own Vault token (VAULT_TOKEN, or what vault login left) or your own login to Azure (az login, or
    the AZURE_ variables). What you may not see is listed as not checked, with the right it needs; it is never called
    fine.

    Exit status: 0 nothing is wrong (hints do not count), 1 something is, 2 something could not be checked.
    """
    ways = Ways(cluster, kubeconfig, context, operator_namespace, vault_address, vault_ca)
    asked = Asked(backend or "", namespace or "", older_than or "")
    run(ways, partial(examine, asked=asked, output=output))


@dataclass(frozen=True, slots=True)
class Asked:
    """What is looked at."""

    backend: str = ""
    """Empty for all."""
    namespace: str = ""
    """Empty for all."""
    older_than: str = ""
    """Age from which on secrets that nothing rotates are named; empty for never."""

    @property
    def age(self) -> timedelta | None:
        """The age. Raises InvalidSettings for a text that is none."""
        try:
            return timedelta(seconds=seconds(self.older_than)) if self.older_than else None
        except ValueError as error:
            raise InvalidSettings(f"{error}: correct --older-than") from None


async def examine(caller: Caller, *, asked: Asked, output: Output) -> int:
    """Collect, judge, show; return the exit status."""
    facts = await collect(caller, asked)
    namespace = asked.namespace
    diagnosis = Diagnosis.of(said for check in _CHECKS for said in check(facts))
    count = 0 if isinstance(facts.backends, Unknown) else len(facts.backends.items) + len(facts.backends.unreadable)
    where = f"namespace {namespace} of cluster {facts.cluster}" if namespace else f"cluster {facts.cluster}"
    bindings = len(facts.bindings.items) + len(facts.bindings.unreadable)
    show(diagnosis, f"{bindings} binding(s) and {count} backend(s) of {where}", output)
    return diagnosis.status


async def collect(caller: Caller, asked: Asked) -> Facts:
    """Collect everything. The stores come first: a binding made meanwhile must not make its policy a leftover.

    Raises ClusterForbidden when not even bindings may be listed.
    """
    namespace, age = asked.namespace, asked.age
    before = await cluster.bound(caller, namespace)
    everything = await known(caller.backends, "list on airflowsecretbackends")
    backends = _only(everything, asked.backend)
    place = f" in namespace {namespace}" if namespace else ""
    rotations = await known(partial(caller.rotations, namespace), f"list on airflowsecretrotations{place}")
    dated = await _to_date(caller, namespace, rotations) if age is not None else frozenset()
    some = () if isinstance(backends, Unknown) else backends.items
    found = {}
    with progress("looking at stores", len(some)) as step:
        for each in some:
            keys = sorted(key for name, key in dated if name == each.metadata.name)
            found[each.metadata.name] = await stores.look(caller, each, keys)
            step()
    names, accounts, secrets, grants, kinds = await asyncio.gather(
        known(caller.namespaces, "list on namespaces"),
        known(partial(cluster.accounts, caller, namespace), f"list on serviceaccounts{place}"),
        known(
            partial(cluster.token_secrets, caller, namespace), f"list on secrets{place} (only metadata is asked for)"
        ),
        known(
            partial(cluster.role_grants, caller, namespace), f"list on rolebindings{place} and on clusterrolebindings"
        ),
        known(partial(cluster.kinds, caller), "get on customresourcedefinitions"),
    )
    environments = await known(partial(caller.environments, namespace), f"list on airflowenvironments{place}")
    after = await cluster.bound(caller, namespace)
    return Facts(
        cluster=caller.ways.cluster,
        operator_namespace=caller.ways.operator_namespace,
        namespace=namespace,
        bindings=await caller.bindings(namespace),
        backends=backends,
        all_backends=_names(everything),
        bound=before | after,
        namespaces=names,
        accounts=accounts,
        token_secrets=secrets,
        role_grants=grants,
        kinds=kinds,
        stores=found,
        rotations=rotations,
        older_than=age,
        environments=environments,
        named_accounts=await cluster.named_accounts(caller, environments),
    )


async def _to_date(
    caller: Caller, namespace: str, rotations: Listing[AirflowSecretRotation] | Unknown
) -> frozenset[tuple[str, str]]:
    """Return backend and key of the secrets that bindings read and no rotation is for."""
    if isinstance(rotations, Unknown):
        return frozenset()
    read = rotation_state_checks.read_by((await caller.bindings(namespace)).items)
    return read - rotation_state_checks.rotated_by(rotations.items)


def _only(found: Listing[AirflowSecretBackend] | Unknown, name: str) -> Listing[AirflowSecretBackend] | Unknown:
    if isinstance(found, Unknown) or not name:
        return found
    if name not in {each.metadata.name for each in found.items} | found.unreadable.keys():
        raise InvalidSettings(f"there is no AirflowSecretBackend {name}: correct --backend")
    return Listing(
        tuple(each for each in found.items if each.metadata.name == name),
        {each: why for each, why in found.unreadable.items() if each == name},
    )


def _names(found: Listing[AirflowSecretBackend] | Unknown) -> frozenset[str] | Unknown:
    if isinstance(found, Unknown):
        return found
    return frozenset({each.metadata.name for each in found.items} | found.unreadable.keys())
