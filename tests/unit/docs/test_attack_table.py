"""The table of attacks is true: each row names tests that exist, and says "real" exactly where real servers answer."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "attacks.md"
_NAMED = re.compile(r"`(test_\w+)\.(test_\w+)`( \(real\))?")
_REAL = ("tests/integration/", "tests/contract/", "tests/e2e/", "tests/faults/")


@dataclass(frozen=True, slots=True)
class Row:
    """One attack of the table."""

    number: int
    who: str
    tries: str
    stopped_by: str
    shown_by: str


def rows() -> Iterator[Row]:
    """Yield the rows of all tables, with the heading above them."""
    who = ""
    for number, line in enumerate(PAGE.read_text().splitlines(), start=1):
        if line.startswith("## "):
            who = line.removeprefix("## ")
        cells = [each.strip() for each in line.strip().strip("|").split(" | ")]
        if line.startswith("| ") and cells[0] != "tries":
            assert len(cells) == 3, f"line {number} has {len(cells)} columns"
            yield Row(number, who, *cells)


@cache
def existing_tests() -> dict[tuple[str, str], str]:
    """Return the file of each test, by module and name."""
    found: dict[tuple[str, str], str] = {}
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                found[path.stem, node.name] = path.relative_to(ROOT).as_posix()
    return found


@pytest.mark.parametrize("row", list(rows()), ids=lambda row: f"{row.who}: {row.tries}")
def test_each_row_is_shown_by_tests_that_exist(row: Row) -> None:
    named = _NAMED.findall(row.shown_by)
    if not named:
        assert row.shown_by == "stated", f"line {row.number} names no test and is not marked as stated"
        assert row.stopped_by.startswith("nothing"), f"line {row.number} is stopped by something that no test shows"
    for module, name, _ in named:
        assert (module, name) in existing_tests(), f"line {row.number}: there is no {module}.{name}"


def test_each_kind_of_attacker_has_rows() -> None:
    assert {row.who for row in rows()} >= {
        "Author of bindings in one namespace",
        "Tenant with the namespace's `edit` role",
        "Holder of rights on the status",
        "Second cluster on the same Vault",
        "Vault admin",
        "Thief of the operator's token",
    }


def test_real_is_said_of_tests_on_real_servers_only() -> None:
    for row in rows():
        for module, name, real in _NAMED.findall(row.shown_by):
            if real:
                assert existing_tests()[module, name].startswith(_REAL), f"line {row.number}: {name}"
