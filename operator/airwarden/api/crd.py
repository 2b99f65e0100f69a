"""The CustomResourceDefinitions, generated from the models: `crds/` is never edited by hand.

Called by `airwarden crds` and by the check that fails when the files differ.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import yaml
from pydantic import BaseModel

from airwarden.api import BACKENDS, BINDINGS, ENVIRONMENTS, GROUP, ROTATIONS, VERSION, generated
from airwarden.api.backend import AirflowSecretBackend
from airwarden.api.binding import AirflowSecretBinding
from airwarden.api.environment import AirflowEnvironment
from airwarden.api.rotation import AirflowSecretRotation
from airwarden.api.schema import Json, Node, structural

_HEADER: Final = "# Generated from airwarden.api by `airwarden crds`; do not edit.\n"
_READY: Final = '.status.conditions[?(@.type=="Ready")]'
_SERVER_FIELDS: Final[Mapping[str, Json]] = {
    "apiVersion": {"description": f"Group and version of the kind, {GROUP}/{VERSION}.", "type": "string"},
    "kind": {"description": "Name of the kind.", "type": "string"},
    "metadata": {"type": "object"},
}


@dataclass(frozen=True, slots=True)
class Column:
    """One column of `kubectl get`. Kubectl shows the name in capitals."""

    name: str
    path: str
    type: Literal["string", "integer", "date"] = "string"
    wide: bool = False

    def as_json(self) -> dict[str, Json]:
        """Return it as a CRD has it."""
        found: dict[str, Json] = {"name": self.name, "type": self.type, "jsonPath": self.path}
        return {**found, "priority": 1} if self.wide else found


_AGE: Final = Column("Age", ".metadata.creationTimestamp", "date")
_MESSAGE: Final = Column("Message", f"{_READY}.message", wide=True)


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind as the API server knows it; its schema is the model's."""

    model: type[BaseModel]
    plural: str
    short: str
    scope: Literal["Namespaced", "Cluster"]
    columns: tuple[Column, ...]
    selectable: tuple[str, ...]
    """Paths by which `kubectl get --field-selector` may choose."""

    @property
    def name(self) -> str:
        """Name of the kind."""
        return self.model.__name__

    @property
    def definition_name(self) -> str:
        """Name of its CustomResourceDefinition."""
        return f"{self.plural}.{GROUP}"

    @property
    def file(self) -> str:
        """Name of the file that holds its CustomResourceDefinition."""
        return f"{GROUP}_{self.plural}.yaml"


KINDS: Final = (
    Kind(
        model=AirflowSecretBackend,
        plural=BACKENDS,
        short="asbk",
        scope="Cluster",
        columns=(
            Column("Type", ".spec.type"),
            Column("Ready", f"{_READY}.status"),
            Column("Reason", f"{_READY}.reason"),
            Column("Bindings", ".status.bindings.total", "integer"),
            _AGE,
            Column("Address", ".spec.vault.address", wide=True),
            Column("Version", ".status.store.version", wide=True),
            _MESSAGE,
        ),
        selectable=(".spec.type",),
    ),
    Kind(
        model=AirflowSecretBinding,
        plural=BINDINGS,
        short="asb",
        scope="Namespaced",
        columns=(
            Column("Ready", f"{_READY}.status"),
            Column("Reason", f"{_READY}.reason"),
            Column("Service Account", ".spec.serviceAccount.name"),
            Column("Secrets", ".status.summary.secrets"),
            # A date would be shown as an age, and one that lies ahead as nothing.
            Column("Next Rotation", ".status.summary.nextRotation"),
            _AGE,
            Column("Backends", ".status.summary.backends", wide=True),
            Column("Last Rotation", ".status.summary.lastRotation", "date", wide=True),
            _MESSAGE,
        ),
        selectable=(".spec.serviceAccount.name",),
    ),
    Kind(
        model=AirflowSecretRotation,
        plural=ROTATIONS,
        short="asr",
        scope="Namespaced",
        columns=(
            Column("Ready", f"{_READY}.status"),
            Column("Reason", f"{_READY}.reason"),
            Column("Schedule", ".spec.schedule"),
            # A date would be shown as an age, and one that lies ahead as nothing.
            Column("Next", ".status.next"),
            Column("Last", ".status.lastSuccess", "date"),
            _AGE,
            Column("Key", ".spec.key", wide=True),
            Column("Role", ".spec.databaseRole.name", wide=True),
            Column("Result", ".status.lastRun.result", wide=True),
            _MESSAGE,
        ),
        selectable=(".spec.backendRef.name", ".spec.key"),
    ),
    Kind(
        model=AirflowEnvironment,
        plural=ENVIRONMENTS,
        short="afe",
        scope="Namespaced",
        columns=(
            Column("Ready", f"{_READY}.status"),
            Column("Reason", f"{_READY}.reason"),
            Column("Executor", ".spec.executor"),
            Column("Bindings", ".status.bindings.total", "integer"),
            Column("Mapped", ".status.bindings.mapped", "integer"),
            Column("Enforced", '.status.conditions[?(@.type=="IdentityEnforced")].status'),
            _AGE,
            Column("Isolated", '.status.conditions[?(@.type=="Isolated")].status', wide=True),
            Column("Scheduler", ".spec.components.scheduler.serviceAccountName", wide=True),
            _MESSAGE,
        ),
        selectable=(".spec.executor",),
    ),
)


