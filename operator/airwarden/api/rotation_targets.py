"""Which target goes with which strategy and which settings: each rule in CEL and, for reconcile, in Python.

Used by `airwarden.api.rotation`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from airwarden.api.database_role import SHORTEST_WINDOW, DatabaseKind
from airwarden.api.fields import rule, seconds

if TYPE_CHECKING:
    from airwarden.api.rotation import RotationSpec

_IMMUTABLE: Final = "is immutable: a rotation's record speaks of one secret; make a new rotation instead"
_DECLARED: Final = "has(self.databaseRole) && has(self.databaseRole.declare)"


@dataclass(frozen=True, slots=True)
class TargetRule:
    """One rule on a rotation's spec, said twice."""

    cel: str
    message: str
    holds: "Callable[[RotationSpec], bool]"


def _kind(spec: "RotationSpec") -> DatabaseKind | None:
    return spec.database_role.kind if spec.database_role is not None else None


def _declared(spec: "RotationSpec") -> bool:
    return spec.database_role is not None and spec.database_role.declare is not None


def _period(spec: "RotationSpec") -> str | None:
    role = spec.database_role
    return role.declare.period if role is not None and role.declare is not None else None


RULES: Final = (
    TargetRule(
        "has(self.key) != has(self.databaseRole)",
        "exactly one of key and databaseRole is needed: a rotation is of one secret",
        lambda spec: (spec.key is None) != (spec.database_role is None),
    ),
    TargetRule(
        "has(self.key) == has(self.field)",
        "field is needed with key, and only there: it says which field of the secret gets the new value",
        lambda spec: (spec.key is None) == (spec.field is None),
    ),
    TargetRule(
        "!has(self.databaseRole) || !has(self.keepVersions)",
        "keepVersions is for a key: the store keeps one password of a database role",
        lambda spec: spec.database_role is None or spec.keep_versions is None,
    ),
    TargetRule(
        "!has(self.databaseRole) || ((!has(self.part) || self.part == 'Value') && (!has(self.generate)"
        " || (!has(self.generate.passwordPolicy) && !has(self.generate.length) && !has(self.generate.characters))))",
        "part and generate are for a key: the store makes the passwords of a database role",
        lambda spec: spec.database_role is None or (spec.part == "Value" and not spec.generate.model_fields_set),
    ),
    TargetRule(
        "!has(self.key) || !(self.strategy in ['Native', 'Revoke'])",
        "a key needs strategy Generate or Job: the store does not rotate the values of keys by itself",
        lambda spec: spec.key is None or spec.strategy not in {"Native", "Revoke"},
    ),
    TargetRule(
        "!has(self.databaseRole) || self.databaseRole.kind == 'Dynamic' || self.strategy == 'Native'",
        "a databaseRole of kind Static or Root needs strategy Native: the store itself makes its passwords",
        lambda spec: _kind(spec) in {None, DatabaseKind.DYNAMIC} or spec.strategy == "Native",
    ),
    TargetRule(
        "!has(self.databaseRole) || self.databaseRole.kind != 'Dynamic' || self.strategy == 'Revoke'",
        "a databaseRole of kind Dynamic needs strategy Revoke: it has leases, and no password of its own",
        lambda spec: _kind(spec) is not DatabaseKind.DYNAMIC or spec.strategy == "Revoke",
    ),
    TargetRule(
        f"!({_DECLARED}) || has(self.schedule) != has(self.databaseRole.declare.period)",
        "a declared role needs exactly one of schedule and databaseRole.declare.period: by it the store rotates",
        lambda spec: not _declared(spec) or (spec.schedule is None) != (_period(spec) is None),
    ),
    TargetRule(
        f"!({_DECLARED}) || (!has(self.window) && !has(self.jitter))",
        "window and jitter do not go with databaseRole.declare: the store rotates by its own clock and knows neither",
        lambda spec: not _declared(spec) or (spec.window is None and spec.jitter is None),
    ),
    TargetRule(
        f"!({_DECLARED}) || !has(self.timeZone) || self.timeZone == 'UTC'",
        "timeZone must be UTC with databaseRole.declare: Vault reads its schedules in UTC, and ignores a zone that is "
        "given with them; write the schedule in UTC, or leave declare out and let Airwarden keep the time",
        lambda spec: not _declared(spec) or spec.time_zone == "UTC",
    ),
    TargetRule(
        f"!({_DECLARED}) || !has(self.startingDeadline) || (has(self.schedule)"
        " && duration(self.startingDeadline) >= duration('1h'))",
        "startingDeadline with databaseRole.declare becomes the store's rotation_window, which goes with a schedule "
        "alone and is at least 1h",
        lambda spec: (
            not _declared(spec)
            or spec.starting_deadline is None
            or (spec.schedule is not None and seconds(spec.starting_deadline) >= SHORTEST_WINDOW)
        ),
    ),
)


def cel_rules() -> tuple[dict[str, str], ...]:
    """Return the rules as the CRD has them, with those that hold what a rotation is for."""
    return (
        *(rule(each.cel, each.message) for each in RULES),
        rule("has(self.databaseRole) == has(oldSelf.databaseRole)", f"databaseRole {_IMMUTABLE}"),
        *(
            rule(
                f"has(self.{each}) == has(oldSelf.{each}) && (!has(self.{each}) || self.{each} == oldSelf.{each})",
                f"{each} {_IMMUTABLE}",
            )
            for each in ("key", "field")
        ),
    )


def check(spec: "RotationSpec") -> None:
    """Raise ValueError for the first rule that a spec breaks."""
    for each in RULES:
        if not each.holds(spec):
            raise ValueError(each.message)
