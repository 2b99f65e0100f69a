"""Groups of an identity provider that may read what a binding's tasks read: never a person.

Used by `airwarden.api.binding` for what is asked, and by `airwarden.api.backend` for what may be asked.
"""

from typing import Annotated

from pydantic import StringConstraints

from airwarden.api.fields import Model, excludes
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


class Person(Model):
    """Who else may read."""

    group: Group
    """A group; the people in it are its owners' business."""
