"""What goes wrong in Azure is told apart, is never slept over, and never ends in something that is not ours."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from airwarden.domain.diff import diff
from airwarden.domain.errors import (
    AirwardenError,
    Forbidden,
    InvalidSettings,
    MountMissing,
    NotOwned,
    Rejected,
    StoreFailed,
    Throttled,
    Unauthorized,
    Unreachable,
)
from airwarden.domain.resources import Action
from airwarden.providers.azure.answers import PrincipalInvalid, PrincipalNotFound, QuotaReached
from airwarden.providers.azure.identities import IdentityNotFound, NotYet
from airwarden.providers.azure.naming import ASSIGNMENT, CREDENTIAL
from airwarden.providers.azure.rows import name_of
from airwarden.providers.azure.store import AzureStore, IdentityNotGiven
from airwarden.providers.azure.vault import VaultMissing, VaultNotInRBACMode, VaultSoftDeleted
from contract.azure.bench import ISSUER, OPERATOR, VAULT, Bench, changes, create, remove, write
from stand_ins.azure.limits import Rate
from stand_ins.azure.roles import SECRETS_USER
from stand_ins.azure.stand_in import GROUP, AzureStandIn

Opening = Callable[[AzureStore], AzureStore]


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return for how long anybody sleeps from now on, Azure's clients included."""
    found: list[float] = []
    sleep = asyncio.sleep

    async def noted(delay: float, result: object = None) -> object:
        found.append(delay)
        return await sleep(delay, result)

    monkeypatch.setattr(asyncio, "sleep", noted)
    return found


def assigned(azure: AzureStandIn, store: AzureStore) -> int:
    return len(azure.assignments(f"{store.place.vault_id}/secrets"))


async def test_a_vault_that_decides_by_access_policies_is_refused_with_the_step_to_take(
    azure: AzureStandIn, bench: Bench, store: AzureStore
) -> None:
    azure.change_vault(VAULT, rbac=False)
    with pytest.raises(VaultNotInRBACMode, match="--enable-rbac-authorization true"):
        await store.check()
    with pytest.raises(VaultNotInRBACMode):
        await create(bench, store, bench.grant("airflow-a"))
    assert assigned(azure, store) == 0
    assert azure.requests(service="arm", method="PUT") == []


async def test_a_soft_deleted_vault_is_told_from_a_missing_one(
    azure: AzureStandIn, bench: Bench, store: AzureStore
) -> None:
    azure.delete_vault(VAULT)
    with pytest.raises(VaultSoftDeleted, match="az keyvault recover"):
        await store.check()


async def test_a_vault_in_another_group_or_subscription_is_said_to_be_there(
    azure: AzureStandIn, bench: Bench, opening: Opening
) -> None:
    def place(**where: str) -> dict[str, Any]:
        body: dict[str, Any] = bench.body()["spec"]["azureKeyVault"]
        return {"vault": {**body["vault"], **where}}

    azure.grant(bench.operator.principal_id, "acdd72a7-3385-48ef-bd42-f606fba81ae7")
    other = azure.add_subscription(groups=[GROUP, "elsewhere"])
    azure.grant(bench.operator.principal_id, "acdd72a7-3385-48ef-bd42-f606fba81ae7", f"/subscriptions/{other}")
    with azure.world() as world:
        world.subscriptions[azure.subscription]["elsewhere"] = "elsewhere"
    with pytest.raises(VaultMissing, match=f"another resource group: its id is .*/{GROUP}/"):
        await opening(bench.open(**place(resourceGroup="elsewhere"))).check()
    with pytest.raises(VaultMissing, match="in another subscription"):
        await opening(bench.open(**place(subscriptionID=other))).check()


@pytest.mark.parametrize("closed", [{"firewalled": True}, {"public": False}])
async def test_a_vault_behind_a_firewall_can_be_used_and_says_so(
    azure: AzureStandIn, bench: Bench, store: AzureStore, closed: dict[str, bool]
) -> None:
    assert (await store.check()).notes == ()
    azure.change_vault(VAULT, **closed)
    (note,) = (await store.check()).notes
    assert note.reason.word == "NetworkRestricted"


