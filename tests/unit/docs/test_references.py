"""What the pages name is there: each page and heading that is linked to, each command, each file, each test."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest
from typer.main import get_command

from airwarden.cli import app
from plane.binaries import REPOSITORY

PAGES = [
    *(REPOSITORY / each for each in ("README.md", "CHANGELOG.md", "provider/README.md")),
    *sorted((REPOSITORY / "docs").rglob("*.md")),
    *sorted((REPOSITORY / "examples").rglob("*.md")),
]
FENCED = re.compile(r"```.*?```", re.DOTALL)


def named(page: Path) -> str:
    return str(page.relative_to(REPOSITORY))


@cache
def headings(page: Path) -> frozenset[str]:
    """Return the anchors of a page, as they are made of its headings."""
    found = re.findall(r"^#+ (.*)$", FENCED.sub("", page.read_text()), re.MULTILINE)
    texts = [re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", each).strip().lower() for each in found]
    return frozenset(re.sub(r"[^\w\- ]", "", each).replace(" ", "-") for each in texts)


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_what_is_linked_to_is_there(page: Path) -> None:
    lost = []
    for target in re.findall(r"\]\(([^)\s]+)\)", FENCED.sub("", page.read_text())):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        other = page.parent / path if path else page
        if not other.exists() or (anchor and other.suffix == ".md" and anchor not in headings(other)):
            lost.append(target)
    assert lost == []


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_the_commands_of_a_page_are_there_with_their_options(page: Path) -> None:
    commands = getattr(get_command(app), "commands")  # noqa: B009 - of typer's own class of groups
    blocks = re.findall(r"```(?:sh|console)\n(.*?)```", page.read_text(), re.DOTALL)
    lines = [
        each for block in blocks for each in re.findall(r"(?:^|\$ |[|] )airwarden ([^#|>\n]*)", block, re.MULTILINE)
    ]
    for line in lines:
        first, *rest = line.split()
        command = commands[first]
        while hasattr(command, "commands"):
            command = command.commands[rest.pop(0)]
        known = {each for option in command.params for each in (*option.opts, *option.secondary_opts)} | {"--help"}
        assert {each.partition("=")[0] for each in rest if re.match(r"--?[a-z]", each)} <= known, line


@pytest.mark.parametrize("page", [each for each in PAGES if each.name != "CHANGELOG.md"], ids=named)
def test_the_tests_that_show_a_page_are_there(page: Path) -> None:
    code = functions()
    names = set(re.findall(r"`(?:[\w/]+[./])?(test_\w+)(?:\.py)?`", page.read_text()))
    assert sorted(each for each in names if each not in code) == []


@cache
def functions() -> frozenset[str]:
    """Return the names of all tests and of their modules."""
    modules = list((REPOSITORY / "tests").rglob("test_*.py"))
    found = [each for module in modules for each in re.findall(r"def (test_\w+)\(", module.read_text())]
    return frozenset([*found, *(each.stem for each in modules)])
