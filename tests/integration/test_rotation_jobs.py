"""Rotations by Job: a real API server, Vault and PostgreSQL, and a played kubelet that runs the Jobs' pods."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

import pytest
import yaml

from integration.handles import Backend
from integration.jobs import (
    NAMESPACE,
    OPTION,
    by_job,
    examples,
    job_pods,
    jobs_rule,
    make_job_rotation,
    permit_jobs,
    permit_rotations_by_job,
    secrets_of_jobs,
    set_up_postgres,
    template,
)
from integration.objects import API, KV, TENANT, backend_object, backend_path
from integration.rotations import Rotation, make_rotation, rotation_path
from integration.world import OPERATOR_USER, World, eventually
from plane.binaries import REPOSITORY
from plane.control_plane import Plane
from plane.errors import PlaneError, PlaneHTTPError
from plane.json_client import Json
from plane.kubelet import Kubelet
from plane.operator import ACCOUNT, OperatorProcess, Options
from plane.operator import NAMESPACE as OPERATOR
from plane.postgres_server import PostgresServer

ENDED: Final = 120.0
"""Seconds within which a run with several Jobs ends."""
pytestmark = pytest.mark.timeout(300)


@dataclass(frozen=True)
class JobWorld:
    """A cluster with a node, an operator that runs Jobs, and a database."""

    world: World
    store: Backend
    postgres: PostgresServer
    kubelet: Kubelet

    def team(self) -> str:
        """Return a namespace of a tenant, in which the login for rotations may rotate."""
        name = self.world.make_namespace(self.world.fresh("team"), {TENANT: "true"})
        permit_rotations_by_job(self.world)
        return name

    def rotation(self, namespace: str, **spec: Any) -> Rotation:
        """Make a database user and a rotation of its password by Job."""
        return make_job_rotation(self.world, namespace, self.store, self.postgres, **spec)

    def accepts(self, values: Json) -> bool:
        """Tell whether the database takes what the store says."""
        return self.postgres.accepts(values["login"], values["password"])

    def template(self, name: str, script: str) -> None:
        """Apply a template that does something else, and permit it."""
        body = template("postgres-user")
        body["metadata"]["name"] = name
        body["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]["args"] = [script]
        self.world.plane.api.apply(body)

    def staged(self, made: Rotation) -> Json | None:
        """Return what is staged for a rotation, as an administrator sees it."""
        path = f"{KV}/data/airwarden-pending/test/{made.namespace}/{made.name}"
        try:
            return dict(self.world.plane.vault.request("GET", path)["data"])
        except PlaneHTTPError as error:
            if error.status == 404:
                return None
            raise


@pytest.fixture(scope="module")
def jobs(quiet: Plane, postgres: PostgresServer) -> Iterator[JobWorld]:
    """Run an operator that has a rotation namespace, and a node."""
    operator = OperatorProcess(quiet, Options(extra=(OPTION,)), "operator-jobs")
    world = World(quiet, operator)
    world.make_namespace("first")
    permit_jobs(world)
    permit_rotations_by_job(world)
    set_up_postgres(world, postgres)
    with Kubelet(quiet) as kubelet, operator:
        names = ["postgres-user", "postgres-login", "fails", "hangs", "idles", "later"]
        spec = by_job(allow=[jobs_rule(jobTemplates=names)])
        world.create(backend_path(), backend_object("by-job", quiet.vault_address, **spec))
        store = Backend(world, "by-job")
        store.wait_ready()
        made = JobWorld(world, store, postgres, kubelet)
        made.template("fails", "import sys; print('said'); sys.exit(3)")
        made.template("hangs", "import threading; threading.Event().wait()")
        made.template("idles", "pass")
        yield made
        assert kubelet.faults == []
        for each in world.plane.api.admin.request("GET", f"{API}/airflowsecretrotations")["items"]:
            world.delete(rotation_path(each["metadata"]["namespace"], each["metadata"]["name"]))
        world.delete(store.path)
        world.wait_gone(store.path)


@pytest.fixture
def tenant(jobs: JobWorld) -> str:
    """Return a tenant's namespace that no other test has."""
    return jobs.team()


def test_a_job_changes_the_database_before_the_store_has_the_value(jobs: JobWorld, tenant: str) -> None:
    made = jobs.rotation(tenant)
    made.wait_ready()
    made.ask("now")
    last = made.wait_done("now", deadline=ENDED)
    values = made.values()
    assert last["version"] == made.version() == 2
    assert values["login"] == made.before["login"]
    assert jobs.accepts(values)
    assert not jobs.accepts(made.before)
    assert jobs.staged(made) is None
    assert secrets_of_jobs(jobs.world) == []
    assert made.metadata()["custom_metadata"]["airwarden.dev/run"] == last["id"]
    mark = jobs.world.marks()
    jobs.world.merge(made.path, {"metadata": {"labels": {"looked": "at"}}})
    made.wait_ready()
    assert mark.patches(made.name) == []


