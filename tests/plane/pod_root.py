"""One container of a played pod: a process with a root folder of its own, in which the pod's volumes are mounted.

Used by `kubelet.py`. The image is this machine: its files, seen through an overlay that keeps writes apart, with
the project's .venv first on the PATH. The process has its own mounts and process numbers, the pod's user and no
capabilities, and sees no other pod's files. There is no cgroup, no network of its own, no image.

As root the user of the pod is taken on. Anybody else runs it under their own user, in a user namespace.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from plane.binaries import REPOSITORY

_START: Final = """\
set -eu
state=$1 user=$2 folders=$3; shift 3
rw=$state/rw root=$state/root
mkdir -p "$rw" "$root"
mount -t tmpfs tmpfs "$rw"
mkdir "$rw/up" "$rw/work"
mount -t overlay overlay -o "lowerdir=/,upperdir=$rw/up,workdir=$rw/work" "$root"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mkdir -p "$root$REPOSITORY"
mount --rbind "$REPOSITORY" "$root$REPOSITORY"
if [ -d "$root/root" ]; then chmod 711 "$root/root"; fi
mount -t tmpfs -o mode=755 tmpfs "$root/run"
while IFS=' ' read -r way source target; do
    mkdir -p "$root$target"
    mount --bind "$state/volumes/$source" "$root$target"
    mount -o "remount,bind,$way" "$root$target"
done < "$folders"
mount -t tmpfs -o mode=1777 tmpfs "$root$HIDDEN"
trap 'kill -TERM "$child" 2>/dev/null || :' TERM
if [ "$user" = own ]; then
    /usr/sbin/chroot "$root" env -u REPOSITORY -u HIDDEN "$@" &
else
    /usr/sbin/chroot --userspec="$user" --groups= "$root" \
        setpriv --no-new-privs --bounding-set=-all env -u REPOSITORY -u HIDDEN "$@" &
fi
child=$!
status=0
wait "$child" || status=$?
while kill -0 "$child" 2>/dev/null; do status=0; wait "$child" || status=$?; done
exit "$status"
"""


@dataclass(frozen=True)
class Container:
    """What is run."""

    command: tuple[str, ...]
    environment: Mapping[str, str]
    mounts: Sequence[tuple[str, str, bool]]
    """Name of a volume, where it is mounted, and whether it can be written."""
    user: int
    group: int


class PodProcess:
    """The running container of one pod. ``state`` is a folder of its own that holds ``volumes``."""

    def __init__(self, container: Container, state: Path, hidden: Path) -> None:
        script, folders = state / "start.sh", state / "mounts"
        script.write_text(_START)
        folders.write_text("".join(_mount(*each) for each in container.mounts))
        own = os.geteuid() != 0
        user = "own" if own else f"{container.user}:{container.group}"
        spaces = ["--user", "--map-root-user"] if own else []
        command = ["unshare", *spaces, "--mount", "--pid", "--fork", "--kill-child", "--propagation", "private"]
        ours = {"REPOSITORY": str(REPOSITORY), "HIDDEN": str(_hidden(hidden))}
        self.log = state / "output.log"
        with self.log.open("wb") as out:
            self._process = subprocess.Popen(
                [*command, "sh", str(script), str(state), user, str(folders), *container.command],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                cwd="/",
                env={**container.environment, **ours},
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Of the process that holds the pod's namespaces: with it all of the pod ends."""
        return self._process.pid

    def wait(self, seconds: float | None = None) -> int | None:
        """Return the exit code; None when it has not ended by then."""
        try:
            code = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None
        return 128 - code if code < 0 else code

    def terminate(self) -> None:
        """Ask it to end."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children")
        for each in children.read_text().split() if children.exists() else ():
            os.kill(int(each), signal.SIGTERM)

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()
        self._process.wait()


def pods_can_run() -> bool:
    """Tell whether the calling user may make what a pod runs in; some machines permit it to root alone."""
    own = ["--user", "--map-root-user"] if os.geteuid() != 0 else []
    command = ["unshare", *own, "--mount", "--pid", "--fork", "mount", "-t", "tmpfs", "tmpfs", "/run"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def search_path() -> str:
    """Return the PATH of a pod: where an image would have Python, there is the project's own."""
    return f"{Path(sys.prefix) / 'bin'}:/usr/local/bin:/usr/bin:/bin"


def _mount(name: str, path: str, writable: bool) -> str:
    # /var/run is often a link to /run, and an absolute link would lead out of the pod's root.
    return f"{'rw' if writable else 'ro'} {name} {Path(path).resolve()}\n"


def _hidden(folder: Path) -> Path:
    """Return what no pod may see. Of shared memory that is all: the folders of other planes are there as well."""
    shared = Path("/dev/shm")  # noqa: S108 - named, not written
    return shared if shared in folder.parents else folder
