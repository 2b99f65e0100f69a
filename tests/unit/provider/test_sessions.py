"""One lookup: what is asked of a store, how often, what is kept, and what is said about it."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from airflow_airwarden import sessions
from airflow_airwarden.audit import AUDIT
from airflow_airwarden.binding_map import Place
from airflow_airwarden.errors import LookupRefused, Reason
from airflow_airwarden.ports import Reading
from airflow_airwarden.sessions import Session
from airflow_airwarden.settings import Settings
from unit.provider.making import KEY_VAULT, WAREHOUSE, PlainReader, write_map

PLACE = WAREHOUSE["key"]
CANARY = "canary-4711"
Opening = Callable[..., tuple[Session, PlainReader]]


@pytest.fixture
def opening(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Opening]:
    """Return a function that opens a session on a map, with a reader that counts."""
    opened: list[Session] = []

    def open_one(reader: PlainReader | None = None, **changes: Any) -> tuple[Session, PlainReader]:
        path = write_map(tmp_path, **changes)
        used = reader or PlainReader({PLACE: {"conn_uri": f"http://:{CANARY}@h"}})
        monkeypatch.setattr(sessions, "open_reader", lambda *_: used)
        opened.append(Session(Settings(str(path))))
        return opened[-1], used

    yield open_one
    for each in opened:
        each.close()


def audit_lines(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    return [json.loads(record.getMessage()) for record in caplog.records if record.name == AUDIT]


def test_an_id_that_is_not_bound_asks_no_store(opening: Opening, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    session, reader = opening()
    for kind, wanted in [
        ("Connection", "other"),
        ("Variable", "warehouse"),
        ("Config", ""),
        ("Connection", "../warehouse"),
        ("Connection", "ware'house\n"),
        ("Connection", "WAREHOUSE"),
    ]:
        assert session.look_up(kind, wanted) is None
    assert (reader.reads, audit_lines(caplog)) == ([], [])


def test_an_id_that_is_not_bound_is_refused_where_the_environment_says_so(
    opening: Opening, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    session, reader = opening(unboundIDs="Refuse")
    with pytest.raises(LookupRefused, match="NotBound: Connection 'other' is not in the binding's map"):
        session.look_up("Connection", "other")
    assert reader.reads == []
    [line] = audit_lines(caplog)
    assert (line["outcome"], line["id"]) == ("NotBound", "other")


def test_an_id_that_is_bound_and_not_given_is_refused_whatever_becomes_of_unbound_ones(
    opening: Opening, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    session, reader = opening(refused=[{"type": "Variable", "id": "ledger", "reason": "KeyNotAllowed"}])
    with pytest.raises(LookupRefused, match=r"NotGranted: the binding names Variable 'ledger'.*\(KeyNotAllowed\)"):
        session.look_up("Variable", "ledger")
    assert session.look_up("Connection", "ledger") is None, "another type is another id"
    assert reader.reads == []
    [line] = audit_lines(caplog)
    assert (line["outcome"], line["id"]) == ("NotGranted", "ledger")


@pytest.mark.parametrize("wanted", ["a/b", "..", "../warehouse", "it's \"\n", "", "x" * 10_000, "\u202e", None, 5])
def test_an_id_that_no_binding_can_hold_is_refused_in_one_printable_line(
    opening: Opening, caplog: pytest.LogCaptureFixture, wanted: Any
) -> None:
    caplog.set_level(logging.INFO)
    session, reader = opening(unboundIDs="Refuse")
    with pytest.raises(LookupRefused) as refused:
        session.look_up("Connection", wanted)
    assert refused.value.reason is Reason.NOT_BOUND
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 1000
    [line] = audit_lines(caplog)
    assert (line["outcome"], reader.reads) == ("NotBound", [])


def test_thousands_of_secrets_are_read_once_each_and_what_is_kept_is_seldom_gone_through(opening: Opening) -> None:
    asked: list[None] = []

    def still_good() -> float:
        asked.append(None)
        return time.monotonic() + 1000

    count = 5000
    items = [{**WAREHOUSE, "id": f"c{number}", "key": f"many/{number}"} for number in range(count)]
    values = {f"many/{number}": {"host": str(number)} for number in range(count)}
    session, reader = opening(PlainReader(values, good_until=still_good), secrets=items, cacheTTLSeconds=3600)
    for _ in range(2):
        for number in range(count):
            found = session.look_up("Connection", f"c{number}")
            assert found is not None
            assert found.reading.values == {"host": str(number)}
    assert len(reader.reads) == count
    assert len(asked) < 200 * count, "else each lookup would go through all that is kept"


def test_a_second_lookup_is_answered_from_memory(opening: Opening) -> None:
    session, reader = opening()
    first, second = session.look_up("Connection", "warehouse"), session.look_up("Connection", "warehouse")
    assert first is not None
    assert second is not None
    assert first.reading.values == second.reading.values == {"conn_uri": f"http://:{CANARY}@h"}
    assert reader.reads == [PLACE]


def test_nothing_is_kept_where_the_map_says_so(opening: Opening) -> None:
    session, reader = opening(cacheTTLSeconds=0)
    session.look_up("Connection", "warehouse")
    session.look_up("Connection", "warehouse")
    assert reader.reads == [PLACE, PLACE]


def test_nothing_is_kept_longer_than_it_works(opening: Opening) -> None:
    ends = [time.monotonic() + 1000]
    session, reader = opening(PlainReader({PLACE: {"value": "v"}}, lease="l", good_until=lambda: ends[0]))
    session.look_up("Connection", "warehouse")
    session.look_up("Connection", "warehouse")
    assert reader.reads == [PLACE]
    ends[0] = time.monotonic()
    session.look_up("Connection", "warehouse")
    assert reader.reads == [PLACE, PLACE]


def test_what_no_longer_works_leaves_the_memory_with_a_later_read(
    opening: Opening, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = PlainReader({PLACE: {"value": CANARY}, "other": {"value": "v"}})
    items = [WAREHOUSE, {**WAREHOUSE, "id": "other", "key": "other"}]
    session, _ = opening(reader, secrets=items, cacheTTLSeconds=0)
    session.look_up("Connection", "warehouse")
    assert CANARY in str([reading.values for _, reading in session._kept.values()])
    monkeypatch.setattr(session, "_forget_at", 0.0)  # a second later
    session.look_up("Connection", "other")
    assert CANARY not in str([reading.values for _, reading in session._kept.values()])


def test_leased_credentials_are_kept_beyond_the_maps_time(opening: Opening) -> None:
    session, reader = opening(PlainReader({PLACE: {"value": "v"}}, lease="l"), cacheTTLSeconds=0)
    session.look_up("Connection", "warehouse")
    session.look_up("Connection", "warehouse")
    assert reader.reads == [PLACE], "each read would make another user"


def test_what_moved_in_the_map_is_read_where_it_is_now(opening: Opening, tmp_path: Path) -> None:
    session, reader = opening(PlainReader({PLACE: {"value": "old"}, "elsewhere": {"value": "new"}}))
    session.look_up("Connection", "warehouse")
    write_map(tmp_path, secrets=[{**WAREHOUSE, "key": "elsewhere"}])
    found = session.look_up("Connection", "warehouse")
    assert found is not None
    assert found.reading.values == {"value": "new"}
    write_map(tmp_path, secrets=[])
    assert session.look_up("Connection", "warehouse") is None
    assert reader.reads == [PLACE, "elsewhere"]


def test_threads_that_want_one_id_share_one_request(opening: Opening) -> None:
    hold = threading.Event()
    session, reader = opening(PlainReader({PLACE: {"value": "v"}}, hold=hold))
    with ThreadPoolExecutor(16) as pool:
        asked = [pool.submit(session.look_up, "Connection", "warehouse") for _ in range(16)]
        assert reader.reached.wait(30)
        hold.set()
        assert all(each.result() is not None for each in asked)
    assert reader.reads == [PLACE]


def test_threads_that_want_one_id_share_its_failure_and_the_next_lookup_asks_again(opening: Opening) -> None:
    hold = threading.Event()
    session, reader = opening(PlainReader({}, hold=hold))
    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(session.look_up, "Connection", "warehouse")
        assert reader.reached.wait(30)
        others = [pool.submit(session.look_up, "Connection", "warehouse") for _ in range(7)]
        hold.set()
        assert all(isinstance(each.exception(), LookupRefused) for each in [first, *others])
    asked = len(reader.reads)
    with pytest.raises(LookupRefused):
        session.look_up("Connection", "warehouse")
    assert len(reader.reads) == asked + 1


class Nested(PlainReader):
    """A reader in whose read, once, the thread's signal handler looks something up: what Airflow's on_kill may do."""

    look_up: Callable[[], object] | None = None

    def read(self, place: Place, correlation: str, deadline: float) -> Reading:
        handler, self.look_up = self.look_up, None
        if handler is not None:
            handler()
        return super().read(place, correlation, deadline)


@pytest.mark.parametrize("wanted", ["warehouse", "other"])
def test_a_lookup_within_a_lookup_of_its_thread_reads_by_itself(opening: Opening, wanted: str) -> None:
    items = [WAREHOUSE, {**WAREHOUSE, "id": "other", "key": "other"}]
    reader = Nested({PLACE: {"value": "v"}, "other": {"value": "o"}})
    session, _ = opening(reader, secrets=items)
    within: list[object] = []
    reader.look_up = lambda: within.append(session.look_up("Connection", wanted))
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(session.look_up, "Connection", "warehouse").result(30) is not None
    assert len(within) == 1
    assert within[0] is not None
    reads = len(reader.reads)
    for each in ("warehouse", wanted):
        session.look_up("Connection", each)
    assert len(reader.reads) == reads, "both are kept, and threads share as before"
    assert (session._at_it, session._under_way) == (set(), {})


def test_a_lookup_within_a_lookup_does_not_wait_for_another_thread(opening: Opening) -> None:
    """That thread may wait for what this one holds."""
    items = [WAREHOUSE, {**WAREHOUSE, "id": "other", "key": "other"}]
    hold, held = threading.Event(), threading.Event()

    class Held(Nested):
        def read(self, place: Place, correlation: str, deadline: float) -> Reading:
            if str(place) == "other" and not held.is_set():
                held.set()
                assert hold.wait(60)
            return super().read(place, correlation, deadline)

    reader = Held({PLACE: {"value": "v"}, "other": {"value": "o"}})
    session, _ = opening(reader, secrets=items)
    with ThreadPoolExecutor(2) as pool:
        other = pool.submit(session.look_up, "Connection", "other")
        assert held.wait(30)
        reader.look_up = lambda: session.look_up("Connection", "other")
        assert pool.submit(session.look_up, "Connection", "warehouse").result(30) is not None
        hold.set()
        assert other.result(30) is not None


def test_a_lookup_that_another_thread_holds_up_ends(opening: Opening, monkeypatch: pytest.MonkeyPatch) -> None:
    hold = threading.Event()
    session, reader = opening(PlainReader({PLACE: {"value": "v"}}, hold=hold))
    monkeypatch.setattr(session, "_settings", Settings(lookup_seconds=0))
    monkeypatch.setattr(sessions, "LONGEST_TRY", 0.1)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(session.look_up, "Connection", "warehouse")
        assert reader.reached.wait(30)
        with pytest.raises(LookupRefused, match="StoreFailed: another thread of this process has been reading it"):
            session.look_up("Connection", "warehouse")
        hold.set()
        assert first.result(30) is not None


def test_an_interrupted_read_fails_the_others_closed(opening: Opening) -> None:
    class Interrupted(PlainReader):
        def read(self, *arguments: Any) -> Any:
            super().read(*arguments)
            raise KeyboardInterrupt

    hold = threading.Event()
    session, reader = opening(Interrupted({PLACE: {}}, hold=hold))
    failed: list[BaseException] = []

    def look_up() -> None:
        try:
            session.look_up("Connection", "warehouse")
        except (KeyboardInterrupt, LookupRefused) as error:
            failed.append(error)

    threads = [threading.Thread(target=look_up) for _ in range(2)]
    for each in threads:
        each.start()
    assert reader.reached.wait(30)
    hold.set()
    for each in threads:
        each.join(30)
    assert {type(each) for each in failed} <= {KeyboardInterrupt, LookupRefused}
    assert len(failed) == 2


def test_each_access_is_one_line_without_the_value(opening: Opening, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    session, _ = opening()
    session.look_up("Connection", "warehouse")
    session.look_up("Connection", "warehouse")
    read, cached = audit_lines(caplog)
    assert {
        key: read[key]
        for key in (
            "event",
            "binding",
            "environment",
            "type",
            "id",
            "store",
            "place",
            "version",
            "requestID",
            "outcome",
            "cached",
            "pod",
        )
    } == {
        "event": "access",
        "binding": "airflow-prod/billing",
        "environment": "airflow/main",
        "type": "Connection",
        "id": "warehouse",
        "store": "vault",
        "place": PLACE,
        "version": "7",
        "requestID": "request-1",
        "outcome": "Read",
        "cached": False,
        "pod": {"namespace": "airflow-prod", "serviceAccount": "billing", "pod": "billing-1"},
    }
    assert cached["cached"] is True
    assert CANARY not in caplog.text


def test_a_refused_access_is_one_line_with_the_reason(opening: Opening, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    session, _ = opening(PlainReader({}))
    with pytest.raises(LookupRefused):
        session.look_up("Connection", "warehouse")
    [line] = audit_lines(caplog)
    assert (line["outcome"], line["reason"], line["place"]) == (Reason.SECRET_ABSENT, f"nothing at {PLACE}", PLACE)


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_access_that_ends_unforeseen_is_one_line_without_the_errors_words(
    opening: Opening, caplog: pytest.LogCaptureFixture, error: type[BaseException]
) -> None:
    class Broken(PlainReader):
        def read(self, place: Place, correlation: str, deadline: float) -> Reading:
            raise error(CANARY)

    caplog.set_level(logging.INFO)
    session, _ = opening(Broken({}))
    with pytest.raises(error):
        session.look_up("Connection", "warehouse")
    [line] = audit_lines(caplog)
    assert (line["outcome"], line["reason"], line["id"]) == ("InternalError", error.__name__, "warehouse")
    assert CANARY not in json.dumps(line)


def test_the_end_gives_up_logins_once_and_forgets_values(opening: Opening, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    session, reader = opening()
    session.look_up("Connection", "warehouse")
    session.close()
    session.close()
    assert reader.closed == 1
    ended = [line for line in audit_lines(caplog) if line["event"] == "end"]
    assert [(line["store"], line["leases"], line["outcome"]) for line in ended] == [("vault", 1, "Revoked")]
    assert CANARY not in repr(vars(session))


def test_a_thread_that_lives_on_after_the_end_opens_no_store(opening: Opening) -> None:
    session, reader = opening()
    session.look_up("Connection", "warehouse")
    session.close()
    with pytest.raises(LookupRefused, match="StoreUnreachable: the task has ended, and its logins were given up"):
        session.look_up("Connection", "warehouse")
    assert (reader.reads, session._readers) == ([PLACE], {})
    assert session.look_up("Connection", "unbound") is None


def test_no_value_is_in_a_representation(opening: Opening) -> None:
    session, _ = opening()
    found = session.look_up("Connection", "warehouse")
    assert CANARY not in repr(found)
    assert CANARY not in repr(session)


def test_the_stores_for_development_need_the_kwarg(tmp_path: Path) -> None:
    path = write_map(tmp_path, stores={"vault": {"type": "File", "path": "/nowhere.json"}})
    with pytest.raises(LookupRefused, match="NotForProduction: store vault is a file or the environment"):
        Session(Settings(str(path))).look_up("Connection", "warehouse")


def test_files_and_the_environment_are_read_for_development(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "payloads.json").write_text(json.dumps({"a": {"value": "from file"}}))
    monkeypatch.setenv("DEV_B", "from environment")
    stores = {
        "file": {"type": "File", "path": str(tmp_path / "payloads.json")},
        "env": {"type": "Environment", "prefix": "DEV_"},
    }
    wanted = [("a", "file", "a"), ("b", "env", "B"), ("c", "file", "c"), ("d", "env", "D")]
    items = [{"type": "Variable", "id": id_, "store": store, "key": key} for id_, store, key in wanted]
    session = Session(Settings(str(write_map(tmp_path, stores=stores, secrets=items)), development=True))
    values = [found.reading.values["value"] for each in "ab" if (found := session.look_up("Variable", each))]
    assert values == ["from file", "from environment"]
    for absent in "cd":
        with pytest.raises(LookupRefused, match="SecretAbsent"):
            session.look_up("Variable", absent)


@pytest.mark.parametrize(
    ("extra", "module", "store"), [("vault", "httpx", {}), ("azure", "azure.core", KEY_VAULT)], ids=["vault", "azure"]
)
def test_a_missing_extra_is_told_with_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, extra: str, module: str, store: dict[str, Any]
) -> None:
    import sys

    for each in [name for name in sys.modules if name.startswith(("airflow_airwarden.readers.", f"{module}."))]:
        monkeypatch.delitem(sys.modules, each)
    monkeypatch.setitem(sys.modules, module, None)
    secrets = [{**WAREHOUSE, "key": "airflow-warehouse"}]
    path = write_map(tmp_path, secrets=secrets, **({"stores": {"vault": store}} if store else {}))
    with pytest.raises(LookupRefused) as refused:
        Session(Settings(str(path))).look_up("Connection", "warehouse")
    assert refused.value.reason is Reason.STORE_NOT_INSTALLED
    assert f"airflow-provider-airwarden[{extra}]" in str(refused.value)
