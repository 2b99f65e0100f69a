"""Who is looked at, how urgently, and when again: judged from memory, without a request."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from airwarden.api import FINALIZER
from airwarden.domain.errors import ClusterFailed, ObjectGone, Unreachable
from airwarden.domain.fence import Fence
from airwarden.domain.owner import Owner
from airwarden.domain.resources import Address
from airwarden.providers.kubernetes.objects import ObjectWriter, binding_path
from airwarden.providers.ports import Health
from airwarden.reconcile.bindings import Next
from airwarden.reconcile.engine import Engine
from airwarden.reconcile.metrics import Metrics
from airwarden.reconcile.probe import Finding, Pace, ProbeTools, _details
from airwarden.reconcile.queue import Key, Urgency
from unit.reconcile.fakes import KEY, Bench, FakeStore, backend_body


async def until(holds: Callable[[], bool]) -> None:
    """Let all that can go on go on, until something holds."""
    for _ in range(10_000):
        if holds():
            return
        await asyncio.sleep(0)
    raise AssertionError("it never held")


class Seat:
    """An engine on a fake world. Its passes are real; what it looked at, and how urgently, is on record."""

    def __init__(self, bench: Bench | None = None) -> None:
        if bench is not None:
            bench.restart()
        self.bench = bench or Bench()
        self.looks: list[tuple[Key, Urgency]] = []
        self.errors: list[Exception] = []
        bench = self.bench
        self.metrics = Metrics()
        self.engine = Engine("c1", bench.cache, bench.backends, bench.reconciler, self.metrics, clock=bench.clock)
        work = self.engine._lanes._work

        async def note(key: Key, urgency: Urgency) -> None:
            self.looks.append((key, urgency))
            await work(key, urgency)

        reconcile = bench.reconciler.reconcile

        async def fail_first(key: Key) -> Next:
            if self.errors:
                raise self.errors.pop(0)
            return await reconcile(key)

        bench.reconciler.reconcile = fail_first  # type: ignore[method-assign]
        self.engine._lanes._work = note

    def hear(self, kind: str | None = "MODIFIED") -> None:
        """Bring the binding's event, and those of the accounts."""
        self.engine.see_binding(kind, self.bench.binding)
        account = self.bench.account()
        if account is not None:
            self.engine.see_account("MODIFIED", account)

    async def rest(self) -> None:
        """Let everything that is queued be done."""
        await until(lambda: self.engine.idle)

    def delay(self) -> float:
        """Return in how many seconds the binding is looked at again."""
        return self.engine._timers.when(KEY) - asyncio.get_running_loop().time()


@pytest.fixture
async def seat() -> AsyncIterator[Seat]:
    """Return an engine that has settled one binding; what it looked at is forgotten."""
    made = Seat()
    made.engine.see_backend("ADDED", made.bench.backend_bodies["vault"])
    made.bench.declare("team/db")
    made.hear("ADDED")
    await made.rest()
    made.hear()
    await made.rest()
    made.looks.clear()
    made.bench.journal.lines.clear()
    yield made
    await made.engine.stop(0)


async def test_the_echo_of_our_own_writes_is_not_looked_at(seat: Seat) -> None:
    for _ in range(3):
        seat.hear()
    await seat.rest()
    assert seat.looks == []
    assert seat.bench.ready == ("True", "Ready")


async def test_an_edit_is_a_change_and_a_deletion_a_removal(seat: Seat) -> None:
    seat.bench.declare("team/db", "team/more")
    seat.hear()
    await seat.rest()
    seat.bench.delete()
    seat.hear()
    await seat.rest()
    assert seat.looks[:2] == [(KEY, Urgency.CHANGE), (KEY, Urgency.REMOVAL)]
    assert seat.bench.api.objects == {}


