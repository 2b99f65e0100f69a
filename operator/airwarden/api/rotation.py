"""`AirflowSecretRotation`: which secret gets a new value, when, and how.

Written by binding authors in their own namespace; read by `airwarden.domain.rotation`. One object per secret, so
that it outlives any reader.
"""

from enum import StrEnum
from typing import Annotated, Final, Literal, Self

from pydantic import ConfigDict, Field, StringConstraints, model_validator

from airwarden.api.conditions import Condition, StatusModel
from airwarden.api.database_role import DatabaseRole
from airwarden.api.fields import Duration, Model, Unique, matches, rule, schema
from airwarden.api.metadata import Metadata
from airwarden.api.references import MAX_NAME, BackendReference
from airwarden.api.rotation_job import JobState, RotationJob, check_job, job_rules
from airwarden.api.rotation_targets import cel_rules, check
from airwarden.api.texts import Key

REQUEST: Final = "airwarden.dev/rotate"
"""The annotation that asks for one run: each new word is one request."""
_CRON_FIELD: Final = "[0-9A-Za-z*/,-]+"
_NAME_LENGTH = f"metadata.name must have at most {MAX_NAME} characters: it is part of names and marks in the stores"
_IMMUTABLE = "is immutable: a rotation's record speaks of one secret; make a new rotation instead"
_POLICY_ALONE = "passwordPolicy makes the whole value: leave length and characters out beside it"

