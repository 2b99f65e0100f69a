"""The proxy of the fault tests: it numbers, passes on, cuts, loses, truncates and holds."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import ClassVar

import pytest
import requests

from plane.proxy import Answer, Fate, Hang, Proxy, Request, Stop
from plane.small_server import Small, serving
from plane.waiting import wait_for

BODY = b"x" * 1000


class Upstream(Small):
    protocol_version = "HTTP/1.1"
    acted: ClassVar[list[str]]

    def respond(self) -> None:
        self.acted.append(self.path)
        if self.path == "/stream":
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for piece in (b"one\n", b"two\n"):
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            self.wfile.write(b"0\r\n\r\n")
            return
        self.answer(200, BODY)


@pytest.fixture
def acted() -> list[str]:
    """Return the paths that reached the server behind."""
    return []


@pytest.fixture
def proxy(acted: list[str]) -> Iterator[Proxy]:
    """Return a proxy in front of a small server."""
    behind = type("Behind", (Upstream,), {"acted": acted})
    with serving(behind) as port, Proxy(f"http://127.0.0.1:{port}") as made:
        yield made


def ask(proxy: Proxy, path: str = "/a", method: str = "GET") -> requests.Response:
    return requests.request(method, proxy.address + path, timeout=5)


def test_requests_pass_in_order_and_are_numbered(proxy: Proxy, acted: list[str]) -> None:
    with requests.Session() as session:
        assert [session.get(proxy.address + path, timeout=5).content for path in ("/a", "/b?c=d")] == [BODY, BODY]
    assert ask(proxy, "/list", "LIST").status_code == 200
    assert [(each.number, each.what) for each in proxy.requests] == [(1, "GET /a"), (2, "GET /b"), (3, "LIST /list")]
    assert acted == ["/a", "/b?c=d", "/list"]
    assert proxy.since(2) == [proxy.requests[2]]


def test_a_stream_is_passed_on(proxy: Proxy) -> None:
    assert ask(proxy, "/stream").text.split() == ["one", "two"]


@pytest.mark.parametrize(
    ("fate", "acts"), [(Fate.CUT, False), (Fate.RESET, False), (Fate.LOSE, True), (Fate.TRUNCATE, True)]
)
def test_what_breaks_off_before_does_not_act_and_what_breaks_off_after_does(
    proxy: Proxy, acted: list[str], fate: Fate, acts: bool
) -> None:
    proxy.behaviour = lambda _: fate
    with pytest.raises(requests.RequestException):
        ask(proxy)
    assert bool(acted) is acts
    proxy.behaviour = lambda _: Fate.PASS
    assert ask(proxy).content == BODY


@pytest.mark.parametrize("after", [False, True])
def test_a_stop_holds_the_chosen_request_and_only_it(proxy: Proxy, acted: list[str], after: bool) -> None:
    def chosen(request: Request) -> bool:
        return request.path == "/b"

    proxy.behaviour = stop = Stop(chosen, after=after)
    failures: list[Exception] = []

    def client() -> None:
        try:
            ask(proxy, "/b")
        except requests.RequestException as error:
            failures.append(error)

    asking = threading.Thread(target=client)
    asking.start()
    assert stop.reached.wait(60)
    assert ("/b" in acted) is after
    assert ask(proxy, "/a").content == BODY
    stop.release()
    asking.join(60)
    assert len(failures) == 1
    assert ask(proxy, "/b").content == BODY


def test_it_answers_in_the_server_s_place(proxy: Proxy, acted: list[str]) -> None:
    proxy.behaviour = lambda _: Answer(429, b"slow down", (("Retry-After", "7"),))
    answer = ask(proxy)
    assert (answer.status_code, answer.content, answer.headers["Retry-After"]) == (429, b"slow down", "7")
    assert acted == []


def test_what_hangs_is_held_until_it_is_let_go_and_does_not_act(proxy: Proxy, acted: list[str]) -> None:
    hang = Hang()
    proxy.behaviour = hang
    with pytest.raises(requests.ReadTimeout):
        requests.get(proxy.address + "/a", timeout=0.2)
    assert hang.held == 1
    hang.release()
    proxy.behaviour = lambda _: Fate.PASS
    assert ask(proxy).content == BODY
    assert acted == ["/a"]


def test_cut_connections_end_a_request_that_waits_and_new_ones_are_taken(proxy: Proxy) -> None:
    hang = Hang()
    proxy.behaviour = hang
    failures: list[Exception] = []

    def client() -> None:
        try:
            ask(proxy)
        except requests.ConnectionError as error:
            failures.append(error)

    asking = threading.Thread(target=client)
    asking.start()
    wait_for("the request hangs", lambda: hang.held == 1, 60)
    proxy.cut_connections()
    asking.join(60)
    assert len(failures) == 1
    hang.release()
    proxy.behaviour = lambda _: Fate.PASS
    assert ask(proxy).content == BODY
