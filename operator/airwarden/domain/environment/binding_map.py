"""The map of a binding, which tells its tasks what they may read and where it lies (docs/reference/binding-map.md).

Every id that the binding names stands in it, also one that it is not given: that one is refused there, since a task
must not get what another source holds under a bound id. Pure; called by `airwarden.reconcile.binding_maps`.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from airwarden.api import GROUP
from airwarden.api.binding import AirflowSecretBinding, SecretItem
from airwarden.api.dags import ConnectionParts
from airwarden.api.environment import UnboundIDs
from airwarden.api.fields import seconds
from airwarden.api.reasons import Reason
from airwarden.domain.config_map import MANAGED_BY, WantedMap, compact
from airwarden.domain.desired import Decision, Plan, common_items
from airwarden.domain.environment.mapping import DagMapping
from airwarden.domain.guardrails import Admitted, Refused
from airwarden.domain.owner import PREFIX, Owner
from airwarden.domain.progress import CLUSTER
from airwarden.domain.resources import Address, Readable
from airwarden.domain.task_access import TaskAccess, ca_key

KIND: Final = "ConfigMap"
MAP_KEY: Final = "binding.json"
VERSION: Final = 1
_LONGEST_CACHE: Final = 3600
"""Seconds; a reader takes no more."""
_BINDING: Final = f"{GROUP}/binding"
_CLUSTER: Final = f"{GROUP}/cluster"
_PARTS: Final = {
    "conn_type": "conn_type",
    "host": "host",
    "port": "port",
    "schema": "schema_",
    "login": "login",
    "extra": "extra",
}
_FIELDS: Final = {"login": "login_field", "password": "password_field"}


@dataclass(frozen=True, slots=True)
class Given:
    """What is known of the stores when the map is made."""

    accesses: Mapping[str, TaskAccess]
    """By backend; those that cannot be used are not there."""
    had: Mapping[str, frozenset[Readable]] = field(default_factory=dict)
    """Of a suspended binding: what each store was found to give. A store that was not looked at is not there."""


@dataclass(frozen=True, slots=True)
class Earlier:
    """The map as it was last written; what cannot be said anew stays as it stands there."""

    body: Mapping[str, Any] = field(default_factory=dict)
    certificates: Mapping[str, str] = field(default_factory=dict)
    """By their name beside the map."""

    @classmethod
    def read(cls, data: Mapping[str, str]) -> "Earlier":
        """Read it from the ConfigMap's data; nothing of it when that is no map."""
        try:
            body = json.loads(data.get(MAP_KEY, "{}"))
        except ValueError:
            body = {}
        return cls(body if isinstance(body, dict) else {}, {key: text for key, text in data.items() if key != MAP_KEY})

    def secret(self, entry: Mapping[str, object]) -> bool:
        """Tell whether this very entry stands in it."""
        return entry in (self.body.get("secrets") or ())

    def store(self, name: str) -> Mapping[str, object] | None:
        """Return what it says of a store."""
        found = (self.body.get("stores") or {}).get(name)
        return found if isinstance(found, dict) else None


def name_of(binding: str) -> str:
    """Return the name of a binding's map."""
    return f"{PREFIX}.{binding}.map"


def address(binding: str) -> Address:
    """Return the address of a binding's map; its namespace is the binding's."""
    return Address(CLUSTER, KIND, name_of(binding))


def labels_of(owner: Owner) -> dict[str, str]:
    """Return the labels by which a map is known as the binding's."""
    return {MANAGED_BY: PREFIX, _BINDING: owner.binding, _CLUSTER: owner.cluster}


