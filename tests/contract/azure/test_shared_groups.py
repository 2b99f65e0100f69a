"""Two bindings that give one secret to one group have one assignment between them: whoever goes first leaves it.

The operator's own passes on a cluster in memory, and the store on the stand-in.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from airwarden.domain.owner import Owner
from airwarden.domain.resources import Action, Address, Claim, Observed, Operation
from airwarden.providers.azure.marks import read_description
from airwarden.providers.azure.naming import ASSIGNMENT
from airwarden.providers.azure.rows import Row, name_of
from airwarden.providers.azure.store import AzureStore
from airwarden.providers.kubernetes.live import LiveObjects
from airwarden.providers.kubernetes.objects import binding_path
from airwarden.providers.ports import Written
from airwarden.reconcile import sweep
from airwarden.reconcile.backends import Runtime
from airwarden.reconcile.cache import NamespaceView
from airwarden.reconcile.queue import Key
from contract.azure.bench import UID, Bench, create, remove
from stand_ins.azure.stand_in import AzureStandIn
from stand_ins.azure.world import Assignment
from unit.reconcile.fakes import Bench as Cluster

ONE: Key = ("team", "billing")
TWO: Key = ("other", "reports")
Opening = Callable[[AzureStore], AzureStore]


class Office:
    """Bindings that let one group in, and the operator that looks after them."""

    def __init__(self, azure: AzureStandIn, bench: Bench, store: AzureStore) -> None:
        self.azure, self.store = azure, store
        self.keys = [ONE, TWO]
        self.group = azure.add_group("analysts").id
        body = bench.body()
        body["metadata"] |= {"resourceVersion": "1", "generation": 1}
        body["spec"]["allow"][0]["namespaces"] = {"names": [ONE[0], TWO[0]]}
        body["spec"]["groups"] = [{"provider": "entra", "value": self.group}]
        self.cluster = Cluster()
        self.cluster.stores = {"kv": store}  # type: ignore[dict-item] # any store will do
        self.cluster.backend_bodies = {"kv": body}
        self.restart()

    def restart(self) -> None:
        """Forget what only the operator's memory held."""
        self.cluster.restart()
        self.cluster.cache.namespaces |= {each[0]: NamespaceView({}, terminating=False) for each in self.keys}

    def declare(self, key: Key, *, people: bool = True, groups: Iterable[str] = (), **spec: Any) -> None:
        """Create a binding that lets the group in, or edit its spec."""
        path = binding_path(*key)
        secret = {"type": "Connection", "id": "id", "backendRef": {"name": "kv"}, "key": "airflow-a"}
        wanted = {"serviceAccount": {"name": key[1]}, "secrets": [secret], **spec}
        let_in = [*groups, *([self.group] if people else [])]
        if let_in:
            wanted["people"] = [{"group": {"provider": "entra", "value": each}} for each in let_in]
        if path in self.cluster.api.objects:
            self.cluster.api.change(path, lambda body: body.update(spec=wanted))
        else:
            self.cluster.api.put(path, {"metadata": {"name": key[1], "namespace": key[0]}, "spec": wanted})

    def delete(self, key: Key) -> None:
        """Delete a binding as a user does."""
        stamp = {"deletionTimestamp": "2031-05-01T00:00:00Z"}
        self.cluster.api.change(binding_path(*key), lambda body: body["metadata"].update(stamp))

    def watch(self) -> None:
        """Let the operator hear what the cluster has now."""
        self.cluster.watch()
        for key in self.keys:
            path = binding_path(*key)
            if path in self.cluster.api.objects:
                self.cluster.cache.learn_binding(self.cluster.api.objects[path])
            else:
                self.cluster.cache.forget_binding(key, "")

    async def look(self, key: Key) -> None:
        """Look at a binding until no pass asks for another."""
        for _ in range(8):
            self.watch()
            following = await self.cluster.reconciler.reconcile(key)
            if following.kind != "retry":
                return
            self.azure.clock.advance(following.after or 1.0)
        raise AssertionError(f"no rest: {self.status(key)}")

    async def make(self, *keys: Key, **spec: Any) -> None:
        """Declare bindings, and look at each."""
        for key in keys:
            self.declare(key, **spec)
            await self.look(key)
            assert self.ready(key) == "True", self.status(key)

    def status(self, key: Key) -> Any:
        """Return the binding's status."""
        return self.cluster.api.objects.get(binding_path(*key), {}).get("status")

    def ready(self, key: Key) -> str:
        """Return whether the binding is ready."""
        found: str = next(each["status"] for each in self.status(key)["conditions"] if each["type"] == "Ready")
        return found

    def recorded(self, key: Key) -> int:
        """Return how many assignments to the group the binding has on record."""
        return sum("#" in each["name"] for each in self.status(key)["targets"])

    def given(self) -> list[Assignment]:
        """Return the group's assignments."""
        found = self.azure.assignments(f"{self.store.place.vault_id}/secrets")
        return [each for each in found if each.principal == self.group]

    @property
    def holder(self) -> Key:
        """Whose mark the group's one assignment carries."""
        (row,) = self.given()
        mark = read_description(row.description)
        assert mark is not None
        return mark.owner.namespace, mark.owner.binding

    def removals(self) -> int:
        """Return how many requests to remove the group's assignment there were."""
        return len(self.azure.requests(method="DELETE", path=self.name))

    @property
    def name(self) -> str:
        """Name of the group's assignment."""
        place = self.store.place
        return name_of(f"{place.vault_id}/secrets/airflow-a", self.group, place.role)


