"""The admission policies weigh each field of a binding's spec when they tell whether an edit only takes away."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel
from pydantic.alias_generators import to_camel

from airwarden.api.binding import Access, BindingSpec, Session
from airwarden.api.binding_rotation import BindingRotation
from airwarden.api.database_role import DatabaseRole, Declare
from airwarden.api.rotation import RotationSpec

_ELSEWHERE = {"rotation"}
"""Gives no access: policies of their own judge it."""
_WHO_READS = {"environmentRef", "dags"}
"""Says which DAGs run under the account, not what it may read: the environment judges it."""
_FOLDER = Path(__file__).resolve().parents[3] / "manifests" / "admission"


def _names(model: type[BaseModel]) -> set[str]:
    return {each.alias or to_camel(name) for name, each in model.model_fields.items()}


def _taking_away(policy: str, name: str = "") -> str:
    """Return what tells whether an edit only takes away, with the variables that it is made of."""
    documents = yaml.safe_load_all((_FOLDER / f"{policy}.yaml").read_text())
    found = next(each for each in documents if each["metadata"]["name"].startswith(name))
    variables = {each["name"]: each["expression"] for each in found["spec"]["variables"]}
    text = str(variables["takesAway"])
    return text + " ".join(each for name, each in variables.items() if f"variables.{name}" in text)


@pytest.mark.parametrize("model", [BindingSpec, Access, Session])
def test_the_guardrails_weigh_each_field_of_a_binding(model: type[BaseModel]) -> None:
    text = _taking_away("guardrails")
    assert {each for each in _names(model) if each not in text} <= _ELSEWHERE | _WHO_READS


@pytest.mark.parametrize("model", [BindingSpec, Access])
def test_the_policy_of_external_accounts_weighs_each_field_and_a_session_as_a_whole(model: type[BaseModel]) -> None:
    text = _taking_away("external-accounts")
    assert {each for each in _names(model) if each not in text} <= _ELSEWHERE


_FREE = {"timeZone", "jitter", "maxAge", "keepVersions"}
"""What makes no further run, however it is changed."""


@pytest.mark.parametrize(
    ("model", "file", "name"),
    [
        (RotationSpec, "rotations", "rotation-guardrails"),
        (BindingRotation, "rotations", "binding-rotations"),
        (RotationSpec, "database-roles", "database-role-guardrails"),
    ],
)
def test_the_policies_of_rotations_weigh_each_field(model: type[BaseModel], file: str, name: str) -> None:
    assert _unweighed(model, _taking_away(file, name)) == _FREE


@pytest.mark.parametrize("model", [DatabaseRole, Declare])
def test_the_policy_of_database_roles_weighs_each_field_of_the_role(model: type[BaseModel]) -> None:
    assert _unweighed(model, _taking_away("database-roles", "database-role-guardrails")) == set()


def _unweighed(model: type[BaseModel], text: str) -> set[str]:
    return {each for each in _names(model) if not re.search(rf"[.?]{each}\b", text)}