async def test_a_quota_that_is_nearly_full_is_said_and_a_full_one_changes_nothing(
    azure: AzureStandIn, bench: Bench, opening: Opening
) -> None:
    for _ in range(10):
        azure.grant(azure.add_user("somebody").id, SECRETS_USER)
    with azure.world() as world:
        used = len(world.assignments)
    azure.quotas.assignments = used + 1
    (note,) = (await opening(bench.open()).check()).notes
    assert note.reason.word == "QuotaNear"
    assert "role assignments" in note.message
    second = opening(bench.open())
    with pytest.raises(QuotaReached):
        await create(bench, second, bench.grant("airflow-a", "airflow-b"))
    assert assigned(azure, second) == 1


@pytest.mark.parametrize(("used", "told"), [(79, []), (80, ["more than 79 of 100 role assignments"])])
async def test_four_fifths_of_a_subscriptions_assignments_are_near_its_limit_and_fewer_are_not(
    azure: AzureStandIn, store: AzureStore, used: int, told: list[str]
) -> None:
    with azure.world() as world:
        there = len(world.assignments)
    azure.quotas.assignments = 100
    for _ in range(used - there):
        azure.grant(azure.add_user("somebody").id, SECRETS_USER)
    notes = (await store.check()).notes
    assert [each.message.partition(" has ")[2] for each in notes] == told


@pytest.mark.parametrize(("others", "told"), [(14, []), (15, ["16 of 20 federated credentials"])])
async def test_four_fifths_of_an_identitys_credentials_are_said_while_there_is_room_left(
    azure: AzureStandIn, bench: Bench, opening: Opening, others: int, told: list[str]
) -> None:
    shared = azure.add_identity("shared")
    for number in range(others):
        azure.federate(shared, "https://other.example", f"system:serviceaccount:team:other-{number}")
    identities = {
        **bench.body()["spec"]["azureKeyVault"]["identities"],
        "existing": [{"namespace": "team", "serviceAccount": "billing", "name": "shared"}],
    }
    store = opening(bench.open(identities=identities))
    recorded = await create(bench, store, bench.grant("airflow-a"))
    await changes(store, bench.grant("airflow-a"), recorded)
    notes = (await store.check()).notes
    assert [each.message.partition(" has ")[2] for each in notes] == told
    assert {each.reason.word for each in notes} <= {"QuotaNear"}


async def test_what_a_login_lacks_is_named(azure: AzureStandIn, bench: Bench, opening: Opening) -> None:
    assert (await opening(bench.open()).check()).missing_permissions == ()
    with azure.world() as world:
        world.assignments = {
            name: each for name, each in world.assignments.items() if "resourceGroups" not in each.scope
        }
    found = await opening(bench.open()).check()
    assert "Microsoft.ManagedIdentity/userAssignedIdentities/write" in "".join(found.missing_permissions)
    assert "azure-setup" in found.remedy


async def test_a_full_identity_is_told_before_azure_refuses(
    azure: AzureStandIn, bench: Bench, opening: Opening
) -> None:
    shared = azure.add_identity("shared")
    identities = {
        **bench.body()["spec"]["azureKeyVault"]["identities"],
        "existing": [{"namespace": "team", "serviceAccount": "billing", "name": "shared"}],
    }
    for number in range(20):
        azure.federate(shared, "https://other.example", f"system:serviceaccount:team:other-{number}")
    store = opening(bench.open(identities=identities))
    azure.forget_requests()
    with pytest.raises(QuotaReached, match="Azure permits 20"):
        await create(bench, store, bench.grant("airflow-a"))
    assert azure.requests(method="PUT") == []
    (note,) = (await store.check()).notes
    assert "20 of 20 federated credentials" in note.message