@pytest.fixture
def office(azure: AzureStandIn, bench: Bench, store: AzureStore) -> Office:
    """Return an operator with one backend and no binding yet."""
    return Office(azure, bench, store)


def let_go(office: Office, key: Key, how: str) -> None:
    if how == "deleted":
        office.delete(key)
    elif how == "without people":
        office.declare(key, people=False)
    else:
        office.declare(key, access={"notAfter": "2031-05-01T00:00:00Z"})


HOW = ("deleted", "without people", "at its end")


async def test_both_are_ready_with_one_assignment_and_no_write_later(office: Office) -> None:
    await office.make(ONE, TWO)
    assert office.holder == ONE
    assert (office.recorded(ONE), office.recorded(TWO)) == (1, 1)
    assert len(office.azure.requests(method="PUT", path=office.name)) == 1
    office.azure.clock.advance(601)
    office.azure.forget_requests()
    for key in (ONE, TWO):
        await office.look(key)
        assert office.ready(key) == "True"
    assert {each.method for each in office.azure.requests(service="arm")} == {"GET"}


async def test_both_are_ready_when_they_come_at_once(office: Office) -> None:
    for key in (ONE, TWO):
        office.declare(key)
    await asyncio.gather(office.look(ONE), office.look(TWO))
    assert (office.ready(ONE), office.ready(TWO)) == ("True", "True")
    assert len(office.given()) == 1


@pytest.mark.parametrize("how", HOW)
async def test_who_lets_go_hands_it_to_the_other_who_then_takes_it_away(office: Office, how: str) -> None:
    await office.make(ONE, TWO)
    let_go(office, ONE, how)
    await office.look(ONE)
    assert office.holder == TWO
    assert office.removals() == 0, "the group never loses what somebody declares"
    office.restart()
    await office.look(TWO)
    assert office.ready(TWO) == "True"
    let_go(office, TWO, how)
    await office.look(TWO)
    assert office.given() == []


@pytest.mark.parametrize("how", HOW)
async def test_who_only_leans_on_the_others_takes_nothing_along(office: Office, how: str) -> None:
    await office.make(ONE, TWO)
    let_go(office, TWO, how)
    await office.look(TWO)
    assert office.holder == ONE
    assert office.removals() == 0
    let_go(office, ONE, how)
    await office.look(ONE)
    assert office.given() == []


