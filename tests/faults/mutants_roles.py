"""Breakages of rotations of database roles: who may, how often, what is removed, and what the login may do.

Part of `tests/faults/mutants.py`.
"""

from __future__ import annotations

from faults.mutant import GUARDRAILS, Mutant

ROLE_GUARDRAILS = "tests/unit/domain/test_role_guardrails.py"
RUNS_OF_ROLES = "tests/unit/reconcile/test_role_rotations.py"
ROLE_SETUP = "tests/unit/vault/test_role_setup.py"
SCHEDULES = "tests/unit/domain/rotation/test_roles.py"
VERDICTS = "tests/unit/reconcile/test_rotation_verdicts.py"
DATABASE_ROLES = "tests/unit/vault/test_database_roles.py"
CONTRACT = "tests/contract/vault/test_database_roles.py"
_JUDGE, _ROLES = "domain/role_guardrails.py", "domain/rotation/roles.py"
_RIVALS, _RELEASE = "reconcile/rotation_rivals.py", "reconcile/rotation_release.py"
_VERDICTS = "reconcile/rotation_verdicts.py"
_SETUP = "providers/vault/rotation/role_setup.py"

ROLE_MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "a role is declared under another namespace's name",
        _JUDGE,
        "if role.declare is not None and not role.name.startswith(own):",
        "if role.declare is not None and not role.name:",
        (ROLE_GUARDRAILS,),
    ),
    Mutant(
        "who may read a role may rotate it",
        _JUDGE,
        "if operation in rule.operations and any(",
        "if any(",
        (ROLE_GUARDRAILS,),
    ),
    Mutant(
        "every connection's user may be rotated",
        _JUDGE,
        "return role.name in rule.roots",
        "return True",
        (ROLE_GUARDRAILS,),
    ),
    Mutant(
        "every database user may be declared",
        _JUDGE,
        "return declared.connection in rule.connections and _covers(user_patterns(rule, namespace), declared.username)",
        "return declared.connection in rule.connections",
        (ROLE_GUARDRAILS,),
    ),
    Mutant(
        "an exact user is a prefix",
        _JUDGE,
        "else username == each for",
        "else username.startswith(each) for",
        (ROLE_GUARDRAILS,),
    ),
    Mutant(
        "a namespace named as our names begin reaches what all have declared",
        "domain/guardrails.py",
        "if namespace != PREFIX or not prefix.startswith(_NAMESPACE)",
        "if prefix",
        (ROLE_GUARDRAILS,),
    ),
    Mutant(
        "the placeholder of roles counts as a part of a segment",
        "domain/guardrails.py",
        '".".join(namespace if part == _NAMESPACE else part for part in prefix.split("."))',
        "prefix.removeprefix(_NAMESPACE)",
        (GUARDRAILS,),
    ),
    Mutant(
        "a role that was rotated is rotated again after a crash",
        _ROLES,
        "if facts.present and facts.revision != run.base_revision:",
        "if False:",
        (RUNS_OF_ROLES,),
    ),
    Mutant(
        "a role that is gone counts as rotated",
        _ROLES,
        "if facts.present and facts.revision != run.base_revision:",
        "if facts.revision != run.base_revision:",
        (RUNS_OF_ROLES,),
    ),
    Mutant(
        "a role of another user is taken over",
        _ROLES,
        "if (found.connection, found.username) != (settings.connection, settings.username):",
        "if False:",
        (RUNS_OF_ROLES,),
    ),
    Mutant(
        "two static roles of one user break each other",
        _ROLES,
        "    if not facts.twins:",
        "    if True:",
        (RUNS_OF_ROLES,),
    ),
    Mutant(
        "a store that gives no answer is called late",
        "domain/rotation/report.py",
        "    if isinstance(situation.facts, RoleFacts):\n        return roles.is_late(",
        "    if True:\n        return roles.is_late(",
        (RUNS_OF_ROLES,),
    ),
    Mutant(
        "leases of others end too",
        _RIVALS,
        "if len(own) == 1 and not others:",
        "if len(own) == 1:",
        (RUNS_OF_ROLES,),
    ),
    Mutant(
        "leases end by what was known at the start",
        "reconcile/rotations.py",
        "(used := await self._gate.in_use_now(found.rotation)) is not None:",
        "(used := None) is not None:",
        (RUNS_OF_ROLES,),
    ),
    Mutant(
        "anybody stops a rotation by naming its secret",
        _RIVALS,
        "return [each for each in found if admitted(each)]",
        "return list(found)",
        (RUNS_OF_ROLES,),
    ),
    Mutant(
        "whoever names a secret has all rotations of it judged anew in each pass",
        _VERDICTS,
        "if kept is None or kept.rules is not rules or",
        "if kept is None or True or",
        (VERDICTS,),
    ),
    Mutant(
        "a verdict outlives the rules that it was given by",
        _VERDICTS,
        "if kept is None or kept.rules is not rules or",
        "if kept is None or",
        (VERDICTS,),
    ),
    Mutant(
        "a verdict outlives the labels of its namespace",
        _VERDICTS,
        " or kept.labels != labels:",
        ":",
        (VERDICTS,),
    ),
    Mutant(
        "whoever names a secret wakes all rotations of it",
        "reconcile/rotation_engine.py",
        "if not verdicts.admitted_or_was(entry):",
        "if False:",
        (VERDICTS,),
    ),
    Mutant(
        "a password stands in what is told of a database's error",
        "providers/vault/answers.py",
        "        text = each.sub(_HIDDEN, text)\n",
        "        each.sub(_HIDDEN, text)\n",
        ("tests/unit/vault/test_answers.py",),
    ),
    Mutant(
        "whoever asks for a role keeps its leases from being ended",
        "domain/rotation/targets.py",
        "if backend in admitting or (",
        "if backend in near or (",
        (RUNS_OF_ROLES,),
    ),
    Mutant(
        "leases that are granted still are ended once the rules do not admit them",
        "domain/rotation/targets.py",
        'if each.get("state") == SecretState.GRANTED)',
        'if each.get("state") == "nothing")',
        (RUNS_OF_ROLES,),
    ),
    Mutant(
        "leases are ended of a namespace that is not seen yet",
        "domain/guardrails.py",
        "(request.labels is None and rule.namespaces.selector is not None)",
        "False",
        (RUNS_OF_ROLES,),
    ),
    Mutant(
        "a refused rotation keeps a role in the store",
        _RELEASE,
        "other.declares and self._verdicts.admits(other):",
        "other.declares:",
        (RUNS_OF_ROLES,),
    ),
    Mutant(
        "a rotation that declares nothing keeps a role in the store",
        _RELEASE,
        "other.declares and self._verdicts.admits(other):",
        "self._verdicts.admits(other):",
        (RUNS_OF_ROLES,),
    ),
    Mutant(
        "a role that is somebody else's is removed",
        _RELEASE,
        "    if found.settings is None or (found.settings.connection, found.settings.username) != (",
        "    if found.settings is None or (declared.connection, declared.username) != (",
        (RUNS_OF_ROLES,),
    ),
    Mutant(
        "a role is made before the rotation is held",
        "reconcile/rotations.py",
        "        found = await self._hold(found)\n",
        "",
        (RUNS_OF_ROLES,),
    ),
    Mutant(
        "a deleted rotation goes although its role could not be removed",
        "reconcile/rotations.py",
        '            return Following("retry")\n        if told:',
        "            told = str(error)\n        if told:",
        (RUNS_OF_ROLES,),
    ),
    Mutant(
        "another role of a user is not looked for before one is made",
        "providers/vault/rotation/roles.py",
        "if anew or age >= _FRESH or",
        "if age >= _FRESH or",
        (DATABASE_ROLES,),
    ),
    Mutant(
        "a password in a database's error is repeated",
        "providers/vault/rotation/roles.py",
        '        message = each.sub("[redacted]", message)',
        '        each.sub("[redacted]", message)',
        (DATABASE_ROLES,),
    ),
    Mutant(
        "the login for rotations may write every parameter of a static role",
        _SETUP,
        "    if found.connections:\n",
        "    if False:\n",
        (ROLE_SETUP,),
    ),
    Mutant(
        "roles may be declared below every prefix of a rule",
        _SETUP,
        "        if own.startswith(each):\n            yield own",
        "        if own.startswith(each):\n            yield each",
        (ROLE_SETUP,),
    ),
    Mutant("leases of all roles may be ended", _SETUP, "/creds/{prefix}*", "/creds/*", (ROLE_SETUP,)),
    Mutant(
        "a schedule that Vault reads otherwise is pushed",
        _ROLES,
        'if any("7" in term.split("-") or (step and term.isalnum()) for term, _, step in terms):',
        "if False:",
        (SCHEDULES,),
    ),
    Mutant(
        "a database that refused counts as rotated",
        "providers/vault/rotation/roles.py",
        "        raise failure\n",
        "        return\n",
        (CONTRACT,),
        servers=True,
    ),
)
