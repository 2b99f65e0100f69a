"""The template of pods in `examples/airflow`: with it nothing of Airflow's own is in a pod that a task could use."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml
from kubernetes.client import models as k8s

from airflow_airwarden.identities import Bound
from airflow_airwarden.pod_identity import Stamp, stamped
from unit.executor.making import BUNDLE, DIGEST, UNBOUND, as_json, dag_map

FOLDER = Path(__file__).parents[3] / "examples" / "airflow"


def template() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(yaml.safe_load((FOLDER / "values.yaml").read_text())["podTemplate"])
    return found


def variables() -> dict[str, str]:
    (container,) = template()["spec"]["containers"]
    return {each["name"]: each["value"] for each in container["env"]}


def test_a_pod_of_the_template_holds_none_of_airflows_own_secrets() -> None:
    spec = template()["spec"]
    (container,) = spec["containers"]
    assert set(container) == {"name", "image", "env"}, "neither envFrom nor what is mounted from the namespace"
    assert "volumes" not in spec
    assert "serviceAccountName" not in spec
    environment = [k8s.V1EnvVar(name=name, value=value) for name, value in variables().items()]
    pod = k8s.V1Pod(spec=k8s.V1PodSpec(containers=[k8s.V1Container(name=container["name"], env=environment)]))
    identity = Bound(dag_map().claims[0], DIGEST)
    made = as_json(stamped(pod, Stamp("main", DIGEST, BUNDLE, "billing_daily", identity, UNBOUND)))
    assert made["metadata"]["annotations"]["airwarden.dev/worker-holds"] == ""
    assert made["spec"]["serviceAccountName"] == "billing"


def test_the_templates_bundles_are_those_of_the_environment() -> None:
    declared = yaml.safe_load((FOLDER / "environment.yaml").read_text())["spec"]["bundles"]
    listed = json.loads(variables()["AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST"])
    assert [each["name"] for each in listed] == [each["name"] for each in declared]
