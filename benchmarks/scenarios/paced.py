"""New bindings one after another: how long one waits when none is before it in a queue."""

from dataclasses import dataclass
from functools import partial

from benchmarks.cluster import paced
from benchmarks.maths import percentile
from benchmarks.objects import binding, collection, names
from benchmarks.result import Measured
from benchmarks.stage import Stage

NAMESPACE = "bench-paced"
_PER_SECOND = 10.0


@dataclass(frozen=True, slots=True)
class Paced:
    """Creates ten bindings a second, beside those that are there already."""

    count: int

    @property
    def name(self) -> str:
        """Return the key of its details."""
        return "paced"

    @property
    def title(self) -> str:
        """Return what it does."""
        return f"{self.count:,} new bindings, {_PER_SECOND:.0f} a second"

    async def run(self, stage: Stage) -> Measured:
        """Create them and wait until all are Ready."""
        await stage.start_operator()
        waited = await ready_seconds(stage, NAMESPACE, names(self.count), _PER_SECOND)
        shares = {"p50": 0.5, "p99": 0.99, "most": 1.0}
        return Measured({}, {f"ready_seconds_{name}": percentile(waited, share) for name, share in shares.items()})


async def ready_seconds(stage: Stage, namespace: str, wanted: list[str], per_second: float) -> list[float]:
    """Create bindings at a steady rate; return how long each took to be Ready."""

    async def one(name: str) -> float:
        return await stage.cluster.create(collection(namespace), binding(namespace, name))

    before = stage.watcher.ready[namespace]
    sent = await paced([partial(one, each) for each in wanted], per_second)
    await stage.wait_ready(namespace, before + len(wanted))
    ready = [stage.watcher.ready_at(namespace, name) for name in wanted]
    return [at - began for at, began in zip(ready, sent, strict=True) if at is not None]
