"""Azure's own management clients see in the stand-in what Azure documents of role assignments."""

from __future__ import annotations

import io
import json
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from azure.core.exceptions import (
    HttpResponseError,
    ResourceExistsError,
    ResourceNotFoundError,
    ServiceRequestError,
    ServiceResponseError,
)
from azure.mgmt.authorization import AuthorizationManagementClient

from contract.azure import clients
from stand_ins.azure.limits import Rate
from stand_ins.azure.roles import (
    CONTRIBUTOR,
    DATA_ACCESS_ADMINISTRATOR,
    OWNER,
    RBAC_ADMINISTRATOR,
    READER,
    SECRETS_OFFICER,
    SECRETS_USER,
)
from stand_ins.azure.stand_in import GROUP, AzureStandIn
from stand_ins.azure.world import Identity, Vault

NO_ANSWER = (ServiceRequestError, ServiceResponseError)
ONLY_SECRETS_USER = (
    "((!(ActionMatches{'Microsoft.Authorization/roleAssignments/write'})) OR "
    "(@Request[Microsoft.Authorization/roleAssignments:RoleDefinitionId] ForAnyOfAnyValues:GuidEquals {ROLE} AND "
    "@Request[Microsoft.Authorization/roleAssignments:PrincipalType] "
    "ForAnyOfAnyValues:StringEqualsIgnoreCase {'ServicePrincipal', 'Group'})) AND "
    "((!(ActionMatches{'Microsoft.Authorization/roleAssignments/delete'})) OR "
    "(@Resource[Microsoft.Authorization/roleAssignments:RoleDefinitionId] ForAnyOfAnyValues:GuidEquals {ROLE}))"
).replace("ROLE", SECRETS_USER)


@pytest.fixture
def vault(azure: AzureStandIn) -> Vault:
    """A vault in RBAC mode."""
    return azure.add_vault("kv-one")


@pytest.fixture
def identity(azure: AzureStandIn) -> Identity:
    """A managed identity."""
    return azure.add_identity("billing")


@pytest.fixture
def client(azure: AzureStandIn) -> Iterator[AuthorizationManagementClient]:
    """The client of somebody who owns the subscription."""
    with clients.authorization(azure, clients.owner(azure)) as owner:
        yield owner


def wanted(azure: AzureStandIn, principal: str, role: str = SECRETS_USER, **more: str | None) -> Any:
    """Return the body of a role assignment."""
    above = f"/subscriptions/{azure.subscription}/providers/Microsoft.Authorization/roleDefinitions"
    body = {"roleDefinitionId": f"{above}/{role}", "principalId": principal, "principalType": "ServicePrincipal"}
    return {"properties": {name: value for name, value in {**body, **more}.items() if value is not None}}


def put(client: Any, scope: str, name: str, body: Any) -> Any:
    """Create an assignment from a body that the client does not touch: its model would add fields."""
    return client.role_assignments.create(scope, name, io.BytesIO(json.dumps(body).encode()))


def refused(code: str, ask: Callable[[], Any]) -> HttpResponseError:
    """Return the error, which must have this code."""
    with pytest.raises(HttpResponseError) as caught:
        ask()
    assert caught.value.error is not None
    assert caught.value.error.code == code
    return caught.value


def guid() -> str:
    return str(uuid.uuid4())


