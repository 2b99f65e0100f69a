"""`airwarden plan` and `airwarden sweep` ask a key vault with the caller's own login: the command line, as it is run.

The operator's part is done by the store itself, and the stand-in counts who asked for what.
"""

from __future__ import annotations

import json
import stat
import subprocess
import sys
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from airwarden.providers.azure.store import AzureStore
from contract.azure import clients
from contract.azure.bench import Bench, create
from contract.azure.showing_cluster import BACKENDS, BINDINGS, Cluster, bound, shown_backend
from contract.azure.test_existing import existing
from integration.commands.running import Person, Said
from stand_ins.azure.messages import Logged
from stand_ins.azure.roles import OWNER, READER, SECRETS_USER
from stand_ins.azure.stand_in import AzureStandIn

MakePerson = Callable[..., Person]
PLAN = ("plan", "team/billing", "-o", "json")


def writes(said: Said) -> dict[str, list[str]]:
    """Return the objects in the store that a plan speaks of, by what becomes of them."""
    assert said.out, said.err
    found: dict[str, list[str]] = {}
    for each in json.loads(said.out)[0]["writes"]:
        if each["where"] != "cluster":
            found.setdefault(each["action"], []).append(each["object"])
    return found


def asked(azure: AzureStandIn, service: str = "arm") -> list[Logged]:
    return azure.requests(service=service)


def kinds(azure: AzureStandIn) -> list[str]:
    """Return what was listed or read in Resource Manager, in short and sorted."""
    return sorted(each.path.rsplit("/providers/", 1)[-1].lower() for each in asked(azure))


async def test_plan_compares_with_what_stands_by_one_list_of_each_kind(
    bench: Bench, store: AzureStore, cluster: Cluster, person: MakePerson, azure: AzureStandIn
) -> None:
    wanted = bench.grant("airflow-a", "airflow-b")
    recorded = await create(bench, store, wanted)
    cluster.add(BINDINGS, bound(wanted, recorded))
    somebody = person(READER)
    azure.forget_requests()
    said = somebody.runs(*PLAN)
    assert set(writes(said)) == {"keep"}
    assert len(writes(said)["keep"]) == 4
    assert [each.split("/")[0] for each in kinds(azure)] == [
        "microsoft.authorization",
        *["microsoft.managedidentity"] * 2,
    ]
    assert {each.method for each in asked(azure)} == {"GET"}
    assert not azure.requests(service="vault")
    assert len(azure.requests(service="entra", method="POST")) == 1
    assert bench.operator.principal_id not in {each.principal for each in asked(azure)}


async def test_plan_shows_what_would_be_made_and_removed_and_what_is_in_the_way(
    bench: Bench, store: AzureStore, cluster: Cluster, person: MakePerson, azure: AzureStandIn
) -> None:
    had = bench.grant("airflow-a")
    recorded = await create(bench, store, had)
    wanted = bench.grant("airflow-b")
    with azure.world() as world:
        (identity,) = [each for each in world.identities.values() if each.name.startswith("airwarden-")]
    cluster.add(BINDINGS, bound(wanted, recorded))
    short = wanted.owner.short_name_in_store
    found = writes(person(READER).runs(*PLAN))
    assert found["create"] == [f"AzureRoleAssignment {short}/airflow-b"]
    assert found["remove"] == [f"AzureRoleAssignment {short}/airflow-a"]
    azure.grant(identity.principal_id, SECRETS_USER, f"{store.place.vault_id}/secrets/airflow-b", description="by hand")
    said = person(READER).runs(*PLAN)
    assert writes(said)["conflict"] == [f"AzureRoleAssignment {short}/airflow-b"]
    assert "was not made by Airwarden" in said.out
    assert said.status == 1


async def test_bindings_of_one_file_share_the_lists_and_the_login(
    bench: Bench, store: AzureStore, cluster: Cluster, person: MakePerson, azure: AzureStandIn, tmp_path: Path
) -> None:
    texts = []
    for number in range(4):
        made = bound(bench.grant("airflow-a", binding=f"b{number}", account=f"b{number}"), {})
        texts.append(json.dumps({**made, "kind": "AirflowSecretBinding"}))
    (tmp_path / "all.yaml").write_text("\n---\n".join(texts))
    assert store.place.backend == "kv"
    azure.forget_requests()
    said = person(READER).runs("plan", "-f", str(tmp_path / "all.yaml"), "-o", "json")
    assert [len(each["writes"]) for each in json.loads(said.out)] == [4, 4, 4, 4]
    assert len(kinds(azure)) == 2
    assert len(azure.requests(service="entra", method="POST")) == 1


async def test_who_is_not_logged_in_is_told_so_for_each_binding_and_asked_once(
    bench: Bench, person: MakePerson, azure: AzureStandIn, tmp_path: Path
) -> None:
    texts = [
        json.dumps({**bound(bench.grant("airflow-a", binding=each, account=each), {}), "kind": "AirflowSecretBinding"})
        for each in ("b0", "b1", "b2")
    ]
    (tmp_path / "all.yaml").write_text("\n---\n".join(texts))
    somebody = person(OWNER)
    wrong = replace(somebody, variables={**somebody.variables, "AZURE_CLIENT_SECRET": "no-such-value"})
    azure.forget_requests()
    said = wrong.runs("plan", "-f", str(tmp_path / "all.yaml"))
    assert said.out.count("write AzureManagedIdentity") == 3
    assert said.out.count("AADSTS7000215") >= 3
    assert len(azure.requests(service="entra", method="POST")) == 1


