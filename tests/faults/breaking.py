"""Runs named tests on a copy of the tree with one breakage in it.

Used by `tests/faults/test_mutants.py`. The tree itself is never touched, so that a run that is
interrupted leaves nothing broken behind.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from faults.mutant import Mutant
from plane.binaries import REPOSITORY

GREEN, RED = 0, 1
_NEEDED = ("operator", "provider", "tests", "docs", "manifests", "crds", "tools", "pyproject.toml")
_TIMEOUT = 300.0


@dataclass(frozen=True)
class Outcome:
    """How a test run ended."""

    status: int
    said: str


class Copy:
    """A copy of the tree that can be broken and mended."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._green: set[str] = set()
        for name in _NEEDED:
            source = REPOSITORY / name
            if source.is_dir():
                shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__", ".*"))
            elif source.exists():
                shutil.copy2(source, folder / name)

    def run(self, tests: Iterable[str]) -> Outcome:
        """Run tests on the copy, until the first fails."""
        environment = {
            **os.environ,
            "PYTHONPATH": str(self.folder / "operator"),
            "PYTHONDONTWRITEBYTECODE": "1",  # bytecode of the same second and size would hide a breakage
        }
        command = [sys.executable, "-m", "pytest", "-x", "-q", "--no-header", "-p", "no:cacheprovider"]
        command += ["--hypothesis-profile=no-shrink", *tests]
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_TIMEOUT,
            check=False,
        )
        return Outcome(done.returncode, done.stdout[-3000:])

    def hold_green(self, tests: Iterable[str]) -> None:
        """Fail unless the tests are green on the tree as it stands."""
        new = sorted(set(tests) - self._green)
        if new:
            whole = self.run(new)
            assert whole.status == GREEN, f"red without any breakage\n{whole.said}"
            self._green.update(new)

    def run_broken(self, mutant: Mutant) -> Outcome:
        """Break the copy, run the mutant's tests, and mend it. They must be green before: else red proves nothing."""
        self.hold_green(mutant.tests)
        path = self.folder / mutant.source / mutant.file
        text = path.read_text()
        path.write_text(text.replace(mutant.text, mutant.replacement))
        try:
            return self.run(mutant.tests)
        finally:
            path.write_text(text)


def occurrences(mutant: Mutant) -> int:
    """Return how often the text of a mutant stands in its file."""
    return (REPOSITORY / mutant.source / mutant.file).read_text().count(mutant.text)
