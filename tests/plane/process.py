"""One server process of the plane: start, stop, pause, resume, and what its log says when it dies.

Used by the servers in this package. Every command line holds the plane's data
directory, or it works in there, which is how a recorded pid is known to be ours
before it is ended.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from plane.errors import PlaneError
from plane.waiting import wait_for

TAIL_LINES = 25
GRACE = 10.0


class ServerProcess:
    """A named child process that can be started again with the same command line."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        data_dir: Path,
        user: int | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self._environment = dict(environment or {})
        self._user = user
        self._command = list(command)
        self._data_dir = data_dir
        self.log = data_dir / "logs" / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The process id, None when it is not running."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def start(self) -> None:
        """Start the process; it is not ready yet when this returns."""
        if self.pid is not None:
            raise PlaneError(f"{self.name} is already running")
        home = self._data_dir / "home"
        home.mkdir(parents=True, exist_ok=True)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        environment = {"PATH": os.environ.get("PATH", ""), "HOME": str(home), "TMPDIR": str(home)}
        environment |= self._environment
        with self.log.open("ab") as out:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                cwd=home,
                env=environment,
                user=self._user,
                group=self._user,
                start_new_session=True,  # Ctrl-C ends the test run, which then ends the plane in order
            )
        with (self._data_dir / "pids").open("a") as pids:
            pids.write(f"{self._process.pid} {self.name}\n")

    def wait_ready(self, check: Callable[[], bool], deadline: float) -> None:
        """Wait until `check` is true; fail at once, with the end of the log, if the process dies."""

        def ready_or_dead() -> bool:
            if self.pid is None:
                raise PlaneError(f"{self.name} ended with status {self.exit_status}\n{self.log_tail()}")
            return check()

        try:
            wait_for(f"{self.name} is ready", ready_or_dead, deadline)
        except PlaneError as error:
            if self.pid is None:
                raise
            raise PlaneError(f"{error}\n{self.log_tail()}") from None

    @property
    def exit_status(self) -> int | None:
        """The exit status, None while running or before the first start."""
        return None if self._process is None else self._process.poll()

    def stop(self, grace: float = GRACE) -> None:
        """End the process in order, with force after `grace` seconds. Nothing happens if it is not running."""
        process = self._process
        if process is None or process.poll() is not None:
            return
        process.send_signal(signal.SIGCONT)  # a paused process would not see the next signal
        process.terminate()
        try:
            process.wait(timeout=grace)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End the process at once, as a crash would."""
        process = self._process
        if process is not None and process.poll() is None:
            process.kill()
            process.wait(timeout=GRACE)

    def pause(self) -> None:
        """Freeze the process: connections are accepted by the system, and nothing answers."""
        self._signal(signal.SIGSTOP)
        if self._process is not None:
            # The signal is only on its way: wait until all threads stand still, or the process has ended.
            os.waitid(os.P_PID, self._process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def resume(self) -> None:
        """Let a paused process go on."""
        self._signal(signal.SIGCONT)

    def log_tail(self) -> str:
        """Return the last lines of the log, with its path."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        lines = text.splitlines()[-TAIL_LINES:]
        return "\n".join([f"the end of {self.log}:", *lines])

    def _signal(self, number: signal.Signals) -> None:
        if self._process is None or self._process.poll() is not None:
            raise PlaneError(f"{self.name} is not running")
        self._process.send_signal(number)


def command_line(pid: int) -> str:
    """Return the command line of any process, empty if there is none (a zombie has none either)."""
    proc = Path(f"/proc/{pid}/cmdline")
    if Path("/proc/self/cmdline").exists():
        try:
            return proc.read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        except (FileNotFoundError, ProcessLookupError):
            return ""
    done = subprocess.run(
        ["/bin/ps", "-ww", "-o", "command=", "-p", str(pid)], capture_output=True, check=False, text=True
    )
    return done.stdout.strip()


def _folder(pid: int) -> Path:
    """Return where any process works: a forked one shows the command line of the one that it was forked from."""
    try:
        return Path(f"/proc/{pid}/cwd").readlink()
    except OSError:
        return Path()


def is_stopped(pid: int) -> bool:
    """Tell whether a process stands still, or has ended."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return True
    return state in {"T", "Z", "X"}


def recorded_pids(data_dir: Path) -> list[tuple[int, str]]:
    """Return pid and name of the processes that were started for a data directory and still run for it."""
    path = data_dir / "pids"
    if not path.exists():
        return []
    result = []
    for line in path.read_text().splitlines():
        pid, _, name = line.partition(" ")
        if pid.isdigit() and (str(data_dir) in command_line(int(pid)) or data_dir in _folder(int(pid)).parents):
            result.append((int(pid), name))
    return result


def kill_recorded(data_dir: Path) -> list[str]:
    """End every process that still runs for a data directory; return their names."""
    ended = []
    for pid, name in recorded_pids(data_dir):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
        ended.append(name)
    return ended
