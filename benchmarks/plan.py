"""Which scenarios run, on which plane, in what order.

Called by `runner`. Scenarios of one group share a plane: what one has made, the next one uses.
"""

from collections.abc import Sequence

from benchmarks.scenarios import Scenario
from benchmarks.scenarios.delete import Delete
from benchmarks.scenarios.edit import Edit
from benchmarks.scenarios.ending import Ending
from benchmarks.scenarios.floor import Floor
from benchmarks.scenarios.hostile import Hostile
from benchmarks.scenarios.namespace import Namespace
from benchmarks.scenarios.new import New
from benchmarks.scenarios.outage import Outage
from benchmarks.scenarios.paced import Paced
from benchmarks.scenarios.restart import Restart
from benchmarks.scenarios.soak import Soak
from benchmarks.scenarios.steady import Steady
from benchmarks.scenarios.tasks import Tasks
from benchmarks.sizes import HUGE, Sizes

Group = tuple[Scenario, ...]


def usual(sizes: Sizes) -> tuple[Group, ...]:
    """Return everything but the runs apart. Each large number of new bindings gets a fresh plane."""
    crowd = sizes.crowd
    few = New(sizes.steady_bindings) if sizes.steady_bindings in sizes.new else None
    alone = [New(count) for count in sizes.new if count != crowd and (few is None or count != few.count)]
    calm: Group = (
        Paced(sizes.paced),
        Steady(sizes.steady_bindings, sizes.steady_interval, sizes.steady_seconds),
        Ending(sizes.ending),
        Delete(sizes.deleted),
        Namespace(sizes.namespace),
        Hostile(sizes.hostile, sizes.hostile_seconds),
    )
    many: Group = (New(crowd), Restart(crowd), Edit(crowd), Outage(crowd, sizes.outage_edits, sizes.outage_seconds))
    # The 1,000 come right after the floor that they are held against.
    rest = ((few, *calm), many) if few is not None else (many, calm)
    return ((*alone, Floor(sizes.floor)), *rest)


def huge() -> tuple[Group, ...]:
    """Return the run with 10,000 bindings."""
    return ((New(HUGE), Restart(HUGE)),)


def soak(minutes: float) -> tuple[Group, ...]:
    """Return the long run."""
    return ((Soak(minutes),),)


def tasks(count: int) -> tuple[Group, ...]:
    """Return the run that has no operator in it."""
    return ((Tasks(count),),)


def chosen(groups: Sequence[Group], words: Sequence[str]) -> tuple[Group, ...]:
    """Return the scenarios whose names hold one of the words; all without words."""
    if not words:
        return tuple(groups)
    kept = (tuple(each for each in group if any(word in each.name for word in words)) for group in groups)
    return tuple(group for group in kept if group)
