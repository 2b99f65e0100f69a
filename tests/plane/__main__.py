"""`python -m plane up | down | status | binaries`: a plane that stays, behind `make up` and `make down`.

`up` starts the operator too and writes `.local/env` (KUBECONFIG, VAULT_ADDR,
VAULT_TOKEN, PATH) and the record of its processes; `down` ends exactly these. Run with `tests` on PYTHONPATH.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from plane import quickstart, state
from plane.binaries import BINARIES, REPOSITORY, find_binaries
from plane.control_plane import ControlPlane, Plane
from plane.errors import PlaneError
from plane.operator import ACCOUNT, AUDIENCE, NAMESPACE, OperatorProcess, Options, install, set_up_vault
from plane.vault_admin import prepare_store

LOCAL = REPOSITORY / ".local"
CLUSTER = "local"
TOKEN_SECONDS = 30 * 24 * 3600


def start_extras(plane: Plane, folder: Path) -> list[state.KeptProcess]:
    """Start what `up` runs beside the servers, and return it: the operator, and the quickstart ready to be applied."""
    prepare_store(plane)
    quickstart.write_secrets(plane)
    quickstart.write_overlay(folder / "quickstart", plane.vault_address)
    install(plane)
    set_up_vault(plane, quickstart.backend(plane.vault_address), CLUSTER)
    operator = OperatorProcess(plane, Options(cluster=CLUSTER, log_level="info", fresh=True))
    try:
        operator.start()
        _write_lasting_token(plane, operator)
    except BaseException:
        operator.kill()
        raise
    print(f"The operator runs as cluster {CLUSTER}; its log: {operator.log}")
    return [state.KeptProcess("operator", operator.pid, str(plane.data_dir))]


def _write_lasting_token(plane: Plane, operator: OperatorProcess) -> None:
    """Replace the operator's store token by one that lasts: no kubelet renews it while the plane is kept."""
    waiting = operator.tokens / f".{AUDIENCE}"
    waiting.touch(mode=0o600)
    waiting.write_text(plane.service_account_token(NAMESPACE, ACCOUNT, AUDIENCE, TOKEN_SECONDS))
    waiting.rename(operator.tokens / AUDIENCE)


def _environment(plane: Plane) -> dict[str, str]:
    """Return what a shell needs: the plane's addresses, and its programs first on PATH."""
    programs = (Path(sys.executable), plane.binaries.kubectl, plane.binaries.vault)
    folders = dict.fromkeys(str(program.parent) for program in programs)
    return {
        "KUBECONFIG": str(plane.kubeconfig),
        "VAULT_ADDR": plane.vault_address,
        "VAULT_TOKEN": plane.vault_token,
        "PATH": os.pathsep.join([*folders, os.environ.get("PATH", os.defpath)]),
    }


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
    environment = _environment(plane)
    try:
        state.save(folder, state.describe(plane, extras), environment)
        extras = start_extras(plane, folder)
        state.save(folder, state.describe(plane, extras), environment)
    except BaseException:
        state.end(folder, state.describe(plane, extras))
        control.stop()
        raise
    print(f"The plane is up after {plane.start_seconds:.1f} s: API server {plane.api_url}, Vault {plane.vault_address}")
    print(f"Use it with: source {folder / 'env'}    Stop it with: make down")
    print(f"Then, for a start: kubectl apply -k {folder / 'quickstart'}")
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
    del folder
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