async def test_an_existing_identity_is_used_and_never_removed(
    azure: AzureStandIn, bench: Bench, opening: Opening
) -> None:
    theirs = azure.add_identity("id-billing")
    identities = {
        "subscriptionID": azure.subscription,
        "resourceGroup": GROUP,
        "existing": [{"namespace": "team", "serviceAccount": "billing", "name": "id-billing"}],
    }
    store = opening(bench.open(identities=identities))
    wanted = bench.grant("airflow-a")
    recorded = await create(bench, store, wanted)
    (made,) = azure.assignments(f"{store.place.vault_id}/secrets")
    assert made.principal == theirs.principal_id
    assert await remove(bench, store, wanted.owner, recorded) == [
        (Action.DELETE, ASSIGNMENT),
        (Action.DELETE, CREDENTIAL),
    ]
    with azure.world() as world:
        assert theirs.id.lower() in world.identities
    assert theirs.credentials == {}
    with pytest.raises(IdentityNotGiven, match=r"identities\.location"):
        await create(bench, store, bench.grant("airflow-a", binding="other", account="other"))
    azure.remove_identity(theirs)
    with pytest.raises(IdentityNotFound, match="id-billing"):
        await create(bench, opening(bench.open(identities=identities)), wanted)


async def test_a_credential_that_somebody_made_for_the_same_account_is_not_touched(
    azure: AzureStandIn, bench: Bench, opening: Opening
) -> None:
    theirs = azure.add_identity("id-billing")
    azure.federate(theirs, ISSUER, "system:serviceaccount:team:billing")
    identities = {
        "subscriptionID": azure.subscription,
        "resourceGroup": GROUP,
        "existing": [{"namespace": "team", "serviceAccount": "billing", "name": "id-billing"}],
    }
    store = opening(bench.open(identities=identities))
    found = await changes(store, bench.grant("airflow-a"))
    (conflict,) = found.conflicts
    assert "by-hand" in conflict.message
    assert found.operations == ()


async def test_credentials_of_one_identity_are_written_apart_and_nobody_sleeps_meanwhile(
    azure: AzureStandIn, bench: Bench, store: AzureStore, slept: list[float]
) -> None:
    azure.limit(credentials=Rate(1, 0.25))
    wanted = bench.grant("airflow-a")
    recorded = await create(bench, store, wanted)
    order = store.addresses(wanted.owner, recorded)
    seen = await store.observe(wanted.owner, order, known=True)
    removal = next(each for each in diff((), seen, recorded, order).operations if each.address.kind == CREDENTIAL)
    with pytest.raises(NotYet) as caught:
        await store.apply(removal)
    assert 3 < (caught.value.retry_after or 0) <= 4.5
    azure.clock.advance(caught.value.retry_after or 0)
    await store.apply(removal)
    writes = [each for each in azure.requests(path="federatedIdentityCredentials") if each.method != "GET"]
    assert [(each.method, each.status) for each in writes] == [("PUT", 201), ("DELETE", 200)]
    assert max(slept, default=0.0) < 1


async def test_a_subscription_that_asks_for_a_pause_gets_it_and_no_other_is_slowed(
    azure: AzureStandIn, bench: Bench, opening: Opening, slept: list[float]
) -> None:
    other = azure.add_subscription(groups=[GROUP])
    identities = {**bench.body()["spec"]["azureKeyVault"]["identities"], "subscriptionID": other}
    bench.allow(identities=identities)
    store = opening(bench.open(identities=identities))
    wanted = bench.grant("airflow-a")
    recorded = await create(bench, store, wanted)
    azure.clock.advance(store.place.drift_age + 1)
    azure.throttle(azure.subscription, 30)
    order = store.addresses(wanted.owner, recorded)
    assignments = [each for each in order if each.kind == ASSIGNMENT]
    with pytest.raises(Throttled) as caught:
        await store.observe(wanted.owner, assignments, known=True)
    assert caught.value.retry_after is not None
    assert 25 < caught.value.retry_after <= 30
    azure.forget_requests()
    with pytest.raises(Throttled):
        await store.observe(wanted.owner, assignments, known=True)
    assert azure.requests(path="kv-one") == [], "it is left alone until then"
    await store.observe(wanted.owner, [each for each in order if each.kind != ASSIGNMENT], known=True)
    assert {each.status for each in azure.requests(path=other)} == {200}
    assert max(slept, default=0.0) < 1
    azure.clock.advance(31)
    assert (await changes(store, wanted, recorded)).operations == ()
    assert bench.limits["kv", "subscription-reads"] > 0


