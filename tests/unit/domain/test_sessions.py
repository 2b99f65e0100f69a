"""What a store can hold a login to decides whether a rule that requires a limit is kept: refused, never hoped for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from airwarden.api.reasons import Reason
from airwarden.domain.guardrails import Admitted, Refused, judge
from airwarden.domain.sessions import PER_BINDING, SessionRange, fixed
from unit.domain.making import NAMESPACE, item, request, rule, view


@pytest.mark.parametrize(
    ("sessions", "permitted", "asked", "admitted"),
    [
        (PER_BINDING, "1h", None, True),
        (PER_BINDING, "1h", "1s", True),
        (fixed(480), "1h", None, True),
        (fixed(480), "8m", None, True),
        (fixed(480), "7m", None, False),
        (fixed(480), "1h", "5m", False),
        (fixed(480), "1h", "10m", True),
        (SessionRange(3600, 43200), "30m", None, False),
        (SessionRange(3600, 43200), "2h", "1h", True),
        (None, "1h", None, False),
    ],
)
def test_a_rule_that_requires_a_limit_admits_only_where_the_store_keeps_to_it(
    sessions: SessionRange | None, permitted: str, asked: str | None, admitted: bool
) -> None:
    given = {"ttl": asked, "maxTTL": asked} if asked else {}
    required = rule(session={"maxTTL": permitted, "required": True})
    found = judge(item(), request(NAMESPACE, None, **given), replace(view(required), sessions=sessions))
    assert isinstance(found, Admitted) is admitted
    if isinstance(found, Refused):
        assert found.reason is Reason.SESSION_NOT_ALLOWED
        assert "requires it" in found.message
    relaxed = rule(session={"maxTTL": permitted, "required": False})
    assert isinstance(
        judge(item(), request(NAMESPACE, None, **given), replace(view(relaxed), sessions=sessions)), Admitted
    )
