"""The list of breakages is kept with the code, and the worst of them are tried in every run.

All of them are tried by `make test-faults` (`tests/faults/`).
"""

from __future__ import annotations

from collections import Counter

import pytest

from faults.breaking import RED, Copy, occurrences
from faults.mutant import Mutant
from faults.mutants import MUTANTS

WORST = (
    "every rule admits every key",
    "a prefix ends without its separator",
    "everything found is ours",
    "the finalizer is dropped although a removal failed",
    "nothing is recorded before the first write",
    "a uid in a status proves an account ours",
    "a path is not quoted",
    "Vault's 403 means absent",
    "an end that has come is ignored",
    "a lifetime is not looked at",
    "a suspended binding is given what it lacks",
)
CHOSEN = [each for each in MUTANTS if each.name in WORST]


def test_there_are_many_and_each_stands_for_something_of_its_own() -> None:
    assert len(MUTANTS) >= 50
    assert max(Counter(each.name for each in MUTANTS).values()) == 1
    assert max(Counter((each.file, each.text, each.replacement) for each in MUTANTS).values()) == 1
    assert {each.name for each in CHOSEN} == set(WORST)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda each: each.name.replace(" ", "-"))
def test_what_is_to_be_broken_stands_exactly_once_in_the_code(mutant: Mutant) -> None:
    assert occurrences(mutant) == 1


@pytest.fixture(scope="session")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    """Return a copy of the tree to be broken."""
    made = Copy(tmp_path_factory.mktemp("tree"))
    made.hold_green(test for mutant in CHOSEN for test in mutant.tests)
    return made


@pytest.mark.timeout(600)  # the first one also runs all the tests in question on the tree as it stands
@pytest.mark.parametrize("mutant", CHOSEN, ids=lambda each: each.name.replace(" ", "-"))
def test_one_of_the_worst_breakages_is_noticed(copy: Copy, mutant: Mutant) -> None:
    outcome = copy.run_broken(mutant)
    assert outcome.status == RED, f"{mutant.name}: nobody noticed\n{outcome.said}"
