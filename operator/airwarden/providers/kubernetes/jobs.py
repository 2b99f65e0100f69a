"""Jobs of rotations in the rotation namespace: made suspended, given their Secret, let run, looked at.

The operator makes and deletes Secrets there and can read none. Called by `airwarden.reconcile.rotation_jobs` and
`airwarden.reconcile.job_watch`.
"""

import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

from airwarden.api.templates import RUN, TEMPLATE
from airwarden.domain.errors import JobNotOwned, ObjectGone, TemplateMissing
from airwarden.domain.rotation.handover import Handover
from airwarden.domain.rotation.jobs import JobEnd, Outcome
from airwarden.providers.kubernetes.api import Absent, Conflict, Json, KubernetesApi
from airwarden.providers.kubernetes.job_body import (
    KEPT_SECONDS,
    JobOrder,
    check_template,
    is_made_of,
    is_of_run,
    job_body,
    secret_body,
)

_DEADLINE: Final = "DeadlineExceeded"
_LONGEST: Final = 300
_NO_OUTCOME: Final = Outcome(JobEnd.ABSENT)


class Jobs:
    """The Jobs of one rotation namespace."""

    def __init__(self, api: KubernetesApi, namespace: str) -> None:
        self._api = api
        self.namespace = namespace

    async def template(self, name: str) -> Json:
        """Return a template. Raises TemplateMissing, TemplateUnfit."""
        where = f"CronJob {self.namespace}/{name}"
        try:
            found = await self._api.get(self._path("cronjobs", name))
        except Absent:
            raise TemplateMissing(f"there is no {where}: correct the template's name, or have it applied") from None
        check_template(found, where)
        return found

    async def make(self, template: Mapping[str, Any], order: JobOrder) -> Outcome:
        """Make the Job, which does not run yet; return how it stands, also when an earlier try made it.

        Raises JobNotOwned when another Job has its name.
        """
        try:
            made = await self._api.post(self._path("jobs"), job_body(template, order))
        except Conflict:
            made = await self._found(order)
        if not made:
            raise ObjectGone(f"Job {order.name} went while it was made")
        found = outcome_of(made)
        if found.end is JobEnd.HELD and not is_made_of(made, order.template):
            # Of an earlier try that a crash cut off, and of what was declared then: no rule was asked of that now.
            await self.end(order.name, found.uid)
            raise ObjectGone(f"Job {order.name} was of another template, and was deleted")
        return found

    async def hand_over(self, order: JobOrder, uid: str, values: Handover) -> None:
        """Give the Job its Secret. One of that name is replaced: what is in it cannot be read, so it is not trusted."""
        body = secret_body(order, uid, values)
        try:
            await self._api.post(self._core("secrets"), body)
        except Conflict:
            await self.withdraw(order.name)
        else:
            return
        try:
            await self._api.post(self._core("secrets"), body)
        except Conflict:
            taken = f"Secret {order.name} was made by somebody else meanwhile"
        else:
            return
        raise ObjectGone(taken)

    async def let_run(self, order: JobOrder, uid: str) -> None:
        """Let the Job of that uid run. Raises ObjectGone when it is another one, or gone."""
        operations: list[Json] = [
            {"op": "test", "path": "/metadata/uid", "value": uid},
            {"op": "replace", "path": "/spec/suspend", "value": False},
        ]
        try:
            await self._api.patch(self._path("jobs", order.name), operations)
        except (Absent, Conflict) as error:
            raise ObjectGone(f"Job {order.name} changed or went before it was let run") from error

    async def look(self, order: JobOrder) -> Outcome:
        """Return how the Job stands. Raises JobNotOwned when another one has its name."""
        found = await self._found(order)
        return outcome_of(found) if found else _NO_OUTCOME

    async def withdraw(self, name: str) -> None:
        """Take the Job's Secret away, if it is there."""
        await self._api.remove(self._core("secrets", name))

    async def end(self, name: str, uid: str) -> None:
        """End the Job of that uid, and what belongs to it."""
        await self._api.delete(self._path("jobs", name), uid=uid)

    async def discard(self, order: JobOrder) -> None:
        """End the Job that nobody waits for any more, if it is there, and take its Secret away."""
        try:
            found = await self.look(order)
        except JobNotOwned:
            return
        if found.end in (JobEnd.HELD, JobEnd.RUNNING):
            await self.end(order.name, found.uid)
        await self.withdraw(order.name)

    async def keep(self, name: str, uid: str) -> None:
        """Let an ended Job go an hour after its end. Nothing happens to one that is gone, or another."""
        operations: list[Json] = [
            {"op": "test", "path": "/metadata/uid", "value": uid},
            {"op": "add", "path": "/spec/ttlSecondsAfterFinished", "value": KEPT_SECONDS},
        ]
        with contextlib.suppress(Absent, Conflict):
            await self._api.patch(self._path("jobs", name), operations)

    def all(self) -> AsyncIterator[Json]:
        """Yield each Job that is labelled as a rotation's."""
        return self._api.pages(self._path("jobs"), RUN)

    async def _found(self, order: JobOrder) -> Json:
        """Return the Job, empty when there is none. Raises JobNotOwned when another one has its name."""
        try:
            found = await self._api.get(self._path("jobs", order.name))
        except Absent:
            return {}
        if not is_of_run(found, order):
            raise JobNotOwned(f"Job {self.namespace}/{order.name} is not of run {order.run}: delete it")
        return found

    def ended(self) -> AsyncIterator[tuple[str, Json]]:
        """Yield each change of a Job of a rotation, whatever it is."""
        return self._api.watch(self._path("jobs"), RUN)

    def templates(self) -> AsyncIterator[tuple[str, Json]]:
        """Yield each change of a template."""
        return self._api.watch(self._path("cronjobs"), f"{TEMPLATE}=true")

    def _path(self, kind: str, name: str = "") -> str:
        return f"/apis/batch/v1/namespaces/{self.namespace}/{kind}" + (f"/{name}" if name else "")

    def _core(self, kind: str, name: str = "") -> str:
        return f"/api/v1/namespaces/{self.namespace}/{kind}" + (f"/{name}" if name else "")


def has_ended(body: Mapping[str, Any]) -> bool:
    """Tell whether a Job as the API server shows it is over."""
    return outcome_of(body).end not in (JobEnd.HELD, JobEnd.RUNNING)


def outcome_of(body: Mapping[str, Any]) -> Outcome:
    """Return how a Job as the API server shows it stands."""
    uid = str((body.get("metadata") or {}).get("uid", ""))
    true = {
        each.get("type"): each
        for each in (body.get("status") or {}).get("conditions") or ()
        if each["status"] == "True"
    }
    if "Complete" in true:
        return Outcome(JobEnd.SUCCEEDED, uid)
    failed = true.get("Failed")
    if failed is not None:
        reason, message = str(failed.get("reason", "")), str(failed.get("message", ""))
        end = JobEnd.TIMED_OUT if reason == _DEADLINE else JobEnd.FAILED
        return Outcome(end, uid, f"{reason}: {message}"[:_LONGEST])
    held = (body.get("spec") or {}).get("suspend") is True
    return Outcome(JobEnd.HELD if held else JobEnd.RUNNING, uid)
