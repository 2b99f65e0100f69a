"""`airwarden environment rights`: what an environment's accounts need, and nothing more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from airwarden.cli import app
from airwarden.domain.environment.dag_map import map_name
from airwarden.domain.environment.rights import rights
from unit.domain.environment.making import environment

OPERATOR = ("airwarden", "airwarden")


def printed(**spec: Any) -> dict[tuple[str, str, str], dict[str, Any]]:
    """Return the objects by kind, namespace and name."""
    found = list(rights(environment(**spec), OPERATOR))
    named = {(each["kind"], each["metadata"]["namespace"], each["metadata"]["name"]): each for each in found}
    assert len(named) == len(found)
    return named


def test_the_scheduler_reads_its_own_maps_by_name_and_no_other_config_map() -> None:
    found = printed()
    [rule] = found["Role", "airflow", "airwarden.main.dag-maps"]["rules"]
    assert rule == {
        "apiGroups": [""],
        "resources": ["configmaps"],
        "resourceNames": sorted([map_name("main", "billing"), map_name("main", "reports")]),
        "verbs": ["list", "watch"],
    }
    binding = found["RoleBinding", "airflow", "airwarden.main.dag-maps"]
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "airflow-scheduler", "namespace": "airflow"}]


def test_in_each_worker_namespace_the_scheduler_makes_pods_and_the_operator_sees_them() -> None:
    found = printed()
    for worker in ("prod", "staging", "lab"):
        [rule] = found["Role", worker, "airwarden.main.scheduler"]["rules"]
        assert rule["resources"] == ["pods"]
        assert found["RoleBinding", worker, "airwarden-task-pods"]["roleRef"]["kind"] == "ClusterRole"
        assert found["RoleBinding", worker, "airwarden-task-pods"]["subjects"][0]["namespace"] == "airwarden"
    assert {name for _, _, name in found} == {
        "airwarden.main.dag-maps",
        "airwarden.main.scheduler",
        "airwarden-task-pods",
    }


def test_an_api_server_that_is_declared_reads_logs() -> None:
    components = {name: {"serviceAccountName": f"airflow-{name.lower()}"} for name in ("scheduler", "apiServer")}
    found = printed(components=components)
    assert found["RoleBinding", "prod", "airwarden.main.api-server"]["subjects"][0]["name"] == "airflow-apiserver"
    verbs = {verb for rule in found["Role", "prod", "airwarden.main.api-server"]["rules"] for verb in rule["verbs"]}
    assert verbs == {"get", "list"}


def test_nobody_is_given_secrets_exec_or_a_wildcard() -> None:
    for each in printed().values():
        for rule in each.get("rules", ()):
            assert set(rule["resources"]) <= {"configmaps", "pods", "pods/log"}
            assert "*" not in {text for texts in rule.values() for text in texts}


def declared(folder: Path, **spec: Any) -> Path:
    body = environment(**spec).model_dump(by_alias=True, mode="json", exclude_none=True)
    file = folder / "environment.yaml"
    file.write_text(yaml.safe_dump(body))
    return file


def test_the_command_prints_them_as_yaml(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["environment", "rights", "-f", str(declared(tmp_path))])
    assert done.exit_code == 0
    assert list(yaml.safe_load_all(done.stdout)) == list(rights(environment(), OPERATOR))


def test_with_another_executor_there_is_nothing_to_print(tmp_path: Path) -> None:
    file = declared(tmp_path, executor="Celery", unbound=None)
    done = CliRunner().invoke(app, ["environment", "rights", "-f", str(file)])
    assert done.exit_code == 2
    assert "executor Celery" in done.stderr


@pytest.mark.parametrize("arguments", [[], ["airflow/main", "-f", "x.yaml"], ["main"]])
def test_one_environment_must_be_given(arguments: list[str]) -> None:
    assert CliRunner().invoke(app, ["environment", "rights", *arguments]).exit_code == 2
