"""Candidates of rotations by Job on a real Vault, under exactly the printed rights: made once, never lost, not seen."""

from __future__ import annotations

import traceback
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

import pytest
import pytest_asyncio
import requests

from airwarden.api.backend import AirflowSecretBackend
from airwarden.api.rotation import Generate, Part
from airwarden.domain import errors
from airwarden.domain.identity import Expected
from airwarden.domain.rotation.handover import Subject
from airwarden.providers.ports import Candidates
from airwarden.providers.vault.fenced.setup import ModeOptions
from airwarden.providers.vault.rotation.opening import open_rotator
from airwarden.providers.vault.setup import vault_setup
from contract.vault.bench import AUTH, CLUSTER, KV, NAMESPACE, OPERATOR, Bench, backend_of
from contract.vault.rotation_bench import UID
from plane.printed import run_script
from plane.proxy import Answer, Fate, Proxy, Request
from plane.vault_admin import login

ROLE: Final = "contract-rotation-jobs"
OLD: Final = "the-old-password"
PENDING: Final = f"airwarden-pending/{CLUSTER}"


@dataclass(frozen=True)
class JobsBench:
    """A prepared Vault with a login for rotations by Job."""

    bench: Bench

    def admin(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """Send a request on the key-value mount with the root token."""
        return self.bench.plane.vault.request(method, f"{KV}/{path}", body, accept=(404,))

    def subject(self, name: str, **more: Any) -> Subject:
        """Write a secret and return what a run of its rotation is about."""
        fields = more.pop("fields", {"login": "a", "password": OLD, "host": "db"})
        key = f"{NAMESPACE}/by-job/{name}"
        self.admin("POST", f"data/{key}", {"data": fields})
        owner = f"{CLUSTER}/{NAMESPACE}/{name}"
        wanted = {"field": "password", "part": Part.VALUE, "generate": Generate(), "base": 1, **more}
        return Subject(owner, f"run-of-{name}", key, **wanted)

    def read(self, subject: Subject) -> tuple[int, dict[str, Any]]:
        """Return version and fields of a secret."""
        found = self.admin("GET", f"data/{subject.key}")["data"]
        return found["metadata"]["version"], found["data"]

    def staged(self, subject: Subject) -> dict[str, Any] | None:
        """Return what is staged."""
        data = self.admin("GET", f"data/airwarden-pending/{subject.owner}").get("data")
        return None if data is None or data.get("data") is None else dict(data)


def by_job(address: str, **vault: object) -> AirflowSecretBackend:
    body = backend_of(address, **vault).model_dump(by_alias=True, mode="json", exclude_none=True)
    body["spec"]["rotation"] = {"login": {"kubernetes": {"mount": AUTH, "role": ROLE}}}
    body["spec"]["allow"][0] |= {"operations": ["Read", "RotateJob"], "jobTemplates": ["any"]}
    return AirflowSecretBackend.model_validate(body)


@pytest.fixture(scope="session")
def prepared(bench: Bench) -> JobsBench:
    """Run the printed script, as an admin would."""
    own = {"kubernetes": {"mount": AUTH, "role": "contract-airwarden-jobs"}}
    backend = by_job(bench.plane.vault_address, login=own)
    options = ModeOptions(policy="contract-jobs")
    made = vault_setup(backend, cluster=CLUSTER, operator=OPERATOR, enable_kv=True, options=options)
    run_script(bench.plane, made.script)
    return JobsBench(bench)


def opened(prepared: JobsBench, address: str) -> Any:
    expected = Expected.of(by_job(address), UID, claims=False)
    return open_rotator(by_job(address), expected, cluster=CLUSTER, token_directory=prepared.bench.tokens, ca_pem=None)


@pytest_asyncio.fixture
async def candidates(prepared: JobsBench) -> AsyncIterator[Candidates]:
    """Return the staged side, with a login of its own."""
    made = opened(prepared, prepared.bench.plane.vault_address)
    yield made.candidates
    await made.close()


@pytest.fixture
def proxy(prepared: JobsBench) -> Iterator[Proxy]:
    """Return a proxy in front of Vault."""
    with Proxy(prepared.bench.plane.vault_address) as made:
        yield made


@pytest_asyncio.fixture
async def proxied(prepared: JobsBench, proxy: Proxy) -> AsyncIterator[Candidates]:
    """Return the staged side behind the proxy."""
    made = opened(prepared, proxy.address)
    yield made.candidates
    await made.close()


async def test_a_candidate_is_staged_once_and_handed_over_again(prepared: JobsBench, candidates: Candidates) -> None:
    about = prepared.subject("once", user_field="login")
    first = await candidates.hand_over(about)
    assert (first.old, first.user, len(first.new)) == (OLD, "a", 32)
    assert (await candidates.hand_over(replace(about, run="another"))).new == first.new
    staged = prepared.staged(about)
    assert staged is not None
    assert staged["metadata"]["version"] == 1
    custom = staged["metadata"]["custom_metadata"]
    assert (custom["airwarden.dev/owner"], custom["airwarden.dev/run"]) == (about.owner, about.run)
    assert prepared.read(about)[0] == 1, "the secret itself is as it was"


async def test_a_candidate_is_promoted_over_its_base_alone_and_once(
    prepared: JobsBench, candidates: Candidates
) -> None:
    about = prepared.subject("promoted")
    new = (await candidates.hand_over(about)).new
    assert await candidates.promote(about) == 2
    assert await candidates.promote(about) == 2
    assert prepared.read(about) == (2, {"login": "a", "password": new, "host": "db"})
    await candidates.clear(about.owner)
    await candidates.clear(about.owner)
    assert prepared.staged(about) is None
    with pytest.raises(errors.CandidateGone):
        await candidates.promote(about)


async def test_a_version_made_by_hand_is_not_overwritten_and_the_candidate_stays(
    prepared: JobsBench, candidates: Candidates
) -> None:
    about = prepared.subject("by-hand")
    new = (await candidates.hand_over(about)).new
    prepared.admin("POST", f"data/{about.key}", {"data": {"login": "a", "password": "by-hand"}})
    with pytest.raises(errors.VersionMoved):
        await candidates.promote(about)
    assert prepared.read(about)[1]["password"] == "by-hand"
    assert (await candidates.hand_over(replace(about, base=2))).new == new


async def test_the_other_of_two_users_gets_the_candidate_and_the_same_write_names_it(
    prepared: JobsBench, candidates: Candidates
) -> None:
    about = prepared.subject("dual", users=("a", "b"), user_field="login")
    handed = await candidates.hand_over(about)
    assert (handed.user, handed.old) == ("b", OLD)
    assert await candidates.promote(replace(about, switch="b")) == 2
    assert prepared.read(about)[1] == {"login": "b", "password": handed.new, "host": "db"}
    assert await candidates.restore(replace(about, switch="b"), 2) == 3
    assert await candidates.restore(replace(about, switch="b"), 2) == 3
    assert prepared.read(about)[1] == {"login": "a", "password": OLD, "host": "db"}


async def test_in_a_uri_user_and_password_change_and_nothing_else(prepared: JobsBench, candidates: Candidates) -> None:
    uri = f"postgres://a%40x:{OLD}@db:5432/main?sslmode=require"
    about = prepared.subject(
        "uri", fields={"conn_uri": uri}, field="conn_uri", part=Part.URI_PASSWORD, users=("a@x", "b@x")
    )
    handed = await candidates.hand_over(about)
    assert (handed.user, handed.old) == ("b@x", OLD)
    await candidates.promote(replace(about, switch="b@x"))
    assert prepared.read(about)[1] == {"conn_uri": f"postgres://b%40x:{handed.new}@db:5432/main?sslmode=require"}
    stored = await candidates.stored(about, 2)
    assert (stored.old, stored.new, stored.user) == (OLD, handed.new, "b@x")


async def test_a_candidate_of_another_key_is_not_used(prepared: JobsBench, candidates: Candidates) -> None:
    about = prepared.subject("taken")
    await candidates.hand_over(about)
    other = prepared.subject("taken-otherwise")
    with pytest.raises(errors.CandidateTaken):
        await candidates.hand_over(replace(other, owner=about.owner))


async def test_a_candidate_that_the_secret_holds_already_is_replaced(
    prepared: JobsBench, candidates: Candidates
) -> None:
    about = prepared.subject("promoted-unseen")
    first = (await candidates.hand_over(about)).new
    await candidates.promote(about)
    second = (await candidates.hand_over(replace(about, base=2))).new
    assert second != first
    staged = prepared.staged(about)
    assert staged is not None
    assert staged["data"]["value"] == second


async def test_a_candidate_that_was_deleted_by_hand_is_made_anew(prepared: JobsBench, candidates: Candidates) -> None:
    about = prepared.subject("deleted-by-hand")
    first = (await candidates.hand_over(about)).new
    prepared.admin("DELETE", f"data/airwarden-pending/{about.owner}")
    second = (await candidates.hand_over(about)).new
    staged = prepared.staged(about)
    assert staged is not None
    assert staged["data"]["value"] == second
    assert second != first


async def test_staging_deletes_nothing_where_nothing_was(
    prepared: JobsBench, proxied: Candidates, proxy: Proxy
) -> None:
    about = prepared.subject("delayed")
    await proxied.hand_over(about)
    assert [each.path for each in proxy.requests if each.method == "DELETE"] == []


async def test_a_store_that_keeps_one_version_knows_its_own_promotion_again(
    prepared: JobsBench, candidates: Candidates
) -> None:
    about = prepared.subject("one-version")
    prepared.admin("POST", f"metadata/{about.key}", {"max_versions": 1})
    await candidates.hand_over(about)
    assert await candidates.promote(about) == 2
    assert await candidates.promote(about) == 2, "its base is gone, and the next version is the candidate"
    stored = await candidates.stored(about, 2)
    assert (stored.old, stored.new) == ("", prepared.read(about)[1]["password"])
    with pytest.raises(errors.VersionGone):
        await candidates.restore(about, 2)


async def test_a_base_that_somebody_else_pushed_out_is_told_from_an_own_promotion(
    prepared: JobsBench, candidates: Candidates
) -> None:
    about = prepared.subject("pushed-out")
    prepared.admin("POST", f"metadata/{about.key}", {"max_versions": 1})
    await candidates.hand_over(about)
    prepared.admin("POST", f"data/{about.key}", {"data": {"login": "a", "password": "by-hand"}})
    with pytest.raises(errors.VersionGone):
        await candidates.promote(about)
    assert prepared.read(about)[1]["password"] == "by-hand"


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"login": "a"}, errors.FieldMissing),
        ({"password": {"a": "b"}, "login": "a"}, errors.FieldNotText),
        ({"password": OLD}, errors.FieldMissing),
    ],
)
async def test_what_cannot_be_handed_over_stages_nothing(
    prepared: JobsBench, candidates: Candidates, fields: dict[str, Any], error: type[Exception]
) -> None:
    about = prepared.subject(f"unfit-{len(str(fields))}", fields=fields, user_field="login")
    with pytest.raises(error):
        await candidates.hand_over(about)
    assert prepared.staged(about) is None


