"""Which environment a command prints something of: one of a file, or one of the cluster.

Called by `airwarden.commands.environment` and `airwarden.commands.roles`.
"""

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from airwarden.api.environment import AirflowEnvironment
from airwarden.commands.caller import FINE, Caller, Ways, fail, run
from airwarden.commands.planning_files import objects_in
from airwarden.domain.errors import AirwardenError, InvalidSettings
from airwarden.reconcile.wording import complaints

Named = Annotated[str | None, typer.Argument(metavar="[NAMESPACE/ENVIRONMENT]", help="A live one.")]
Files = Annotated[list[Path] | None, typer.Option("-f", "--filename", help="File with one; - for standard input.")]
Tell = Callable[[AirflowEnvironment], None]
"""Prints; raises InvalidSettings where there is nothing to print."""


def tell_of(named: str | None, files: Iterable[Path] | None, ways: Ways, tell: Tell) -> None:
    """Print of the one that is asked for. Ends the command with status 2 where that is none, or not one."""
    if bool(named) == bool(files):
        raise fail("give either -f FILE or NAMESPACE/ENVIRONMENT")
    if named is None:
        try:
            tell(declared(files or ()))
        except AirwardenError as error:
            raise fail(error.message) from None
        return
    namespace, _, name = named.partition("/")
    if not namespace or not name or "/" in name:
        raise fail(f"{named!r} is no environment: write NAMESPACE/ENVIRONMENT")
    run(ways, partial(_live, key=(namespace, name), tell=tell))


async def _live(caller: Caller, *, key: tuple[str, str], tell: Tell) -> int:
    tell(await caller.environment(*key))
    return FINE


def declared(files: Iterable[Path]) -> AirflowEnvironment:
    """Return the one environment that the files hold. Raises InvalidSettings."""
    bodies = [each for file in files for each in objects_in(file) if each.get("kind") == "AirflowEnvironment"]
    if len(bodies) != 1:
        raise InvalidSettings(f"the files hold {len(bodies)} AirflowEnvironments: give one that holds one")
    [body] = bodies
    try:
        return AirflowEnvironment.model_validate({"metadata": body.get("metadata"), "spec": body.get("spec")})
    except ValidationError as error:
        raise InvalidSettings(f"the AirflowEnvironment does not hold to its schema: {complaints(error)}") from None