class TestAnAssignment:
    def test_is_made_read_listed_and_removed(
        self, azure: AzureStandIn, client: Any, vault: Vault, identity: Identity
    ) -> None:
        name = guid()
        made = put(client, vault.id, name, wanted(azure, identity.principal_id, description="ours"))
        assert (made.name, made.scope, made.principal_id, made.description) == (
            name,
            vault.id,
            identity.principal_id,
            "ours",
        )
        assert made.created_on is not None
        assert client.role_assignments.get(vault.id, name).id == made.id
        assert name in [each.name for each in client.role_assignments.list_for_scope(vault.id)]
        assert client.role_assignments.delete(vault.id, name).name == name
        assert client.role_assignments.delete(vault.id, name) is None
        refused("RoleAssignmentNotFound", lambda: client.role_assignments.get(vault.id, name))

    async def test_is_the_same_for_asyncio(self, azure: AzureStandIn, vault: Vault, identity: Identity) -> None:
        async with clients.async_owner(azure) as login, clients.async_authorization(azure, login) as client:
            name = guid()
            body = io.BytesIO(json.dumps(wanted(azure, identity.principal_id)).encode())
            made = await client.role_assignments.create(vault.id, name, body)
            assert made.id is not None
            assert (await client.role_assignments.get_by_id(made.id)).principal_type == "ServicePrincipal"
            listed = [each.name async for each in client.role_assignments.list_for_scope(vault.id)]
            assert name in listed
            assert await client.role_assignments.delete_by_id(made.id) is not None
            assert await client.role_assignments.delete_by_id(made.id) is None
            with pytest.raises(ResourceNotFoundError):
                await client.role_assignments.get_by_id(made.id)

    def test_is_updated_under_its_name_in_what_may_change(
        self, azure: AzureStandIn, client: Any, vault: Vault, identity: Identity
    ) -> None:
        name = guid()
        put(client, vault.id, name, wanted(azure, identity.principal_id, description="one"))
        put(client, vault.id, name, wanted(azure, identity.principal_id, description="two"))
        assert client.role_assignments.get(vault.id, name).description == "two"
        assert [each.status for each in azure.requests(method="PUT")] == [201, 200]

    def test_keeps_principal_scope_and_role(
        self, azure: AzureStandIn, client: Any, vault: Vault, identity: Identity
    ) -> None:
        name, other = guid(), azure.add_identity("other")
        put(client, vault.id, name, wanted(azure, identity.principal_id))
        unlike = (
            (vault.id, wanted(azure, other.principal_id)),
            (f"{vault.id}/secrets/one", wanted(azure, identity.principal_id)),
            (vault.id, wanted(azure, identity.principal_id, SECRETS_OFFICER)),
        )
        for scope, body in unlike:
            refused("RoleAssignmentUpdateNotPermitted", partial(put, client, scope, name, body))

    def test_ignores_what_is_read_only(
        self, azure: AzureStandIn, client: Any, vault: Vault, identity: Identity
    ) -> None:
        body = wanted(azure, identity.principal_id, createdBy="me", createdOn="1999-01-01T00:00:00Z", scope="/")
        made = put(client, vault.id, guid(), body)
        assert made.scope == vault.id
        assert made.created_by != "me"
        assert made.created_on.year > 1999

    def test_exists_once_for_a_triple_and_the_conflict_names_it(
        self, azure: AzureStandIn, client: Any, vault: Vault, identity: Identity
    ) -> None:
        name = guid()
        put(client, vault.id.upper(), name, wanted(azure, identity.principal_id))
        error = refused(
            "RoleAssignmentExists", lambda: put(client, vault.id, guid(), wanted(azure, identity.principal_id))
        )
        assert isinstance(error, ResourceExistsError)
        assert error.error is not None
        assert str(error.error.message).endswith(f"is {name.replace('-', '')}.")
        azure.behave(old_conflicts=True)
        error = refused(
            "RoleAssignmentExists", lambda: put(client, vault.id, guid(), wanted(azure, identity.principal_id))
        )
        assert name.replace("-", "") not in str(error)

    def test_of_a_removed_principal_stays_and_says_so(
        self, azure: AzureStandIn, client: Any, vault: Vault, identity: Identity
    ) -> None:
        made = put(client, vault.id, guid(), wanted(azure, identity.principal_id))
        azure.remove_identity(identity)
        assert client.role_assignments.get_by_id(made.id).principal_type == "Unknown"

    def test_goes_with_its_vault_and_does_not_come_back(
        self, azure: AzureStandIn, client: Any, vault: Vault, identity: Identity
    ) -> None:
        name = guid()
        put(client, vault.id, name, wanted(azure, identity.principal_id))
        azure.delete_vault(vault.name)
        refused("AuthorizationFailed", lambda: client.role_assignments.delete(vault.id, name))
        azure.recover_vault(vault.name)
        refused("RoleAssignmentNotFound", lambda: client.role_assignments.get(vault.id, name))

    def test_cannot_be_removed_under_a_lock(
        self, azure: AzureStandIn, client: Any, vault: Vault, identity: Identity
    ) -> None:
        made = put(client, vault.id, guid(), wanted(azure, identity.principal_id))
        azure.lock_scope(vault.id)
        refused("ScopeLocked", lambda: client.role_assignments.delete_by_id(made.id))

    def test_that_was_just_removed_keeps_its_name_for_a_while(
        self, azure: AzureStandIn, client: Any, vault: Vault, identity: Identity
    ) -> None:
        name, other = guid(), azure.add_identity("other")
        azure.delay(removals=60)
        put(client, vault.id, name, wanted(azure, identity.principal_id))
        client.role_assignments.delete(vault.id, name)
        again = wanted(azure, other.principal_id)
        refused("RoleAssignmentUpdateNotPermitted", lambda: put(client, vault.id, name, again))
        azure.clock.advance(61)
        assert put(client, vault.id, name, again).principal_id == other.principal_id


