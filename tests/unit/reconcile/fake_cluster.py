"""An API server in memory and a journal of all requests, which can fail or break off at any one of them.

It stands below the operator's own writers, for `unit.reconcile.fakes`.
"""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from airwarden.providers.kubernetes.accounts import CARRIER
from airwarden.providers.kubernetes.api import FIELD_MANAGER, Absent, Conflict, Json, KubernetesApi


class Killed(BaseException):
    """The process ended here: nothing of it goes on, no handler of ours may catch it."""


When = Literal["before", "after"]


@dataclass
class Journal:
    """Every request in order, and where one is to go wrong."""

    lines: list[str] = field(default_factory=list)
    fail_at: int = 0
    when: When = "before"
    error: BaseException | None = None

    def begin(self, line: str) -> None:
        """Note a request that is about to act."""
        self.lines.append(line)
        if self.when == "before":
            self._fail()

    def end(self) -> None:
        """Note that it has acted, and its answer is on the way."""
        if self.when == "after":
            self._fail()

    def _fail(self) -> None:
        if self.error is not None and len(self.lines) == self.fail_at:
            raise self.error

    def kinds(self) -> list[str]:
        """Return the lines that changed something, without Events."""
        return [line for line in self.lines if not line.startswith(("GET", "observe", "EVENT"))]


class FakeApi(KubernetesApi):
    """Objects by path, with uids, versions, generations, finalizers and JSON patches."""

    def __init__(self, journal: Journal) -> None:
        self.objects: dict[str, Json] = {}
        self.events: list[Json] = []
        self.statuses: list[Json] = []
        """Every status that was written, of whichever object."""
        self._journal = journal
        self._version = 100

    def put(self, path: str, body: Mapping[str, Any]) -> Json:
        """Write an object as a user does."""
        before = self.objects.get(path)
        made = copy.deepcopy(dict(body))
        metadata = made.setdefault("metadata", {})
        metadata.setdefault("uid", before["metadata"]["uid"] if before else f"uid-{self._version}")
        generation = before["metadata"].get("generation", 0) if before else 0
        changed = before is None or before.get("spec") != made.get("spec")
        metadata["generation"] = generation + changed
        return self._keep(path, made)

    def change(self, path: str, mutate: Callable[[Json], object]) -> Json:
        """Change an object in place as a user does."""
        body = copy.deepcopy(self.objects[path])
        mutate(body)
        return self.put(path, body)

    async def get(self, path: str) -> Json:
        self._journal.begin(f"GET {path}")
        collection, listed, _ = path.partition("?")
        if listed:
            kind = f"/{collection.rsplit('/', 1)[1]}/"
            found: Json = {
                "metadata": {},
                "items": [copy.deepcopy(self.objects[each]) for each in sorted(self.objects) if kind in each],
            }
        else:
            found = copy.deepcopy(self.objects.get(path, {}))
        self._journal.end()
        if not found:
            raise Absent(path)
        return found

    async def pages(
        self, path: str, selector: str = "", size: int = 500, *, metadata_only: bool = False
    ) -> AsyncIterator[Json]:
        """Yield every object of a kind, in all namespaces."""
        del selector, size, metadata_only
        for each in (await self.get(f"{path}?"))["items"]:
            yield each

    async def post(self, path: str, body: Json) -> Json:
        if path.endswith("/events"):
            self._journal.begin("EVENT")
            self.events.append(body)
            self._journal.end()
            return body
        self._journal.begin(f"POST {path}")
        where = f"{path}/{body['metadata']['name']}"
        if where in self.objects:
            raise Conflict("already exists")
        made = self.put(where, {**body, "metadata": {**body["metadata"], "managedFields": _MANAGED}})
        self._journal.end()
        return made

    async def patch(self, path: str, operations: Sequence[Json]) -> Json:
        self._journal.begin(f"PATCH {_said(path, operations)}")
        body = copy.deepcopy(self._existing(path.removesuffix("/status")))
        for each in operations:
            _apply(body, each)
        if path.endswith("/status"):
            self.statuses.append(copy.deepcopy(body["status"]))
        kept = self._keep(path.removesuffix("/status"), body)
        self._journal.end()
        return kept

    async def apply(self, path: str, body: Json, *, manager: str = FIELD_MANAGER) -> Json:
        self._journal.begin(f"APPLY {path}")
        before = self.objects.get(path)
        uid = body["metadata"].get("uid")
        if uid is not None and (before is None or before["metadata"]["uid"] != uid):
            raise Conflict("uid mismatch")
        merged = copy.deepcopy(before) if before is not None else {"metadata": {}}
        merged["metadata"] |= {key: value for key, value in body["metadata"].items() if key != "labels"}
        merged["metadata"]["labels"] = {**merged["metadata"].get("labels", {}), **body["metadata"].get("labels", {})}
        merged["metadata"]["managedFields"] = [*_MANAGED, *_carrying(merged, manager)]
        merged |= {key: value for key, value in body.items() if key != "metadata"}
        kept = self.put(path, merged)
        self._journal.end()
        return kept

    async def remove(self, path: str) -> None:
        self._journal.begin(f"DELETE {path}")
        self.objects.pop(path, None)
        self._journal.end()

    async def delete(self, path: str, *, uid: str) -> None:
        self._journal.begin(f"DELETE {path}")
        found = self.objects.get(path)
        if found is not None:
            if found["metadata"]["uid"] != uid:
                raise Conflict("uid mismatch")
            del self.objects[path]
        self._journal.end()

    def _existing(self, path: str) -> Json:
        if path not in self.objects:
            raise Absent(path)
        return copy.deepcopy(self.objects[path])

    def _keep(self, path: str, body: Json) -> Json:
        self._version += 1
        body["metadata"]["resourceVersion"] = str(self._version)
        self.objects[path] = body
        if body["metadata"].get("deletionTimestamp") and not body["metadata"].get("finalizers"):
            del self.objects[path]
        return copy.deepcopy(body)


