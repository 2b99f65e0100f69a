"""Breakages of what somebody meets who uses Airwarden with an Airflow for the first time.

Part of `tests/faults/mutants.py`.
"""

from __future__ import annotations

from typing import Final

from faults.mutant import Mutant

RENDERING: Final = "tests/unit/domain/environment/test_rendering.py"

FIRST_USE: tuple[Mutant, ...] = (
    Mutant(
        "the API server looks for logs in its own namespace",
        "domain/environment/components.py",
        'more = {"scheduler": _of_executor, "api-server": _namespaces}.get(component)',
        'more = {"scheduler": _of_executor}.get(component)',
        (RENDERING,),
    ),
)
