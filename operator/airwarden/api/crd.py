"""The CustomResourceDefinitions, generated from the models: `crds/` is never edited by hand.

Called by `airwarden crds` and by the check that fails when the files differ.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import yaml
from pydantic import BaseModel

from airwarden.api import BACKENDS, BINDINGS, GROUP, VERSION
from airwarden.api.backend import AirflowSecretBackend, BackendSpec, BackendStatus
from airwarden.api.binding import AirflowSecretBinding, BindingSpec
from airwarden.api.conditions import Status
from airwarden.api.fields import rule
from airwarden.api.schema import Schema, structural

_HEADER: Final = "# Generated from airwarden.api by `airwarden crds`; do not edit.\n"
_READY: Final = '.status.conditions[?(@.type=="Ready")]'


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind as the API server knows it."""

    model: type[BaseModel]
    spec: type[BaseModel]
    status: type[BaseModel]
    plural: str
    short: str
    scope: Literal["Namespaced", "Cluster"]
    columns: tuple[tuple[str, str, str, int], ...]
    """Name, type, JSON path and priority; 1 is shown with -o wide."""
    rules: tuple[Mapping[str, str], ...] = ()
    selectable: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Name of the kind."""
        return self.model.__name__


KINDS: Final = (
    Kind(
        AirflowSecretBackend,
        BackendSpec,
        BackendStatus,
        BACKENDS,
        "asbk",
        "Cluster",
        (
            ("Type", "string", ".spec.type", 0),
            ("Ready", "string", f"{_READY}.status", 0),
            ("Reason", "string", f"{_READY}.reason", 0),
            ("Bindings", "integer", ".status.bindings.total", 0),
            ("Age", "date", ".metadata.creationTimestamp", 0),
            ("Version", "string", ".status.store.version", 1),
            ("Message", "string", f"{_READY}.message", 1),
        ),
    ),
    Kind(
        AirflowSecretBinding,
        BindingSpec,
        Status,
        BINDINGS,
        "asb",
        "Namespaced",
        (
            ("Ready", "string", f"{_READY}.status", 0),
            ("Reason", "string", f"{_READY}.reason", 0),
            ("Service Account", "string", ".spec.serviceAccount.name", 0),
            ("Secrets", "string", ".status.summary.secrets", 0),
            ("Age", "date", ".metadata.creationTimestamp", 0),
            ("Backends", "string", ".status.summary.backends", 1),
            ("Message", "string", f"{_READY}.message", 1),
        ),
        (
            rule(
                "size(self.metadata.name) <= 63",
                "metadata.name must be at most 63 characters: it is a label of the service account",
            ),
        ),
        (".spec.serviceAccount.name",),
    ),
)


def crd_files() -> dict[str, str]:
    """Return the text of each CRD file by its name."""
    return {f"{GROUP}_{kind.plural}.yaml": _HEADER + _yaml(definition(kind)) for kind in KINDS}


def write(directory: Path) -> None:
    """Write the CRD files."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in crd_files().items():
        (directory / name).write_text(text)


def differences(directory: Path) -> list[str]:
    """Return the names of files that are not as generated."""
    return [
        name
        for name, text in crd_files().items()
        if not (directory / name).exists() or (directory / name).read_text() != text
    ]


def definition(kind: Kind) -> dict[str, Any]:
    """Return one CustomResourceDefinition."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "names": {
                "kind": kind.name,
                "listKind": f"{kind.name}List",
                "plural": kind.plural,
                "singular": kind.name.lower(),
                "shortNames": [kind.short],
                "categories": ["airwarden"],
            },
            "scope": kind.scope,
            "versions": [_version(kind)],
        },
    }


def _version(kind: Kind) -> dict[str, Any]:
    version: dict[str, Any] = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "additionalPrinterColumns": [
            {"name": name, "type": type_, "jsonPath": path, **({"priority": priority} if priority else {})}
            for name, type_, path, priority in kind.columns
        ],
        "schema": {"openAPIV3Schema": root_schema(kind)},
    }
    if kind.selectable:
        version["selectableFields"] = [{"jsonPath": path} for path in kind.selectable]
    return version


def root_schema(kind: Kind) -> Schema:
    """Return the schema of the whole object; metadata is the API server's."""
    found: Schema = {
        "type": "object",
        "description": " ".join((kind.model.__doc__ or "").split()),
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": structural(kind.spec, defaults=True),
            "status": structural(kind.status, defaults=False),
        },
    }
    if kind.rules:
        found["x-kubernetes-validations"] = [dict(each) for each in kind.rules]
    return found


class _Dumper(yaml.SafeDumper):
    """Writes lists indented, and never anchors."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002
        super().increase_indent(flow, indentless=False)

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True


def _yaml(value: Mapping[str, Any]) -> str:
    text: str = yaml.dump(dict(value), Dumper=_Dumper, sort_keys=False, width=110, allow_unicode=True)
    return text
