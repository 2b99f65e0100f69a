"""The way from a model to a structural schema: what is rewritten, and what is refused."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, create_model

from airwarden.api import crd
from airwarden.api.fields import Model, Unique, cel_text, excludes, matches, none_of, rule, schema
from airwarden.api.schema import UnknownConstruct, structural

Text = Annotated[str, Field(max_length=9)]


class Colour(StrEnum):
    """A colour."""

    RED = "Red"
    BLUE = "Blue"


class Inner(Model):
    """Something inside."""

    size: int = 3
    """How big it is."""
    word: Text = ""
    """What it is called."""

    model_config = ConfigDict(json_schema_extra=schema(rule("self.size > 0", "must have a size")))


class Quiet(Model):
    """Something whose defaults are all empty."""

    word: Text = ""
    """What it is called."""


class Item(Model):
    """One of several."""

    name: Text
    """Its name."""
    side: Text = ""
    """Its side."""


class Whole(Model):
    """All that the generator knows."""

    max_ttl: Annotated[Text | None, Field(alias="maxTTL")] = None
    """A text, or none."""
    colour: Colour = Colour.RED
    """A colour among others."""
    constant: Literal["Only"] = "Only"
    """The one value."""
    numbers: Literal[1, 2] = 2
    """One of two."""
    inner: Annotated[Inner, Field(json_schema_extra=schema(rule("self.word != ''", "must have a word")))]
    """Said of the field."""
    defaulted: Inner = Inner()
    """Inner, with its own defaults."""
    bigger: Inner = Inner(size=7)
    """Inner, with a default of the field."""
    quiet: Quiet = Quiet()
    """Nothing to set."""
    maybe: Inner | None = None
    """Inner, or none."""
    words: Annotated[tuple[Text, ...], Field(max_length=4), Unique()] = ()
    """Some words."""
    items: Annotated[tuple[Item, ...], Field(min_length=1, max_length=4), Unique(("name", "side"))]
    """Some items."""
    labels: Annotated[dict[Annotated[str, Field(min_length=1, max_length=5)], Text], Field(max_length=2)] = Field(
        default_factory=dict
    )
    """Some labels."""
    checked: Annotated[str, StringConstraints(max_length=9), matches("^a+$", "must be a"), excludes("aa", "one only")]
    """Some letters."""
    flag: bool = False
    """On or off."""
    count: Annotated[int, Field(ge=1, le=5)] = 1
    """How many."""


@pytest.fixture(scope="module")
def whole() -> dict[str, Any]:
    return crd.as_json(structural(Whole), defaults=True)


def test_fields_come_by_alias_in_the_order_of_the_model(whole: dict[str, Any]) -> None:
    assert list(whole["properties"])[:3] == ["maxTTL", "colour", "constant"]
    assert whole["required"] == ["inner", "items", "checked"]
    assert whole["description"] == "All that the generator knows."


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("maxTTL", {"description": "A text, or none.", "type": "string", "maxLength": 9}),
        (
            "colour",
            {"description": "A colour among others.", "type": "string", "default": "Red", "enum": ["Red", "Blue"]},
        ),
        ("constant", {"description": "The one value.", "type": "string", "default": "Only", "enum": ["Only"]}),
        ("numbers", {"description": "One of two.", "type": "integer", "default": 2, "enum": [1, 2]}),
        (
            "words",
            {
                "description": "Some words.",
                "type": "array",
                "maxItems": 4,
                "x-kubernetes-list-type": "set",
                "items": {"type": "string", "maxLength": 9},
            },
        ),
        ("flag", {"description": "On or off.", "type": "boolean", "default": False}),
        ("count", {"description": "How many.", "type": "integer", "default": 1, "minimum": 1, "maximum": 5}),
        (
            "labels",
            {
                "description": "Some labels.",
                "type": "object",
                "maxProperties": 2,
                "x-kubernetes-validations": [
                    {
                        "rule": "self.all(name, size(name) >= 1 && size(name) <= 5)",
                        "message": "each name must have 1 to 5 characters",
                    }
                ],
                "additionalProperties": {"type": "string", "maxLength": 9},
            },
        ),
        (
            "checked",
            {
                "description": "Some letters.",
                "type": "string",
                "maxLength": 9,
                "x-kubernetes-validations": [
                    {"rule": "self.matches('^a+$')", "message": "must be a"},
                    {"rule": "!self.matches('aa')", "message": "one only"},
                ],
            },
        ),
    ],
)
def test_one_field(whole: dict[str, Any], name: str, wanted: dict[str, Any]) -> None:
    assert whole["properties"][name] == wanted


def test_rules_of_a_model_and_of_the_field_hold_together(whole: dict[str, Any]) -> None:
    inner = whole["properties"]["inner"]
    assert [each["message"] for each in inner["x-kubernetes-validations"]] == ["must have a size", "must have a word"]
    assert inner["description"] == "Said of the field."


def test_a_parent_has_a_default_if_one_below_acts(whole: dict[str, Any]) -> None:
    properties = whole["properties"]
    assert properties["defaulted"]["default"] == {}
    assert properties["defaulted"]["properties"]["size"]["default"] == 3
    assert properties["bigger"]["default"] == {"size": 7}
    for name in ("quiet", "maybe", "inner"):
        assert "default" not in properties[name]


def test_a_key_of_a_list_map_keeps_even_an_empty_default(whole: dict[str, Any]) -> None:
    items = whole["properties"]["items"]
    assert items["x-kubernetes-list-map-keys"] == ["name", "side"]
    assert items["items"]["properties"]["side"]["default"] == ""
    without: dict[str, Any] = dict(crd.as_json(structural(Whole), defaults=False))
    bare = without["properties"]
    assert bare["items"]["items"]["properties"]["side"]["default"] == ""
    assert "default" not in bare["colour"]


class Loop(Model):
    """Stands within itself."""

    loop: Loop | None = None
    """Itself."""


class Undescribed(Model):
    """Has a field that nobody explains."""

    word: Text


class Unfinished(Model):
    """Has a description that is no sentence."""

    word: Text
    """A word"""


def _with(kind: Any, **field: Any) -> type[BaseModel]:
    described: Any = (Annotated[kind, Field(description="A field.", **field)], ...)
    return create_model("Probe", field=described)


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (_with(str), "needs maxLength"),
        (_with(list[Text]), "needs maxItems"),
        (_with(dict[str, Text]), "needs maxProperties"),
        (_with(tuple[Text, ...]), "needs maxItems"),
        (_with(int | Text), "anyOf of 2"),
        (_with(tuple[int, Text], max_length=2), "prefixItems"),
        (_with(float, gt=1), "exclusiveMinimum"),
        (_with(int, multiple_of=2), "multipleOf"),
        (_with(datetime), "format"),
        (_with(Any), "type missing"),
        (_with(dict[str, Any], max_length=2), "True where dict is expected"),
        (_with(None), "type null"),
        (_with(Text, json_schema_extra={"pattern": "^(?=a)b$"}), "not RE2"),
        (_with(Text, pattern=r"^\w+$"), "not RE2"),
        (_with(Text, pattern=r"^[a-z&&b]$"), "not RE2"),
        (_with(Text, json_schema_extra=schema(rule("self.matches('(?<=a)b')", "b after a"))), "not RE2"),
        (_with(Text, json_schema_extra=schema(rule("self != ''", ""))), "a rule without a message"),
        (_with(Text, json_schema_extra=schema(rule("true", "never", unknownField="x"))), "unknownField"),
        (_with(Text, json_schema_extra={"readOnly": True}), "readOnly"),
        (_with(Text, json_schema_extra={"maxLength": "9"}), "where int is expected"),
        (
            _with(list[Item], max_length=2, json_schema_extra=schema(list_type="map", list_map_keys=["colour"])),
            "list-map key colour",
        ),
        (Loop, "stands within itself"),
        (Undescribed, "Undescribed.word: needs a description"),
        (Unfinished, "Unfinished.word: needs a description"),
    ],
)
def test_what_is_not_known_is_refused(model: type[BaseModel], said: str) -> None:
    with pytest.raises(UnknownConstruct, match=said):
        structural(model)


def test_a_text_is_quoted_for_cel() -> None:
    assert cel_text("a") == "'a'"
    assert cel_text(r"a\.b") == r"r'a\.b'"
    for wrong in ("it's", "a\nb"):
        with pytest.raises(ValueError, match="cannot stand"):
            cel_text(wrong)


@pytest.mark.parametrize(
    ("check", "good", "bad"),
    [
        (matches("^a+$", ""), ["a", "aa"], ["", "ab", "a\n", "ba"]),
        (matches("^a$|^b$", ""), ["a", "b"], ["", "ab"]),
        (excludes("(^|/)x(/|$)", ""), ["", "xx", "x\n", "a/xx"], ["x", "a/x", "x/a"]),
        (none_of(("a", "b"), ""), ["", "c", "ab"], ["a", "b"]),
    ],
)
def test_a_check_holds_in_python_as_in_cel(check: Any, good: list[str], bad: list[str]) -> None:
    assert all(check.holds(each) for each in good)
    assert not any(check.holds(each) for each in bad)