async def test_a_binding_that_is_edited_all_the_time_is_looked_at_now_and_then_and_ends_as_declared(seat: Seat) -> None:
    for number in range(40):
        seat.bench.declare(f"team/edit{number}")
        seat.hear()
        await seat.rest()
    assert len(seat.looks) <= 6
    assert 0 < seat.delay() <= 1.0
    seat.engine._due(KEY, Urgency.CHANGE)
    await seat.rest()
    assert seat.bench.ready == ("True", "Ready")
    assert any("team/edit39" in str(each) for each in seat.bench.store.contents.values())


async def test_names_that_are_no_backend_open_no_lanes(seat: Seat) -> None:
    seat.bench.declare("team/db", backend="nowhere")
    seat.hear()
    assert set(seat.engine._lanes._lines) <= {frozenset(), frozenset({"vault"})}
    await seat.rest()


async def test_a_status_that_somebody_else_wrote_is_set_right(seat: Seat) -> None:
    seat.bench.api.change(binding_path(*KEY), lambda body: body.pop("status"))
    seat.hear()
    await seat.rest()
    assert len(seat.looks) == 1
    assert seat.bench.ready == ("True", "Ready")


async def test_a_rule_that_takes_something_away_is_as_urgent_as_a_removal(seat: Seat) -> None:
    seat.engine.see_backend("MODIFIED", backend_body("vault", (), 2))
    await seat.rest()
    assert seat.looks == [(KEY, Urgency.REMOVAL)]
    assert seat.bench.store.contents == {}


async def test_a_rule_that_changes_nothing_for_a_binding_costs_it_no_look(seat: Seat) -> None:
    seat.engine.see_backend("MODIFIED", backend_body("vault", ("{namespace}/", "shared/"), 2))
    await seat.rest()
    assert seat.looks == []


@pytest.fixture
async def refused(seat: Seat) -> Seat:
    """Return the seat, whose binding is given one secret and refused the other."""
    seat.bench.declare("team/db", "other/db")
    seat.hear()
    await seat.rest()
    assert seat.bench.ready == ("False", "KeyNotAllowed")
    seat.hear()
    await seat.rest()
    seat.looks.clear()
    return seat


async def test_what_a_binding_is_refused_is_not_judged_anew_for_what_leaves_it_refused(refused: Seat) -> None:
    account = refused.bench.account()
    assert account is not None
    refused.bench.cache.accounts.clear()
    refused.engine.see_account("ADDED", account)
    refused.engine.see_backend("MODIFIED", backend_body("vault", version=2, drift={"interval": "11m"}))
    await refused.rest()
    assert refused.looks == []


@pytest.mark.parametrize(
    ("prefixes", "reason"), [(("{namespace}/", "other/"), "Ready"), (("{namespace}/", "shared/"), "KeyNotAllowed")]
)
async def test_a_refused_binding_is_looked_at_when_it_is_allowed_more_or_refused_in_other_words(
    refused: Seat, prefixes: tuple[str, ...], reason: str
) -> None:
    refused.engine.see_backend("MODIFIED", backend_body("vault", prefixes, 2))
    await refused.rest()
    assert refused.looks == [(KEY, Urgency.CHANGE)]
    assert refused.bench.ready[1] == reason


@pytest.mark.parametrize(
    "spoilt",
    [
        pytest.param(lambda status: status["targets"][0].update(state="Failed"), id="a target that failed"),
        pytest.param(lambda status: status["secrets"][0].update(state="Failed"), id="a secret that failed"),
        pytest.param(lambda status: status["secrets"].pop(), id="a secret of which nothing is said"),
        pytest.param(lambda status: status["conditions"][0].update(reason="Unreachable"), id="another reason"),
        pytest.param(lambda status: status["conditions"][1].update(type="Reconciling"), id="work under way"),
        pytest.param(lambda status: status.update(observedGeneration=0), id="an older spec"),
    ],
)
async def test_a_refused_binding_of_which_something_failed_is_looked_at_when_something_is_said_of_it(
    refused: Seat, spoilt: Callable[[dict[str, Any]], object]
) -> None:
    refused.bench.api.change(binding_path(*KEY), lambda body: spoilt(body["status"]))
    refused.engine._cache.learn_binding(refused.bench.binding)
    refused.engine.see_backend("MODIFIED", backend_body("vault", version=2, drift={"interval": "11m"}))
    await refused.rest()
    assert refused.looks == [(KEY, Urgency.CHANGE)]
    assert refused.bench.ready == ("False", "KeyNotAllowed")