async def test_all_that_is_staged_is_listed_with_its_time(prepared: JobsBench, candidates: Candidates) -> None:
    about = prepared.subject("listed")
    await candidates.hand_over(about)
    found = {(each.namespace, each.name): each.subject for each in await candidates.staged(CLUSTER)}
    assert found[NAMESPACE, "listed"] == f"{about.key}#password"


@pytest.mark.parametrize("after", [False, True])
async def test_a_write_whose_answer_is_lost_is_done_once(
    prepared: JobsBench, proxied: Candidates, proxy: Proxy, after: bool
) -> None:
    about = prepared.subject(f"lost-{after}")
    lost: list[Request] = []

    def lose(request: Request) -> Fate | Answer:
        writes = request.method in ("POST", "PATCH") and "/data/" in request.path
        if writes and not any(each.path == request.path for each in lost):
            lost.append(request)
            return Fate.LOSE if after else Fate.CUT
        return Fate.PASS

    proxy.behaviour = lose
    with pytest.raises(errors.Unreachable):
        await proxied.hand_over(about)
    staged = prepared.staged(about)
    assert (staged is not None) is after
    new = (await proxied.hand_over(about)).new
    if staged is not None:
        assert staged["data"]["value"] == new
        marked = prepared.staged(about)
        assert marked is not None
        assert marked["metadata"]["custom_metadata"]["airwarden.dev/run"] == about.run
    with pytest.raises(errors.Unreachable):
        await proxied.promote(about)
    assert await proxied.promote(about) == 2
    assert prepared.read(about)[1]["password"] == new
    assert prepared.read(about)[0] == 2