class TestABadAssignment:
    def test_has_a_name_that_is_no_guid(
        self, azure: AzureStandIn, client: Any, vault: Vault, identity: Identity
    ) -> None:
        refused("InvalidRoleAssignmentId", lambda: put(client, vault.id, "mine", wanted(azure, identity.principal_id)))
        refused("InvalidRoleAssignmentId", lambda: client.role_assignments.delete(vault.id, "mine"))

    def test_is_for_nobody(self, azure: AzureStandIn, client: Any, vault: Vault) -> None:
        for body in (wanted(azure, guid(), principalType=None), wanted(azure, guid(), principalType="Group")):
            refused("PrincipalNotFound", partial(put, client, vault.id, guid(), body))
        refused("InvalidPrincipalId", lambda: put(client, vault.id, guid(), wanted(azure, "billing")))

    def test_is_for_nobody_and_not_refused_when_it_says_the_type(
        self, azure: AzureStandIn, client: Any, vault: Vault
    ) -> None:
        application = azure.add_application("billing")
        made = put(client, vault.id, guid(), wanted(azure, application.app_id))
        assert client.role_assignments.get_by_id(made.id).principal_type == "Unknown"
        azure.behave(unknown_principals=False)
        refused("PrincipalNotFound", lambda: put(client, vault.id, guid(), wanted(azure, guid())))

    def test_is_for_an_application_instead_of_its_service_principal(
        self, azure: AzureStandIn, client: Any, vault: Vault
    ) -> None:
        application = azure.add_application("billing")
        body = wanted(azure, application.object_id)
        refused("PrincipalTypeNotSupported", lambda: put(client, vault.id, guid(), body))
        put(client, vault.id, guid(), wanted(azure, application.principal_id))

    def test_says_the_wrong_type_as_the_client_does_when_told_none(
        self, azure: AzureStandIn, client: Any, vault: Vault, identity: Identity
    ) -> None:
        body = wanted(azure, identity.principal_id)["properties"]
        role, principal = body["roleDefinitionId"], body["principalId"]
        model = {"role_definition_id": role, "principal_id": principal}
        refused("UnmatchedPrincipalType", lambda: client.role_assignments.create(vault.id, guid(), _model(model)))

    def test_names_no_role_that_there_is(
        self, azure: AzureStandIn, client: Any, vault: Vault, identity: Identity
    ) -> None:
        body = wanted(azure, identity.principal_id, guid())
        refused("RoleDefinitionDoesNotExist", lambda: put(client, vault.id, guid(), body))
        body = wanted(azure, identity.principal_id, roleDefinitionId=SECRETS_USER)
        refused("BadRequestFormat", lambda: put(client, vault.id, guid(), body))

    def test_has_a_condition_that_is_none(
        self, azure: AzureStandIn, client: Any, vault: Vault, identity: Identity
    ) -> None:
        body = wanted(azure, identity.principal_id, condition="sometimes", conditionVersion="2.0")
        refused("InvalidCondition", lambda: put(client, vault.id, guid(), body))
        body = wanted(azure, identity.principal_id, condition=ONLY_SECRETS_USER)
        refused("InvalidConditionVersion", lambda: put(client, vault.id, guid(), body))

    def test_is_at_a_secret_that_is_not_there_where_azure_looks(
        self, azure: AzureStandIn, client: Any, vault: Vault, identity: Identity
    ) -> None:
        scope = f"{vault.id}/secrets/later"
        azure.behave(missing_secret_scopes=False)
        refused("AuthorizationFailed", lambda: put(client, scope, guid(), wanted(azure, identity.principal_id)))
        azure.behave(missing_secret_scopes=True)
        assert put(client, scope, guid(), wanted(azure, identity.principal_id)).scope == scope


