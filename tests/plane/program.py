"""Starts `airwarden` as a process of its own without importing it anew each time.

To import the program takes a second of processor time, and the tests start it
some thousand times. So one process has it imported, and does nothing but fork:
each start has its own process, arguments, environment, folder and streams, and
ends by itself, as any other. What a fresh interpreter does is shown where that
is the point (`test_operator_process.py`, the demo, the benchmarks).

Called by `plane.operator` and by the tests of the commands. Linux only, as the
fork of an interpreter with Apple's libraries in it is not safe: elsewhere each
start is a fresh one.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Protocol

from plane.binaries import REPOSITORY
from plane.errors import PlaneError

_ROOM = 1 << 20
_STREAMS = 3
_GRACE = 10.0
_CAN_FORK = sys.platform.startswith("linux")


class Started(Protocol):
    """What can be asked of a started process: a part of `subprocess.Popen`."""

    @property
    def pid(self) -> int:
        """The process id."""

    def poll(self) -> int | None:
        """Return the exit status, minus the signal's number for a killed one; None while it runs."""

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end; subprocess.TimeoutExpired after that many seconds."""

    def terminate(self) -> None:
        """Send SIGTERM."""

    def kill(self) -> None:
        """Send SIGKILL."""


class Forked:
    """One process that the prepared one has forked. Its parent tells by a pipe how it ended."""

    def __init__(self, told: int) -> None:
        self._told = told
        self._status: int | None = None
        self.pid = self._read()

    def poll(self) -> int | None:
        """Return the exit status, None while it runs."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self._status

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end; subprocess.TimeoutExpired after that many seconds."""
        if self._status is None:
            asked = select.poll()
            asked.register(self._told, select.POLLIN)
            if not asked.poll(None if timeout is None else timeout * 1000):
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0.0)
            self._status = self._read()
            os.close(self._told)
        return self._status

    def terminate(self) -> None:
        """Send SIGTERM."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):  # ended since
                os.kill(self.pid, number)

    def _read(self) -> int:
        text = b""
        while not text.endswith(b"\n"):
            more = os.read(self._told, 1)
            if not more:
                raise PlaneError("the prepared process is gone, and with it what it knew of the ones that it started")
            text += more
        return int(text)


class _Prepared:
    """The process that has the program imported."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        environment = {"PATH": os.environ.get("PATH", ""), "PYTHONUNBUFFERED": "1"}
        environment["PYTHONPATH"] = os.pathsep.join(str(REPOSITORY / each) for each in ("operator", "tests"))
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "plane.program", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                env=environment,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,  # Ctrl-C ends the test run, which then ends what it started in order
            )
        self._socket = ours
        atexit.register(self._end)

    def _end(self) -> None:
        self._socket.close()  # which it takes for its end; what it started goes on
        self._process.wait(_GRACE)

    def start(
        self, arguments: Sequence[str], environment: Mapping[str, str], folder: Path, streams: Sequence[int]
    ) -> Forked:
        asked = json.dumps({"arguments": [*arguments], "environment": {**environment}, "folder": str(folder)})
        told, tells = os.pipe()
        try:
            socket.send_fds(self._socket, [asked.encode()], [*streams, tells])
        finally:
            os.close(tells)
        return Forked(told)


_STARTING = threading.Lock()


@functools.cache
def _prepared_of(_process: int) -> _Prepared:
    return _Prepared()


def fresh(arguments: Sequence[str], environment: Mapping[str, str], folder: Path, out: IO[bytes]) -> Started:
    """Start `airwarden` in an interpreter of its own; else as `start`."""
    return subprocess.Popen(
        [sys.executable, "-m", "airwarden", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=out,
        stderr=out,
        cwd=folder,
        env=dict(environment),
        start_new_session=True,
    )


def start(arguments: Sequence[str], environment: Mapping[str, str], folder: Path, out: IO[bytes]) -> Started:
    """Start `airwarden` in that folder, with that environment alone, no input, and both outputs in ``out``."""
    if not _CAN_FORK:
        return fresh(arguments, environment, folder, out)
    with Path(os.devnull).open("rb") as nothing:
        return _forked(arguments, environment, folder, (nothing, out, out))


def run(
    arguments: Sequence[str], environment: Mapping[str, str], folder: Path, stdin: str = "", timeout: float = 120.0
) -> subprocess.CompletedProcess[str]:
    """Run `airwarden` to its end, with what it is given and says in pipes that are no terminal."""
    line = [sys.executable, "-m", "airwarden", *arguments]
    if not _CAN_FORK:
        return subprocess.run(
            line,
            env=dict(environment),
            cwd=folder,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
        )
    with contextlib.ExitStack() as stack:
        given, out, err = (stack.enter_context(tempfile.TemporaryFile()) for _ in range(_STREAMS))
        given.write(stdin.encode())
        given.seek(0)
        process = _forked(arguments, environment, folder, (given, out, err))
        try:
            status = process.wait(timeout)
        finally:
            process.kill()
        for each in (out, err):
            each.seek(0)
        return subprocess.CompletedProcess(line, status, out.read().decode(), err.read().decode())


def _forked(
    arguments: Sequence[str], environment: Mapping[str, str], folder: Path, streams: Sequence[IO[bytes]]
) -> Forked:
    with _STARTING:
        prepared = _prepared_of(os.getpid())
    return prepared.start(arguments, environment, folder, [each.fileno() for each in streams])


def _serve(asked: socket.socket) -> None:
    """Fork for each request; returns in each child that is to be the program, and when nobody asks any more."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those who wait
    while True:
        text, descriptors, *_ = socket.recv_fds(asked, _ROOM, _STREAMS + 1)
        if not text:
            sys.exit(0)
        if os.fork() == 0:
            asked.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _become(json.loads(text), descriptors)
            return
        for each in descriptors:
            os.close(each)


def _become(job: Mapping[str, object], descriptors: Sequence[int]) -> None:
    """Fork once more, and return in the child, which has what it was given; the other waits for it and tells."""
    *streams, tells = descriptors
    os.setsid()
    child = os.fork()
    if child != 0:
        for each in streams:
            os.close(each)
        os.write(tells, f"{child}\n".encode())
        _, status = os.waitpid(child, 0)
        os.write(tells, f"{os.waitstatus_to_exitcode(status)}\n".encode())
        os._exit(0)
    os.close(tells)
    for number, each in enumerate(streams):
        os.dup2(each, number)
        os.close(each)
    arguments, environment = job["arguments"], job["environment"]
    assert isinstance(arguments, list)
    assert isinstance(environment, dict)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(str(job["folder"]))
    # The program names itself in what it says of its usage by how it was started.
    sys.modules["__main__"].__package__ = "airwarden"
    sys.argv = [str(REPOSITORY / "operator" / "airwarden" / "__main__.py"), *arguments]


def _main() -> None:
    with socket.socket(fileno=int(sys.argv[1])) as asked:
        from airwarden.cli import main

        if threading.active_count() != 1:
            sys.exit("a program that starts threads when it is imported cannot be forked")
        _serve(asked)
    main()


if __name__ == "__main__":
    _main()
