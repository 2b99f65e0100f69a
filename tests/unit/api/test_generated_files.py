"""The files in `crds/` and `docs/reference/` are as generated, and are what a structural schema and a reader need."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from airwarden.api import crd, reference
from airwarden.api.reasons import Reason

ROOT = Path(__file__).resolve().parents[3]
DEFINITIONS = {name: yaml.safe_load(text) for name, text in crd.crd_files().items()}
KEYWORDS = {
    "type", "description", "default", "enum", "minLength", "maxLength", "minItems", "maxItems", "minimum", "maximum",
    "maxProperties", "required", "properties", "items", "additionalProperties",
    "x-kubernetes-validations", "x-kubernetes-list-type", "x-kubernetes-list-map-keys",
    "x-kubernetes-map-type",
}  # fmt: skip


def _nodes(node: dict[str, Any], where: str) -> Iterator[tuple[str, dict[str, Any]]]:
    yield where, node
    for name, child in node.get("properties", {}).items():
        yield from _nodes(child, f"{where}.{name}")
    for key in ("items", "additionalProperties"):
        if key in node:
            yield from _nodes(node[key], f"{where}[]")


NODES = [
    pytest.param(where, node, id=where)
    for definition in DEFINITIONS.values()
    for where, node in _nodes(
        definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"], definition["spec"]["names"]["shortNames"][0]
    )
]


def test_the_crds_are_as_generated() -> None:
    assert crd.differences(ROOT / "crds") == [], "run `airwarden crds --directory crds`"


def test_the_reference_is_as_generated() -> None:
    assert reference.differences(ROOT / "docs" / "reference") == []


@pytest.mark.parametrize("name", DEFINITIONS)
def test_a_crd_is_small_and_says_where_it_comes_from(name: str) -> None:
    text = crd.crd_files()[name]
    assert len(text.encode()) < 60_000
    assert text.startswith("# Generated from airwarden.api by `airwarden crds`; do not edit.\n")
    assert "&id" not in text


@pytest.mark.parametrize(("where", "node"), NODES)
def test_each_node_is_structural_bounded_and_explained(where: str, node: dict[str, Any]) -> None:
    assert set(node) <= KEYWORDS
    assert node["type"] in {"object", "array", "string", "integer", "boolean"}
    of_the_server = where.count(".") == 1 and where.endswith((".apiVersion", ".kind", ".metadata"))
    if not of_the_server:
        assert node["type"] != "string" or "enum" in node or node["maxLength"] > 0
        assert node["type"] != "array" or node["maxItems"] > 0
        if not where.endswith("[]"):
            assert node["description"].endswith(".")
            assert node["description"][0].isupper()
    for each in node.get("x-kubernetes-validations", []):
        assert each["rule"]
        assert each["message"]
        assert len(each["message"]) < 2048


@pytest.mark.parametrize("module", [crd, reference])
def test_differences_are_found(module: Any, tmp_path: Path) -> None:
    files: Callable[[], dict[str, str]] = crd.crd_files if module is crd else reference.reference_files
    first, second, *others = files()
    assert module.differences(tmp_path / "absent") == [first, second, *others]
    module.write(tmp_path / "new")
    assert module.differences(tmp_path / "new") == []
    (tmp_path / "new" / first).write_text("edited")
    (tmp_path / "new" / "by-hand.yaml").write_text("kept: true\n")
    (tmp_path / "new" / "stale.yaml").write_text(files()[second])
    assert module.differences(tmp_path / "new") == [first, "stale.yaml"]


def test_every_reason_is_explained() -> None:
    page = reference.reference_files()["reasons.md"]
    for each in Reason:
        assert f"\n## {each.word}\n" in page
    headings = [line for line in page.splitlines() if line.startswith("## ")]
    assert headings == sorted(headings)
    assert len(headings) == len(set(headings)) == len(Reason)


def test_every_field_is_in_the_reference_once_on_one_line() -> None:
    rows = [line for line in reference.reference_files()["api.md"].splitlines() if line.startswith("| `")]
    wanted = sum(1 for parameters in NODES for where in [str(parameters.values[0])] if _has_row(where))
    assert len(rows) == wanted
    for row in rows:
        assert row.replace("\\|", "").count("|") == 6
        assert ".." not in row.replace(". or ..", "")


def _has_row(where: str) -> bool:
    return where.count(".") > 1 and not where.endswith("[]")