class TestADirectoryThatReplicates:
    def test_knows_a_new_identity_only_by_its_type(self, azure: AzureStandIn, client: Any, vault: Vault) -> None:
        azure.delay(principals=120)
        identity = azure.add_identity("new")
        untyped = wanted(azure, identity.principal_id, principalType=None)
        refused("PrincipalNotFound", lambda: put(client, vault.id, guid(), untyped))
        put(client, vault.id, guid(), wanted(azure, identity.principal_id))

    def test_does_not_know_a_new_group_at_all(self, azure: AzureStandIn, client: Any, vault: Vault) -> None:
        azure.delay(principals=120)
        group = wanted(azure, azure.add_group("people").id, principalType="Group")
        refused("PrincipalNotFound", lambda: put(client, vault.id, guid(), group))
        azure.clock.advance(121)
        put(client, vault.id, guid(), group)


class TestAList:
    def test_comes_in_pages_that_stay_whole_when_something_is_removed(
        self, azure: AzureStandIn, client: Any, vault: Vault
    ) -> None:
        azure.behave(page_size=2)
        names = {
            azure.grant(azure.add_identity(f"one-{n}").principal_id, SECRETS_USER, vault.id).name for n in range(5)
        }
        found: list[str] = []
        for each in client.role_assignments.list_for_scope(vault.id, filter="atScope()"):
            if not names & set(found) and each.name in names:
                azure.revoke(each.name)
            found.append(each.name)
        assert names <= set(found)
        assert len(azure.requests(method="GET", path="roleAssignments")) >= 3

    def test_looks_up_at_and_down_unless_filtered(
        self, azure: AzureStandIn, client: Any, vault: Vault, identity: Identity
    ) -> None:
        above = azure.grant(identity.principal_id, READER).name
        here = azure.grant(identity.principal_id, SECRETS_USER, vault.id).name
        below = azure.grant(identity.principal_id, SECRETS_USER, f"{vault.id}/secrets/one").name
        other = azure.grant(identity.principal_id, SECRETS_USER, azure.add_vault("kv-two").id).name

        def names(text: str | None = None) -> set[str]:
            return {each.name for each in client.role_assignments.list_for_scope(vault.id, filter=text)}

        assert {above, here, below} < names()
        assert other not in names()
        assert below not in names("atScope()")
        assert names(f"principalId eq '{identity.principal_id}'") == {above, here, below}
        assert names(f"atScope() and assignedTo('{identity.principal_id}')") == {above, here}

    def test_of_what_is_assigned_goes_through_groups_but_not_from_a_group(
        self, azure: AzureStandIn, client: Any, vault: Vault, identity: Identity
    ) -> None:
        inner = azure.add_group("inner", [identity.principal_id])
        outer = azure.add_group("outer", [inner.id])
        name = azure.grant(outer.id, SECRETS_USER, vault.id).name

        def names(principal: str) -> list[str]:
            return [
                each.name
                for each in client.role_assignments.list_for_scope(vault.id, filter=f"assignedTo('{principal}')")
            ]

        assert names(identity.principal_id) == [name]
        assert names(outer.id) == []

    def test_refuses_a_filter_that_azure_does_not_have(self, client: Any, vault: Vault) -> None:
        refused(
            "InvalidFilter",
            lambda: list(client.role_assignments.list_for_scope(vault.id, filter="description eq 'ours'")),
        )


