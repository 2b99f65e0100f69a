"""The floor: the operator's six requests for a new binding and nothing else, sent as fast as they go.

Run by `scenarios.floor` as a process of its own, so that it has a core to itself as the operator has. What
to send comes as JSON on standard input, what was measured goes as JSON to standard output. Plain aiohttp:
no watch, no cache, no comparison, no retries; the first refusal ends it.
"""

import asyncio
import json
import ssl
import sys
import time
from dataclasses import dataclass
from typing import Any, Final

import aiohttp

Json = dict[str, Any]
_PATCH: Final = {"Content-Type": "application/json-patch+json"}
PLACEHOLDER: Final = "NAME-OF-THE-BINDING"


@dataclass(frozen=True)
class Order:
    """What to send and where. Texts hold `PLACEHOLDER` where the binding's name belongs."""

    api_url: str
    ca_path: str
    api_token: str
    vault_url: str
    vault_token: str
    bindings: str
    """Path of the collection of bindings."""
    accounts: str
    policies: str
    roles: str
    store_name: str
    finalizer: str
    binding: str
    pending: str
    final: str
    account: str
    policy: str
    role: str


class Floor:
    """Sends the requests for one binding after another."""

    def __init__(self, order: Order, session: aiohttp.ClientSession) -> None:
        self._order = order
        self._session = session
        self._api = {"Authorization": f"Bearer {order.api_token}"}
        self._vault = {"X-Vault-Token": order.vault_token}

    async def create(self, name: str) -> None:
        """Create the binding, as its user does."""
        order = self._order
        await self._send("POST", order.api_url + order.bindings, order.binding, name, self._api)

    async def handle(self, name: str) -> None:
        """Do for the binding what the operator does."""
        order = self._order
        path = f"{order.api_url}{order.bindings}/{name}"
        store = order.store_name.replace(PLACEHOLDER, name)
        await self._send("PATCH", path, order.finalizer, name, self._api | _PATCH)
        await self._send("PATCH", f"{path}/status", order.pending, name, self._api | _PATCH)
        await self._send("POST", order.api_url + order.accounts, order.account, name, self._api)
        await self._send("PUT", f"{order.vault_url}{order.policies}/{store}", order.policy, name, self._vault)
        await self._send("POST", f"{order.vault_url}{order.roles}/{store}", order.role, name, self._vault)
        await self._send("PATCH", f"{path}/status", order.final, name, self._api | _PATCH)

    async def _send(self, method: str, url: str, text: str, name: str, headers: dict[str, str]) -> None:
        body = text.replace(PLACEHOLDER, name).encode()
        async with self._session.request(
            method, url, data=body, headers={"Content-Type": "application/json", **headers}
        ) as answer:
            said = await answer.read()
            if answer.status >= 300:
                raise SystemExit(f"{method} {url}: {answer.status}: {said[:400].decode(errors='replace')}")


async def measure(floor: Floor, names: list[str], in_flight: int, *, created: bool) -> float:
    """Return how many bindings a second were handled. ``created``: their creation came before the clock."""
    gate = asyncio.Semaphore(in_flight)

    async def one(name: str) -> None:
        async with gate:
            if not created:
                await floor.create(name)
            await floor.handle(name)

    if created:
        await asyncio.gather(*(floor.create(each) for each in names))
    began = time.monotonic()
    await asyncio.gather(*(one(each) for each in names))
    return len(names) / (time.monotonic() - began)


async def run(order: Order, count: int, trial: int, in_flight: list[int]) -> Json:
    """Find the best number of requests in flight by trials, then measure with it."""
    tls = ssl.create_default_context(cafile=order.ca_path)
    connector = aiohttp.TCPConnector(ssl=tls, limit=max(in_flight))
    trials: dict[int, float] = {}
    async with aiohttp.ClientSession(connector=connector) as session:
        floor = Floor(order, session)
        for each in in_flight:
            names = [f"trial{each:03d}-{number:05d}" for number in range(trial)]
            trials[each] = await measure(floor, names, each, created=False)
        best = max(trials, key=lambda each: trials[each])
        cpu = time.process_time()
        whole = await measure(floor, [f"whole-{number:05d}" for number in range(count)], best, created=False)
        cpu = time.process_time() - cpu
        alone = await measure(floor, [f"alone-{number:05d}" for number in range(count)], best, created=True)
    return {
        "per_second": whole,
        "per_second_without_creation": alone,
        "cpu_ms_per_binding": 1000 * cpu / count,
        "in_flight": best,
        "trials_per_second": {str(each): round(rate, 1) for each, rate in trials.items()},
    }


def main() -> None:
    """Read the order, measure, print."""
    asked = json.load(sys.stdin)
    found = asyncio.run(run(Order(**asked["order"]), asked["count"], asked["trial"], asked["in_flight"]))
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