async def test_no_value_is_in_a_failure_or_a_representation(
    prepared: JobsBench, candidates: Candidates, proxied: Candidates, proxy: Proxy
) -> None:
    about = prepared.subject("quiet")
    handed = await candidates.hand_over(about)
    assert OLD not in repr(handed)
    assert handed.new not in repr(handed)

    def repeat(request: Request) -> Fate | Answer:
        if request.method != "PATCH":
            return Fate.PASS
        return Answer(400, f'{{"errors": ["no: {handed.new}"]}}'.encode())

    proxy.behaviour = repeat
    with pytest.raises(errors.Rejected) as failure:
        await proxied.promote(about)
    assert handed.new not in "".join(traceback.format_exception(failure.value))


GIVEN: Final = [
    ("PATCH", f"{KV}/data/{NAMESPACE}/rights-jobs"),
    ("GET", f"{KV}/data/{NAMESPACE}/rights-jobs"),
    ("GET", f"{KV}/metadata/{NAMESPACE}/rights-jobs"),
    ("PATCH", f"{KV}/metadata/{NAMESPACE}/rights-jobs"),
    ("GET", f"{KV}/subkeys/{NAMESPACE}/rights-jobs"),
    ("GET", f"{KV}/data/{PENDING}/x/y"),
    ("POST", f"{KV}/data/{PENDING}/x/y"),
    ("GET", f"{KV}/metadata/{PENDING}/x/y"),
    ("PATCH", f"{KV}/metadata/{PENDING}/x/y"),
    ("LIST", f"{KV}/metadata/{PENDING}"),
    ("DELETE", f"{KV}/metadata/{PENDING}/x/y"),
]
BEYOND: Final = [
    ("GET", f"{KV}/data/another-team/x"),
    ("PATCH", f"{KV}/data/another-team/x"),
    ("POST", f"{KV}/data/{NAMESPACE}/rights-jobs"),
    ("DELETE", f"{KV}/data/{NAMESPACE}/rights-jobs"),
    ("DELETE", f"{KV}/metadata/{NAMESPACE}/rights-jobs"),
    ("LIST", f"{KV}/metadata/{NAMESPACE}"),
    ("GET", f"{KV}/data/airwarden-pending/c2/x/y"),
    ("POST", f"{KV}/data/airwarden-pending/c2/x/y"),
    ("LIST", f"{KV}/metadata/airwarden-pending"),
    ("DELETE", f"{KV}/metadata/airwarden-pending/c2/x/y"),
    ("PUT", "sys/policies/acl/airwarden.c1.contract-team.x"),
    ("POST", f"auth/{AUTH}/role/airwarden.c1.contract-team.x"),
    ("POST", "auth/token/create"),
]


