"""What a binding's account and pods carry so that a store's own clients find their way.

A store's provider says it of each owner, the account's annotations are kept by `airwarden.reconcile.carrying`, and the
labels of pods go into the environment's maps. Pure.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Self


@dataclass(frozen=True, slots=True)
class Carried:
    """Annotations of an account and labels of its pods; none of them is secret."""

    annotations: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def union(cls, several: Iterable[Self]) -> "Carried":
        """Return what all stores of a binding ask for; where two ask for one name, the first has it."""
        annotations: dict[str, str] = {}
        labels: dict[str, str] = {}
        for each in several:
            annotations = {**each.annotations, **annotations}
            labels = {**each.labels, **labels}
        return cls(annotations, labels)


NOTHING: Final = Carried()
