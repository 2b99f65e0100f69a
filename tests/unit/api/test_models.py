"""The models hold at reconcile to all that the schema refuses at admission."""

from __future__ import annotations

import re
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from airwarden.api.backend import AirflowSecretBackend
from airwarden.api.binding import AirflowSecretBinding
from integration.schema import objects, refusals

MODELS: dict[str, type[BaseModel]] = {"binding": AirflowSecretBinding, "backend": AirflowSecretBackend}


@pytest.mark.parametrize("refusal", refusals.REFUSALS, ids=lambda each: each.name)
def test_the_models_refuse_what_admission_refuses(refusal: refusals.Refusal) -> None:
    said = refusal.said_by_model or refusal.said
    with pytest.raises(ValidationError, match=re.escape(said)):
        MODELS[refusal.kind].model_validate(refusal.body())


@pytest.mark.parametrize("kind", ["binding", "backend"])
def test_the_models_take_what_is_valid(kind: objects.Kind) -> None:
    MODELS[kind].model_validate(objects.valid(kind))


@pytest.mark.parametrize(
    ("kind", "body"), [("binding", objects.largest_binding()), ("backend", objects.largest_backend())]
)
def test_the_models_take_the_largest_object(kind: objects.Kind, body: dict[str, Any]) -> None:
    MODELS[kind].model_validate(body)


@pytest.mark.parametrize("workload", objects.WORKLOAD_LOGINS, ids=lambda each: each["method"])
@pytest.mark.parametrize("login", objects.LOGINS, ids=lambda each: each["method"])
def test_the_models_take_every_way_to_log_in(login: objects.Json, workload: objects.Json) -> None:
    vault = AirflowSecretBackend.model_validate(objects.with_logins(login, workload)).spec.vault
    assert vault is not None
    assert vault.login.method == login["method"]
    assert vault.workload_login.mount == "tasks"


def test_a_null_is_an_absence() -> None:
    body = objects.changed(objects.binding(), "spec.secrets.1.key", None)
    assert AirflowSecretBinding.model_validate(body).spec.secrets[1].key is None


@pytest.mark.parametrize(
    ("ttl", "longest"), [("15m", None), (None, "1h"), ("1h", "60m"), ("3600s", "1h"), ("59m60s", "1h")]
)
def test_ttl_up_to_max_ttl_is_taken(ttl: str | None, longest: str | None) -> None:
    body = objects.changed(objects.binding(), "spec.access.session", {"ttl": ttl, "maxTTL": longest})
    AirflowSecretBinding.model_validate(body)
