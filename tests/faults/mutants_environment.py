"""Breakages of environments: whose a DAG is, what is written, and which isolation is claimed.

Part of `tests/faults/mutants.py`.
"""

from __future__ import annotations

from faults.mutant import Mutant

_CLAIMS = "tests/unit/domain/environment/test_claims.py"
_RENDERING = "tests/unit/domain/environment/test_rendering.py"
_RECONCILE = "tests/unit/reconcile/test_environments.py"
_KILLS = "tests/unit/reconcile/test_environment_kills.py"
_ENGINE = "tests/unit/reconcile/test_environment_engine.py"
_RIGHTS = "tests/unit/commands/test_environment_rights.py"

ENVIRONMENTS: tuple[Mutant, ...] = (
    Mutant(
        "any namespace may claim a bundle",
        "domain/environment/claims.py",
        "            if namespace not in self._owners.get(claim.bundle, ())",
        "            if False",
        (_CLAIMS,),
    ),
    Mutant(
        "tasks may run in any namespace",
        "domain/environment/claims.py",
        "        if namespace not in self._workers:",
        "        if False:",
        (_CLAIMS,),
    ),
    Mutant(
        "the powerless account may be bound",
        "domain/environment/claims.py",
        "        if (namespace, claimant.account) == self._powerless:",
        "        if False:",
        (_CLAIMS,),
    ),
    Mutant(
        "who is not admitted takes from others",
        "domain/environment/claims.py",
        "            self._barred[claimant.key] = complaints\n            return freed",
        "            self._barred[claimant.key] = complaints",
        (_CLAIMS,),
    ),
    Mutant(
        "a conflict is won",
        "domain/environment/claims.py",
        "        return Verdict(() if complaints else claimant.claims, complaints)",
        "        return Verdict(claimant.claims, ())",
        (_CLAIMS,),
    ),
    Mutant(
        "a prefix covers nothing",
        "domain/environment/overlaps.py",
        "            if length > len(text):",
        "            if True:",
        (_CLAIMS,),
    ),
    Mutant(
        "anybody's account is a binding's own",
        "reconcile/environments.py",
        '        return found is not None and accounts.is_ours(found, owner, "")',
        "        return True",
        (_RECONCILE,),
    ),
    Mutant(
        "access that has ended goes on",
        "domain/environment/rendering.py",
        "    if has_ended(found.now, asked.ends):",
        "    if False:",
        (_RENDERING,),
    ),
    Mutant(
        "a binding that goes keeps its DAGs",
        "domain/environment/asked.py",
        '        if not named or metadata.get("deletionTimestamp"):',
        "        if not named:",
        (_RENDERING,),
    ),
    Mutant(
        "claims that are not in force are mapped",
        "domain/environment/rendering.py",
        "        claims = within(verdict.claims, asked.in_force)",
        "        claims = verdict.claims",
        (_RENDERING,),
    ),
    Mutant(
        "a suspended binding gets more",
        "domain/environment/asked.py",
        'within(declared, in_force) if spec.get("suspend") else declared',
        "declared",
        (_RENDERING,),
    ),
    Mutant(
        "a foreign ConfigMap is taken",
        "providers/kubernetes/config_maps.py",
        "    if not found.belongs(labels):",
        "    if False:",
        (_RECONCILE,),
    ),
    Mutant(
        "what others put beside our keys stays",
        "providers/kubernetes/config_maps.py",
        "        return dict(self.data) == dict(wanted.data) and not self.extra and self.belongs(wanted.labels)",
        "        return all(self.data.get(k) == v for k, v in wanted.data.items()) and self.belongs(wanted.labels)",
        (_RECONCILE,),
    ),
    Mutant(
        "a ConfigMap that changed is overwritten unread",
        "providers/kubernetes/config_maps.py",
        '            {"op": "test", "path": "/metadata/resourceVersion", "value": found.version},\n',
        "",
        (_RECONCILE,),
    ),
    Mutant(
        "nothing is recorded before it is made",
        "reconcile/environments.py",
        "        if not new:\n            return environment",
        "        if True:\n            return environment",
        (_RECONCILE, _KILLS),
    ),
    Mutant(
        "a status names what is removed",
        "reconcile/environments.py",
        "    recorded = {each.name for each in status.rendered if each.name.startswith(prefix)}",
        "    recorded = {each.name for each in status.rendered}",
        (_RECONCILE,),
    ),
    Mutant(
        "a map that is too large is written",
        "domain/environment/fitting.py",
        "    return None if is_too_large(wanted) else wanted",
        "    return wanted",
        (_RECONCILE,),
    ),
    Mutant(
        "a map that is too large keeps what was withdrawn",
        "domain/environment/dag_map.py",
        "        ids = tuple(each for each in binding.ids if each in given)",
        "        ids = binding.ids",
        (_RENDERING, _RECONCILE),
    ),
    Mutant(
        "a DAG whose claim is not in force is taken for nobody's",
        "domain/environment/rendering.py",
        "        for bundle, ids in _lacking(asked.declared, () if obstacle else claims):",
        "        for bundle, ids in ():",
        (_RENDERING,),
    ),
    Mutant(
        "who may not claim a bundle withholds its DAGs",
        "domain/environment/rendering.py",
        "            if key[0] in owners.get(bundle, ()):",
        "            if True:",
        (_RENDERING,),
    ),
    Mutant(
        "what a map has no room for is taken for nobody's",
        "domain/environment/dag_map.py",
        '    return replace(dag_map, withheld=(Withheld(frozenset({"*"}), Reason.MAP_TOO_LARGE),))',
        "    return replace(dag_map, withheld=())",
        (_RECONCILE,),
    ),
    Mutant(
        "an environment goes before its ConfigMaps",
        "reconcile/environments.py",
        "        if fault is not None:\n            status = reports.deleting(",
        "        if False:\n            status = reports.deleting(",
        (_RECONCILE,),
    ),
    Mutant(
        "maps are written before all bindings are known",
        "reconcile/environment_engine.py",
        "        if not self._live or key not in self._views.known:",
        "        if key not in self._views.known:",
        (_ENGINE,),
    ),
    Mutant(
        "bindings are not listed before maps are written",
        "reconcile/priming.py",
        "    if environments.known_environments() or engine.lets_people_in:",
        "    if engine.lets_people_in:",
        (_ENGINE,),
    ),
    Mutant(
        "each binding writes the map",
        "reconcile/environment_engine.py",
        "        delay = max(GATHERING, self._begun.get(key, 0.0) + SPACING - now)",
        "        delay = 0.0",
        (_ENGINE,),
    ),
    Mutant(
        "identities count as enforced without the policy",
        "domain/environment/isolation.py",
        '    if sight.gaps:\n        return Said("False"',
        '    if False:\n        return Said("False"',
        (_RECONCILE,),
    ),
    Mutant(
        "identities count as enforced although others make task pods",
        "domain/environment/isolation.py",
        "    if sight.unmarked:",
        "    if False:",
        (_RECONCILE,),
    ),
    Mutant(
        "what cannot be seen is fine",
        "domain/environment/isolation.py",
        '        return Said("Unknown", Reason.TASK_PODS_NOT_VISIBLE, sight.hidden)\n    if',
        '        return Said("True", Reason.IDENTITY_ENFORCED, sight.hidden)\n    if',
        (_RECONCILE,),
    ),
    Mutant(
        "workers with the database's credentials are isolated",
        "domain/environment/isolation.py",
        "    if sight.holds:",
        "    if False:",
        (_RECONCILE,),
    ),
    Mutant(
        "the scheduler may read every ConfigMap",
        "domain/environment/rights.py",
        '"resources": ["configmaps"], "resourceNames": maps, "verbs"',
        '"resources": ["configmaps"], "verbs"',
        (_RIGHTS,),
    ),
)
