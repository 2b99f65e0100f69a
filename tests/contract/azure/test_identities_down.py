"""What a binding reads in the vault is taken from it whatever is wrong with the identities."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from airwarden.domain.diff import Terms, diff
from airwarden.domain.errors import AirwardenError, Forbidden, StoreFailed
from airwarden.domain.resources import Action, Claim, Observed, Operation
from airwarden.providers.azure.naming import ASSIGNMENT, CREDENTIAL, IDENTITY
from airwarden.providers.azure.store import AzureStore
from airwarden.reconcile import parts
from contract.azure.bench import Bench, create, remove, write
from stand_ins.azure.stand_in import AzureStandIn

Opening = Callable[[AzureStore], AzureStore]


@pytest.fixture
def apart(azure: AzureStandIn, bench: Bench, opening: Opening) -> AzureStore:
    """Return a store whose identities have a resource group of their own."""
    with azure.world() as world:
        world.subscriptions[azure.subscription]["ids"] = "ids"
    identities = {**bench.body()["spec"]["azureKeyVault"]["identities"], "resourceGroup": "ids"}
    bench.allow(identities=identities)
    return opening(bench.open(identities=identities))


async def test_what_is_assigned_goes_with_the_resource_group_of_the_identities_gone(
    azure: AzureStandIn, bench: Bench, apart: AzureStore
) -> None:
    wanted = bench.grant("airflow-a")
    recorded = await create(bench, apart, wanted)
    azure.clock.advance(600)
    with azure.world() as world:
        world.subscriptions[azure.subscription].pop("ids")
        world.identities = {name: each for name, each in world.identities.items() if "/ids/" not in name}
    (holding,) = await apart.holdings()
    assert holding.owner == wanted.owner
    assert await remove(bench, apart, wanted.owner, recorded) == [(Action.DELETE, ASSIGNMENT)]
    assert azure.assignments(f"{apart.place.vault_id}/secrets") == []


async def test_what_is_assigned_goes_while_the_identities_may_not_be_looked_at(
    azure: AzureStandIn, bench: Bench, apart: AzureStore
) -> None:
    wanted = bench.grant("airflow-a", "airflow-b")
    recorded = await create(bench, apart, wanted)
    azure.clock.advance(600)
    azure.fail_next(403, "AuthorizationFailed", "no", path="userassignedidentities", times=100)
    order = apart.addresses(wanted.owner, recorded)
    runtime = cast("Any", SimpleNamespace(store=apart, identified=True))
    with pytest.raises(Forbidden):
        await parts._ask(runtime, wanted.owner, order, known=True, removing=False)
    seen = await parts._ask(runtime, wanted.owner, order, known=True, removing=True)
    found = diff((), seen, recorded, order, Terms(str(wanted.owner), alone=apart.alone))
    assert [each.address.kind for each in found.operations] == [ASSIGNMENT, ASSIGNMENT, CREDENTIAL, IDENTITY]
    assert not found.gone
    with pytest.raises(AirwardenError):
        await write(bench, apart, found)
    assert azure.assignments(f"{apart.place.vault_id}/secrets") == []


async def test_an_assignment_that_lost_its_mark_is_not_forgotten_meanwhile(
    azure: AzureStandIn, bench: Bench, apart: AzureStore
) -> None:
    recorded = await create(bench, apart, bench.grant("airflow-a"))
    with azure.world() as world:
        for made in world.assignments.values():
            if made.scope.endswith("/airflow-a"):
                object.__setattr__(made, "description", "by hand")
    azure.clock.advance(600)
    azure.fail_next(403, "AuthorizationFailed", "no", path="userassignedidentities", times=100)
    assignments = [each for each in recorded if each.kind == ASSIGNMENT]
    with pytest.raises(Forbidden):
        await apart.observe(bench.grant().owner, assignments, known=True)


@pytest.mark.parametrize("kind", [IDENTITY, CREDENTIAL])
async def test_what_could_not_be_looked_at_and_is_another_owner_s_by_now_stays(
    azure: AzureStandIn, bench: Bench, apart: AzureStore, kind: str
) -> None:
    recorded = await create(bench, apart, bench.grant("airflow-a"))
    with azure.world() as world:
        identity = next(each for each in world.identities.values() if each.name.startswith("airwarden-"))
        identity.tags = {"airwarden.dev-owner": "c9/other/x/y", "airwarden.dev-cluster-uid": "another"}
    address = next(each for each in recorded if each.kind == kind)
    unseen = Observed(address, {}, Claim.OURS)
    with pytest.raises(StoreFailed, match="not removed"):
        await apart.apply(Operation(Action.DELETE, address, None, unseen))
    with azure.world() as world:
        assert len(world.identities[identity.id.lower()].credentials) == 1
