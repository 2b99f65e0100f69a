"""Which target goes with which strategy and settings: the API server and the model refuse alike, in the same words."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from airwarden.api import crd
from airwarden.api.rotation import AirflowSecretRotation
from plane.control_plane import Plane
from plane.errors import PlaneHTTPError

KEY = {"key": "team/db", "field": "password"}
STATIC = {"engine": "database", "name": "team.x", "kind": "Static"}
DYNAMIC, ROOT = {**STATIC, "kind": "Dynamic"}, {**STATIC, "name": "main", "kind": "Root"}
DECLARE = {"connection": "main", "username": "team_x", "period": "24h"}
OWN = {**STATIC, "name": "airwarden.c1.team.x", "declare": DECLARE}
NATIVE = {"strategy": "Native"}
TIMED = {**OWN, "declare": {"connection": "main", "username": "team_x"}}

GOOD: list[dict[str, Any]] = [
    KEY,
    {"databaseRole": STATIC, **NATIVE, "schedule": "@daily", "jitter": "1h", "timeZone": "Europe/Berlin"},
    {"databaseRole": ROOT, **NATIVE},
    {"databaseRole": DYNAMIC, "strategy": "Revoke"},
    {"databaseRole": OWN, **NATIVE},
    {"databaseRole": TIMED, **NATIVE, "schedule": "@weekly", "startingDeadline": "1h"},
]
BAD: list[tuple[dict[str, Any], str]] = [
    ({}, "exactly one of key and databaseRole"),
    ({**KEY, "databaseRole": STATIC}, "exactly one of key and databaseRole"),
    ({"key": "team/db"}, "field is needed with key"),
    ({"field": "password", "databaseRole": STATIC, **NATIVE}, "field is needed with key"),
    ({**KEY, **NATIVE}, "a key needs strategy Generate"),
    ({**KEY, "strategy": "Revoke"}, "a key needs strategy Generate"),
    ({"databaseRole": STATIC}, "needs strategy Native"),
    ({"databaseRole": STATIC, "strategy": "Revoke"}, "needs strategy Native"),
    ({"databaseRole": ROOT, "strategy": "Revoke"}, "needs strategy Native"),
    ({"databaseRole": DYNAMIC, **NATIVE}, "needs strategy Revoke"),
    ({"databaseRole": STATIC, **NATIVE, "keepVersions": 3}, "keepVersions is for a key"),
    ({"databaseRole": STATIC, **NATIVE, "part": "URIPassword"}, "part and generate are for a key"),
    ({"databaseRole": STATIC, **NATIVE, "generate": {"length": 32}}, "part and generate are for a key"),
    ({"databaseRole": {**DYNAMIC, "declare": DECLARE}, "strategy": "Revoke"}, "declare makes a static role"),
    ({"databaseRole": {**STATIC, "declare": DECLARE}, **NATIVE}, "name must begin with airwarden."),
    ({"databaseRole": OWN, **NATIVE, "schedule": "@daily"}, "exactly one of schedule and databaseRole.declare.period"),
    ({"databaseRole": TIMED, **NATIVE}, "exactly one of schedule and databaseRole.declare.period"),
    ({"databaseRole": OWN, **NATIVE, "jitter": "1m"}, "window and jitter do not go with"),
    ({"databaseRole": TIMED, **NATIVE, "schedule": "@daily", "timeZone": "Asia/Tokyo"}, "timeZone must be UTC"),
    ({"databaseRole": TIMED, **NATIVE, "schedule": "@daily", "startingDeadline": "59m"}, "at least 1h"),
    ({"databaseRole": OWN, **NATIVE, "startingDeadline": "2h"}, "goes with a schedule alone"),
    ({"databaseRole": {**OWN, "declare": {**DECLARE, "period": "4s"}}, **NATIVE}, "must be at least 5s"),
    ({"databaseRole": {**OWN, "declare": {**DECLARE, "username": "a b"}}, **NATIVE}, "name of a database user"),
]


@pytest.fixture(scope="module")
def served(plane: Plane) -> Plane:
    """Have the kinds served."""
    plane.api.apply(*(yaml.safe_load(text) for text in crd.crd_files().values()))
    plane.kubectl("wait", "--for=condition=Established", *(f"crd/{kind.plural}.airwarden.dev" for kind in crd.KINDS))
    plane.create_namespace("targets")
    return plane


def body(spec: dict[str, Any], name: str = "target") -> dict[str, Any]:
    return {
        "apiVersion": "airwarden.dev/v1alpha1",
        "kind": "AirflowSecretRotation",
        "metadata": {"name": name, "namespace": "targets"},
        "spec": {"backendRef": {"name": "vault"}, **spec},
    }


def create(plane: Plane, spec: dict[str, Any], name: str = "target", *, dry: bool = True) -> None:
    path = "/apis/airwarden.dev/v1alpha1/namespaces/targets/airflowsecretrotations"
    plane.api.admin.request("POST", f"{path}?dryRun=All" if dry else path, body(spec, name))


@pytest.mark.parametrize("spec", GOOD)
def test_what_can_be_done_is_admitted_by_both(served: Plane, spec: dict[str, Any]) -> None:
    create(served, spec)
    AirflowSecretRotation.model_validate(body(spec))


@pytest.mark.parametrize(("spec", "said"), BAD)
def test_what_cannot_be_done_is_refused_by_both(served: Plane, spec: dict[str, Any], said: str) -> None:
    with pytest.raises(PlaneHTTPError, match=said):
        create(served, spec)
    with pytest.raises(ValidationError, match=said):
        AirflowSecretRotation.model_validate(body(spec))


@pytest.mark.parametrize(
    ("before", "change"),
    [
        (KEY, {"key": "team/other"}),
        (KEY, {"field": "other"}),
        (KEY, {"key": None, "field": None, "databaseRole": STATIC, **NATIVE}),
        ({"databaseRole": STATIC, **NATIVE}, {"databaseRole": {"name": "team.y"}}),
        ({"databaseRole": STATIC, **NATIVE}, {"databaseRole": {"engine": "other"}}),
        ({"databaseRole": OWN, **NATIVE}, {"databaseRole": {"declare": {"username": "team_y"}}}),
        ({"databaseRole": OWN, **NATIVE}, {"databaseRole": {"declare": {"connection": "other"}}}),
        ({"databaseRole": OWN, **NATIVE}, {"databaseRole": {"declare": None}}),
    ],
)
def test_what_a_rotation_is_for_stays(served: Plane, before: dict[str, Any], change: dict[str, Any]) -> None:
    create(served, before, "stays", dry=False)
    path = "/apis/airwarden.dev/v1alpha1/namespaces/targets/airflowsecretrotations/stays"
    merge = {"Content-Type": "application/merge-patch+json"}
    try:
        with pytest.raises(PlaneHTTPError, match="is immutable"):
            served.api.admin.request("PATCH", path, {"spec": change}, headers=merge)
    finally:
        served.api.admin.request("DELETE", path)
