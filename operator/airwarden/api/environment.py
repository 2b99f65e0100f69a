"""`AirflowEnvironment`: one Airflow deployment, and which namespaces may have which of its DAGs.

Owned by the platform team, in Airflow's namespace; read by `airwarden.domain.environment`.
"""

from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, StringConstraints, model_validator

from airwarden.api.binding import SecretItem
from airwarden.api.conditions import Condition, StatusModel
from airwarden.api.dags import BundleName
from airwarden.api.fields import (
    DNS_LABEL,
    Duration,
    Model,
    Namespace,
    ObjectName,
    Unique,
    matches,
    none_of,
    rule,
    schema,
)
from airwarden.api.metadata import Metadata
from airwarden.api.references import MAX_NAME

_NAME = (
    f"metadata.name must have at most {MAX_NAME} characters and no dot: "
    "it is a label value, and part of the names of ConfigMaps"
)
_UNBOUND = "unbound.namespace must be one of workerNamespaces: pods are made nowhere else"
_KUBERNETES_ONLY = "unbound must be given with executor Kubernetes, and only then: other executors make no pods"

AccountName = Annotated[
    ObjectName,
    none_of(("default",), "the account default is shared by every pod that names none; give the component its own"),
]
RoleOfAirflow = Annotated[
    str,
    StringConstraints(max_length=64),
    matches(
        r"^[A-Za-z0-9]([A-Za-z0-9 _.-]*[A-Za-z0-9])?$",
        "must be the name of a role in Airflow: letters, digits, and between them spaces, dots, dashes and underscores",
    ),
]
GroupValue = Annotated[
    str,
    StringConstraints(max_length=256),
    matches(
        r"^[A-Za-z0-9][A-Za-z0-9 _.:/=,-]*$",
        "must be a group as the identity provider's claim has it, never a person: "
        "a letter or digit, then also spaces and _ . : / = , -, and no @",
    ),
]
ProviderName = Annotated[
    str,
    StringConstraints(max_length=63),
    matches(DNS_LABEL, "must be lower-case letters, digits and inner dashes, such as entra"),
]


class Executor(StrEnum):
    """How this Airflow runs its tasks: it decides which isolation may be claimed."""

    KUBERNETES = "Kubernetes"
    CELERY = "Celery"
    LOCAL = "Local"


class UnboundIDs(StrEnum):
    """What a lookup of an id gets that the task's binding does not name."""

    FALL_THROUGH = "FallThrough"
    REFUSE = "Refuse"


class Bundle(Model):
    """A DAG bundle, and whose it is."""

    name: BundleName
    """Name of the bundle, as [dag_processor] dag_bundle_config_list has it."""
    namespaces: Annotated[tuple[Namespace, ...], Field(min_length=1, max_length=64), Unique()]
    """Namespaces whose bindings may claim the bundle's DAGs."""


class Component(Model):
    """One of Airflow's processes."""

    service_account_name: AccountName
    """The account that it runs under, in the environment's namespace."""


class Components(Model):
    """Airflow's processes and their accounts."""

    scheduler: Component
    """The scheduler. It alone may make pods with the accounts of bindings."""
    api_server: Component | None = None
    """The API server. What it may read, every task can read through it."""
    dag_processor: Component | None = None
    """The DAG processor, which runs code of all DAG authors."""
    triggerer: Component | None = None
    """The triggerer, which runs the triggers of all DAGs under one account."""


class Unbound(Model):
    """The account of tasks that no binding names. It must have no access of its own."""

    namespace: Namespace
    """Where those tasks run: one of workerNamespaces."""
    service_account_name: AccountName
    """The account. Make it without rights, in the cluster and in every store."""


class Reader(Model):
    """How tasks read."""

    cache_ttl: Annotated[Duration, Field(alias="cacheTTL")] = "60s"
    """How long a process may keep a value that has no lease. At most 1h."""
    unbound_ids: Annotated[UnboundIDs, Field(alias="unboundIDs")] = UnboundIDs.FALL_THROUGH
    """An id that the binding does not name: FallThrough lets Airflow ask its next source, Refuse does not."""


class Group(Model):
    """A group of an identity provider."""

    provider: ProviderName
    """Which identity provider, by a name of your choosing, for example entra."""
    value: GroupValue
    """The group as the provider's claim has it; of Entra the object id."""


class RoleMapping(Model):
    """Who gets one role in Airflow."""

    airflow_role: RoleOfAirflow
    """Role of Airflow's FAB auth manager, for example Op."""
    groups: Annotated[tuple[Group, ...], Field(min_length=1, max_length=32), Unique(("provider", "value"))]
    """Groups whose members get it."""


