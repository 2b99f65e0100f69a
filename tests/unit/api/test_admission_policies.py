"""The admission policies weigh each field of a binding's spec when they tell whether an edit only takes away."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel
from pydantic.alias_generators import to_camel

from airwarden.api.binding import Access, BindingSpec, Session

_ELSEWHERE = {"rotation"}
"""Gives no access: policies of their own judge it."""
_FOLDER = Path(__file__).resolve().parents[3] / "manifests" / "admission"


def _names(model: type[BaseModel]) -> set[str]:
    return {each.alias or to_camel(name) for name, each in model.model_fields.items()}


def _taking_away(policy: str) -> str:
    """Return what tells whether an edit only takes away, with the variables that it is made of."""
    found = next(iter(yaml.safe_load_all((_FOLDER / f"{policy}.yaml").read_text())))
    variables = {each["name"]: each["expression"] for each in found["spec"]["variables"]}
    text = str(variables["takesAway"])
    return text + " ".join(each for name, each in variables.items() if f"variables.{name}" in text)


@pytest.mark.parametrize("model", [BindingSpec, Access, Session])
def test_the_guardrails_weigh_each_field_of_a_binding(model: type[BaseModel]) -> None:
    text = _taking_away("guardrails")
    assert {each for each in _names(model) if each not in text} <= _ELSEWHERE


@pytest.mark.parametrize("model", [BindingSpec, Access])
def test_the_policy_of_external_accounts_weighs_each_field_and_a_session_as_a_whole(model: type[BaseModel]) -> None:
    text = _taking_away("external-accounts")
    assert {each for each in _names(model) if each not in text} <= _ELSEWHERE
