"""Reads what Airflow's commands export, and files of AIRFLOW_CONN_… and AIRFLOW_VAR_….

Called by `command`. What a parser says of a broken file is not repeated: it quotes the file.
"""

import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NoReturn

import yaml

from airwarden.api.binding import SecretType
from airwarden.commands.importing.items import Item, item, printable
from airwarden.domain.errors import InvalidSettings

_PREFIXES: Final = {"AIRFLOW_CONN_": SecretType.CONNECTION, "AIRFLOW_VAR_": SecretType.VARIABLE}
_OF_A_TEAM: Final = re.compile(r"_.+___.+")
_STDIN: Final = Path("-")
_TWICE: Final = "it stands there twice: leave one out"


class _Object(dict[str, Any]):
    """A JSON object that remembers which of its names stood there twice."""

    twice: frozenset[str] = frozenset()


def exported(kind: SecretType, file: Path) -> list[Item]:
    """Return what an export of connections, or of variables, holds. Raises InvalidSettings for a file as a whole."""
    readers: dict[str, Callable[[Path, str], _Object]] = {
        ".json": _json,
        ".yaml": _yaml,
        ".yml": _yaml,
        ".env": _lines,
    }
    suffix = ".json" if file == _STDIN else file.suffix.lower()
    if suffix not in readers:
        raise InvalidSettings(
            f"{file} is of no known format: its name must end in .json, .yaml or .env, as Airflow's do"
        )
    found = readers[suffix](file, _content(file))
    origin = "standard input" if file == _STDIN else file.name
    return [
        Item(kind, name, origin, wrong=_TWICE) if name in found.twice else item(kind, name, origin, value)
        for name, value in found.items()
    ]


def variables_file(file: Path) -> list[Item]:
    """Return what a file of AIRFLOW_CONN_… and AIRFLOW_VAR_… holds; other lines are passed over."""
    origin = "standard input" if file == _STDIN else file.name
    return _named(list(_assignments(_content(file))), origin)


def variables(environment: Mapping[str, str]) -> list[Item]:
    """Return what the variables of a process hold."""
    return _named(list(environment.items()), "environment")


def _named(pairs: Sequence[tuple[str, str | None]], origin: str) -> list[Item]:
    """Return an item for each name of Airflow's; a value of None is one whose quotes do not end."""
    names = [name for name, _ in pairs]
    found: dict[str, Item] = {}
    for name, value in pairs:
        prefix = next((each for each in _PREFIXES if name.startswith(each) and name != each), None)
        if prefix is None:
            continue
        kind, wanted = _PREFIXES[prefix], name.removeprefix(prefix)
        if _OF_A_TEAM.fullmatch(wanted):
            found[name] = Item(kind, wanted, origin, wrong="it is a team's own, and bindings know no teams")
        elif names.count(name) > 1:
            found[name] = Item(kind, wanted.lower(), origin, wrong=_TWICE)
        elif value is None:
            found[name] = Item(kind, wanted.lower(), origin, wrong="its quotes do not end on its line")
        else:
            found[name] = item(kind, wanted.lower(), origin, value, case_unknown=True)
    return list(found.values())


def _assignments(text: str) -> Iterator[tuple[str, str | None]]:
    """Yield names and values of lines such as NAME=value, which may be in quotes and begin with export."""
    for line in text.splitlines():
        name, equals, value = line.strip().removeprefix("export ").partition("=")
        if equals and not name.startswith("#"):
            yield name.strip(), _unquoted(value.strip())


def _unquoted(value: str) -> str | None:
    """Return a value without the quotes around it; None if they do not end, or hold what only a shell reads."""
    quote = value[:1]
    if quote not in {"'", '"'}:
        return value
    inner = value[1:-1]
    ended = len(value) > 1 and value.endswith(quote) and quote not in inner
    return inner if ended and not (quote == '"' and {"\\", "$", "`"} & set(inner)) else None


def _content(file: Path) -> str:
    try:
        return sys.stdin.read() if file == _STDIN else file.read_text(encoding="utf-8")
    except OSError as error:
        raise InvalidSettings(f"{file} cannot be read ({error.strerror}): correct its name") from None
    except UnicodeDecodeError:
        raise InvalidSettings(f"{file} is not UTF-8: is it what Airflow exported?") from None


def _json(file: Path, text: str) -> _Object:
    try:
        found = json.loads(text, object_pairs_hook=_object)
    except json.JSONDecodeError as error:
        _broken(file, f"no whole JSON (line {error.lineno}, column {error.colno})")
    except RecursionError:
        _broken(file, "nested too deep")
    return _whole(file, found)


def _object(pairs: list[tuple[str, Any]]) -> _Object:
    found = _Object(pairs)
    names = [name for name, _ in pairs]
    found.twice = frozenset(name for name in found if names.count(name) > 1) if len(names) > len(found) else frozenset()
    return found


def _yaml(file: Path, text: str) -> _Object:
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        found = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        _broken(file, "no YAML" if mark is None else f"no YAML (line {mark.line + 1}, column {mark.column + 1})")
    except (RecursionError, ValueError):  # a date that does not exist, for one
        _broken(file, "no YAML that Airflow writes")
    made = _whole(file, found)
    names = [str(key.value) for key, _ in node.value] if isinstance(node, yaml.MappingNode) else []
    made.twice = frozenset(name for name in made if names.count(name) > 1)
    return made


def _lines(file: Path, text: str) -> _Object:
    """Return the lines of an export as .env: an id, an equals sign, and a URI or JSON."""
    pairs: list[tuple[str, Any]] = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, equals, value = line.partition("=")
        if not equals or not name or not value:
            _broken(file, f"wrong at line {number}: it is no id, equals sign and value")
        pairs.append((name, value))
    return _object(pairs)


def _whole(file: Path, found: object) -> _Object:
    if not isinstance(found, dict) or not all(isinstance(name, str) for name in found):
        _broken(file, "no object whose names are ids")
    return found if isinstance(found, _Object) else _Object(found)


def _broken(file: Path, what: str) -> NoReturn:
    raise InvalidSettings(
        f"{printable(file)} is {what}: export it anew with airflow connections export, or airflow variables export"
    )
