"""Logs, metrics and health for the outside: what leaves the process in text passes through here.

Set up once by `airwarden.cli`. The redaction is a second wall: nothing that is secret should get this far.
"""

import logging
import re
import sys
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any, Final

import structlog
from aiohttp import web
from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from airwarden.reconcile.metrics import Metrics
from airwarden.settings import LogFormat, LogLevel, Settings

_SECRETS: Final = re.compile(
    r"\b(?:hv[sbr]\.[A-Za-z0-9_-]{8,}|[sb]\.[A-Za-z0-9]{24}\b)"  # tokens of Vault
    r"|\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]*)?"  # JSON Web Tokens
    r"|(?i:\bbearer\s+)[A-Za-z0-9._~+/=-]{8,}"
    r"|(?i:x-vault-token['\":=\s]+)[^\s'\",}]+"
    r"|(?<=://)[^/\s:@]+:[^/\s@]+(?=@)"  # password in a URL
)
_QUIET: Final = ("aiohttp", "asyncio", "hvac", "kubernetes", "requests", "urllib3")
"""Libraries that print requests, some with headers, at debug level; they are kept to warnings."""


def redact(text: str) -> str:
    """Return the text without anything that looks like a token or password."""
    return _SECRETS.sub("[redacted]", text)


def set_up_logging(level: LogLevel, form: LogFormat) -> None:
    """Send all log lines, also those of libraries, to standard error in one form, redacted."""
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if form is LogFormat.JSON
        else structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    )
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            _redact_event,
            renderer,
        ],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    logging.basicConfig(handlers=[handler], level=level.value.upper(), force=True)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    # kopf logs whole objects and patches at debug; its information is in our own lines.
    logging.getLogger("kopf").setLevel(logging.WARNING)


def _redact_event(_logger: Any, _name: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    return {key: _redacted(value) for key, value in event.items()}


def _redacted(value: object) -> object:
    """Return the value fit to be rendered, whatever it holds: the renderer would take the text of any object."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Mapping):
        return {redact(str(key)): _redacted(each) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_redacted(each) for each in value]
    return redact(value if isinstance(value, str) else repr(value))


class Ports:
    """Serves /metrics, /healthz and /readyz."""

    def __init__(self, metrics: Metrics, ready: Callable[[], bool], stalled_seconds: Callable[[], float]) -> None:
        self._metrics = metrics
        self._ready = ready
        self._stalled_seconds = stalled_seconds
        self._limit = float("inf")
        self._runner: web.AppRunner | None = None

    async def start(self, settings: Settings) -> int:
        """Begin to listen; return the port."""
        self._limit = settings.stall_seconds
        application = web.Application()
        application.router.add_get("/metrics", self._show_metrics)
        application.router.add_get("/healthz", self._show_health)
        application.router.add_get("/readyz", self._show_ready)
        self._runner = web.AppRunner(application, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, settings.listen_address, settings.metrics_port)
        await site.start()
        return int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _show_metrics(self, _request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(self._metrics.registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def _show_health(self, _request: web.Request) -> web.Response:
        """Fail only when bindings wait and no pass ends: a store that is down does not restart the pod."""
        stalled = self._stalled_seconds()
        if stalled > self._limit:
            return web.Response(
                status=503, text=f"no pass has ended for {stalled:.0f} s while bindings or rotations wait\n"
            )
        return web.Response(text="ok\n")

    async def _show_ready(self, _request: web.Request) -> web.Response:
        if not self._ready():
            return web.Response(status=503, text="still listing the cluster\n")
        return web.Response(text="ok\n")
