"""New values: random, of the classes that were asked for, and put into a URI without changing anything else."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airwarden.api.rotation import Characters
from airwarden.domain.rotation.values import NoPassword, credentials_of, generate, with_credentials, with_password

classes = st.lists(st.sampled_from(Characters), unique=True, max_size=4)
TESTS = {
    Characters.LOWER: str.islower,
    Characters.UPPER: str.isupper,
    Characters.DIGIT: str.isdigit,
    Characters.SYMBOL: lambda each: not each.isalnum(),
}


@given(st.integers(16, 64), classes)
def test_a_value_has_its_length_and_some_of_each_class_and_of_no_other(length: int, chosen: list[Characters]) -> None:
    value = generate(length, chosen)
    wanted = chosen or [Characters.LOWER, Characters.UPPER, Characters.DIGIT]
    assert len(value) == length
    for each in Characters:
        assert any(map(TESTS[each], value)) is (each in wanted)


def test_values_do_not_repeat() -> None:
    assert len({generate(None, ()) for _ in range(1000)}) == 1000


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1))
def test_only_the_password_of_a_uri_changes(password: str) -> None:
    uri = "postgresql://app%40corp:old%2Fone@db.example:5432/main?sslmode=require#x"
    changed = with_password(uri, password)
    before, after = urlsplit(uri), urlsplit(changed)
    assert unquote(after.password or "") == password
    assert (after.scheme, after.username, after.hostname, after.port, after.path, after.query, after.fragment) == (
        before.scheme, before.username, before.hostname, before.port, before.path, before.query, before.fragment
    )  # fmt: skip


def test_a_user_without_a_password_gets_one() -> None:
    assert with_password("mysql://app@db:3306/x", "new") == "mysql://app:new@db:3306/x"
    assert with_password("mysql://app:old@db?#", "new") == "mysql://app:new@db?#"
    assert with_password("mysql://app@[::1]:3306/x", "new") == "mysql://app:new@[::1]:3306/x"


@pytest.mark.parametrize(
    "text", ["", "plain", "https://db.example/x", "postgresql://:only@db/x", "http://[bad", "{}", "my\nsql://a:b@c"]
)
def test_what_is_no_uri_with_a_user_is_refused_without_being_repeated(text: str) -> None:
    with pytest.raises(NoPassword) as caught:
        with_password(text, "n3w")
    assert "n3w" not in str(caught.value)
    assert caught.value.__cause__ is None


@given(user=st.text(st.characters(codec="utf-8", exclude_categories=["C"]), min_size=1), password=st.text(min_size=1))
def test_what_is_put_into_a_uri_is_read_out_of_it_again(user: str, password: str) -> None:
    changed = with_credentials("postgres://a:b@db:5432/main?x=1", user, password)
    assert credentials_of(changed) == (user, password)
    assert changed.endswith("@db:5432/main?x=1")


def test_a_uri_without_a_password_has_an_empty_one() -> None:
    assert credentials_of("mysql://app@db/x") == ("app", "")