def status(prepared: JobsBench, token: str, method: str, path: str) -> int:
    bodies: dict[str, Any] = {
        "data": {"data": {"value": "x"}},
        "metadata": {"custom_metadata": {"x": "y"}},
        "acl": {"policy": "# x"},
    }
    kind = next((each for each in bodies if f"/{each}/" in path), "")
    answer = requests.request(
        method,
        f"{prepared.bench.plane.vault_address}/v1/{path}",
        json=bodies.get(kind, {}) if method in ("POST", "PATCH", "PUT") else None,
        headers={
            "X-Vault-Token": token,
            "Content-Type": "application/merge-patch+json" if method == "PATCH" else "application/json",
        },
        timeout=30,
    )
    return answer.status_code


def test_the_printed_rights_suffice_and_nothing_beyond_works(prepared: JobsBench) -> None:
    prepared.admin("POST", f"data/{NAMESPACE}/rights-jobs", {"data": {"password": OLD}})
    prepared.admin("POST", f"data/{PENDING}/there/already", {"data": {"value": OLD}})
    jwt = (prepared.bench.tokens / "vault").read_text()
    token = login(prepared.bench.plane, ROLE, jwt, AUTH)
    assert [each for each in BEYOND if status(prepared, token, *each) != 403] == []
    assert status(prepared, token, "POST", f"{KV}/data/{PENDING}/there/already") == 403, "a candidate is not replaced"
    assert [each for each in GIVEN if status(prepared, token, *each) == 403] == []
    prepared.admin("DELETE", f"metadata/{PENDING}/there/already")


def test_no_other_login_reaches_the_staged_area(prepared: JobsBench) -> None:
    prepared.admin("POST", f"data/{PENDING}/{NAMESPACE}/theirs", {"data": {"value": OLD}})
    jwt = (prepared.bench.tokens / "vault").read_text()
    for role in ("contract-airwarden", "contract-airwarden-jobs"):
        token = login(prepared.bench.plane, role, jwt, AUTH)
        for method, kind in (("GET", "data"), ("POST", "data"), ("GET", "metadata"), ("DELETE", "metadata")):
            assert status(prepared, token, method, f"{KV}/{kind}/{PENDING}/{NAMESPACE}/theirs") == 403
    prepared.admin("DELETE", f"metadata/{PENDING}/{NAMESPACE}/theirs")
