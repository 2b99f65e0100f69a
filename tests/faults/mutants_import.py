"""Breakages of the import: of who may read the values, of what the script overwrites, and of where a token goes.

Part of `tests/faults/mutants.py`.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from faults.mutant import Mutant

UNIT = "tests/unit/commands/importing"
ITEMS, FILES, GROUPING, API, COMMAND = (
    f"{UNIT}/test_{name}.py" for name in ("items", "files", "grouping", "airflow_api", "command")
)
ROUND = "tests/contract/provider/test_import.py"
_Mutant = partial(Mutant, source=Path("operator/airwarden/commands/importing"))

IMPORTING: tuple[Mutant, ...] = (
    _Mutant(
        "values are readable for everybody",
        "writing.py",
        'json.dumps(dict(one.item.payload), indent=2) + "\\n", 0o600)',
        'json.dumps(dict(one.item.payload), indent=2) + "\\n", 0o644)',
        (COMMAND,),
    ),
    _Mutant(
        "values are written into a folder that somebody else filled",
        "writing.py",
        "if any(folder.iterdir()):",
        "if False:",
        (COMMAND,),
    ),
    _Mutant(
        "the script overwrites what is there",
        "writing.py",
        'vault kv put -mount="$mount" -cas=0 "$1" "@$2"',
        'vault kv put -mount="$mount" "$1" "@$2"',
        (ROUND,),
    ),
    _Mutant(
        "the script writes what nobody filled in",
        "writing.py",
        '  if grep -q {marker} "$2"; then',
        "  if false; then",
        (ROUND,),
    ),
    _Mutant(
        "the script takes values away that Vault has not taken",
        "writing.py",
        """  left=1
  case $said in""",
        """  left=1; rm -f -- "$2"
  case $said in""",
        (ROUND,),
    ),
    _Mutant(
        "what Airflow hides is taken for the value",
        "items.py",
        "    return TO_BE_FILLED if HIDDEN in value else value",
        "    return value",
        (ITEMS,),
    ),
    _Mutant(
        "a value is in a representation",
        "items.py",
        "payload: Mapping[str, str] = field(default_factory=dict, repr=False)",
        "payload: Mapping[str, str] = field(default_factory=dict)",
        (ITEMS,),
    ),
    _Mutant(
        "of two different values one is taken",
        "grouping.py",
        "if len(usable) > 1 and not first.wrong and",
        "if False and",
        (GROUPING,),
    ),
    _Mutant(
        "an id that a binding refuses is taken",
        "grouping.py",
        "        return replace(item, wrong=complaints(error))",
        "        return item if error else item",
        (GROUPING,),
    ),
    _Mutant(
        "a redirect takes the token along",
        "airflow_api.py",
        "allow_redirects=False",
        "allow_redirects=True",
        (API,),
    ),
    _Mutant(
        "a proxy of the environment sees the token",
        "airflow_api.py",
        "session.trust_env = False",
        "session.trust_env = True",
        (API,),
    ),
    _Mutant(
        "an id that stands twice in a file is taken",
        "files.py",
        "Item(kind, name, origin, wrong=_TWICE) if name in found.twice else item(",
        "Item(kind, name, origin, wrong=_TWICE) if False else item(",
        (FILES,),
    ),
)
