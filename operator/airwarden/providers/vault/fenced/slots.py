"""What stands in the slots of one account, and the admin's policy that reads them.

A slot is one key of the custom metadata of the account's alias. The policy puts its value behind a path that
the metadata cannot change: the namespace in it comes from the token that Kubernetes signed. Pure; called by
`airwarden.providers.vault.fenced`.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from airwarden.api.fenced import MAX_SLOTS
from airwarden.domain.fence import SHARED, Fence, SlotKind
from airwarden.domain.owner import Owner
from airwarden.domain.resources import DynamicCredentials, FieldValue, Grant, Readable, StaticSecret
from airwarden.providers.vault import policy

MARK: Final = "airwarden"
"""The key under which the ownership mark stands."""
ENGINE: Final = "engine"
"""The key under which the mount of dynamic slots stands: the policy does not read it, but whoever looks does."""
NO_ACCESSOR: Final = "${ACCESSOR}"
"""Stands in printed texts for the accessor of the tasks' auth mount, which only Vault knows."""
_LETTERS: Final = {SlotKind.OWN: "p", SlotKind.SHARED: "s", SlotKind.DYNAMIC: "d"}
_STATIC_ROLE: Final = "t"
"""Letter of a dynamic slot that holds a static role: the policy reads static-creds/ from it."""
_LONGEST: Final = 512
_ACCESSOR: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")
_PATH_LINE: Final = re.compile(r'^\s*path\s+"([^"]+)"', re.MULTILINE)


def metadata(grant: Grant, fence: Fence) -> dict[str, str]:
    """Return the alias metadata that gives exactly the grant: our mark, and one key per secret.

    Raises ValueError for a secret that no slot can hold, or for more than there are slots.
    """
    namespace = grant.owner.namespace
    by_kind: dict[SlotKind, dict[str, Readable]] = {kind: {} for kind in SlotKind}
    for item in grant.readable:
        kind = fence.kind(item, namespace)
        if kind is None:
            raise ValueError(f"{item} fits no slot")
        by_kind[kind][_identity(item)] = item
    found = {MARK: grant.owner.mark, ENGINE: slot_value(fence.engine)}
    for kind, items in by_kind.items():
        for slot, name in assigned(items, fence.capacity(kind)).items():
            item = items[name]
            letter = _STATIC_ROLE if _is_static_role(item) else _LETTERS[kind]
            found[f"{letter}{slot:02}"] = _value(item, namespace, kind)
    return found


def assigned(names: Iterable[str], capacity: int) -> dict[int, str]:
    """Return which name has which slot: always the same for the same names, and an edit moves few.

    Every name ranks all slots and every slot all names, by hash; the stable matching of the two depends on
    no order. Raises ValueError for more names than slots.
    """
    waiting = sorted(set(names))
    if len(waiting) > capacity:
        raise ValueError(f"{len(waiting)} secrets for {capacity} slots")
    wishes = {name: _wishes(name, capacity) for name in waiting}
    holders: dict[int, str] = {}
    while waiting:
        name = waiting.pop()
        slot = next(wishes[name])
        holder = holders.get(slot)
        if holder is None or _rank(name, slot) < _rank(holder, slot):
            holders[slot] = name
            if holder is not None:
                waiting.append(holder)
        else:
            waiting.append(name)
    return holders


def owner_of(fields: Mapping[str, FieldValue]) -> Owner | None:
    """Return whose the metadata is by the mark in it; None without one."""
    mark = fields.get(MARK)
    return Owner.from_mark(mark) if isinstance(mark, str) else None


def readable(fields: Mapping[str, FieldValue], namespace: str) -> frozenset[Readable]:
    """Return what an account of the namespace reads through these slots, were there as many as can be."""
    found: set[Readable] = set()
    engine = str(fields.get(ENGINE, ""))
    for key, value in fields.items():
        if re.fullmatch(r"[a-z][0-9]{2}", key) is None or not isinstance(value, str) or int(key[1:]) >= MAX_SLOTS:
            continue
        if key[0] == _LETTERS[SlotKind.OWN]:
            found.add(StaticSecret(f"{namespace}/{value}"))
        elif key[0] == _LETTERS[SlotKind.SHARED]:
            found.add(StaticSecret(f"{SHARED}{value}"))
        elif key[0] == _LETTERS[SlotKind.DYNAMIC]:
            found.add(DynamicCredentials(engine, f"{namespace}.{value}", "Dynamic"))
        elif key[0] == _STATIC_ROLE:
            found.add(DynamicCredentials(engine, f"{namespace}.{value}", "Static"))
    return frozenset(found)