Cron = Annotated[
    str,
    StringConstraints(min_length=6, max_length=128),
    matches(
        rf"^(@(yearly|annually|monthly|weekly|daily|midnight|hourly)|{_CRON_FIELD}( +{_CRON_FIELD}){{4}})$",
        "must be five cron fields (minute, hour, day of month, month, day of week) such as 30 3 * * 0, or one of "
        "@yearly, @monthly, @weekly, @daily, @hourly",
    ),
]
TimeZone = Annotated[
    str,
    StringConstraints(max_length=64),
    matches(
        r"^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+){0,2}$",
        "must be a time zone of the IANA database, such as Europe/Berlin or UTC",
    ),
]
FieldName = Annotated[
    str,
    StringConstraints(max_length=128),
    matches(r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$", "must be a field's name: letters, digits, underscores, dots, dashes"),
]
PolicyName = Annotated[
    str,
    StringConstraints(max_length=128),
    matches(r"^([A-Za-z0-9_][A-Za-z0-9_.-]*)?$", "must be the name of a password policy of the store"),
]


class Strategy(StrEnum):
    """How the new value comes to be. A strategy stands here when it works, not before."""

    GENERATE = "Generate"
    NATIVE = "Native"
    JOB = "Job"
    REVOKE = "Revoke"


class Part(StrEnum):
    """Which part of the field is replaced."""

    VALUE = "Value"
    URI_PASSWORD = "URIPassword"  # noqa: S105 - the name of a part


class Characters(StrEnum):
    """Classes of characters. At least one of each class that is named is in every value."""

    LOWER = "Lower"
    UPPER = "Upper"
    DIGIT = "Digit"
    SYMBOL = "Symbol"


class Window(Model):
    """Times in which scheduled runs may begin. One that is due outside waits for the opening; on demand none waits."""

    opens: Cron
    """When the window opens, in the rotation's time zone."""
    duration: Duration
    """How long it stays open. Shorter than the time between two openings."""


class Generate(Model):
    """How a value is made."""

    password_policy: PolicyName = ""
    """Password policy of the store that makes it. Default: Airwarden's own generator."""
    length: Annotated[int | None, Field(ge=16, le=256)] = None
    """Characters of a value of Airwarden's own generator. Default: 32."""
    characters: Annotated[tuple[Characters, ...], Field(max_length=4), Unique()] = ()
    """Classes that are used. Default: Lower, Upper and Digit, which no URI and no shell changes."""

    model_config = ConfigDict(
        json_schema_extra=schema(
            rule(
                "!has(self.passwordPolicy) || self.passwordPolicy == ''"
                " || (!has(self.length) && (!has(self.characters) || size(self.characters) == 0))",
                _POLICY_ALONE,
            )
        )
    )

    @model_validator(mode="after")
    def _one_maker(self) -> Self:
        if self.password_policy and (self.length is not None or self.characters):
            raise ValueError(_POLICY_ALONE)
        return self


class RotationSpec(Model):
    """What is declared."""

    backend_ref: Annotated[
        BackendReference,
        Field(json_schema_extra=schema(rule("self.name == oldSelf.name", f"backendRef.name {_IMMUTABLE}"))),
    ]
    """The store that holds the secret."""
    key: Key | None = None
    """Where the secret lies, in the store's own grammar."""
    field: FieldName | None = None
    """Which field of the secret gets the new value, for example password or conn_uri. It must be there already."""
    database_role: DatabaseRole | None = None
    """A role or root user of a database engine, instead of a key."""
    part: Part = Part.VALUE
    """Value replaces the whole field; URIPassword the password inside a connection URI, and needs the right to read."""
    strategy: Strategy = Strategy.GENERATE
    """Generate: Airwarden makes a value and writes it as a new version. Native: the database engine makes one.
    Job: a Job changes the target first. Revoke: all leases of a dynamic role end."""
    generate: Generate = Generate()
    """How a value is made."""
    job: RotationJob | None = None
    """Strategy Job: what changes the target."""
    schedule: Cron | None = None
    """When to rotate. Without one, only on demand."""
    time_zone: TimeZone = "UTC"
    """Zone in which schedule and window are read.

    Where a day has no such hour in spring, the run comes at the end of the gap; where it has two in autumn, the run
    comes once, at the first.
    """
    window: Window | None = None
    """Times in which scheduled runs may begin. Default: at any time."""
    jitter: Duration | None = None
    """Spreads runs of many rotations over so long after their moment, each always at its own place."""
    starting_deadline: Duration | None = None
    """A scheduled run that could not begin for so long is missed. Default: it is made up for, however late."""
    max_age: Duration | None = None
    """A value older than this shows as overdue, whoever rotates it."""
    keep_versions: Annotated[int | None, Field(ge=2, le=100)] = None
    """How many versions the store keeps. Default: what the store has."""
    suspend: bool = False
    """Begin no run, neither scheduled nor on demand. A run under way is brought to its end. The store goes on
    rotating a declared role by the schedule that it has."""

    model_config = ConfigDict(
        json_schema_extra=schema(*cel_rules(), *job_rules(strategy=Strategy.JOB, part_uri=Part.URI_PASSWORD))
    )

    @model_validator(mode="after")
    def _fit_for_target(self) -> Self:
        check(self)
        uri = self.part is Part.URI_PASSWORD
        check_job(self.job, wanted=self.strategy is Strategy.JOB, field=self.field, part_is_uri=uri)
        return self

    @property
    def declared(self) -> bool:
        """Whether Airwarden makes the role, and the store keeps the schedule."""
        return self.database_role is not None and self.database_role.declare is not None


class RunState(StatusModel):
    """A run under way: recorded before its first write, so that a crash makes no second one of it."""

    model_config = ConfigDict(json_schema_extra=schema(map_type="atomic"))

    id: Annotated[str, Field(max_length=64)]
    """Names the run in the store's metadata, in Events and in the log."""
    cause: Literal["Schedule", "Request", "Declaration"]
    """Why it was begun. Declaration: a declared role was not there."""
    slot: Annotated[str, Field(max_length=64)] = ""
    """The moment of the schedule that it is for, RFC 3339; empty on demand."""
    request: Annotated[str, Field(max_length=256)] = ""
    """The word that asked for it."""
    started: Annotated[str, Field(max_length=64)]
    """When it was begun, RFC 3339."""
    base_version: int = 0
    """Version of the secret that it replaces. A newer one made by others is never overwritten."""
    base_revision: Annotated[str, Field(max_length=64)] = ""
    """What the store said of the role's last rotation before the run; empty where it says nothing."""
    job: JobState | None = None
    """Strategy Job: how far it is."""


class LastRun(StatusModel):
    """How a run ended."""

    model_config = ConfigDict(json_schema_extra=schema(map_type="atomic"))

    id: Annotated[str, Field(max_length=64)] = ""
    """The run's id."""
    cause: Annotated[str, Field(max_length=32)] = ""
    """Schedule, Request or Declaration; Store for what the store did by itself."""
    time: Annotated[str, Field(max_length=64)] = ""
    """When it ended, RFC 3339."""
    result: Annotated[str, Field(max_length=32)] = ""
    """Succeeded, Failed, Missed or Superseded."""
    reason: Annotated[str, Field(max_length=256)] = ""
    """Why, one word from the page of reasons."""
    message: Annotated[str, Field(max_length=4096)] = ""
    """What happened, and what to do about it."""
    version: int = 0
    """Version that it made."""


class RotationStatus(StatusModel):
    """What Airwarden last saw and did. All state of a rotation is here: a restart neither repeats nor skips."""

    observed_generation: int = 0
    """Generation of the spec that the status speaks of."""
    conditions: Annotated[
        tuple[Condition, ...], Field(max_length=16, json_schema_extra=schema(list_type="map", list_map_keys=["type"]))
    ] = ()
    """Ready, Healthy; while they apply Reconciling, Stalled and Suspended."""
    phase: Annotated[str, Field(max_length=32)] = ""
    """Waiting, Rotating, Suspended, OnDemand or Refused."""
    next: Annotated[str, Field(max_length=64)] = ""
    """When the next run is due, RFC 3339; empty when none will be."""
    schedule: Annotated[str, Field(max_length=256)] = ""
    """The schedule and the zone that handledSlot speaks of. An edited schedule counts from when the edit is seen."""
    handled_slot: Annotated[str, Field(max_length=64)] = ""
    """Moments of the schedule up to this one are done with, RFC 3339."""
    handled_request: Annotated[str, Field(max_length=256)] = ""
    """The last word of the annotation that is done with."""
    run: RunState | None = None
    """The run under way."""
    last_run: LastRun = LastRun()
    """How the last run ended."""
    last_success: Annotated[str, Field(max_length=64)] = ""
    """When the last run succeeded, RFC 3339."""
    observed_version: int = 0
    """Version of the secret when it was last looked at."""
    version_time: Annotated[str, Field(max_length=64)] = ""
    """When that version was made, by whomever, RFC 3339."""
    observed_revision: Annotated[str, Field(max_length=64)] = ""
    """What the store last said of the database role's last rotation."""
    rule: Annotated[str, Field(max_length=63)] = ""
    """The backend's allow rule that admits the rotation."""

    def condition(self, kind: str) -> Condition | None:
        """Return the condition of that type, or None."""
        return next((each for each in self.conditions if each.type == kind), None)


class AirflowSecretRotation(Model):
    """Gives one field of one secret, or one role of a database engine, a new value, on a schedule or on demand.

    A secret has one rotation, which survives the bindings that read it. What a namespace may rotate, the backend's
    allow rules say.
    """

    api_version: Literal["airwarden.dev/v1alpha1"] = "airwarden.dev/v1alpha1"
    kind: Literal["AirflowSecretRotation"] = "AirflowSecretRotation"
    metadata: Metadata
    spec: RotationSpec
    """What is declared: a secret, when it gets a new value, and how."""
    status: RotationStatus | None = None
    """What Airwarden last saw and did. Written by Airwarden alone."""

    model_config = ConfigDict(json_schema_extra=schema(rule(f"size(self.metadata.name) <= {MAX_NAME}", _NAME_LENGTH)))

    @model_validator(mode="after")
    def _short_name(self) -> Self:
        if len(self.metadata.name) > MAX_NAME:
            raise ValueError(_NAME_LENGTH)
        return self
