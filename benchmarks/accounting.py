"""What the kernel has counted of one process: processor time, memory, open sockets.

Called by `meter` and the soak, for the operator's process. Linux only: /proc is where it stands.
"""

import os
from pathlib import Path

from benchmarks.errors import BenchmarkError

_TICK = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """Return the processor time of all threads so far, in user and kernel mode."""
    fields = _read(pid, "stat").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


def rss_mb(pid: int) -> float:
    """Return the resident memory in MB of 2**20 bytes."""
    for line in _read(pid, "status").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise BenchmarkError(f"the kernel does not say how much memory process {pid} has")


def open_sockets(pid: int) -> int:
    """Return how many sockets are open."""
    count = 0
    for each in Path(f"/proc/{pid}/fd").iterdir():
        try:
            count += str(each.readlink()).startswith("socket:")
        except FileNotFoundError:
            continue  # closed meanwhile
    return count


def _read(pid: int, name: str) -> str:
    try:
        return Path(f"/proc/{pid}/{name}").read_text()
    except (FileNotFoundError, ProcessLookupError):
        raise BenchmarkError(f"process {pid} has ended, or this is no Linux: its accounts cannot be read") from None
