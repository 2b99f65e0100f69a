"""A JSON client for the servers of the plane, for set-up and for looking at results.

Called by `kubernetes_server.py`, `vault_server.py` and `vault_admin.py`. The operator
under test never uses it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import requests

from plane.errors import PlaneHTTPError

Json = dict[str, Any]


class JsonClient:
    """Sends JSON to one server, takes no proxy, netrc or redirect into account."""

    def __init__(
        self,
        base_url: str,
        *,
        ca: Path | None = None,
        client_certificate: tuple[Path, Path] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = 30.0,
    ) -> None:
        self.base_url = base_url
        self._timeout = timeout
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.headers.update(headers or {})
        if ca is not None:
            self._session.verify = str(ca)
        if client_certificate is not None:
            self._session.cert = (str(client_certificate[0]), str(client_certificate[1]))

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        accept: Iterable[int] = (),
        headers: Mapping[str, str] | None = None,
    ) -> Json:
        """Return the decoded answer (empty for no content); PlaneHTTPError for a status >= 400 not in `accept`."""
        response = self._session.request(
            method,
            self.base_url + path,
            json=body,
            headers=dict(headers or {}),
            timeout=self._timeout,
            allow_redirects=False,
        )
        if response.status_code >= 300 and response.status_code not in tuple(accept):
            raise PlaneHTTPError(method, self.base_url + path, response.status_code, response.text)
        if not response.content or "json" not in response.headers.get("Content-Type", ""):
            return {}
        decoded = response.json()
        return decoded if isinstance(decoded, dict) else {"items": decoded}

    def status(self, method: str, path: str) -> int:
        """Return the HTTP status, 0 if the server cannot be reached."""
        try:
            response = self._session.request(method, self.base_url + path, timeout=self._timeout, allow_redirects=False)
        except requests.RequestException:
            return 0
        return response.status_code

    def close(self) -> None:
        """Close the pooled connections."""
        self._session.close()
