"""Each breakage of the safety code turns a test red: `make test-faults`."""

from __future__ import annotations

import pytest

from faults.breaking import RED, Copy
from faults.mutant import Mutant
from faults.mutants import MUTANTS

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="session")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    """Return a copy of the tree to be broken."""
    return Copy(tmp_path_factory.mktemp("tree"))


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda each: each.name.replace(" ", "-"))
def test_the_breakage_is_noticed(copy: Copy, mutant: Mutant) -> None:
    outcome = copy.run_broken(mutant)
    assert outcome.status == RED, f"{mutant.name}: nobody noticed\n{outcome.said}"