async def test_one_store_under_two_addresses_is_one_place_once_its_id_is_known() -> None:
    bench = Bench(("other", "vault"))
    for name, store in bench.stores.items():
        store.fence = Fence("tasks", "database", own=3, shared=0, dynamic=0, place=f"{name} in", within="in")
        bench.backend_bodies[name]["status"] = {"store": {"id": "store-1"}}
    bench.restart()
    secrets = [
        {"type": "Connection", "id": name, "backendRef": {"name": name}, "key": f"team/{name}"} for name in bench.stores
    ]
    bench.declare(secrets=secrets)
    await bench.settle()
    assert bench.ready == ("False", "SlotsTaken")


async def test_what_one_of_two_backends_of_one_place_holds_is_not_taken_for_a_removal() -> None:
    seat = Seat(Bench(("other", "vault")))
    for name, store in seat.bench.stores.items():
        store.fence = Fence("tasks", "database", own=3, shared=0, dynamic=0, place="here")
        seat.engine.see_backend("ADDED", seat.bench.backend_bodies[name])
    places = (("a", "vault"), ("b", "other"))
    secrets = [
        {"type": "Connection", "id": key, "backendRef": {"name": name}, "key": f"team/{key}"} for key, name in places
    ]
    for declared in (secrets[:1], secrets):
        seat.bench.declare(secrets=declared)
        seat.hear()
        await seat.rest()
    assert seat.bench.ready == ("False", "SlotsTaken")
    seat.looks.clear()
    seat.engine.see_backend("MODIFIED", backend_body("vault", ("{namespace}/", "more/"), version=2))
    await seat.rest()
    assert seat.looks == []
    await seat.engine.stop(0)


async def test_a_namespace_s_labels_wake_only_those_for_whom_they_matter(seat: Seat) -> None:
    def namespace(**labels: str) -> dict[str, Any]:
        return {"metadata": {"name": "team", "labels": labels}}

    seat.engine.see_namespace("MODIFIED", namespace(tenant="a"))
    await seat.rest()
    assert seat.looks == []
    selecting = backend_body("vault", version=2)
    selecting["spec"]["allow"][0]["namespaces"] = {"selector": {"matchLabels": {"tenant": "a"}}}
    seat.engine.see_backend("MODIFIED", selecting)
    seat.engine.see_namespace("MODIFIED", namespace(tenant="b"))
    await seat.rest()
    assert seat.looks[-1] == (KEY, Urgency.REMOVAL)
    assert seat.bench.store.contents == {}


async def test_an_account_that_goes_is_made_again_at_once(seat: Seat) -> None:
    account = seat.bench.account()
    assert account is not None
    del seat.bench.api.objects["/api/v1/namespaces/team/serviceaccounts/billing"]
    seat.engine.see_account("DELETED", account)
    await seat.rest()
    assert seat.looks == [(KEY, Urgency.CHANGE)]
    assert seat.bench.account() is not None


async def test_what_is_said_during_a_pass_is_looked_at_after_it(seat: Seat) -> None:
    seat.bench.declare("team/db", "team/more")
    seat.hear()
    await asyncio.sleep(0)
    seat.engine.see_backend("MODIFIED", backend_body("vault", (), 2))
    await seat.rest()
    assert seat.bench.store.contents == {}
    assert seat.bench.ready == ("False", "KeyNotAllowed")


