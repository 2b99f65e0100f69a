"""What belongs together stays in one process when several share the tests: else each starts servers of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

TESTS = """
import os, pathlib, pytest

@pytest.mark.xdist_group("{group}")
@pytest.mark.parametrize("number", range(12))
def test_it(number):
    with pathlib.Path("{group}.txt").open("a") as found:
        print(os.environ["PYTEST_XDIST_WORKER"], file=found)
"""


def test_the_tests_of_one_group_are_run_by_one_process(tmp_path: Path) -> None:
    for group in ("one", "other"):
        (tmp_path / f"test_{group}.py").write_text(TESTS.format(group=group))
    (tmp_path / "pytest.ini").write_text("[pytest]\n")

    command = [sys.executable, "-m", "pytest", "-q", "--numprocesses=2", "--dist=loadgroup", "--no-loadscope-reorder"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout
    used = [set((tmp_path / f"{group}.txt").read_text().split()) for group in ("one", "other")]
    assert [len(each) for each in used] == [1, 1]
    assert used[0] != used[1]