def test_verify_tries_what_the_store_says(jobs: JobWorld, tenant: str) -> None:
    made = jobs.rotation(tenant, job={"verify": "postgres-login"})
    made.ask("now")
    made.wait_done("now", deadline=ENDED)
    assert jobs.accepts(made.values())
    pods = [each for each in job_pods(jobs.world) if each["metadata"]["labels"]["airwarden.dev/rotation"] == made.name]
    assert sorted(each["spec"]["containers"][0]["name"] for each in pods) == ["change", "login"]


def test_a_job_that_fails_leaves_the_old_value_and_the_cluster_says_with_which_code(
    jobs: JobWorld, tenant: str
) -> None:
    made = jobs.rotation(tenant, job={"template": "fails", "attempts": 2})
    made.ask("now")
    last = made.wait_done("now", "Failed", ENDED)
    assert last["reason"] == "JobFailed"
    assert "exit code 3" in last["message"]
    assert "said" not in last["message"]
    assert (made.values(), made.version()) == (made.before, 1)
    assert jobs.accepts(made.before)
    assert secrets_of_jobs(jobs.world) == []
    made.wait_condition("Healthy", "False", "JobFailed")
    staged = jobs.staged(made)
    assert staged is not None
    assert staged["metadata"]["custom_metadata"]["airwarden.dev/owner"] == f"test/{tenant}/{made.name}"
    assert staged["metadata"]["version"] == 1
    made.edit(job={"template": "postgres-user", "userField": "login"})
    made.ask("mended")
    made.wait_done("mended", deadline=ENDED)
    assert made.values()["password"] == staged["data"]["value"]
    assert jobs.accepts(made.values())


def test_a_job_that_hangs_is_ended_in_time(jobs: JobWorld, tenant: str) -> None:
    made = jobs.rotation(tenant, job={"template": "hangs", "timeout": "3s", "attempts": 1})
    made.ask("now")
    last = made.wait_done("now", "Failed", ENDED)
    assert last["reason"] == "JobTimedOut"
    assert made.version() == 1
    assert secrets_of_jobs(jobs.world) == []


def test_a_job_that_changes_nothing_is_caught_and_the_stores_value_works_again(jobs: JobWorld, tenant: str) -> None:
    made = jobs.rotation(tenant, job={"template": "idles", "verify": "postgres-login"})
    made.ask("now")
    last = made.wait_done("now", "Failed", ENDED)
    assert last["reason"] == "VerifyFailed"
    assert "written back as version 3" in last["message"]
    assert made.values() == made.before
    assert made.version() == 3
    assert jobs.accepts(made.values())
    made.wait_condition("Healthy", "False", "VerifyFailed")
    assert jobs.staged(made) is None


def test_a_version_made_by_hand_while_the_job_runs_stands(jobs: JobWorld, tenant: str) -> None:
    made = jobs.rotation(tenant)
    made.wait_ready()
    jobs.postgres.pause()
    try:
        made.ask("now")
        eventually("its Job runs", lambda: made.status().get("run", {}).get("job", {}).get("deadline"))
        by_hand = {**made.before, "password": "by-hand"}
        made.write(**by_hand)
    finally:
        jobs.postgres.resume()
    last = made.wait_done("now", "Superseded", ENDED)
    assert "The target may have the candidate" in last["message"]
    assert made.values() == by_hand
    made.ask("again")
    made.wait_done("again", deadline=ENDED)
    assert jobs.accepts(made.values())
    assert made.version() == 3


