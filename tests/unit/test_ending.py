"""What asyncio says when kopf's watches are closed with the loop is no fault, and everything else still is one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from airwarden.operator_process import tell_loop_fault


async def stubborn() -> AsyncIterator[int]:
    try:
        yield 1
    finally:
        raise RuntimeError("generator didn't stop after athrow()")


def ended(caplog: pytest.LogCaptureFixture, *, handled: bool, fault: bool = False) -> list[str]:
    """Run a loop that ends while a generator stands open; return what asyncio logged."""
    held = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        if handled:
            loop.set_exception_handler(tell_loop_fault)
        generator = stubborn()
        held.append(generator)
        await anext(generator)
        if fault:
            loop.call_exception_handler({"message": "a callback failed", "exception": ValueError("a bug")})

    with caplog.at_level("ERROR", logger="asyncio"):
        asyncio.run(main())
    return [each.getMessage() for each in caplog.records if each.name == "asyncio"]


def test_without_the_handler_asyncio_would_print_a_traceback(caplog: pytest.LogCaptureFixture) -> None:
    assert "closing of asynchronous generator" in "".join(ended(caplog, handled=False))


def test_a_watch_that_is_closed_with_the_loop_is_not_an_error(caplog: pytest.LogCaptureFixture) -> None:
    assert ended(caplog, handled=True) == []


def test_any_other_fault_of_the_loop_is_told_as_ever(caplog: pytest.LogCaptureFixture) -> None:
    assert ended(caplog, handled=True, fault=True) == ["a callback failed"]
