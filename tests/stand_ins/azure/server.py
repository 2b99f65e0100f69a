"""The stand-in's sockets: one HTTPS port for each service and vault, one HTTP port for metadata, one HTTP proxy.

Runs an event loop of its own in a thread. The proxy leads the hosts that Azure's clients know by heart
(management.azure.com, NAME.vault.azure.net, …) to the stand-in, so that a client which takes no other address
still reaches it through HTTPS_PROXY; every other host is refused, so nothing leaves the machine.
"""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import threading
import weakref
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from aiohttp import web

from plane.certificates import Authority
from stand_ins.azure.messages import Answer, Request, Vanished

Answerer = Callable[[Request], Awaitable[Answer]]
HOSTS = {
    "management.azure.com": "arm",
    "login.microsoftonline.com": "entra",
    "graph.microsoft.com": "graph",
}
VAULT_DOMAIN = ".vault.azure.net"
_START_DEADLINE = 30.0


class Server:
    """Listens on 127.0.0.1; `localhost` and 127.0.0.1 are both in the certificate."""

    def __init__(self, directory: Path, answer: Answerer) -> None:
        self._answer = answer
        authority = Authority(directory, "airwarden-azure")
        self.ca = authority.path
        pair = authority.server("azure", ["localhost", "127.0.0.1", *HOSTS, f"*{VAULT_DOMAIN}"])
        self._tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._tls.load_cert_chain(pair.certificate, pair.key)
        self._loop = asyncio.new_event_loop()
        self._ports: dict[str, int] = {}
        self._runners: list[web.AppRunner] = []
        self._proxy: asyncio.Server | None = None
        self._open: weakref.WeakSet[asyncio.Transport] = weakref.WeakSet()
        self._thread = threading.Thread(target=self._loop.run_forever, name="azure-stand-in", daemon=True)

    def start(self) -> None:
        """Listen; ready on return."""
        self._thread.start()
        for service in ("arm", "entra", "graph"):
            self._ports[service] = self._wait(self._listen(service, ""))
        self._ports["imds"] = self._wait(self._listen("imds", "", tls=False))
        self._ports["proxy"] = self._wait(self._listen_as_proxy())

    def stop(self) -> None:
        """Close everything."""
        self._wait(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_START_DEADLINE)
        self._loop.close()

    def add_vault(self, name: str) -> str:
        """Give a vault a port of its own and return its address."""
        key = f"vault:{name.lower()}"
        if key not in self._ports:
            self._ports[key] = self._wait(self._listen("vault", name.lower()))
        return self.url(key)

    def url(self, service: str) -> str:
        """Return the address of a service, without a slash at the end."""
        scheme = "http" if service in {"imds", "proxy"} else "https"
        return f"{scheme}://localhost:{self._ports[service]}"

    def _wait(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_START_DEADLINE)

    async def _listen(self, service: str, vault: str, *, tls: bool = True) -> int:
        async def handle(request: web.Request) -> web.StreamResponse:
            return await self._handle(request, service, vault)

        application = web.Application(client_max_size=2**20)
        application.router.add_route("*", "/{path:.*}", handle)
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        self._runners.append(runner)
        listener = socket.create_server(("127.0.0.1", 0))
        await web.SockSite(runner, listener, ssl_context=self._tls if tls else None).start()
        return int(listener.getsockname()[1])

    async def _handle(self, request: web.Request, service: str, vault: str) -> web.StreamResponse:
        if request.transport is not None:
            self._open.add(request.transport)
        host = request.host.partition(":")[0].lower()
        if host.endswith(VAULT_DOMAIN):
            service, vault = "vault", host.removesuffix(VAULT_DOMAIN)
        message = Request(
            service=HOSTS.get(host, service),
            method=request.method,
            path=unquote(request.rel_url.raw_path),
            query=dict(request.query),
            headers={name.lower(): value for name, value in request.headers.items()},
            body=await request.read(),
            origin=f"{request.scheme}://{request.host}",
            vault=vault,
        )
        try:
            answer = await self._answer(message)
        except Vanished:
            if request.transport is not None:
                request.transport.abort()
            return web.Response()  # nobody hears it
        body = b"" if answer.body is None else json.dumps(answer.body).encode()
        headers = {"Content-Type": "application/json; charset=utf-8", **answer.headers}
        return web.Response(status=answer.status, body=body, headers=headers)

    async def _listen_as_proxy(self) -> int:
        self._proxy = await asyncio.start_server(self._tunnel, "127.0.0.1", 0)
        return int(self._proxy.sockets[0].getsockname()[1])

    async def _tunnel(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner: asyncio.StreamWriter | None = None
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            method, target, *_ = head.split(" ", 2)
            port = self._port_of(target.partition(":")[0].lower())
            if method != "CONNECT" or port is None:
                writer.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                await writer.drain()
                return
            inner_reader, inner = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            await asyncio.gather(_pump(reader, inner), _pump(inner_reader, writer))
        except (ConnectionError, asyncio.IncompleteReadError):
            return  # a client may go whenever it likes
        finally:
            writer.close()
            if inner is not None:
                inner.transport.abort()

    def _port_of(self, host: str) -> int | None:
        if host.endswith(VAULT_DOMAIN):
            return self._ports.get(f"vault:{host.removesuffix(VAULT_DOMAIN)}")
        return self._ports.get(HOSTS.get(host, ""))

    async def _close(self) -> None:
        if self._proxy is not None:
            self._proxy.close()
        for transport in list(self._open):  # clients that keep their connection are not waited for
            transport.abort()
        for runner in self._runners:
            await runner.cleanup()
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        for _ in range(2):  # until the transports have said that they are closed
            await asyncio.sleep(0)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()
