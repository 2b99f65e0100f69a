"""The record of a kept plane in `.local/`: what runs, where it is, and the user's environment file.

Called by `python -m plane` only. A process is ended only while its command line
still holds the text that was recorded for it, so a reused pid is left alone.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
from dataclasses import asdict, dataclass
from pathlib import Path

from plane.certificates import write_private
from plane.control_plane import Plane
from plane.errors import PlaneError
from plane.process import command_line, recorded_pids
from plane.waiting import wait_for

GRACE = 10.0


@dataclass(frozen=True)
class KeptProcess:
    """A process of a kept plane; `match` is in its command line."""

    name: str
    pid: int
    match: str

    def alive(self) -> bool:
        """Tell whether it runs and is still the process that was recorded."""
        return self.match in command_line(self.pid)


@dataclass(frozen=True)
class KeptPlane:
    """What `down` and `status` need to know; `processes` in the order in which they are ended."""

    data_dir: str
    kubeconfig: str
    api_url: str
    vault_address: str
    processes: tuple[KeptProcess, ...]


def describe(plane: Plane, extras: list[KeptProcess]) -> KeptPlane:
    """Describe a running plane; extras (the operator) are ended before its servers."""
    apart = {each.pid for each in extras}
    recorded = [(pid, name) for pid, name in recorded_pids(plane.data_dir) if pid not in apart]
    servers = [KeptProcess(name, pid, str(plane.data_dir)) for pid, name in recorded]
    return KeptPlane(
        data_dir=str(plane.data_dir),
        kubeconfig=str(plane.kubeconfig),
        api_url=plane.api_url,
        vault_address=plane.vault_address,
        processes=(*extras, *reversed(servers)),
    )


def save(folder: Path, kept: KeptPlane, environment: dict[str, str]) -> None:
    """Write the record and the environment file."""
    folder.mkdir(parents=True, exist_ok=True)
    write_private(folder / "plane.json", (json.dumps(asdict(kept), indent=2) + "\n").encode())
    lines = [f"export {name}={shlex.quote(value)}\n" for name, value in environment.items()]
    write_private(folder / "env", "".join(lines).encode())


def load(folder: Path) -> KeptPlane | None:
    """Read the record, None if there is none."""
    path = folder / "plane.json"
    if not path.exists():
        return None
    try:
        raw = json.loads(path.read_text())
        processes = tuple(KeptProcess(**item) for item in raw.pop("processes"))
        return KeptPlane(**raw, processes=processes)
    except (ValueError, KeyError, TypeError) as error:
        raise PlaneError(f"{path} cannot be read ({error}); end its processes by hand and remove it") from None


def end(folder: Path, kept: KeptPlane) -> list[str]:
    """End what still runs of a kept plane, remove its data and its record; return the names of the ended."""
    ended = [process.name for process in kept.processes if _end(process)]
    shutil.rmtree(kept.data_dir, ignore_errors=True)
    for name in ("plane.json", "env"):
        (folder / name).unlink(missing_ok=True)
    shutil.rmtree(folder / "quickstart", ignore_errors=True)
    return ended


def _end(process: KeptProcess) -> bool:
    if not process.match or not process.alive():
        return False
    for number in (signal.SIGCONT, signal.SIGTERM):
        _send(process.pid, number)
    try:
        wait_for(f"{process.name} has ended", lambda: not process.alive(), GRACE)
    except PlaneError:
        _send(process.pid, signal.SIGKILL)
        wait_for(f"{process.name} has ended", lambda: not process.alive(), GRACE)
    return True


def _send(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
