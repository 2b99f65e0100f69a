"""A binding author who may also write statuses and create service accounts tries to reach further than their namespace.

The author's rights are real RBAC in one namespace. The logic of more attempts is in
`tests/unit/reconcile/test_attacks.py`; here are those whose outcome the real servers decide.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import pytest
import pytest_asyncio

from airwarden.domain.errors import NotOwned, ServiceAccountTaken
from airwarden.domain.owner import Owner
from airwarden.domain.resources import Action, Claim, Observed, Operation
from airwarden.providers.kubernetes import accounts
from airwarden.providers.kubernetes.accounts import Accounts
from airwarden.providers.kubernetes.api import Conflict, KubernetesApi
from integration.conftest import MakeBackend, MakeBinding
from integration.handles import Backend, Binding, name_in_store
from integration.objects import account_path
from integration.world import World, eventually
from plane.errors import PlaneHTTPError
from plane.json_client import Json, JsonClient

_MERGE = {"Content-Type": "application/merge-patch+json"}


@dataclass
class Author:
    """Somebody with rights on bindings, their statuses and new service accounts, in one namespace only."""

    world: World
    namespace: str
    client: JsonClient

    def merge(self, path: str, body: Json) -> Json:
        """Change an object with the author's own rights."""
        return self.client.request("PATCH", path, body, headers=_MERGE)

    def forge(self, bound: Binding, *targets: Json) -> None:
        """Write targets into a status, beside what stands there."""
        new = {_key(each): each for each in targets}
        kept = [each for each in bound.status().get("targets", []) if _key(each) not in new]
        self.merge(f"{bound.path}/status", {"status": {"targets": [*kept, *targets]}})


def _key(target: Json) -> tuple[str, str, str]:
    return target["backend"], target["kind"], target["name"]


@pytest.fixture
def author(world: World, team: str) -> Author:
    """Return an author of the test's namespace."""
    rights = [
        ("airwarden.dev", ["airflowsecretbindings"], ["get", "create", "update", "patch", "delete"]),
        ("airwarden.dev", ["airflowsecretbindings/status"], ["patch"]),
        ("", ["serviceaccounts"], ["get", "create"]),
    ]
    rbac = "rbac.authorization.k8s.io"
    role: Json = {
        "apiVersion": f"{rbac}/v1",
        "kind": "Role",
        "metadata": {"name": "author", "namespace": team},
        "rules": [{"apiGroups": [group], "resources": what, "verbs": verbs} for group, what, verbs in rights],
    }
    bound = {
        "apiVersion": f"{rbac}/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "author", "namespace": team},
        "roleRef": {"apiGroup": rbac, "kind": "Role", "name": "author"},
        "subjects": [{"kind": "ServiceAccount", "name": "author", "namespace": team}],
    }
    world.plane.api.create_service_account(team, "author")
    world.plane.api.apply(role, bound)
    client = world.plane.api.client(token=world.plane.service_account_token(team, "author"))
    world.plane.api.wait_for_rights(client, team, *role["rules"])
    return Author(world, team, client)


def present(**fields: str) -> Json:
    return {"state": "Present", "backend": "", "kind": "ServiceAccount", **fields}


def test_an_account_of_others_is_neither_bound_nor_deleted_though_the_status_names_its_uid(
    world: World, author: Author, backend: MakeBackend, binding: MakeBinding
) -> None:
    store = backend()
    world.plane.api.create_service_account(author.namespace, "airflow-scheduler")
    path = account_path(author.namespace, "airflow-scheduler")
    scheduler = world.get(path)
    assert scheduler is not None
    bound = binding(author.namespace, store, account="airflow-scheduler")
    bound.wait_refused("NotOwned")
    author.forge(bound, present(name="airflow-scheduler", id=scheduler["metadata"]["uid"], digest="x"))
    marks = world.marks()
    bound.edit(access={"session": {"ttl": "10m"}})
    bound.wait_refused("NotOwned")
    assert world.get(path) == scheduler
    assert world.role(bound.store_name) is None
    assert not any(each.resource == "serviceaccounts" and each.verb == "patch" for each in marks.api_requests())
    bound.delete()
    bound.wait_gone()
    assert world.get(path) == scheduler


def test_a_forged_status_does_not_reach_the_same_binding_of_another_namespace(
    world: World,
    author: Author,
    backend: MakeBackend,
    binding: MakeBinding,
    make_namespace: Callable[..., str],
) -> None:
    store = backend()
    theirs = binding(make_namespace(), store, name="billing")
    theirs.wait_ready()
    mine = binding(author.namespace, store, name="billing")
    mine.wait_ready()
    account = theirs.service_account()
    assert account is not None
    where = f"../../{theirs.namespace}/serviceaccounts/billing"
    author.forge(
        mine,
        present(name=where, id=account["metadata"]["uid"]),
        present(backend=store.name, kind="VaultPolicy", name=theirs.store_name),
        present(backend=store.name, kind="VaultKubernetesRole", name=f"../role/{theirs.store_name}"),
        present(backend="No/Such", kind="VaultPolicy", name=theirs.store_name),
    )
    mine.delete()
    mine.wait_gone()
    assert theirs.service_account() == account
    assert world.policy(theirs.store_name) is not None
    assert world.role(theirs.store_name) is not None


