"""What gives more than the keys that a binding asked for, in stores whose grants can be coarser than one key.

The platform team may choose that for a backend; whoever looks at a binding is told. Pure; called by
`airwarden.domain.report`.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from airwarden.api.conditions import Target, TargetState
from airwarden.api.reasons import Reason


def annotated(targets: Sequence[Target], coarse: Mapping[str, frozenset[str]]) -> tuple[Target, ...]:
    """Return the targets; those of the kinds in ``coarse``, by backend, say that they give more than was asked for."""
    return tuple(
        each.model_copy(update={"reason": Reason.KEY_NOT_ENFORCED.word, "message": _MORE})
        if each.kind in coarse.get(each.backend, frozenset()) and each.state is TargetState.PRESENT and not each.reason
        else each
        for each in targets
    )


_MORE: Final = "the backend gives the whole store at once: who reads one secret of it can read every other"
