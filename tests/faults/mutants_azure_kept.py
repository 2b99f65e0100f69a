"""Breakages of what the Azure store keeps right over time and beside others: counts, settings, spellings, limits.

Part of `tests/faults/mutants.py`.
"""

from __future__ import annotations

from typing import Final

from faults.mutant import Mutant

DIAGNOSTICS: Final = "tests/contract/azure/test_diagnostics.py"
EXISTING: Final = "tests/contract/azure/test_existing.py"
LISTS: Final = "tests/contract/azure/test_lists.py"
SPELLINGS: Final = "tests/contract/azure/test_spellings.py"
ROLES: Final = "tests/contract/azure/test_roles.py"
SETUP: Final = "tests/unit/azure/test_setup.py"
ANSWERS: Final = "tests/contract/azure/test_answers.py"

KEPT_ON_AZURE: tuple[Mutant, ...] = (
    Mutant(
        "a cluster of the same name has the same diagnostic setting",
        "providers/azure/diagnostics.py",
        'f"{place.cluster}/{uid}/{place.backend}"',
        'f"{place.cluster}/{place.backend}"',
        (DIAGNOSTICS,),
    ),
    Mutant(
        "cluster and backend run into one another in a diagnostic setting's name",
        "providers/azure/diagnostics.py",
        'f"{place.cluster}/{uid}/{place.backend}"',
        'f"{uid}-{place.cluster}-{place.backend}"',
        (DIAGNOSTICS,),
    ),
    Mutant(
        "an identity is given to a second account",
        "providers/azure/observing.py",
        "    other = of_another(wanted, found)",
        "    other = of_another(wanted, ())",
        (EXISTING,),
    ),
    Mutant(
        "an identity that another account got meanwhile is given to a second",
        "providers/azure/identities.py",
        "            if (other := of_another(wanted, present)) is not None:",
        "            if (other := of_another(wanted, ())) is not None:",
        (EXISTING,),
    ),
    Mutant(
        "each binding asks for a list of its own",
        "providers/azure/store.py",
        "        age = self.place.drift_age if known else FRESH",
        "        age = -1.0",
        (LISTS,),
    ),
    Mutant(
        "what a list does not show yet is absent",
        "providers/azure/shared_list.py",
        "LAG: Final = 10.0",
        "LAG: Final = 0.0",
        (LISTS,),
    ),
    Mutant(
        "identities are made as fast as they come",
        "providers/azure/identities.py",
        "_PER_SUBSCRIPTION: Final = 0.5",
        "_PER_SUBSCRIPTION: Final = 0.0",
        (LISTS,),
    ),
    Mutant(
        "one of another role that nobody may take back is to be taken back",
        "providers/azure/observing.py",
        "if each.scope == scope and each.role == place.role]",
        "if each.scope == scope]",
        (ROLES,),
    ),
    Mutant(
        "another spelling is another identity",
        "providers/azure/opening.py",
        "each.name.lower() for each in identities.existing",
        "each.name for each in identities.existing",
        (SPELLINGS,),
    ),
    Mutant(
        "a credential on record under another spelling is taken away",
        "providers/azure/store.py",
        "        if identity != own and identity.lower() == own:",
        "        if False:",
        (SPELLINGS,),
    ),
    Mutant(
        "another spelling is another group",
        "providers/azure/naming.py",
        "hashlib.sha256(group.lower().encode())",
        "hashlib.sha256(group.encode())",
        (SPELLINGS,),
    ),
    Mutant(
        "a shell reads a resource group's name as its own",
        "providers/azure/setup.py",
        "--scope {shlex.quote(each.scope)}",
        "--scope {each.scope}",
        (SETUP,),
    ),
    Mutant(
        "a pause lasts as long as an answer says",
        "providers/azure/answers.py",
        "min(float(header), _LONGEST_PAUSE)",
        "float(header)",
        (ANSWERS,),
    ),
    Mutant(
        "an answer that cannot be read breaks the pass off",
        "providers/azure/arm.py",
        "            except (TypeError, ValueError) as error:",
        "            except ZeroDivisionError as error:",
        (ANSWERS,),
    ),
    Mutant(
        "each request that was refused gives up the token that the one before got",
        "providers/azure/login.py",
        "        if number is not None and number != self.number:",
        "        if False:",
        (ANSWERS,),
    ),
)
