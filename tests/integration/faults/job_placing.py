"""A rotation by Job whose operator is killed at one request of a run: before it is sent, or after it acted unseen.

Used by the kills here and in `tests/faults`.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from integration.faults.placed import HEALED, TEAM, Placed
from integration.handles import Backend
from integration.jobs import (
    OPTION,
    TEMPLATES,
    by_job,
    jobs_rule,
    make_job_rotation,
    permit_jobs,
    permit_rotations_by_job,
    secrets_of_jobs,
    set_up_postgres,
)
from integration.objects import KV
from integration.rotations import Rotation
from plane.control_plane import ControlPlane, Plane
from plane.kubelet import Kubelet
from plane.operator import install
from plane.postgres_server import PostgresServer
from plane.proxy import Request, Stop
from plane.vault_admin import prepare_store

STATUS: Final = "/airflowsecretrotations/{name}/status$"
JOBS: Final = "/namespaces/airwarden-rotation/jobs"
SECRETS: Final = "/namespaces/airwarden-rotation/secrets"
DATA, METADATA = "/v1/airflow/data/", "/v1/airflow/metadata/"
STAGED: Final = "airwarden-pending/test/first/{name}$"
POINTS: Final = {
    "look": ("GET", f"{METADATA}{{key}}$", 1),
    "template": ("GET", "/cronjobs/postgres-user$", 1),
    "record": ("PATCH", STATUS, 1),
    "read the old value": ("GET", f"{DATA}{{key}}$", 1),
    "look for a candidate": ("GET", DATA + STAGED, 1),
    "stage": ("POST", DATA + STAGED, 1),
    "mark the candidate": ("PATCH", METADATA + STAGED, 1),
    "make the job": ("POST", f"{JOBS}$", 1),
    "hand over": ("POST", f"{SECRETS}$", 1),
    "record that it runs": ("PATCH", STATUS, 2),
    "let it run": ("PATCH", f"{JOBS}/[^/]+$", 1),
    "see its end": ("GET", f"{JOBS}/[^/]+$", 2),
    "take the secret away": ("DELETE", f"{SECRETS}/[^/]+$", 1),
    "record that it ended": ("PATCH", STATUS, 3),
    "promote": ("PATCH", f"{DATA}{{key}}$", 1),
    "mark": ("PATCH", f"{METADATA}{{key}}$", 1),
    "record the version": ("PATCH", STATUS, 4),
    "make the verifying job": ("POST", f"{JOBS}$", 2),
    "record that it verified": ("PATCH", STATUS, 6),
    "clear": ("DELETE", METADATA + STAGED, 1),
    "report": ("PATCH", STATUS, 7),
}


@dataclass(frozen=True)
class Placing:
    """What the kills need beside the operator."""

    placed: Placed
    store: Backend
    postgres: PostgresServer


def stop_at(made: Rotation, point: str, *, after: bool) -> Stop:
    """Return what holds the point's request."""
    method, path, nth = POINTS[point]
    pattern = re.compile(path.format(name=made.name, key=re.escape(made.key)))
    count = itertools.count(1)

    def chosen(request: Request) -> bool:
        if request.method != method or not pattern.search(request.path.partition("?")[0]):
            return False
        return next(count) == nth

    return Stop(chosen, after=after)


@contextmanager
def _operated(plane: Plane) -> Iterator[Placed]:
    install(plane)
    prepare_store(plane)
    with Placed(plane, OPTION) as placed:
        yield placed


@contextmanager
def placing_jobs(postgres: PostgresServer) -> Iterator[Placing]:
    """Run a control plane with a node, and its one operator, behind proxies, which runs Jobs."""
    with ControlPlane() as plane, _operated(plane) as placed, Kubelet(plane) as kubelet:
        permit_jobs(placed.world)
        permit_rotations_by_job(placed.world)
        set_up_postgres(placed.world, postgres)
        placed.run()
        names = {"names": [TEAM]}
        store = placed.backend(**by_job(allow=[jobs_rule(namespaces=names, keyPrefixes=["{namespace}/"])]))
        store.wait_ready()
        yield Placing(placed, store, postgres)
        assert kubelet.faults == []


def live_through(placing: Placing, point: str, *, after: bool) -> None:
    """Ask for a run, kill the operator at the point, start it again: the store's value logs in; no other was made."""
    placed = placing.placed
    placed.run()
    made = make_job_rotation(
        placed.world, TEAM, placing.store, placing.postgres, job={"verify": TEMPLATES[1], "timeout": "1m"}
    )
    made.wait_ready()
    mark = placed.world.plane.vault.audit.mark()
    stop = stop_at(made, point, after=after)
    placed.stop_at(stop)
    made.ask("now")
    placed.kill_at(stop)
    placed.operator.start()
    made.wait_done("now", deadline=2 * HEALED)
    values = made.values()
    assert placing.postgres.accepts(values["login"], values["password"])
    assert not placing.postgres.accepts(made.before["login"], made.before["password"])
    assert made.version() == 2
    place = f"{KV}/data/airwarden-pending/test/{made.namespace}/{made.name}"
    entries = placed.world.plane.vault.audit.entries(mark)
    writes = [each for each in entries if each.path == place and each.operation in ("create", "update")]
    assert [each.error for each in writes] == [""]
    assert secrets_of_jobs(placed.world) == []
    placed.world.delete(made.path)
