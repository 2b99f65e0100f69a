"""Shows forecasts of `airwarden plan`: for people with colours on a terminal, plain into a pipe, JSON for programs."""

import json
from collections.abc import Sequence
from dataclasses import asdict

import typer
from rich.console import Console
from rich.text import Text

from airwarden.commands.planning import Planned, Write
from airwarden.commands.showing import Output, plain

_COLUMNS = ("id", "backend", "key", "verdict", "rule", "session")
_ROTATIONS = ("name", "secret", "key", "verdict", "rule")
_DAGS = ("bundle", "ids", "verdict")
_STYLES = {"+": "green", "-": "red", "@": "cyan"}


def show(found: Sequence[Planned], output: Output) -> None:
    """Print the forecasts."""
    if output is Output.JSON:
        typer.echo(json.dumps([asdict(each) for each in found], indent=2))
        return
    console = Console(highlight=False, soft_wrap=True)
    for each in found:
        for text in lines(each):
            console.print(text)


def lines(planned: Planned) -> list[Text]:
    """Return what is printed for one binding, line by line."""
    found = [Text(f"Binding {planned.binding}, service account {planned.account}", style="bold"), Text()]
    found += [Text(line) for line in plain(_COLUMNS, [asdict(each) for each in planned.verdicts])]
    found += [Text(f"{each.id}: {_clean(each.message)}") for each in planned.verdicts if each.message]
    found += [Text(f"people: {_clean(each)}") for each in planned.people]
    if planned.rotations:
        found.append(Text())
        found += [Text(line) for line in plain(_ROTATIONS, [asdict(each) for each in planned.rotations])]
        found += [Text(f"{each.name}: {_clean(each.message)}") for each in planned.rotations if each.message]
    if planned.dags:
        found.append(Text())
        found += [Text(line) for line in plain(_DAGS, [asdict(each) for each in planned.dags])]
        found += [Text(f"{each.bundle}: {_clean(each.message)}") for each in planned.dags if each.message]
    found.append(Text())
    for each in planned.writes:
        found += _write(each)
    granted = sum(each.verdict == "granted" for each in planned.verdicts)
    changed = sum(each.action != "keep" for each in planned.writes)
    summary = f"{granted} of {len(planned.verdicts)} secret(s) would be granted, {changed} object(s) written. "
    return [*found, Text(f"{summary}Nothing was written now."), Text()]


def _write(write: Write) -> list[Text]:
    said = f": {_clean(write.message)}" if write.message else ""
    found = [Text(f"{write.action} {_clean(write.object)} in {write.where}{said}", style="bold")]
    return found + [Text(f"  {_clean(line)}", style=_STYLES.get(line[:1], "")) for line in write.difference]


def _clean(text: str) -> str:
    """Return the text fit for a terminal: what somebody else wrote into a store may hold control characters."""
    return "".join(each if each.isprintable() else " " for each in text)
