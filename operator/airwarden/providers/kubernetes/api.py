"""One pooled connection to the API server, and its answers told apart.

The official client's asyncio half is used below its generated models: requests and answers here are
plain JSON, since custom resources have no models there and each model costs more than its request.
Called by the other modules of this folder only.
"""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final, Self
from urllib.parse import urlencode

import aiohttp
import yaml
from kubernetes.aio import config
from kubernetes.aio.client import ApiClient, Configuration

from airwarden.domain.errors import ClusterFailed, ClusterForbidden, NamespaceTerminating

Json = dict[str, Any]
FIELD_MANAGER: Final = "airwarden"
OPERATOR_AGENT: Final = "airwarden"
COMMAND_AGENT: Final = "airwarden-command"
"""What commands for people say they are, so that an audit log tells them from the operator."""
_JSON_PATCH: Final = "application/json-patch+json"
_APPLY: Final = "application/apply-patch+yaml"
_WATCH_SECONDS: Final = 290
_METADATA: Final = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"


class Absent(Exception):
    """404: there is no such object."""


class Conflict(Exception):
    """409 or a failed precondition: the object is not as the request assumed. The text is for logs."""


class Rejected(Conflict):
    """422 that names a field: no version of the object would be taken with it. The text is for logs."""


async def load_configuration(kubeconfig: str | None, context: str | None = None) -> Configuration:
    """Return how to reach the API server: a kubeconfig's context, by default its current one, or the pod's own account.

    Raises ClusterFailed with what to do when neither is there.
    """
    configuration = Configuration()
    try:
        if kubeconfig is None:
            config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
        else:
            await config.load_kube_config(  # type: ignore[no-untyped-call]
                config_file=kubeconfig, context=context, client_configuration=configuration
            )
    except (config.ConfigException, OSError, yaml.YAMLError) as error:
        raise ClusterFailed(f"no way to the Kubernetes API: {error}; give --kubeconfig, or run in a pod") from None
    return configuration


