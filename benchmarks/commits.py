"""Measures two commits in turn with this checkout's benchmarks, and shows one against the other.

Called by `__main__` for --compare-commits. Each commit is checked out into a temporary folder; operator and
control plane come from there, the yardstick stays the same.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.errors import BenchmarkError
from benchmarks.result import Result, read
from plane.binaries import REPOSITORY


def measure(revision: str) -> Result:
    """Return what a quick run of that commit finds. Its progress goes to standard error."""
    with _worktree(revision) as folder, tempfile.TemporaryDirectory(prefix="airwarden-bench-") as kept:
        needed = folder / "tests" / "plane" / "operator.py"
        if not needed.exists():
            raise BenchmarkError(f"{revision} cannot be measured: it has no operator that the local plane can start")
        output = Path(kept) / "result.json"
        path = os.pathsep.join(str(each) for each in (folder / "operator", folder / "tests", REPOSITORY))
        command = [sys.executable, "-m", "benchmarks", "--quick", f"--output={output}"]
        environment = {**os.environ, "PYTHONPATH": path}
        done = subprocess.run(
            command, cwd=REPOSITORY, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=False
        )
        if not output.exists():
            raise BenchmarkError(f"the run of {revision} ended with status {done.returncode} and without a result")
        return read(output)


@contextmanager
def _worktree(revision: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="airwarden-bench-") as parent:
        folder = Path(parent) / "checkout"
        _git("worktree", "add", "--detach", "--quiet", str(folder), revision)
        try:
            yield folder
        finally:
            _git("worktree", "remove", "--force", str(folder))


def _git(*args: str) -> None:
    command = ["git", "-C", str(REPOSITORY), *args]
    done = subprocess.run(command, capture_output=True, check=False, text=True)
    if done.returncode != 0:
        raise BenchmarkError(f"git {' '.join(args[:2])}: {done.stderr.strip()}")
