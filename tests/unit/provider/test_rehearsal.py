"""What Airflow does with a connection that it is given is done before it is given, once for each answer of a store."""

from __future__ import annotations

import asyncio
import traceback
from dataclasses import dataclass, field

import pytest

from airflow_airwarden.errors import LookupRefused, Reason
from airflow_airwarden.ports import Reading
from airflow_airwarden.rehearsal import arehearse, rehearse, rehearse_json
from airflow_airwarden.sessions import Found
from unit.provider.making import static

CANARY = "canary-4711"


@dataclass
class Written:
    """A connection that counts how often it is written down."""

    password: str = CANARY
    extra: str = ""
    fails: bool = False
    written: list[str] = field(default_factory=list)

    def get_uri(self) -> str:
        self.written.append("get_uri")
        if self.fails:
            raise UnicodeError(CANARY)
        return ""


class AlsoWritten(Written):
    """One with the method that Airflow uses in event loops."""

    async def aget_uri(self) -> str:
        self.written.append("aget_uri")
        return ""


def found() -> Found:
    return Found(static(), Reading({"password": CANARY}))


def in_a_loop(made: Written, what: Found) -> None:
    asyncio.run(arehearse(made, what))


@pytest.mark.parametrize("rehearsal", [rehearse, in_a_loop], ids=["at once", "in a loop"])
def test_what_airflow_cannot_write_down_is_refused_each_time_without_its_value(rehearsal: object) -> None:
    what, made = found(), Written(fails=True)
    assert callable(rehearsal)
    for _ in range(2):
        with pytest.raises(LookupRefused, match=r"at a/b of store vault as a URI \(UnicodeError\)") as refused:
            rehearsal(made, what)
        assert refused.value.reason is Reason.PAYLOAD_INVALID
        assert CANARY not in "".join(traceback.format_exception(refused.value))
    assert made.written == ["get_uri"] * 2


def test_an_answer_is_written_down_once_in_each_class_of_airflow() -> None:
    what, made, other = found(), Written(), AlsoWritten()
    for _ in range(2):
        rehearse(made, what)
        in_a_loop(other, what)
    rehearse(made, found())
    assert (made.written, other.written) == (["get_uri"] * 2, ["aget_uri"])


@pytest.mark.parametrize("text", [CANARY, f'{{"a": "{CANARY}"', "[" * 33 + "]" * 33 + " ", "[" * 100_000, "1" * 5000])
def test_what_airflow_cannot_read_as_json_is_refused_without_its_value(text: str) -> None:
    with pytest.raises(LookupRefused, match="the task asks for JSON, and what lies at a/b of store vault is none"):
        rehearse_json(text, found())


@pytest.mark.parametrize("text", ['"a"', "5", "null", '{"a": [1, "b", {"c": "\\ud800"}]}', "[" * 32 + "]" * 32])
def test_what_airflow_can_read_as_json_is_given(text: str) -> None:
    what = found()
    rehearse_json(text, what)
    assert what.reading.rehearsed == {dict}
