"""`airwarden doctor` looks at a key vault with the caller's own login: the command line, as it is run.

The stand-in judges each request by the caller's roles, and counts them.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from airwarden.providers.azure.store import AzureStore
from contract.azure.bench import VAULT, Bench, create
from contract.azure.showing_cluster import BACKENDS, BINDINGS, Cluster, bound, shown_backend
from integration.commands.running import Person
from stand_ins.azure.graph import APPLICATION_READ
from stand_ins.azure.roles import (
    GET_SECRET,
    OWNER,
    READER,
    SECRETS_USER,
    VAULT_ADMINISTRATOR,
    Role,
)
from stand_ins.azure.stand_in import GROUP, AzureStandIn

MakePerson = Callable[..., Person]
Found = dict[str, list[dict[str, str]]]
LOGINS, LEFTOVERS, OPERATOR = "Logins beside Airwarden", "Leftovers in the stores", "The operator's own rights"


def examined(person: Person, *arguments: str) -> tuple[int, Found]:
    """Return the exit status and what the doctor says, without the hints on how a vault is kept."""
    said = person.runs("doctor", "-o", "json", *arguments)
    assert said.out, said.err
    return said.status, json.loads(said.out)


def problems(found: Found, check: str) -> list[tuple[str, str]]:
    return [(each["severity"], each["problem"]) for each in found["findings"] if each["check"] == check]


def needs(found: Found) -> dict[str, str]:
    return {each["check"]: each["needs"] for each in found["unchecked"]}


async def several(bench: Bench, store: AzureStore, cluster: Cluster, count: int) -> None:
    for number in range(count):
        wanted = bench.grant("airflow-a", "airflow-b", binding=f"b{number}", account=f"b{number}")
        cluster.add(BINDINGS, bound(wanted, await create(bench, store, wanted)))


@pytest.mark.parametrize("bindings", [1, 4])
async def test_what_airwarden_made_is_fine_and_costs_one_list_of_each_kind(
    bench: Bench, store: AzureStore, cluster: Cluster, person: MakePerson, azure: AzureStandIn, bindings: int
) -> None:
    await several(bench, store, cluster, bindings)
    azure.change_vault(VAULT, firewalled=True, purge_protection=True)
    somebody = person(READER)
    azure.forget_requests()
    status, found = examined(somebody)
    said = [each["problem"] for each in found["findings"] if "keeps its audit log" not in each["problem"]]
    assert (status, said, found["unchecked"]) == (0, [], [])
    assert sorted(
        (each.method, each.path.rsplit("/providers/", 1)[-1].lower()) for each in azure.requests(service="arm")
    ) == [
        ("GET", "microsoft.authorization/roleassignments"),  # at the vault
        ("GET", "microsoft.authorization/roleassignments"),  # the operator's, at the identities
        ("GET", "microsoft.authorization/roledefinitions"),
        ("GET", "microsoft.insights/diagnosticsettings"),
        ("GET", f"microsoft.keyvault/vaults/{VAULT}"),
        ("GET", "microsoft.managedidentity/userassignedidentities"),
    ]
    assert len(azure.requests(service="entra", method="POST")) == 1
    assert not azure.requests(service="vault")
    assert not azure.requests(service="graph")


async def test_who_else_may_read_is_judged_by_what_their_roles_are_now(
    bench: Bench, store: AzureStore, cluster: Cluster, person: MakePerson, azure: AzureStandIn
) -> None:
    await several(bench, store, cluster, 1)
    vault, subscription = store.place.vault_id, f"/subscriptions/{azure.subscription}"
    group = f"{subscription}/resourceGroups/{GROUP}"
    user, team, boss = azure.add_user("eve"), azure.add_group("team"), azure.add_user("boss")
    custom = azure.add_role(Role(str(uuid.uuid4()), "Harmless", data_actions=("*",), scopes=(group,), built_in=False))
    renamed = Role(str(uuid.uuid4()), "Key Vault Secrets User 2", not_data_actions=(GET_SECRET,), built_in=False)
    azure.grant(user.id, VAULT_ADMINISTRATOR, vault)
    azure.grant(team.id, SECRETS_USER, f"{vault}/secrets/airflow-a")
    azure.grant(team.id, SECRETS_USER, f"{vault}/secrets/airflow-b")
    azure.grant(user.id, custom.id, group)
    azure.grant(user.id, azure.add_role(renamed).id, vault)
    azure.grant(user.id, READER, vault)
    azure.grant(boss.id, OWNER)
    mine = next(each for each in azure.assignments() if each.description)
    azure.grant(user.id, SECRETS_USER, mine.scope, description=str(mine.description))
    both = "secret airflow-a, secret airflow-b"
    stolen = "given at secret airflow-a, under the mark of binding team/b0, for something else than its identity"
    status, found = examined(person(READER))
    assert status == 1
    assert sorted(problems(found, LOGINS)) == sorted(
        [
            (
                "danger",
                f"Group {team.id} may read secrets by role Key Vault Secrets User, given at {both}",
            ),
            (
                "danger",
                f"User {user.id} may read secrets by role Harmless, given at resource group {GROUP}",
            ),
            (
                "danger",
                f"User {user.id} may read secrets by role Key Vault Administrator, given at the whole vault",
            ),
            (
                "danger",
                f"User {user.id} may read secrets by role Key Vault Secrets User, {stolen}",
            ),
            (
                "hint",
                f"User {boss.id} may give themselves access by role Owner, given at subscription {azure.subscription}",
            ),
        ]
    )


async def test_leftovers_and_a_wider_operator_are_told(
    bench: Bench, store: AzureStore, cluster: Cluster, person: MakePerson, azure: AzureStandIn
) -> None:
    await several(bench, store, cluster, 2)
    cluster.objects[BINDINGS].pop()
    azure.grant(bench.operator.principal_id, VAULT_ADMINISTRATOR, store.place.vault_id)
    azure.grant(azure.add_group("all", [bench.operator.principal_id]).id, READER)
    status, found = examined(person(READER))
    assert status == 1
    assert problems(found, LEFTOVERS) == [
        ("warning", "2 role assignment(s) and the identity of binding team/b1 belong to no binding")
    ]
    assert [(severity, said.partition("role ")[2]) for severity, said in problems(found, OPERATOR)] == [
        ("danger", f"Key Vault Administrator, given at {store.place.vault_id}"),
        (
            "warning",
            f"Reader lets the operator do what it does not need: */read, given at /subscriptions/{azure.subscription}",
        ),
    ]
    assert problems(found, LOGINS) == []


async def test_how_the_vault_is_kept_is_told(
    bench: Bench, cluster: Cluster, person: MakePerson, azure: AzureStandIn
) -> None:
    group = f"/subscriptions/{azure.subscription}/resourceGroups/{GROUP}"
    workspace = f"{group}/providers/Microsoft.OperationalInsights/workspaces/w"
    cluster.objects[BACKENDS] = [shown_backend(bench, diagnostics={"workspaceID": workspace})]
    azure.change_vault(VAULT, for_templates=True)
    somebody = person(READER)
    _, found = examined(somebody)
    text = json.dumps(found["findings"])
    for words in ("hands secrets to deployments", "no purge protection", "from every network", "asks for"):
        assert words in text
    azure.change_vault(VAULT, rbac=False)
    _, found = examined(somebody)
    assert "decides by access policies" in json.dumps(found["findings"])
    assert "access policies, which are not judged" in needs(found)[LOGINS]


async def test_what_the_caller_may_not_read_names_the_right_and_is_never_fine(
    store: AzureStore, person: MakePerson, azure: AzureStandIn
) -> None:
    somebody = person(SECRETS_USER)
    status, found = examined(somebody)
    assert status == 2
    said = json.dumps(found["unchecked"])
    for right in (
        "Microsoft.KeyVault/vaults/read",
        "Microsoft.Authorization/roleAssignments/read",
        "Microsoft.Authorization/roleDefinitions/read",
        "Microsoft.ManagedIdentity/userAssignedIdentities/read",
        "Microsoft.Insights/diagnosticSettings/read",
    ):
        assert (
            f"needs {right} at {store.place.vault_id if 'ManagedIdentity' not in right else '/subscriptions/'}" in said
        )
    assert "Nothing is wrong" not in said
    assert not azure.requests(service="vault")


async def test_without_a_login_nothing_is_asked_and_the_next_step_is_said(
    bench: Bench, person: MakePerson, azure: AzureStandIn
) -> None:
    assert bench.name == "kv"
    azure.forget_requests()
    status, found = examined(person())
    assert (status, azure.requests()) == (2, [])
    (said,) = {needs(found)[each] for each in (LOGINS, LEFTOVERS, OPERATOR)}
    assert said.startswith(
        f"nobody is logged in to Azure: run az login --tenant {azure.tenant}, or set AZURE_TENANT_ID"
    )


@pytest.mark.parametrize("permitted", [True, False])
async def test_an_operator_that_is_none_of_the_identities_is_found_in_the_directory(
    bench: Bench, cluster: Cluster, person: MakePerson, azure: AzureStandIn, *, permitted: bool
) -> None:
    made = azure.add_application("operator")
    azure.grant(made.principal_id, READER)
    public: dict[str, Any] = {
        "authority": "https://login.microsoftonline.com",
        "resourceManager": "https://management.azure.com",
        "login": {"clientID": made.app_id, "file": "azure"},
    }
    cluster.objects[BACKENDS] = [shown_backend(bench, **public)]
    somebody = person(READER)
    if permitted:
        with azure.world() as world:
            caller = world.directory.applications[somebody.variables["AZURE_CLIENT_ID"]]
        azure.grant_graph(caller.principal_id, APPLICATION_READ)
    proxied = Person(
        somebody.kubeconfig, somebody.home, variables={**somebody.variables, "HTTPS_PROXY": azure.proxy_url}
    )
    _, found = examined(proxied)
    assert len(azure.requests(service="graph")) == 1
    if permitted:
        ((severity, problem),) = problems(found, OPERATOR)
        assert (severity, "role Reader lets the operator" in problem) == ("warning", True)
    else:
        assert needs(found)[OPERATOR].startswith("needs Application.Read.All of Microsoft Graph")
