"""How much of everything a run does. A run's sizes stand in its result.

Called by `plan`. A figure whose name holds a size is filled only by a run of that size.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Sizes:
    """The sizes of one kind of run."""

    new: tuple[int, ...]
    """Numbers of new bindings, each on a plane of its own."""
    floor: int
    paced: int
    """Bindings created one after another, for the latency without a queue."""
    steady_bindings: int
    steady_interval: int
    """Seconds between two drift checks of a binding."""
    steady_seconds: float
    crowd: int
    """Bindings that are there when the operator starts again, and when one is edited."""
    deleted: int
    ending: int
    """Bindings whose access is ended: what design rule 10 promises a time for."""
    namespace: int
    outage_edits: int
    outage_seconds: float
    hostile: int
    """Bindings that no rule admits."""
    hostile_seconds: float


FULL: Final = Sizes(
    new=(100, 1000, 5000),
    floor=1000,
    paced=200,
    steady_bindings=1000,
    steady_interval=20,
    steady_seconds=40,
    crowd=5000,
    deleted=1000,
    ending=100,
    namespace=500,
    outage_edits=50,
    outage_seconds=30,
    hostile=1000,
    hostile_seconds=30,
)
QUICK: Final = Sizes(
    new=(100, 1000),
    floor=300,
    paced=60,
    steady_bindings=300,
    steady_interval=6,
    steady_seconds=12,
    crowd=1000,
    deleted=300,
    ending=100,
    namespace=100,
    outage_edits=20,
    outage_seconds=8,
    hostile=100,
    hostile_seconds=8,
)
HUGE: Final = 10_000
