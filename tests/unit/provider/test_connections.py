"""What a store holds becomes a connection or a text, or an error with id and field and never a value."""

from __future__ import annotations

import json
import secrets
import traceback
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_airwarden.binding_map import Secret
from airflow_airwarden.connections import Payload, connection_payload, masked, text_payload
from airflow_airwarden.errors import LookupRefused, Reason
from unit.provider.making import dynamic, static

CANARY = f"canary{secrets.token_hex(8)}"
FIELDS = {"conn_type": "postgres", "host": "db", "login": "svc", "password": CANARY, "schema": "app"}


def refusal(secret: Secret, values: Mapping[str, object]) -> str:
    with pytest.raises(LookupRefused) as refused:
        connection_payload(secret, values)
    assert refused.value.reason is Reason.PAYLOAD_INVALID
    assert CANARY not in "".join(traceback.format_exception(refused.value))
    return str(refused.value)


def nested(levels: int) -> dict[str, object]:
    found: dict[str, object] = {}
    for _ in range(levels - 1):
        found = {"k": found}
    return found


def test_fields_become_parts() -> None:
    found = connection_payload(static(), {**FIELDS, "port": "5432", "extra": {"sslmode": "require"}})
    assert found.parts == {**FIELDS, "port": 5432, "extra": '{"sslmode": "require"}'}


def test_absent_and_empty_fields_are_left_out() -> None:
    assert connection_payload(static(), {"host": "db", "login": None, "port": "", "extra": ""}).parts == {"host": "db"}


def test_a_uri_wins_over_fields() -> None:
    uri = f"postgres://svc:{CANARY}@db:5432/app"
    assert connection_payload(static(), {"conn_uri": uri, "host": "other"}) == Payload(uri=uri)


@pytest.mark.parametrize("extra", ["", "a=b", "__extra__=", '__extra__={"a": {"b": "ü"}}'])
def test_a_uri_may_hold_extra(extra: str) -> None:
    uri = f"http://h/?{extra}"
    assert connection_payload(static(), {"conn_uri": uri}) == Payload(uri=uri)


def test_extra_may_be_nested_within_bounds() -> None:
    assert connection_payload(static(), {"extra": nested(32)}).parts == {"extra": json.dumps(nested(32))}


def test_a_uri_field_may_hold_json() -> None:
    assert connection_payload(static(), {"conn_uri": json.dumps(FIELDS)}).parts == FIELDS


def test_a_named_field_holds_the_whole_connection() -> None:
    secret = static(secret_field="warehouse")
    assert connection_payload(secret, {"warehouse": "http://h", "conn_uri": "x"}) == Payload(uri="http://h")


def test_what_is_not_secret_comes_from_the_map_and_the_store_wins() -> None:
    secret = static(connection=(("host", "map"), ("port", 5432)))
    assert connection_payload(secret, {"host": "store", "password": "p"}).parts == {
        "host": "store",
        "port": 5432,
        "password": "p",
    }


def test_renamed_fields_of_the_store_are_taken() -> None:
    secret = static(connection_fields=(("login", "user"), ("password", "pass")))
    assert connection_payload(secret, {"user": "u", "pass": "p"}).parts == {"login": "u", "password": "p"}


def test_made_credentials_become_login_and_password() -> None:
    secret = dynamic(connection=(("conn_type", "postgres"), ("host", "db")))
    found = connection_payload(secret, {"username": "v-1", "password": "p", "more": {"not": "taken"}})
    assert found.parts == {"conn_type": "postgres", "host": "db", "login": "v-1", "password": "p"}


def test_another_engines_credentials_go_where_the_map_says() -> None:
    secret = dynamic(connection_fields=(("login", "access_key"), ("password", "secret_key")))
    found = connection_payload(secret, {"access_key": "a", "secret_key": "s", "security_token": None})
    assert found.parts == {"login": "a", "password": "s"}
    assert "field access_key at database/creds/r" in refusal(secret, {"secret_key": CANARY})


