"""Breakages of the admission policies that keep pods, tokens and maps to those they are for.

Part of `tests/faults/mutants.py`.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from faults.mutant import Mutant

_FOLDER = "tests/integration/admission"
_PODS, _CHANGES, _TOKENS, _MAPS, _ORDER = (
    f"{_FOLDER}/test_{name}.py"
    for name in ("bound_pods", "bound_pod_changes", "bound_tokens", "config_maps", "out_of_order")
)
_Mutant = partial(Mutant, source=Path("manifests/admission"), servers=True)

ADMITTING: tuple[Mutant, ...] = (
    _Mutant(
        "whoever marks a pod like the scheduler makes it",
        "bound-pods.yaml",
        "variables.creator != '' && request.userInfo.username == variables.creator",
        "variables.creator != ''",
        (_PODS,),
    ),
    _Mutant(
        "a binding without DAGs in force leaves its account free",
        "bound-pods.yaml",
        "      expression: has(params.spec.environmentRef)\n",
        "      expression: has(params.spec.environmentRef) && has(params.status) && has(params.status.identity)\n",
        (_PODS,),
    ),
    _Mutant(
        "a binding that is being deleted still gets pods",
        "bound-pods.yaml",
        " && !has(params.metadata.deletionTimestamp)",
        "",
        (_PODS,),
    ),
    _Mutant(
        "a binding has the DAGs of every bundle",
        "bound-pods.yaml",
        "exists(d, d.bundle == variables.bundle\n        && ",
        "exists(d, ",
        (_PODS,),
    ),
    _Mutant(
        "each DAG id is taken for the beginning of others",
        "bound-pods.yaml",
        ": variables.dag == i))",
        ": variables.dag.startsWith(i)))",
        (_PODS,),
    ),
    _Mutant(
        "a bound pod may have any name",
        "bound-pods.yaml",
        "!variables.carries || object.metadata.name.startsWith('airwarden-')",
        "true",
        (_PODS,),
    ),
    _Mutant(
        "anybody marks a pod of another account",
        "bound-pods.yaml",
        "    - expression: variables.byCreator || !variables.mapped\n",
        "    - expression: variables.byCreator || !variables.mapped || !variables.carries\n",
        (_PODS,),
    ),
    _Mutant(
        "others write who makes the pods of a binding",
        "binding-identity.yaml",
        "object.?status.?identity == oldObject.?status.?identity || ",
        "true || ",
        (_PODS,),
    ),
    _Mutant(
        "the image of a bound pod is changed",
        "bound-pods.yaml",
        "object.spec.containers == oldObject.spec.containers",
        "true",
        (_CHANGES,),
    ),
    _Mutant(
        "a container is put into a bound pod",
        "bound-pods.yaml",
        "resources: [pods, pods/ephemeralcontainers, pods/status]",
        "resources: [pods, pods/status]",
        (_CHANGES,),
    ),
    _Mutant(
        "marks are changed along with a status",
        "bound-pods.yaml",
        "resources: [pods, pods/ephemeralcontainers, pods/status]",
        "resources: [pods, pods/ephemeralcontainers]",
        (_CHANGES,),
    ),
    _Mutant(
        "a scheme before the name opens a bound pod",
        "bound-pods.yaml",
        "!request.name.split(':').exists(n, n.startsWith('airwarden-'))",
        "!request.name.startsWith('airwarden-')",
        (_CHANGES,),
    ),
    _Mutant(
        "a token that names a pod is given to anybody",
        "bound-tokens.yaml",
        """        'system:nodes' in request.userInfo.?groups.orValue([])
        && request.userInfo.username.startsWith('system:node:')
        && object""",
        """        object""",
        (_TOKENS,),
    ),
    _Mutant(
        "the operator writes any ConfigMap",
        "config-maps.yaml",
        "!variables.byOperator || variables.name.startsWith('airwarden.')",
        "true",
        (_MAPS,),
    ),
    _Mutant(
        "a map is sealed against the operator",
        "config-maps.yaml",
        " && object.?immutable == oldObject.?immutable",
        "",
        (_MAPS,),
    ),
    _Mutant(
        "the cluster's own pods wait for the kinds",
        "bound-pods.yaml",
        "operator: NotIn, values: [kube-system, airwarden]",
        "operator: NotIn, values: [airwarden]",
        (_ORDER,),
    ),
)
