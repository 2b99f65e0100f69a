"""What the answer to Vault's health means: also when it is not Vault's own."""

from __future__ import annotations

import json

import pytest

from airwarden.domain.errors import AirwardenError, Sealed, StoreFailed, Throttled
from airwarden.providers.vault.answers import RawAnswer
from airwarden.providers.vault.health import read_health

OWN = {"initialized": True, "sealed": False, "version": "1.21.1", "cluster_id": "abc"}


@pytest.mark.parametrize("status", [200, 429, 473])
def test_a_node_that_serves_requests_is_known_by_its_version(status: int) -> None:
    assert read_health(RawAnswer(status, json.dumps(OWN).encode()), "http://vault")[:2] == ("1.21.1", "abc")


@pytest.mark.parametrize(
    ("raw", "error"),
    [
        (RawAnswer(503, json.dumps({**OWN, "sealed": True}).encode()), Sealed),
        (RawAnswer(429, b'{"errors":["slow down"]}', "7"), Throttled),
        (RawAnswer(429, b"slow down", "7"), Throttled),
        (RawAnswer(503, b'{"errors":["upstream is away"]}'), StoreFailed),
        (RawAnswer(503, b"<html>upstream is away</html>"), StoreFailed),
        (RawAnswer(200, b'{"status":"ok"}'), StoreFailed),
    ],
)
def test_what_is_no_health_of_a_vault_is_told_by_its_status(raw: RawAnswer, error: type[AirwardenError]) -> None:
    with pytest.raises(error) as raised:
        read_health(raw, "http://vault")
    assert raised.value.retry_after == (7.0 if error is Throttled else None)
