"""Deletion of many bindings: how many a second, and that nothing of them is left in the store."""

from dataclasses import dataclass
from functools import partial

from benchmarks.cluster import together
from benchmarks.objects import collection
from benchmarks.result import Measured
from benchmarks.scenarios.steady import wait_passes
from benchmarks.stage import Stage, deadline

NAMESPACE = "bench-many"


@dataclass(frozen=True, slots=True)
class Delete:
    """Deletes bindings one by one, many at once, as kubectl does with --all."""

    count: int

    @property
    def name(self) -> str:
        """Return the key of its details."""
        return "delete"

    @property
    def title(self) -> str:
        """Return what it does."""
        return f"deletion of {self.count:,} bindings"

    async def run(self, stage: Stage) -> Measured:
        """Delete and wait until the last is gone."""
        wanted = await stage.ensure(NAMESPACE, self.count)
        await wait_passes(stage, sum(stage.watcher.present.values()))  # of an operator that was started just now
        meter, watcher = stage.meter(), stage.watcher
        keys = [(NAMESPACE, name) for name in wanted]
        paths = [f"{collection(NAMESPACE)}/{name}" for name in wanted]
        sent = await together(partial(stage.cluster.delete, each) for each in paths)

        def gone() -> bool:
            done = sum(each in watcher.gone for each in keys)
            stage.progress.move(done, self.count)
            return done == self.count

        await watcher.wait(f"{self.count} bindings are gone", gone, deadline(self.count))
        seconds = max(watcher.gone[each] for each in keys) - min(sent)
        await stage.settle()
        usage = meter.read()
        details = {
            "bindings": self.count,
            "patches_per_binding": usage.patches(NAMESPACE) / self.count,
            "vault_requests_per_binding": len(usage.vault) / self.count,
            "cpu_ms_per_binding": 1000 * usage.cpu_seconds / self.count,
            "left_in_vault": left_in_vault(stage, NAMESPACE, frozenset(wanted)),
            "requests": usage.kinds(),
        }
        return Measured({"delete_per_second": self.count / seconds}, details)


def left_in_vault(stage: Stage, namespace: str, names: frozenset[str]) -> int:
    """Return how many policies and roles of these bindings are still there."""
    listings = ("sys/policies/acl", "auth/kubernetes/role")
    found = [stage.plane.vault.request("LIST", path, accept=[404]) for path in listings]
    there = [str(each) for answer in found for each in (answer.get("data") or {}).get("keys") or ()]
    return sum(each.partition(f".{namespace}.")[2].split(".")[0] in names for each in there)
