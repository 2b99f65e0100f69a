"""The section `[airwarden]` of Airflow's configuration, checked when the scheduler starts the executor. Pure.

The operator renders it as variables of the scheduler's environment, so a fault in it is one between two versions, or of
somebody who wrote it by hand.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from airflow_airwarden.pod_identity import Unprivileged

SECTION = "airwarden"
_NAMESPACED = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?/[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?")
_NAMESPACE = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_ACCOUNT = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_TRUE, _FALSE = frozenset({"true", "1", "yes", "on", "t", "y"}), frozenset({"false", "0", "no", "off", "f", "n", ""})


class ExecutorSettingsInvalid(ValueError):
    """The section is wrong; the text names each option."""


@dataclass(frozen=True, slots=True)
class ExecutorSettings:
    """What the executor must know of its environment."""

    namespace: str
    """Of the environment: there the DAG maps lie."""
    environment: str
    bundles: tuple[str, ...]
    unbound: Unprivileged
    digest: str = ""
    """Of what the operator rendered for the environment."""
    allow_image: bool = False
    """Permits an author to choose the task container's image."""

    @property
    def reference(self) -> str:
        """The environment's namespace and name, with a slash between them."""
        return f"{self.namespace}/{self.environment}"


def executor_settings(option: Callable[[str], str | None], namespaces: frozenset[str] | None) -> ExecutorSettings:
    """Return the checked section; ExecutorSettingsInvalid names all that is wrong.

    ``namespaces`` are those in which the executor watches pods: empty for all of them, None when it watches only the
    one that it would use itself.
    """
    wrong: list[str] = []

    def text(name: str, pattern: re.Pattern[str], what: str) -> str:
        value = (option(name) or "").strip()
        if not pattern.fullmatch(value):
            wrong.append(f"[{SECTION}] {name} must be {what}")
        return value

    namespace, _, environment = text("environment", _NAMESPACED, "the environment's namespace/name").partition("/")
    bundles = tuple(each.strip() for each in (option("bundles") or "").split(",") if each.strip())
    if not bundles:
        wrong.append(f"[{SECTION}] bundles must name at least one DAG bundle")
    unbound = Unprivileged(
        text("unbound_namespace", _NAMESPACE, "a namespace"),
        text("unbound_service_account", _ACCOUNT, "a service account"),
    )
    allow_image = (option("allow_image") or "").strip().lower()
    if allow_image not in _TRUE | _FALSE:
        wrong.append(f"[{SECTION}] allow_image must be true or false")
    if namespaces is None:
        wrong.append(
            "[kubernetes_executor] multi_namespace_mode must be on, with the namespaces of bindings in its list"
        )
    elif namespaces and unbound.namespace not in namespaces:
        wrong.append("[kubernetes_executor] multi_namespace_mode_namespace_list must hold unbound_namespace")
    if wrong:
        raise ExecutorSettingsInvalid(
            f"AirwardenKubernetesExecutor cannot start: {'; '.join(wrong)}. The operator renders these "
            "options into the ConfigMap airwarden.<environment>.scheduler: have the scheduler take it by envFrom. A "
            "team's executor has options of [kubernetes_executor] of its own"
        )
    return ExecutorSettings(
        namespace, environment, bundles, unbound, (option("digest") or "").strip(), allow_image in _TRUE
    )
