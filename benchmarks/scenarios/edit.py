"""Edits of single bindings while all others are due for a drift check: an edit must not wait for them."""

import asyncio
from dataclasses import dataclass

from benchmarks.errors import BenchmarkError
from benchmarks.maths import percentile
from benchmarks.objects import collection, secrets
from benchmarks.result import Measured
from benchmarks.scenarios.steady import wait_passes
from benchmarks.stage import Stage

NAMESPACE = "bench-many"
HEADLINE = 5000
_EDITS = 5
_LONGEST = 120.0
_LOOKS = 100


@dataclass(frozen=True, slots=True)
class Edit:
    """Starts the operator, which makes every binding due, and edits five of the last ones."""

    count: int

    @property
    def name(self) -> str:
        """Return the key of its details."""
        return "edit"

    @property
    def title(self) -> str:
        """Return what it does."""
        return f"edits while {self.count:,} bindings are due for a drift check"

    async def run(self, stage: Stage) -> Measured:
        """Edit one after another, for as long as others wait."""
        wanted = await stage.ensure(NAMESPACE, self.count)
        await stage.stop_operator()
        await stage.start_operator()
        meter = stage.meter()
        early = await edit(stage, NAMESPACE, wanted[0])
        edited, waited, waiting = wanted[-_EDITS:], [], []
        await _wait_due(stage)
        for name in edited:
            waiting.append(await stage.waiting())
            waited.append(await edit(stage, NAMESPACE, name))
        await wait_passes(stage, sum(stage.watcher.present.values()))
        await stage.settle()
        usage = meter.read()
        if not all(waiting):
            raise BenchmarkError(f"the drift checks were over before the edits: {waiting} bindings waited")
        slowest = max(waited)
        figures = {"patches_edit": usage.patches(NAMESPACE, frozenset((*edited, wanted[0]))) / (1 + len(edited))}
        if self.count == HEADLINE:
            figures["edit_seconds_among_5000"] = slowest
        details = {
            "bindings": self.count,
            "edits": len(edited),
            "waiting_at_each_edit": waiting,
            "seconds_right_after_start": early,
            "seconds_most": slowest,
            "seconds_p50": percentile(waited, 0.5),
        }
        return Measured(figures, details)


async def _wait_due(stage: Stage) -> None:
    """Wait until the started operator has put bindings into its queue, or has been given long enough."""
    for _ in range(_LOOKS):
        if await stage.waiting():
            return
        await asyncio.sleep(0.05)


async def edit(stage: Stage, namespace: str, name: str) -> float:
    """Ask for another key; return the seconds until the binding was Ready with it."""
    sent, generation = await change(stage, namespace, name, "edited")
    watcher = stage.watcher
    await watcher.wait(
        f"{namespace}/{name} is Ready after an edit",
        lambda: watcher.ready_at(namespace, name, generation) is not None,
        _LONGEST,
    )
    ready = watcher.ready_at(namespace, name, generation)
    return (ready or sent) - sent


async def change(stage: Stage, namespace: str, name: str, key: str) -> tuple[float, int]:
    """Ask for another key; return when that was sent, and the generation it made."""
    body = {"spec": {"secrets": secrets(f"{namespace}/{name}-{key}")}}
    return await stage.cluster.merge(f"{collection(namespace)}/{name}", body)


async def wait_generations(stage: Stage, namespace: str, wanted: dict[str, int], longest: float) -> list[float]:
    """Wait until each binding is Ready at its generation; return when each was."""
    watcher = stage.watcher

    def found() -> list[float | None]:
        return [watcher.ready_at(namespace, name, generation) for name, generation in wanted.items()]

    await watcher.wait("all edited bindings are Ready", lambda: None not in found(), longest)
    await asyncio.sleep(0)
    return [each for each in found() if each is not None]
