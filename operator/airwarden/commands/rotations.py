"""`airwarden rotations`: all rotations, soonest first, and a calendar of the coming weeks."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum
from functools import partial
from typing import Annotated

import typer

from airwarden.api.fields import moment, moment_text
from airwarden.api.rotation import AirflowSecretRotation, RotationStatus
from airwarden.commands.calendar import Calendar, Entry, calendar, page, picture, text
from airwarden.commands.caller import FINE, FOUND, Caller, Context, Kubeconfig, Ways, run
from airwarden.commands.showing import Output, say, show
from airwarden.domain.rotation import roles
from airwarden.domain.rotation.decide import timetable_of
from airwarden.domain.rotation.schedule import InvalidSchedule

COLUMNS = ("namespace", "rotation", "key", "schedule", "next", "last", "result", "state")


class Form(StrEnum):
    """How rotations are printed."""

    TABLE = "table"
    JSON = "json"
    SVG = "svg"
    HTML = "html"


def rotations(
    namespace: Annotated[str, typer.Option("-n", "--namespace", help="Only of this namespace. Default: all.")] = "",
    weeks: Annotated[int, typer.Option("--weeks", min=1, max=26, help="Weeks of the calendar.")] = 4,
    output: Annotated[Form, typer.Option("-o", "--output", help="table, json, or the calendar as svg or html.")] = (
        Form.TABLE
    ),
    kubeconfig: Kubeconfig = None,
    context: Context = None,
) -> None:
    """Show all rotations, soonest first, and when their runs are due in the coming weeks. Times are UTC.

    Exit status: 0 all are healthy, 1 some are not, 2 they could not be read.
    """
    run(Ways("", kubeconfig, context), partial(_rotations, namespace=namespace, weeks=weeks, output=output))


async def _rotations(caller: Caller, *, namespace: str, weeks: int, output: Form) -> int:
    listed = await caller.rotations(namespace)
    for name, why in sorted(listed.unreadable.items()):
        say(f"airwarden: rotation {name} is left out, since it does not hold to its schema: {why}")
    now = datetime.now(UTC)
    entries = [entry(each, now) for each in listed.items]
    typer.echo(printed(entries, calendar(entries, now, weeks), output), nl=False)
    return FOUND if listed.unreadable or any(each.row["state"] != "Healthy" for each in entries) else FINE


def entry(rotation: AirflowSecretRotation, now: datetime) -> Entry:
    """Return what is shown of one rotation, and when it runs."""
    metadata, spec = rotation.metadata, rotation.spec
    status = rotation.status or RotationStatus()
    try:
        table = timetable_of(rotation, now) or roles.shown_table(rotation)
    except InvalidSchedule:
        table = None
    state = state_of(rotation)
    row = {
        "namespace": metadata.namespace,
        "rotation": metadata.name,
        "key": roles.target_shown(spec),
        "schedule": roles.schedule_shown(spec),
        "next": status.next,
        "last": status.last_success,
        "result": status.last_run.result,
        "state": state,
    }
    # What is held back by the guardrails or by hand has no run to come.
    held = status.phase in {"Refused", "Suspended"}
    return Entry(row, None if held else table, moment(status.next) if status.next else None)


def state_of(rotation: AirflowSecretRotation) -> str:
    """Return one word for the state: Healthy, or the reason of what is not."""
    status = rotation.status or RotationStatus()
    for kind in ("Ready", "Healthy"):
        found = status.condition(kind)
        if found is None:
            return "Unseen"
        if found.status != "True":
            return found.reason
    return "Suspended" if rotation.spec.suspend else "Healthy"


def printed(entries: Sequence[Entry], found: Calendar, output: Form) -> str:
    """Return the text of the answer."""
    rows = [each.row for each in sorted(entries, key=_soonest)]
    if output is Form.JSON:
        coming = {key: [moment_text(each) for each in moments] for key, moments in found.runs.items()}
        return (
            json.dumps([{**row, "coming": coming[row["namespace"], row["rotation"]]} for row in rows], indent=2) + "\n"
        )
    if output is Form.SVG:
        return picture(found)
    if output is Form.HTML:
        return page(found, COLUMNS, rows)
    show(COLUMNS, rows, Output.TABLE)
    return "\n" + text(found)


def _soonest(each: Entry) -> tuple[bool, str, str, str]:
    return (not each.row["next"], each.row["next"], each.row["namespace"], each.row["rotation"])
