"""Azure's own pipeline without a client on top: for what no kept package has, which is diagnostic settings and Graph.

The same pipeline as the operator's, so the witness here is its policies: login, errors, JSON.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from azure.core import PipelineClient
from azure.core.exceptions import HttpResponseError
from azure.core.pipeline.policies import BearerTokenCredentialPolicy
from azure.core.rest import HttpRequest

from stand_ins.azure.messages import Json
from stand_ins.azure.stand_in import AzureStandIn


class Plain:
    """Sends JSON to one service and returns status and body; errors as the clients raise them."""

    def __init__(self, azure: AzureStandIn, base: str, credential: Any) -> None:
        self._base = base
        login = BearerTokenCredentialPolicy(credential, f"{base}/.default")
        self._client: PipelineClient[Any, Any] = PipelineClient(
            base, policies=[login], connection_verify=str(azure.ca_pem)
        )

    def send(
        self, method: str, path: str, body: Json | None = None, query: Mapping[str, str] | None = None
    ) -> tuple[int, Json]:
        """Send one request; `HttpResponseError` from 400 on."""
        request = HttpRequest(method, f"{self._base}{path}", json=body, params=dict(query or {}))
        response = self._client.send_request(request)
        response.raise_for_status()
        return response.status_code, response.json() if response.content else {}

    def refused(
        self, method: str, path: str, body: Json | None = None, query: Mapping[str, str] | None = None
    ) -> tuple[int, str]:
        """Send one request that must fail, and return the status and Azure's code."""
        try:
            self.send(method, path, body, query)
        except HttpResponseError as error:
            said = error.response.json() if error.response is not None else {}  # type: ignore[attr-defined]
            return error.status_code or 0, str(said.get("error", said).get("code"))
        raise AssertionError(f"{method} {path} was not refused")

    def close(self) -> None:
        """Close its connections."""
        self._client.close()
