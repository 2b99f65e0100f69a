"""One-line breakages of the safety code, and the tests that must turn red for each.

A breakage that no test notices is a promise that nobody keeps. Run by `tests/faults/test_mutants.py` on a
copy of the tree; the first ones are also run by `make test`. The text is exact and stands once in its
file, so that a change of the code that moves it away from here is noticed.
"""

from __future__ import annotations

from faults.mutant import Mutant
from faults.mutants_admission import ADMITTING
from faults.mutants_answered import ANSWERED
from faults.mutants_azure import ON_AZURE
from faults.mutants_azure_asked import ASKING_AZURE
from faults.mutants_azure_ends import ENDING_ON_AZURE
from faults.mutants_azure_kept import KEPT_ON_AZURE
from faults.mutants_azure_number import NUMBERS_ON_AZURE
from faults.mutants_azure_own import WHOSE_ON_AZURE
from faults.mutants_azure_pace import PACING_AZURE
from faults.mutants_azure_told import TOLD_ON_AZURE
from faults.mutants_bound import BOUND_ROTATIONS
from faults.mutants_broken_off import BREAKING_OFF
from faults.mutants_doors import DOORS
from faults.mutants_environment import ENVIRONMENTS
from faults.mutants_executor import EXECUTING
from faults.mutants_fenced import FENCED_MUTANTS
from faults.mutants_first_use import FIRST_USE
from faults.mutants_import import IMPORTING
from faults.mutants_inside import INSIDE
from faults.mutants_jobs import BY_JOB
from faults.mutants_key_vault import KEY_VAULTS
from faults.mutants_mapped import MAPPED
from faults.mutants_outside import OUTSIDE
from faults.mutants_people import LETTING_IN
from faults.mutants_proofs import PROVING
from faults.mutants_provider import READING
from faults.mutants_roles import ROLE_MUTANTS
from faults.mutants_rotation import ROTATING
from faults.mutants_runs import RUNS
from faults.mutants_shared import SHARED_BY_BINDINGS
from faults.mutants_sweep import SWEEPING

MUTANTS: tuple[Mutant, ...] = (
    *INSIDE,
    *OUTSIDE,
    *FENCED_MUTANTS,
    *ROTATING,
    *ROLE_MUTANTS,
    *RUNS,
    *BOUND_ROTATIONS,
    *BY_JOB,
    *SWEEPING,
    *READING,
    *IMPORTING,
    *ADMITTING,
    *DOORS,
    *ON_AZURE,
    *TOLD_ON_AZURE,
    *KEY_VAULTS,
    *KEPT_ON_AZURE,
    *ENDING_ON_AZURE,
    *ASKING_AZURE,
    *EXECUTING,
    *MAPPED,
    *ENVIRONMENTS,
    *PROVING,
    *LETTING_IN,
    *SHARED_BY_BINDINGS,
    *BREAKING_OFF,
    *WHOSE_ON_AZURE,
    *ANSWERED,
    *PACING_AZURE,
    *FIRST_USE,
    *NUMBERS_ON_AZURE,
)
