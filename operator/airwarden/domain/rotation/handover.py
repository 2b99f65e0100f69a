"""What a run of strategy Job is about, and what its Job gets.

Made by `airwarden.reconcile.rotation_jobs`; values come from the rotating side of a store's provider and go to the
cluster's, and are shown by neither.
"""

from dataclasses import dataclass, field
from datetime import datetime

from airwarden.api.rotation import AirflowSecretRotation, Generate, Part, RunState


@dataclass(frozen=True, slots=True)
class Subject:
    """The field that a run is about. No value is in it."""

    owner: str
    """The rotation, as cluster/namespace/name: where its candidate is staged."""
    run: str
    """The run's id."""
    key: str
    field: str
    part: Part
    generate: Generate
    base: int
    """Version of the secret that the run replaces."""
    users: tuple[str, ...] = ()
    """Users that take turns; empty where there is one."""
    user_field: str = ""
    """Field that names the user; empty where the URI does, or nothing."""
    switch: str = ""
    """The one of two users that a Job of the run changed already; empty before, and where there is one."""


@dataclass(frozen=True, slots=True)
class Handover:
    """What one Job gets: two values and a name. Neither value is shown anywhere."""

    old: str = field(repr=False)
    new: str = field(repr=False)
    user: str
    """Whose value it is; empty where the secret does not say."""


@dataclass(frozen=True, slots=True)
class Staged:
    """A candidate that waits in the store."""

    namespace: str
    name: str
    """Of its rotation."""
    made: datetime
    subject: str = ""
    """Key and field that it was made for, as ``key#field``; empty where nothing says so."""


def subject_of(rotation: AirflowSecretRotation, owner: str, run: RunState) -> Subject:
    """Return what a run of the rotation is about: what its Job was told, once there was one.

    Raises ValueError for a rotation of another strategy.
    """
    spec, told = rotation.spec, run.job
    if spec.job is None or spec.key is None or spec.field is None:
        raise ValueError("a rotation without a Job hands nothing over")
    part, users, user_field, switch = spec.part, spec.job.users, spec.job.user_field, ""
    if told is not None and told.part:
        part, user_field, switch = Part(told.part), told.user_field, told.switch
        users = users if switch else ()
    return Subject(
        owner, run.id, spec.key, spec.field, part, spec.generate, run.base_version, users, user_field, switch
    )
