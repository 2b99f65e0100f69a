"""Long work in short steps, so that all else in the process has its turn in between. Pure.

Work of this kind is a generator: what it yields says nothing but that others may go on. Used by
`airwarden.domain.environment`; `airwarden.reconcile.slicing` runs it.
"""

from collections.abc import Generator
from typing import Final, TypeVar

T = TypeVar("T")
Steps = Generator[None, None, T]
STEP: Final = 512
"""How much is done in one step: so many bindings and DAG ids take some milliseconds."""


def at_once(steps: Steps[T]) -> T:
    """Return what the work comes to, where nobody waits for a turn."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: T = end.value
            return result
