"""Breakages of the executor: of whose a DAG is, how long that is known, what is granted, and what stands on the pod.

Part of `tests/faults/mutants.py`.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from faults.mutant import Mutant

UNIT = "tests/unit/executor"
DAG_MAP, VIEW, IDENTITIES, OVERRIDE, IDENTITY, SETTINGS = (
    f"{UNIT}/test_{name}.py"
    for name in ("dag_map", "map_view", "identities", "pod_override", "pod_identity", "settings")
)
EXECUTOR, WATCH = "tests/contract/provider/test_executor.py", "tests/integration/test_map_watch.py"
_Mutant = partial(Mutant, source=Path("provider/airflow_airwarden"))

EXECUTING: tuple[Mutant, ...] = (
    _Mutant(
        "the first of two claims gets the DAG",
        "dag_map.py",
        "if len(found) > 1:",
        "if False:",
        (DAG_MAP, IDENTITIES),
    ),
    _Mutant(
        "each id is a prefix",
        "dag_map.py",
        "else dag_id == each for each in ids",
        "else dag_id.startswith(each) for each in ids",
        (DAG_MAP,),
    ),
    _Mutant(
        "a map of another bundle is taken",
        "dag_map.py",
        "if part.take(name, str) != expected:",
        "if part.take(name, str) == '':",
        (DAG_MAP,),
    ),
    _Mutant(
        "a map of another version is taken",
        "dag_map.py",
        'if body.get("version") != VERSION:',
        "if False:",
        (DAG_MAP,),
    ),
    _Mutant(
        "what is not known in a map is skipped",
        "dag_map.py",
        "        if self._rest:\n            self.wrong(",
        "        if False:\n            self.wrong(",
        (DAG_MAP,),
    ),
    _Mutant(
        "a map may set our own labels",
        "dag_map.py",
        "or key.startswith(OURS):",
        "or False:",
        (DAG_MAP,),
    ),
    _Mutant(
        "an old map is good for ever",
        "map_view.py",
        "if age > FRESH:",
        "if False:",
        (VIEW,),
    ),
    _Mutant(
        "trouble counts as a confirmation",
        "map_view.py",
        "self._known = replace(self._known, trouble=trouble)",
        "self._known = replace(self._known, confirmed=self._clock(), trouble=trouble)",
        (VIEW,),
    ),
    _Mutant(
        "a broken map leaves the last good one",
        "map_view.py",
        "self._known = _Known(None, str(unusable), at, text=text)",
        "self._known = _Known(self._known.dag_map, str(unusable), at, text=text)",
        (VIEW,),
    ),
    _Mutant(
        "a map that is gone leaves the last good one",
        "map_view.py",
        'self._known = _Known(None, "it does not exist", at)',
        'self._known = _Known(self._known.dag_map, "it does not exist", at)',
        (VIEW,),
    ),
    _Mutant(
        "a map that cannot be used is taken for one without the DAG",
        "identities.py",
        "return Unbound(str(unusable), certain=False, digest=digest)",
        "return Unbound(str(unusable), certain=True, digest=digest)",
        (IDENTITIES,),
    ),
    _Mutant(
        "a claim that is not in force is no claim",
        "identities.py",
        "if claim is None and (reason := dag_map.why_withheld(dag_id)):",
        "if claim is None and (reason := ''):",
        (IDENTITIES,),
    ),
    _Mutant(
        "a bundle that came later is taken for one without bindings",
        "identities.py",
        "return Unbound(why, certain=False)",
        "return Unbound(why, certain=True)",
        (IDENTITIES,),
    ),
    _Mutant(
        "a task runs on though its binding was removed",
        "identities.py",
        "if isinstance(identity, Unbound) and (identity.certain or identity.withheld):",
        "if False:",
        (IDENTITIES,),
    ),
    _Mutant(
        "a task runs under another binding than it was queued for",
        "identities.py",
        "if isinstance(identity, Bound) and identity.claim.binding != queued_for:",
        "if False:",
        (IDENTITIES,),
    ),
    _Mutant(
        "pods are made where nobody watches them",
        "identities.py",
        "if self.namespaces and claim.namespace not in self.namespaces:",
        "if False:",
        (IDENTITIES,),
    ),
    _Mutant(
        "an image is granted to everybody",
        "pod_override.py",
        "takes_image = image and isinstance(chosen, str)",
        "takes_image = isinstance(chosen, str)",
        (OVERRIDE,),
    ),
    _Mutant(
        "a second container named base is taken for the task's",
        "pod_override.py",
        'if container.get("name") == TASK_CONTAINER and not task:',
        'if container.get("name") == TASK_CONTAINER:',
        (OVERRIDE,),
    ),
    _Mutant(
        "what waits in the queue has the template's account",
        "pod_identity.py",
        "spec=k8s.V1PodSpec(containers=[container], service_account_name=unbound.account),",
        "spec=k8s.V1PodSpec(containers=[container]),",
        (OVERRIDE,),
    ),
    _Mutant(
        "the deprecated name of the account stays",
        "pod_identity.py",
        "spec.service_account = None",
        "pass",
        (IDENTITY,),
    ),
    _Mutant(
        "marks of the template stay",
        "pod_identity.py",
        "if not key.startswith(OURS)}",
        "}",
        (IDENTITY,),
    ),
    _Mutant(
        "a mount of the template hides the map",
        "pod_identity.py",
        "mounts = [each for each in task.volume_mounts or [] if not _is_ours(each.mount_path)]",
        "mounts = list(task.volume_mounts or [])",
        (IDENTITY,),
    ),
    _Mutant(
        "a sidecar keeps a mount of our volumes",
        "pod_identity.py",
        "container.volume_mounts = [each for each in container.volume_mounts or [] if each.name not in ours]",
        "container.volume_mounts = list(container.volume_mounts or [])",
        (IDENTITY,),
    ),
    _Mutant(
        "where it cannot be told, lookups go elsewhere",
        "pod_identity.py",
        "if claim or (isinstance(identity, Unbound) and not identity.certain):",
        "if claim:",
        (IDENTITY,),
    ),
    _Mutant(
        "a backend of the template wins",
        "pod_identity.py",
        "    if named[-1:] == [BACKEND]:",
        "    if named:",
        (IDENTITY,),
    ),
    _Mutant(
        "kwargs of another backend stay",
        "pod_identity.py",
        "if not each.name.startswith(BACKEND_VARIABLE)]",
        "if each.name != BACKEND_VARIABLE]",
        (IDENTITY,),
    ),
    _Mutant(
        "the executor starts where it watches one namespace alone",
        "executor_settings.py",
        "if namespaces is None:",
        "if False:",
        (SETTINGS,),
    ),
    _Mutant(
        "the author's override is queued as it is",
        "executor.py",
        'executor_config={"pod_override": override})',
        "executor_config=executor_config)",
        (EXECUTOR,),
        servers=True,
    ),
    _Mutant(
        "who it is is looked up only when it is queued",
        "executor.py",
        "            return stamped(build(job), stamp)",
        "            return build(job)",
        (EXECUTOR,),
        servers=True,
    ),
    _Mutant(
        "what a watch tells proves that the map is fresh",
        "map_watch.py",
        '_text(event["object"]), listed)',
        '_text(event["object"]), self._view.now())',
        (WATCH,),
        servers=True,
    ),
    _Mutant(
        "the map is listed once and then only watched",
        "map_watch.py",
        "                self._watch(version, listed)\n",
        "                while not self._stopped.is_set():\n                    self._watch(version, listed)\n",
        (WATCH,),
        servers=True,
    ),
    _Mutant(
        "a coordinator's task may be bound",
        "executor.py",
        "        if found is not None and isinstance(identity, Bound):",
        "        if False:",
        (EXECUTOR,),
        servers=True,
    ),
    _Mutant(
        "who runs a task is looked at only when it is queued",
        "executor.py",
        "            self._refuse_coordinators(identity, workload.ti.queue)\n            if",
        "            if",
        (EXECUTOR,),
        servers=True,
    ),
)