def test_an_engine_that_makes_no_credentials_is_said() -> None:
    assert "field username at database/creds/r of store vault is not among" in refusal(dynamic(), {"cert": CANARY})


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"username": CANARY}, "field username at a/b of store vault is no part of a connection; these are: conn_type"),
        ({"port": CANARY}, "field port at a/b of store vault is no port number"),
        ({"port": 0}, "field port"),
        ({"port": "65536"}, "field port"),
        ({"port": True}, "field port"),
        ({"port": [CANARY]}, "field port"),
        ({"port": "٣"}, "field port"),
        ({"password": 5}, "field password at a/b of store vault is no text"),
        ({"password": {"x": CANARY}}, "field password"),
        ({"extra": CANARY}, "field extra at a/b of store vault is neither a JSON object nor its text"),
        ({"extra": [CANARY]}, "field extra"),
        ({"conn_uri": CANARY}, "field conn_uri at a/b of store vault is neither a URI"),
        ({"conn_uri": f"http://h:{CANARY}/"}, "field conn_uri at a/b of store vault is no URI"),
        ({"conn_uri": f"http://[{CANARY}/"}, "field conn_uri at a/b of store vault is no URI"),
        ({"conn_uri": "http://h:0/"}, "field conn_uri at a/b of store vault has port 0"),
        ({"conn_uri": '{"password": "' + CANARY}, "field conn_uri at a/b of store vault is no whole JSON object"),
        ({"conn_uri": '{"pass": "' + CANARY + '"}'}, "field pass at a/b of store vault is no part of a connection"),
        ({"conn_uri": 5}, "field conn_uri at a/b of store vault is empty or no text"),
        ({"password": f"{CANARY}\ud800"}, "field password at a/b of store vault holds characters that cannot be"),
        ({"extra": {"k": [f"{CANARY}\ud800"]}}, "field extra at a/b of store vault is nested beyond 32 levels, or"),
        ({"extra": {f"{CANARY}\ud800": 1}}, "field extra at a/b of store vault is nested beyond 32 levels, or cannot"),
        ({"extra": json.dumps({"k": f"{CANARY}\ud800"})}, "field extra at a/b of store vault is nested beyond"),
        ({"extra": nested(33)}, "field extra at a/b of store vault is nested beyond"),
        ({"extra": {"k": 10**5000}}, "field extra at a/b of store vault is nested beyond"),
        ({"conn_uri": f"http://:{CANARY}\ud800@h"}, "field conn_uri at a/b of store vault holds characters"),
        ({"conn_uri": f"http://:{CANARY}@h/?__extra__=[1]"}, "field conn_uri, __extra__ at a/b of store vault is nei"),
        ({"conn_uri": f"http://:{CANARY}@h/?__extra__={'[' * 3000}"}, "field conn_uri, __extra__ at a/b of store"),
        ({"conn_uri": f"http://h/?__extra__={json.dumps(nested(33))}"}, "field conn_uri, __extra__ at a/b of store"),
    ],
)
def test_a_malformed_connection_is_told_by_id_and_field(values: Mapping[str, object], said: str) -> None:
    words = refusal(static(), values)
    assert said in words
    assert words.endswith("Correct what the store holds for Connection warehouse")


@given(
    st.dictionaries(
        st.sampled_from(["conn_uri", "port", "extra", "host", "password", "x"]),
        st.none()
        | st.booleans()
        | st.integers()
        | st.text()
        | st.lists(st.text())
        | st.dictionaries(st.text(), st.text()),
    )
)
def test_whatever_the_store_holds_is_a_connection_or_a_refusal(values: Mapping[str, object]) -> None:
    for secret in (static(), dynamic(), static(secret_field="x")):
        reason = Reason.PAYLOAD_INVALID
        try:
            masked(connection_payload(secret, values), values)
        except LookupRefused as refused:
            reason = refused.reason
        assert reason is Reason.PAYLOAD_INVALID


def test_a_variable_is_one_field() -> None:
    assert text_payload(static("Variable"), {"value": "v", "other": "o"}) == "v"
    assert text_payload(static("Variable", secret_field="other"), {"value": "v", "other": "o"}) == "o"


def test_a_variable_of_an_engine_is_all_that_it_made() -> None:
    made = {"certificate": "c", "private_key": "k"}
    assert json.loads(text_payload(dynamic("Variable"), made)) == made
    assert text_payload(dynamic("Variable", secret_field="private_key"), made) == "k"


@pytest.mark.parametrize(
    ("values", "said"),
    [({}, "is missing"), ({"value": ""}, "is empty or no text"), ({"value": 5}, "is empty or no text")],
)
def test_a_malformed_variable_is_told_by_id_and_field(values: Mapping[str, object], said: str) -> None:
    with pytest.raises(LookupRefused, match=f"field value at a/b of store vault {said}"):
        text_payload(static("Variable"), values)


def test_all_that_is_secret_is_masked() -> None:
    extra = {"token": "t-one", "nested": [{"key": "t-two"}]}
    parts = connection_payload(static(), {**FIELDS, "extra": extra})
    assert {CANARY, "t-one", "t-two", json.dumps(extra)} <= set(masked(parts, {}))
    uri = Payload(uri="postgres://svc:p%40ss@db")
    assert set(masked(uri, {})) == {"postgres://svc:p%40ss@db", "p@ss"}
    assert masked("text", {}) == ["text"]


def test_no_value_is_in_a_representation() -> None:
    found = connection_payload(static(), FIELDS)
    assert CANARY not in repr(found)
    assert CANARY not in repr(connection_payload(static(), {"conn_uri": f"http://:{CANARY}@h"}))
