"""`airwarden rotate`: asks for one run of a rotation, and follows it when told to."""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Final

import typer

from airwarden.api.rotation import REQUEST, AirflowSecretRotation, RotationStatus
from airwarden.commands.caller import FINE, FOUND, UNUSABLE, Caller, Context, Kubeconfig, Ways, fail, run
from airwarden.commands.showing import say
from airwarden.domain.errors import ClusterFailed
from airwarden.providers.kubernetes.api import Absent, Conflict, Json
from airwarden.providers.kubernetes.objects import rotation_path

_TRIES: Final = 5
_PAUSE: Final = 1.0
_STALLED: Final = 10
"""Looks in a row at a rotation that says it cannot run, until it counts as an answer to this request."""


def rotate(
    rotation: Annotated[str, typer.Argument(help="NAMESPACE/ROTATION", metavar="NAMESPACE/ROTATION")],
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the end of the run, and show it.")] = False,
    timeout: Annotated[float, typer.Option("--timeout", min=1, help="Seconds to wait at most.")] = 300.0,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
) -> None:
    """Ask for one run of a rotation now, whatever its schedule and window say.

    Annotates the rotation with a new word, with your rights: who may edit the rotation may ask. Tasks that are running
    keep the value that they have.

    Exit status: 0 asked for, or with --wait succeeded; 1 it ended otherwise or cannot run; 2 its end was not seen.
    """
    namespace, _, name = rotation.partition("/")
    if not namespace or not name or "/" in name:
        raise fail(f"{rotation!r} is no rotation: write NAMESPACE/ROTATION")
    run(Ways("", kubeconfig, context), partial(_rotate, key=(namespace, name), seconds=timeout if wait else 0.0))


async def _rotate(caller: Caller, *, key: tuple[str, str], seconds: float) -> int:
    found = await caller.rotation(*key)
    if found.spec.suspend:
        say(f"airwarden: rotation {key[0]}/{key[1]} is suspended, and was not asked: set spec.suspend to false first")
        return FOUND
    word = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"
    await ask(caller, found, word)
    typer.echo(f"Asked for run {word} of rotation {key[0]}/{key[1]}.")
    if not seconds:
        return FINE
    return await follow(partial(caller.rotation, *key), word, seconds)


async def ask(caller: Caller, rotation: AirflowSecretRotation, word: str) -> None:
    """Annotate the rotation with the word. Raises ClusterFailed when others keep changing it."""
    path = rotation_path(rotation.metadata.namespace, rotation.metadata.name)
    for _ in range(_TRIES):
        metadata = rotation.metadata
        operations: list[Json] = [
            {"op": "test", "path": "/metadata/resourceVersion", "value": metadata.resource_version}
        ]
        if not metadata.annotations:
            operations.append({"op": "add", "path": "/metadata/annotations", "value": {}})
        where = f"/metadata/annotations/{REQUEST.replace('/', '~1')}"
        try:
            await caller.api.patch(path, [*operations, {"op": "add", "path": where, "value": word}])
        except (Conflict, Absent):
            rotation = await caller.rotation(metadata.namespace, metadata.name)
        else:
            return
    raise ClusterFailed(f"{path} kept changing, and was not asked: try again")


async def follow(
    look: Callable[[], Awaitable[AirflowSecretRotation]], word: str, seconds: float, pause: float = _PAUSE
) -> int:
    """Look until the run that the word asked for has ended; say how, and return the exit status."""
    deadline = time.monotonic() + seconds
    stalled = 0
    status = RotationStatus()
    while time.monotonic() < deadline:
        status = (await look()).status or RotationStatus()
        if status.handled_request == word:
            last = status.last_run
            typer.echo(f"{last.result}: {last.message}")
            return FINE if last.result == "Succeeded" else FOUND
        held = status.condition("Stalled")
        stalled = stalled + 1 if held is not None else 0
        if held is not None and stalled >= _STALLED:
            say(f"airwarden: the run is asked for, but cannot begin ({held.reason}): {held.message}")
            return FOUND
        await asyncio.sleep(pause)
    ready = status.condition("Ready")
    say(f"airwarden: the run has not ended after {seconds:.0f} s{f': {ready.message}' if ready is not None else ''}")
    return UNUSABLE
