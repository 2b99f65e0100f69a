"""Asks the API server whether it would admit a binding, and waits until it judges by the newest backend.

Used by the tests beside this module. Parameters reach the policies by a watch, so each change of a backend is
waited for by a rule of its own.
"""

from __future__ import annotations

import copy
import itertools
import json
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from typing import Any, Final

from integration.schema import objects
from plane.control_plane import Plane
from plane.errors import PlaneHTTPError
from plane.waiting import wait_for

Json = dict[str, Any]
BACKENDS: Final = "/apis/airwarden.dev/v1alpha1/airflowsecretbackends"
_DENIED: Final = re.compile(r"denied request: (.*)")
_NOT_SYNCED: Final = "not yet synced to use for admission"
"""What the API server says for a moment after a policy came whose parameters' kind is new to it."""
_PROBE: Final = "admission-probe"
_LAG: Final = 30.0
"""Seconds within which a change of a backend surely reached the policies."""


def bindings_path(namespace: str) -> str:
    """Return where bindings of a namespace are served."""
    return f"/apis/airwarden.dev/v1alpha1/namespaces/{namespace}/airflowsecretbindings"


@dataclass
class Asking:
    """The API server, asked by dry run."""

    plane: Plane
    _numbers: itertools.count[int] = field(default_factory=itertools.count)

    def put(self, backend: Json) -> None:
        """Create or replace a backend, without waiting for the policies."""
        path = f"{BACKENDS}/{backend['metadata']['name']}"
        body = copy.deepcopy(backend)
        if self.plane.api.admin.status("GET", path) == 404:
            self.plane.api.admin.request("POST", BACKENDS, body)
            return
        found = self.plane.api.admin.request("GET", path)
        self.plane.api.admin.request("PUT", path, {**found, "spec": body["spec"]})

    def judge_by(self, *backends: Json) -> None:
        """Create or replace backends, and wait until the policies judge by each.

        A rule for a namespace that nobody has is added: its name shows up in what a refusal says is allowed.
        """
        self.make_namespace(_PROBE)
        marker = f"probe-{next(self._numbers)}"
        for each in backends:
            ending = "-" if each["spec"]["type"] == "AzureKeyVault" else "/"
            rule = objects.rule(marker, namespaces={"names": [_PROBE]}, keyPrefixes=[f"nowhere{ending}"], dynamic=[])
            marked = copy.deepcopy(each)
            marked["spec"]["allow"] = [*(each["spec"].get("allow") or []), rule]
            self.put(marked)
        for each in backends:
            probe = objects.binding("probe", _PROBE)
            probe["spec"]["secrets"] = [
                objects.secret(key="elsewhere/x", backendRef={"name": each["metadata"]["name"]})
            ]
            seen = partial(self._says, probe, f"rule {marker} ")
            wait_for(f"the policies judge by {each['metadata']['name']}", seen, _LAG)

    def _says(self, binding: Json, words: str) -> bool:
        return words in (self.refusal(binding) or "")

    def make_namespace(self, name: str, labels: Mapping[str, str] | None = None) -> None:
        """Make a namespace, unless it is there."""
        if self.plane.api.admin.status("GET", f"/api/v1/namespaces/{name}") == 404:
            body = {"metadata": {"name": name, "labels": dict(labels or {})}}
            self.plane.api.admin.request("POST", "/api/v1/namespaces", body)

    def refusal(self, binding: Json) -> str | None:
        """Return why the policies would refuse the binding, None when it would be admitted.

        Raises PlaneHTTPError for a refusal that is not theirs.
        """
        return self._refusal("POST", bindings_path(binding["metadata"]["namespace"]), binding)

    def judges(self, binding: Json) -> bool:
        """Tell whether the policies refuse the binding; not while the API server does not know their parameters yet."""
        try:
            return self.refusal(binding) is not None
        except PlaneHTTPError as error:
            if error.status == HTTPStatus.UNPROCESSABLE_ENTITY and _NOT_SYNCED in error.text:
                return False
            raise

    def refusal_of_edit(self, binding: Json) -> str | None:
        """Return why the policies would refuse that the binding there gets this spec, None when they would not."""
        path = f"{bindings_path(binding['metadata']['namespace'])}/{binding['metadata']['name']}"
        found = self.plane.api.admin.request("GET", path)
        return self._refusal("PUT", path, {**found, "spec": binding["spec"]})

    def refusal_of_patch(self, binding: Json, patch: Json, kind: str) -> str | None:
        """Return why the policies would refuse a patch of the kind ``merge-patch+json`` or ``apply-patch+yaml``."""
        path = f"{bindings_path(binding['metadata']['namespace'])}/{binding['metadata']['name']}"
        force = "&fieldManager=somebody&force=true" if kind.startswith("apply") else ""
        return self._refusal("PATCH", path, patch, force, kind)

    def refusal_at(self, collection: str, body: Json) -> str | None:
        """Return why the policies would refuse an object of any kind in a collection, as `refusal` does."""
        return self._refusal("POST", collection, body)

    def refusal_of_edit_at(self, collection: str, body: Json) -> str | None:
        """Return why the policies would refuse that the object there gets this spec."""
        path = f"{collection}/{body['metadata']['name']}"
        found = self.plane.api.admin.request("GET", path)
        return self._refusal("PUT", path, {**found, "spec": body["spec"]})

    def _refusal(self, method: str, path: str, body: Json, query: str = "", kind: str = "json") -> str | None:
        headers = {"Content-Type": f"application/{kind}"}
        try:
            self.plane.api.admin.request(method, f"{path}?dryRun=All{query}", body, headers=headers)
        except PlaneHTTPError as error:
            found = _DENIED.search(json.loads(error.text).get("message", "") if error.status == 403 else "")
            if found is None:
                raise
            return found[1]
        return None

    def make(self, binding: Json) -> None:
        """Make a binding, which the policies must admit: those of a backend that is not there yet admit all."""
        self.plane.api.admin.request("POST", bindings_path(binding["metadata"]["namespace"]), binding)

    def refusals(self, bindings: Sequence[Json]) -> list[str | None]:
        """Return `refusal` of each, asked side by side."""
        with ThreadPoolExecutor(8) as threads:
            return list(threads.map(self.refusal, bindings))

    def refusals_of_edits(self, bindings: Sequence[Json]) -> list[str | None]:
        """Return `refusal_of_edit` of each, asked side by side."""
        with ThreadPoolExecutor(8) as threads:
            return list(threads.map(self.refusal_of_edit, bindings))
