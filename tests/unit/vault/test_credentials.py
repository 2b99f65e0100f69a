"""The files that prove who the operator is: what is wrong with one is said by name, and its content never."""

from __future__ import annotations

import base64
import contextlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airwarden.domain.errors import InvalidSettings
from airwarden.providers.vault.connection import Credentials, ProjectedToken, SecretIDFile, TokenFile
from airwarden.providers.vault.credentials import prove, read_token, read_vault_token

LONGEST = 64 * 1024


def projected(path: Path) -> ProjectedToken:
    return ProjectedToken("kubernetes", "airwarden", "vault", path, "login.kubernetes.audience")


def jwt(claims: object) -> str:
    parts = ({"alg": "RS256"}, claims)
    encoded = [base64.urlsafe_b64encode(json.dumps(each).encode()).decode().rstrip("=") for each in parts]
    return ".".join([*encoded, "c2ln"])


def every_kind(path: Path) -> tuple[Credentials, ...]:
    return projected(path), SecretIDFile("approle", "operator", path), TokenFile(path)


def complaint(credentials: Credentials) -> str:
    with pytest.raises(InvalidSettings) as caught:
        prove(credentials, "store")
    return caught.value.message


@pytest.mark.parametrize("audience", [["vault"], ["other", "vault"], "vault"])
def test_a_token_for_the_audience_is_taken(tmp_path: Path, audience: object) -> None:
    file = tmp_path / "vault"
    file.write_text(jwt({"aud": audience}) + "\n")
    assert read_token(projected(file), "store") == jwt({"aud": audience})


@pytest.mark.parametrize("claims", [{"aud": ["other"]}, {"aud": "vaults"}, {}, {"aud": None}, {"aud": {"vault": 1}}])
def test_a_token_for_another_audience_is_refused_by_file_and_audience(tmp_path: Path, claims: object) -> None:
    file = tmp_path / "vault"
    file.write_text(jwt(claims))
    message = complaint(projected(file))
    assert f"{file} is not for audience 'vault', which backend store asks for" in message
    assert "or login.kubernetes.audience of the backend" in message
    assert jwt(claims).split(".")[1] not in message


def test_a_missing_file_and_a_folder_are_named_with_what_to_do(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path):
        said = [complaint(each) for each in every_kind(path)]
        assert all(f"token file {path} cannot be read (" in each for each in said)
        assert "mount a projected service-account token" in said[0]
        assert "put the secret-id of backend store there" in said[1]
        assert "put a token of Vault for backend store there" in said[2]


@pytest.mark.parametrize("content", ["", "\n", "  \t\n"])
def test_an_empty_file_is_no_login(tmp_path: Path, content: str) -> None:
    file = tmp_path / "empty"
    file.write_text(content)
    assert "holds no service-account token" in complaint(projected(file))
    for each in every_kind(file)[1:]:
        assert f"token file {file} is empty: put" in complaint(each)


@pytest.mark.parametrize("content", ["two words", "two\nlines", "nul\x00", "k" * 4097, "späte"])
def test_a_file_with_more_than_one_word_is_no_login_and_is_not_shown(tmp_path: Path, content: str) -> None:
    file = tmp_path / "words"
    file.write_text(content)
    for each in every_kind(file)[1:]:
        message = complaint(each)
        assert "holds more than one word" in message
        assert content not in message


def test_a_file_beyond_all_bounds_is_not_read_to_its_end(tmp_path: Path) -> None:
    file = tmp_path / "huge"
    file.write_text("k" * (LONGEST + 1))
    for each in every_kind(file):
        assert f"longer than {LONGEST} bytes" in complaint(each)


def test_a_service_account_token_is_never_sent_as_a_token_of_vault(tmp_path: Path) -> None:
    file = tmp_path / "vault"
    file.write_text(jwt({"aud": "vault"}))
    message = complaint(TokenFile(file))
    assert "holds a service-account token, which is not sent as a token of Vault" in message
    assert "login.method" in message


def test_a_wrapping_token_is_no_secret_id(tmp_path: Path) -> None:
    file = tmp_path / "secret-id"
    file.write_text("hvs.CAESIwrapped")
    assert "holds a wrapping token: unwrap it first" in complaint(SecretIDFile("approle", "operator", file))


def test_each_method_sends_what_vault_wants_and_shows_none_of_it(tmp_path: Path) -> None:
    secrets = {"projected": jwt({"aud": "vault"}), "secret-id": "b7f1-2c", "token": "hvs.CAESItoken"}
    for name, content in secrets.items():
        (tmp_path / name).write_text(content + "\n")
    proofs = [
        prove(projected(tmp_path / "projected"), "store"),
        prove(SecretIDFile("approle", "operator", tmp_path / "secret-id"), "store"),
        prove(TokenFile(tmp_path / "token"), "store"),
    ]
    assert [each.call.what for each in proofs] == [
        "POST auth/kubernetes/login",
        "POST auth/approle/login",
        "GET auth/token/lookup-self",
    ]
    assert [dict(each.call.body or {}) for each in proofs] == [
        {"role": "airwarden", "jwt": secrets["projected"]},
        {"role_id": "operator", "secret_id": secrets["secret-id"]},
        {},
    ]
    assert [each.token for each in proofs] == ["", "", secrets["token"]]
    assert [each.secret for each in proofs] == list(secrets.values())
    for proof, content in zip(proofs, secrets.values(), strict=True):
        assert content not in repr(proof)


@given(st.binary(max_size=200))
def test_any_other_content_is_refused_without_showing_it(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    file = tmp_path_factory.getbasetemp() / "any"
    file.write_bytes(content)
    with pytest.raises(InvalidSettings) as caught:
        read_token(projected(file), "store")
    assert caught.value.__context__ is None


@given(st.binary(max_size=200))
def test_a_token_from_a_file_is_one_word_whatever_the_file_holds(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    file = tmp_path_factory.getbasetemp() / "any-token"
    file.write_bytes(content)
    with contextlib.suppress(InvalidSettings):
        token = read_vault_token(TokenFile(file), "store")
        assert token.isascii()
        assert len(token.split()) == 1


@pytest.mark.parametrize("payload", ["W10", "bnVsbA", "e30x", "_w", "A"])
def test_a_payload_that_is_no_claims_is_refused(tmp_path: Path, payload: str) -> None:
    file = tmp_path / "vault"
    file.write_text(f"eyJh.{payload}.c2ln")
    assert "holds no service-account token" in complaint(projected(file))
