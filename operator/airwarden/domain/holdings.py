"""What one binding has in one store, as a list of the store shows it, and which binding lays claim to it.

A store's names and marks say whose a thing is, and some of them for which account. The bindings say what they use.
What the two do not share is an orphan. Pure; stores return holdings to `airwarden.reconcile.sweep`, and
`airwarden.domain.sweep` judges them.
"""

from dataclasses import dataclass

from airwarden.domain.owner import Owner
from airwarden.domain.resources import Address


@dataclass(frozen=True, slots=True)
class Use:
    """What a binding lays claim to in the stores."""

    backends: frozenset[str]
    """Those that it names or has something recorded in."""
    account: str = ""
    """The account that its spec names, which never changes; empty when that cannot be read."""
    recorded: frozenset[Address] = frozenset()
    """What its status records."""


@dataclass(frozen=True, slots=True)
class Holding:
    """What one owner has in a store for one account. Two accounts under one mark are two holdings."""

    owner: Owner
    account: str = ""
    """The account that the owner's own field leaves out of comparisons; empty where no name or mark tells it."""
    former: tuple[Address, ...] = ()
    """Where it is, if another mode of the store left it, in the order of removal; empty for the present mode's."""
    present: tuple[Address, ...] = ()
    """Where it is, in the order of removal, in a store in which that does not follow from the owner alone."""

    @classmethod
    def of(cls, owner: Owner, former: tuple[Address, ...] = ()) -> "Holding":
        """Return the holding of an owner that comes with its account, if that is known."""
        return cls(owner, owner.account, former)

    @property
    def order(self) -> tuple[Owner, str, tuple[Address, ...]]:
        """By what holdings are sorted."""
        return self.owner, self.account, self.former

    def __str__(self) -> str:
        return f"{self.owner}/{self.account}" if self.account else str(self.owner)


def owns(use: Use | None, holding: Holding) -> bool:
    """Tell whether the binding of that namespace and name, None if there is none, lays claim to the holding.

    What another mode left is its own only while its record says so, since only then does it remove that itself. An
    account that cannot be read may be any.
    """
    if use is None or holding.owner.backend not in use.backends:
        return False
    if holding.account and use.account and holding.account != use.account:
        return False
    return not holding.former or any(address in use.recorded for address in holding.former)
