"""Breakages of the Airflow provider: of what is asked, what is kept, what is told, and what fails closed.

Part of `tests/faults/mutants.py`.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from faults.mutant import Mutant

UNIT, CONTRACT = "tests/unit/provider", "tests/contract/provider"
SESSIONS, MAP, CONNECTIONS, HTTP, LIVES, KWARGS = (
    f"{UNIT}/test_{name}.py" for name in ("sessions", "map", "connections", "vault_http", "lives", "kwargs")
)
IN_AIRFLOW, FAILURES, READING_TESTS, LEASES = (
    f"{CONTRACT}/test_{name}.py" for name in ("in_airflow", "failures", "reading", "leases")
)
_Mutant = partial(Mutant, source=Path("provider/airflow_airwarden"))

READING: tuple[Mutant, ...] = (
    _Mutant(
        "an id that is not bound is never refused",
        "sessions.py",
        "if binding_map.unbound_ids == UnboundIDs.REFUSE:",
        "if False:",
        (SESSIONS,),
    ),
    _Mutant(
        "values are kept longer than they work",
        "sessions.py",
        "return time.monotonic() < min(until, reading.good_until())",
        "return time.monotonic() < until",
        (SESSIONS,),
    ),
    _Mutant(
        "static values are kept for good",
        "sessions.py",
        "seconds = math.inf if reading.lease else cache_ttl",
        "seconds = math.inf",
        (SESSIONS,),
    ),
    _Mutant(
        "each read of a lease makes another user",
        "sessions.py",
        "seconds = math.inf if reading.lease else cache_ttl",
        "seconds = cache_ttl",
        (SESSIONS,),
    ),
    _Mutant(
        "threads do not share a request",
        "sessions.py",
        "self._under_way.setdefault(secret, mine)",
        "mine",
        (SESSIONS,),
    ),
    _Mutant(
        "a refused access leaves no line",
        "sessions.py",
        "            self._written(access, outcome, refusal.wrong)",
        "            pass",
        (SESSIONS,),
    ),
    _Mutant(
        "the end leaves logins behind",
        "sessions.py",
        "            for ended in reader.close():",
        "            for ended in ():",
        (SESSIONS,),
    ),
    _Mutant(
        "a map of another version is read",
        "map_file.py",
        'if body.get("version") != VERSION:',
        "if False:",
        (MAP,),
    ),
    _Mutant(
        "what the provider does not know in a map is passed over",
        "map_file.py",
        "        if self._rest:\n",
        "        if False:\n",
        (MAP,),
    ),
    _Mutant(
        "a lost map is lived down",
        "map_file.py",
        "        except OSError as error:\n            self._known = None\n",
        "        except OSError as error:\n            if self._known:\n                return self._known[1]\n",
        (MAP,),
    ),
    _Mutant(
        "a key may lead out of its folder",
        "map_file.py",
        '{".", ".."} & set(value.split("/"))',
        "False",
        (MAP,),
    ),
    _Mutant(
        "stores for development are open to all",
        "readers/__init__.py",
        "if not settings.development:",
        "if False:",
        (SESSIONS,),
    ),
    _Mutant(
        "unknown parts of a connection are dropped",
        "connections.py",
        "    if unknown:\n",
        "    if False:\n",
        (CONNECTIONS,),
    ),
    _Mutant(
        "texts in extra are not masked",
        "connections.py",
        "return [text, *_texts(_json_object(text))] if text else []",
        "return [text]",
        (CONNECTIONS,),
    ),
    _Mutant(
        "a wrong kwarg is not told",
        "settings.py",
        "    if wrong:\n",
        "    if False:\n",
        (KWARGS,),
    ),
    _Mutant(
        "redirects are followed with the token",
        "readers/vault_http.py",
        "follow_redirects=False",
        "follow_redirects=True",
        (HTTP,),
    ),
    _Mutant(
        "token-like words are quoted",
        "readers/vault_http.py",
        'return _TOKEN_LIKE.sub("[redacted]", words)[:200]',
        "return words[:200]",
        (HTTP,),
    ),
    _Mutant(
        "an answer may go on for ever",
        "readers/vault_http.py",
        "if len(content) > LARGEST_ANSWER:",
        "if False:",
        (HTTP,),
    ),
    _Mutant(
        "a renewal that adds nothing is not the last",
        "readers/vault_logins.py",
        "if renewable and grew else math.inf",
        "if renewable else math.inf",
        (LIVES,),
    ),
    _Mutant(
        "ambient proxies are used",
        "readers/vault_http.py",
        "trust_env=False",
        "trust_env=True",
        (FAILURES,),
        servers=True,
    ),
    _Mutant(
        "a login is not given up",
        "readers/vault_logins.py",
        '[("auth/token/revoke-self", {})]',
        "[]",
        (READING_TESTS,),
        servers=True,
    ),
    _Mutant(
        "leases are not renewed",
        "readers/vault_logins.py",
        '_renew(session, life, "sys/leases/renew", increment)',
        "life.refused(now, gone=False)",
        (LEASES,),
        servers=True,
    ),
    _Mutant(
        "whatever goes wrong opens the next source",
        "backend.py",
        "            why = _why(error)\n        raise _denial(kind",
        "            return None\n        raise _denial(kind",
        (IN_AIRFLOW,),
        servers=True,
    ),
    _Mutant(
        "a child uses the login of its parent",
        "processes.py",
        "os.register_at_fork(after_in_child=THIS_PROCESS.start_afresh)",
        "",
        (IN_AIRFLOW,),
        servers=True,
    ),
    _Mutant(
        "nothing is masked",
        "masking.py",
        "            module.mask_secret(text)",
        "            pass",
        (IN_AIRFLOW,),
        servers=True,
    ),
)
