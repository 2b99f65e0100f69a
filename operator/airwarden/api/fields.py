"""Field types shared by the kinds: allow-lists, durations, lists, each with its rule in CEL beside it.

The CRD generator (`airwarden.api.schema`) turns these into the schema that the API server enforces;
pydantic enforces the same rules again at reconcile, since an object may be older than its schema.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, GetJsonSchemaHandler, StringConstraints
from pydantic.alias_generators import to_camel, to_snake
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

DNS_LABEL: Final = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"
DNS_SUBDOMAIN: Final = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
KEY_CHARACTERS: Final = "A-Za-z0-9._~@:=,-"
KEY: Final = rf"^[{KEY_CHARACTERS}]+(/[{KEY_CHARACTERS}]+)*$"
KEY_PREFIX: Final = rf"^((\{{namespace\}}|[{KEY_CHARACTERS}]+)/([{KEY_CHARACTERS}]+/)*|[0-9a-z-]+-)$"
DOT_SEGMENT: Final = r"(^|/)\.\.?(/|$)"
ROLE: Final = r"^[A-Za-z0-9_]([A-Za-z0-9._-]*[A-Za-z0-9_])?$"
ROLE_PREFIX: Final = r"^(([A-Za-z0-9_][A-Za-z0-9._-]*\.)?\{namespace\}\.|[A-Za-z0-9_][A-Za-z0-9._-]*\.)$"
MOUNT: Final = r"^[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*$"
AIRFLOW_ID: Final = r"^[A-Za-z0-9_.-]+$"
DURATION: Final = r"^([0-9]{1,6}h)?([0-9]{1,6}m)?([0-9]{1,6}s)?$"
_LEAP_YEAR: Final = "(2[0-9](0[48]|[2468][048]|[13579][26])|2[048]00)"
MOMENT: Final = (
    "^(2[0-9]{3}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))"
    f"|{_LEAP_YEAR}-02-29)T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]Z$"
)
"""RFC 3339 in UTC and whole seconds. The calendar is in the pattern: CEL tells of a wrong date in words of its own."""

VALIDATIONS: Final = "x-kubernetes-validations"
_DURATION_PARTS = re.compile(r"([0-9]+)([hms])")
_SECONDS = {"h": 3600, "m": 60, "s": 1}


def seconds(duration: str) -> int:
    """Return the whole seconds of a duration such as ``15m`` or ``1h30m``.

    Raises ValueError when the text is not such a duration.
    """
    if not duration or re.fullmatch(DURATION.strip("^$"), duration) is None:
        raise ValueError(f"{duration!r} is not a duration such as 15m or 1h30m")
    return sum(int(count) * _SECONDS[unit] for count, unit in _DURATION_PARTS.findall(duration))


def duration_text(total: int) -> str:
    """Return whole seconds as the shortest duration text, ``90`` as ``1m30s`` and ``0`` as ``0s``."""
    hours, rest = divmod(total, 3600)
    minutes, rest = divmod(rest, 60)
    parts = ((hours, "h"), (minutes, "m"), (rest, "s"))
    return "".join(f"{count}{unit}" for count, unit in parts if count) or "0s"


def moment(text: str) -> datetime:
    """Return the time that a text such as ``2027-01-31T00:00:00Z`` names.

    Raises ValueError when the text is not such a time.
    """
    if re.fullmatch(MOMENT.strip("^$"), text) is None:
        raise ValueError(f"{text!r} is not a time such as 2027-01-31T00:00:00Z")
    return datetime.fromisoformat(text)


def moment_text(found: datetime) -> str:
    """Return a time as Kubernetes writes it: RFC 3339 in UTC and whole seconds."""
    return found.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def rule(expression: str, message: str, **extra: str) -> dict[str, str]:
    """Return one CEL validation as the CRD writes it."""
    return {"rule": expression, "message": message, **extra}


def schema(*rules: Mapping[str, str], **extensions: Any) -> dict[str, Any]:
    """Return schema extensions: ``rules`` as CEL validations, keywords as ``x-kubernetes-*``."""
    found: dict[str, Any] = {f"x-kubernetes-{name.replace('_', '-')}": value for name, value in extensions.items()}
    if rules:
        found[VALIDATIONS] = [dict(each) for each in rules]
    return found


@dataclass(frozen=True, slots=True)
class Check:
    """A rule on one text, said twice: in CEL for the API server and in Python for reconcile.

    It replaces a `pattern`, because the API server reports that as a bare regular expression.
    """

    cel: str
    message: str
    holds: Callable[[str], bool]

    def __get_pydantic_core_schema__(self, source: type[str], handler: GetCoreSchemaHandler) -> CoreSchema:
        """Check after pydantic's own constraints, such as the length."""
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Add the rule in CEL."""
        found = handler(core)
        return {**found, VALIDATIONS: [*found.get(VALIDATIONS, []), rule(self.cel, self.message)]}

    def _check(self, text: str) -> str:
        if not self.holds(text):
            raise ValueError(self.message)
        return text


def matches(pattern: str, message: str) -> Check:
    """Require that the whole text matches the anchored pattern."""
    compiled = re.compile(pattern.removeprefix("^").removesuffix("$"))
    return Check(f"self.matches({cel_text(pattern)})", message, lambda text: compiled.fullmatch(text) is not None)


def excludes(pattern: str, message: str) -> Check:
    """Refuse a text in which the pattern is found."""
    compiled = re.compile(pattern.replace("$", r"\Z"))  # Python's $ also stands before a last newline, RE2's does not
    return Check(f"!self.matches({cel_text(pattern)})", message, lambda text: compiled.search(text) is None)


def none_of(words: tuple[str, ...], message: str) -> Check:
    """Refuse some words."""
    listed = ", ".join(cel_text(word) for word in words)
    return Check(f"!(self in [{listed}])", message, lambda text: text not in words)


def cel_text(text: str) -> str:
    """Return a text as a raw CEL literal, in which a backslash stands for itself."""
    if "'" in text or "\n" in text:
        raise ValueError(f"{text!r} cannot stand in a raw CEL literal")
    return f"r'{text}'" if "\\" in text else f"'{text}'"


@dataclass(frozen=True, slots=True)
class Unique:
    """A list without repetitions: of plain values, or of objects told apart by the fields in `keys`."""

    keys: tuple[str, ...] = ()

    def __get_pydantic_core_schema__(self, source: type[object], handler: GetCoreSchemaHandler) -> CoreSchema:
        """Check once the items are known to be valid."""
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Tell the API server, which also merges such lists by item."""
        keys = [to_camel(key) for key in self.keys]
        kind = schema(list_type="map", list_map_keys=keys) if keys else schema(list_type="set")
        return {**handler(core), **kind}

    def _check(self, items: tuple[object, ...]) -> tuple[object, ...]:
        seen: set[object] = set()
        for item in items:
            mark = tuple(getattr(item, to_snake(key)) for key in self.keys) if self.keys else item
            if mark in seen:
                shown = ", ".join(map(str, mark)) if isinstance(mark, tuple) else str(mark)
                raise ValueError(f"Duplicate value: {shown}")
            seen.add(mark)
        return items


def _is_positive_duration(text: str) -> bool:
    return re.fullmatch(DURATION.strip("^$"), text) is not None and re.search("[1-9]", text) is not None


Duration = Annotated[
    str,
    StringConstraints(max_length=24),
    Check(
        f"self.matches({cel_text(DURATION)}) && self.matches('[1-9]')",
        "must be a duration longer than zero in hours, minutes and seconds, such as 15m or 1h30m",
        _is_positive_duration,
    ),
]
Namespace = Annotated[
    str,
    StringConstraints(max_length=63),
    matches(DNS_LABEL, "must be the name of a namespace: lower-case letters, digits and inner dashes"),
]
BackendName = Annotated[
    str,
    StringConstraints(max_length=63),
    matches(DNS_LABEL, "must be the name of an AirflowSecretBackend: lower-case letters, digits and inner dashes"),
]
ObjectName = Annotated[
    str,
    StringConstraints(max_length=253),
    matches(DNS_SUBDOMAIN, "must be an object name: lower-case letters, digits, dashes and dots, such as airflow-prod"),
]


class Model(BaseModel):
    """A frozen part of a kind. Unknown fields are refused: a typing error must not widen access."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, validate_by_name=True, use_attribute_docstrings=True
    )
