"""A rotation namespace in memory: templates, Jobs that somebody runs, and a target that a Job changes."""

from __future__ import annotations

from typing import Any

from airwarden.api.templates import TEMPLATE
from airwarden.providers.kubernetes.api import Json
from unit.reconcile.rotation_fakes import JOBS, RotationBench

SECRETS = f"/api/v1/namespaces/{JOBS}/secrets/"
JOB_PATH = f"/apis/batch/v1/namespaces/{JOBS}/jobs/"


class JobBench(RotationBench):
    """One operator's rotations by Job."""

    def __init__(self) -> None:
        super().__init__()
        self.target = "first"
        """What the target accepts."""
        self.ran: list[str] = []
        """Values that Jobs were given, in order."""
        self.allow(operations=["RotateJob"], jobTemplates=["change", "try"])
        for name in ("change", "try"):
            self.template(name)

    def template(self, name: str, *, label: str = "true", suspend: bool = True) -> None:
        """Have the platform team apply a template."""
        pod = {"containers": [{"name": "main", "env": [{"name": "AIRWARDEN_KEY", "value": "forged"}]}]}
        spec = {"suspend": suspend, "jobTemplate": {"spec": {"template": {"spec": pod}}}}
        body = {"metadata": {"name": name, "labels": {TEMPLATE: label}}, "spec": spec}
        self.api.put(f"/apis/batch/v1/namespaces/{JOBS}/cronjobs/{name}", body)

    def declare_job(self, *, request: str = "", strategy: str = "Job", **job: Any) -> None:
        """Create a rotation by Job."""
        self.declare(request=request, strategy=strategy, job={"template": "change", **job})

    @property
    def jobs(self) -> list[str]:
        """Names of the Jobs there are."""
        return [each.removeprefix(JOB_PATH) for each in self.api.objects if each.startswith(JOB_PATH)]

    @property
    def secrets(self) -> list[str]:
        """Names of the Secrets there are."""
        return [each.removeprefix(SECRETS) for each in self.api.objects if each.startswith(SECRETS)]

    def under_way(self) -> Json | None:
        """Return the Job that runs, if any does."""
        found = [
            body
            for path, body in self.api.objects.items()
            if path.startswith(JOB_PATH) and not body["spec"]["suspend"] and not body.get("status")
        ]
        assert len(found) <= 1, "one Job at a time"
        return found[0] if found else None

    def run_job(self, end: str = "Complete", *, changes: bool = True, message: str = "") -> None:
        """Play the kubelet and the job controller: the Job that runs does its work and ends so."""
        body = self.under_way()
        assert body is not None, "a Job runs"
        name = body["metadata"]["name"]
        handed = self.api.objects[SECRETS + name]["stringData"]
        self.ran.append(handed["new"])
        if changes:
            self.target = handed["new"]
        conditions = [{"type": end, "status": "True", "reason": "PodFailurePolicy", "message": message}]
        self.api.change(JOB_PATH + name, lambda body: body.update(status={"conditions": conditions}))

    async def heard(self) -> None:
        """Let the operator hear of the end of its Job."""
        self.engine.job_ended(("team", "warehouse"))
        await self.rest()
