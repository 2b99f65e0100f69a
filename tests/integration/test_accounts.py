"""Service accounts: one belongs to one binding, none is adopted, and one made by somebody else gets nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from integration.conftest import MakeBackend, MakeBinding
from integration.objects import account_path
from integration.world import World, eventually
from plane.errors import PlaneHTTPError


@contextmanager
def paused(world: World) -> Iterator[None]:
    """Freeze the operator, so that what is done meanwhile is seen by it all at once."""
    world.operator.pause()
    try:
        yield
    finally:
        world.operator.resume()


def test_the_default_account_is_refused(backend: MakeBackend, binding: MakeBinding, team: str) -> None:
    with pytest.raises(PlaneHTTPError, match="the account default is shared by every pod"):
        binding(team, backend(), account="default")


@pytest.mark.parametrize("labels", [{}, {"app.kubernetes.io/managed-by": "airwarden"}])
def test_an_account_of_somebody_else_is_not_touched_and_gets_nothing_in_vault(
    world: World, backend: MakeBackend, binding: MakeBinding, team: str, labels: dict[str, str]
) -> None:
    world.create(account_path(team), {"metadata": {"name": "worker", "labels": labels}})
    before = world.get(account_path(team, "worker"))
    made = binding(team, backend(), account="worker")
    ready = made.wait_refused("NotOwned")
    assert f"service account {team}/worker was not made by Airwarden" in ready["message"]
    assert made.conditions()["Stalled"]["status"] == "True"
    assert (world.policy(made.store_name), world.role(made.store_name)) == (None, None)
    made.delete()
    made.wait_gone()
    assert world.get(account_path(team, "worker")) == before


def test_the_account_of_another_binding_is_taken_until_that_one_goes(
    world: World, backend: MakeBackend, binding: MakeBinding, team: str
) -> None:
    world.write_secret(f"{team}/connections/warehouse")
    store = backend()
    first = binding(team, store, account="shared-account")
    first.wait_ready()
    second = binding(team, store, account="shared-account")
    ready = second.wait_refused("ServiceAccountTaken")
    assert f"belongs to binding {first.name}" in ready["message"]
    assert (world.policy(second.store_name), world.role(second.store_name)) == (None, None)
    token = first.login()
    first.wait_ready()
    first.delete()
    first.wait_gone()
    second.wait_ready()
    assert not world.may_read(token, f"{team}/connections/warehouse")
    assert world.may_read(second.login(), f"{team}/connections/warehouse")


def test_an_account_that_somebody_deletes_and_makes_again_loses_its_access(
    world: World, backend: MakeBackend, binding: MakeBinding, team: str
) -> None:
    key = f"{team}/connections/warehouse"
    world.write_secret(key)
    made = binding(team, backend())
    made.wait_ready()
    token = made.login()
    with paused(world):
        world.delete(account_path(team, made.account))
        world.create(account_path(team), {"metadata": {"name": made.account}})
        before = made.service_account()
    eventually("the live token is cut", lambda: not world.may_read(token, key))
    made.wait_refused("NotOwned")
    assert (world.policy(made.store_name), world.role(made.store_name)) == (None, None)
    with pytest.raises(PlaneHTTPError, match="invalid role name"):
        made.login()
    made.delete()
    made.wait_gone()
    assert made.service_account() == before


def test_an_account_without_its_labels_still_goes_with_its_binding(
    world: World, backend: MakeBackend, binding: MakeBinding, team: str
) -> None:
    made = binding(team, backend())
    made.wait_ready()
    with paused(world):
        world.merge(account_path(team, made.account), {"metadata": {"labels": None}})
        made.delete()
    made.wait_gone()
    assert made.service_account() is None


def test_an_account_made_again_by_somebody_outlives_the_binding(
    world: World, backend: MakeBackend, binding: MakeBinding, team: str
) -> None:
    made = binding(team, backend())
    made.wait_ready()
    with paused(world):
        world.delete(account_path(team, made.account))
        world.create(account_path(team), {"metadata": {"name": made.account}})
        before = made.service_account()
        made.delete()
    made.wait_gone()
    assert made.service_account() == before
    assert (world.policy(made.store_name), world.role(made.store_name)) == (None, None)
