"""From a pydantic model to the structural schema that the API server accepts.

pydantic's JSON schema is not structural: references, unions with null, constants and titles are written
differently here. What this module does not know it refuses, so that no rule is lost silently. Called by
`airwarden.api.crd`, which writes the schema down, and by `airwarden.api.reference`, which explains it.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias, TypeVar, cast

from pydantic import BaseModel

from airwarden.api.fields import VALIDATIONS

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
Raw: TypeAlias = Mapping[str, Json]
T = TypeVar("T")

_TYPES: Final = frozenset({"object", "array", "string", "integer", "number", "boolean"})
_LIMITS: Final = (
    "minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties", "minimum", "maximum"
)  # fmt: skip
_DROPPED: Final = frozenset({"title", "$defs"})
_BOUND_OF: Final = {"string": "maxLength", "array": "maxItems"}
_OWNED_BY_THE_SERVER: Final = ("apiVersion", "kind", "metadata")


class UnknownConstruct(TypeError):
    """The model uses something that has no known place in a structural schema."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One CEL validation."""

    expression: str
    message: str
    field_path: str = ""

    def as_json(self) -> dict[str, Json]:
        """Return it as a CRD has it."""
        found: dict[str, Json] = {"rule": self.expression, "message": self.message}
        return {**found, "fieldPath": self.field_path} if self.field_path else found


@dataclass(frozen=True, slots=True)
class Node:
    """One place in a structural schema. `default` is the declared one; `None` stands for none."""

    where: str
    type: str
    description: str
    default: Json = None
    enum: tuple[str | int, ...] = ()
    pattern: str = ""
    limits: Mapping[str, int] = field(default_factory=dict)
    rules: tuple[Rule, ...] = ()
    extensions: Mapping[str, Json] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    properties: Mapping[str, "Node"] = field(default_factory=dict)
    items: "Node | None" = None
    values: "Node | None" = None

    @property
    def list_map_keys(self) -> tuple[str, ...]:
        """Names of the fields that tell the items of a list map apart."""
        return tuple(_as(list[str], self.extensions.get("x-kubernetes-list-map-keys", []), self.where))


def structural(model: type[BaseModel]) -> Node:
    """Return the structural schema of a model, without the fields of a kind that the API server owns.

    Raises UnknownConstruct for what it does not know, for texts and lists without a bound (the API server
    refuses CEL rules on those), and for fields without a description.
    """
    where = model.__name__
    raw = cast("dict[str, Json]", model.model_json_schema(by_alias=True, mode="validation"))
    fields = _as(dict[str, Json], raw.get("properties", {}), where)
    required = _as(list[Json], raw.get("required", []), where)
    if set(_OWNED_BY_THE_SERVER) <= set(fields):
        raw["properties"] = {name: each for name, each in fields.items() if name not in _OWNED_BY_THE_SERVER}
        raw["required"] = [name for name in required if name not in _OWNED_BY_THE_SERVER]
    return _Reader(_as(dict[str, Json], raw.get("$defs", {}), where)).node(raw, where, ())


class _Reader:
    """Reads one model's JSON schema, putting in the definitions it refers to."""

    def __init__(self, definitions: Mapping[str, Json]) -> None:
        self._definitions = definitions

    def node(self, raw: Raw, where: str, inside: tuple[str, ...]) -> Node:
        """Return the node; ``inside`` names the definitions it stands in, since a structural schema is finite."""
        flat, inside = self._flat(raw, where, inside)
        rest = _Keywords({key: value for key, value in flat.items() if key not in _DROPPED}, where)
        found = Node(
            where=where,
            type=_one_of(_TYPES, rest.take("type", str, ""), where),
            description=_prose(rest.take("description", str, "")),
            default=rest.take_any("default"),
            enum=tuple(rest.take("enum", list[str | int], [])) or _const(rest),
            pattern=_re2(rest.take("pattern", str, ""), where),
            limits={name: rest.take(name, int, 0) for name in _LIMITS if name in rest},
            rules=(*_rules(rest.take(VALIDATIONS, list[Json], []), where), *_name_rules(rest)),
            required=tuple(rest.take("required", list[str], [])),
            properties={
                name: self.node(_as(dict[str, Json], child, where), f"{where}.{name}", inside)
                for name, child in rest.take("properties", dict[str, Json], {}).items()
            },
            items=self._child(rest.take_any("items"), f"{where}[]", inside),
            values=self._child(rest.take_any("additionalProperties") or None, f"{where}{{}}", inside),
            extensions=rest.take_extensions(),
        )
        rest.must_be_empty()
        _examine(found)
        return found

    def _child(self, raw: Json, where: str, inside: tuple[str, ...]) -> Node | None:
        return None if raw is None else self.node(_as(dict[str, Json], raw, where), where, inside)

    def _flat(self, raw: Raw, where: str, inside: tuple[str, ...]) -> tuple[dict[str, Json], tuple[str, ...]]:
        """Put in references and undo unions with null. What stands outside wins; rules hold together."""
        found = dict(raw)
        while wrapper := next((key for key in ("$ref", "anyOf", "allOf") if key in found), ""):
            wrapped = found.pop(wrapper)
            if wrapper == "$ref":
                name = str(wrapped).removeprefix("#/$defs/")
                if name in inside or name not in self._definitions:
                    raise UnknownConstruct(f"{where}: {name} stands within itself, or nowhere")
                inside = (*inside, name)
                inner = self._definitions[name]
            else:
                branches = [each for each in _as(list[Json], wrapped, where) if each != {"type": "null"}]
                if len(branches) != 1:
                    raise UnknownConstruct(f"{where}: {wrapper} of {len(branches)} has no place in a structural schema")
                inner = branches[0]
            found = _merged(_as(dict[str, Json], inner, where), found, where)
        return found, inside