async def test_what_waits_when_a_subscription_asks_for_a_pause_is_not_sent(
    azure: AzureStandIn, store: AzureStore
) -> None:
    await store.check()
    azure.forget_requests()
    azure.throttle(azure.subscription, 60)
    scope, most = f"{store.place.vault_id}/secrets/airflow-a", store._connection.max_concurrent
    looks = (store._assignments.live(scope, f"00000000-0000-4000-8000-{each:012d}") for each in range(5 * most))
    outcomes = await asyncio.gather(*looks, return_exceptions=True)
    assert all(isinstance(each, Throttled) and (each.retry_after or 0) > 0 for each in outcomes)
    assert len(azure.requests(service="arm")) <= most, "those that were under way already"


async def test_a_retry_after_of_a_failing_azure_is_passed_on_and_not_slept(
    azure: AzureStandIn, bench: Bench, store: AzureStore, slept: list[float]
) -> None:
    azure.fail_next(503, "ServiceUnavailable", "later", path="roleAssignments", retry_after=60)
    with pytest.raises(StoreFailed) as caught:
        await changes(store, bench.grant("airflow-a"))
    assert caught.value.retry_after == 60.0
    assert max(slept, default=0.0) < 1
    assert len(azure.requests(path="roleAssignments")) == 1


async def test_a_provider_that_is_not_registered_is_neither_registered_nor_waited_for(
    azure: AzureStandIn, bench: Bench, store: AzureStore
) -> None:
    azure.fail_next(409, "MissingSubscriptionRegistration", "not registered", method="PUT")
    with pytest.raises(InvalidSettings, match="az provider register"):
        await create(bench, store, bench.grant("airflow-a"))
    assert azure.requests(path="register") == []


async def test_each_page_of_a_list_is_asked_for_in_one_version_whatever_else_is_asked(
    azure: AzureStandIn, bench: Bench, store: AzureStore
) -> None:
    azure.behave(page_size=1)
    wanted = bench.grant("airflow-a", "airflow-b")
    recorded = await create(bench, store, wanted)
    assert (await changes(store, wanted, recorded, known=False)).operations == ()
    pages = azure.requests(method="GET", path="/roleAssignments")
    assert len(pages) > 2
    assert {each.query["api-version"] for each in pages} == {"2022-04-01"}


async def test_a_vault_that_is_gone_took_its_assignments_with_it(
    azure: AzureStandIn, bench: Bench, store: AzureStore
) -> None:
    wanted = bench.grant("airflow-a")
    recorded = await create(bench, store, wanted)
    azure.delete_vault(VAULT)
    azure.clock.advance(store.place.drift_age + 1)
    owner = wanted.owner
    order = store.addresses(owner, recorded)
    with pytest.raises(MountMissing):
        await store.observe(owner, order, known=True)
    for address in order[1:]:
        assert not (await store.observe(owner, (address,), known=True))[address].absent


async def test_a_removal_under_way_when_the_vault_goes_is_done(
    azure: AzureStandIn, bench: Bench, store: AzureStore
) -> None:
    wanted = bench.grant("airflow-a")
    recorded = await create(bench, store, wanted)
    order = store.addresses(wanted.owner, recorded)
    seen = await store.observe(wanted.owner, order, known=True)
    planned = diff((), seen, recorded, order)
    azure.delete_vault(VAULT)
    await write(bench, store, planned)
    assert await store.observe(wanted.owner, order[1:], known=False)
    with azure.world() as world:
        assert not any(each.name.startswith("airwarden-") for each in world.identities.values())


