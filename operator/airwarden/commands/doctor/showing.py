"""Shows a diagnosis: grouped for people, plain into a pipe, JSON for programs."""

import json
from dataclasses import asdict
from itertools import groupby

import typer
from rich.console import Console
from rich.text import Text

from airwarden.commands.doctor.findings import Diagnosis, Severity
from airwarden.commands.showing import Output

_STYLES = {Severity.DANGER: "bold red", Severity.WARNING: "yellow", Severity.HINT: "cyan"}


def show(diagnosis: Diagnosis, looked_at: str, output: Output) -> None:
    """Print what was found. ``looked_at`` says in few words at what."""
    if output is Output.JSON:
        found = {
            "clean": not diagnosis.findings and not diagnosis.unchecked,
            "findings": [_words(asdict(each)) for each in diagnosis.findings],
            "unchecked": [_words(asdict(each)) for each in diagnosis.unchecked],
        }
        typer.echo(json.dumps(found, indent=2))
        return
    console = Console(highlight=False, soft_wrap=True)
    for text in lines(diagnosis, looked_at):
        console.print(text)


def lines(diagnosis: Diagnosis, looked_at: str) -> list[Text]:
    """Return what is printed, line by line."""
    found: list[Text] = []
    for check, group in groupby(diagnosis.findings, key=lambda each: each.check):
        found.append(Text(check.value, style="bold"))
        for each in group:
            found += [
                Text.assemble("  ", (each.severity.value, _STYLES[each.severity]), f"  {_clean(each.object)}"),
                Text(f"    {_clean(each.problem)}"),
                Text(f"    next: {_clean(each.next_step)}", style="dim"),
            ]
        found.append(Text())
    if diagnosis.unchecked:
        found.append(Text("Not checked", style="bold"))
        found += [
            Text(f"  {each.check.value}, {_clean(each.object)}: {_clean(each.needs)}") for each in diagnosis.unchecked
        ]
        found.append(Text())
    found.append(Text(summary(diagnosis, looked_at)))
    return found


def summary(diagnosis: Diagnosis, looked_at: str) -> str:
    """Return the last line. Fine is only what was looked at."""
    wrong = sum(each.severity is not Severity.HINT for each in diagnosis.findings)
    hints = len(diagnosis.findings) - wrong
    said = [f"{wrong} finding(s)" if wrong else "Nothing is wrong", *([f"{hints} hint(s)"] if hints else [])]
    if diagnosis.unchecked:
        said.append(f"{len(diagnosis.unchecked)} thing(s) could not be checked")
    return f"{', '.join(said)}. Looked at {looked_at}."


def _words(found: dict[str, object]) -> dict[str, str]:
    return {("nextStep" if key == "next_step" else key): str(value) for key, value in found.items()}


def _clean(text: str) -> str:
    """Return the text fit for a terminal: names in a store and messages in a status may hold control characters."""
    return "".join(each if each.isprintable() else " " for each in text)
