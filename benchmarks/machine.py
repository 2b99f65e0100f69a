"""What a result was measured on: machine, versions, commit, and how busy the machine was with other things.

Called by `runner`. No host names and no paths: a result is published.
"""

import importlib.metadata
import os
import platform
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from plane.binaries import REPOSITORY
from plane.control_plane import Plane

_LIBRARIES = ("kopf", "kubernetes", "hvac", "aiohttp", "pydantic")


def machine() -> dict[str, Any]:
    """Return what the machine is."""
    return {
        "processor": _field("/proc/cpuinfo", "model name") or platform.processor() or "unknown",
        "cores": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9),
        "system": f"{platform.system()} {platform.release()}",
    }


def versions(plane: Plane) -> dict[str, str]:
    """Return the versions of everything that takes part."""
    return {
        "airwarden": importlib.metadata.version("airwarden"),
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in _LIBRARIES},
        "kube-apiserver": str(plane.api.admin.request("GET", "/version")["gitVersion"]),
        "vault": str(plane.vault.request("GET", "sys/seal-status")["version"]),
        "etcd": _etcd(plane),
    }


def commit(folder: Path = REPOSITORY) -> str:
    """Return the commit, with -dirty for code that differs from it; results and the page do not count."""
    found = _git(folder, "rev-parse", "--short=12", "HEAD")
    if not found:
        return "unknown"
    changed = _git(folder, "status", "--porcelain", "--", "operator", "benchmarks/*.py", "benchmarks/scenarios/*.py")
    return f"{found}-dirty" if changed else found


class Bystanders:
    """Counts, from its making on, what the machine did besides us and the processes that we started."""

    def __init__(self) -> None:
        self._ticks, self._ours = _ticks(), _own_seconds()

    def percent(self) -> float | None:
        """Return the share of all cores that others used so far; None where the kernel does not say.

        Of processes that we started, only those that have ended count as ours.
        """
        now = _ticks()
        if self._ticks is None or now is None or now[1] == self._ticks[1]:
            return None
        busy = (now[1] - now[0]) - (self._ticks[1] - self._ticks[0])
        ours = (_own_seconds() - self._ours) * os.sysconf("SC_CLK_TCK")
        return max(0.0, round(100 * (busy - ours) / (now[1] - self._ticks[1]), 1))


def described(about: Mapping[str, Any]) -> str:
    """Return machine, versions and commit in one line, for people."""
    found, by = about.get("machine") or {}, about.get("versions") or {}
    where = f"{found.get('cores')} cores of {found.get('processor')}, {found.get('memory_gb')} GB"
    what = ", ".join(f"{name} {by[name]}" for name in ("python", "kopf", "kube-apiserver", "vault") if name in by)
    return f"{where}; {what}; commit {about.get('commit')}; {about.get('date')}"


def _etcd(plane: Plane) -> str:
    done = subprocess.run([str(plane.binaries.etcd), "--version"], capture_output=True, check=False, text=True)
    found = re.search(r"etcd Version: (\S+)", done.stdout)
    return found.group(1) if found else "unknown"


def _git(folder: Path, *args: str) -> str:
    command = ["git", "-C", str(folder), *args]
    try:
        return subprocess.run(command, capture_output=True, check=False, text=True).stdout.strip()
    except FileNotFoundError:
        return ""


def _field(path: str, name: str) -> str:
    try:
        text = Path(path).read_text()
    except OSError:
        return ""
    found = re.search(rf"^{re.escape(name)}\s*:\s*(.+)$", text, re.MULTILINE)
    return found.group(1).strip() if found else ""


def _own_seconds() -> float:
    """Return our processor time and that of all processes that we have started and that ended."""
    found = os.times()
    return found.user + found.system + found.children_user + found.children_system


def _ticks() -> tuple[int, int] | None:
    """Return idle and all ticks of the processor so far."""
    try:
        first = Path("/proc/stat").read_text().splitlines()[0]
    except OSError:
        return None
    ticks = [int(each) for each in first.split()[1:9]]
    return ticks[3] + ticks[4], sum(ticks)
