"""The operator hands out and takes back the backend's role alone; what carries our mark under another is left."""

from __future__ import annotations

from airwarden.domain.resources import Action
from airwarden.providers.azure.naming import ASSIGNMENT, CREDENTIAL, IDENTITY
from airwarden.providers.azure.store import AzureStore
from contract.azure.bench import Bench, changes, create, remove
from stand_ins.azure.roles import SECRETS_OFFICER
from stand_ins.azure.stand_in import AzureStandIn


async def test_one_of_another_role_with_our_mark_keeps_nothing_from_being_set_right_or_removed(
    azure: AzureStandIn, bench: Bench, store: AzureStore
) -> None:
    wanted = bench.grant("airflow-a")
    recorded = await create(bench, store, wanted)
    (made,) = azure.assignments(f"{store.place.vault_id}/secrets")
    stranger = azure.add_identity("stranger")
    byhand = azure.grant(stranger.principal_id, SECRETS_OFFICER, made.scope, description=str(made.description))
    azure.clock.advance(store.place.drift_age + 1)
    found = await changes(store, wanted, recorded)
    assert (found.operations, found.conflicts) == ((), ())
    assert await remove(bench, store, wanted.owner, recorded) == [
        (Action.DELETE, ASSIGNMENT),
        (Action.DELETE, CREDENTIAL),
        (Action.DELETE, IDENTITY),
    ]
    assert azure.assignments(f"{store.place.vault_id}/secrets") == [byhand]
