"""From a pydantic model to the structural schema that the API server accepts.

pydantic's JSON schema is not structural: references, unions with null, constants and titles are written
differently here. What this module does not know it refuses, so that no rule is lost silently. Called by
`airwarden.api.crd` and `airwarden.api.reference`.
"""

from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel

Schema = dict[str, Any]

_KEPT: Final = frozenset(
    {
        "type", "description", "properties", "items", "required", "enum", "pattern", "default", "additionalProperties",
        "minLength", "maxLength", "minItems", "maxItems", "minimum", "maximum", "minProperties", "maxProperties",
    }
)  # fmt: skip
_DROPPED: Final = frozenset({"title", "propertyNames", "$defs"})
"""Said elsewhere or not said in structural schemas; pydantic still enforces it at reconcile."""
_MERGED_LISTS: Final = frozenset({"x-kubernetes-validations"})
_LIST_KEYS: Final = frozenset({"backend"})


class UnknownConstruct(TypeError):
    """The model uses something that has no known place in a structural schema."""


def structural(model: type[BaseModel], *, defaults: bool) -> Schema:
    """Return the structural schema of a model. ``defaults`` False leaves defaults out, as in a status.

    Raises UnknownConstruct for what it does not know, and for strings and lists without a bound.
    """
    raw = model.model_json_schema(by_alias=True, mode="validation")
    found = _rewrite(raw, raw.get("$defs", {}), model.__name__)
    return found if defaults else _without_defaults(found)


def _rewrite(node: Mapping[str, Any], definitions: Mapping[str, Any], where: str) -> Schema:
    node = _joined(node, definitions, where)
    found: Schema = {}
    for key, value in node.items():
        if key == "properties":
            found[key] = {name: _rewrite(each, definitions, f"{where}.{name}") for name, each in value.items()}
        elif key == "items":
            found[key] = _rewrite(value, definitions, f"{where}[]")
        elif key == "additionalProperties":
            if value is not False:
                found[key] = _rewrite(value, definitions, f"{where}{{}}")
        elif key == "const":
            found["enum"] = [value]
        elif key in _KEPT or key.startswith("x-kubernetes-"):
            found[key] = value
        elif key not in _DROPPED:
            raise UnknownConstruct(f"{where}: {key} has no place in a structural schema")
    _set_default(found)
    _require_bounds(found, where)
    return found


def _joined(node: Mapping[str, Any], definitions: Mapping[str, Any], where: str) -> Schema:
    """Return the node with references put in and unions with null undone; the outer node wins."""
    found = dict(node)
    while "$ref" in found or "anyOf" in found or "allOf" in found:
        if "$ref" in found:
            inner = definitions[found.pop("$ref").removeprefix("#/$defs/")]
        elif "allOf" in found:
            (inner,) = found.pop("allOf")
        else:
            branches = [each for each in found.pop("anyOf") if each != {"type": "null"}]
            if len(branches) != 1:
                raise UnknownConstruct(f"{where}: a union of {len(branches)} types has no place in a structural schema")
            inner = branches[0]
        for key, value in inner.items():
            if key in _MERGED_LISTS and key in found:
                found[key] = [*value, *found[key]]
            else:
                found.setdefault(key, value)
    return found


def _set_default(node: Schema) -> None:
    """Keep defaults that the API server may set: none for null, an empty object where nested defaults act."""
    if "default" not in node:
        return
    if node["default"] is None:
        del node["default"]
    elif node.get("type") == "object" and "properties" in node:
        node["default"] = {}


def _require_bounds(node: Schema, where: str) -> None:
    kind = node.get("type")
    if kind == "string" and "enum" not in node and "maxLength" not in node:
        raise UnknownConstruct(f"{where}: a string needs maxLength, for the cost of CEL rules")
    if kind == "array" and "maxItems" not in node:
        raise UnknownConstruct(f"{where}: a list needs maxItems, for the cost of CEL rules")


def _without_defaults(node: Schema) -> Schema:
    """Leave out defaults, but for keys of list maps, which must be there."""
    found = dict(node)
    found.pop("default", None)
    if "properties" in found:
        found["properties"] = {
            name: dict(each) if name in _LIST_KEYS and "default" in each else _without_defaults(each)
            for name, each in found["properties"].items()
        }
    if "items" in found:
        found["items"] = _without_defaults(found["items"])
    return found
