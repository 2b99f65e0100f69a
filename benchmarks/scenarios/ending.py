"""How long access outlives its end: a rule that no longer admits it, an edit, its own end, deletion (design rule 10).

Measured from the moment that should end it, by this machine's clock, to Vault's answer to the write or the removal of
the policy, by Vault's audit log: from then on a live token reads no more than it should.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final, TypeVar

from benchmarks.cluster import together
from benchmarks.errors import BenchmarkError
from benchmarks.maths import percentile
from benchmarks.objects import BACKEND_PATH, NAMESPACES, backend, collection, secrets
from benchmarks.result import Measured
from benchmarks.scenarios.delete import left_in_vault
from benchmarks.stage import Stage, deadline

NAMESPACE: Final = "bench-ending"
_POLICIES: Final = "sys/policies/acl/"
_WRITES: Final = frozenset({"create", "update", "delete"})
_AHEAD: Final = 20.0
"""Seconds from the edits that set an end to that end."""

T = TypeVar("T")
Moments = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Ending:
    """Ends the access of so many bindings in four ways, one after another."""

    count: int

    @property
    def name(self) -> str:
        """Return the key of its details."""
        return "ending"

    @property
    def title(self) -> str:
        """Return what it does."""
        return f"four ways to end the access of {self.count:,} bindings"

    async def run(self, stage: Stage) -> Measured:
        """End and, but for deletion, give again."""
        wanted = await stage.ensure(NAMESPACE, self.count)
        ways: tuple[tuple[str, Callable[[], Awaitable[Moments]], Callable[[], Awaitable[object]] | None], ...] = (
            ("rule", partial(_tighten, stage, wanted), partial(_admit, stage, list(NAMESPACES))),
            ("edit", partial(_ask_for_another_key, stage, wanted), None),
            ("notAfter", partial(_let_end, stage, wanted), partial(_edit, stage, wanted, lambda _: {"access": None})),
            ("deletion", partial(_delete, stage, wanted), None),
        )
        outlived: dict[str, list[float]] = {}
        for way, end, give_again in ways:
            outlived[way] = await _outlived(stage, wanted, end)
            if give_again is not None:
                await give_again()
                await _wait_granted(stage, wanted)
        figures = {"ending_seconds": max(map(max, outlived.values()))}
        details: dict[str, Any] = {"bindings": self.count, "bindings_beside": stage.watcher.present["bench-many"]}
        for way, seconds in outlived.items():
            details |= {f"{way}_seconds_p50": percentile(seconds, 0.5), f"{way}_seconds_most": max(seconds)}
        return Measured(figures, details)


async def _outlived(stage: Stage, wanted: list[str], end: Callable[[], Awaitable[Moments]]) -> list[float]:
    """Return for each binding how many seconds its policy outlived the moment that should have ended it."""
    mark = stage.plane.vault.audit.mark()
    moments = await end()

    def all_written() -> tuple[int, dict[str, float]]:
        found = _first_writes(stage, mark)
        return len(found), found

    written = await _reach(stage, "policies are written or removed", len(wanted), all_written)
    return [written[each] - moments[each] for each in wanted]


def _first_writes(stage: Stage, mark: int) -> dict[str, float]:
    """Return when Vault first answered to a write or the removal of each binding's policy, in seconds since 1970."""
    found: dict[str, float] = {}
    for each in stage.plane.vault.audit.entries(mark):
        if each.operation in _WRITES and each.path.startswith(_POLICIES) and not each.error:
            name = each.path.partition(f".{NAMESPACE}.")[2].split(".")[0]
            if name:
                found.setdefault(name, datetime.fromisoformat(each.answered).timestamp())
    return found


async def _wait_granted(stage: Stage, wanted: list[str]) -> None:
    """Wait until each of these bindings has its policy and its role again."""

    def granted() -> tuple[int, None]:
        return left_in_vault(stage, NAMESPACE, frozenset(wanted)) // 2, None

    await _reach(stage, "bindings have their access again", len(wanted), granted)
    await stage.settle()


async def _reach(stage: Stage, what: str, count: int, look: Callable[[], tuple[int, T]]) -> T:
    """Look until it counts so many; return what was found then."""
    end = time.monotonic() + _AHEAD + deadline(count)
    while True:
        reached, found = await asyncio.to_thread(look)
        stage.progress.move(reached, count)
        if reached == count:
            return found
        if time.monotonic() > end:
            raise BenchmarkError(f"only {reached} of {count} {what} after {_AHEAD + deadline(count):.0f} s")
        await asyncio.sleep(0.2)


async def _edit(stage: Stage, wanted: list[str], spec: Callable[[str], Mapping[str, Any]]) -> dict[str, float]:
    """Change all these bindings; return when each change was sent, in seconds since 1970."""
    return await _each(wanted, lambda path, name: stage.cluster.merge(path, {"spec": spec(name)}))


async def _each(wanted: list[str], act: Callable[[str, str], Awaitable[object]]) -> dict[str, float]:
    """Do something to all these bindings by path and name, many at once; return when each was begun, since 1970."""

    async def one(name: str) -> tuple[str, float]:
        begun = time.time()
        await act(f"{collection(NAMESPACE)}/{name}", name)
        return name, begun

    return dict(await together(partial(one, each) for each in wanted))


async def _admit(stage: Stage, namespaces: list[str]) -> float:
    """Have the backend's one rule admit these namespaces; return when that was sent."""
    [rule] = backend("")["spec"]["allow"]
    sent = time.time()
    await stage.cluster.merge(BACKEND_PATH, {"spec": {"allow": [{**rule, "namespaces": {"names": namespaces}}]}})
    return sent


async def _tighten(stage: Stage, wanted: list[str]) -> Moments:
    return dict.fromkeys(wanted, await _admit(stage, [each for each in NAMESPACES if each != NAMESPACE]))


async def _ask_for_another_key(stage: Stage, wanted: list[str]) -> Moments:
    return await _edit(stage, wanted, lambda name: {"secrets": secrets(f"{NAMESPACE}/{name}-other")})


async def _let_end(stage: Stage, wanted: list[str]) -> Moments:
    end = (datetime.now(UTC) + timedelta(seconds=_AHEAD)).replace(microsecond=0)
    sent = await _edit(stage, wanted, lambda _: {"access": {"notAfter": end.strftime("%Y-%m-%dT%H:%M:%SZ")}})
    if max(sent.values()) > end.timestamp():
        raise BenchmarkError(f"the {len(wanted)} edits that set an end took longer than {_AHEAD:.0f} s")
    return dict.fromkeys(wanted, end.timestamp())


async def _delete(stage: Stage, wanted: list[str]) -> Moments:
    return await _each(wanted, lambda path, _: stage.cluster.delete(path))