async def test_who_declares_it_only_as_the_other_goes_makes_its_own(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    await office.make(ONE)
    whole = office.store.observe

    async def between(owner: Owner, addresses: Iterable[Address], *, known: bool) -> Mapping[Address, Observed]:
        found = await whole(owner, addresses, known=known)
        if owner.binding == TWO[1] and binding_path(*ONE) in office.cluster.api.objects:
            office.delete(ONE)
            await office.look(ONE)
        return found

    monkeypatch.setattr(office.store, "observe", between)
    office.declare(TWO)
    await office.look(TWO)
    assert office.ready(TWO) == "True"
    assert office.holder == TWO


async def test_what_is_handed_over_while_its_heir_lets_go_is_taken_away(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    await office.make(ONE, TWO)
    whole, begun = office.store._assignments._put, asyncio.Event()

    async def slowly(wanted: Any) -> Any:
        begun.set()
        office.declare(TWO, people=False)
        office.watch()
        return await whole(wanted)

    monkeypatch.setattr(office.store._assignments, "_put", slowly)
    office.delete(ONE)

    async def second() -> None:
        await begun.wait()
        await office.look(TWO)

    await asyncio.gather(office.look(ONE), second())
    assert office.given() == []


@pytest.mark.parametrize("heir", ["without people", "deleted"])
async def test_who_inherits_without_seeing_it_yet_takes_it_away_all_the_same(office: Office, heir: str) -> None:
    await office.make(ONE, TWO)
    office.azure.clock.advance(30)
    office.azure.delay(reads=8.0)
    office.delete(ONE)
    office.watch()
    assert (await office.cluster.reconciler.reconcile(ONE)).kind == "retry"
    let_go(office, TWO, heir)
    office.watch()
    following = await office.cluster.reconciler.reconcile(TWO)
    assert following.kind == "retry"
    assert office.recorded(TWO) == 1, "whose it is now is not known"
    office.azure.clock.advance(10)
    await office.look(ONE)
    await office.look(TWO)
    assert office.given() == []


async def test_what_was_handed_over_and_shows_it_keeps_nobody_waiting(office: Office) -> None:
    await office.make(ONE, TWO)
    office.delete(ONE)
    await office.look(ONE)
    await office.make(ONE)
    assert office.holder == TWO
    office.declare(ONE, people=False)
    office.watch()
    assert (await office.cluster.reconciler.reconcile(ONE)).kind == "check"
    assert office.holder == TWO


@pytest.mark.parametrize("lost", [True, False])
async def test_a_hand_over_that_breaks_off_is_finished_after_a_restart(office: Office, lost: bool) -> None:
    await office.make(ONE, TWO)
    (row,) = office.given()
    office.delete(ONE)
    office.azure.cut_next(method="PUT", path=row.name, times=2, lose_answer=lost)
    office.watch()
    following = await office.cluster.reconciler.reconcile(ONE)
    assert following.kind == "retry"
    assert binding_path(*ONE) in office.cluster.api.objects
    office.restart()
    await office.look(ONE)
    assert binding_path(*ONE) not in office.cluster.api.objects
    assert office.holder == TWO
    assert office.removals() == 0
    office.declare(TWO, people=False)
    await office.look(TWO)
    assert office.given() == []


async def test_what_a_sweep_finds_is_handed_over_too(office: Office) -> None:
    await office.make(ONE, TWO)
    del office.cluster.api.objects[binding_path(*ONE)]
    office.restart()
    office.watch()
    runtime = await office.cluster.backends.open("kv")
    assert isinstance(runtime, Runtime)
    (holding,) = [each for each in await office.store.holdings() if each.owner.binding == ONE[1]]
    for _ in range(4):
        if not await sweep.take_away(runtime, holding, LiveObjects(office.cluster.api)):
            break
        office.azure.clock.advance(5)
    assert office.holder == TWO
    assert len(office.azure.assignments(f"{office.store.place.vault_id}/secrets")) == 2, "its own and the group's"
    assert office.removals() == 0


async def test_what_carries_the_mark_of_another_is_left_for_the_sweep_though_nobody_knows_that_one(
    office: Office,
) -> None:
    await office.make(ONE, TWO)
    del office.cluster.api.objects[binding_path(*ONE)]
    office.restart()
    office.declare(TWO, people=False)
    await office.look(TWO)
    assert office.holder == ONE
    assert office.recorded(TWO) == 0


async def test_nobody_inherits_from_itself(azure: AzureStandIn, bench: Bench, store: AzureStore) -> None:
    wanted = bench.grant("airflow-a", people=(azure.add_group("analysts").id,))
    recorded = await create(bench, store, wanted)

    class Itself:
        def declaring(self, ending: str) -> tuple[Owner, ...]:
            assert any(each.name.endswith(ending) for each in recorded)
            return (wanted.owner,)

        def groups(self) -> frozenset[str]:
            return frozenset()

        def on_record(self, namespace: str) -> frozenset[str]:
            return frozenset()

    store.share(Itself())
    await remove(bench, store, wanted.owner, recorded)
    assert azure.assignments(f"{store.place.vault_id}/secrets") == []


async def test_who_comes_while_the_other_removes_it_waits_and_makes_its_own(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    await office.make(ONE)
    shared, assignments = office.store._shared, office.store._assignments
    remove_it, give, give_it = assignments.remove, shared.give, assignments.give
    before, within, tasks = asyncio.Event(), asyncio.Event(), list[asyncio.Task[None]]()

    async def giving(wanted: Row, *given: Any) -> Row:
        if wanted.principal == office.group:
            before.set()
        return await give(wanted, *given)

    async def having_its_turn(wanted: Row, *given: Any) -> Row:
        if wanted.principal == office.group:
            within.set()
        return await give_it(wanted, *given)

    async def beside(row: Row) -> None:
        if row.principal == office.group:
            office.declare(TWO)
            tasks.append(asyncio.create_task(office.look(TWO)))
            await before.wait()
            for _ in range(10):
                await asyncio.sleep(0)
            if within.is_set():
                await tasks[0]
        await remove_it(row)

    monkeypatch.setattr(shared, "give", giving)
    monkeypatch.setattr(assignments, "give", having_its_turn)
    monkeypatch.setattr(office.store._assignments, "remove", beside)
    office.delete(ONE)
    await office.look(ONE)
    await tasks[0]
    assert office.ready(TWO) == "True"
    assert office.holder == TWO


async def test_a_suspended_binding_inherits_what_it_had_and_nothing_else(office: Office) -> None:
    await office.make(ONE, TWO)
    office.declare(TWO, suspend=True)
    await office.look(TWO)
    assert office.recorded(TWO) == 1
    office.delete(ONE)
    await office.look(ONE)
    assert office.holder == TWO


async def test_a_suspended_binding_gets_nothing_by_another(office: Office) -> None:
    await office.make(TWO, people=False)
    await office.make(ONE)
    office.declare(TWO, suspend=True)
    await office.look(TWO)
    assert office.recorded(TWO) == 0
    office.delete(ONE)
    await office.look(ONE)
    assert office.given() == []


async def test_a_binding_whose_account_is_anothers_by_now_lets_go_of_what_it_inherits(office: Office) -> None:
    await office.make(ONE, TWO)
    path = f"/api/v1/namespaces/{TWO[0]}/serviceaccounts/{TWO[1]}"
    office.cluster.api.change(path, lambda body: body["metadata"].update(labels={}, uid="another"))
    office.delete(ONE)
    await office.look(ONE)
    office.watch()
    await office.cluster.reconciler.reconcile(TWO)
    assert office.given() == []


async def test_a_binding_whose_account_is_away_for_a_moment_inherits(office: Office) -> None:
    await office.make(ONE, TWO)
    del office.cluster.api.objects[f"/api/v1/namespaces/{TWO[0]}/serviceaccounts/{TWO[1]}"]
    office.cluster.cache.forget_account(TWO[0], TWO[1], "")
    office.delete(ONE)
    await office.look(ONE)
    assert office.holder == TWO
    await office.look(TWO)
    assert (office.ready(TWO), office.holder) == ("True", TWO)


@pytest.mark.parametrize("looked", [False, True], ids=["before its own look", "after its own look"])
async def test_a_suspended_binding_gets_nothing_by_what_it_was_only_about_to_have(
    office: Office, *, looked: bool
) -> None:
    await office.make(TWO, people=False)
    await office.make(ONE)
    office.declare(TWO, suspend=True)
    await office.look(TWO)
    (name,) = [each["name"] for each in office.status(ONE)["targets"] if "#" in each["name"]]
    short = Owner("c1", *TWO, "kv").short_name_in_store
    ending = name[name.index("/") :]
    pending = {"backend": "kv", "kind": ASSIGNMENT, "name": f"{short}{ending}", "state": "Pending"}
    office.cluster.api.change(binding_path(*TWO), lambda body: body["status"]["targets"].append(pending))
    if looked:
        await office.look(TWO)
    office.delete(ONE)
    await office.look(ONE)
    await office.look(TWO)
    assert office.given() == []


async def test_what_is_changed_by_hand_meanwhile_is_neither_removed_nor_handed_over(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    await office.make(ONE)
    (row,) = office.given()
    whole = office.store.apply

    async def meddled(operation: Operation) -> Written:
        if operation.action is Action.DELETE and operation.address.kind == ASSIGNMENT:
            with office.azure.world() as world:
                world.assignments[row.name] = replace(world.assignments[row.name], description="mine now")
        return await whole(operation)

    monkeypatch.setattr(office.store, "apply", meddled)
    office.declare(ONE, people=False)
    office.watch()
    await office.cluster.reconciler.reconcile(ONE)
    assert [each.name for each in office.given()] == [row.name]
    (target,) = [each for each in office.status(ONE)["targets"] if "#" in each["name"]]
    assert "was changed since it was looked at" in target["message"]


async def test_what_another_cluster_of_our_name_made_is_not_ours_to_lean_on(office: Office) -> None:
    await office.make(ONE)
    with office.azure.world() as world:
        for each in office.given():
            text = str(each.description).replace(f"uid={UID}", "uid=33333333-aaaa-bbbb-cccc-444444444444")
            world.assignments[each.name] = replace(each, description=text)
    office.restart()
    office.azure.clock.advance(601)
    office.declare(TWO)
    await office.look(TWO)
    assert office.ready(TWO) == "False"
    assert office.recorded(TWO) == 0


async def test_the_assignment_of_an_identity_is_of_one_binding(
    azure: AzureStandIn, bench: Bench, opening: Opening
) -> None:
    azure.add_identity("id-billing")
    identities = {**bench.body()["spec"]["azureKeyVault"]["identities"]}
    identities["existing"] = [{"namespace": "team", "serviceAccount": "billing", "name": "id-billing"}]
    store = opening(bench.open(identities=identities))
    await create(bench, store, bench.grant("airflow-a"))
    second = bench.grant("airflow-a", binding="second")
    found = await store.observe(second.owner, [each.address for each in store.render(second)], known=False)
    (held,) = [each for address, each in found.items() if address.kind == ASSIGNMENT]
    assert (held.claim, held.shared) == (Claim.FOREIGN, False)


async def test_another_backend_on_the_same_vault_is_named(
    azure: AzureStandIn, bench: Bench, office: Office, opening: Opening
) -> None:
    await office.make(ONE)
    bench.name = "twin"
    twin = opening(bench.open())
    wanted = bench.grant("airflow-a", people=(office.group,))
    found = await twin.observe(wanted.owner, [each.address for each in twin.render(wanted)], known=False)
    (held,) = [each for address, each in found.items() if "#" in address.name]
    assert "binding team/billing has it by backend kv" in held.held_by
    assert "let both bindings name one backend" in held.held_by


async def test_what_was_removed_a_moment_ago_is_given_by_no_read_that_lags_behind(office: Office) -> None:
    await office.make(ONE)
    await office.make(TWO, people=False)
    office.azure.clock.advance(30)
    office.azure.delay(reads=8.0)
    office.declare(ONE, people=False)
    office.watch()
    await office.cluster.reconciler.reconcile(ONE)
    assert office.given() == []
    office.declare(TWO)
    office.watch()
    await office.cluster.reconciler.reconcile(TWO)
    assert office.given(), "it is made, whatever the read before shows"
    office.azure.clock.advance(30)
    await office.look(TWO)
    assert (office.ready(TWO), office.holder) == ("True", TWO)
