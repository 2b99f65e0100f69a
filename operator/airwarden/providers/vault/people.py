"""What lets groups of people read a binding's secrets: a policy of their own, and an internal identity group with it.

The members of that group are the admin's external groups, by id: who is in those, their identity provider says at
each login. The policy is not the one of the tasks, which may give more: what an environment gives all bindings, and
leases. Called by `airwarden.providers.vault.store`, which keeps both beside its policies and roles.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Final

from airwarden.domain.errors import StoreFailed
from airwarden.domain.owner import PREFIX, Owner
from airwarden.domain.resources import Address, Claim, FieldValue, Grant, Observed, Readable, Resource
from airwarden.providers.vault import marks, policy
from airwarden.providers.vault.answers import Answer
from airwarden.providers.vault.role import JSONValue
from airwarden.providers.vault.transport import Call

POLICY: Final = "VaultPeoplePolicy"
GROUP: Final = "VaultGroup"
LIST: Final = "identity/group/name"
SUFFIX: Final = "_people"
"""Ends the name of the policy: no name of Kubernetes holds an underscore, so no other binding has it."""
_OWNER: Final = f"{PREFIX}-owner"
"""Key of the metadata: Vault takes no dot and no slash there."""
_RELEASED: Final = f"{PREFIX}-released"
_MARK: Final = f"{PREFIX}.dev/owner "
_HELD: Final = "it was not made by this binding: remove it, or name the binding differently"
Ask = Callable[[Call], Awaitable[Answer]]


def addresses(backend: str, owner: Owner) -> tuple[Address, Address]:
    """Return where the policy and the group are."""
    name = owner.name_in_store
    return Address(backend, POLICY, f"{name}{SUFFIX}"), Address(backend, GROUP, name)


def owner_name(name: str) -> str:
    """Return the name that the owner's other objects have, for that of any of them."""
    return name.removesuffix(SUFFIX)


def render(grant: Grant, *, mount: str, version: int) -> tuple[Resource, ...]:
    """Return policy and group, in the order of creation; nothing where nobody is let in to anything."""
    if not grant.people or not grant.for_people:
        return ()
    rules = policy.rules_for(grant.for_people, mount=mount, version=version)
    own_policy, group = addresses(grant.backend, grant.owner)
    return (
        Resource(own_policy, {"policy": policy.render(grant.owner, rules)}, marks.scope_of(policy.secret_paths(rules))),
        Resource(group, _fields(grant.owner, own_policy.name, grant.people)),
    )


def narrowed(
    grant: Grant, observed: Mapping[Address, Observed], *, mount: str, version: int
) -> tuple[frozenset[str], frozenset[Readable]]:
    """Return which of the grant's groups are let in already, and to which of its secrets."""
    own_policy, group = (observed.get(address) for address in addresses(grant.backend, grant.owner))
    nobody: tuple[frozenset[str], frozenset[Readable]] = (frozenset(), frozenset())
    if own_policy is None or group is None or group.fields is None or Claim.FOREIGN in (own_policy.claim, group.claim):
        return nobody
    document = policy.parse(str((own_policy.fields or {}).get("policy", "")))
    members = group.fields["member_group_ids"]
    if document is None or document.owner != grant.owner or own_policy.address.name not in _texts(group, "policies"):
        return nobody
    people = grant.people & frozenset(members if isinstance(members, tuple) else ())
    readable = policy.readable_of(document.rules, grant.for_people, mount=mount, version=version)
    return (people, readable) if people and readable else nobody


async def observe_group(ask: Ask, address: Address, owner: Owner) -> Observed:
    """Return the group as Vault has it."""
    answer = await ask(Call("GET", f"{LIST}/{address.name}"))
    if answer.absent:
        return Observed(address, None)
    data = answer.data
    metadata = data.get("metadata") or {}
    if not data.get("id") or not isinstance(metadata, Mapping):
        raise StoreFailed(f"Vault answered the read of group {address.name} without a group: is it a Vault?")
    claim = _claim(owner, metadata)
    return Observed(
        address,
        {
            "type": str(data.get("type")),
            "policies": _names(data.get("policies")),
            "member_group_ids": _names(data.get("member_group_ids")),
            "member_entity_ids": _names(data.get("member_entity_ids")),
            "metadata": tuple(sorted(f"{key}={value}" for key, value in metadata.items())),
        },
        claim,
        str(data["id"]),
        held_by=_HELD if claim is not Claim.OURS else "",
    )


def body(fields: Mapping[str, FieldValue], *, released: bool) -> dict[str, JSONValue]:
    """Return the group's fields as they are sent: what is left out Vault would keep. ``released`` takes our mark off.

    A single member is sent as a text: Vault before 1.21 compares a list with the permitted ids as a whole.
    """
    members = _tuple(fields["member_group_ids"])
    metadata = dict(each.split("=", 1) for each in _tuple(fields["metadata"]))
    if released:
        metadata = {_RELEASED: metadata[_OWNER]}
    return {
        "type": str(fields["type"]),
        "policies": ",".join(_tuple(fields["policies"])),
        "member_group_ids": members[0] if len(members) == 1 else list(members),
        "member_entity_ids": "",
        "metadata": metadata,
    }


def _fields(owner: Owner, policy_name: str, groups: Iterable[str]) -> dict[str, FieldValue]:
    return {
        "type": "internal",
        "policies": (policy_name,),
        "member_group_ids": tuple(sorted(groups)),
        "member_entity_ids": (),
        "metadata": (f"{_OWNER}={_whose(owner)}",),
    }


def _whose(owner: Owner) -> str:
    return owner.mark.removeprefix(_MARK)


def _claim(owner: Owner, metadata: Mapping[str, JSONValue]) -> Claim:
    """Return whose the group is by its metadata."""
    said = metadata.get(_OWNER)
    marked = Owner.from_mark(f"{_MARK}{said}") if isinstance(said, str) else None
    if marked is not None:
        return Claim.OURS if marked == owner else Claim.FOREIGN
    return Claim.RELEASED if metadata.get(_RELEASED) == _whose(owner) else Claim.UNMARKED


def _names(value: JSONValue) -> tuple[str, ...]:
    """Return a list of names in order; Vault says null for an empty one."""
    return tuple(sorted(str(each) for each in value)) if isinstance(value, list) else ()


def _texts(found: Observed, field: str) -> tuple[str, ...]:
    return _tuple((found.fields or {}).get(field, ()))


def _tuple(value: FieldValue) -> tuple[str, ...]:
    if not isinstance(value, tuple):
        raise TypeError(f"{value!r} is no list of names")
    return value
