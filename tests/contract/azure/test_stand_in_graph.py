"""Groups and service principals in the stand-in, through Azure's own pipeline."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from contract.azure import clients
from contract.azure.plain import Plain
from stand_ins.azure.graph import APPLICATION_READ, GROUP_READ, GROUP_WRITE
from stand_ins.azure.stand_in import AzureStandIn


@pytest.fixture
def graph(azure: AzureStandIn) -> Iterator[Plain]:
    """Graph, for somebody who may read groups and service principals."""
    login, principal = clients.application(azure)
    azure.grant_graph(principal, GROUP_READ, APPLICATION_READ)
    made = Plain(azure, azure.graph_url, login)
    yield made
    made.close()


def test_names_of_groups_are_not_unique(azure: AzureStandIn, graph: Plain) -> None:
    ids = {azure.add_group("it's people").id, azure.add_group("it's people").id}
    azure.add_group("others")
    query = {"$filter": "displayName eq 'it''s people'", "$select": "id"}
    _, found = graph.send("GET", "/v1.0/groups", query=query)
    assert {each["id"] for each in found["value"]} == ids
    assert "displayName" not in found["value"][0]


def test_lists_come_in_pages(azure: AzureStandIn, graph: Plain) -> None:
    for number in range(3):
        azure.add_group(f"one-{number}")
    _, first = graph.send("GET", "/v1.0/groups", query={"$top": "2"})
    _, second = graph.send("GET", first["@odata.nextLink"].removeprefix(azure.graph_url))
    assert (len(first["value"]), len(second["value"])) == (2, 1)
    assert "@odata.nextLink" not in second


def test_a_service_principal_is_found_by_its_client_id(azure: AzureStandIn, graph: Plain) -> None:
    identity = azure.add_identity("billing")
    _, found = graph.send("GET", f"/v1.0/servicePrincipals(appId='{identity.client_id}')")
    assert found["id"] == identity.principal_id
    missing = f"/v1.0/servicePrincipals(appId='{uuid.uuid4()}')"
    assert graph.refused("GET", missing) == (404, "Request_ResourceNotFound")


def test_a_managed_identity_is_missing_among_the_members_but_has_its_groups(azure: AzureStandIn, graph: Plain) -> None:
    identity, user = azure.add_identity("billing"), azure.add_user("ann")
    inner = azure.add_group("inner", [identity.principal_id, user.id])
    outer = azure.add_group("outer", [inner.id])
    _, members = graph.send("GET", f"/v1.0/groups/{inner.id}/members")
    assert [each["id"] for each in members["value"]] == [user.id]
    _, expanded = graph.send("GET", f"/v1.0/groups/{inner.id}", query={"$expand": "members"})
    assert {each["id"] for each in expanded["members"]} == {user.id, identity.principal_id}
    principal = f"/v1.0/servicePrincipals/{identity.principal_id}"
    _, direct = graph.send("GET", f"{principal}/memberOf")
    assert [each["id"] for each in direct["value"]] == [inner.id]
    _, checked = graph.send("POST", f"{principal}/checkMemberGroups", {"groupIds": [outer.id, str(uuid.uuid4())]})
    assert checked["value"] == [outer.id]
    many = {"groupIds": [str(uuid.uuid4()) for _ in range(21)]}
    assert graph.refused("POST", f"{principal}/checkMemberGroups", many) == (400, "Request_BadRequest")


def test_what_may_not_be_read_comes_as_type_and_id(azure: AzureStandIn, graph: Plain) -> None:
    group, user = azure.add_group("people"), azure.add_user("ann")
    body = {"ids": [group.id, user.id, str(uuid.uuid4())]}
    _, found = graph.send("POST", "/v1.0/directoryObjects/getByIds", body)
    shown = {each["id"]: (each["@odata.type"], each["displayName"]) for each in found["value"]}
    assert shown == {
        group.id: ("#microsoft.graph.group", "people"),
        user.id: ("#microsoft.graph.user", None),
    }


def test_rights_are_needed_and_ids_must_be_right(azure: AzureStandIn, graph: Plain) -> None:
    group, user = azure.add_group("people"), azure.add_user("ann")
    stranger = Plain(azure, azure.graph_url, clients.application(azure)[0])
    assert stranger.refused("GET", f"/v1.0/groups/{group.id}") == (403, "Authorization_RequestDenied")
    stranger.close()
    assert graph.refused("GET", f"/v1.0/groups/{user.id}") == (404, "Request_ResourceNotFound")
    assert graph.refused("GET", "/v1.0/groups/people") == (400, "Request_BadRequest")
    reference = {"@odata.id": f"https://graph.microsoft.com/v1.0/directoryObjects/{user.id}"}
    path = f"/v1.0/groups/{group.id}/members/$ref"
    assert graph.refused("POST", path, reference) == (403, "Authorization_RequestDenied")


def test_members_are_added_and_removed_by_who_may(azure: AzureStandIn) -> None:
    group, user = azure.add_group("people"), azure.add_user("ann")
    login, principal = clients.application(azure)
    azure.grant_graph(principal, GROUP_WRITE)
    writer = Plain(azure, azure.graph_url, login)
    reference = {"@odata.id": f"https://graph.microsoft.com/v1.0/directoryObjects/{user.id}"}
    path = f"/v1.0/groups/{group.id}/members"
    assert writer.send("POST", f"{path}/$ref", reference)[0] == 204
    assert writer.refused("POST", f"{path}/$ref", reference) == (400, "Request_BadRequest")
    assert writer.send("DELETE", f"{path}/{user.id}/$ref")[0] == 204
    assert writer.refused("DELETE", f"{path}/{user.id}/$ref") == (404, "Request_ResourceNotFound")
    writer.close()