async def test_after_success_the_next_look_is_a_drift_check_spread_over_the_interval(seat: Seat) -> None:
    assert 450 <= seat.delay() <= 750


async def test_failures_are_tried_again_later_and_later_but_within_a_minute(seat: Seat) -> None:
    delays = []
    for _ in range(9):
        seat.errors.append(ClusterFailed("500"))
        seat.engine._due(KEY, Urgency.CHANGE)
        await seat.rest()
        delays.append(seat.delay())
    assert 0.4 <= delays[0] <= 1.0
    assert all(delay <= 60.0 for delay in delays)
    assert delays[-1] >= 29.0


async def test_who_waits_for_its_turn_comes_back_just_then_however_often(seat: Seat) -> None:
    delays = []

    async def wait(key: Key) -> Next:
        assert key == KEY
        return Next("retry", 3.0, in_turn=True)

    seat.bench.reconciler.reconcile = wait  # type: ignore[method-assign]
    for _ in range(9):
        seat.engine._due(KEY, Urgency.CHANGE)
        await seat.rest()
        delays.append(seat.delay())
    assert max(delays) <= 3.0
    assert min(delays) > 2.0


async def test_a_write_that_met_a_newer_object_is_tried_again_soon_but_not_for_ever_so(seat: Seat) -> None:
    delays = []
    for _ in range(12):
        seat.errors.append(ObjectGone("changed"))
        seat.engine._due(KEY, Urgency.CHANGE)
        await seat.rest()
        delays.append(seat.delay())
    assert delays[0] <= 0.3
    assert delays[-1] >= 10.0, "a status that the API server refuses must not be tried five times a second for ever"


async def test_a_removal_is_tried_again_sooner_than_a_change(seat: Seat) -> None:
    seat.bench.delete()
    seat.hear()
    for _ in range(9):
        seat.errors.append(ClusterFailed("500"))
        seat.engine._due(KEY, Urgency.REMOVAL)
        await seat.rest()
    seat.errors.clear()
    assert KEY not in seat.engine._timers or seat.delay() <= 15.0


async def test_bindings_that_wait_for_a_store_are_looked_at_when_it_is_back(seat: Seat) -> None:
    seat.bench.store.errors["observe"] = Unreachable("no answer")
    for number in range(4):
        seat.bench.declare("team/db", f"team/more{number}")
        seat.hear()
        await seat.rest()
    seat.looks.clear()
    seat.bench.store.errors.clear()
    runtime = seat.bench.backends.runtime("vault")
    assert runtime is not None
    assert runtime.breaker.open
    runtime.breaker.succeeded()
    seat.engine.backend_recovered("vault")
    await seat.rest()
    assert seat.looks
    assert seat.bench.ready == ("True", "Ready")


async def test_while_a_store_counts_as_down_a_pass_sends_it_nothing(seat: Seat) -> None:
    seat.bench.store.errors["observe"] = Unreachable("no answer")
    for number in range(3):
        seat.bench.declare("team/db", f"team/more{number}")
        seat.hear()
        await seat.rest()
    seat.bench.journal.lines.clear()
    seat.bench.declare("team/db", "team/last")
    seat.hear()
    await seat.rest()
    assert not any("observe" in line or "Policy" in line for line in seat.bench.journal.lines)


async def test_a_binding_that_is_gone_is_forgotten_with_its_timer(seat: Seat) -> None:
    body = seat.bench.binding
    seat.bench.delete()
    seat.hear()
    await seat.rest()
    seat.engine.see_binding("DELETED", body)
    await seat.rest()
    assert KEY not in seat.engine._timers
    assert KEY not in seat.bench.cache.bindings
    assert seat.bench.journal.lines.count("PATCH billing finalizer off") == 1
    assert sum("observe" in line for line in seat.bench.journal.lines) == 1


