"""The Kubernetes-auth role of one binding, and what the roles of all methods share.

What a role should be, and what Vault's answer means.

Vault keeps what a write omits, keeps old names of fields beside the new ones, and returns numbers for
texts; so every field is sent, and both sides are brought to one form before they are compared. Pure;
called by `airwarden.providers.vault.store` through `airwarden.providers.vault.role_forms`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Final

from airwarden.api.fields import duration_text
from airwarden.domain.resources import FieldValue, Grant, Session

KIND: Final = "VaultKubernetesRole"
SentValue = str | bool | list[str] | dict[str, str]
JSONValue = str | int | float | bool | None | Sequence["JSONValue"] | Mapping[str, "JSONValue"]

_LEGACY: Final = ("policies", "ttl", "max_ttl", "period", "num_uses", "bound_cidrs", "bound_cidr_list")
"""Names of before Vault 1.2. They still act on old servers, so one with a value is a difference."""


@dataclass(frozen=True, slots=True)
class Shape:
    """The fields that a method's roles have besides those that the roles of all methods share, by their form."""

    ordered: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    seconds: tuple[str, ...] = ()
    counts: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    unordered: tuple[str, ...] = ()
    maps: tuple[str, ...] = ()
    """Maps that stay empty: an empty text stands for one."""


_SHARED: Final = Shape(
    texts=("token_type",),
    seconds=("token_ttl", "token_max_ttl", "token_explicit_max_ttl", "token_period"),
    counts=("token_num_uses",),
    flags=("token_no_default_policy",),
    unordered=("token_policies", "token_bound_cidrs"),
)
_KUBERNETES: Final = Shape(
    ordered=("bound_service_account_names", "bound_service_account_namespaces"),
    texts=("bound_service_account_namespace_selector", "audience", "alias_name_source"),
)


def desired_fields(grant: Grant, audience: str) -> dict[str, FieldValue]:
    """Return every field of the role that lets the grant's account, and nothing else, log in."""
    return {
        "bound_service_account_names": (grant.account,),
        "bound_service_account_namespaces": (grant.owner.namespace,),
        "bound_service_account_namespace_selector": "",
        "audience": audience,
        "alias_name_source": "serviceaccount_uid",
        **token_fields(grant),
    }


def token_fields(grant: Grant) -> dict[str, FieldValue]:
    """Return what a role of any method says of the tokens that it gives: one policy, and the grant's lifetimes.

    ``token_explicit_max_ttl`` stays 0: a renewable token is bounded by ``token_max_ttl`` already.
    """
    return {
        "token_policies": (grant.owner.name_in_store,),
        "token_ttl": grant.session.ttl,
        "token_max_ttl": grant.session.max_ttl,
        "token_explicit_max_ttl": 0,
        "token_period": 0,
        "token_num_uses": 0,
        "token_bound_cidrs": (),
        "token_type": "service",
        "token_no_default_policy": True,
    }


def request_body(fields: Mapping[str, FieldValue], shape: Shape = _KUBERNETES) -> dict[str, SentValue]:
    """Return the fields as they are sent.

    A list of one is sent as a plain text and numbers as texts: only so do the parameter rules of the
    operator's own policy match them on every Vault.
    """
    lifetimes = (*_SHARED.seconds, *shape.seconds)
    return {name: {} if name in shape.maps else _sent(value, name in lifetimes) for name, value in fields.items()}


def normalise(data: Mapping[str, JSONValue], shape: Shape = _KUBERNETES) -> dict[str, FieldValue]:
    """Return what Vault has, in the form of `desired_fields`.

    A field of before Vault 1.2 that has a value, and a known field of an unknown form, stay visible as a
    difference. Fields that a newer Vault adds are left out: they would differ for ever.
    """
    found: dict[str, FieldValue] = {}
    for part in (shape, _SHARED):
        found |= {name: _texts(data.get(name)) for name in part.ordered}
        found |= {name: tuple(sorted(set(_texts(data.get(name))))) for name in part.unordered}
        found |= {name: _text(data.get(name)) for name in part.texts}
        found |= {name: _whole(data.get(name)) for name in (*part.seconds, *part.counts)}
        found |= {name: _flag(data.get(name)) for name in part.flags}
        found |= {name: "" if not data.get(name) else _strange(data[name]) for name in part.maps}
    for name in _LEGACY:
        if data.get(name):
            found[name] = _strange(data[name])
    return found