class _Keywords:
    """The keywords of one place that have not been read yet."""

    def __init__(self, found: dict[str, Json], where: str) -> None:
        self._found, self._where = found, where

    def __contains__(self, name: str) -> bool:
        return name in self._found

    def take(self, name: str, kind: type[T], absent: T) -> T:
        return _as(kind, self._found.pop(name), self._where) if name in self._found else absent

    def take_any(self, name: str) -> Json:
        return self._found.pop(name, None)

    def take_extensions(self) -> dict[str, Json]:
        return {name: self._found.pop(name) for name in sorted(self._found) if name.startswith("x-kubernetes-")}

    def must_be_empty(self) -> None:
        if self._found:
            raise UnknownConstruct(f"{self._where}: no place in a structural schema for {', '.join(self._found)}")


def _as(kind: type[T], value: Json, where: str) -> T:
    """Return the value typed, or say that the schema is not what it is taken for."""
    origin = getattr(kind, "__origin__", kind)
    if not isinstance(value, origin) or (isinstance(value, bool) and origin is int):
        raise UnknownConstruct(f"{where}: {value!r} where {origin.__name__} is expected")
    return cast("T", value)


def _merged(inner: dict[str, Json], outer: dict[str, Json], where: str) -> dict[str, Json]:
    found = {**inner, **outer}
    if VALIDATIONS in inner and VALIDATIONS in outer:
        found[VALIDATIONS] = [
            *_as(list[Json], inner[VALIDATIONS], where), *_as(list[Json], outer[VALIDATIONS], where)
        ]  # fmt: skip
    return found


def _one_of(known: frozenset[str], word: str, where: str) -> str:
    if word not in known:
        raise UnknownConstruct(f"{where}: type {word or 'missing'}, not one of {', '.join(sorted(known))}")
    return word


def _prose(docstring: str) -> str:
    """Return a docstring without its line breaks; a blank line stays, as it parts paragraphs."""
    return "\n\n".join(" ".join(each.split()) for each in re.split(r"\n\s*\n", docstring.strip()))


def _const(rest: _Keywords) -> tuple[str | int, ...]:
    """Return the one value of a constant: a structural schema says it as an enum."""
    value = rest.take_any("const")
    return (value,) if isinstance(value, str | int) and not isinstance(value, bool) else ()


def _rules(raw: list[Json], where: str) -> Iterator[Rule]:
    for each in raw:
        rest = _Keywords(dict(_as(dict[str, Json], each, where)), where)
        yield Rule(rest.take("rule", str, ""), rest.take("message", str, ""), rest.take("fieldPath", str, ""))
        rest.must_be_empty()


def _name_rules(rest: _Keywords) -> Iterator[Rule]:
    """Say in CEL what pydantic says of the names in a map, for which structural schemas have no keyword."""
    if "propertyNames" not in rest:
        return
    names = _Keywords(dict(rest.take("propertyNames", dict[str, Json], {})), "propertyNames")
    fewest, most = names.take("minLength", int, 0), names.take("maxLength", int, 0)
    names.must_be_empty()
    yield Rule(
        f"self.all(name, size(name) >= {fewest} && size(name) <= {most})",
        f"each name must have {fewest} to {most} characters",
    )


def _re2(pattern: str, where: str) -> str:
    """Refuse what Python's or Rust's regular expressions have and RE2 lacks or reads otherwise."""
    bare = re.sub(r"\\[.\[\](){}|+*?^$/\\-]", "", pattern)
    classless = re.sub(r"\[[^\]]*\]", "x", bare)
    found = re.search(r"\\|&&|--|~~|\[[^\]]*\[", bare) or re.search(r"\(\?|[+*?}]\+", classless)
    if found:
        raise UnknownConstruct(f"{where}: {found.group()} in a pattern is not RE2, which the API server reads")
    return pattern


def _examine(node: Node) -> None:
    """Raise UnknownConstruct for what the API server would refuse, or a reader would miss."""
    bound = _BOUND_OF.get(node.type, "maxProperties" if node.values is not None else "")
    complaints = (
        (bound and not node.enum and bound not in node.limits, f"needs {bound}, for the cost of CEL rules"),
        (node.type == "array" and node.items is None, "is a list of anything"),
        (node.type == "object" and not node.properties and node.values is None, "is an object of anything"),
        (bool(node.properties) and node.values is not None, "has both named and free fields"),
        (any(not each.message for each in node.rules), "has a rule without a message"),
        (not set(node.required) <= set(node.properties), "requires what it does not have"),
    )
    for wrong, what in complaints:
        if wrong:
            raise UnknownConstruct(f"{node.where}: {what}")
    for pattern in _patterns_of(node):
        _re2(pattern, node.where)
    for name, child in node.properties.items():
        if not child.description.endswith("."):
            raise UnknownConstruct(f"{node.where}.{name}: needs a description that ends with a period")
    for key in node.list_map_keys:
        item = node.items.properties.get(key) if node.items else None
        known = item is not None and item.type not in {"object", "array"}
        if not known or not (node.items and (key in node.items.required or (item and item.default is not None))):
            raise UnknownConstruct(f"{node.where}: list-map key {key} must be a plain field, required or defaulted")


def _patterns_of(node: Node) -> Iterator[str]:
    for each in node.rules:
        for raw, plain in re.findall(r"matches\((?:r'([^']*)'|'([^']*)')\)", each.expression):
            yield raw or plain
