"""`python -m plane up | down | status | binaries`: a plane that stays, behind `make up` and `make down`.

`up` writes `.local/env` (KUBECONFIG, VAULT_ADDR, VAULT_TOKEN) and the record of
its processes; `down` ends exactly these. Run with `tests` on PYTHONPATH.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from plane import state
from plane.binaries import BINARIES, REPOSITORY, find_binaries
from plane.control_plane import ControlPlane, Plane
from plane.errors import PlaneError
from plane.vault_admin import prepare_store

LOCAL = REPOSITORY / ".local"


def start_extras(plane: Plane) -> list[state.KeptProcess]:
    """Start what `up` runs beside the servers, and return it: the operator's place is here."""
    prepare_store(plane)
    return []


def up(folder: Path) -> int:
    """Start a plane that outlives this command; say where it is if one runs already."""
    kept = state.load(folder)
    if kept is not None:
        if all(process.alive() for process in kept.processes):
            print(f"The plane is already up: source {folder / 'env'}")
            return 0
        state.end(folder, kept)
        print("Removed what was left of a plane that was no longer whole.")
    control = ControlPlane(detached=True)
    plane = control.start()
    extras: list[state.KeptProcess] = []
    environment = {
        "KUBECONFIG": str(plane.kubeconfig),
        "VAULT_ADDR": plane.vault_address,
        "VAULT_TOKEN": plane.vault_token,
    }
    try:
        state.save(folder, state.describe(plane, extras), environment)
        extras = start_extras(plane)
        state.save(folder, state.describe(plane, extras), environment)
    except BaseException:
        state.end(folder, state.describe(plane, extras))
        control.stop()
        raise
    print(f"The plane is up after {plane.start_seconds:.1f} s: API server {plane.api_url}, Vault {plane.vault_address}")
    print(f"Use it with: source {folder / 'env'}    Stop it with: make down")
    return 0


def down(folder: Path) -> int:
    """Stop the kept plane; fine if there is none."""
    kept = state.load(folder)
    if kept is None:
        print("No plane is up.")
        return 0
    ended = state.end(folder, kept)
    print(f"Stopped {', '.join(ended)}." if ended else "Nothing of the plane was running any more.")
    return 0


def status(folder: Path) -> int:
    """Show each process; exit 1 unless a plane is up and whole."""
    kept = state.load(folder)
    if kept is None:
        print("No plane is up.")
        return 1
    for process in kept.processes:
        print(f"{process.name:<24} pid {process.pid:<8} {'running' if process.alive() else 'GONE'}")
    print(f"API server {kept.api_url}, Vault {kept.vault_address}, data {kept.data_dir}")
    return 0 if all(process.alive() for process in kept.processes) else 1


def binaries(folder: Path) -> int:
    """Find or build the binaries and print their paths: what a first run spends its minutes on."""
    found = find_binaries()
    for binary in BINARIES:
        print(getattr(found, binary.name.replace("-", "_")))
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Run one command."""
    commands = {"up": up, "down": down, "status": status, "binaries": binaries}
    parser = argparse.ArgumentParser(prog="plane", description="The local control plane of this repository.")
    parser.add_argument("command", choices=sorted(commands))
    parser.add_argument("--folder", type=Path, default=LOCAL, help="where the record is kept (default: .local)")
    chosen = parser.parse_args(arguments)
    try:
        return commands[chosen.command](chosen.folder.absolute())
    except PlaneError as error:
        print(f"plane: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
