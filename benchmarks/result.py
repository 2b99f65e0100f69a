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
    """The figures of one or more runs on one machine at one commit."""

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
        used = [each.get("others_busy_percent") for each in self.about.get("runs") or ()]
        return any(each is None or each > BUSY for each in used)

    def comes_from(self, other: "Result") -> bool:
        """Tell whether both are of one commit, machine and set of versions, so that they may stand in one file."""
        return all(self.about.get(each) == other.about.get(each) for each in ("commit", "machine", "versions"))

    def merged(self, later: "Result") -> "Result":
        """Return this with what a later run of the same commit and machine found beside it."""
        about = {**later.about, "runs": [*self.about.get("runs", ()), *later.about.get("runs", ())]}
        figures = {**self.figures, **{key: value for key, value in later.figures.items() if value is not None}}
        return Result(about, figures, {**self.scenarios, **later.scenarios})

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


def _rounded(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _rounded(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(each) for each in value]
    return rounded(value) if isinstance(value, float) else value