def has_only_policy(fields: Mapping[str, FieldValue], name: str) -> bool:
    """Tell whether the role gives this one policy and no other, by whichever field."""
    return fields.get("token_policies") == (name,) and "policies" not in fields


def session_given(found: Mapping[str, FieldValue], wanted: Mapping[str, FieldValue]) -> Session | None:
    """Return the session that a role gives already to whom the wanted one is for, never a longer one than wanted.

    None when it lets the account log in less than the wanted role does in a way that no session expresses:
    other accounts, another audience, fewer addresses or uses. A limit of 0 is no limit of the role's own. What
    ties a role of another method than Kubernetes to its account must be as wanted.
    """
    lists = [name for name in (*_KUBERNETES.ordered, "token_policies") if name in wanted]
    if not all(_includes(found.get(name), wanted[name]) for name in lists):
        return None
    if "audience" in wanted and found.get("audience") not in (wanted["audience"], ""):
        return None
    known = {*_KUBERNETES.ordered, *_KUBERNETES.texts}
    own = [name for name in wanted if not name.startswith("token_") and name not in known]
    equal = (*own, "token_bound_cidrs", "token_num_uses", "token_type")
    if any(found.get(name) != wanted[name] for name in equal):
        return None
    limits = [_limit(found.get(name)) for name in ("token_max_ttl", "token_explicit_max_ttl")]
    first = _limit(found.get("token_ttl"))
    longest = min(_limit(wanted["token_max_ttl"]), *limits)
    return Session(int(min(_limit(wanted["token_ttl"]), first, longest)), int(longest))


def _includes(found: FieldValue | None, wanted: FieldValue) -> bool:
    return isinstance(found, tuple) and isinstance(wanted, tuple) and ({"*"} <= set(found) or set(wanted) <= set(found))


def _limit(value: FieldValue | None) -> float:
    return value if isinstance(value, int) and value > 0 else inf


_VARYING: Final = frozenset({"bound_service_account_names", "bound_subject", "token_ttl", "token_max_ttl"})


def may_be_our_writing(fields: Mapping[str, FieldValue], written: Mapping[str, FieldValue]) -> bool:
    """Tell whether this could be an earlier role of the binding: account and session aside, all is as we write it."""
    fixed = {name: value for name, value in written.items() if name not in _VARYING}
    return {name: value for name, value in fields.items() if name not in _VARYING} == fixed


def _sent(value: FieldValue, lifetime: bool) -> SentValue:
    if isinstance(value, tuple):
        return list(value) if len(value) > 1 else "".join(value)
    if isinstance(value, bool | str):
        return value
    return duration_text(value) if lifetime and value else str(value)


def _texts(value: JSONValue) -> tuple[str, ...]:
    if value is None or value == "":
        return ()
    if isinstance(value, str):
        return (value,)
    if isinstance(value, Sequence):
        return tuple(each if isinstance(each, str) else _strange(each) for each in value)
    return (_strange(value),)


def _text(value: JSONValue) -> str:
    return value if isinstance(value, str) else "" if value is None else _strange(value)


def _flag(value: JSONValue) -> FieldValue:
    return value if isinstance(value, bool) else _strange(value)


def _whole(value: JSONValue) -> FieldValue:
    if value is None:
        return 0
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    return int(value) if isinstance(value, str) and value.isdecimal() else _strange(value)


def _strange(value: JSONValue) -> str:
    """Return a text that no desired field equals, so that an answer of unknown form counts as drift."""
    return f"? {value!r}"
