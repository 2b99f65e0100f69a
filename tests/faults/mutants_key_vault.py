"""Breakages of the reader of key vaults: of who logs in, of what is tried again, and of what is told apart.

Part of `tests/faults/mutants.py`.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from faults.mutant import Mutant

READER, LOGIN, HTTP = (f"readers/key_vault{part}.py" for part in ("", "_login", "_http"))
READING, SENDING = "tests/contract/provider/test_key_vault.py", "tests/unit/provider/test_key_vault_http.py"
MAP = "tests/unit/provider/test_map.py"
_Mutant = partial(Mutant, source=Path("provider/airflow_airwarden"))

KEY_VAULTS: tuple[Mutant, ...] = (
    _Mutant(
        "each read logs in to Entra", LOGIN, "or self._clock.monotonic() >= self._current.ends:", "or True:", (READING,)
    ),
    _Mutant(
        "a login is used to its very end", LOGIN, "now + lasts - min(MARGIN, lasts / 4)", "now + lasts", (READING,)
    ),
    _Mutant(
        "what Azure does not know yet is final",
        LOGIN,
        "if codes & (_NO_CREDENTIAL | _NO_IDENTITY) else",
        "if False else",
        (READING,),
    ),
    _Mutant(
        "each lookup waits for Azure anew", LOGIN, "now if self._began is None else self._began", "now", (READING,)
    ),
    _Mutant(
        "anything is Entra's answer",
        LOGIN,
        '        if not (token if status == 200 else body.get("error")):',
        "        if False:",
        (SENDING,),
    ),
    _Mutant(
        "the fresh are asked for the whole lookup",
        READER,
        "min(early.since + self._settings.fresh_denial_seconds, deadline)",
        "deadline",
        (READING,),
    ),
    _Mutant("a vault's pause is cut short", READER, "max(wait, failure.retry_after)", "wait", (READING,)),
    _Mutant("a login that a vault refuses is kept", READER, "current(instead_of=login)", "current()", (READING,)),
    _Mutant("an expired secret is given out", READER, "if ends is not None and now >= ends:", "if False:", (READING,)),
    _Mutant(
        "a secret is given out before its time",
        READER,
        "if begins is not None and now < begins:",
        "if False:",
        (READING,),
    ),
    _Mutant(
        "a value is kept past its date", READER, "if secret.properties.expires_on is not None:", "if False:", (READING,)
    ),
    _Mutant(
        "each 404 is an absent secret", READER, 'if code == "SecretNotFound":', "if answer.status == 404:", (READING,)
    ),
    _Mutant(
        "a firewall is a denial that may pass",
        READER,
        'if code == "ForbiddenByRbac":',
        "if answer.status == 403:",
        (READING,),
    ),
    _Mutant(
        "anything is a vault's answer",
        HTTP,
        "answered.status_code == 200 and not _whole",
        "False and not _whole",
        (SENDING,),
    ),
    _Mutant(
        "tokens are for one cloud alone",
        HTTP,
        'if domain.startswith("vault.") else _PUBLIC',
        "if False else _PUBLIC",
        (SENDING,),
    ),
    _Mutant(
        "the map's certificates are not used",
        HTTP,
        "connection_verify=store.ca_file or True",
        "connection_verify=False",
        (READING,),
    ),
    _Mutant(
        "the image's proxy is not used",
        HTTP,
        "ProxyPolicy(proxies=get_environ_proxies(url))",
        "ProxyPolicy(proxies={})",
        (READING,),
    ),
    _Mutant(
        "a key that no vault has is taken",
        "map_file.py",
        "if isinstance(stores[store], KeyVaultStore) and not",
        "if False and not",
        (MAP,),
    ),
)
