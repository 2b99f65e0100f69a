"""Strategy Job of a rotation: which template changes the target, and what is recorded while it does.

Part of `airwarden.api.rotation`; read by `airwarden.domain.rotation.jobs`.
"""

from typing import Annotated, Final, Literal, Self

from pydantic import ConfigDict, Field, StringConstraints, model_validator

from airwarden.api.conditions import StatusModel
from airwarden.api.fields import DNS_LABEL, Duration, Model, Unique, matches, rule, schema, seconds

LONGEST_TIMEOUT: Final = 3600
MOST_ATTEMPTS: Final = 5
_TOO_LONG: Final = "timeout must be at most 1h: what takes longer changes more than a password"
_TWO_USERS: Final = "users must be two, which take turns, or none"

TemplateName = Annotated[
    str,
    StringConstraints(max_length=52),  # that of a CronJob
    matches(DNS_LABEL, "must be the name of a CronJob in the operator's rotation namespace"),
]
OptionalTemplateName = Annotated[
    str,
    StringConstraints(max_length=52),
    matches(f"^({DNS_LABEL.strip('^$')})?$", "must be the name of a CronJob in the operator's rotation namespace"),
]
OptionalField = Annotated[
    str,
    StringConstraints(max_length=128),
    matches(r"^([A-Za-z0-9_][A-Za-z0-9_.-]*)?$", "must be a field's name: letters, digits, underscores, dots, dashes"),
]
UserName = Annotated[
    str,
    StringConstraints(max_length=128),
    matches(r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$", "must be a user's name: letters, digits, underscores, dots and dashes"),
]


class RotationJob(Model):
    """The Job that brings the target to the new value, before the store has it."""

    template: TemplateName
    """A suspended CronJob of the operator's rotation namespace, which one allow rule must permit."""
    timeout: Duration = "10m"
    """How long a Job may take; at most 1h."""
    attempts: Annotated[int, Field(ge=1, le=MOST_ATTEMPTS)] = 3
    """How many Jobs one run tries, each with the same candidate, further and further apart."""
    verify: OptionalTemplateName = ""
    """A template that tries the new value once the store has it. Default: none."""
    users: Annotated[tuple[UserName, ...], Field(max_length=2), Unique()] = ()
    """Two users of the target that take turns, so that what uses the former value keeps working until the next run."""
    user_field: OptionalField = ""
    """Field of the secret that names the user; with part URIPassword the URI does."""

    model_config = ConfigDict(
        json_schema_extra=schema(
            rule("!has(self.users) || size(self.users) != 1", _TWO_USERS),
            rule("!has(self.timeout) || duration(self.timeout) <= duration('1h')", _TOO_LONG),
        )
    )

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        if len(self.users) == 1:
            raise ValueError(_TWO_USERS)
        if seconds(self.timeout) > LONGEST_TIMEOUT:
            raise ValueError(_TOO_LONG)
        return self

    @property
    def templates(self) -> tuple[str, ...]:
        """The templates that a rule must permit."""
        return (self.template, self.verify) if self.verify else (self.template,)


class JobState(StatusModel):
    """Where a run of strategy Job stands: recorded before each step that must not be taken twice."""

    model_config = ConfigDict(json_schema_extra=schema(map_type="atomic"))

    stage: Literal["Change", "Promote", "Verify", "VerifyFormer", "Restore", "Finish"]
    """Change: a Job changes the target; Promote: the store gets the candidate; Verify, VerifyFormer: a Job tries the
    new, then the former value; Restore: the store gets the former value again; Finish: the candidate goes."""
    attempt: int = 1
    """Which try of the stage."""
    job: Annotated[str, Field(max_length=63)] = ""
    """Name of its Job in the rotation namespace, for people: what is done follows from the run alone."""
    deadline: Annotated[str, Field(max_length=64)] = ""
    """When the Job that runs must have ended, RFC 3339; empty before it was let run."""
    not_before: Annotated[str, Field(max_length=64)] = ""
    """When the next try may begin, RFC 3339."""
    part: Annotated[str, Field(max_length=32)] = ""
    """The rotation's part when the Job was made: an edit since does not touch the run."""
    switch: Annotated[str, Field(max_length=128)] = ""
    """The one of two users that the Job changed, and that the promotion names in the secret."""
    user_field: Annotated[str, Field(max_length=128)] = ""
    """The rotation's job.userField when the Job was made."""
    template: Annotated[str, Field(max_length=52)] = ""
    """The rotation's job.template when its first Job was let run: the run uses no other."""
    verify: Annotated[str, Field(max_length=52)] = ""
    """The same of job.verify. A rule is asked again before each Job that is made of either."""
    lost: int = 0
    """How often the stage's Job was gone before its end was seen, and the try was repeated."""
    version: int = 0
    """Version of the secret that holds the candidate."""
    reason: Annotated[str, Field(max_length=64)] = ""
    """Why the last try failed, one word from the page of reasons."""
    trouble: Annotated[str, Field(max_length=1024)] = ""
    """The same in a sentence."""


def job_rules(*, strategy: str, part_uri: str) -> tuple[dict[str, str], ...]:
    """Return the rules of a rotation's spec on its Job, for the strategy's and the part's words."""
    return (
        rule(f"(has(self.strategy) && self.strategy == '{strategy}') == has(self.job)", JOB_WITH_STRATEGY),
        rule(
            "!has(self.job) || !has(self.job.users) || size(self.job.users) == 0"
            f" || (has(self.part) && self.part == '{part_uri}')"
            " || (has(self.job.userField) && self.job.userField != '')",
            USER_FIELD_MISSING,
        ),
        rule(
            "!has(self.job) || !has(self.job.userField) || !has(self.field) || self.job.userField != self.field",
            USER_FIELD_TAKEN,
        ),
    )


JOB_WITH_STRATEGY: Final = "job must be given with strategy Job, and only then"
USER_FIELD_MISSING: Final = "job.userField must be given with job.users: the store must say whose password it holds"
USER_FIELD_TAKEN: Final = "job.userField must be another field than field"


def check_job(job: RotationJob | None, *, wanted: bool, field: str | None, part_is_uri: bool) -> None:
    """Raise ValueError unless the Job fits the rest of the spec."""
    if wanted != (job is not None):
        raise ValueError(JOB_WITH_STRATEGY)
    if job is None:
        return
    if job.users and not part_is_uri and not job.user_field:
        raise ValueError(USER_FIELD_MISSING)
    if job.user_field and job.user_field == field:
        raise ValueError(USER_FIELD_TAKEN)
