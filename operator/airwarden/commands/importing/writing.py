"""Writes the bindings, the values and the script that puts these into Vault.

Called by `command` for --write. Values are in files of mode 0600 below a folder of mode 0700, and in nothing else:
the script reads them from there, so that they are in no argument list and in no script that somebody keeps.
"""

import json
import os
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml

from airwarden.commands.importing.grouping import Placed, Plan
from airwarden.commands.importing.items import TO_BE_FILLED
from airwarden.domain.errors import InvalidSettings

SCRIPT: Final = "put-values.sh"
_VALUES, _BINDINGS = "values", "bindings"


@dataclass(frozen=True, slots=True)
class Engine:
    """The key-value engine that the script writes to."""

    mount: str
    version: int


def write(found: Plan, engine: Engine, folder: Path) -> None:
    """Write everything below a folder that is new or empty. Raises InvalidSettings for any other."""
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        if any(folder.iterdir()):
            raise InvalidSettings(f"{folder} is not empty: give --write a folder of its own")
        folder.chmod(0o700)
        for each in (_VALUES, _BINDINGS):
            (folder / each).mkdir(mode=0o700)
        _new(folder / _VALUES / ".gitignore", "*\n", 0o600)
        for name, body in found.bindings.items():
            _new(folder / _BINDINGS / f"{name}.yaml", yaml.safe_dump(body, sort_keys=False), 0o600)
        taken = _by_key(found.placed)
        for one in taken:
            _new(folder / _VALUES / file_name(one), json.dumps(dict(one.item.payload), indent=2) + "\n", 0o600)
        _new(folder / SCRIPT, script(taken, engine), 0o700)
    except FileExistsError as error:
        raise InvalidSettings(
            f"{error.filename} is there already: two ids differ in case alone, which this file system cannot tell apart"
        ) from None
    except OSError as error:
        raise InvalidSettings(f"{folder} cannot be written ({error.strerror}): correct --write") from None


def file_name(placed: Placed) -> str:
    """Return the name of the file with an item's value."""
    return f"{placed.item.type}.{placed.item.id}.json"


def script(placed: Iterable[Placed], engine: Engine) -> str:
    """Return the script: it writes what is not there yet, and removes each file whose value Vault has taken."""
    put = _PUT_2 if engine.version == 2 else _PUT_1
    lines = [f"put {shlex.quote(each.key)} {shlex.quote(f'{_VALUES}/{file_name(each)}')}" for each in placed]
    return _HEAD.format(mount=shlex.quote(engine.mount), marker=TO_BE_FILLED, put=put) + "\n".join(lines) + _TAIL


def _by_key(placed: Iterable[Placed]) -> list[Placed]:
    """Return each item once, in however many bindings it is."""
    return list({each.key: each for each in placed if each.taken}.values())


def _new(path: Path, text: str, mode: int) -> None:
    """Write a file that is not there yet, with its mode from the first byte on."""
    opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    with os.fdopen(opened, "w", encoding="utf-8") as file:
        file.write(text)


_HEAD: Final = """\
#!/bin/sh
# Puts the values of values/ into Vault, with your own login (VAULT_ADDR, VAULT_TOKEN, or what vault login left).
# What is there already is never overwritten. A file is removed as soon as Vault has its value, so that the script can
# be run again for the rest. Values are in the files alone: none is in this script or in an argument.
set -u
umask 077
cd "$(dirname "$0")" || exit 2
mount={mount}
left=0

{put}
put() {{
  if [ ! -f "$2" ]; then echo "not there (written before?): $1"; return; fi
  if grep -q {marker} "$2"; then
    left=1; echo "left: $1: put the true value in place of {marker} in $2" >&2; return
  fi
  if said=$(write "$1" "$2" 2>&1); then
    rm -f -- "$2"; echo "written: $1"; return
  fi
  left=1
  case $said in
    *"check-and-set parameter did not match"*) echo "left: $1: something is there already" >&2 ;;
    *) echo "left: $1: $said" >&2 ;;
  esac
}}

"""
_PUT_2: Final = 'write() { vault kv put -mount="$mount" -cas=0 "$1" "@$2"; }\n'
_PUT_1: Final = """\
# Version 1 knows no check-and-set: nobody else may write below these keys meanwhile.
write() {
  if seen=$(vault kv get -mount="$mount" -format=json "$1" 2>&1 >/dev/null); then
    echo "check-and-set parameter did not match"; return 1
  fi
  case $seen in
    "No value found"*) vault kv put -mount="$mount" "$1" "@$2" ;;
    *) echo "$seen"; return 1 ;;
  esac
}
"""
_TAIL: Final = """

if [ "$left" = 1 ]; then echo "Not everything is in Vault: see above, then run this again." >&2; exit 1; fi
echo "All values are in Vault. Next: kubectl apply -f bindings/, and take them away where Airflow had them before."
"""
