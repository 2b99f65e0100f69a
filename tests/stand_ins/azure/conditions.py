"""Evaluates the conditions of role assignments: the part of Azure's language that delegation uses.

Understood are ActionMatches, @Request and @Resource of roleAssignments' RoleDefinitionId, PrincipalId and
PrincipalType with the operators of `_OPERATORS`, joined by !, AND, OR and parentheses. Anything else does not
parse, and an assignment with it is refused: better than a condition that is silently true.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

Attributes = Mapping[str, str]
"""RoleDefinitionId, PrincipalId and PrincipalType of an assignment."""


@dataclass(frozen=True)
class Asked:
    """What a condition is asked about."""

    action: str
    request: Attributes
    """Of the assignment that is to be written."""
    resource: Attributes
    """Of the assignment that is there."""


Expression = Callable[[Asked], bool]

_TOKEN = re.compile(
    r"\s*(?:(?P<symbol>[()!]|&&|\|\||\bAND\b|\bOR\b|\bNOT\b)"
    r"|ActionMatches\s*\{\s*'(?P<action>[^']*)'\s*\}"
    r"|@(?P<source>Request|Resource)\[Microsoft\.Authorization/roleAssignments:(?P<attribute>\w+)\]"
    r"\s*(?P<operator>[A-Za-z:]+)\s*(?P<values>\{[^}]*\}|'[^']*'|[0-9a-fA-F-]{36}))",
    re.IGNORECASE,
)
_OPERATORS: Mapping[str, Callable[[str, frozenset[str]], bool]] = {
    name.lower(): found
    for names, found in (
        (("GuidEquals", "StringEquals", "StringEqualsIgnoreCase"), lambda value, listed: value in listed),
        (("GuidNotEquals", "StringNotEquals", "StringNotEqualsIgnoreCase"), lambda value, listed: value not in listed),
    )
    for plain in names
    for name in (plain, f"ForAnyOfAnyValues:{plain}", f"ForAnyOfAllValues:{plain}", f"ForAllOfAnyValues:{plain}")
}
_ATTRIBUTES = ("roledefinitionid", "principalid", "principaltype")


class NotACondition(ValueError):
    """The text is no condition that the stand-in understands."""


def parse(text: str) -> Expression:
    """Return the condition as a function; `NotACondition` with the place where it stops to be one."""
    tokens: list[re.Match[str]] = []
    at = 0
    while text[at:].strip():
        match = _TOKEN.match(text, at)
        if match is None:
            raise NotACondition(f"not understood from {text[at : at + 40]!r}")
        tokens.append(match)
        at = match.end()
    expression, rest = _alternatives(tokens)
    if rest:
        raise NotACondition(f"unexpected {rest[0].group()!r}")
    return expression


def _alternatives(tokens: list[re.Match[str]]) -> tuple[Expression, list[re.Match[str]]]:
    parts, rest = _joined(tokens, _conjunction, ("OR", "||"))
    return (lambda asked: any(part(asked) for part in parts)), rest


def _conjunction(tokens: list[re.Match[str]]) -> tuple[Expression, list[re.Match[str]]]:
    parts, rest = _joined(tokens, _term, ("AND", "&&"))
    return (lambda asked: all(part(asked) for part in parts)), rest


def _joined(
    tokens: list[re.Match[str]],
    inner: Callable[[list[re.Match[str]]], tuple[Expression, list[re.Match[str]]]],
    words: tuple[str, str],
) -> tuple[list[Expression], list[re.Match[str]]]:
    first, rest = inner(tokens)
    parts = [first]
    while rest and (rest[0].group("symbol") or "").upper() in words:
        another, rest = inner(rest[1:])
        parts.append(another)
    return parts, rest


def _term(tokens: list[re.Match[str]]) -> tuple[Expression, list[re.Match[str]]]:
    if not tokens:
        raise NotACondition("it ends too early")
    head, rest = tokens[0], tokens[1:]
    symbol = (head.group("symbol") or "").upper()
    if symbol in {"!", "NOT"}:
        inner, rest = _term(rest)
        return (lambda asked: not inner(asked)), rest
    if symbol == "(":
        inner, rest = _alternatives(rest)
        if not rest or rest[0].group("symbol") != ")":
            raise NotACondition("a parenthesis is not closed")
        return inner, rest[1:]
    if symbol:
        raise NotACondition(f"unexpected {symbol!r}")
    if head.group("action") is not None:
        pattern = head.group("action").lower()
        return (lambda asked: fnmatch.fnmatchcase(asked.action.lower(), pattern)), rest
    return _comparison(head), rest


def _comparison(token: re.Match[str]) -> Expression:
    attribute, operator = token.group("attribute").lower(), token.group("operator").lower()
    if attribute not in _ATTRIBUTES:
        raise NotACondition(f"unknown attribute {token.group('attribute')}")
    compare = _OPERATORS.get(operator)
    if compare is None:
        raise NotACondition(f"unknown operator {token.group('operator')}")
    listed = frozenset(each.strip(" '\"").lower() for each in token.group("values").strip("{}").split(","))
    from_request = token.group("source").lower() == "request"

    def holds(asked: Asked) -> bool:
        attributes = asked.request if from_request else asked.resource
        values = {name.lower(): value.lower() for name, value in attributes.items()}
        return attribute in values and compare(values[attribute], listed)

    return holds