def narrowed(
    fields: Mapping[str, FieldValue], wanted: Mapping[str, FieldValue], namespace: str
) -> dict[str, FieldValue]:
    """Return of the metadata that stands there only what the wanted metadata gives too, in the slots where it is."""
    granted = readable(wanted, namespace)
    engine = fields.get(ENGINE, wanted[ENGINE])
    kept: dict[str, FieldValue] = {MARK: wanted[MARK], ENGINE: engine}
    for key, value in fields.items():
        given = readable({key: value, ENGINE: engine}, namespace)
        if given and given <= granted:
            kept[key] = value
    return kept


def policy_text(fence: Fence, *, mount: str, version: int, accessor: str = NO_ACCESSOR) -> str:
    """Return the one policy of all bound accounts. ``mount`` and ``version`` are those of the key-value engine.

    Raises ValueError for a mount, engine or accessor that cannot stand in a policy.
    """
    if accessor != NO_ACCESSOR and _ACCESSOR.fullmatch(accessor) is None:
        raise ValueError(f"{accessor!r} is not the accessor of a mount")
    engine = policy.quote(fence.engine)[1:-1]
    lines = ["# Airwarden's fence: what stands in the slots of an account is all that it reads. Written by the admin."]
    for path in _slot_paths(fence, policy.quote(mount)[1:-1], version, accessor, engine):
        lines += _block(path, "read")
    for path, capability in policy.TOKEN_CALLS:
        lines += _block(path, capability)
    if fence.dynamic:
        for path, spare in policy.LEASE_CALLS:
            leases = f'  allowed_parameters = {{\n    "lease_id" = ["{engine}/creds/*"]\n    "{spare}" = []\n  }}'
            lines += [*_block(path, "update")[:-1], leases, "}"]
    return "\n".join(lines) + "\n"


def missing_paths(text: str, wanted: str) -> tuple[str, ...]:
    """Return the paths of a wanted policy that a policy text does not speak of, in order."""
    there = set(_PATH_LINE.findall(text))
    return tuple(path for path in _PATH_LINE.findall(wanted) if path not in there)


def slot_value(text: str) -> str:
    """Return a text as it may stand in a slot: the one place where that is decided.

    Raises ValueError for anything that could be read as more than the one plain path it is.
    """
    if len(policy.quote(text)) - 2 > _LONGEST:
        raise ValueError(f"{text!r} is longer than a slot holds")
    return text


def _value(item: Readable, namespace: str, kind: SlotKind) -> str:
    if isinstance(item, StaticSecret):
        return slot_value(item.key.removeprefix(SHARED if kind is SlotKind.SHARED else f"{namespace}/"))
    if "/" in item.role:
        raise ValueError(f"{item.role!r} cannot be a role of {item.engine}: it has a slash")
    return slot_value(item.role.removeprefix(f"{namespace}."))


def _identity(item: Readable) -> str:
    return item.key if isinstance(item, StaticSecret) else f"{item.kind} {item.role}"


def _is_static_role(item: Readable) -> bool:
    return isinstance(item, DynamicCredentials) and item.kind == "Static"


def _wishes(name: str, capacity: int) -> Iterator[int]:
    return iter(sorted(range(capacity), key=lambda slot: _rank(name, slot)))


def _rank(name: str, slot: int) -> bytes:
    return hashlib.sha256(f"{slot} {name}".encode()).digest()


def _slot_paths(fence: Fence, mount: str, version: int, accessor: str, engine: str) -> Iterator[str]:
    values = f"{mount}/data" if version == policy.VERSIONED else mount
    alias = f"identity.entity.aliases.{accessor}"
    namespace = f"{{{{{alias}.metadata.service_account_namespace}}}}"

    def slot(letter: str, number: int) -> str:
        return f"{{{{{alias}.custom_metadata.{letter}{number:02}}}}}"

    for number in range(fence.own):
        yield f"{values}/{namespace}/{slot('p', number)}"
    for number in range(fence.shared):
        yield f"{values}/{SHARED}{slot('s', number)}"
    for number in range(fence.dynamic):
        yield f"{engine}/creds/{namespace}.{slot('d', number)}"
        yield f"{engine}/static-creds/{namespace}.{slot(_STATIC_ROLE, number)}"


def _block(path: str, capability: str) -> list[str]:
    return [f'path "{path}" {{', f'  capabilities = ["{capability}"]', "}"]
