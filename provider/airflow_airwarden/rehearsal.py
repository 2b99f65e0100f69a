"""Does with what was found what Airflow does with it before the task gets it, so that what fails is a denial here.

Airflow writes a connection down as a URI and masks its parts, and takes a variable apart that is wanted as JSON, within
its search itself: an error there it takes for "ask the next source", and the task would get something else. Called by
`backend.py` once for each answer of a store, since the second time would end as the first did.
"""

from __future__ import annotations

import asyncio
from typing import Any

from airflow_airwarden.connections import json_texts
from airflow_airwarden.errors import LookupRefused, Reason
from airflow_airwarden.masking import amask, mask
from airflow_airwarden.sessions import Found


def rehearse(made: Any, found: Found) -> None:
    """Write the connection down and mask it; LookupRefused if Airflow could not."""
    if type(made) in found.reading.rehearsed:
        return
    try:
        made.get_uri()
    except Exception as error:  # noqa: BLE001 - Airflow would go on after any
        refusal = _refusal(found, error)
    else:
        mask(_parts(made))
        found.reading.rehearsed.add(type(made))
        return
    raise refusal


async def arehearse(made: Any, found: Found) -> None:
    """Do the same in an event loop, where Airflow uses other methods."""
    if type(made) in found.reading.rehearsed:
        return
    try:
        await (made.aget_uri() if hasattr(made, "aget_uri") else asyncio.to_thread(made.get_uri))
    except Exception as error:  # noqa: BLE001 - Airflow would go on after any
        refusal = _refusal(found, error)
    else:
        await amask(_parts(made))
        found.reading.rehearsed.add(type(made))
        return
    raise refusal


def rehearse_json(text: str, found: Found) -> None:
    """Read a variable as JSON and mask it, as Airflow would; LookupRefused if it could not."""
    if dict in found.reading.rehearsed:
        return
    secret = found.secret
    texts = json_texts(text)
    if texts is None:
        raise LookupRefused(
            Reason.PAYLOAD_INVALID,
            f"the task asks for JSON, and what lies at {secret.place} of store {secret.store} is none, or too deep",
            f"Ask without deserialize_json, or correct what the store holds for {secret.type} {secret.id}",
        )
    mask(texts)
    found.reading.rehearsed.add(dict)


def _parts(made: Any) -> list[str]:
    return [text for text in (made.password, made.extra) if text]


def _refusal(found: Found, error: Exception) -> LookupRefused:
    """Name the error alone: its words hold what could not be written."""
    secret = found.secret
    return LookupRefused(
        Reason.PAYLOAD_INVALID,
        f"Airflow cannot write what lies at {secret.place} of store {secret.store} as a URI ({type(error).__name__})",
        f"Correct what the store holds for {secret.type} {secret.id}",
    )