class TestACaller:
    def test_needs_a_role_for_what_it_does(self, azure: AzureStandIn, vault: Vault, identity: Identity) -> None:
        stranger = _client_of(azure, CONTRIBUTOR)
        error = refused(
            "AuthorizationFailed", lambda: put(stranger, vault.id, guid(), wanted(azure, identity.principal_id))
        )
        assert error.status_code == 403
        assert list(stranger.role_assignments.list_for_scope(vault.id))

    def test_may_hand_out_what_its_delegation_says(self, azure: AzureStandIn, vault: Vault, identity: Identity) -> None:
        operator = _client_of(azure, RBAC_ADMINISTRATOR, condition=ONLY_SECRETS_USER)
        made = put(operator, vault.id, guid(), wanted(azure, identity.principal_id))
        refused(
            "AuthorizationFailed",
            lambda: put(operator, vault.id, guid(), wanted(azure, identity.principal_id, SECRETS_OFFICER)),
        )
        person = wanted(azure, azure.add_user("ann").id, principalType="User")
        error = refused("AuthorizationFailed", lambda: put(operator, vault.id, guid(), person))
        assert "ABAC condition" in str(error)
        foreign = azure.grant(identity.principal_id, SECRETS_OFFICER, vault.id)
        refused("AuthorizationFailed", lambda: operator.role_assignments.delete(vault.id, foreign.name))
        assert operator.role_assignments.delete_by_id(made.id) is not None

    def test_of_the_built_in_role_may_hand_out_vault_roles_alone(
        self, azure: AzureStandIn, vault: Vault, identity: Identity
    ) -> None:
        operator = _client_of(azure, DATA_ACCESS_ADMINISTRATOR)
        put(operator, vault.id, guid(), wanted(azure, identity.principal_id))
        refused(
            "AuthorizationFailed",
            lambda: put(operator, vault.id, guid(), wanted(azure, identity.principal_id, CONTRIBUTOR)),
        )

    def test_learns_what_it_may_do(self, azure: AzureStandIn, vault: Vault) -> None:
        operator = _client_of(azure, RBAC_ADMINISTRATOR, condition=ONLY_SECRETS_USER)
        held = list(
            operator.permissions.list_for_resource(
                GROUP, "Microsoft.KeyVault", f"vaults/{vault.name}", "secrets", "one"
            )
        )
        assert [each.actions for each in held] == [
            [
                "Microsoft.Authorization/roleAssignments/write",
                "Microsoft.Authorization/roleAssignments/delete",
                "*/read",
            ]
        ]

    def test_finds_a_role_by_its_name(self, azure: AzureStandIn, client: Any, vault: Vault) -> None:
        found = list(client.role_definitions.list(vault.id, filter="roleName eq 'Key Vault Secrets User'"))
        assert [each.name for each in found] == [SECRETS_USER]
        assert client.role_definitions.get(vault.id, SECRETS_USER).role_type == "BuiltInRole"

    def test_lists_roles_in_pages(self, azure: AzureStandIn, client: Any, vault: Vault) -> None:
        everything = {each.name for each in client.role_definitions.list(vault.id)}
        azure.behave(page_size=2)
        assert {each.name for each in client.role_definitions.list(vault.id)} == everything
        assert len(azure.requests(path="/roleDefinitions")) > len(everything) / 2


class TestLimits:
    def test_say_how_much_is_left_and_refuse_with_the_time_to_wait(
        self, azure: AzureStandIn, client: Any, vault: Vault
    ) -> None:
        azure.limit(reads=Rate(2, 0.5))
        seen: list[str] = []

        def look(response: Any) -> None:
            seen.append(response.http_response.headers.get("x-ms-ratelimit-remaining-subscription-reads", ""))

        ask: Callable[[], Any] = lambda: client.role_definitions.get(vault.id, SECRETS_USER, raw_response_hook=look)  # noqa: E731
        ask()
        ask()
        assert seen == ["1", "0"]
        error = refused("TooManyRequests", ask)
        assert error.status_code == 429
        assert azure.requests(service="arm")[-1].retry_after == "2"
        azure.clock.advance(2)
        ask()

    def test_of_one_principal_are_not_those_of_another(self, azure: AzureStandIn, vault: Vault) -> None:
        azure.limit(reads=Rate(1, 0.001))
        for _ in range(2):
            _client_of(azure, READER).role_definitions.get(vault.id, SECRETS_USER)

    def test_of_one_subscription_leave_the_others_alone(self, azure: AzureStandIn, client: Any, vault: Vault) -> None:
        other = azure.add_vault("kv-two", azure.add_subscription())
        caller = next(each.principal for each in azure.assignments() if each.scope.endswith(azure.subscription))
        azure.grant(caller, READER, f"/subscriptions/{other.subscription}")
        azure.throttle(seconds=40)
        refused("TooManyRequests", lambda: client.role_definitions.get(vault.id, SECRETS_USER))
        assert client.role_definitions.get(other.id, SECRETS_USER).name == SECRETS_USER
        assert azure.requests(service="arm")[0].retry_after == "40"

    def test_end_at_the_number_of_assignments_of_a_subscription(
        self, azure: AzureStandIn, client: Any, vault: Vault, identity: Identity
    ) -> None:
        usage = client.role_assignment_metrics.get_metrics_for_subscription()
        assert (usage.role_assignments_limit, usage.role_assignments_current_count) == (4000, 1)
        azure.quotas.assignments = 1
        refused(
            "RoleAssignmentLimitExceeded", lambda: put(client, vault.id, guid(), wanted(azure, identity.principal_id))
        )