async def test_a_right_that_is_missing_is_not_taken_for_a_vault_that_is_gone(
    azure: AzureStandIn, bench: Bench, store: AzureStore
) -> None:
    wanted = bench.grant("airflow-a")
    recorded = await create(bench, store, wanted)
    with azure.world() as world:
        world.assignments = {
            name: each for name, each in world.assignments.items() if each.principal != bench.operator.principal_id
        }
    azure.clock.advance(store.place.drift_age + 1)
    with pytest.raises(Forbidden):
        await remove(bench, store, wanted.owner, recorded)
    assert assigned(azure, store) == 1


async def test_a_removal_that_is_forbidden_is_not_taken_for_done(
    azure: AzureStandIn, bench: Bench, store: AzureStore
) -> None:
    wanted = bench.grant("airflow-a")
    recorded = await create(bench, store, wanted)
    azure.fail_next(403, "AuthorizationFailed", "no", method="DELETE", path="roleAssignments")
    with pytest.raises(Forbidden):
        await remove(bench, store, wanted.owner, recorded)
    assert assigned(azure, store) == 1


async def test_a_removal_under_a_lock_says_so_and_is_tried_again(
    azure: AzureStandIn, bench: Bench, store: AzureStore
) -> None:
    wanted = bench.grant("airflow-a")
    recorded = await create(bench, store, wanted)
    azure.lock_scope(store.place.vault_id)
    with pytest.raises(StoreFailed, match="ScopeLocked"):
        await remove(bench, store, wanted.owner, recorded)


async def test_an_assignment_that_changed_since_it_was_seen_is_not_removed(
    azure: AzureStandIn, bench: Bench, store: AzureStore
) -> None:
    wanted = bench.grant("airflow-a")
    recorded = await create(bench, store, wanted)
    (made,) = azure.assignments(f"{store.place.vault_id}/secrets")
    with azure.world() as world:
        world.assignments[made.name] = replace(made, description="taken over by somebody")
    with pytest.raises(StoreFailed, match="changed since"):
        await remove(bench, store, wanted.owner, recorded)
    assert assigned(azure, store) == 1


@pytest.mark.parametrize(
    ("status", "code", "error", "said"),
    [
        (400, "PrincipalNotFound", PrincipalNotFound, "only new to Entra"),
        (400, "UnmatchedPrincipalType", PrincipalInvalid, "never that of a person"),
        (400, "PrincipalTypeNotSupported", PrincipalInvalid, "enterprise applications"),
        (400, "RoleAssignmentLimitExceeded", QuotaReached, "RoleAssignmentLimitExceeded"),
        (403, "LinkedAuthorizationFailed", Forbidden, "azure-setup"),
        (500, "InternalServerError", StoreFailed, "InternalServerError"),
    ],
)
async def test_each_documented_refusal_of_an_assignment_has_its_own_word(
    azure: AzureStandIn,
    bench: Bench,
    store: AzureStore,
    status: int,
    code: str,
    error: type[AirwardenError],
    said: str,
) -> None:
    azure.fail_next(status, code, "no", method="PUT", path="roleAssignments")
    with pytest.raises(error, match=said):
        await create(bench, store, bench.grant("airflow-a"))


async def test_a_name_that_azure_still_holds_for_something_else_is_given_up_for_another(
    azure: AzureStandIn, bench: Bench, store: AzureStore
) -> None:
    azure.fail_next(400, "RoleAssignmentUpdateNotPermitted", "no", method="PUT", path="roleAssignments")
    wanted = bench.grant("airflow-a")
    recorded = await create(bench, store, wanted)
    (made,) = azure.assignments(f"{store.place.vault_id}/secrets")
    assert made.name == name_of(made.scope, made.principal, SECRETS_USER, again=True)
    assert (await changes(store, wanted, recorded)).operations == ()


async def test_a_name_whose_hash_azure_has_for_another_is_given_up_too(
    azure: AzureStandIn, bench: Bench, store: AzureStore
) -> None:
    code = "HashConflictOnDifferentRoleAssignmentIds"
    azure.fail_next(400, code, "use a new GUID", method="PUT", path="roleAssignments")
    await create(bench, store, bench.grant("airflow-a"))
    (made,) = azure.assignments(f"{store.place.vault_id}/secrets")
    assert made.name == name_of(made.scope, made.principal, SECRETS_USER, again=True)


