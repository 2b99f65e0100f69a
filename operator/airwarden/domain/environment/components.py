"""What each of Airflow's components is told, as environment variables: one ConfigMap each, for the chart's `envFrom`.

Nothing in them is secret. A wrong value ends every Airflow process that reads it, so what is rendered is tried with the
provider's own checks (tests/unit/domain/environment). Pure. Called by `airwarden.domain.environment.rendering`.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from airwarden.api.environment import AirflowEnvironment, Components, EnvironmentSpec, Executor
from airwarden.domain.config_map import WantedMap, compact, environment_labels

EXECUTOR: Final = "airflow_airwarden.executor.AirwardenKubernetesExecutor"
BACKEND: Final = "airflow_airwarden.backend.AirwardenBackend"
MAP_FILE: Final = "/etc/airwarden/binding.json"
WORKERS: Final = "workers"
_DIGEST: Final = "AIRFLOW__AIRWARDEN__DIGEST"
Variables = dict[str, str]


@dataclass(frozen=True, slots=True)
class ComponentMaps:
    """The ConfigMaps of all components."""

    wanted: Mapping[str, WantedMap]
    """By component, in kebab case."""
    digest: str
    """Fingerprint of them all, which pods carry."""


def components_of(environment: AirflowEnvironment) -> ComponentMaps:
    """Return what each declared component is told, and what tasks are."""
    spec = environment.spec
    told = {name: _told(name, environment) for name in declared(spec.components)} | {WORKERS: _workers(environment)}
    text = compact({name: dict(sorted(told[name].items())) for name in sorted(told)})
    fingerprint = hashlib.sha256(text.encode()).hexdigest()[:32]
    if spec.executor is Executor.KUBERNETES:
        told["scheduler"] = {**told["scheduler"], _DIGEST: fingerprint}
    return ComponentMaps({name: _config_map(environment, name, told[name]) for name in sorted(told)}, fingerprint)


def declared(components: Components) -> dict[str, str]:
    """Return the account of each component that is declared, by its name in kebab case."""
    accounts = {
        "scheduler": components.scheduler,
        "api-server": components.api_server,
        "dag-processor": components.dag_processor,
        "triggerer": components.triggerer,
    }
    return {name: each.service_account_name for name, each in accounts.items() if each is not None}


def component_map_name(environment: str, component: str) -> str:
    """Return the name of a component's ConfigMap."""
    return f"airwarden.{environment}.{component}"


def _told(component: str, environment: AirflowEnvironment) -> Variables:
    """Return what one component is told.

    With executor Kubernetes all of them name the executor, since the API server reads the logs of running pods through
    it, and for that must know where they are. With executor Local the scheduler runs the tasks, so it is told of their
    backend.
    """
    spec = environment.spec
    if spec.executor is Executor.KUBERNETES:
        told = {"AIRFLOW__CORE__EXECUTOR": EXECUTOR, **_environment(environment)}
        more = {"scheduler": _of_executor, "api-server": _namespaces}.get(component)
        return told | more(spec) if more is not None else told
    if spec.executor is Executor.LOCAL and component == "scheduler":
        return _workers(environment)
    return _environment(environment)


def _of_executor(spec: EnvironmentSpec) -> Variables:
    if spec.unbound is None:
        raise TypeError("executor Kubernetes has an unbound account: the model says so")
    return {
        **_namespaces(spec),
        "AIRFLOW__AIRWARDEN__BUNDLES": ",".join(sorted(each.name for each in spec.bundles)),
        "AIRFLOW__AIRWARDEN__UNBOUND_NAMESPACE": spec.unbound.namespace,
        "AIRFLOW__AIRWARDEN__UNBOUND_SERVICE_ACCOUNT": spec.unbound.service_account_name,
    }


def _namespaces(spec: EnvironmentSpec) -> Variables:
    return {
        "AIRFLOW__KUBERNETES_EXECUTOR__MULTI_NAMESPACE_MODE": "True",
        "AIRFLOW__KUBERNETES_EXECUTOR__MULTI_NAMESPACE_MODE_NAMESPACE_LIST": ",".join(sorted(spec.worker_namespaces)),
    }


def _workers(environment: AirflowEnvironment) -> Variables:
    """Return what tasks are told where Airflow runs them itself; the executor tells its own pods the same."""
    return {
        **_environment(environment),
        "AIRFLOW__WORKERS__SECRETS_BACKEND": BACKEND,
        "AIRFLOW__WORKERS__SECRETS_BACKEND_KWARGS": compact({"map_path": MAP_FILE}),
    }


def _environment(environment: AirflowEnvironment) -> Variables:
    return {"AIRFLOW__AIRWARDEN__ENVIRONMENT": f"{environment.metadata.namespace}/{environment.metadata.name}"}


def _config_map(environment: AirflowEnvironment, component: str, told: Variables) -> WantedMap:
    metadata = environment.metadata
    name = component_map_name(metadata.name, component)
    return WantedMap(metadata.namespace, name, environment_labels(metadata.name), dict(sorted(told.items())))