class EnvironmentSpec(Model):
    """One Airflow deployment."""

    executor: Executor = Executor.KUBERNETES
    """How tasks run. Kubernetes gives each DAG the identity of its binding; Celery and Local share one."""
    worker_namespaces: Annotated[tuple[Namespace, ...], Field(min_length=1, max_length=64), Unique()]
    """Namespaces in which tasks may run. Bindings of others get no DAGs."""
    bundles: Annotated[tuple[Bundle, ...], Field(min_length=1, max_length=64), Unique(("name",))]
    """The DAG bundles, and which namespaces may claim their DAGs. Who is not named claims nothing."""
    components: Components
    """Airflow's processes and their accounts."""
    unbound: Unbound | None = None
    """The account of tasks that no binding names. Given exactly with executor Kubernetes."""
    common_secrets: Annotated[tuple[SecretItem, ...], Field(max_length=32), Unique(("type", "id"))] = ()
    """Secrets that every bound DAG may read, such as smtp_default. Judged as this namespace's own."""
    reader: Reader = Reader()
    """How tasks read."""
    role_mappings: Annotated[tuple[RoleMapping, ...], Field(max_length=32), Unique(("airflow_role",))] = ()
    """Who gets which role in Airflow: what `airwarden roles render` prints."""

    model_config = ConfigDict(
        json_schema_extra=schema(
            rule("(self.executor == 'Kubernetes') == has(self.unbound)", _KUBERNETES_ONLY),
            rule("!has(self.unbound) || self.unbound.__namespace__ in self.workerNamespaces", _UNBOUND),
        )
    )

    @model_validator(mode="after")
    def _unbound_fits(self) -> Self:
        if (self.executor is Executor.KUBERNETES) != (self.unbound is not None):
            raise ValueError(_KUBERNETES_ONLY)
        if self.unbound is not None and self.unbound.namespace not in self.worker_namespaces:
            raise ValueError(_UNBOUND)
        return self


class EnvironmentBindings(StatusModel):
    """How many bindings name the environment."""

    total: int = 0
    """Bindings that name it."""
    mapped: int = 0
    """Those of them whose DAGs run under their accounts."""


class ClaimRefused(StatusModel):
    """A claim of DAGs that is not in force."""

    binding: Annotated[str, Field(max_length=320)]
    """The binding, as namespace/name."""
    bundle: Annotated[str, Field(max_length=200)] = ""
    """The bundle of which it claims DAGs."""
    reason: Annotated[str, Field(max_length=256)]
    """Why, one word from the page of reasons."""
    message: Annotated[str, Field(max_length=4096)] = ""
    """What is so, and what to do about it."""


class Rendered(StatusModel):
    """One ConfigMap that Airwarden keeps for this Airflow."""

    name: Annotated[str, Field(max_length=253)]
    """Name of the ConfigMap, in the environment's namespace."""
    content: Annotated[str, Field(max_length=256)]
    """What it is: a component in kebab case, or dags/<bundle>."""
    digest: Annotated[str, Field(max_length=64)] = ""
    """Fingerprint of what is rendered."""
    reason: Annotated[str, Field(max_length=256)] = ""
    """Why it is not as it should be."""
    message: Annotated[str, Field(max_length=4096)] = ""
    """What is so, and what to do about it."""


class PodsSeen(StatusModel):
    """Task pods that run, as far as they may be looked at."""

    bound: int = 0
    """Pods that surely run under the account of a binding that is mapped."""
    last: Annotated[str, Field(max_length=32)] = ""
    """The hour in which one was seen last."""
    older: int = 0
    """Pods whose scheduler knew an older rendering of this environment."""


class EnvironmentStatus(StatusModel):
    """What Airwarden last saw and did."""

    observed_generation: int = 0
    """Generation of the spec that the status speaks of."""
    conditions: Annotated[
        tuple[Condition, ...], Field(max_length=16, json_schema_extra=schema(list_type="map", list_map_keys=["type"]))
    ] = ()
    """Ready, IdentityEnforced, Isolated; while they apply Reconciling and Stalled."""
    bindings: EnvironmentBindings = EnvironmentBindings()
    """How many bindings name it."""
    conflicts: Annotated[
        tuple[ClaimRefused, ...], Field(max_length=64, json_schema_extra=schema(list_type="atomic"))
    ] = ()
    """Claims that are not in force, the first 64 by binding."""
    rendered: Annotated[tuple[Rendered, ...], Field(max_length=128, json_schema_extra=schema(list_type="atomic"))] = ()
    """The ConfigMaps that Airwarden keeps for this Airflow."""
    digest: Annotated[str, Field(max_length=64)] = ""
    """Fingerprint of all that is rendered for the components."""
    pods: PodsSeen = PodsSeen()
    """Task pods that run, as far as they may be looked at."""

    def condition(self, kind: str) -> Condition | None:
        """Return the condition of that type, or None."""
        return next((each for each in self.conditions if each.type == kind), None)


class AirflowEnvironment(Model):
    """One Airflow deployment: how it runs tasks, and which namespaces may have which of its DAGs.

    Lives in Airflow's namespace and belongs to the platform team: whoever writes it decides whose DAGs are whose.
    """

    api_version: Literal["airwarden.dev/v1alpha1"] = "airwarden.dev/v1alpha1"
    kind: Literal["AirflowEnvironment"] = "AirflowEnvironment"
    metadata: Metadata
    spec: EnvironmentSpec
    """What is declared: an Airflow, its DAG bundles and whose they are."""
    status: EnvironmentStatus | None = None
    """What Airwarden last saw and did. Written by Airwarden alone."""

    model_config = ConfigDict(
        json_schema_extra=schema(
            rule(f"size(self.metadata.name) <= {MAX_NAME} && !self.metadata.name.contains('.')", _NAME)
        )
    )

    @model_validator(mode="after")
    def _plain_name(self) -> Self:
        if len(self.metadata.name) > MAX_NAME or "." in self.metadata.name:
            raise ValueError(_NAME)
        return self
