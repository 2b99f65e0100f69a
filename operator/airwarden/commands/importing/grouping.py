"""Judges what was found, and puts it into bindings: pure, so that a dry run and a write see the same.

Called by `command`. An item that cannot be taken stays in the plan with the reason; nothing is dropped in silence.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Final

import yaml
from pydantic import Field, StringConstraints, ValidationError

from airwarden.api import API_VERSION
from airwarden.api.binding import MAX_SECRETS, AirflowSecretBinding, SecretItem, SecretType
from airwarden.api.dags import DagClaim
from airwarden.api.fields import Model, ObjectName, Unique, matches
from airwarden.commands.importing.items import Item, printable, same_value
from airwarden.domain.errors import InvalidSettings
from airwarden.reconcile.wording import complaints

FOLDERS: Final = {SecretType.CONNECTION: "connections", SecretType.VARIABLE: "variables"}
_ANYTHING: Final = "*"
_CASE: Final = "its id is taken in lower case: a variable's name does not tell"

Wanted = Annotated[
    str,
    StringConstraints(max_length=270),
    matches(
        r"^((Connection|Variable)/)?([A-Za-z0-9_.-]+\*?|\*)$",
        "must be an id, or the beginning of some with a * at the end; Connection/ or Variable/ may stand before it",
    ),
]


class Group(Model):
    """One binding of the file of --map."""

    ids: Annotated[tuple[Wanted, ...], Field(min_length=1), Unique()]
    """What the binding shall hold, such as Connection/warehouse or billing_*."""
    service_account: ObjectName | None = None
    """Its account. Default: the binding's name."""
    dags: tuple[DagClaim, ...] = ()
    """Whose secrets they are, with --environment."""


class Groups(Model):
    """The file of --map."""

    bindings: Annotated[dict[str, Group], Field(min_length=1)]
    """By the binding's name."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where everything shall go."""

    namespace: str
    backend: str
    key_prefix: str
    environment: str = ""
    """Namespace and name of the AirflowEnvironment; empty: the bindings name none."""

    def key(self, item: Item) -> str:
        """Return where an item shall lie in the store."""
        return f"{self.key_prefix}{FOLDERS[item.type]}/{item.id}"


@dataclass(frozen=True, slots=True)
class Placed:
    """An item in a binding; without one, or with a reason, it is left out."""

    item: Item
    binding: str
    key: str

    @property
    def taken(self) -> bool:
        """Tell whether it will be written."""
        return bool(self.binding) and not self.item.wrong

    @property
    def state(self) -> str:
        """Return one word for it, or few."""
        if not self.taken:
            return "left out"
        return "to be filled" if self.item.to_be_filled else "ready"


@dataclass(frozen=True, slots=True)
class Plan:
    """All that would be made."""

    placed: tuple[Placed, ...]
    bindings: Mapping[str, Mapping[str, Any]]
    """Bodies of the bindings, by name."""
    unmatched: tuple[str, ...] = ()
    """What the file of --map names and nothing is."""


def read_groups(file: Path) -> Groups:
    """Return what the file of --map says. Raises InvalidSettings."""
    try:
        return Groups.model_validate(yaml.safe_load(file.read_text(encoding="utf-8")))
    except OSError as error:
        raise InvalidSettings(f"{file} cannot be read ({error.strerror}): correct --map") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InvalidSettings(f"{file} is not YAML: {' '.join(str(error).split())}") from None
    except ValidationError as error:
        raise InvalidSettings(f"{file}: {complaints(error)}") from None


def plan(items: Sequence[Item], groups: Groups, target: Target) -> Plan:
    """Return which item goes into which binding, and what is wrong with those that go into none."""
    known = [_checked(each, target) for each in _once(_with_case(items))]
    matched: dict[str, list[Item]] = {
        name: [each for each in known if _wanted(group, each)] for name, group in groups.bindings.items()
    }
    bodies: dict[str, Mapping[str, Any]] = {}
    placed: list[Placed] = []
    for name, found in matched.items():
        good = [each for each in found if not each.wrong]
        body = _body(name, groups.bindings[name], good, target)
        wrong = _complaint(name, body)
        if good and not wrong:
            bodies[name] = body
        placed += [
            Placed(each if each.wrong or not wrong else replace(each, wrong=wrong), name, target.key(each))
            for each in found
        ]
    nowhere = [each for each in known if not any(each in found for found in matched.values())]
    placed += [
        Placed(each if each.wrong else replace(each, wrong="no binding of --map names it"), "", target.key(each))
        for each in nowhere
    ]
    unmatched = [
        f"{name}: {text}"
        for name, group in groups.bindings.items()
        for text in group.ids
        if not any(_matches(text, each) for each in known)
    ]
    placed.sort(key=lambda each: (each.binding, each.item.type, each.item.id, each.item.origin))
    return Plan(tuple(placed), bodies, tuple(unmatched))


