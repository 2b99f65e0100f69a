"""The rights on database engines that an admin gives the login for rotations: those of the rules, and no others."""

from __future__ import annotations

import re
from typing import Any

import pytest

from airwarden.api.backend import AirflowSecretBackend
from airwarden.providers.vault.rotation.role_setup import role_rights

ENGINE: dict[str, Any] = {"engine": "db", "rolePrefixes": ["{namespace}.", "airwarden.c1.{namespace}."]}
DECLARES: dict[str, Any] = {**ENGINE, "connections": ["main"], "usernames": ["{namespace}_*", "exact"]}


def rights(*rules: dict[str, Any], namespaces: tuple[str, ...] = ()) -> dict[str, set[str]]:
    """Return the capabilities by path."""
    text = "\n".join(role_rights(backend(*rules), "c1", namespaces))
    found = re.findall(r'path "([^"]+)" \{\n  capabilities = \[([^\]]+)\]', text)
    return {path: set(listed.replace('"', "").split(", ")) for path, listed in found}


def backend(*rules: dict[str, Any]) -> AirflowSecretBackend:
    login = {"kubernetes": {"role": "airwarden"}}
    vault = {"address": "https://v:8200", "login": login, "kv": {"mount": "kv"}}
    tasks = {"workloadLogin": {"kubernetes": {"audience": "vault"}}}
    allow = [{"name": f"r{number}", **each} for number, each in enumerate(rules)]
    spec = {"type": "Vault", "vault": {**vault, **tasks}, "allow": allow}
    return AirflowSecretBackend.model_validate({"metadata": {"name": "vault"}, "spec": spec})


def rule(*operations: str, names: tuple[str, ...] = ("team",), **engine: Any) -> dict[str, Any]:
    return {
        "namespaces": {"names": list(names)},
        "operations": list(operations),
        "dynamic": [{**ENGINE, **engine}],
    }


def test_a_rule_that_rotates_no_role_gives_no_right() -> None:
    assert rights(rule("Read", "RotateGenerate", **DECLARES, roots=["main"])) == {}


def test_native_gives_rotating_and_looking_and_no_writing() -> None:
    assert rights(rule("RotateNative", rolePrefixes=["{namespace}."])) == {
        "db/rotate-role/team.*": {"update"},
        "db/static-roles/team.*": {"read"},
    }


def test_a_connection_s_user_needs_its_name_in_the_rule() -> None:
    found = rights(rule("RotateNative", rolePrefixes=["{namespace}."], roots=["main"]))
    assert found["db/rotate-root/main"] == {"update"}
    assert not [path for path in rights(rule("RotateNative")) if "root" in path]


def test_revoke_gives_the_leases_of_the_prefix_and_nothing_else() -> None:
    assert rights(rule("RotateRevoke", rolePrefixes=["{namespace}."])) == {
        "sys/leases/revoke-prefix/db/creds/team.*": {"sudo", "update"}
    }


def test_declaring_is_below_the_namespace_s_own_names_and_with_its_users_only() -> None:
    found = rights(rule("RotateNative", **DECLARES))
    assert found["db/static-roles/airwarden.c1.team.*"] == {"create", "delete", "read", "update"}
    assert found["db/static-roles/team.*"] == {"read"}
    assert (found["db/static-roles"], found["db/static-roles/+"]) == ({"list"}, {"read"})
    text = "\n".join(role_rights(backend(rule("RotateNative", **DECLARES)), "c1", ()))
    assert '"db_name" = ["main"]' in text
    assert '"username" = ["exact", "team_*"]' in text
    assert "rotation_statements" not in text
    assert text.count("allowed_parameters") == 1


@pytest.mark.parametrize("lacking", ["connections", "usernames"])
def test_without_connections_or_users_nothing_can_be_declared(lacking: str) -> None:
    found = rights(rule("RotateNative", **{**DECLARES, lacking: []}))
    assert all("create" not in each for each in found.values())
    assert "db/static-roles" not in found


def test_a_wide_prefix_gives_each_namespace_only_its_own_names() -> None:
    wide = {**DECLARES, "rolePrefixes": ["airwarden."]}
    found = rights(rule("RotateNative", names=("team", "other"), **wide))
    assert {path for path, given in found.items() if "create" in given} == {
        "db/static-roles/airwarden.c1.other.*",
        "db/static-roles/airwarden.c1.team.*",
    }


def test_namespaces_that_are_meant_by_label_are_written_out() -> None:
    selecting = rule("RotateNative", rolePrefixes=["{namespace}."])
    selecting["namespaces"] = {"selector": {"matchLabels": {"a": "b"}}}
    assert rights(selecting) == {}
    assert set(rights(selecting, namespaces=("n1",))) == {"db/rotate-role/n1.*", "db/static-roles/n1.*"}