def test_a_template_that_is_missing_is_waited_for(jobs: JobWorld, tenant: str) -> None:
    made = jobs.rotation(tenant, job={"template": "later"})
    made.ask("now")
    made.wait_condition("Stalled", "True", "TemplateMissing")
    jobs.template(
        "later",
        template("postgres-user")["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]["args"][0],
    )
    made.wait_done("now", deadline=ENDED)
    assert jobs.accepts(made.values())


def test_a_template_that_no_rule_names_is_refused(jobs: JobWorld, tenant: str) -> None:
    jobs.template("other-teams", "pass")
    made = jobs.rotation(tenant, job={"template": "other-teams"})
    made.ask("now")
    said = made.wait_condition("Ready", "False", "RotationNotAllowed")
    assert "with template postgres-user" in said["message"]
    assert jobs.staged(made) is None


def test_an_author_whose_secret_names_a_user_of_another_namespace_changes_nothing(jobs: JobWorld, tenant: str) -> None:
    theirs = jobs.rotation(jobs.team())
    made = jobs.rotation(tenant, user=theirs.before["login"], foreign_password="guessed", job={"attempts": 1})
    made.ask("now")
    made.wait_done("now", "Failed", ENDED)
    assert jobs.accepts(theirs.before)


@pytest.mark.parametrize("key", ["airwarden-pending/test/first/x", "airwarden-pending"])
def test_a_key_of_the_staged_area_is_refused(jobs: JobWorld, tenant: str, key: str) -> None:
    with pytest.raises(PlaneHTTPError, match="airwarden-pending"):
        make_rotation(jobs.world, tenant, jobs.store, secret=False, key=key)


def test_a_rule_for_the_staged_area_is_refused(jobs: JobWorld) -> None:
    body = backend_object(
        "greedy", jobs.world.plane.vault_address, allow=[jobs_rule(keyPrefixes=["airwarden-pending/"])]
    )
    with pytest.raises(PlaneHTTPError, match="values wait there"):
        jobs.world.create(backend_path(), body)


def test_no_value_of_a_job_is_in_any_output(jobs: JobWorld, tenant: str) -> None:
    made = jobs.rotation(tenant, job={"verify": "postgres-login"})
    failing = jobs.rotation(tenant, job={"template": "fails", "attempts": 1})
    for each, result in ((made, "Succeeded"), (failing, "Failed")):
        each.ask("now")
        each.wait_done("now", result, ENDED)
    staged = jobs.staged(failing)
    assert staged is not None
    values = [made.before["password"], made.values()["password"], staged["data"]["value"], failing.before["password"]]
    world = jobs.world
    said = [
        world.operator.log.read_text(),
        world.operator.metrics(),
        world.plane.kubectl("get", "asr,events", "-n", tenant, "-o", "json", "--show-managed-fields"),
        world.plane.kubectl("get", "jobs,pods,events,secrets", "-n", NAMESPACE, "-o", "json", "--show-managed-fields"),
        world.plane.api_audit_log.read_text(),
        world.plane.vault_audit_log.read_text(),
        jobs.kubelet.outputs(),
    ]
    for value in values:
        forms = (value, quote(value, safe=""), base64.b64encode(value.encode()).decode())
        assert not [text for text in said if any(each in text for each in forms)]


@pytest.mark.parametrize("uri", [False, True])
def test_of_two_users_the_former_keeps_working_until_the_next_run(jobs: JobWorld, tenant: str, uri: bool) -> None:
    names = [f"{{namespace}}.{each}{'_uri' if uri else ''}" for each in ("a", "b")]
    first, second = (each.format(namespace=tenant) for each in names)
    made = jobs.rotation(tenant, job={"users": names})
    former = dict(made.before)
    if uri:
        jobs.world.delete(made.path)
        made = make_rotation(
            jobs.world,
            tenant,
            jobs.store,
            secret=False,
            key=made.key,
            field="conn_uri",
            part="URIPassword",
            strategy="Job",
            job={"template": "postgres-user", "users": [first, second]},
        )
        made.write(conn_uri=uri_of(former["login"], former["password"]))
    with jobs.postgres.connect(former["login"], former["password"]) as open_connection:
        made.ask("one")
        made.wait_done("one", deadline=ENDED)
        stored = stored_user(made)
        assert stored[0] == second
        assert jobs.postgres.accepts(*stored)
        assert open_connection.execute("SELECT current_user").fetchone() == (first,)
        assert jobs.accepts(former), "a task that runs logs in again"
    made.ask("two")
    made.wait_done("two", deadline=ENDED)
    assert stored_user(made)[0] == first
    assert jobs.postgres.accepts(*stored_user(made))
    assert jobs.postgres.accepts(*stored)
    assert not jobs.accepts(former)


def uri_of(user: str, password: str) -> str:
    return f"postgres://{quote(user, safe='')}:{quote(password, safe='')}@db:5432/main?sslmode=disable"


def stored_user(made: Rotation) -> tuple[str, str]:
    """Return the user that the store names, and its password."""
    values = made.values()
    if "conn_uri" not in values:
        return values["login"], values["password"]
    user, _, rest = values["conn_uri"].removeprefix("postgres://").partition(":")
    password, _, place = rest.partition("@")
    assert place == "db:5432/main?sslmode=disable"
    return user, password


def test_a_job_runs_as_the_template_says_and_is_told_whose_run_it_is(jobs: JobWorld, tenant: str) -> None:
    made = jobs.rotation(tenant)
    made.ask("now")
    last = made.wait_done("now", deadline=ENDED)
    (pod,) = [
        each for each in job_pods(jobs.world) if each["metadata"]["labels"].get("airwarden.dev/rotation") == made.name
    ]
    (container,) = pod["spec"]["containers"]
    told = {each["name"]: each.get("value") for each in container["env"]}
    assert told["AIRWARDEN_KEY"] == made.key
    assert (told["AIRWARDEN_NAMESPACE"], told["AIRWARDEN_RUN"]) == (tenant, last["id"])
    assert pod["spec"]["serviceAccountName"] == "default"
    assert pod["spec"]["securityContext"]["runAsUser"] == 10001
    assert pod["status"]["phase"] == "Succeeded"


@pytest.mark.parametrize("verb", ["get", "list", "watch"])
def test_the_operator_can_read_no_secret_of_the_rotation_namespace(jobs: JobWorld, verb: str) -> None:
    kubeconfig = jobs.world.plane.kubeconfig_for(OPERATOR, ACCOUNT)
    assert (
        jobs.world.plane.kubectl("auth", "can-i", "create", "secrets", "-n", NAMESPACE, kubeconfig=kubeconfig)
        == "yes\n"
    )
    with pytest.raises(PlaneError, match="exit 1: "):
        jobs.world.plane.kubectl("auth", "can-i", verb, "secrets", "-n", NAMESPACE, kubeconfig=kubeconfig)
    for other in ("default", OPERATOR):
        with pytest.raises(PlaneError, match="exit 1: "):
            jobs.world.plane.kubectl("auth", "can-i", "create", "jobs", "-n", other, kubeconfig=kubeconfig)
        with pytest.raises(PlaneError, match="exit 1: "):
            jobs.world.plane.kubectl("auth", "can-i", "create", "secrets", "-n", other, kubeconfig=kubeconfig)


def test_each_right_of_the_component_is_used_and_nothing_is_refused(jobs: JobWorld, tenant: str) -> None:
    made = jobs.rotation(tenant, job={"template": "hangs", "timeout": "1s", "attempts": 1})
    made.ask("now")
    made.wait_done("now", "Failed", ENDED)
    mine = [each for each in jobs.world.plane.api.audit.entries() if each.user == OPERATOR_USER]
    asked = {(each.group, each.resource, each.verb) for each in mine if each.namespace == NAMESPACE}
    rendered = yaml.safe_load_all((REPOSITORY / "manifests" / "rotation-jobs" / "rbac.yaml").read_text())
    (role,) = [each for each in rendered if each["kind"] == "Role"]
    given = {(rule["apiGroups"][0], rule["resources"][0], verb) for rule in role["rules"] for verb in rule["verbs"]}
    # A Job is deleted when the cluster itself does not end it in time, which a unit test plays.
    assert given - {("batch", "jobs", "delete")} == asked
    assert [each for each in mine if each.code in (401, 403) and each.namespace == NAMESPACE] == []


def test_the_page_says_what_the_api_server_takes(jobs: JobWorld) -> None:
    jobs.world.plane.create_namespace("airflow-prod", {})
    for each in examples():
        text = yaml.safe_dump(each)
        jobs.world.plane.kubectl(
            "apply", "--server-side", "--dry-run=server", "--force-conflicts", "-f", "-", stdin=text
        )


def test_the_overlay_is_admitted_and_gives_the_operator_its_namespace(jobs: JobWorld) -> None:
    text = jobs.world.plane.kubectl("kustomize", str(REPOSITORY / "manifests" / "overlays" / "rotation-jobs"))
    jobs.world.plane.kubectl("apply", "--server-side", "--dry-run=server", "--force-conflicts", "-f", "-", stdin=text)
    (deployment,) = [each for each in yaml.safe_load_all(text) if each["kind"] == "Deployment"]
    variables = deployment["spec"]["template"]["spec"]["containers"][0]["env"]
    assert {"name": "AIRWARDEN_ROTATION_NAMESPACE", "value": NAMESPACE} in variables


def test_a_user_that_the_template_may_not_change_keeps_its_password(jobs: JobWorld, tenant: str) -> None:
    made = jobs.rotation(tenant, job={"attempts": 1})
    user = made.before["login"]
    with jobs.postgres.connect() as connection:
        connection.execute(f'ALTER ROLE "{user}" SUPERUSER'.encode())
    made.ask("now")
    made.wait_done("now", "Failed", ENDED)
    assert jobs.accepts(made.before)
    assert made.version() == 1
