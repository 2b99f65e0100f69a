"""By hand: what makes objects that are not a binding's its own, when a person has looked and said so.

Called by `airwarden.commands.adopt`. The operator itself adopts only what is identical (`airwarden.domain.diff`).
"""

from collections.abc import Mapping, Sequence

from airwarden.domain.errors import NotOwned
from airwarden.domain.resources import Action, Address, Adoption, Claim, Observed, Operation, Resource


def take_over(desired: Sequence[Resource], observed: Mapping[Address, Observed]) -> tuple[Operation, ...]:
    """Return the writes that make what is there the binding's, the mark last; none when all that is there is its own.

    ``desired`` stands in order of creation. All of it is noted as adopted: it is let go with the binding, as one.
    Raises NotOwned for an object that carries the mark of another owner.
    """
    for each in desired:
        if observed[each.address].claim is Claim.FOREIGN:
            raise NotOwned(
                f"{each.address} carries the mark of another owner and cannot be taken over: "
                "have that owner let it go, or remove it"
            )
    unclaimed = [each for each in desired if _unclaimed(observed[each.address])]
    if not unclaimed:
        return ()
    adoption = Adoption(desired[0].scope, frozenset(each.address.kind for each in desired))
    marked, *others = desired
    writes = [
        Operation(Action.CREATE if found.absent else Action.UPDATE, each.address, each, found)
        for each in reversed(others)
        if dict((found := observed[each.address]).fields or {}) != dict(each.fields)
    ]
    return (*writes, Operation(Action.ADOPT, marked.address, marked, observed[marked.address], adoption))


def _unclaimed(found: Observed) -> bool:
    return not found.absent and found.claim is not Claim.OURS