def render(binding: AirflowSecretBinding, plan: Plan, given: Given, earlier: Earlier | None) -> WantedMap | None:
    """Return the map as it should be; None for a binding that names no environment.

    ``earlier`` is what we wrote last, None when that is not what stands there now.
    """
    if plan.mapping is None:
        return None
    earlier = earlier or Earlier()
    placed: list[dict[str, object]] = []
    refused: list[dict[str, object]] = []
    stores: dict[str, Mapping[str, object]] = {}
    certificates: dict[str, str] = {}
    for item, decision in _declared(binding, plan):
        entry = _entry(item)
        found = _place(decision, entry, plan, given, earlier)
        if isinstance(found, Reason):
            refused.append({"type": item.type.value, "id": item.id, "reason": found.word})
            continue
        placed.append(entry)
        stores[decision.backend], pem = found
        if pem:
            certificates[ca_key(decision.backend)] = pem
    body = {
        "version": VERSION,
        "binding": str(plan.owner),
        "environment": plan.mapping.environment,
        **_settings(plan.mapping, earlier),
        "stores": {name: stores[name] for name in sorted(stores)},
        "secrets": sorted(placed, key=_order),
        "refused": sorted(refused, key=_order),
    }
    data = {MAP_KEY: compact(body), **{key: certificates[key] for key in sorted(certificates)}}
    return WantedMap(plan.owner.namespace, name_of(plan.owner.binding), labels_of(plan.owner), data)


def without_login(plan: Plan, given: Given) -> tuple[tuple[Reason, str], ...]:
    """Return why tasks cannot read some of what is granted, one for each store."""
    if plan.mapping is None:
        return ()
    found = (given.accesses.get(name) for name in sorted(plan.grants))
    return tuple(each.impossible for each in found if each is not None and each.impossible is not None)


def _declared(binding: AirflowSecretBinding, plan: Plan) -> Iterable[tuple[SecretItem, Decision]]:
    view = plan.mapping.view if plan.mapping is not None else None
    return zip((*binding.spec.secrets, *common_items(binding, view)), plan.decisions, strict=True)


def _place(
    decision: Decision, entry: Mapping[str, object], plan: Plan, given: Given, earlier: Earlier
) -> tuple[Mapping[str, object], str] | Reason:
    """Return the store's entry and its certificates, or why a task does not get the secret."""
    name, verdict = decision.backend, decision.verdict
    if isinstance(verdict, Refused):
        return verdict.reason
    access = given.accesses.get(name)
    reason = Reason.SUSPENDED if isinstance(verdict, Admitted) else verdict.reason
    if isinstance(verdict, Admitted) and access is not None:
        if access.impossible is not None:
            return access.impossible[0]
        if not plan.suspended or decision.readable in given.had.get(name, ()):
            return access.entry, access.ca_pem
        if name in given.had:
            return reason
    # What it has is not known now: it keeps what it had, and gets nothing new.
    before = earlier.store(name)
    if before is None or not earlier.secret(entry):
        return reason
    return before, earlier.certificates.get(ca_key(name), "")


def _settings(mapping: DagMapping, earlier: Earlier) -> dict[str, object]:
    if mapping.view is not None:
        reader = mapping.view.spec.reader
        ttl = min(seconds(reader.cache_ttl), _LONGEST_CACHE)
        return {"unboundIDs": reader.unbound_ids.value, "cacheTTLSeconds": ttl}
    kept = earlier.body if mapping.unreadable else {}
    # Nobody says what becomes of other ids, so nothing is looked for.
    return {
        "unboundIDs": kept.get("unboundIDs", UnboundIDs.REFUSE.value),
        "cacheTTLSeconds": kept.get("cacheTTLSeconds", 0),
    }


def _entry(item: SecretItem) -> dict[str, object]:
    found: dict[str, object] = {"type": item.type.value, "id": item.id, "store": item.backend_ref.name}
    if item.dynamic is not None:
        dynamic = item.dynamic
        found["dynamic"] = {"engine": dynamic.engine, "role": dynamic.role, "kind": dynamic.kind.value}
    else:
        found["key"] = item.key
    if item.field is not None:
        found["field"] = item.field
    if item.connection is not None:
        parts, fields = _picked(item.connection, _PARTS), _picked(item.connection, _FIELDS)
        found |= {"connection": parts} if parts else {}
        found |= {"connectionFields": fields} if fields else {}
    return found


def _picked(parts: ConnectionParts, names: Mapping[str, str]) -> dict[str, object]:
    return {name: value for name, each in names.items() if (value := getattr(parts, each)) is not None}


def _order(entry: Mapping[str, object]) -> tuple[str, str]:
    return str(entry["type"]), str(entry["id"])