async def test_an_assignment_whose_name_azure_calls_no_name_is_not_there_to_be_removed(
    azure: AzureStandIn, bench: Bench, store: AzureStore
) -> None:
    wanted = bench.grant("airflow-a")
    recorded = await create(bench, store, wanted)
    azure.fail_next(400, "AnotherComplaint", "no", method="DELETE", path="roleAssignments")
    with pytest.raises(Rejected, match="AnotherComplaint"):
        await remove(bench, store, wanted.owner, recorded)
    azure.fail_next(400, "InvalidRoleAssignmentId", "no GUID", method="DELETE", path="roleAssignments")
    assert (Action.DELETE, ASSIGNMENT) in await remove(bench, store, wanted.owner, recorded)


async def test_a_credential_that_is_written_beside_another_comes_back_in_a_moment(
    azure: AzureStandIn, bench: Bench, store: AzureStore
) -> None:
    code = "ConcurrentFederatedIdentityCredentialsWritesForSingleManagedIdentity"
    azure.fail_next(409, code, "one at a time", method="PUT", path="federatedIdentityCredentials")
    with pytest.raises(StoreFailed, match=code) as caught:
        await create(bench, store, bench.grant("airflow-a"))
    assert caught.value.retryable
    assert caught.value.retry_after == 5.0
    azure.clock.advance(10)
    await write(bench, store, await changes(store, bench.grant("airflow-a"), known=False))


async def test_old_replies_without_the_id_of_the_other_assignment_are_understood_too(
    azure: AzureStandIn, bench: Bench, store: AzureStore
) -> None:
    azure.behave(old_conflicts=True)
    wanted = bench.grant("airflow-a")
    found = await changes(store, wanted)
    await write(bench, store, replace(found, operations=found.operations[:2]))
    with azure.world() as world:
        identity = next(each for each in world.identities.values() if each.name.startswith("airwarden-"))
    theirs = azure.grant(identity.principal_id, SECRETS_USER, f"{store.place.vault_id}/secrets/airflow-a")
    with pytest.raises(NotOwned, match=theirs.name):
        await store.apply(found.operations[2])


async def test_a_token_that_is_refused_is_replaced_once(azure: AzureStandIn, bench: Bench, store: AzureStore) -> None:
    await store.check()
    tokens = len(azure.requests(service="entra"))
    azure.fail_next(401, "ExpiredAuthenticationToken", "expired", path="vaults/kv-one")
    await store.check()
    assert len(azure.requests(service="entra")) == tokens + 1
    azure.fail_next(401, "InvalidAuthenticationToken", "bad", path="vaults/kv-one", times=2)
    with pytest.raises(Unauthorized, match="InvalidAuthenticationToken"):
        await store.check()


async def test_a_token_file_that_was_rotated_is_read_at_once(
    azure: AzureStandIn, bench: Bench, store: AzureStore
) -> None:
    good = bench.token.read_text()
    bench.token.write_text(bench.issuer.token(OPERATOR, expires=time.time() - 3600))
    with pytest.raises(Unauthorized, match="AADSTS") as caught:
        await store.check()
    assert "Trace ID" not in caught.value.message
    assert good not in caught.value.message
    bench.token.write_text(good)
    await store.check()


async def test_a_login_file_that_is_missing_or_empty_is_named_and_not_shown(bench: Bench, store: AzureStore) -> None:
    bench.token.write_text("")
    with pytest.raises(InvalidSettings, match=r"azure .*is empty"):
        await store.check()
    bench.token.unlink()
    with pytest.raises(InvalidSettings, match="no file azure"):
        await store.check()


async def test_an_azure_that_does_not_answer_is_unreachable(bench: Bench, opening: Opening) -> None:
    with pytest.raises(Unreachable):
        await opening(bench.open(authority="https://127.0.0.1:1", resourceManager="https://127.0.0.1:1")).check()