def _carrying(body: Json, manager: str) -> list[Json]:
    """Return what the API server remembers of annotations that another manager of ours applied."""
    before = [each for each in body["metadata"].get("managedFields", ()) if each["manager"] == CARRIER]
    if manager != CARRIER:
        return before
    fields: Json = {f"f:{key}": {} for key in body["metadata"].get("annotations", {})}
    return [{"manager": CARRIER, "operation": "Apply", "fieldsV1": {"f:metadata": {"f:annotations": fields}}}]


_MANAGED = [{"manager": FIELD_MANAGER, "operation": "Apply"}]


def _said(path: str, operations: Sequence[Json]) -> str:
    """Return a patch in few words: which object, and what of it."""
    if "/serviceaccounts/" in path:
        return f"{path} labels off"
    if "/airflowsecretrotations/" in path and not path.endswith("/status"):
        return f"{path.rsplit('/', 1)[1]} spec"
    if "/configmaps/" in path:
        return f"{path} data"
    if "/jobs/" in path:
        return f"{path} let run"
    if not path.endswith("/status"):
        return f"{path.rsplit('/', 1)[1]} finalizer {'off' if operations[-1]['op'] == 'remove' else 'on'}"
    status = operations[-1]["value"]
    said = next((each["reason"] for each in status["conditions"] if each["type"] == "Ready"), "nothing yet")
    return f"{path.split('/')[-2]} status {said}"


def _apply(body: Json, operation: Json) -> None:
    steps = operation["path"].strip("/").split("/")
    *parents, last = [step.replace("~1", "/").replace("~0", "~") for step in steps]
    place: Any = body
    for part in parents:
        place = place[int(part)] if isinstance(place, list) else place[part]
    if operation["op"] == "test":
        found = place[int(last)] if isinstance(place, list) else place.get(last)
        if found != operation["value"]:
            raise Conflict("test failed")
    elif operation["op"] == "remove":
        del place[int(last) if isinstance(place, list) else last]
    elif last == "-":
        place.append(operation["value"])
    else:
        place[last] = operation["value"]
