"""What each namespace has at one vault, by the marks of its rows: counted once a list, then what was written since.

Called by `airwarden.providers.azure.ceilings`.
"""

from collections.abc import Iterable, Mapping

from airwarden.domain.owner import Owner
from airwarden.providers.azure.connection import Place
from airwarden.providers.azure.marks import read_description
from airwarden.providers.azure.naming import WHOLE, Target, thing_of
from airwarden.providers.azure.rows import Row

Listed = tuple[Mapping[str, Row], Mapping[str, Row | None]]
"""Rows by name as they were last listed, and what was written or looked at since: None for what is gone."""


class _Sorted:
    """Rows by whose they are and by what they give."""

    def __init__(self, place: Place, uid: str, rows: Iterable[Row]) -> None:
        self.by_namespace: dict[str, dict[str, str]] = {}
        """What each row of a namespace gives, by the row's name."""
        self.by_thing: dict[str, set[str]] = {}
        """Names of the rows that give it."""
        self.by_owner: dict[Owner, set[str]] = {}
        """Names of the rows that carry its mark."""
        for row in rows:
            mark = read_description(row.description)
            if mark is None or (mark.owner.cluster, mark.owner.backend, mark.uid) != (
                place.cluster,
                place.backend,
                uid,
            ):
                continue
            secret = row.scope.removeprefix(place.vault_id)
            if secret and not secret.startswith("/secrets/"):
                continue  # above the vault: Airwarden gives nothing there
            target = Target(mark.owner.short_name_in_store, secret.removeprefix("/secrets/") or WHOLE, mark.whom)
            thing = thing_of(target)
            self.by_namespace.setdefault(mark.owner.namespace, {})[row.name] = thing
            self.by_thing.setdefault(thing, set()).add(row.name)
            self.by_owner.setdefault(mark.owner, set()).add(row.name)


class Marked:
    """The rows of one vault that carry a mark of this cluster and backend."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._listed: Mapping[str, Row] | None = None
        self._rows = _Sorted(place, "", ())
        self._since = _Sorted(place, "", ())
        self._written: Mapping[str, Row | None] = {}

    def update(self, listed: Listed, uid: str) -> None:
        """Take in what is known now. A list is gone through once, however often it is asked about."""
        rows, self._written = listed
        if rows is not self._listed:
            self._listed, self._rows = rows, _Sorted(self._place, uid, rows.values())
        self._since = _Sorted(self._place, uid, (each for each in self._written.values() if each is not None))

    def of(self, namespace: str) -> set[str]:
        """Return what stands there under the marks of a namespace's bindings, each thing once."""
        listed = self._rows.by_namespace.get(namespace, {})
        still = {thing for name, thing in listed.items() if name not in self._written}
        return still | set(self._since.by_namespace.get(namespace, {}).values())

    def has(self, thing: str) -> bool:
        """Tell whether it stands there, whosever mark it carries."""
        return thing in self._since.by_thing or self._stay(self._rows.by_thing.get(thing, ()))

    def carries(self, owner: Owner) -> bool:
        """Tell whether something stands there under the owner's own mark."""
        return owner in self._since.by_owner or self._stay(self._rows.by_owner.get(owner, ()))

    def _stay(self, listed: Iterable[str]) -> bool:
        return any(name not in self._written for name in listed)
