"""A list that many share: how old it may be, who asks, and what was written or tried since."""

from __future__ import annotations

import asyncio

from airwarden.providers.azure.shared_list import DOUBT, LAG, SharedList


class Azure:
    """A list in Azure, which counts how often it was asked for, and a clock."""

    def __init__(self, **shown: str) -> None:
        self.shown, self.asked, self.now = dict(shown), 0, 1000.0
        self.slow: asyncio.Event | None = None

    async def fetch(self) -> dict[str, str]:
        self.asked += 1
        found = dict(self.shown)
        if self.slow is not None:
            await self.slow.wait()
        return found

    def clock(self) -> float:
        return self.now


def shared(azure: Azure) -> SharedList[str]:
    return SharedList(azure.fetch, azure.clock)


async def test_a_list_serves_as_long_as_it_is_young_enough_for_who_asks() -> None:
    azure = Azure(a="1")
    known = shared(azure)
    assert await known.items(60.0) == {"a": "1"}
    azure.shown["b"], azure.now = "2", azure.now + 60.0
    assert await known.items(60.0) == {"a": "1"}
    assert azure.asked == 1
    assert await known.items(59.0) == {"a": "1", "b": "2"}
    assert azure.asked == 2


async def test_who_asks_at_once_shares_one_answer() -> None:
    azure = Azure(a="1")
    azure.slow, known = asyncio.Event(), shared(azure)
    asking = [asyncio.create_task(known.items(60.0)) for _ in range(5)]
    await asyncio.sleep(0)
    azure.slow.set()
    assert await asyncio.gather(*asking) == [{"a": "1"}] * 5
    assert azure.asked == 1


async def test_the_age_of_a_list_counts_from_when_it_was_asked_for() -> None:
    azure = Azure(a="1")
    azure.slow, known = asyncio.Event(), shared(azure)
    asking = asyncio.create_task(known.items(60.0))
    for _ in range(3):
        await asyncio.sleep(0)
    assert azure.asked == 1
    azure.now += 50.0
    azure.slow.set()
    await asking
    azure.now += 11.0
    await known.items(60.0)
    assert azure.asked == 2


async def test_what_was_written_stands_in_for_a_list_that_lags() -> None:
    azure = Azure(a="1", b="2")
    known = shared(azure)
    await known.items(60.0)
    known.note("a", "new")
    known.note("b", None)
    azure.now += LAG - 1.0
    assert await known.items(1.0) == {"a": "new"}
    azure.now += 2.0
    assert await known.items(1.0) == {"a": "1", "b": "2"}, "Azure shows what is so by then"


async def test_what_was_written_after_a_list_was_asked_for_counts_as_long_as_that_list_does() -> None:
    azure = Azure(a="1")
    known = shared(azure)
    await known.items(600.0)
    known.note("c", "3")
    azure.now += LAG + 100.0
    assert await known.items(600.0) == {"a": "1", "c": "3"}


async def test_what_was_tried_is_in_doubt_for_a_while_and_until_it_is_settled() -> None:
    azure = Azure()
    known = shared(azure)
    assert not known.doubts("a")
    known.trying("a")
    assert known.doubts("a", LAG)
    azure.now += LAG
    assert known.doubts("a")
    assert not known.doubts("a", LAG)
    azure.now += DOUBT - LAG
    assert not known.doubts("a")
    known.trying("a")
    known.settled("a")
    assert not known.doubts("a")


async def test_a_young_process_does_not_know_what_the_one_before_it_wrote() -> None:
    azure = Azure()
    known = shared(azure)
    assert known.is_young
    azure.now += DOUBT
    assert not known.is_young
