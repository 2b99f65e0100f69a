"""`examples/azure` from nothing to a read and back: real API server, operator and Airflow; only Azure is played.

A token of the real API server goes to Entra's stand-in and from there to Key Vault's, which enforces what the operator
wrote. On a plane of its own: the example's names are fixed.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from e2e.azure_world import NAMESPACE, SECRETS, AzureWorld
from plane.control_plane import ControlPlane
from plane.operator import CLUSTER, OperatorProcess, Options, install
from stand_ins.azure.stand_in import AzureStandIn

pytestmark = pytest.mark.timeout(900)  # the first run on a machine installs Airflow


@pytest.fixture
def applied(azure: AzureStandIn) -> Iterator[AzureWorld]:
    """The operator on the stand-in, and the example not yet applied."""
    with ControlPlane() as plane, AzureWorld(plane, azure, CLUSTER) as world:
        install(plane)
        folder = plane.data_dir / "example"
        world.prepare(folder)
        world.allow_operator(folder)
        operator = OperatorProcess(plane, Options(fresh=True))
        world.give_token(operator)
        with operator:
            yield world


def test_a_task_reads_from_its_binding_to_the_end_of_it(applied: AzureWorld) -> None:
    world, kubectl = applied, applied.plane.kubectl
    world.plane.create_namespace(NAMESPACE)
    by_hand = world.map_by_hand(world.billing.client_id, SECRETS["billing"])
    kubectl("create", "serviceaccount", "billing", "-n", NAMESPACE)
    before = world.try_by_hand("billing", by_hand, "billing")
    assert (before.read, before.reason) == (False, "LoginRefused (AADSTS700211)")
    kubectl("delete", "serviceaccount", "billing", "-n", NAMESPACE)

    kubectl("apply", "-k", str(world.plane.data_dir / "example"))
    world.wait_mapped()
    assert world.assigned() == sorted(SECRETS.values())
    (made,) = world.made_identities()
    world.azure.forget_requests()
    ended = [world.run(binding) for binding in SECRETS]
    assert [(each.account, each.read, each.as_expected, each.said) for each in ended] == [
        ("billing", True, True, "billing.internal"),
        ("reporting", True, True, "reporting.internal"),
    ]
    asked = [each for each in world.azure.requests() if each.principal in _tasks(world) or each.service == "vault"]
    assert [(each.service, each.path, each.status) for each in asked] == [
        ("vault", f"/secrets/{secret}/", 200) for secret in SECRETS.values()
    ], "one request a task"
    for each in ended:
        assert not [canary for canary in world.canaries() if canary in each.output]
        assert "the password is ***" in each.output
        assert '\\"outcome\\": \\"Read\\"' in each.output

    others = world.try_by_hand("reporting", world.map_by_hand(made.client_id, SECRETS["billing"]), "billing")
    assert (others.read, others.reason) == (False, "AccessDenied (ForbiddenByRbac)")
    impostor = world.try_by_hand("reporting", by_hand, "billing")
    assert (impostor.read, impostor.reason) == (False, "LoginRefused (AADSTS700213)")

    kept = world.map_of("billing")
    kubectl("delete", "asb", "billing", "reporting", "-n", NAMESPACE, "--timeout=60s")
    assert (world.assigned(), world.made_identities(), world.billing.credentials) == ([], [], {})
    unbound = world.run("billing")
    assert (unbound.account, unbound.read, unbound.reason) == ("airflow-unbound", False, "MapMissing")
    kubectl("create", "serviceaccount", "billing", "-n", NAMESPACE)
    after = world.try_by_hand("billing", kept, "billing")
    assert (after.read, after.reason) == (False, "LoginRefused (AADSTS700211)")


def _tasks(world: AzureWorld) -> set[str]:
    return {world.billing.principal_id, *(each.principal_id for each in world.made_identities())}
