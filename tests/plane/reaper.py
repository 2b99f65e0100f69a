"""Ends a plane whose owner died without leaving its context (SIGKILL, a crash of the interpreter).

`control_plane.py` starts it as `python -m plane.reaper DATA_DIR` with a pipe on
stdin. The pipe closes when the owner is gone, in whichever way; then whatever
still runs for the data directory is ended and the directory removed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from plane.process import kill_recorded, recorded_pids
from plane.waiting import wait_for

GRACE = 10.0


def start_reaper(data_dir: Path) -> subprocess.Popen[bytes]:
    """Start the reaper for the calling process."""
    tests = Path(__file__).resolve().parents[1]
    return subprocess.Popen(
        [sys.executable, "-m", "plane.reaper", str(data_dir)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(tests)},
        start_new_session=True,
    )


def main(data_dir: Path) -> None:
    """Wait for the end of stdin, then clean up."""
    sys.stdin.buffer.read()
    if kill_recorded(data_dir):
        wait_for("the processes have ended", lambda: not recorded_pids(data_dir), GRACE)
    shutil.rmtree(data_dir, ignore_errors=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
