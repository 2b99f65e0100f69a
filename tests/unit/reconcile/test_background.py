"""Work that goes on as long as the operator is not missed by nobody when it ends."""

from __future__ import annotations

import asyncio

import pytest

from airwarden.reconcile.background import Background, BackgroundEnded


async def forever() -> None:
    await asyncio.Event().wait()


async def breaks() -> None:
    raise KeyError("a bug")


async def returns() -> None:
    return


async def test_while_all_go_on_and_when_they_are_cancelled_nothing_is_said() -> None:
    ended = asyncio.Event()
    background = Background(ended)
    background.start("one", forever())
    await asyncio.sleep(0)
    background.cancel()
    await asyncio.sleep(0)
    assert not ended.is_set()
    background.check()


async def test_one_that_breaks_ends_the_operator_with_its_cause() -> None:
    ended = asyncio.Event()
    background = Background(ended)
    background.start("goes on", forever())
    background.start("breaks", breaks())
    await asyncio.wait_for(ended.wait(), 60)
    background.cancel()
    with pytest.raises(BackgroundEnded, match="breaks ended by itself") as raised:
        background.check()
    assert isinstance(raised.value.__cause__, KeyError)


async def test_one_that_returns_ends_the_operator_too() -> None:
    ended = asyncio.Event()
    background = Background(ended)
    background.start("returns", returns())
    await asyncio.wait_for(ended.wait(), 60)
    with pytest.raises(BackgroundEnded, match="returns ended by itself"):
        background.check()
