"""A secret-id is printed wrapped or not at all, and for a binding whose backend asks for one."""

from __future__ import annotations

from typing import Any

import pytest
from typer.testing import CliRunner

from airwarden.api.backend import AirflowSecretBackend
from airwarden.api.binding import AirflowSecretBinding
from airwarden.cli import app
from airwarden.commands.secret_id import Wrapped, _backend, _wrapped, explain, wrapping
from airwarden.domain.errors import InvalidSettings, StoreFailed
from integration.schema import objects

WRAPPED: dict[str, Any] = {"token": "hvs.wrapping", "ttl": 300}


def binding(*backends: str) -> AirflowSecretBinding:
    body = objects.binding()
    body["spec"]["secrets"] = [
        objects.secret(f"s{number}", backendRef={"name": name}) for number, name in enumerate(backends)
    ]
    return AirflowSecretBinding.model_validate(body)


@pytest.mark.parametrize("text", ["0s", "29s", "1h1s", "24h"])
def test_a_secret_id_in_clear_or_wrapped_for_long_is_refused_with_the_reason(text: str) -> None:
    with pytest.raises(InvalidSettings, match="printed only wrapped, for 30s to 1h"):
        wrapping(text)


@pytest.mark.parametrize(("text", "seconds"), [("30s", 30), ("5m", 300), ("1h", 3600)])
def test_a_time_within_the_bounds_is_taken(text: str, seconds: int) -> None:
    assert wrapping(text) == seconds


def test_what_is_no_time_is_named() -> None:
    with pytest.raises(InvalidSettings, match="--wrap-ttl: 'soon' is not a duration"):
        wrapping("soon")


@pytest.mark.parametrize("info", [None, {}, {"token": ""}, {"token": "a\nb", "ttl": 5}, {"token": "hvs.x"}])
def test_an_answer_without_wrapping_shows_nothing_of_it(info: object) -> None:
    with pytest.raises(StoreFailed, match="nothing is shown") as caught:
        _wrapped(info, "role-id", "approle", "role")
    assert "hvs.x" not in caught.value.message


def test_a_wrapped_one_comes_with_what_its_receiver_needs() -> None:
    made = _wrapped(WRAPPED, "role-id", "approle", "airwarden.c1.team.b.vault")
    assert made == Wrapped("hvs.wrapping", 300, "role-id", "approle", "airwarden.c1.team.b.vault")
    said = explain(made)
    assert "wrapping token: hvs.wrapping" in said
    assert "within 5m" in said
    assert "vault unwrap -field=secret_id" in said
    assert "vault write auth/approle/login role_id=role-id secret_id=@secret-id" in said


def test_the_backend_is_the_bindings_only_one_or_the_one_that_is_named() -> None:
    assert _backend(binding("vault", "vault"), "") == "vault"
    assert _backend(binding("vault", "other"), "other") == "other"
    with pytest.raises(InvalidSettings, match="names several backends: give --backend other or vault"):
        _backend(binding("vault", "other"), "")
    with pytest.raises(InvalidSettings, match="does not name backend third: give --backend vault"):
        _backend(binding("vault"), "third")


@pytest.mark.parametrize("text", ["billing", "/billing", "team/", "team/a/b"])
def test_what_is_no_binding_is_wrong_usage(text: str) -> None:
    done = CliRunner().invoke(app, ["secret-id", text, "--cluster", "c1"])
    assert done.exit_code == 2
    assert "is not NAMESPACE/BINDING" in done.stderr


def test_a_wrap_ttl_of_nothing_is_wrong_usage() -> None:
    done = CliRunner().invoke(app, ["secret-id", "team/billing", "--cluster", "c1", "--wrap-ttl", "0s"])
    assert done.exit_code == 2
    assert "printed only wrapped" in done.stderr


def test_the_model_of_the_backend_decides_the_mount() -> None:
    body = objects.with_logins(objects.LOGINS[2], objects.WORKLOAD_LOGINS[1])
    vault = AirflowSecretBackend.model_validate(body).spec.vault
    assert vault is not None
    assert vault.workload_login.mount == "tasks"
