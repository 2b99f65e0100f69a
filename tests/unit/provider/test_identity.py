"""Whose token it is, for the audit line: nothing is decided by it, and nothing that it says can stop a lookup."""

from __future__ import annotations

import base64
import json

import pytest

from airflow_airwarden.asking import correlation
from airflow_airwarden.readers.vault_logins import _identity


def token(claims: object) -> str:
    middle = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"header.{middle}.signature"


CLAIMS = {
    "kubernetes.io": {
        "namespace": "airflow-prod",
        "pod": {"name": "billing-1", "uid": "u"},
        "serviceaccount": {"name": "billing", "uid": "u"},
    }
}


def test_a_projected_token_names_pod_account_and_namespace() -> None:
    wanted = {"namespace": "airflow-prod", "serviceAccount": "billing", "pod": "billing-1"}
    assert _identity(token(CLAIMS), {}) == wanted


def test_vaults_word_for_account_and_namespace_goes_first() -> None:
    metadata = {"service_account_name": "other", "service_account_namespace": "elsewhere"}
    found = _identity(token(CLAIMS), {"metadata": metadata})
    assert found == {"namespace": "elsewhere", "serviceAccount": "other", "pod": "billing-1"}


@pytest.mark.parametrize(
    "jwt",
    [
        "",
        "x",
        "a.b.c",
        "a.!!.c",
        token([]),
        token({}),
        token({"kubernetes.io": 5}),
        token({"kubernetes.io": {"pod": 5}}),
    ],
)
def test_a_token_that_says_nothing_is_no_error(jwt: str) -> None:
    assert _identity(jwt, {"metadata": None}) == {}


def test_the_hint_to_the_store_is_a_header_whatever_the_names_are() -> None:
    asked: dict[str, str | int] = {
        "dag": "a/b\r\nX-Vault-Token: x",
        "task": "täsk",
        "run": "manual__2026-01-01T00:00:00+00:00",
        "try": 2,
    }
    hint = correlation(asked)
    assert hint.isascii()
    assert hint.isprintable()
    assert [part[:12] for part in hint.split("/")] == ["a%2Fb%0D%0AX", "t%C3%A4sk", "manual__2026", "2"]
    assert correlation({}) == ""
