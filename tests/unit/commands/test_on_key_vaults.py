"""What commands say of key vaults that were not asked: rules and records as everywhere, and the operator's findings."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from airwarden.api.backend import AirflowSecretBackend
from airwarden.api.binding import AirflowSecretBinding
from airwarden.api.metadata import Metadata
from airwarden.commands.access import lines
from airwarden.commands.caller import Listing
from airwarden.commands.deciding import World, opened
from airwarden.commands.doctor import backend_checks
from airwarden.commands.doctor.facts import Facts
from airwarden.commands.doctor.findings import Finding
from airwarden.commands.planning import planned, store_writes
from airwarden.commands.planning_showing import lines as shown
from unit.commands.test_doctor_checks import facts
from unit.domain.making import binding, item

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "azure.md").read_text()
(BODY,) = [
    yaml.safe_load(each)
    for each in re.findall(r"```yaml\n(apiVersion: \S+\nkind: AirflowSecretBackend\n.*?)```", PAGE, re.DOTALL)
]
UID = "0f9a5f5a-1111-2222-3333-444455556666"
GROUP = "3f0c0000-aaaa-bbbb-cccc-111111111111"


def backend(**status: Any) -> AirflowSecretBackend:
    rule = {**BODY["spec"]["allow"][0], "namespaces": {"names": ["team"]}}
    spec = {**BODY["spec"], "allow": [rule], "groups": [{"provider": "entra", "value": GROUP}]}
    return AirflowSecretBackend.model_validate({"metadata": {"name": "kv"}, "spec": spec, "status": status or None})


def world(uid: str = UID) -> World:
    return World("c1", opened(Listing((backend(),)), "c1", uid=uid), {"team": Metadata(name="team")})


def declared(*groups: str) -> AirflowSecretBinding:
    made = binding(item("airflow-db", backend="kv"))
    people = [{"group": {"provider": "entra", "value": each}} for each in groups]
    body = made.model_dump(by_alias=True, exclude_none=True)
    return AirflowSecretBinding.model_validate({**body, "spec": {**body["spec"], "people": people}})


def written(made: AirflowSecretBinding) -> AirflowSecretBinding:
    around = world()
    digests = around.digests(around.decide(made), "kv")
    status = {
        "observedGeneration": 1,
        "secrets": [{"type": "Connection", "id": "db", "state": "Granted"}],
        "targets": [
            {"backend": "kv", "kind": each.kind, "name": each.name, "state": "Present", "digest": digest}
            for each, digest in digests.items()
        ],
    }
    return AirflowSecretBinding.model_validate({**made.model_dump(by_alias=True, exclude_none=True), "status": status})


def test_access_shows_what_is_recorded_as_it_would_be_written() -> None:
    assert [(each.key, each.state) for each in lines(written(declared(GROUP)), world())] == [("airflow-db", "granted")]
    other = world("ffffffff-1111-2222-3333-444455556666")
    assert [each.state for each in lines(written(declared()), other)] == ["pending", "unknown"]


def test_without_the_right_to_the_clusters_uid_nothing_is_claimed() -> None:
    found = list(lines(written(declared()), world("")))
    assert {each.state for each in found} == {"unknown"}


@pytest.mark.parametrize(("groups", "said"), [((GROUP,), ()), ((GROUP, "other"), ("GroupNotAllowed",))])
async def test_plan_shows_identity_and_assignments_and_which_groups_stay_out(
    groups: tuple[str, ...], said: tuple[str, ...]
) -> None:
    around, made = world(), declared(*groups)
    wanted = around.decide(made)
    writes = await store_writes("kv", around, wanted, made, why_unasked="nobody asked")
    assert {each.action for each in writes} == {"write"}
    assert all(each.message == "not compared with the store: nobody asked" for each in writes)
    kinds = [each.object.split()[0] for each in writes]
    assert kinds.count("AzureRoleAssignment") == 2
    forecast = planned(made, wanted, writes, around)
    assert [each.verdict for each in forecast.verdicts] == ["granted"]
    assert [each.partition(":")[0] for each in forecast.people] == list(said)
    assert forecast.refused == bool(said)
    text = "\n".join(each.plain for each in shown(forecast))
    assert ("people: GroupNotAllowed" in text) == bool(said)


def test_doctor_says_what_the_operator_found_of_the_vault() -> None:
    conditions = [
        {"type": "Ready", "status": "True", "reason": "Ready"},
        {"type": "QuotaNear", "status": "True", "reason": "QuotaNear", "message": "3300 of 4000"},
        {"type": "NetworkRestricted", "status": "False", "reason": "NetworkRestricted"},
        {"type": "AccessBeside", "status": "True", "reason": "AccessBeside", "message": "credential ci lets it in"},
    ]
    known: Facts = facts(backends=Listing((backend(conditions=conditions),)))
    found = [each for each in backend_checks.backends(known) if isinstance(each, Finding)]
    assert [each.problem for each in found if "Quota" in each.problem] == ["QuotaNear, QuotaNear: 3300 of 4000"]
    assert not [each for each in found if "Network" in each.problem]
    assert [each.problem for each in found if "Beside" in each.problem] == [
        "AccessBeside, AccessBeside: credential ci lets it in"
    ]


def test_doctor_says_what_to_run_where_the_operator_lacks_rights_at_a_vault() -> None:
    conditions = [{"type": "Ready", "status": "False", "reason": "BackendForbidden", "message": "why"}]
    lacking = backend(conditions=conditions, missingPermissions=["Microsoft.KeyVault/vaults/read"])
    said = backend_checks.backends(facts(backends=Listing((lacking,))))
    steps = {each.next_step for each in said if isinstance(each, Finding) and "BackendForbidden" in each.problem}
    assert steps == {"run what airwarden azure-setup prints"}