class TestTheDoor:
    def test_refuses_a_version_that_azure_does_not_have(self, client: Any, vault: Vault) -> None:
        ask = lambda: client.role_assignments.list_for_scope(vault.id, api_version="2099-01-01").next()  # noqa: E731
        refused("NoRegisteredProviderFound", ask)

    def test_refuses_subscriptions_that_are_not_there(self, client: Any) -> None:
        refused("SubscriptionNotFound", lambda: client.role_assignments.get(f"/subscriptions/{guid()}", guid()))
        refused("InvalidSubscriptionId", lambda: client.role_assignments.get("/subscriptions/mine", guid()))

    def test_takes_no_token_after_its_time(self, azure: AzureStandIn, client: Any, vault: Vault) -> None:
        client.role_definitions.get(vault.id, SECRETS_USER)
        azure.clock.advance(3600)
        with pytest.raises(HttpResponseError) as caught:
            client.role_definitions.get(vault.id, SECRETS_USER)
        assert caught.value.status_code == 401

    def test_fails_as_a_test_wants_it_to(
        self, azure: AzureStandIn, client: Any, vault: Vault, identity: Identity
    ) -> None:
        azure.fail_next(409, "HashConflictOnDifferentRoleAssignmentIds", method="PUT")
        body, name = wanted(azure, identity.principal_id), guid()
        refused("HashConflictOnDifferentRoleAssignmentIds", lambda: put(client, vault.id, name, body))
        azure.cut_next(method="PUT")
        with pytest.raises(NO_ANSWER):
            put(client, vault.id, name, body)
        assert name not in [each.name for each in azure.assignments(vault.id)]
        azure.cut_next(method="PUT", lose_answer=True)
        with pytest.raises(NO_ANSWER):
            put(client, vault.id, name, body)
        assert name in [each.name for each in azure.assignments(vault.id)]
        put(client, vault.id, name, body)

    def test_takes_no_token_of_another_tenant(self, azure: AzureStandIn, vault: Vault) -> None:
        with AzureStandIn() as other:
            token = clients.login_with(other, OWNER).get_token("https://management.azure.com/.default").token
        answer = clients.get(azure, f"{azure.url}{vault.id}?api-version=2024-11-01", token)
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "InvalidAuthenticationTokenTenant")

    def test_sees_the_version_that_the_client_mixes_up_in_the_middle_of_a_list(
        self, azure: AzureStandIn, client: Any, vault: Vault, identity: Identity
    ) -> None:
        azure.behave(page_size=1)
        azure.grant(identity.principal_id, SECRETS_USER, vault.id)
        pages = client.role_assignments.list_for_scope(vault.id)
        next(pages)
        assert client.role_eligibility_schedules is not None
        refused("NoRegisteredProviderFound", lambda: next(pages))


def _client_of(azure: AzureStandIn, role: str, condition: str = "") -> Any:
    return clients.authorization(azure, clients.login_with(azure, role, condition))


def _model(fields: dict[str, str]) -> Any:
    from azure.mgmt.authorization.v2022_04_01.models import RoleAssignmentCreateParameters

    return RoleAssignmentCreateParameters(
        role_definition_id=fields["role_definition_id"], principal_id=fields["principal_id"]
    )
