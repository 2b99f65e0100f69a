"""Reads the files of `airwarden plan -f`: bindings, and backends and namespaces that stand in for the live ones."""

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from airwarden.api.backend import AirflowSecretBackend
from airwarden.api.binding import AirflowSecretBinding
from airwarden.api.environment import AirflowEnvironment
from airwarden.api.metadata import Metadata
from airwarden.domain.errors import InvalidSettings
from airwarden.reconcile.wording import complaints

_STDIN = Path("-")


@dataclass(frozen=True, slots=True)
class Declared:
    """What the files hold. Objects of other kinds are passed over."""

    bindings: tuple[AirflowSecretBinding, ...] = ()
    backends: tuple[AirflowSecretBackend, ...] = ()
    namespaces: tuple[Metadata, ...] = ()
    environments: tuple[AirflowEnvironment, ...] = ()


def read_files(files: tuple[Path, ...], namespace: str) -> Declared:
    """Return what the files declare; a binding without a namespace gets the given one.

    Raises InvalidSettings for a file that cannot be read, is not YAML, or holds an object against its schema.
    """
    bodies = [(file, body) for file in files for body in objects_in(file)]
    bindings, backends, namespaces, environments = [], [], [], []
    for file, body in bodies:
        kind, metadata = body.get("kind"), body.get("metadata")
        named = dict(metadata) if isinstance(metadata, Mapping) else {}
        try:
            if kind == "AirflowSecretBinding":
                named = {"namespace": namespace, **named}
                bindings.append(
                    AirflowSecretBinding.model_validate({"metadata": named, "spec": body.get("spec") or {}})
                )
            elif kind == "AirflowSecretBackend":
                backends.append(
                    AirflowSecretBackend.model_validate({"metadata": named, "spec": body.get("spec") or {}})
                )
            elif kind == "AirflowEnvironment":
                named = {"namespace": namespace, **named}
                environments.append(
                    AirflowEnvironment.model_validate({"metadata": named, "spec": body.get("spec") or {}})
                )
            elif kind == "Namespace":
                namespaces.append(Metadata.model_validate(named))
        except ValidationError as error:
            raise InvalidSettings(f"{file}, {kind} {named.get('name', '')}: {complaints(error)}") from None
    return Declared(tuple(bindings), tuple(backends), tuple(namespaces), tuple(environments))


def objects_in(file: Path) -> Iterator[Mapping[str, Any]]:
    """Yield the objects of a file, also those within lists. Raises InvalidSettings."""
    try:
        text = sys.stdin.read() if file == _STDIN else file.read_text(encoding="utf-8")
        documents = list(yaml.safe_load_all(text))
    except OSError as error:
        raise InvalidSettings(f"{file} cannot be read ({error.strerror}): correct -f") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InvalidSettings(f"{file} is not YAML: {' '.join(str(error).split())}") from None
    for each in documents:
        if isinstance(each, Mapping):
            items = each.get("items") if each.get("kind") == "List" else (each,)
            yield from (item for item in items or () if isinstance(item, Mapping))
