"""Builds the missing binaries of the local control plane with Go, once per machine.

Called by `binaries.py` when a binary is neither given nor on PATH nor in the
cache. A file lock keeps two runs from building twice; each binary is built
under a temporary name and renamed, so a cache never holds half a file.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from plane.binaries import Binary, pinned_version, say_on_stderr
from plane.errors import PlaneError
from plane.progress import Progress, open_progress

BUILD_DEADLINE = 3600.0  # seconds for one binary; a slow disk and a slow network still make it
DISK_GIB = 12  # module and build cache of Go after a first build


def build_binaries(missing: list[tuple[Binary, Path]], tools: Path, env: Mapping[str, str]) -> None:
    """Build every missing binary to its cache path."""
    go = _find_go(tools, env)
    go_env = _go_environment(env, missing[0][1].parents[2])
    root = missing[0][1].parents[1]
    root.mkdir(parents=True, exist_ok=True)
    with _lock(root / ".lock"):
        rest = [(binary, target) for binary, target in missing if not target.is_file()]
        if not rest:
            return  # another run built them while this one waited
        minutes = max(1, round(sum(binary.seconds for binary, _ in rest) / 60))
        say_on_stderr(
            f"plane: building {', '.join(b.name for b, _ in rest)} from tools/ into {root}: about {minutes} minutes "
            f"on two cores and up to {DISK_GIB} GiB in Go's caches, once"
        )
        with open_progress(len(rest)) as progress:
            for number, (binary, target) in enumerate(rest, 1):
                progress.begin(number, binary.name, binary.seconds)
                _build(go, binary, target, tools, go_env, progress)
                progress.done(binary.name)


def _build(go: str, binary: Binary, target: Path, tools: Path, env: Mapping[str, str], progress: Progress) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    log = target.parent / f"{binary.name}.log"
    handle, name = tempfile.mkstemp(prefix=f".{binary.name}.", dir=target.parent)
    os.close(handle)
    partial = Path(name)
    command = [go, "build", "-trimpath", f"-ldflags={_ldflags(tools, binary)}", "-o", str(partial), binary.package]
    try:
        if _run(command, tools / binary.module, env, log, progress) != 0:
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-20:])
            raise PlaneError(f"building {binary.name} failed (whole output: {log}):\n{tail}\n{_advice(tail)}")
        partial.chmod(0o755)
        partial.replace(target)
        log.unlink()
    finally:
        partial.unlink(missing_ok=True)


def _run(command: list[str], cwd: Path, env: Mapping[str, str], log: Path, progress: Progress) -> int:
    deadline = time.monotonic() + BUILD_DEADLINE
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, cwd=cwd, env=dict(env), stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
        )
        try:
            while time.monotonic() < deadline:
                try:
                    return process.wait(timeout=0.5)
                except subprocess.TimeoutExpired:
                    progress.tick()
            raise PlaneError(f"{command[-1]} was not built within {BUILD_DEADLINE:.0f} s; its output is in {log}")
        finally:
            if process.poll() is None:  # interrupted or late: Go's compilers must not go on alone
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _ldflags(tools: Path, binary: Binary) -> str:
    flags = ["-s", "-w"]
    if binary.pinned_by == "k8s.io/kubernetes":  # built from a module, it would call itself v0.0.0-master
        version = pinned_version(tools, binary)
        major, minor, _ = version.split(".")
        for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version"):
            flags += [f"-X={package}.gitVersion=v{version}", f"-X={package}.gitMajor={major}"]
            flags += [f"-X={package}.gitMinor={minor}", f"-X={package}.gitCommit=", f"-X={package}.gitTreeState=clean"]
    return " ".join(flags)


def _find_go(tools: Path, env: Mapping[str, str]) -> str:
    needed = _needed_go(tools)
    remedy = (
        f"Install Go {needed} or newer and put it on PATH, or put ready binaries of the needed versions "
        "into a folder and set AIRWARDEN_BIN to it."
    )
    go = shutil.which("go", path=env.get("PATH", ""))
    if go is None:
        raise PlaneError(f"the control plane's binaries are not built yet and Go is not on PATH. {remedy}")
    done = subprocess.run(
        [go, "env", "GOVERSION"],
        check=False,
        cwd=tools / "kubernetes",
        env=_go_environment(env, Path(tempfile.gettempdir())),
        capture_output=True,
        text=True,
    )
    match = re.match(r"go(\d+)\.(\d+)", done.stdout)
    found = (int(match.group(1)), int(match.group(2))) if match else (0, 0)
    if done.returncode != 0 or found < tuple(int(part) for part in needed.split(".")):
        said = (done.stdout + done.stderr).strip() or "nothing"
        raise PlaneError(f"{go} is too old or does not work (it says: {said}). {remedy}")
    return go


def _needed_go(tools: Path) -> str:
    versions = []
    for module in ("kubernetes", "vault"):
        match = re.search(r"^go (\d+)\.(\d+)", (tools / module / "go.mod").read_text(), re.MULTILINE)
        if match:
            versions.append((int(match.group(1)), int(match.group(2))))
    if not versions:
        raise PlaneError("tools/*/go.mod name no Go version")
    return ".".join(str(part) for part in max(versions))


def _go_environment(env: Mapping[str, str], cache: Path) -> dict[str, str]:
    """Return what the build runs with: nothing of the user's that could change the result."""
    result = {**env, "GOFLAGS": "-mod=readonly -buildvcs=false", "CGO_ENABLED": "0", "GOWORK": "off"}
    for name in ("GOOS", "GOARCH"):  # a cross build could not run here
        result.pop(name, None)
    if not result.get("HOME"):  # Go refuses to run with no place for its caches
        result.setdefault("GOCACHE", str(cache / "go-build"))
        result.setdefault("GOPATH", str(cache / "go"))
    return result


def _advice(tail: str) -> str:
    if "no space left" in tail:
        return f"The disk is full: a build needs up to {DISK_GIB} GiB; move Go's caches with GOCACHE and GOMODCACHE."
    if "signal: killed" in tail:
        return "A compiler was killed, most likely for lack of memory: 4 GiB are enough; or set GOMAXPROCS=1."
    if any(sign in tail for sign in ("dial tcp", "proxyconnect", "no such host", "connection refused")):
        return "Go could not fetch modules: check the network and GOPROXY, then run the same command again."
    return "Run the same command again; what was compiled so far is kept in Go's cache."


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    deadline = time.monotonic() + 2 * BUILD_DEADLINE
    with path.open("w") as handle:
        told = False
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise PlaneError(f"another run has held {path} for two hours; end it and try again") from None
                if not told:
                    say_on_stderr("plane: another run is building the binaries; waiting for it")
                    told = True
                time.sleep(0.5)
        yield
