"""Status of the kinds: standard conditions and the record of what was written where.

Built by `airwarden.domain.report` and `airwarden.reconcile.backends`, written by nobody else.
"""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel

from airwarden.api.fields import schema


class StatusModel(BaseModel):
    """A frozen part of a status. Unknown fields are ignored: an older operator may read a newer status."""

    model_config = ConfigDict(
        frozen=True, extra="ignore", alias_generator=to_camel, validate_by_name=True, use_attribute_docstrings=True
    )


class Condition(StatusModel):
    """One standard Kubernetes condition."""

    type: Annotated[str, Field(max_length=316)]
    """What is spoken of: Ready, Reconciling, Stalled and the like."""
    status: Literal["True", "False", "Unknown"]
    """Whether the condition holds."""
    reason: Annotated[str, Field(max_length=1024)]
    """One word from the page of reasons."""
    message: Annotated[str, Field(max_length=32768)] = ""
    """What is so, and what to do about it."""
    observed_generation: int = 0
    """Generation of the spec that this was said of."""
    last_transition_time: Annotated[str, Field(max_length=64)] = ""
    """When status last changed, RFC 3339."""


def _open(states: type[StrEnum], otherwise: StrEnum) -> BeforeValidator:
    """Read a word that this release does not know as ``otherwise``.

    After a rollback a status may hold words of the newer release; it must neither stop the operator nor a deletion.
    """
    known = frozenset(each.value for each in states)
    return BeforeValidator(lambda word: word if word in known else otherwise)


class TargetState(StrEnum):
    """How far one object in a store or the cluster is."""

    PENDING = "Pending"
    PRESENT = "Present"
    FAILED = "Failed"
    REMOVING = "Removing"
    DRIFTED = "Drifted"


class Origin(StrEnum):
    """Who made an object first."""

    CREATED = "Created"
    ADOPTED = "Adopted"


class Target(StatusModel):
    """One object that Airwarden keeps in a store or in the cluster."""

    backend: Annotated[str, Field(max_length=253)] = ""
    """Name of the backend; empty for the cluster itself."""
    kind: Annotated[str, Field(max_length=64)]
    """VaultPolicy, VaultKubernetesRole, VaultJWTRole, VaultAppRole, VaultEntityAlias, ServiceAccount or ConfigMap."""
    name: Annotated[str, Field(max_length=512)]
    """Name in the store."""
    id: Annotated[str, Field(max_length=512)] = ""
    """The store's own id, where it gives one; in the cluster its uid."""
    state: Annotated[TargetState, _open(TargetState, TargetState.FAILED)]
    """Pending is recorded before the first write, so that a crash leaks nothing.

    Drifted was changed from outside and is only reported.
    """
    origin: Annotated[Origin, _open(Origin, Origin.CREATED)] = Origin.CREATED
    """Adopted was there before the binding, and is released with it, not deleted."""
    reason: Annotated[str, Field(max_length=256)] = ""
    """Why the state is not Present, or what does not hold although it is."""
    message: Annotated[str, Field(max_length=4096)] = ""
    """What is so, and what to do about it."""
    last_applied_time: Annotated[str, Field(max_length=64)] = ""
    """When Airwarden last wrote it, RFC 3339."""
    digest: Annotated[str, Field(max_length=128)] = ""
    """Fingerprint of what was written; no secret is part of it."""


class SecretState(StrEnum):
    """What became of one declared secret."""

    GRANTED = "Granted"
    REFUSED = "Refused"
    PENDING = "Pending"
    FAILED = "Failed"


class SecretStatus(StatusModel):
    """What became of one declared secret."""

    type: Annotated[str, Field(max_length=32)]
    """Connection, Variable or Config."""
    id: Annotated[str, Field(max_length=250)]
    """The Airflow id."""
    state: Annotated[SecretState, _open(SecretState, SecretState.FAILED)]
    """Granted, Refused, Pending or Failed."""
    common: bool = False
    """Whether it is one of the environment's commonSecrets, and not the binding's own."""
    rule: Annotated[str, Field(max_length=63)] = ""
    """The backend's allow rule that admits it."""
    reason: Annotated[str, Field(max_length=256)] = ""
    """Why it is not granted."""
    message: Annotated[str, Field(max_length=4096)] = ""
    """Why, and what would be allowed."""


class Effective(StatusModel):
    """What holds after the guardrails."""

    model_config = ConfigDict(json_schema_extra=schema(map_type="atomic"))

    session_ttl: Annotated[str, Field(alias="sessionTTL", max_length=24)] = ""
    """First lifetime of a login."""
    session_max_ttl: Annotated[str, Field(alias="sessionMaxTTL", max_length=24)] = ""
    """Longest lifetime of a login."""
    not_after: Annotated[str, Field(max_length=20)] = ""
    """When all of it ends, RFC 3339; empty when no end is declared."""
    rules: Annotated[tuple[Annotated[str, Field(max_length=320)], ...], Field(max_length=64)] = ()
    """The allow rules in use, as backend/rule."""
    roles: Annotated[tuple[Annotated[str, Field(max_length=512)], ...], Field(max_length=64)] = ()
    """The role with which tasks log in to each store, as backend/role."""