async def test_without_a_login_plan_shows_what_would_be_written_and_says_so(
    bench: Bench, cluster: Cluster, person: MakePerson, azure: AzureStandIn
) -> None:
    cluster.add(BINDINGS, bound(bench.grant("airflow-a"), {}))
    azure.forget_requests()
    said = person().runs("plan", "team/billing")
    assert (said.status, asked(azure), asked(azure, "entra")) == (0, [], [])
    assert said.err == ""
    assert "write AzureRoleAssignment" in said.out
    assert (
        f"not compared with the store: nobody is logged in to Azure: run az login --tenant {azure.tenant}" in said.out
    )


async def test_what_the_caller_may_not_read_is_unknown_and_says_so(
    bench: Bench, cluster: Cluster, person: MakePerson
) -> None:
    cluster.add(BINDINGS, bound(bench.grant("airflow-a"), {}))
    said = person(SECRETS_USER).runs("plan", "team/billing")
    assert said.status == 2
    assert "unknown what it holds in kv" in said.out
    assert "Your login lacks the right" in said.out
    assert "operator" not in said.out.partition("unknown what it holds")[2]


async def test_a_login_that_entra_refuses_and_that_of_the_operator_are_not_used(
    bench: Bench, cluster: Cluster, person: MakePerson, azure: AzureStandIn
) -> None:
    cluster.add(BINDINGS, bound(bench.grant("airflow-a"), {}))
    somebody = person(OWNER)
    wrong = replace(somebody, variables={**somebody.variables, "AZURE_CLIENT_SECRET": "no-such-value"})
    said = wrong.runs("plan", "team/billing")
    assert "AZURE_CLIENT_SECRET gives no token for tenant" in said.out
    assert "AADSTS7000215" in said.out
    assert "no-such-value" not in said.out + said.err
    assert said.err == ""
    operators = {
        "AZURE_TENANT_ID": azure.tenant,
        "AZURE_CLIENT_ID": bench.operator.client_id,
        "AZURE_FEDERATED_TOKEN_FILE": str(bench.token),
    }
    azure.forget_requests()
    said = replace(somebody, variables={"AIRWARDEN_CLUSTER": "c1", **operators}).runs("plan", "team/billing")
    assert "you are logged in to Azure as the operator of backend kv" in said.out
    assert asked(azure) == []


async def test_az_login_is_enough(
    bench: Bench, cluster: Cluster, person: MakePerson, azure: AzureStandIn, tmp_path: Path
) -> None:
    login, principal = clients.application(azure)
    azure.grant(principal, READER)
    token = login.get_token(f"{azure.url}/.default")
    folder = tmp_path / "programs"
    folder.mkdir()
    answer = {"accessToken": token.token, "expires_on": 4102444800, "tokenType": "Bearer"}
    (folder / "answer").write_text(json.dumps(answer))
    (folder / "az").write_text(f'#!/bin/sh\necho "$@" >> {folder}/asked\ncat {folder}/answer\n')
    (folder / "az").chmod(stat.S_IRWXU)
    cluster.add(BINDINGS, bound(bench.grant("airflow-a"), {}))
    somebody = replace(person(), variables={"AIRWARDEN_CLUSTER": "c1", "PATH": f"{folder}:/usr/bin:/bin"})
    assert set(writes(somebody.runs(*PLAN))) == {"create"}
    (line,) = (folder / "asked").read_text().splitlines()
    assert f"--tenant {azure.tenant}" in line


async def orphaned(bench: Bench, store: AzureStore, *bindings: str) -> None:
    for each in bindings:
        await create(bench, store, bench.grant("airflow-a", "airflow-b", binding=each, account=each))


