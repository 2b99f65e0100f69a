"""The token file: what is wrong with it is said by name, and its content never."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airwarden.domain.errors import InvalidSettings
from airwarden.providers.vault.connection import Connection, read_token


def connection(path: Path) -> Connection:
    return Connection("vault", "http://vault:8200", "", 5.0, 4, 100, None, "", "kubernetes", "airwarden", "vault", path)


def jwt(claims: object) -> str:
    parts = ({"alg": "RS256"}, claims)
    encoded = [base64.urlsafe_b64encode(json.dumps(each).encode()).decode().rstrip("=") for each in parts]
    return ".".join([*encoded, "c2ln"])


@pytest.mark.parametrize("audience", [["vault"], ["other", "vault"], "vault"])
def test_a_token_for_the_audience_is_taken(tmp_path: Path, audience: object) -> None:
    file = tmp_path / "vault"
    file.write_text(jwt({"aud": audience}) + "\n")
    assert read_token(connection(file)) == jwt({"aud": audience})


@pytest.mark.parametrize("claims", [{"aud": ["other"]}, {"aud": "vaults"}, {}, {"aud": None}, {"aud": {"vault": 1}}])
def test_a_token_for_another_audience_is_refused_by_file_and_audience(tmp_path: Path, claims: object) -> None:
    file = tmp_path / "vault"
    file.write_text(jwt(claims))
    with pytest.raises(InvalidSettings, match=r"vault is not for audience 'vault'") as caught:
        read_token(connection(file))
    assert str(file) in caught.value.message
    assert jwt(claims).split(".")[1] not in caught.value.message


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(InvalidSettings) as caught:
            read_token(connection(path))
        assert str(path) in caught.value.message


@given(st.binary(max_size=200))
def test_any_other_content_is_refused_without_showing_it(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    file = tmp_path_factory.getbasetemp() / "any"
    file.write_bytes(content)
    with pytest.raises(InvalidSettings) as caught:
        read_token(connection(file))
    assert caught.value.__context__ is None


@pytest.mark.parametrize("payload", ["W10", "bnVsbA", "e30x", "_w", "A"])
def test_a_payload_that_is_no_claims_is_refused(tmp_path: Path, payload: str) -> None:
    file = tmp_path / "vault"
    file.write_text(f"eyJh.{payload}.c2ln")
    with pytest.raises(InvalidSettings, match="holds no service-account token"):
        read_token(connection(file))