def crd_files() -> dict[str, str]:
    """Return the text of each CRD file by its name."""
    return {kind.file: _HEADER + _yaml(definition(kind)) for kind in KINDS}


def write(directory: Path) -> None:
    """Write the CRD files."""
    generated.write(directory, crd_files())


def differences(directory: Path) -> list[str]:
    """Return the names of files that are not as generated, or no longer generated at all."""
    return generated.differences(directory, crd_files(), _HEADER)


def definition(kind: Kind) -> dict[str, Json]:
    """Return one CustomResourceDefinition. To write it as text takes many times as long as to make it."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": kind.definition_name},
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
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": [each.as_json() for each in kind.columns],
                    "selectableFields": [{"jsonPath": path} for path in kind.selectable],
                    "schema": {"openAPIV3Schema": _root(structural(kind.model))},
                }
            ],
        },
    }


def _root(node: Node) -> dict[str, Json]:
    """Return the schema of the whole object.

    A status has no defaults: what Airwarden has not said is not shown, and an old status stays as it was.
    """
    parts: dict[str, Json] = {
        name: as_json(child, defaults=name != "status") for name, child in node.properties.items()
    }
    found = as_json(node, defaults=False)
    return {**found, "properties": {**_SERVER_FIELDS, **parts}}


def as_json(node: Node, *, defaults: bool) -> dict[str, Json]:
    """Return a node as a CRD has it. Without ``defaults`` only those of list-map keys stay, which must be there."""
    found: dict[str, Json] = {"description": node.description} if node.description else {}
    found["type"] = node.type
    if defaults and (default := _acting_default(node)) is not None:
        found["default"] = default
    if node.enum:
        found["enum"] = list(node.enum)
    if node.pattern:
        found["pattern"] = node.pattern
    found |= node.limits
    found |= node.extensions
    if node.rules:
        found["x-kubernetes-validations"] = [each.as_json() for each in node.rules]
    if node.required:
        found["required"] = list(node.required)
    if node.properties:
        found["properties"] = {name: as_json(child, defaults=defaults) for name, child in node.properties.items()}
    if node.items is not None:
        found["items"] = _item(node.items, node.list_map_keys, defaults=defaults)
    if node.values is not None:
        found["additionalProperties"] = as_json(node.values, defaults=defaults)
    return found


def _item(item: Node, keys: tuple[str, ...], *, defaults: bool) -> dict[str, Json]:
    found = as_json(item, defaults=defaults)
    kept: dict[str, Json] = {
        key: {**as_json(item.properties[key], defaults=False), "default": item.properties[key].default}
        for key in keys
        if item.properties[key].default is not None
    }
    shown = {name: as_json(child, defaults=defaults) for name, child in item.properties.items()}
    return {**found, "properties": {**shown, **kept}} if kept else found


def _acting_default(node: Node) -> Json:
    """Return the default to write down, None for none.

    An empty one says what absence says, so it would only fill objects. An object gets one for the sake of
    the defaults below it: the API server does not set those while their parent is absent.
    """
    if not isinstance(node.default, dict) or not node.properties:
        return node.default if node.default not in ("", [], {}) else None
    own: dict[str, Json] = {
        name: value
        for name, value in node.default.items()
        if value is not None and value != node.properties[name].default
    }
    return own if own or any(_acting_default(child) is not None for child in node.properties.values()) else None


_LONGEST_WORD: Final = 40


_LONGEST_LINE: Final = 140


class _Dumper(yaml.SafeDumper):
    """Writes what is short on a line, never anchors, and as a block what would need quotes around its own quotes.

    And with as few blanks as YAML permits: a third of such a file would be indentation.
    """

    sequence_context: bool
    """PyYAML's: whether what is written now stands in a list."""

    def expect_block_mapping(self) -> None:
        # Behind the dash of a list the first key stands two columns in, and so must the others.
        self.best_indent = 2 if self.sequence_context else 1
        super().expect_block_mapping()

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - PyYAML's names
        return True

    def represent_str(self, data: str) -> yaml.ScalarNode:
        plain = self.analyze_scalar(data).allow_block_plain
        style = "|" if "\n" in data or ("'" in data and not plain) else None
        return self.represent_scalar("tag:yaml.org,2002:str", data, style=style)

    def represent_words(self, data: list[Json]) -> yaml.SequenceNode:
        flow = all(isinstance(each, str) and len(each) <= _LONGEST_WORD for each in data)
        return self.represent_sequence("tag:yaml.org,2002:seq", data, flow_style=flow)

    def represent_object(self, data: dict[str, Json]) -> yaml.MappingNode:
        flow = len(str(data)) <= _LONGEST_LINE and all(_is_plain(each) for each in data.values())
        return self.represent_mapping("tag:yaml.org,2002:map", data, flow_style=flow)


def _is_plain(value: Json) -> bool:
    """Tell whether a value needs neither a line nor quotes of its own."""
    return not isinstance(value, list | dict) and not {"'", "\n"} & set(str(value))


_Dumper.add_representer(str, _Dumper.represent_str)
_Dumper.add_representer(list, _Dumper.represent_words)
_Dumper.add_representer(dict, _Dumper.represent_object)


def _yaml(value: Mapping[str, Json]) -> str:
    text: str = yaml.dump(dict(value), Dumper=_Dumper, sort_keys=False, width=180, allow_unicode=True)
    return text