async def test_sweep_shows_and_removes_what_no_binding_accounts_for_and_nothing_else(
    bench: Bench, store: AzureStore, cluster: Cluster, person: MakePerson, azure: AzureStandIn
) -> None:
    kept = bench.grant("airflow-a", binding="kept", account="kept")
    cluster.add(BINDINGS, bound(kept, await create(bench, store, kept)))
    await orphaned(bench, store, "gone-1", "gone-2")
    somebody = person(OWNER)
    (mark,) = [each for each in azure.assignments() if each.description and "binding=gone-1" in each.description][:1]
    theirs = str(mark.description).replace(bench.uid, "99999999-aaaa-bbbb-cccc-222222222222")
    for description in (theirs, "by hand"):
        azure.grant(str(uuid.uuid4()), SECRETS_USER, mark.scope, description=description)
    before = {each.name for each in azure.assignments()}
    azure.forget_requests()
    said = somebody.runs("sweep", "-o", "json")
    rows: list[dict[str, Any]] = json.loads(said.out)
    assert said.status == 1, said.err
    assert {each["action"] for each in rows} == {"remove"}
    assert sorted(each["kind"] for each in rows) == sorted(
        ["AzureRoleAssignment"] * 4 + ["AzureFederatedCredential"] * 2 + ["AzureManagedIdentity"] * 2
    )
    assert {each["why"].split()[2] for each in rows} == {"team/gone-1", "team/gone-2"}
    lists = [each for each in kinds(azure) if each.endswith(("roleassignments", "userassignedidentities"))]
    assert sorted(lists) == [
        "microsoft.authorization/roleassignments",
        "microsoft.managedidentity/userassignedidentities",
    ]
    assert {each.method for each in asked(azure)} == {"GET"}
    assert {each.name for each in azure.assignments()} == before
    said = somebody.runs("sweep", "--delete", "--yes")
    assert said.status == 0, said.err + said.out
    left = azure.assignments()
    assert len(before) - len(left) == 4
    assert {theirs, "by hand"} < {each.description for each in left}
    with azure.world() as world:
        names = {each.name for each in world.identities.values()}
    assert names == {bench.operator.name, kept.owner.short_name_in_store}
    assert somebody.runs("sweep").status == 0


async def test_sweep_takes_a_lost_bindings_credential_off_an_identity_of_others_and_no_other_one(
    bench: Bench, cluster: Cluster, person: MakePerson, azure: AzureStandIn, opening: Callable[[AzureStore], AzureStore]
) -> None:
    theirs, named = azure.add_identity("id-1"), existing(azure, "id-1")
    store = opening(bench.open(identities=named))
    cluster.objects[BACKENDS] = [shown_backend(bench, identities=named)]
    await create(bench, store, bench.grant("airflow-a"))
    (lost,) = theirs.credentials.values()
    azure.federate(theirs, "https://ci.example", "repo:main")
    nobodys = replace(lost, name=f"airwarden-{'a' * 26}", subject="system:serviceaccount:team:older")
    other_cluster = replace(nobodys, name=f"airwarden-{'b' * 26}", issuer="https://other.example")
    theirs.credentials |= {each.name: each for each in (nobodys, other_cluster)}
    somebody = person(OWNER)
    rows = json.loads(somebody.runs("sweep", "-o", "json").out)
    assert {(each["kind"], each["name"].rpartition("/")[0], each["action"]) for each in rows} == {
        ("AzureRoleAssignment", lost.name, "remove"),
        ("AzureFederatedCredential", lost.name, "remove"),
        ("AzureFederatedCredential", nobodys.name, "leave"),
    }
    said = somebody.runs("sweep", "--delete", "--yes")
    assert said.status == 0, said.err
    assert lost.name not in theirs.credentials
    assert len(theirs.credentials) == 3
    assert not [each for each in azure.assignments() if each.description]


async def test_the_credential_of_a_binding_that_is_there_is_not_swept_from_an_identity_of_others(
    bench: Bench, cluster: Cluster, person: MakePerson, azure: AzureStandIn, opening: Callable[[AzureStore], AzureStore]
) -> None:
    named = existing(azure, azure.add_identity("id-1").name)
    store = opening(bench.open(identities=named))
    cluster.objects[BACKENDS] = [shown_backend(bench, identities=named)]
    wanted = bench.grant("airflow-a")
    cluster.add(BINDINGS, bound(wanted, await create(bench, store, wanted)))
    said = person(READER).runs("sweep", "-o", "json")
    assert (said.status, json.loads(said.out)) == (0, []), said.err


async def test_what_cannot_be_listed_is_not_taken_to_be_gone_nor_swept(
    bench: Bench, store: AzureStore, person: MakePerson, azure: AzureStandIn
) -> None:
    await orphaned(bench, store, "gone")
    before = {each.name for each in azure.assignments()}
    said = person(SECRETS_USER).runs("sweep", "--delete", "--yes")
    assert said.status == 2
    assert "backend kv was not looked at" in said.err
    assert "Your login lacks the right" in said.err
    said = person().runs("sweep", "--delete", "--yes")
    assert "nobody is logged in to Azure" in said.err
    azure.fail_next(500, "InternalServerError", path="/userassignedidentities", times=5)
    said = person(OWNER).runs("sweep", "--delete", "--yes")
    assert (said.status, said.out.count("remove")) == (2, 0)
    assert before <= {each.name for each in azure.assignments()}


async def test_adopt_says_that_it_does_not_adopt_in_a_key_vault(
    bench: Bench, cluster: Cluster, person: MakePerson, azure: AzureStandIn
) -> None:
    cluster.add(BINDINGS, bound(bench.grant("airflow-a"), {}))
    azure.forget_requests()
    said = person(OWNER).runs("adopt", "team/billing")
    assert (said.status, asked(azure)) == (2, [])
    assert "is a key vault, which this command does not adopt in" in said.err


def test_commands_for_other_stores_load_nothing_of_azure() -> None:
    loaded = "import sys, airwarden.cli; print([each for each in sys.modules if each.partition('.')[0] == 'azure'])"
    done = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
