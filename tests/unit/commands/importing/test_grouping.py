"""Which item goes into which binding, and why some go into none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from airwarden.api.binding import AirflowSecretBinding, SecretType
from airwarden.commands.importing.grouping import Groups, Plan, Target, plan, read_groups
from airwarden.commands.importing.items import Item, item
from airwarden.domain.errors import InvalidSettings

TARGET = Target("airflow-prod", "vault", "airflow-prod/")


def connection(wanted: str, value: Any = "http://h", origin: str = "c.json", **more: Any) -> Item:
    return item(SecretType.CONNECTION, wanted, origin, value, **more)


def variable(wanted: str, value: Any = "v", origin: str = "v.json", **more: Any) -> Item:
    return item(SecretType.VARIABLE, wanted, origin, value, **more)


def groups(**bindings: list[str]) -> Groups:
    return Groups.model_validate({"bindings": {name: {"ids": ids} for name, ids in bindings.items()}})


def left_out(found: Plan) -> dict[str, str]:
    return {each.item.id: each.item.wrong for each in found.placed if not each.taken}


def secrets_of(found: Plan, binding: str) -> list[str]:
    return [f"{each['type']}/{each['id']}" for each in found.bindings[binding]["spec"]["secrets"]]


def test_one_binding_takes_everything_below_its_namespace() -> None:
    found = plan([variable("recipient"), connection("warehouse")], groups(billing=["*"]), TARGET)
    made = AirflowSecretBinding.model_validate({key: found.bindings["billing"][key] for key in ("metadata", "spec")})
    assert (made.metadata.namespace, made.spec.service_account.name) == ("airflow-prod", "billing")
    assert [(each.type, each.id, each.key) for each in made.spec.secrets] == [
        ("Connection", "warehouse", "airflow-prod/connections/warehouse"),
        ("Variable", "recipient", "airflow-prod/variables/recipient"),
    ]


def test_ids_go_where_the_map_says_and_some_to_two_bindings() -> None:
    items = [connection("billing_db"), connection("smtp"), variable("billing_db"), variable("other")]
    found = plan(items, groups(billing=["billing_*", "smtp"], reports=["Connection/smtp", "Variable/other"]), TARGET)
    assert secrets_of(found, "billing") == ["Connection/billing_db", "Connection/smtp", "Variable/billing_db"]
    assert secrets_of(found, "reports") == ["Connection/smtp", "Variable/other"]


def test_a_star_is_no_more_than_a_beginning() -> None:
    found = plan([connection("billing"), connection("my_billing")], groups(a=["billing*"]), TARGET)
    assert secrets_of(found, "a") == ["Connection/billing"]
    assert left_out(found) == {"my_billing": "no binding of --map names it"}


def test_what_the_map_names_and_nothing_is_is_said() -> None:
    found = plan([connection("a")], groups(one=["a", "b", "Variable/a"]), TARGET)
    assert found.unmatched == ("one: b", "one: Variable/a")


@pytest.mark.parametrize("wanted", ["team/x", "with space", "ünder", "a" * 251, "", "..", "'; rm -rf /", "x\n"])
def test_an_id_that_a_binding_refuses_is_left_out(wanted: str) -> None:
    found = plan([connection(wanted), connection("good")], groups(one=["*"]), TARGET)
    assert secrets_of(found, "one") == ["Connection/good"]
    assert [each.state for each in found.placed if each.item.id == wanted] == ["left out"]


def test_the_same_secret_in_two_sources_is_taken_once_and_a_different_one_not_at_all() -> None:
    items = [
        connection("same", origin="a.json"),
        connection("same", origin="b.json"),
        connection("differs", "http://one", origin="a.json"),
        connection("differs", "http://two", origin="b.json"),
    ]
    found = plan(items, groups(one=["*"]), TARGET)
    assert [each.item.origin for each in found.placed if each.item.id == "same"] == ["a.json, b.json"]
    assert left_out(found) == {
        "differs": "it stands in a.json and b.json with different values, or in different forms: leave one out"
    }


def test_json_with_other_spaces_is_the_same() -> None:
    items = [variable("x", '{"a": 1}', origin="a"), variable("x", '{"a":1}', origin="b")]
    [placed] = plan(items, groups(one=["*"]), TARGET).placed
    assert (placed.state, placed.item.origin) == ("ready", "a, b")


def test_what_one_source_hides_is_taken_from_another() -> None:
    hidden = connection("warehouse", {"host": "h", "password": "***"}, origin="https://airflow")
    known = connection("warehouse", {"host": "h", "password": "p"}, origin="c.json")
    for items in ([hidden, known], [known, hidden]):
        [placed] = plan(items, groups(one=["*"]), TARGET).placed
        assert (placed.item.payload["password"], placed.item.origin, placed.state) == ("p", "c.json", "ready")
    [placed] = plan([hidden], groups(one=["*"]), TARGET).placed
    assert placed.state == "to be filled"


def test_what_is_unfit_in_one_source_is_taken_from_another_and_said() -> None:
    items = [connection("x", "nonsense", origin="a.json"), connection("x", origin="b.json")]
    [placed] = plan(items, groups(one=["*"]), TARGET).placed
    assert placed.taken
    assert placed.item.note.startswith("not taken from a.json: it is neither a URI")


def test_a_variables_name_gets_the_case_that_another_source_knows() -> None:
    items = [connection("My_DB"), connection("my_db", case_unknown=True, origin="environment")]
    [placed] = plan(items, groups(one=["*"]), TARGET).placed
    assert (placed.item.id, placed.item.origin) == ("My_DB", "c.json, environment")
    [placed] = plan(items[1:], groups(one=["*"]), TARGET).placed
    assert placed.item.note == "its id is taken in lower case: a variable's name does not tell"
    found = plan([*items, connection("MY_DB")], groups(one=["*"]), TARGET)
    assert left_out(found) == {"my_db": "its name stands for MY_DB and My_DB alike"}


def test_a_binding_with_too_many_secrets_is_not_written_and_the_others_are() -> None:
    many = [variable(f"v{number}") for number in range(65)]
    found = plan([*many, connection("c")], groups(large=["v*"], small=["c"]), TARGET)
    assert list(found.bindings) == ["small"]
    assert set(left_out(found).values()) == {
        "binding large would hold 65 secrets, and at most 64 are allowed: group them with --map"
    }


def test_a_binding_that_the_schema_refuses_is_not_written() -> None:
    found = plan([connection("c")], groups(Billing=["c"], default=["c"]), TARGET)
    assert found.bindings == {}
    assert all("would not be one: " in each.item.wrong for each in found.placed)


def test_a_prefix_that_the_schema_refuses_is_said_of_each() -> None:
    found = plan([connection("c")], groups(one=["c"]), Target("airflow-prod", "vault", "../"))
    assert left_out(found) == {"c": "key: must not have . or .. as a segment"}


def test_bindings_for_dags_name_the_airflow_and_the_dags(tmp_path: Path) -> None:
    file = tmp_path / "map.yaml"
    file.write_text(
        "bindings:\n  billing:\n    ids: ['*']\n    serviceAccount: tasks\n"
        "    dags: [{bundle: billing-git, ids: ['billing_*']}]\n"
    )
    target = Target("airflow-prod", "vault", "airflow-prod/", "airflow/main")
    spec = plan([connection("c")], read_groups(file), target).bindings["billing"]["spec"]
    assert spec["environmentRef"] == {"name": "main", "namespace": "airflow"}
    assert spec["dags"] == [{"bundle": "billing-git", "ids": ["billing_*"]}]
    assert spec["serviceAccount"] == {"name": "tasks"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("bindings: {}", "bindings: "),
        ("bindings: {a: {ids: []}}", "bindings.a.ids: "),
        ("bindings: {a: {ids: ['*x']}}", "must be an id, or the beginning of some"),
        ("bindings: {a: {ids: ['Config/x']}}", "must be an id, or the beginning of some"),
        ("bindings: {a: {ids: [x], secrets: []}}", "bindings.a.secrets"),
        ("- a", "valid dictionary"),
        ("a: [", "is not YAML"),
    ],
)
def test_a_map_that_is_wrong_is_told(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "map.yaml").write_text(text)
    with pytest.raises(InvalidSettings) as refused:
        read_groups(tmp_path / "map.yaml")
    assert said in refused.value.message
