"""What commands print: a table on a terminal, plain columns into a pipe, JSON when asked for.

Results go to standard output; questions, progress and warnings to standard error.
"""

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import StrEnum
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

_GAP: Final = "   "


class Output(StrEnum):
    """How a list is printed."""

    TABLE = "table"
    JSON = "json"


OutputOption = Annotated[Output, typer.Option("-o", "--output", help="table, or json for other programs.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


def show(columns: Sequence[str], rows: Sequence[Mapping[str, str]], output: Output) -> None:
    """Print rows. A column is the key of a row; its heading is the same in capitals."""
    if output is Output.JSON:
        typer.echo(json.dumps([dict(row) for row in rows], indent=2))
        return
    console = Console()
    if not console.is_terminal:
        for line in plain(columns, rows):
            typer.echo(line)
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for each in columns:
        table.add_column(each.upper(), overflow="fold")
    for row in rows:
        table.add_row(*(_one_line(row.get(each, "")) for each in columns))
    console.print(table, markup=False, highlight=False)


def plain(columns: Sequence[str], rows: Sequence[Mapping[str, str]]) -> list[str]:
    """Return aligned lines without colour, for a pipe."""
    cells = [[each.upper() for each in columns], *([_one_line(row.get(each, "")) for each in columns] for row in rows)]
    widths = [max(len(line[place]) for line in cells) for place in range(len(columns))]
    return [_GAP.join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells]


def say(message: str) -> None:
    """Tell the person something that is not a result."""
    typer.echo(message, err=True)


def confirmed(question: str, *, yes: bool) -> bool:
    """Ask, unless --yes was given. Where nobody can answer the answer is no."""
    if yes:
        return True
    if not sys.stdin.isatty():
        say(f"{question} Nobody is there to answer: give --yes.")
        return False
    return typer.confirm(question, err=True)


@contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[], None]]:
    """Show a bar on a terminal while work is done; call what is given after each step."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=total)
        yield lambda: bar.advance(task)


def _one_line(text: str) -> str:
    """Return the text fit for a terminal: names in a store may hold control characters."""
    return "".join(each if each.isprintable() else " " for each in text)