def strip_and_delete(seat: Seat, *, hear_both: bool) -> None:
    """Take our finalizer off as its author may, and delete the binding before it can come back."""
    path = binding_path(*KEY)
    stripped = seat.bench.api.change(path, lambda body: body["metadata"].update(finalizers=[]))
    del seat.bench.api.objects[path]
    if hear_both:
        seat.engine.see_binding("MODIFIED", stripped)
    seat.engine.see_binding("DELETED", stripped)


@pytest.mark.parametrize("hear_both", [True, False])
async def test_a_binding_that_went_without_our_leave_leaves_nothing(seat: Seat, hear_both: bool) -> None:
    strip_and_delete(seat, hear_both=hear_both)
    await seat.rest()
    for _ in range(3):
        if KEY in seat.engine._timers:
            seat.engine._due(KEY, Urgency.REMOVAL)
            await seat.rest()
    assert seat.bench.store.contents == {}
    assert seat.bench.api.objects == {}
    assert KEY not in seat.bench.cache.bindings
    assert not any("PATCH" in line and "finalizer off" in line for line in seat.bench.journal.lines)


def by_account(store: FakeStore, owner: Owner, others: Iterable[Address] = ()) -> tuple[Address, ...]:
    """Return the addresses of a store in which things have the account's name, as in a fenced one."""
    name = owner.at(store.name).name_in_store
    return tuple(Address(store.name, f"{kind} of {owner.account}", name) for kind in ("Policy", "Role"))


@pytest.mark.parametrize("down", [False, True])
async def test_what_went_without_our_leave_is_taken_away_though_another_of_its_name_came_with_another_account(
    seat: Seat, monkeypatch: pytest.MonkeyPatch, *, down: bool
) -> None:
    bench = seat.bench
    bench.store.contents.clear()
    monkeypatch.setattr(bench.store, "addresses", partial(by_account, bench.store))
    seat.hear()
    await bench.settle()
    assert {each.kind for each in bench.store.contents} == {"Policy of billing", "Role of billing"}
    seat.hear()
    await seat.rest()
    gone = bench.binding
    strip_and_delete(seat, hear_both=True)
    if down:
        bench.store.errors["Delete Policy of billing"] = Unreachable("no answer")
    bench.declare("team/db", account="other")
    seat.hear("ADDED")
    await seat.rest()
    assert gone["metadata"]["uid"] != bench.binding["metadata"]["uid"]
    assert bench.ready == ("True", "Ready")
    if down:
        assert "Policy of billing" in {each.kind for each in bench.store.contents}
        assert seat.delay() <= 1.0
        bench.store.errors.clear()
        seat.engine._due(KEY, Urgency.CHANGE)
        await seat.rest()
    assert {each.kind for each in bench.store.contents} == {"Policy of other", "Role of other"}
    assert bench.account() is None
    assert bench.account("other") is not None
    assert bench.cache.superseded(KEY) == ()


async def test_what_went_without_our_leave_while_its_store_is_down_is_taken_away_later(seat: Seat) -> None:
    seat.bench.store.errors["observe"] = Unreachable("no answer")
    strip_and_delete(seat, hear_both=False)
    await seat.rest()
    assert seat.bench.store.contents != {}
    assert seat.bench.cache.using_backend("vault") == (KEY,)
    seat.bench.store.errors.clear()
    seat.engine._due(KEY, Urgency.REMOVAL)
    await seat.rest()
    assert seat.bench.store.contents == {}
    assert seat.bench.account() is None


async def test_a_pass_that_ends_in_a_bug_is_tried_again_and_the_others_go_on(seat: Seat) -> None:
    seat.errors.append(RuntimeError("a bug"))
    seat.bench.declare("team/db", "team/more")
    seat.hear()
    await seat.rest()
    assert seat.delay() <= 1.0
    seat.engine._due(KEY, Urgency.CHANGE)
    await seat.rest()
    assert seat.bench.ready == ("True", "Ready")


