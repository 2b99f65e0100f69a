"""What differs between an object as it should be and as it is, in words that hold no value.

Said in conditions and Events of drift and of conflicts, and by `airwarden adopt`. Called by `airwarden.domain.diff`.
"""

from collections import Counter
from collections.abc import Mapping

from airwarden.domain.resources import Claim, FieldValue, Observed, Resource

_ABSENT = "is gone"
_WIDER = "; access may be wider than declared"


def drift(resource: Resource, found: Observed) -> str:
    """Return what was changed on an object of ours. One that is there and differs may always give more.

    Even a line less can: it may be the one that confines a call.
    """
    if found.fields is None:
        return _ABSENT
    fields, said = found.fields, []
    if found.claim is Claim.UNMARKED and found.as_marked is not None and dict(found.as_marked) != dict(fields):
        fields = found.as_marked
        said.append("lost its mark")
    if dict(fields) != dict(resource.fields):
        said.append(named(resource.fields, fields) + _WIDER)
    return " and ".join(said)


def named(wanted: Mapping[str, FieldValue], found: Mapping[str, FieldValue]) -> str:
    """Return the names of the fields that differ; of a text, how many of its lines."""
    differing = sorted(name for name in {*wanted, *found} if wanted.get(name) != found.get(name))
    return "differs in " + ", ".join(_field(name, wanted.get(name), found.get(name)) for name in differing)


def _field(name: str, wanted: FieldValue | None, found: FieldValue | None) -> str:
    if not isinstance(wanted, str) or not isinstance(found, str) or "\n" not in wanted:
        return name
    more, fewer = _lines(found) - _lines(wanted), _lines(wanted) - _lines(found)
    if not more and not fewer:
        return f"{name} (the order of its lines, or blanks)"
    return f"{name} (lines: {more.total()} more, {fewer.total()} fewer)"


def _lines(text: str) -> Counter[str]:
    return Counter(line.strip() for line in text.splitlines() if line.strip())
