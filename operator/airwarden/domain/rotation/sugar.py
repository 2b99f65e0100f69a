"""The rotations that a binding's `spec.rotation` makes: which there should be, and how they differ from what is there.

Pure. Called by `airwarden.reconcile.binding_rotations`, and by `airwarden plan`.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from airwarden.api.binding import AirflowSecretBinding, SecretItem, SecretType
from airwarden.api.binding_rotation import BindingRotation, ConnectionField
from airwarden.api.references import MAX_NAME
from airwarden.api.rotation import Part, RotationSpec

_SHORT: Final = 8
_LONG: Final = 20
"""Hexadecimal digits at the end of a name that says the binding's whole, and of one that does not.

Of different length, so that no binding's name can be chosen so as to give another one's rotation's.
"""


@dataclass(frozen=True, slots=True)
class Wanted:
    """One rotation that there should be."""

    name: str
    secret: str
    """The binding's item that it is for, as type/id."""
    spec: RotationSpec


@dataclass(frozen=True, slots=True)
class Found:
    """One rotation that is there, under a name that is wanted or with the binding's labels."""

    name: str
    uid: str
    ours: bool
    """It carries this binding's labels, under a name that this binding's rotations have."""
    deleting: bool
    target: tuple[str, str, str]
    """Backend, key and field: what cannot be changed of it."""
    spec: RotationSpec | None
    """None where it does not hold to its schema."""


class Action(StrEnum):
    """What is done to one rotation."""

    CREATE = "create"
    CORRECT = "correct"
    REPLACE = "replace"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do."""

    action: Action
    name: str
    uid: str = ""
    """Of the very one that is corrected or deleted."""
    wanted: Wanted | None = None


@dataclass(frozen=True, slots=True)
class Difference:
    """How what there should be differs from what is there."""

    steps: tuple[Step, ...] = ()
    taken: tuple[str, ...] = ()
    """Names that somebody else's rotation has: nothing is done to it."""


def wanted(binding: AirflowSecretBinding) -> tuple[Wanted, ...]:
    """Return the rotations that there should be, in the order of their secrets: one for each key in a store."""
    sugar = binding.spec.rotation
    if sugar is None:
        return ()
    first: dict[tuple[str, str], SecretItem] = {}
    for item in sorted(binding.spec.secrets, key=_secret):
        if item.key is not None:
            first.setdefault((item.backend_ref.name, item.key), item)
    made: dict[str, Wanted] = {}
    for item in first.values():
        name = name_of(binding.metadata.name, _secret(item))
        if name in made:  # two ids of one digest: an author would have to look for them for hours
            continue
        made[name] = Wanted(name, _secret(item), _spec(item, sugar, suspend=binding.spec.suspend))
    return tuple(made.values())


def name_of(binding: str, secret: str) -> str:
    """Return the name of a binding's rotation of one secret, given as type/id; at most 63 characters.

    No two bindings share one: `is_name_of` tells whose it is, but for bindings of more than 54 characters.
    """
    name = f"{binding}-{_digest(secret)[:_SHORT]}"
    if len(name) <= MAX_NAME:
        return name
    head = binding[: MAX_NAME - _LONG - 1].rstrip("-.")
    return f"{head}-{_digest(f'{binding}/{secret}')[:_LONG]}"


def is_name_of(binding: str, name: str) -> bool:
    """Tell whether a rotation of this binding could have the name, whatever secret it is for."""
    whole = len(binding) + 1 + _SHORT <= MAX_NAME
    head = binding if whole else binding[: MAX_NAME - _LONG - 1].rstrip("-.")
    return re.fullmatch(f"{re.escape(head)}-[0-9a-f]{{{_SHORT if whole else _LONG}}}", name) is not None


def binding_of(name: str) -> str:
    """Return the binding whose rotation would have the name, but for one of more than 54 characters; empty for none."""
    head, _, digits = name.rpartition("-")
    return head if re.fullmatch(f"[0-9a-f]{{{_SHORT}}}", digits) else ""


def difference(wanted: Iterable[Wanted], found: Iterable[Found], *, suspended: bool) -> Difference:
    """Return what is to be done. To a suspended binding nothing is added.

    What somebody else made is neither changed nor deleted; what is being deleted is waited for.
    """
    there: Mapping[str, Found] = {each.name: each for each in found}
    steps: list[Step] = []
    taken: list[str] = []
    names: set[str] = set()
    for each in wanted:
        names.add(each.name)
        known = there.get(each.name)
        if known is None:
            steps += [] if suspended else [Step(Action.CREATE, each.name, wanted=each)]
        elif not known.ours:
            taken.append(each.name)
        elif not known.deleting and known.spec != each.spec:
            same = known.target == _target(each.spec)
            steps.append(Step(Action.CORRECT if same else Action.REPLACE, each.name, known.uid, each))
    steps += [
        Step(Action.DELETE, name, known.uid)
        for name, known in sorted(there.items())
        if known.ours and not known.deleting and name not in names
    ]
    return Difference(tuple(steps), tuple(taken))


def _target(spec: RotationSpec) -> tuple[str, str, str]:
    return (spec.backend_ref.name, spec.key or "", spec.field or "")


def _spec(item: SecretItem, sugar: BindingRotation, *, suspend: bool) -> RotationSpec:
    field, part = "value", Part.VALUE
    if item.type is SecretType.CONNECTION:
        by_uri = sugar.connections is ConnectionField.URI
        field, part = ("conn_uri", Part.URI_PASSWORD) if by_uri else ("password", Part.VALUE)
    given = sugar.model_dump(by_alias=True, exclude_none=True, exclude={"connections", "strategy", "suspend"})
    return RotationSpec.model_validate(
        {
            **given,
            "backendRef": {"name": item.backend_ref.name},
            "key": item.key,
            "field": field,
            "part": part,
            "strategy": sugar.strategy.value,
            "suspend": suspend or sugar.suspend,
        }
    )


def _secret(item: SecretItem) -> str:
    return f"{item.type.value}/{item.id}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
