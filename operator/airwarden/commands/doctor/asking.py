"""Asks a store for one thing, with the caller's own login, and keeps why there was no answer.

Called by `stores` and `key_vaults` beside this module.
"""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from airwarden.commands.doctor.facts import Unknown
from airwarden.domain.errors import AirwardenError, Forbidden

T = TypeVar("T")


async def known(
    work: Callable[[], Awaitable[T]], needs: str, given_by: str, *, ends: tuple[type[AirwardenError], ...] = ()
) -> T | Unknown:
    """Return what the work returns, or why that is not known: for a refusal what it ``needs``, and what gives that.

    Raises:
        AirwardenError: one of ``ends``, which say that there is nothing more to ask.

    """
    try:
        return await work()
    except ends:
        raise
    except Forbidden:
        return Unknown(f"needs {needs}: {given_by} do not give it")
    except AirwardenError as error:
        return Unknown(error.message)
