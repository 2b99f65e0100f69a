"""What Airflow exports becomes what the store shall hold, or is left out with a reason that holds no value."""

from __future__ import annotations

import json
import traceback
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_airwarden.binding_map import Key, Secret
from airflow_airwarden.binding_map import SecretType as Read
from airflow_airwarden.connections import connection_payload, text_payload
from airwarden.api.binding import SecretType
from airwarden.commands.importing.items import TO_BE_FILLED, Unfit, connection, item, variable

CANARY = "canary-4711"


def reason(value: Any) -> str:
    with pytest.raises(Unfit) as unfit:
        connection(value)
    assert CANARY not in "".join(traceback.format_exception(unfit.value))
    return str(unfit.value)


def test_parts_are_taken_as_texts_and_empty_ones_left_out() -> None:
    exported = {"conn_type": "postgres", "host": "db", "port": 5432, "password": CANARY, "login": None, "extra": ""}
    assert connection(exported) == {"conn_type": "postgres", "host": "db", "port": "5432", "password": CANARY}


def test_a_uri_and_json_are_taken_as_airflow_takes_them() -> None:
    uri = f"postgres://svc:{CANARY}@db:5432/app?x=1"
    assert connection(uri) == {"conn_uri": uri}
    assert connection(json.dumps({"conn_type": "http", "host": "h"})) == {"conn_type": "http", "host": "h"}


def test_extra_may_be_an_object_or_its_text() -> None:
    assert connection({"extra": {"a": CANARY}}) == connection({"extra_dejson": {"a": CANARY}})
    assert json.loads(connection({"extra": '{"a": 1}'})["extra"]) == {"a": 1}


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (5, "neither a URI nor an object"),
        (CANARY, "neither a URI such as"),
        (f"http://h:{CANARY}/", "host or port cannot be read"),
        (f"http://[{CANARY}", "host or port cannot be read"),
        ("http://h:0/", "host or port cannot be read"),
        ('{"password": "' + CANARY, "no whole JSON object"),
        ({"pass": CANARY}, "pass is no part of a connection; these are: conn_type"),
        ({"a\n\x1b[2J": CANARY}, "a??[2J is no part"),
        ({"password": 12345}, "password is no text: put it between quotes"),
        ({"port": CANARY}, "port is no number from 1 to 65535"),
        ({"port": True}, "port is no number"),
        ({"port": 65536}, "port is no number"),
        ({"extra": CANARY}, "extra is neither an object"),
        ({"extra": [CANARY]}, "extra is neither an object"),
        ({"conn_type": None}, "none of its parts has a value"),
        ({}, "none of its parts has a value"),
    ],
)
def test_a_malformed_connection_is_told_by_its_part(value: Any, said: str) -> None:
    assert said in reason(value)


def test_a_variable_is_its_text_and_what_is_no_text_is_as_airflow_writes_it() -> None:
    assert variable("v") == {"value": "v"}
    assert variable({"a": [1]}) == {"value": '{\n  "a": [\n    1\n  ]\n}'}
    assert variable(5) == {"value": "5"}
    assert variable({"value": "v", "description": "d"}) == {"value": "v"}
    assert json.loads(variable({"value": {"value": 1}, "description": None})["value"]) == {"value": 1}
    with pytest.raises(Unfit, match="its value is empty"):
        variable("")


@pytest.mark.parametrize(
    ("value", "hidden"),
    [
        ({"password": "***"}, ["password"]),
        ({"host": "a***b", "password": "p"}, ["host"]),
        ({"extra": '{"token": "***", "region": "r"}'}, ["extra"]),
        ({"extra": {"deep": [{"key": "***"}]}}, ["extra"]),
        ("postgres://u:***@h", ["conn_uri"]),
        ("postgres://u:%2A%2A%2A@h", ["conn_uri"]),
        ({"password": "p"}, []),
    ],
)
def test_what_airflow_hides_must_be_filled_in(value: Any, hidden: list[str]) -> None:
    made = item(SecretType.CONNECTION, "x", "somewhere", value)
    assert list(made.to_be_filled) == hidden
    assert "***" not in str(dict(made.payload))


def test_what_is_not_hidden_of_extra_is_kept() -> None:
    kept = json.loads(connection({"extra": '{"token": "***", "region": "r"}'})["extra"])
    assert kept == {"token": TO_BE_FILLED, "region": "r"}


def test_a_hidden_variable_must_be_filled_in() -> None:
    assert variable("***") == {"value": TO_BE_FILLED}
    assert json.loads(variable('{"api_key": "***", "x": 1}')["value"]) == {"api_key": TO_BE_FILLED, "x": 1}


def test_no_value_is_in_a_representation() -> None:
    assert CANARY not in repr(item(SecretType.CONNECTION, "x", "o", {"password": CANARY}))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda each: st.lists(each) | st.dictionaries(st.text(), each),
)
SOME_PARTS = st.dictionaries(st.sampled_from(["conn_type", "host", "port", "extra", "password", "x"]), JSON)


@given(JSON | SOME_PARTS)
def test_whatever_is_taken_the_provider_reads(value: Any) -> None:
    """The import refuses at least what the reader of tasks would refuse."""
    secret = Secret(Read.CONNECTION, "x", "vault", Key("a"))
    made = item(SecretType.CONNECTION, "x", "o", value)
    if not made.wrong:
        connection_payload(secret, made.payload)
    made = item(SecretType.VARIABLE, "x", "o", value)
    if not made.wrong:
        assert text_payload(Secret(Read.VARIABLE, "x", "vault", Key("a")), made.payload)