class Summary(StatusModel):
    """Counts for the printer columns, which cannot count themselves."""

    model_config = ConfigDict(json_schema_extra=schema(map_type="atomic"))

    secrets: Annotated[str, Field(max_length=32)] = ""
    """Granted and declared secrets, as 2/3."""
    backends: Annotated[str, Field(max_length=1024)] = ""
    """Names of the backends in use."""
    slots: Annotated[str, Field(max_length=1024)] = ""
    """Slots in use and present in fenced backends, as vault: own 3/32, shared 0/8, dynamic 1/8."""
    next_rotation: Annotated[str, Field(max_length=64)] = ""
    """When the next rotation of one of the secrets is due, RFC 3339; empty when none is."""
    last_rotation: Annotated[str, Field(max_length=64)] = ""
    """When one of the secrets was last rotated with success, RFC 3339."""


class RotationSeen(StatusModel):
    """A rotation of a secret that the binding reads, or one that it made and that is gone."""

    name: Annotated[str, Field(max_length=320)]
    """The AirflowSecretRotation, as namespace/name."""
    secret: Annotated[str, Field(max_length=300)] = ""
    """The secret that it rotates, as type/id; the first one of several that have the same key."""
    next: Annotated[str, Field(max_length=64)] = ""
    """When its next run is due, RFC 3339; empty when none will be."""
    last_run: Annotated[str, Field(max_length=64)] = ""
    """When its last run ended, RFC 3339."""
    result: Annotated[str, Field(max_length=32)] = ""
    """How that run ended: Succeeded, Failed, Missed or Superseded."""
    version: int = 0
    """Version that it made."""
    last_success: Annotated[str, Field(max_length=64)] = ""
    """When a run last succeeded, RFC 3339."""
    reason: Annotated[str, Field(max_length=256)] = ""
    """What is wrong with it, one word from the page of reasons; empty when nothing is."""
    message: Annotated[str, Field(max_length=4096)] = ""
    """What is so, and what to do about it."""
    removed: Annotated[str, Field(max_length=64)] = ""
    """When the binding removed it, RFC 3339: the rest is as it was then."""


class ClaimInForce(StatusModel):
    """DAGs of one bundle that run under the binding's account."""

    bundle: Annotated[str, Field(max_length=200)]
    """The DAG bundle."""
    ids: Annotated[tuple[Annotated[str, Field(max_length=250)], ...], Field(max_length=64)] = ()
    """DAG ids, exact or with a * at the end."""


class Identity(StatusModel):
    """The DAGs that run under the binding's account, and who may make their pods. Admission policies read it."""

    model_config = ConfigDict(json_schema_extra=schema(map_type="atomic"))

    environment: Annotated[str, Field(max_length=127)]
    """The AirflowEnvironment, as namespace/name."""
    pod_creator: Annotated[str, Field(max_length=512)]
    """User of the API server that alone makes pods under the account: the environment's scheduler.

    With executor Celery or Local a *: workers are deployed by whoever may make pods in the namespace.
    """
    dags: Annotated[tuple[ClaimInForce, ...], Field(max_length=16, json_schema_extra=schema(list_type="atomic"))] = ()
    """The claims that are in force."""


class Status(StatusModel):
    """What Airwarden last saw and did."""

    observed_generation: int = 0
    """Generation of the spec that the status speaks of."""
    conditions: Annotated[
        tuple[Condition, ...], Field(max_length=16, json_schema_extra=schema(list_type="map", list_map_keys=["type"]))
    ] = ()
    """Ready; while they apply Reconciling, Stalled, Suspended, and RotationsHealthy where secrets are rotated."""
    effective: Effective = Effective()
    """What holds after the guardrails."""
    summary: Summary = Summary()
    """Counts for the printer columns."""
    identity: Identity | None = None
    """The DAGs that run under the account; absent while none do."""
    secrets: Annotated[
        tuple[SecretStatus, ...],
        Field(max_length=128, json_schema_extra=schema(list_type="atomic")),
    ] = ()
    """What became of each declared secret, and of the environment's common ones."""
    rotations: Annotated[
        tuple[RotationSeen, ...],
        Field(max_length=256, json_schema_extra=schema(list_type="atomic")),
    ] = ()
    """Rotations of the secrets that are granted, whoever made them; and the last ones that the binding removed."""
    targets: Annotated[
        tuple[Target, ...],
        Field(max_length=512, json_schema_extra=schema(list_type="atomic")),
    ] = ()
    """What Airwarden keeps for this binding, also what it is still to remove."""

    def condition(self, kind: str) -> Condition | None:
        """Return the condition of that type, or None."""
        return next((each for each in self.conditions if each.type == kind), None)
