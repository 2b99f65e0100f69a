"""Finds the five server binaries of the local control plane, and has the missing ones built.

Order, for each binary on its own: the folder in AIRWARDEN_BIN, then PATH (only
with a matching version), then the user's cache folder, then a build with Go
from the pinned modules in `tools/`. There is no download of prebuilt releases:
no checksum with a record of where it was read is at hand. Called by
`control_plane.py` and `python -m plane`; the build itself is in `building.py`.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from plane.errors import PlaneError

REPOSITORY = Path(__file__).resolve().parents[2]
TOOLS = REPOSITORY / "tools"


@dataclass(frozen=True)
class Binary:
    """One program: where its source is, and how to ask it for its version."""

    name: str
    module: str  # folder under tools/
    package: str  # Go package to build
    pinned_by: str  # module path whose version in go.mod is the one needed
    version_args: tuple[str, ...]
    seconds: int  # a build on two cores, for the estimate only


BINARIES: tuple[Binary, ...] = (
    Binary("etcd", "kubernetes", "go.etcd.io/etcd/server/v3", "go.etcd.io/etcd/server/v3", ("--version",), 60),
    Binary("kubectl", "kubernetes", "k8s.io/kubernetes/cmd/kubectl", "k8s.io/kubernetes", ("version", "--client"), 70),
    Binary(
        "kube-apiserver", "kubernetes", "k8s.io/kubernetes/cmd/kube-apiserver", "k8s.io/kubernetes", ("--version",), 110
    ),
    Binary(
        "kube-controller-manager",
        "kubernetes",
        "k8s.io/kubernetes/cmd/kube-controller-manager",
        "k8s.io/kubernetes",
        ("--version",),
        60,
    ),
    Binary("vault", "vault", ".", "github.com/hashicorp/vault", ("version",), 440),
)


@dataclass(frozen=True)
class Binaries:
    """Paths of the five programs."""

    etcd: Path
    kubectl: Path
    kube_apiserver: Path
    kube_controller_manager: Path
    vault: Path


Say = Callable[[str], None]
Builder = Callable[[list[tuple[Binary, Path]], Path, Mapping[str, str]], None]


def say_on_stderr(line: str) -> None:
    """Print one line where it does not disturb a command's output."""
    print(line, file=sys.stderr, flush=True)


def find_binaries(
    environ: Mapping[str, str] | None = None,
    tools: Path = TOOLS,
    say: Say = say_on_stderr,
    build: Builder | None = None,
) -> Binaries:
    """Return the five programs, building those that are nowhere to be found."""
    env = os.environ if environ is None else environ
    cache = cache_folder(env)
    found: dict[str, Path] = {}
    missing: list[tuple[Binary, Path]] = []
    for binary in BINARIES:
        target = cache / module_key(tools, binary.module) / binary.name
        path = _in_given_folder(binary, env, say) or _on_path(binary, env, tools, say) or _executable(target)
        if path is None:
            missing.append((binary, target))
        found[binary.name] = path or target
    if missing:
        (build or _build_with_go)(missing, tools, env)
    return Binaries(**{name.replace("-", "_"): path for name, path in found.items()})


def cache_folder(env: Mapping[str, str]) -> Path:
    """Return the folder of built binaries: under XDG_CACHE_HOME or the home directory's .cache."""
    given = env.get("XDG_CACHE_HOME", "")
    if Path(given).is_absolute():
        return Path(given) / "airwarden" / "bin"
    home = env.get("HOME", "")
    if home:
        return Path(home) / ".cache" / "airwarden" / "bin"
    try:
        return Path.home() / ".cache" / "airwarden" / "bin"
    except RuntimeError:  # no HOME and no entry for this user
        return Path(tempfile.gettempdir()) / f"airwarden-{os.getuid()}" / "bin"


def module_key(tools: Path, module: str) -> str:
    """Name the cache folder of one tools module.

    It changes with the pinned sources (go.mod holds the Go version too) and the
    platform, not with the patch release of the Go that happens to be installed:
    so a filled cache works without Go, and an update of Go costs no rebuild.
    """
    digest = hashlib.sha256(f"{sys.platform}/{platform.machine()}\n".encode())
    for source in sorted((tools / module).glob("*")):
        if source.name in ("go.mod", "go.sum") or source.suffix == ".go":
            digest.update(source.name.encode() + b"\0" + source.read_bytes() + b"\0")
    return f"{module}-{digest.hexdigest()[:16]}"


def pinned_version(tools: Path, binary: Binary) -> str:
    """Return the version without its `v` that tools/*/go.mod requires of this binary's module."""
    text = (tools / binary.module / "go.mod").read_text()
    match = re.search(rf"^\s*(?:require\s+)?{re.escape(binary.pinned_by)}\s+v(\d+\.\d+\.\d+)", text, re.MULTILINE)
    if match is None:
        raise PlaneError(f"tools/{binary.module}/go.mod does not require {binary.pinned_by}")
    return match.group(1)


def version_of(path: Path, binary: Binary) -> str | None:
    """Ask a program for its version; None if it does not tell."""
    try:
        done = subprocess.run(
            [str(path), *binary.version_args],
            capture_output=True,
            check=False,
            text=True,
            timeout=30,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.search(r"\bv?(\d+\.\d+\.\d+)", done.stdout)
    return match.group(1) if match else None


def _in_given_folder(binary: Binary, env: Mapping[str, str], say: Say) -> Path | None:
    folder = env.get("AIRWARDEN_BIN", "")
    if not folder:
        return None
    path = _executable(Path(folder).absolute() / binary.name)
    if path is None:
        say(f"plane: AIRWARDEN_BIN={folder} holds no executable {binary.name}; looking elsewhere")
    return path


def _on_path(binary: Binary, env: Mapping[str, str], tools: Path, say: Say) -> Path | None:
    hit = shutil.which(binary.name, path=env.get("PATH", ""))
    if hit is None:
        return None
    needed = pinned_version(tools, binary).rsplit(".", 1)[0]
    version = version_of(Path(hit), binary)
    if version is not None and version.rsplit(".", 1)[0] == needed:
        return Path(hit).absolute()
    say(f"plane: ignoring {hit}: version {version or 'unknown'}, needed {needed}.x")
    return None


def _executable(path: Path) -> Path | None:
    return path if path.is_file() and os.access(path, os.X_OK) else None


def _build_with_go(missing: list[tuple[Binary, Path]], tools: Path, env: Mapping[str, str]) -> None:
    from plane.building import build_binaries  # rich and the build are needed once in a machine's life

    build_binaries(missing, tools, env)
