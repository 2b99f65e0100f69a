"""What is measured: one module a scenario, all of one shape. `benchmarks.plan` says which run, and in what order."""

from typing import Protocol

from benchmarks.result import Measured
from benchmarks.stage import Stage


class Scenario(Protocol):
    """One thing to measure."""

    @property
    def name(self) -> str:
        """Return the key of its details in the result."""

    @property
    def title(self) -> str:
        """Return what it does, with its sizes, for the progress."""

    async def run(self, stage: Stage) -> Measured:
        """Do it and measure it."""
