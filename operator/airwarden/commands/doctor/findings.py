"""What a check says: a finding, or that it could not look. Unknown is never reported as fine.

Made by the checks beside this module from `facts.Facts`, shown by `airwarden.commands.doctor.showing`.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from airwarden.commands.caller import FINE, FOUND, UNUSABLE


class Severity(StrEnum):
    """How bad a finding is. Hints do not make a run fail."""

    DANGER = "danger"
    """Somebody may read what no binding grants."""
    WARNING = "warning"
    """Something does not work, or access outlives its reason."""
    HINT = "hint"
    """Nothing is wrong, but somebody should know."""


class Check(StrEnum):
    """What is checked; the value is the heading."""

    LOGINS = "Logins beside Airwarden"
    RBAC = "Kubernetes rights of managed accounts"
    ACCOUNTS = "Managed accounts"
    BINDINGS = "Bindings"
    ENVIRONMENTS = "Environments"
    BACKENDS = "Backends"
    RULES = "Allow rules"
    LEFTOVERS = "Leftovers in the stores"
    OPERATOR = "The operator's own rights"
    ROTATIONS = "Rotations"
    AUDIT = "Audit of the stores"
    KINDS = "Installed kinds"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is wrong, or worth knowing, and what to do about it."""

    check: Check
    severity: Severity
    object: str
    problem: str
    next_step: str


@dataclass(frozen=True, slots=True)
class Unchecked:
    """A check that was not made, and what it needs."""

    check: Check
    object: str
    needs: str


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """All that was found, and all that could not be looked at."""

    findings: tuple[Finding, ...] = ()
    unchecked: tuple[Unchecked, ...] = field(default=())

    @classmethod
    def of(cls, said: Iterable[Finding | Unchecked]) -> "Diagnosis":
        """Sort what checks said: by check, the worst first."""
        everything = list(said)
        checks, severities = list(Check), list(Severity)
        findings = [each for each in everything if isinstance(each, Finding)]
        unchecked = [each for each in everything if isinstance(each, Unchecked)]
        findings.sort(
            key=lambda each: (checks.index(each.check), severities.index(each.severity), each.object, each.problem)
        )
        unchecked.sort(key=lambda each: (checks.index(each.check), each.object))
        return cls(tuple(dict.fromkeys(findings)), tuple(dict.fromkeys(unchecked)))

    @property
    def status(self) -> int:
        """Exit status: FOUND beats what could not be checked, and that beats FINE. Hints do not count."""
        if any(each.severity is not Severity.HINT for each in self.findings):
            return FOUND
        return UNUSABLE if self.unchecked else FINE
