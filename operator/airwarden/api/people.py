"""Groups of an identity provider that may read what a binding's tasks read: never a person.

Used by `airwarden.api.binding` for what is asked, and by `airwarden.api.backend` for what may be asked.
"""

from typing import Annotated

from pydantic import Field, StringConstraints

from airwarden.api.fields import Model, excludes, matches
from airwarden.api.texts import RuleName

GroupValue = Annotated[
    str,
    StringConstraints(min_length=1, max_length=256),
    excludes("@", "must be the value of a group, never the address of a person"),
]


class Group(Model):
    """One group."""

    provider: RuleName
    """The identity provider, for example entra."""
    value: GroupValue
    """How the provider's tokens name the group; for entra its object id."""


VaultGroupID = Annotated[
    str,
    StringConstraints(min_length=1, max_length=64),
    matches(r"^[0-9A-Za-z][0-9A-Za-z.-]*$", "must be the id of a group: letters, digits, dots and dashes"),
]


class AdmittedGroup(Group):
    """A group that bindings may let read."""

    vault_group_id: Annotated[VaultGroupID | None, Field(alias="vaultGroupID")] = None
    """Vault: id of the external group whose alias is this group."""


class Person(Model):
    """Who else may read."""

    group: Group
    """A group; the people in it are its owners' business."""
