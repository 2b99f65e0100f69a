"""Roles of others are read a few at a time, counted apart, and understood for each kind of login."""

from __future__ import annotations

from typing import Any

import pytest

from airwarden.domain.errors import Forbidden, StoreFailed
from airwarden.domain.logins import ForeignLogin
from airwarden.providers.vault.answers import Answer
from airwarden.providers.vault.client import VaultClient
from airwarden.providers.vault.foreign import Bounds, login_of, probe_path, read_foreign_logins
from airwarden.providers.vault.transport import Call

WHERE = "auth/kubernetes/role/legacy"
ROLE = {"bound_service_account_names": ["billing"], "bound_service_account_namespaces": ["team"], "token_policies": []}


class Roles(VaultClient):
    """A client that answers from a table of roles, and keeps what it was asked."""

    def __init__(self, roles: dict[str, dict[str, Any]]) -> None:
        self.roles = roles
        self.asked: list[tuple[str, str, str]] = []

    async def request(self, call: Call, *, identified: bool = True, kind: str = "request") -> Answer:
        assert identified, "roles of others are asked for as everything else is"
        self.asked.append((call.method, call.path, kind))
        if call.method == "LIST":
            return Answer({"data": {"keys": list(self.roles)}}) if self.roles else Answer(absent=True)
        role = self.roles[call.path.removeprefix("auth/kubernetes/role/")]
        return Answer({"data": role}) if role else Answer(absent=True)


def test_a_kubernetes_role_is_read_with_its_label_selector_and_the_policies_of_both_names() -> None:
    role = {**ROLE, "bound_service_account_namespace_selector": '{"matchLabels":{}}', "policies": ["old"]}
    found = login_of(WHERE, {**role, "token_policies": ["new", "old"]})
    assert found == ForeignLogin(WHERE, ("billing",), ("team",), by_label=True, policies=("new", "old"))


@pytest.mark.parametrize(
    ("role", "accounts"),
    [
        ({"bound_subject": "system:serviceaccount:team:billing", "bound_claims": None}, ["billing"]),
        ({"bound_subject": "", "bound_claims": {"sub": ["system:serviceaccount:team:*"]}}, ["billing", "other"]),
        ({"bound_claims": {"/kubernetes.io/namespace": "team", "x": "y"}}, ["billing", "other"]),
        ({"bound_claims": {"/kubernetes.io/serviceaccount/name": "billing"}}, ["billing"]),
        ({"bound_subject": "somebody@example", "bound_claims": {}}, []),
        ({"bound_subject": "", "bound_claims": {}, "bound_audiences": ["vault"]}, ["billing", "other"]),
    ],
)
def test_a_jwt_role_is_read_by_its_subject_or_its_claims(role: dict[str, Any], accounts: list[str]) -> None:
    found = login_of(WHERE, role)
    assert found is not None
    assert [name for _, name in found.admitted((("team", "billing"), ("team", "other")))] == accounts


def test_a_role_that_goes_by_something_else_names_no_account() -> None:
    assert login_of(WHERE, {"bind_secret_id": True}) is None


async def test_only_roles_outside_our_prefix_and_set_up_are_read_and_counted_as_a_scan() -> None:
    client = Roles(
        {"airwarden.c1.team.b.vault": ROLE, "legacy": ROLE, "airwarden.c2.x": ROLE, "fence": ROLE, "gone": {}}
    )
    found = await read_foreign_logins(client, "kubernetes", "c1", frozenset({"fence"}))
    assert [each.where.rpartition("/")[2] for each in found.logins] == ["airwarden.c2.x", "legacy"]
    assert found.unread == 0
    assert {kind for _, _, kind in client.asked} == {"scan"}
    assert len(client.asked) == 4


async def test_a_look_is_bounded_and_says_what_it_left_out() -> None:
    client = Roles({f"role-{number}": ROLE for number in range(5)})
    found = await read_foreign_logins(client, "kubernetes", "c1", bounds=Bounds(roles=3))
    assert (len(found.logins), found.unread, len(client.asked)) == (3, 2, 4)
    late = await read_foreign_logins(client, "kubernetes", "c1", bounds=Bounds(seconds=0))
    assert (late.logins, late.unread) == ((), 5)


async def test_the_first_failure_ends_the_look() -> None:
    client = Roles({f"role-{number:02}": ROLE for number in range(40)})
    answered = client.request

    async def refused(call: Call, *, identified: bool = True, kind: str = "request") -> Answer:
        await answered(call, identified=identified, kind=kind)
        if call.method == "GET":
            raise Forbidden("no read")
        return Answer({"data": {"keys": list(client.roles)}})

    client.request = refused  # type: ignore[method-assign]
    with pytest.raises(Forbidden):
        await read_foreign_logins(client, "kubernetes", "c1")
    assert len(client.asked) <= 5


async def test_no_role_at_all_and_an_answer_without_names_are_told_apart() -> None:
    assert (await read_foreign_logins(Roles({}), "kubernetes", "c1")).logins == ()
    broken = Roles({"x": ROLE})

    async def strange(_call: Call, *, identified: bool = True, kind: str = "request") -> Answer:
        assert (identified, kind) == (True, "scan")
        return Answer({"data": {"keys": "x"}})

    broken.request = strange  # type: ignore[method-assign, assignment]
    with pytest.raises(StoreFailed, match="without names"):
        await read_foreign_logins(broken, "kubernetes", "c1")


async def test_a_name_cannot_lead_to_another_path() -> None:
    client = Roles({"a/../../../sys/policies": ROLE})
    with pytest.raises(KeyError, match=r"a%2F\.\.%2F"):
        await read_foreign_logins(client, "kubernetes", "c1")


def test_the_probe_stands_outside_every_clusters_prefix() -> None:
    assert not probe_path("kubernetes").removeprefix("auth/kubernetes/role/").startswith("airwarden.")
