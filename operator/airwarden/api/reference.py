"""The reference pages, generated from the models and the reasons: `docs/reference/` is never edited by hand.

Called by `airwarden crds` and by the check that fails when the files differ.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from airwarden.api import API_VERSION, generated
from airwarden.api.crd import KINDS, Kind
from airwarden.api.reasons import Reason
from airwarden.api.schema import Node, Rule, structural

_HEADER: Final = "<!-- Generated from airwarden.api by `airwarden crds`; do not edit. -->\n"
_PLURALS: Final = {"object": "objects", "string": "strings", "integer": "integers", "boolean": "booleans"}
_API_INTRODUCTION: Final = f"""\
# The objects and their fields

All kinds are of API version `{API_VERSION}`. `kubectl explain asb.spec --recursive` shows the same in the terminal.

The API server holds objects to these rules when they are applied, and Airwarden again whenever it acts on them.
A field without a default may be left out; what its absence means stands in its description.
Where a rule speaks of segments, they are what stands between the slashes. A duration is hours, minutes and seconds
in that order, such as `15m` or `1h30m`.
"""
_REASONS_INTRODUCTION: Final = """\
# Reasons

Conditions, targets, secrets and Events carry one of these words as their reason, and beside it a message about the
case at hand. `kubectl get asb,asbk,asr` shows the reason of the condition Ready, `kubectl describe` the messages too.
"""


def reference_files() -> dict[str, str]:
    """Return the text of each page by its file name."""
    return {"api.md": _HEADER + "\n" + _api_page(), "reasons.md": _HEADER + "\n" + _reasons_page()}


def write(directory: Path) -> None:
    """Write the pages."""
    generated.write(directory, reference_files())


def differences(directory: Path) -> list[str]:
    """Return the names of pages that are not as generated, or no longer generated at all."""
    return generated.differences(directory, reference_files(), _HEADER)


def _reasons_page() -> str:
    explained = sorted((each.value for each in Reason), key=lambda each: each.word)
    parts = (f"## {each.word}\n\n{_text(each.cause)}\n\n{_advice(each.next_step)}\n" for each in explained)
    return "\n".join([_REASONS_INTRODUCTION, *parts])


def _advice(next_step: str) -> str:
    return _text(next_step) if next_step.startswith("Nothing to do") else f"**What to do:** {_text(next_step)}"


def _api_page() -> str:
    return "\n".join([_API_INTRODUCTION, *("\n".join(_kind_section(kind)) for kind in KINDS)])


def _kind_section(kind: Kind) -> Iterator[str]:
    root = structural(kind.model)
    where = "Lives in a namespace" if kind.scope == "Namespaced" else "Belongs to the whole cluster"
    yield f"## {kind.name}\n"
    yield f"{_text(root.description)}\n"
    yield f"{where}; kubectl knows it as `{kind.plural}` and `{kind.short}`.\n"
    yield from (f"{_said(each, ())}\n" for each in root.rules)
    for name, child in root.properties.items():
        yield f"### {kind.name}: {name}\n"
        yield f"{_text(child.description)}\n"
        yield from (f"{_said(each, child.properties)}\n" for each in child.rules)
        yield "| Field | Type | Default | Description | Rules |"
        yield "| --- | --- | --- | --- | --- |"
        yield from _rows(child, name, with_defaults=name != "status")
        yield ""


def _rows(node: Node, path: str, *, with_defaults: bool) -> Iterator[str]:
    for name, child in node.properties.items():
        place = f"{path}.{name}"
        default = "*required*" if name in node.required else _default(child) if with_defaults else ""
        cells = (f"`{place}`", _type(child), default, _cell(child.description), "<br>".join(_rules(name, child)))
        yield f"| {' | '.join(cells)} |"
        inner, suffix = (child.items, "[]") if child.items is not None else (child, "")
        yield from _rows(inner, place + suffix, with_defaults=with_defaults)


def _type(node: Node) -> str:
    if node.items is not None:
        return f"list of {_PLURALS[node.items.type]}"
    if node.values is not None:
        return f"map of {_PLURALS[node.values.type]}"
    return node.type


def _default(node: Node) -> str:
    """Return the default as one would write it; that of an object stands at its fields."""
    if node.default in ("", [], None) or isinstance(node.default, dict):
        return ""
    return f"`{node.default if isinstance(node.default, str) else json.dumps(node.default)}`"


def _rules(name: str, node: Node) -> Iterator[str]:
    """Return each rule as a sentence."""
    if node.enum:
        yield f"One of {', '.join(f'`{each}`' for each in node.enum)}."
    yield from _limits(node)
    if node.list_map_keys:
        *most, last = node.list_map_keys
        yield f"One entry for each {', '.join(most)}{' and ' if most else ''}{last}."
    elif node.extensions.get("x-kubernetes-list-type") == "set":
        yield "No value twice."
    yield from (_said(each, (name, *node.properties)) for each in node.rules)
    for part, inner in (("entry", node.items), ("value", node.values)):
        if inner is not None:
            yield from (f"Each {part}: {rule[0].lower()}{rule[1:]}" for rule in _rules("", inner))


def _limits(node: Node) -> Iterator[str]:
    for least, most, unit in (
        ("minLength", "maxLength", " characters"),
        ("minItems", "maxItems", " entries"),
        ("minProperties", "maxProperties", " entries"),
        ("minimum", "maximum", ""),
    ):
        low, high = node.limits.get(least), node.limits.get(most)
        if low is not None and high is not None:
            yield f"{low} to {high}{unit}."
        elif high is not None:
            yield f"At most {high}{unit}."
        elif low is not None:
            yield f"At least {low}{unit}."


def _said(rule: Rule, fields: Iterable[str]) -> str:
    """Return the message of a rule as a sentence, in which a field at its beginning is still one."""
    first, _, rest = rule.message.partition(" ")
    if "." in first or first in fields:
        return f"`{first}` {_text(rest)}."
    return f"{first[0].upper()}{_text(rule.message[1:])}."


def _cell(text: str) -> str:
    return " ".join(_text(text).split())


def _text(text: str) -> str:
    """Return prose as Markdown shows it unchanged, also inside a table."""
    for sign, written in (("&", "&amp;"), ("<", "&lt;"), ("|", "\\|"), ("*", "\\*"), ("_", "\\_"), ("~", "\\~")):
        text = text.replace(sign, written)
    return text