def _with_case(items: Sequence[Item]) -> list[Item]:
    """Give ids out of variables' names the case that another source knows."""
    known = {(each.type, each.id) for each in items if not each.case_unknown}
    found: list[Item] = []
    for each in items:
        if not each.case_unknown or each.wrong:
            found.append(each)
            continue
        same = sorted(id_ for kind, id_ in known if kind == each.type and id_.upper() == each.id.upper())
        if len(same) > 1:
            found.append(replace(each, wrong=f"its name stands for {' and '.join(map(printable, same))} alike"))
        else:
            found.append(replace(each, id=same[0]) if same else replace(each, note=_CASE))
    return found


def _once(items: Iterable[Item]) -> list[Item]:
    """Return one item for each type and id: what is hidden in one source may be known from another."""
    by_id: defaultdict[tuple[str, str], list[Item]] = defaultdict(list)
    for each in items:
        by_id[each.type, each.id].append(each)
    return [_one(each) for each in by_id.values()]


def _one(same: Sequence[Item]) -> Item:
    usable = [each for each in same if not each.wrong] or list(same)
    usable = [each for each in usable if not each.to_be_filled] or usable
    origins = list(dict.fromkeys(each.origin for each in usable))
    first = usable[0]
    if len(usable) > 1 and not first.wrong and any(not same_value(each.payload, first.payload) for each in usable):
        places = " and ".join(origins) if len(origins) > 1 else f"two places of {origins[0]}"
        return replace(
            first, wrong=f"it stands in {places} with different values, or in different forms: leave one out"
        )
    unfit = [f"not taken from {each.origin}: {each.wrong}" for each in same if each.wrong and not first.wrong]
    note = "; ".join(each for each in (first.note, *unfit) if each)
    return replace(first, origin=", ".join(origins), note=note)


def _checked(item: Item, target: Target) -> Item:
    """Have the binding's own schema judge id and key."""
    if item.wrong:
        return item
    try:
        SecretItem.model_validate(_secret(item, target))
    except ValidationError as error:
        return replace(item, wrong=complaints(error))
    return item


def _secret(item: Item, target: Target) -> dict[str, Any]:
    return {
        "type": item.type.value,
        "id": item.id,
        "backendRef": {"name": target.backend},
        "key": target.key(item),
    }


def _wanted(group: Group, item: Item) -> bool:
    return any(_matches(text, item) for text in group.ids)


def _matches(text: str, item: Item) -> bool:
    """Tell whether a text names an item: exact, or with a * at the end, with or without the type before it."""
    kind, slash, wanted = text.rpartition("/")
    if slash and kind != item.type:
        return False
    if wanted.endswith(_ANYTHING):
        return item.id.startswith(wanted.removesuffix(_ANYTHING))
    return item.id == wanted


def _body(name: str, group: Group, items: Sequence[Item], target: Target) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "serviceAccount": {"name": group.service_account or name},
        "secrets": [_secret(each, target) for each in sorted(items, key=lambda each: (each.type, each.id))],
    }
    if target.environment:
        namespace, _, environment = target.environment.partition("/")
        claims = [each.model_dump(mode="json", by_alias=True) for each in group.dags]
        spec = {"environmentRef": {"name": environment, "namespace": namespace}, "dags": claims, **spec}
    metadata = {"name": name, "namespace": target.namespace}
    return {"apiVersion": API_VERSION, "kind": "AirflowSecretBinding", "metadata": metadata, "spec": spec}


def _complaint(name: str, body: Mapping[str, Any]) -> str:
    """Return what the schema says of a binding, empty if it is one."""
    count = len(body["spec"]["secrets"])
    if count > MAX_SECRETS:
        return (
            f"binding {name} would hold {count} secrets, and at most {MAX_SECRETS} are allowed: group them with --map"
        )
    if not count:
        return ""
    try:
        AirflowSecretBinding.model_validate({"metadata": body["metadata"], "spec": body["spec"]})
    except ValidationError as error:
        return f"binding {name} would not be one: {complaints(error)}"
    return ""