class KubernetesApi:
    """Sends requests to one API server and returns parsed JSON."""

    def __init__(self, client: ApiClient, timeout: float, agent: str = OPERATOR_AGENT) -> None:
        self._client = client
        self._agent = agent
        self._timeout = aiohttp.ClientTimeout(total=timeout, sock_connect=min(timeout, 5.0))

    @classmethod
    async def connect(
        cls,
        kubeconfig: str | None,
        timeout: float,  # noqa: ASYNC109 - of each request
        context: str | None = None,
        *,
        agent: str = OPERATOR_AGENT,
    ) -> Self:
        """Open the pool: with a kubeconfig's context, by default its current one, or from inside a pod without one.

        ``agent`` is what the API server's audit log shows beside the user.
        """
        configuration = await load_configuration(kubeconfig, context)
        configuration.connection_pool_maxsize = 64
        # No ambient proxies or .netrc: they cost a file read a request, and the kubeconfig says what is needed.
        configuration.client_session_kwargs = {"trust_env": False}
        return cls(ApiClient(configuration), timeout, agent)

    async def close(self) -> None:
        """Close the pool."""
        await self._client.close()  # type: ignore[no-untyped-call]

    async def get(self, path: str) -> Json:
        """Read one object. Raises Absent."""
        return await self._request("GET", path)

    async def pages(
        self, path: str, selector: str = "", size: int = 500, *, metadata_only: bool = False
    ) -> AsyncIterator[Json]:
        """Yield each object of a collection, read page by page; with a selector only those with such labels."""
        accept = _METADATA if metadata_only else "application/json"
        token = ""
        while True:
            query = {"limit": str(size), "labelSelector": selector, "continue": token}
            asked = urlencode({key: value for key, value in query.items() if value})
            found = await self._request("GET", f"{path}?{asked}", accept=accept)
            for each in found.get("items") or ():
                yield each
            token = (found.get("metadata") or {}).get("continue") or ""
            if not token:
                return

    async def metadata_pages(self, path: str, fields: str, size: int = 500) -> AsyncIterator[Json]:
        """Yield the metadata, and nothing else, of each object that a field selector chooses.

        The API server leaves the rest out: so Secrets can be named without a value of theirs coming here.
        """
        token = ""
        while True:
            query = {"limit": str(size), "fieldSelector": fields, "continue": token}
            found = await self._request(
                "GET",
                f"{path}?{urlencode({key: value for key, value in query.items() if value})}",
                accept="application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1",
            )
            for each in found.get("items") or ():
                yield each
            token = (found.get("metadata") or {}).get("continue") or ""
            if not token:
                return

    async def post(self, path: str, body: Json) -> Json:
        """Create one object. Raises Conflict when it is there already."""
        return await self._request("POST", f"{path}?fieldManager={FIELD_MANAGER}", body)

    async def patch(self, path: str, operations: Sequence[Json]) -> Json:
        """Apply a JSON patch. Raises Conflict when one of its tests fails, Absent when it is gone."""
        url = f"{path}?fieldManager={FIELD_MANAGER}"
        return await self._request("PATCH", url, list(operations), _JSON_PATCH)

    async def apply(self, path: str, body: Json, *, manager: str = FIELD_MANAGER) -> Json:
        """Server-side apply with our field manager, or another of ours: only the fields in the body are its."""
        return await self._request("PATCH", f"{path}?fieldManager={manager}&force=true", body, _APPLY)

    async def watch(self, path: str, selector: str) -> AsyncIterator[tuple[str, Json]]:
        """Yield kind and object of each change of a collection, after each object that is there, until the API ends it.

        Raises ClusterFailed when it cannot go on; the next call begins anew with what is there.
        """
        found = await self._request("GET", f"{path}?{urlencode({'labelSelector': selector})}")
        for each in found.get("items") or ():
            yield "ADDED", each
        version = str((found.get("metadata") or {}).get("resourceVersion", ""))
        query = {"labelSelector": selector, "watch": "1", "resourceVersion": version, "timeoutSeconds": _WATCH_SECONDS}
        async for line in self._lines(f"{path}?{urlencode(query)}"):
            event = _parsed(line, "WATCH", path)
            if event.get("type") == "ERROR":
                return
            yield str(event.get("type")), event.get("object") or {}

    async def _lines(self, path: str) -> AsyncIterator[bytes]:
        headers = {"Content-Type": "application/json", "Accept": "application/json", "User-Agent": self._agent}
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=5.0, sock_read=_WATCH_SECONDS + 30.0)
        try:
            await self._client.update_params_for_auth(headers, [], ["BearerToken"], path, "GET", None)
            answer = await self._client.rest_client.request(  # type: ignore[no-untyped-call]
                "GET", self._client.configuration.host + path, headers=headers, _request_timeout=timeout
            )
            if answer.status >= 300:
                raise _failure(answer.status, answer.headers, await answer.read(), f"WATCH {_shown(path)}")
            try:
                async for line in answer.response.content:
                    yield line
            finally:
                answer.response.close()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ClusterFailed(f"the watch of {_shown(path)} broke: {type(error).__name__}") from None

    async def remove(self, path: str) -> None:
        """Delete the object of that name, whichever it is. One that is gone already is fine."""
        try:
            await self._request("DELETE", path)
        except Absent:
            return

    async def delete(self, path: str, *, uid: str) -> None:
        """Delete the object of that uid and no other, and what it owns. One that is gone already is fine."""
        body = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": {"uid": uid},
            "propagationPolicy": "Background",
        }
        try:
            await self._request("DELETE", path, body)
        except Absent:
            return

    async def _request(
        self,
        method: str,
        path: str,
        body: Json | list[Json] | None = None,
        content: str = "application/json",
        *,
        accept: str = "application/json",
    ) -> Json:
        headers = {"Content-Type": content, "Accept": accept, "User-Agent": self._agent}
        try:
            await self._client.update_params_for_auth(headers, [], ["BearerToken"], path, method, body)
            answer = await self._client.rest_client.request(  # type: ignore[no-untyped-call]
                method,
                self._client.configuration.host + path,
                headers=headers,
                body=body,
                _request_timeout=self._timeout,
            )
            text = await answer.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            kind = "no answer in time" if isinstance(error, TimeoutError) else type(error).__name__
            raise ClusterFailed(f"the Kubernetes API gave no answer to {method} {_shown(path)}: {kind}") from None
        if answer.status < 300:
            return _parsed(text, method, path)
        raise _failure(answer.status, answer.headers, text, f"{method} {_shown(path)}")


def _parsed(text: bytes, method: str, path: str) -> Json:
    try:
        found = json.loads(text)
    except ValueError:
        raise ClusterFailed(f"the Kubernetes API gave an answer that is not JSON to {method} {_shown(path)}") from None
    if not isinstance(found, dict):
        raise ClusterFailed(f"the Kubernetes API gave no object to {method} {_shown(path)}")
    return found


def _shown(path: str) -> str:
    return path.partition("?")[0]


def _failure(status: int, headers: Mapping[str, str], text: bytes, what: str) -> Exception:
    try:
        said = json.loads(text)
    except ValueError:
        said = {}
    message = str(said.get("message", ""))[:300] if isinstance(said, dict) else ""
    causes = (said.get("details") or {}).get("causes") or [] if isinstance(said, dict) else []
    if any(cause.get("reason") == "NamespaceTerminating" for cause in causes):
        return NamespaceTerminating("the namespace is being deleted")
    if status == 404:
        return Absent(message)
    if status == 422 and any(cause.get("field") for cause in causes):
        return Rejected(message)  # a failed test of a patch names no field
    if status in (409, 412, 422):
        return Conflict(message)
    if status in (401, 403):
        return ClusterForbidden(f"the Kubernetes API refused {what}: {message or status}")
    return ClusterFailed(
        f"the Kubernetes API answered {status} to {what}: {message}", retry_after=_seconds(headers.get("Retry-After"))
    )


def _seconds(text: str | None) -> float | None:
    return float(text) if text is not None and text.isdigit() else None
