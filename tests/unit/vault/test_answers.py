"""Answers of Vault: each status and wording is exactly one typed error, and no message holds a secret."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airwarden.domain import errors
from airwarden.providers.vault.answers import Answer, Asked, DeadToken, RawAnswer, clean, interpret

ASKED = Asked("GET sys/policies/acl/x", "http://vault:8200")
LOGIN = Asked("POST auth/kubernetes/login", "http://vault:8200", login=True)


def vault(status: int, *words: str, **more: str) -> RawAnswer:
    return RawAnswer(status, json.dumps({"errors": list(words)}).encode(), **more)


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        (vault(400, "bad"), errors.Rejected),
        (vault(400, "check-and-set parameter did not match the current version"), errors.VersionMoved),
        (vault(404, "check-and-set parameter did not match the current version"), errors.Rejected),
        (vault(403, "1 error occurred:\n\t* permission denied\n\n"), errors.Forbidden),
        (vault(403, "permission denied"), errors.Forbidden),
        (vault(403, "2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n"), DeadToken),
        (vault(404, 'no handler for route "auth/x/role/y". route entry not found.'), errors.MountMissing),
        (vault(404, "1 error occurred:\n\t* unsupported path\n\n"), errors.Rejected),
        (vault(405, "unsupported operation"), errors.Rejected),
        (vault(412, "required index state not present"), errors.StoreFailed),
        (vault(415, "x"), errors.Rejected),
        (vault(429, 'request path "x": rate limit quota exceeded'), errors.Throttled),
        (vault(472), errors.Sealed),
        (vault(473), errors.Sealed),
        (vault(500, "internal error"), errors.StoreFailed),
        (vault(500, "local node not active but active cluster node not found"), errors.Sealed),
        (vault(501, "x"), errors.Sealed),
        (vault(502, "x"), errors.StoreFailed),
        (vault(503, "Vault is sealed"), errors.Sealed),
        (vault(503, "something else"), errors.StoreFailed),
        (RawAnswer(200, b'{"data": {'), errors.StoreFailed),
        (RawAnswer(200, b"[]"), errors.StoreFailed),
        (RawAnswer(200, b"<html>"), errors.StoreFailed),
        (RawAnswer(200, b"[" * 100_000), errors.StoreFailed),
        (RawAnswer(403, b"<html>blocked by policy invalid token</html>"), errors.StoreFailed),
        (RawAnswer(404, b"<html>"), errors.StoreFailed),
        (RawAnswer(404, b'{"data": {"metadata": {"version": 2, "deletion_time": ""}}}'), errors.StoreFailed),
        (RawAnswer(404, b'{"data": {"metadata": {"deletion_time": "2031-01-01T00:00:00Z"}}}'), errors.StoreFailed),
        (RawAnswer(404, b'{"data": null, "warnings": ["Invalid path"]}'), errors.StoreFailed),
        (RawAnswer(400, b"Client sent an HTTP request to an HTTPS server.\n"), errors.StoreFailed),
        (RawAnswer(429, b"slow down"), errors.Throttled),
        (RawAnswer(503, b"<html>no backend"), errors.StoreFailed),
        (RawAnswer(301, b""), errors.Unreachable),
        (RawAnswer(307, b"", location="http://other:8200/v1/x"), errors.Unreachable),
        (RawAnswer(100, b""), errors.StoreFailed),
    ],
)
def test_each_answer_is_one_error(raw: RawAnswer, kind: type[errors.AirwardenError]) -> None:
    with pytest.raises(errors.AirwardenError) as caught:
        interpret(raw, ASKED)
    assert type(caught.value) is kind
    assert str(raw.status) in caught.value.message
    assert ASKED.what in caught.value.message


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        (vault(403, "service account name not authorized"), errors.Unauthorized),
        (vault(403, "permission denied"), errors.Unauthorized),
        (vault(400, 'invalid role name "x"'), errors.Unauthorized),
        (vault(503, "Vault is sealed"), errors.Sealed),
        (vault(404, "no handler for route"), errors.MountMissing),
    ],
)
def test_a_refused_login_is_told_apart(raw: RawAnswer, kind: type[errors.AirwardenError]) -> None:
    with pytest.raises(errors.AirwardenError) as caught:
        interpret(raw, LOGIN)
    assert type(caught.value) is kind


def test_only_vaults_own_word_makes_a_thing_absent() -> None:
    assert interpret(vault(404), ASKED) == Answer(absent=True)
    for body in (b"", b"null", b"{}", b'{"errors": ["x"]}', b"not found"):
        with pytest.raises(errors.AirwardenError):
            interpret(RawAnswer(404, body), ASKED)


def test_an_empty_success_and_warnings() -> None:
    assert interpret(RawAnswer(204, b""), ASKED) == Answer()
    answer = interpret(RawAnswer(200, b'{"data": {"a": 1}, "warnings": ["w hvs.abcdefghijklmnop"]}'), ASKED)
    assert answer.data == {"a": 1}
    assert answer.warnings == ("w [redacted]",)
    assert interpret(RawAnswer(200, b'{"data": null, "warnings": null}'), ASKED).data == {}


def test_a_redirect_names_the_host_and_nothing_else() -> None:
    location = "https://user:secret@active.example:8201/v1/secret-path?token=hvs.zzz"
    with pytest.raises(errors.Unreachable) as caught:
        interpret(RawAnswer(307, b"", location=location), ASKED)
    assert "active.example:8201" in caught.value.message
    assert "secret" not in caught.value.message


@pytest.mark.parametrize(("text", "seconds"), [("7", 7.0), ("0.5", 0.5), ("999999", 300.0), ("", None), ("Wed", None)])
def test_the_wait_that_vault_asks_for(text: str, seconds: float | None) -> None:
    with pytest.raises(errors.Throttled) as caught:
        interpret(vault(429, "quota", retry_after=text), ASKED)
    assert caught.value.retry_after == seconds


TOKENS = [
    "hvs.CAESIJlU1-abc_DEF0123456789",
    "hvb.AAAAAQJz0zBvWUNOIKTkDhY",
    "hvr.AAAAAQJz0zBvWUNOIKTkDhY",
    "s.iyNUhq8Ov4hIAx6snw5mB2nL",
    "hvs.CAESIJlU1abcdefgh.ns1",
    "eyJhbGciOiJSUzI1NiJ9.eyJhdWQiOlsidmF1bHQiXX0.c2lnbmF0dXJl",
]


@pytest.mark.parametrize("token", TOKENS)
def test_what_looks_like_a_token_is_cut_out_of_vaults_words(token: str) -> None:
    for text in (token, f"bad token {token}!", f'{{"t":"{token}"}}', f"x={token}\n{token}"):
        with pytest.raises(errors.Rejected) as caught:
            interpret(vault(400, text), ASKED)
        assert token not in str(caught.value)
        assert token[6:20] not in repr(caught.value)


@given(st.text(min_size=6, max_size=20), st.text(max_size=30), st.text(max_size=30))
def test_the_tokens_of_the_request_are_cut_out_whatever_they_look_like(token: str, before: str, after: str) -> None:
    if token not in "[redacted]" and token not in before and token not in after:
        assert token not in clean(f"{before}{token}{after}".replace(token, "\0")).replace("\0", "")
        assert token not in clean(f"{before} {token} {after}", (token,)) or token in f"{before} [redacted] {after}"


@given(st.text(max_size=2000))
def test_a_message_is_one_short_printable_line(text: str) -> None:
    shown = clean(text)
    assert len(shown) <= 300
    assert shown.isprintable()


@pytest.mark.parametrize(
    "said",
    [
        "ALTER USER x WITH PASSWORD 'hunter2'",
        "ALTER USER x WITH PASSWORD 'hunter2 and no end",
        "ALTER ROLE x PASSWORD $tag$hunter2$$hunter2$tag$",
        "ALTER USER x PASSWORD   E'it''s hunter2'",
        "ALTER LOGIN x WITH PASSWORD = N'hunter2'",
        "SET PASSWORD FOR x = 'hunter2'",
        "ALTER USER x IDENTIFIED BY hunter2",
        "syntax error at or near 'hunter2'' at line 1",
        "cannot dial host=db password=hunter2 user=x",
        "cannot connect to postgresql://root:hunter2@db.example:5432/main",
    ],
)
@pytest.mark.parametrize("before", [0, 200, 240, 270])
def test_a_password_is_hidden_before_a_message_is_cut(said: str, before: int) -> None:
    # The cut would part it from the quote by which it is known.
    assert "hunter" not in clean(f"{'x' * before} {said} {'y' * 300}")


def test_what_a_database_says_of_users_is_told() -> None:
    said = 'password authentication failed for user "root" (SQLSTATE 28P01)'
    assert clean(said) == said


def test_a_version_that_is_gone_is_absent_and_says_how() -> None:
    for metadata in ({"version": 2, "deletion_time": "2031-01-01T00:00:00Z"}, {"version": 2, "destroyed": True}):
        for data in ({"data": None, "metadata": metadata}, metadata):  # of a read, and of a patch
            found = interpret(RawAnswer(404, json.dumps({"data": data}).encode()), ASKED)
            assert found.absent
            assert found.data == data
