"""One process of the plane: early death, pause, force, and what is ended when the owner is gone."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from plane.errors import PlaneError
from plane.process import ServerProcess, command_line, kill_recorded, recorded_pids
from plane.reaper import start_reaper
from plane.waiting import wait_for

SLEEP = "import time; print('up', flush=True); time.sleep(60)"
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"


def server(data_dir: Path, code: str) -> ServerProcess:
    return ServerProcess("fake", [sys.executable, "-c", code, str(data_dir)], data_dir)


def up(process: ServerProcess) -> bool:
    return process.log.exists() and "up" in process.log.read_text()


def test_an_early_death_shows_the_end_of_the_log_at_once(tmp_path: Path) -> None:
    process = server(tmp_path, "print('bad flag'); raise SystemExit(3)")
    process.start()
    with pytest.raises(PlaneError, match=r"(?s)fake ended with status 3.*bad flag"):
        process.wait_ready(lambda: False, deadline=20)


def test_never_ready_is_an_error_after_the_deadline(tmp_path: Path) -> None:
    process = server(tmp_path, SLEEP)
    process.start()
    with pytest.raises(PlaneError, match="fake is ready: not within"):
        process.wait_ready(lambda: False, deadline=0.2)
    process.kill()


@pytest.mark.parametrize(("code", "status"), [(SLEEP, -15), (DEAF, -9)])
def test_stop_ends_a_paused_process_with_force_if_it_must(tmp_path: Path, code: str, status: int) -> None:
    process = server(tmp_path, code)
    process.start()
    process.wait_ready(lambda: up(process), deadline=20)
    process.pause()
    process.stop(grace=0.3)
    assert (process.pid, process.exit_status) == (None, status)
    process.stop()


def test_a_process_can_be_started_again_but_not_twice(tmp_path: Path) -> None:
    process = server(tmp_path, SLEEP)
    process.start()
    with pytest.raises(PlaneError, match="already running"):
        process.start()
    first = process.pid
    process.kill()
    process.start()
    assert process.pid not in (None, first)
    process.kill()
    with pytest.raises(PlaneError, match="not running"):
        process.pause()


def test_only_processes_of_the_data_directory_are_ended(tmp_path: Path) -> None:
    process = server(tmp_path, SLEEP)
    process.start()
    with (tmp_path / "pids").open("a") as pids:
        pids.write(f"{os.getpid()} stranger\n999999999 gone\n")
    wait_for("the command line is visible", lambda: recorded_pids(tmp_path), 60)
    assert recorded_pids(tmp_path) == [(process.pid, "fake")]
    assert kill_recorded(tmp_path) == ["fake"]
    wait_for("it has ended", lambda: process.pid is None, 60)


def test_the_reaper_cleans_up_when_its_pipe_closes(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    data_dir.mkdir()
    process = server(data_dir, SLEEP)
    process.start()
    reaper = start_reaper(data_dir)
    assert process.pid is not None
    assert reaper.stdin is not None
    reaper.stdin.close()
    wait_for("the process has ended", lambda: process.pid is None, 20)
    assert reaper.wait(timeout=20) == 0
    assert not data_dir.exists()


def test_there_is_no_command_line_of_a_process_that_is_not() -> None:
    assert command_line(999999999) == ""
    assert command_line(os.getpid()) != ""
