"""Breakages of rotation: of what may be rotated, of how a value is written, and of the login that writes it.

Part of `tests/faults/mutants.py`.
"""

from __future__ import annotations

from faults.mutant import GUARDRAILS, Mutant

ROTATION, ROTATION_SETUP = (f"tests/unit/vault/test_{name}.py" for name in ("rotation", "rotation_setup"))
_ROTATOR, _SETUP = "providers/vault/rotation/rotator.py", "providers/vault/rotation/setup.py"

ROTATING: tuple[Mutant, ...] = (
    Mutant(
        "who may read a key may rotate it",
        "domain/guardrails.py",
        "if operation in rule.operations and key.startswith(",
        "if key.startswith(",
        (GUARDRAILS,),
    ),
    Mutant(
        "every key of a store may be rotated",
        "domain/guardrails.py",
        "if operation in rule.operations and key.startswith(prefixes_for(rule, request.namespace)):",
        "if operation in rule.operations:",
        (GUARDRAILS,),
    ),
    Mutant(
        "a value is written whatever version stands there",
        _ROTATOR,
        '"options": {"cas": base}',
        '"options": {}',
        (ROTATION,),
    ),
    Mutant("a value is not hidden from messages", _ROTATOR, "secrets=hidden", "secrets=()", (ROTATION,)),
    Mutant("a field that is missing is added", _ROTATOR, "if field not in found:", "if False:", (ROTATION,)),
    Mutant("an object is replaced by a value", _ROTATOR, "        if found[field]:", "        if False:", (ROTATION,)),
    Mutant(
        "an engine without check-and-set is written",
        _ROTATOR,
        "if place.version != policy.VERSIONED:",
        "if False:",
        (ROTATION,),
    ),
    Mutant(
        "what is no key is sent to Vault",
        _ROTATOR,
        "if (complaint := self._grammar.complaint(key)) is not None:",
        "if (complaint := self._grammar.complaint(key)) == key:",
        (ROTATION,),
    ),
    Mutant(
        "metadata that makes no sense is an absent secret",
        "providers/vault/rotation/reading.py",
        "    if answer.absent:\n        return None",
        "    if answer.absent or not answer.data:\n        return None",
        (ROTATION,),
    ),
    Mutant(
        "rotations read values although nobody asked",
        _SETUP,
        '("patch", "read") if options.read else ("patch",)',
        '("patch", "read")',
        (ROTATION_SETUP,),
    ),
    Mutant(
        "a login for rotations has versions of secrets deleted",
        _SETUP,
        "*capabilities, parameters=parameters)",
        "*capabilities)",
        (ROTATION_SETUP,),
    ),
    Mutant(
        "rotations write below every rule",
        _SETUP,
        "if _ROTATES.isdisjoint(rule.operations):",
        "if False:",
        (ROTATION_SETUP,),
    ),
    Mutant(
        "one login writes policies and values",
        "api/rotating.py",
        "    if _who(login) == _who(own):",
        "    if False:",
        ("tests/unit/api/test_models.py",),
    ),
)
