"""What one run found, and its file: every figure, null for what was not run, with where and when.

Written by `runner`, read by the comparison, the chart, the page and its test.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from benchmarks.errors import BenchmarkError
from benchmarks.figures import KEYS
from benchmarks.maths import rounded

Json = dict[str, Any]
_ABOUT: Final = ("commit", "date", "machine", "runs", "versions")
_APART: Final = ("huge", "soak", "tasks")
_APART_KEYS: Final = frozenset(key for key in KEYS if key.endswith("_10000") or key.startswith("task_"))
BUSY: Final = 10.0
"""Percent of the machine that other programs may use before times say little."""
LATEST: Final = Path(__file__).parent / "results" / "latest.json"


@dataclass(frozen=True, slots=True)
class Measured:
    """What one scenario found: figures of `figures.py`, and whatever else is worth keeping."""

    figures: Mapping[str, float] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse a figure that is nowhere explained."""
        unknown = sorted(set(self.figures) - set(KEYS))
        if unknown:
            raise ValueError(f"not in benchmarks/figures.py: {', '.join(unknown)}")


@dataclass(frozen=True, slots=True)
class Result:
    """The figures of one or more runs on one machine; each run says at which commit it was."""

    about: Mapping[str, Any]
    figures: Mapping[str, float | None]
    scenarios: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, about: Mapping[str, Any], scenarios: Mapping[str, Measured]) -> Self:
        """Put together what the scenarios of a run found."""
        found: dict[str, float | None] = dict.fromkeys(KEYS)
        for each in scenarios.values():
            found.update({key: rounded(value, 4) for key, value in each.figures.items()})
        return cls(about, found, {name: _rounded(each.details) for name, each in scenarios.items()})

    def value(self, key: str) -> float | None:
        """Return one figure; None when it was not measured."""
        return self.figures.get(key)

    def growth(self) -> list[Json]:
        """Return the details of the scenarios with new bindings, the smallest first."""
        found = [dict(each) for name, each in self.scenarios.items() if name.startswith("new-")]
        return sorted(found, key=lambda each: float(each["bindings"]))

    @property
    def disturbed(self) -> bool:
        """True when other programs used so much of the machine that times say little, or when that is not known."""
        runs = self.about.get("runs") or ()
        # The apart runs take no time that a budget speaks of.
        used = [each.get("others_busy_percent") for each in runs if not _apart(each)] or [
            each.get("others_busy_percent") for each in runs
        ]
        return any(each is None or each > BUSY for each in used)

    @property
    def apart(self) -> bool:
        """True for a run that stands beside the usual one: most bindings, the long run, or the tasks."""
        return all(_apart(each) for each in self.about.get("runs") or ())

    def comes_from(self, other: "Result") -> bool:
        """Tell whether both are of one machine and set of versions, so that they may stand in one file."""
        return all(self.about.get(each) == other.about.get(each) for each in ("machine", "versions"))

    def beside(self, before: "Result") -> "Result":
        """Return this run's result together with what ``before`` holds of other kinds of runs.

        A usual run takes the place of the last one and leaves the apart ones; an apart run takes its own place.
        """
        kinds = {each["kind"] for each in self.about["runs"]}
        runs = [each for each in before.about.get("runs") or () if _apart(each) or self.apart]
        kept = [each for each in runs if each["kind"] not in kinds]
        own = before.scenarios if self.apart else [name for each in kept for name in each.get("scenarios") or ()]
        figures = {
            key: value
            for key, value in before.figures.items()
            if (self.apart or key in _APART_KEYS) and self.figures.get(key) is None
        }
        usual = next((each for each in (self, before) if not each.apart), self)
        return Result(
            {**usual.about, "runs": [*kept, *self.about["runs"]]},
            {**self.figures, **figures},
            {**{name: before.scenarios[name] for name in own if name in before.scenarios}, **self.scenarios},
        )

    def text(self) -> str:
        """Return the file's text."""
        flat = {
            **{key: self.figures.get(key) for key in KEYS},
            **{key: self.about.get(key) for key in _ABOUT},
            "scenarios": dict(self.scenarios),
        }
        return json.dumps(flat, indent=2) + "\n"


def write(path: Path, result: Result) -> None:
    """Write a result's file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(result.text())


def read(path: Path) -> Result:
    """Read a result's file. Raises BenchmarkError when it is none."""
    try:
        found = json.loads(path.read_text())
    except OSError as error:
        raise BenchmarkError(f"{path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise BenchmarkError(f"{path} is not a result of make bench: {error}") from None
    if not isinstance(found, dict) or not set(found) & set(KEYS):
        raise BenchmarkError(f"{path} is not a result of make bench: it has none of its keys")
    about = {key: found.get(key) for key in _ABOUT}
    return Result(about, {key: found.get(key) for key in KEYS}, found.get("scenarios") or {})


def _apart(run: Mapping[str, Any]) -> bool:
    return run.get("kind") in _APART


def _rounded(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _rounded(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(each) for each in value]
    return rounded(value) if isinstance(value, float) else value
