"""Requests to the API server and what its answers mean, on a small real HTTP server."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web
from kubernetes.aio.client import ApiClient, Configuration

from airwarden.domain.errors import ClusterFailed, ClusterForbidden, NamespaceTerminating
from airwarden.providers.kubernetes.api import Absent, Conflict, KubernetesApi, Rejected


@dataclass
class Server:
    """Answers every request alike, and remembers them."""

    status: int = 200
    body: Any = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    seen: list[tuple[str, str, Any]] = field(default_factory=list)
    answer: Callable[[web.Request], None] = lambda _: None

    async def handle(self, request: web.Request) -> web.Response:
        """Answer one request."""
        text = await request.text()
        self.seen.append((request.method, request.path_qs, json.loads(text) if text else None))
        self.answer(request)
        shown = self.body if isinstance(self.body, str) else json.dumps(self.body)
        return web.Response(status=self.status, text=shown, headers=self.headers, content_type="application/json")


@pytest.fixture
async def server() -> AsyncIterator[tuple[Server, KubernetesApi]]:
    """Return a server and a client of it."""
    made = Server()
    application = web.Application()
    application.router.add_route("*", "/{tail:.*}", made.handle)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    configuration = Configuration()
    configuration.host = f"http://127.0.0.1:{runner.addresses[0][1]}"
    api = KubernetesApi(ApiClient(configuration), 2.0)
    yield made, api
    await api.close()
    await runner.cleanup()


async def test_an_object_that_breaks_its_schema_is_told_from_one_that_changed(
    server: tuple[Server, KubernetesApi],
) -> None:
    made, api = server
    made.status, made.body = 422, {"message": "why", "details": {"causes": [{"field": "status.x", "message": "long"}]}}
    with pytest.raises(Rejected):
        await api.get("/api/v1/x")
    made.body = {"message": "the server rejected our request due to an error in our request", "details": {}}
    with pytest.raises(Conflict) as caught:
        await api.get("/api/v1/x")
    assert not isinstance(caught.value, Rejected)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (404, Absent),
        (409, Conflict),
        (412, Conflict),
        (422, Conflict),
        (401, ClusterForbidden),
        (403, ClusterForbidden),
        (400, ClusterFailed),
        (429, ClusterFailed),
        (500, ClusterFailed),
        (503, ClusterFailed),
    ],
)
async def test_each_failure_of_the_api_server_is_its_own_and_only_404_is_absence(
    server: tuple[Server, KubernetesApi], status: int, kind: type[Exception]
) -> None:
    made, api = server
    made.status, made.body = status, {"message": "why"}
    with pytest.raises(kind) as caught:
        await api.get("/api/v1/x")
    assert type(caught.value) is kind


async def test_a_terminating_namespace_is_told_from_other_refusals(server: tuple[Server, KubernetesApi]) -> None:
    made, api = server
    made.status, made.body = 403, {"message": "no", "details": {"causes": [{"reason": "NamespaceTerminating"}]}}
    with pytest.raises(NamespaceTerminating):
        await api.post("/api/v1/x", {})


async def test_the_wait_that_the_api_server_asks_for_is_kept(server: tuple[Server, KubernetesApi]) -> None:
    made, api = server
    made.status, made.headers = 429, {"Retry-After": "7"}
    with pytest.raises(ClusterFailed) as caught:
        await api.get("/api/v1/x")
    assert caught.value.retry_after == 7.0


@pytest.mark.parametrize("body", ["no json", "[1]", ""])
async def test_an_answer_that_is_no_object_is_a_failure(server: tuple[Server, KubernetesApi], body: str) -> None:
    made, api = server
    made.body = body
    with pytest.raises(ClusterFailed):
        await api.get("/api/v1/x")


async def test_a_deletion_names_the_uid_and_one_that_is_done_already_is_fine(
    server: tuple[Server, KubernetesApi],
) -> None:
    made, api = server
    await api.delete("/api/v1/x", uid="u-1")
    ((method, _, body),) = made.seen
    assert (method, body["preconditions"]) == ("DELETE", {"uid": "u-1"})
    made.status = 404
    await api.delete("/api/v1/x", uid="u-1")


async def test_a_server_that_cannot_be_reached_or_cuts_the_answer_is_a_failure_and_no_absence(
    server: tuple[Server, KubernetesApi],
) -> None:
    made, api = server

    def cut(request: web.Request) -> None:
        assert request.transport is not None
        request.transport.close()

    made.answer = cut
    with pytest.raises(ClusterFailed):
        await api.get("/api/v1/x")
    configuration = Configuration()
    configuration.host = "http://127.0.0.1:1"
    nowhere = KubernetesApi(ApiClient(configuration), 2.0)
    with pytest.raises(ClusterFailed, match="gave no answer"):
        await nowhere.get("/api/v1/x")
    await nowhere.close()


async def test_a_message_does_not_repeat_the_query_or_the_body(server: tuple[Server, KubernetesApi]) -> None:
    made, api = server
    made.status = 500
    with pytest.raises(ClusterFailed) as caught:
        await api.patch("/api/v1/x", [{"op": "test", "path": "/a", "value": "canary"}])
    assert "canary" not in caught.value.message
    assert "fieldManager" not in caught.value.message


async def test_only_metadata_is_asked_for_where_objects_hold_secrets(server: tuple[Server, KubernetesApi]) -> None:
    made, api = server
    accepted: list[str] = []
    made.answer = lambda request: accepted.append(request.headers["Accept"])
    made.body = {"items": [{"metadata": {"name": "one"}}]}
    found = [each async for each in api.metadata_pages("/api/v1/secrets", "type=x")]
    assert found == [{"metadata": {"name": "one"}}]
    assert accepted == ["application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"]
    assert made.seen == [("GET", "/api/v1/secrets?limit=500&fieldSelector=type%3Dx", None)]
