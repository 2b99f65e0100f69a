"""The program, forked from a process that has it imported, is a process of its own in every way that shows."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from functools import partial
from operator import methodcaller
from pathlib import Path

import pytest

from plane import program
from plane.binaries import REPOSITORY
from plane.ports import free_ports
from plane.process import is_stopped
from plane.waiting import wait_for

SOON = 30.0


def own(tmp_path: Path, **more: str) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "PYTHONPATH": str(REPOSITORY / "operator"),
        "PYTHONUNBUFFERED": "1",
        **more,
    }


@pytest.mark.parametrize("arguments", [("nonsense",), ("run", "--cluster=No!"), ("--version",)])
def test_it_says_and_ends_as_a_fresh_one_does(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    line = [sys.executable, "-m", "airwarden", *arguments]
    environment = own(tmp_path, COLUMNS="77")
    fresh = subprocess.run(line, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    forked = program.run(arguments, environment, tmp_path)
    assert (forked.returncode, forked.stdout, forked.stderr) == (fresh.returncode, fresh.stdout, fresh.stderr)


def test_each_has_its_input_environment_and_folder(tmp_path: Path) -> None:
    for word in ("one", "two"):
        folder = tmp_path / word
        folder.mkdir()
        (folder / "spec.yaml").write_text(f"[{word}")
        read = program.run(["roles", "render", "-f", "spec.yaml"], own(folder), folder)
        piped = program.run(["roles", "render", "-f", "-"], own(folder), folder, stdin=f"[{word}")
        assert (read.returncode, piped.returncode) == (2, 2)
        assert "spec.yaml" in read.stderr
        assert f"[{word}" in read.stderr
        assert f"[{word}" in piped.stderr


def test_it_can_be_frozen_ended_and_killed(tmp_path: Path) -> None:
    port, own_port = free_ports(2)
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(
        "{apiVersion: v1, kind: Config, current-context: x, contexts: [{name: x, context: {cluster: c, user: u}}],"
        f" clusters: [{{name: c, cluster: {{server: 'https://127.0.0.1:{port}'}}}}], users: [{{name: u, user: {{}}}}]}}"
    )
    with (tmp_path / "log").open("wb") as out:
        line = ["run", "--cluster=c", f"--kubeconfig={kubeconfig}", f"--metrics-port={own_port}"]
        for end, status in ((methodcaller("kill"), -signal.SIGKILL), (methodcaller("terminate"), -signal.SIGTERM)):
            started = program.start(line, own(tmp_path), tmp_path, out)
            assert started.poll() is None
            os.kill(started.pid, signal.SIGSTOP)
            wait_for("it stands still", partial(is_stopped, started.pid), SOON)
            assert started.poll() is None
            with pytest.raises(subprocess.TimeoutExpired):
                started.wait(0.01)
            end(started)
            with contextlib.suppress(ProcessLookupError):  # a killed one does not wait until it may go on
                os.kill(started.pid, signal.SIGCONT)
            assert started.wait(SOON) == status
            assert (started.poll(), started.wait()) == (status, status)
            end(started)  # nobody is hit
