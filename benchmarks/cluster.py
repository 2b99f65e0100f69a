"""Creates, edits and deletes objects as a user would, many at once, with as little effort as possible.

Called by `stage` and the scenarios: `plane`'s own client does one request at a time. Admin's rights.
"""

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable, Iterable
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import aiohttp
import yaml

from benchmarks.errors import BenchmarkError
from benchmarks.objects import Json
from plane.control_plane import Plane

T = TypeVar("T")
IN_FLIGHT: Final = 32


class Cluster:
    """One pool of connections to the API server of a plane."""

    def __init__(self, plane: Plane) -> None:
        user = yaml.safe_load(plane.kubeconfig.read_text())["users"][0]["user"]
        self._tls = ssl.create_default_context(cafile=str(plane.ca_path))
        self._tls.load_cert_chain(user["client-certificate"], user["client-key"])
        self._url = plane.api_url
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        # One connection more for the watch, and some for what is asked meanwhile.
        connector = aiohttp.TCPConnector(ssl=self._tls, limit=IN_FLIGHT + 8)
        self._session = aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=60))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.session.close()

    @property
    def session(self) -> aiohttp.ClientSession:
        """The open pool."""
        if self._session is None:
            raise BenchmarkError("the pool of connections is not open")
        return self._session

    def url(self, path: str) -> str:
        """Return the address of a path."""
        return self._url + path

    async def get(self, path: str) -> Json | None:
        """Read one object; None when there is none."""
        return await self._send("GET", path, accept=404)

    async def create(self, path: str, body: Json) -> float:
        """Create one object; return when the request was sent."""
        sent = time.monotonic()
        await self._send("POST", path, body)
        return sent

    async def merge(self, path: str, body: Json) -> tuple[float, int]:
        """Change an object by a merge patch; return when that was sent and the generation it made."""
        sent = time.monotonic()
        found = await self._send("PATCH", path, body, content="application/merge-patch+json")
        return sent, int((found or {})["metadata"]["generation"])

    async def delete(self, path: str) -> float:
        """Delete an object, if it is there; return when the request was sent."""
        sent = time.monotonic()
        await self._send("DELETE", path, accept=404)
        return sent

    async def _send(
        self, method: str, path: str, body: Any = None, *, accept: int = 0, content: str = "application/json"
    ) -> Json | None:
        headers = {"Content-Type": content} if body is not None else {}
        async with self.session.request(method, self.url(path), json=body, headers=headers) as answer:
            if answer.status == accept:
                return None
            if answer.status >= 300:
                text = (await answer.text())[:500]
                raise BenchmarkError(f"{method} {path}: the API server answered {answer.status}: {text}")
            found: Json = await answer.json()
            return found


async def together(jobs: Iterable[Callable[[], Awaitable[T]]], in_flight: int = IN_FLIGHT) -> list[T]:
    """Do all jobs, so many at once; return what they returned, in order."""
    gate = asyncio.Semaphore(in_flight)

    async def one(job: Callable[[], Awaitable[T]]) -> T:
        async with gate:
            return await job()

    return list(await asyncio.gather(*(one(each) for each in jobs)))


async def paced(jobs: Iterable[Callable[[], Awaitable[T]]], per_second: float) -> list[T]:
    """Start a job at each tick, whether or not those before have ended; return what they returned, in order."""
    began = time.monotonic()
    tasks = []
    for number, job in enumerate(jobs):
        await asyncio.sleep(max(0.0, began + number / per_second - time.monotonic()))
        tasks.append(asyncio.ensure_future(job()))
    return list(await asyncio.gather(*tasks))