def test_a_finalizer_taken_off_by_hand_comes_back(author: Author, backend: MakeBackend, binding: MakeBinding) -> None:
    bound = binding(author.namespace, backend())
    bound.wait_ready()
    author.merge(bound.path, {"metadata": {"finalizers": []}})
    eventually("the finalizer is back", lambda: bound.body()["metadata"].get("finalizers"))
    bound.delete()
    bound.wait_gone()
    assert bound.service_account() is None


def _wait_nothing_left(world: World, bound: Binding) -> None:
    eventually("the policy goes", lambda: world.policy(bound.store_name) is None)
    eventually("the role goes", lambda: world.role(bound.store_name) is None)
    eventually("the account goes", lambda: bound.service_account() is None)


def test_a_finalizer_taken_off_right_before_the_deletion_keeps_no_access(
    world: World, author: Author, backend: MakeBackend, binding: MakeBinding
) -> None:
    store = backend()
    for _ in range(3):  # whether the operator hears of both at once is a matter of luck
        bound = binding(author.namespace, store)
        bound.wait_ready()
        author.merge(bound.path, {"metadata": {"finalizers": []}})
        author.client.request("DELETE", bound.path)
        bound.wait_gone()
        _wait_nothing_left(world, bound)


def test_the_author_s_rights_end_at_the_namespace(
    author: Author, backend: MakeBackend, binding: MakeBinding, make_namespace: Callable[..., str]
) -> None:
    store: Backend = backend()
    theirs = binding(make_namespace(), store)
    for path in (theirs.path, store.path):
        with pytest.raises(PlaneHTTPError) as refused:
            author.merge(path, {"metadata": {"labels": {"a": "b"}}})
        assert refused.value.status == 403


@pytest_asyncio.fixture
async def api(world: World) -> AsyncIterator[KubernetesApi]:
    """Return the operator's own client, under the operator's RBAC."""
    made = await KubernetesApi.connect(str(world.plane.kubeconfig_for("airwarden", "airwarden")), 10.0)
    yield made
    await made.close()


async def test_the_real_api_server_holds_a_correction_and_a_deletion_to_the_uid(
    world: World, team: str, api: KubernetesApi
) -> None:
    owner = Owner("test", team, "nobody")
    world.plane.api.create_service_account(team, "swapped")
    path = account_path(team, "swapped")
    before = world.get(path)
    nobody = "00000000-0000-0000-0000-000000000000"

    def manifest(name: str) -> Json:
        metadata = {"name": name, "namespace": team, "uid": nobody, "labels": {"a": "b"}}
        return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}

    with pytest.raises(Conflict):
        await api.apply(path, manifest("swapped"))
    with pytest.raises(Conflict):
        await api.delete(path, uid=nobody)
    assert world.get(path) == before
    with pytest.raises(Conflict):
        await api.apply(account_path(team, "absent"), manifest("absent"))
    assert world.get(account_path(team, "absent")) is None
    desired = accounts.desired(owner, "swapped")
    seen = Observed(desired.address, {"automount": "unset"}, Claim.OURS, nobody)
    with pytest.raises(NotOwned, match="made anew by somebody else"):
        await Accounts(api).apply(owner, Operation(Action.UPDATE, desired.address, desired, seen))
    assert world.get(path) == before


async def test_an_account_that_appears_with_another_binding_s_label_is_not_taken(
    world: World, team: str, api: KubernetesApi
) -> None:
    labels = {"airwarden.dev/binding": "other", "airwarden.dev/cluster": "test"}
    body = {"metadata": {"name": "raced", "namespace": team, "labels": labels}}
    world.create(account_path(team), body)
    owner = Owner("test", team, "mine")
    desired = accounts.desired(owner, "raced")
    with pytest.raises(ServiceAccountTaken):
        await Accounts(api).apply(owner, Operation(Action.CREATE, desired.address, desired, accounts.absent("raced")))


def test_a_name_in_the_store_names_one_namespace_binding_and_backend_only() -> None:
    assert name_in_store("team", "a.b", "c") != name_in_store("team", "a", "b-c")
    assert len({name_in_store("team", name, store) for name in ("a", "a.b", "b") for store in ("b", "a-b", "c")}) == 9