async def test_health_counts_only_the_time_in_which_something_waited(
    seat: Seat, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert seat.engine.stalled_seconds() == 0.0
    later = time.monotonic() + 3600
    monkeypatch.setattr("airwarden.reconcile.engine.time.monotonic", lambda: later)
    assert seat.engine.stalled_seconds() == 0.0
    seat.bench.declare("team/db", "team/more")
    seat.hear()
    assert not seat.engine.idle
    assert seat.engine.stalled_seconds() < 1.0, "an hour without work is no hour without progress"
    monkeypatch.setattr("airwarden.reconcile.engine.time.monotonic", lambda: later + 400)
    assert seat.engine.stalled_seconds() == 400 - seat.bench.backends.patience() > 300
    await seat.rest()


async def test_a_pass_that_never_ends_while_nothing_is_heard_fails_the_health_of_the_process(
    seat: Seat, monkeypatch: pytest.MonkeyPatch
) -> None:
    stuck = asyncio.Event()

    async def hang(*_: object, **__: object) -> None:
        await stuck.wait()

    monkeypatch.setattr(seat.bench.reconciler, "reconcile", hang)
    seat.bench.declare("team/db", "team/more")
    seat.hear()
    await until(lambda: seat.engine._lanes.running(KEY))
    now = time.monotonic()
    monkeypatch.setattr("airwarden.reconcile.engine.time.monotonic", lambda: now + 1000)
    assert seat.engine.stalled_seconds() > 900
    await seat.engine.stop(0)


async def test_a_store_that_is_waited_for_is_no_stall_however_long_its_backend_permits(
    seat: Seat, monkeypatch: pytest.MonkeyPatch
) -> None:
    seat.engine.see_backend("MODIFIED", backend_body(version=7, requests={"timeout": "10m"}))
    await seat.rest()
    answered = asyncio.Event()
    observe = seat.bench.store.observe

    async def slow(*arguments: Any, **named: Any) -> Any:
        await answered.wait()
        return await observe(*arguments, **named)

    monkeypatch.setattr(seat.bench.store, "observe", slow)
    seat.bench.declare("team/db", "team/more")
    seat.hear()
    await until(lambda: seat.engine._lanes.running(KEY))
    now = time.monotonic()
    monkeypatch.setattr("airwarden.reconcile.engine.time.monotonic", lambda: now + 3600)
    assert seat.engine.stalled_seconds() == 0.0
    answered.set()
    await seat.rest()


async def test_a_store_that_is_heard_of_is_progress_though_no_pass_has_ended(
    seat: Seat, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered = asyncio.Event()
    observe = seat.bench.store.observe

    async def slow(*arguments: Any, **named: Any) -> Any:
        await answered.wait()
        return await observe(*arguments, **named)

    monkeypatch.setattr(seat.bench.store, "observe", slow)
    seat.bench.declare("team/db", "team/more")
    seat.hear()
    await until(lambda: seat.engine._lanes.running(KEY))
    later = time.monotonic() + 1000
    monkeypatch.setattr("airwarden.reconcile.engine.time.monotonic", lambda: later)
    assert seat.engine.stalled_seconds() > 900
    runtime = seat.bench.backends.runtime("vault")
    assert runtime is not None
    monkeypatch.setattr("airwarden.reconcile.backends.time.monotonic", lambda: later)
    runtime.note_failure(Unreachable("no answer"))
    assert seat.engine.stalled_seconds() == 0.0
    answered.set()
    await seat.rest()


async def test_a_probe_writes_the_backend_s_status_and_stops_with_the_engine() -> None:
    bench = Bench()
    engine = Engine("c1", bench.cache, bench.backends, bench.reconciler, Metrics(), clock=bench.clock)
    body = backend_body(version=2)
    path = "/apis/airwarden.dev/v1alpha1/airflowsecretbackends/vault"
    made = bench.api.put(path, body)
    tools = ProbeTools(
        bench.cache,
        bench.backends,
        ObjectWriter(bench.api),
        Metrics(),
        engine.backend_recovered,
        lambda: datetime(2031, 5, 1, tzinfo=UTC),
        engine.backend_barred,
        bench.sweeps(),
        Pace(),
    )
    engine.start(tools)
    engine.see_backend("ADDED", made)
    await until(lambda: "status" in bench.api.objects[path])
    conditions = {each["type"]: each["status"] for each in bench.api.objects[path]["status"]["conditions"]}
    assert conditions == {"Ready": "True", "Reachable": "True", "Authorized": "True"}
    await engine.stop(0)
    assert bench.store.closed


async def test_tightening_that_the_answer_to_a_probe_s_write_brought_first_acts_when_its_event_comes(
    seat: Seat,
) -> None:
    bench, path = seat.bench, "/apis/airwarden.dev/v1alpha1/airflowsecretbackends/vault"
    body = bench.backend_bodies["vault"]
    told = bench.api.put(path, {**body, "metadata": {**body["metadata"], "finalizers": [FINALIZER]}})
    seat.engine.see_backend("MODIFIED", told)
    await seat.rest()
    tightened = bench.api.change(path, lambda body: body["spec"].update(allow=[]))
    now = datetime(2031, 5, 1, tzinfo=UTC)
    tools = ProbeTools(
        bench.cache,
        bench.backends,
        ObjectWriter(bench.api),
        Metrics(),
        lambda _: None,
        lambda: now,
        seat.engine.backend_barred,
        bench.sweeps(),
    )
    seat.engine.start(tools)
    seat.engine.see_backend("MODIFIED", told)  # the probe begins before the watch brings the edit
    await until(lambda: "status" in bench.api.objects[path])
    await seat.rest()
    seat.looks.clear()
    seat.engine.see_backend("MODIFIED", tightened)
    seat.engine.see_backend("MODIFIED", bench.api.objects[path])
    await seat.rest()
    assert seat.looks == [(KEY, Urgency.REMOVAL)]
    assert bench.ready == ("False", "KeyNotAllowed")
    assert bench.store.contents == {}


DAY = timedelta(days=1)


async def ending(seat: Seat) -> datetime:
    """Let the seat's binding end a day from now; return the moment."""
    end = (seat.bench.now + DAY).replace(microsecond=0)
    seat.bench.declare("team/db", access={"notAfter": end.strftime("%Y-%m-%dT%H:%M:%SZ")})
    seat.hear()
    await seat.rest()
    seat.hear()
    await seat.rest()
    seat.looks.clear()
    return end


async def test_the_end_of_access_is_a_removal_at_its_very_moment(seat: Seat) -> None:
    end = await ending(seat)
    seat.bench.now = end - timedelta(seconds=3700)
    seat.engine._turns._tick()
    await seat.rest()
    assert seat.looks == [], "nothing is due yet"
    steps = 0
    while (turn := seat.engine._turns.get(KEY)) is not None:
        seat.bench.now = turn.at
        seat.engine._turns._tick()
        await seat.rest()
        steps += 1
    assert steps == 9
    assert set(seat.looks) == {(KEY, Urgency.REMOVAL)}
    assert len(seat.looks) == steps
    assert seat.bench.ready == ("False", "Expired")
    assert seat.bench.store.contents == {}


def restarted(seat: Seat) -> Seat:
    """Return a new process on the same world, which has heard of all but the binding."""
    again = Seat(seat.bench)
    again.engine.see_backend("MODIFIED", seat.bench.backend_bodies["vault"])
    account = seat.bench.account()
    assert account is not None
    again.engine.know_account(account)
    return again


async def test_what_ended_while_the_operator_was_away_is_a_removal_at_the_start(seat: Seat) -> None:
    seat.bench.now = await ending(seat) + DAY
    again = restarted(seat)
    again.hear("ADDED")
    await again.rest()
    assert again.looks == [(KEY, Urgency.REMOVAL)]
    assert again.bench.ready == ("False", "Expired")
    again.hear()
    await again.rest()
    assert len(again.looks) == 1
    await again.engine.stop(0)


async def test_a_session_that_got_too_long_while_the_operator_was_away_is_a_removal_at_the_start(seat: Seat) -> None:
    seat.bench.now = await ending(seat) - timedelta(minutes=10)
    again = restarted(seat)
    again.hear("ADDED")
    await again.rest()
    assert again.looks == [(KEY, Urgency.REMOVAL)]
    await again.engine.stop(0)


async def test_after_a_restart_the_moment_is_known_before_the_first_pass(seat: Seat) -> None:
    end = await ending(seat)
    again = restarted(seat)
    again.hear("ADDED")
    assert again.looks == []
    found = again.engine._turns.get(KEY)
    assert found is not None
    assert found.at <= end
    await again.rest()
    assert again.looks == [(KEY, Urgency.DRIFT)]
    await again.engine.stop(0)


async def test_an_end_in_an_outage_is_retried_soon_and_is_first_when_the_store_is_back(seat: Seat) -> None:
    end = await ending(seat)
    for _ in range(3):
        seat.bench.backends.runtime("vault").breaker.failed(Unreachable("no answer"))  # type: ignore[union-attr]
    seat.bench.now = end
    seat.engine._turns._tick()
    await seat.rest()
    assert seat.looks == [(KEY, Urgency.REMOVAL)]
    assert seat.bench.store.contents != {}
    seat.looks.clear()
    seat.bench.backends.runtime("vault").breaker.succeeded()  # type: ignore[union-attr]
    seat.engine.backend_recovered("vault")
    await seat.rest()
    assert seat.looks == [(KEY, Urgency.REMOVAL)]
    assert seat.bench.store.contents == {}


async def test_a_binding_that_is_gone_has_no_turn(seat: Seat) -> None:
    await ending(seat)
    seat.bench.delete()
    seat.hear()
    await seat.rest()
    seat.engine.see_binding("DELETED", {"metadata": {"namespace": KEY[0], "name": KEY[1]}})
    await seat.rest()
    assert seat.engine._turns.get(KEY) is None


@pytest.mark.parametrize(
    ("ahead", "said"),
    [
        (None, ""),
        (30.0, ""),
        (-30.0, ""),
        (31.0, "more than 30s ahead of the operator's"),
        (-301.0, "more than 5m behind the operator's"),
        (10**6, "more than a day ahead"),
    ],
)
def test_clocks_that_differ_are_reported_beside_a_backend_that_is_ready(ahead: float | None, said: str) -> None:
    health = Health("s", "1", (), (), ahead)
    found = _details((), Finding(health=health), 1, "2031-05-01T00:00:00Z")
    skew = [each for each in found if each.type == "ClockSkew"]
    assert bool(skew) is bool(said)
    for each in skew:
        assert (each.status, each.reason) == ("True", "ClockSkew")
        assert said in each.message
    assert {each.type: each.status for each in found if each not in skew} == {"Reachable": "True", "Authorized": "True"}


def test_a_store_that_cannot_be_asked_leaves_what_was_said_of_the_clocks() -> None:
    before = _details((), Finding(health=Health("s", "1", (), (), 60.0)), 1, "2031-05-01T00:00:00Z")
    down = _details(before, Finding(error=Unreachable("no answer")), 1, "2031-05-01T01:00:00Z")
    assert [each for each in down if each.type == "ClockSkew"] == [each for each in before if each.type == "ClockSkew"]
    again = _details(down, Finding(health=Health("s", "1", (), (), 0.4)), 1, "2031-05-01T02:00:00Z")
    assert not any(each.type == "ClockSkew" for each in again)
