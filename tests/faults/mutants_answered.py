"""Breakages of what the provider does against stores, processes and signals that go wrong under way.

Part of `tests/faults/mutants.py`.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from faults.mutant import Mutant

UNIT, CONTRACT = "tests/unit/provider", "tests/contract/provider"
CONNECTIONS, REHEARSAL, SESSIONS, LOGINS, KEY_VAULT, MAP, KEEPER, LIVES = (
    f"{UNIT}/test_{name}.py"
    for name in ("connections", "rehearsal", "sessions", "logins", "key_vault_http", "map", "keeper", "lives")
)
BOUNDED = f"{UNIT}/test_bounded_transport.py"
FAIL_CLOSED = f"{CONTRACT}/test_fail_closed.py"
_Mutant = partial(Mutant, source=Path("provider/airflow_airwarden"))

ANSWERED: tuple[Mutant, ...] = (
    _Mutant(
        "texts that Airflow cannot write down are given out",
        "connections.py",
        "        json.dumps(value, ensure_ascii=False).encode()",
        "        pass",
        (CONNECTIONS,),
    ),
    _Mutant(
        "extra may be as deep as it likes",
        "connections.py",
        "    return bool(level)",
        "    return False",
        (CONNECTIONS,),
    ),
    _Mutant(
        "a URI's whole extra is not looked at", "connections.py", "    if extra:\n", "    if False:\n", (CONNECTIONS,)
    ),
    _Mutant(
        "each lookup is rehearsed",
        "rehearsal.py",
        "        mask(_parts(made))\n        found.reading.rehearsed.add(type(made))",
        "        mask(_parts(made))",
        (REHEARSAL,),
    ),
    _Mutant(
        "what failed is taken for rehearsed",
        "rehearsal.py",
        "        made.get_uri()\n    except",
        "        found.reading.rehearsed.add(type(made))\n        made.get_uri()\n    except",
        (REHEARSAL,),
    ),
    _Mutant(
        "what Airflow stumbles over opens the next source",
        "backend.py",
        "        rehearse(made, found)",
        "        pass",
        (FAIL_CLOSED,),
        servers=True,
    ),
    _Mutant(
        "what an event loop stumbles over opens the next source",
        "backend.py",
        "        await arehearse(made, found)",
        "        pass",
        (FAIL_CLOSED,),
        servers=True,
    ),
    _Mutant(
        "a variable that is no JSON opens the next source",
        "backend.py",
        "_json if as_json else _text",
        "_text",
        (FAIL_CLOSED,),
        servers=True,
    ),
    _Mutant(
        "a refusal needs a file to open",
        "backend.py",
        '    errors = sys.modules.get("airflow_airwarden.errors")',
        "    from airflow_airwarden import errors",
        (FAIL_CLOSED,),
        servers=True,
    ),
    _Mutant(
        "a thread waits for what it reads itself",
        "sessions.py",
        "within = me in self._at_it",
        "within = False",
        (SESSIONS,),
    ),
    _Mutant(
        "what another thread reads is waited for without end",
        "sessions.py",
        "waiting.result(seconds)",
        "waiting.result()",
        (SESSIONS,),
    ),
    _Mutant(
        "a thread waits for its own login",
        "readers/common.py",
        "threading.RLock()\n\n    @",
        "threading.Lock()\n\n    @",
        (LOGINS, KEY_VAULT),
    ),
    _Mutant(
        "a login of another thread is waited for without end",
        "readers/common.py",
        "self._lock.acquire(timeout=LOGIN_SECONDS)",
        "self._lock.acquire()",
        (LOGINS,),
    ),
    _Mutant(
        "a login within a login is lost",
        "readers/vault_logins.py",
        "            self._sessions.append(made)  #",
        "            self._sessions = [made]  #",
        (LOGINS,),
    ),
    _Mutant(
        "a thread waits for its own connections",
        "readers/common.py",
        "        if me in self._busy:",
        "        if False:",
        (LOGINS, KEY_VAULT),
    ),
    _Mutant(
        "a thread goes by the map that another one reads",
        "map_file.py",
        "        return known[1]\n",
        "        return self._known[1]\n",
        (MAP,),
    ),
    _Mutant(
        "an unforeseen error leaves no line",
        "sessions.py",
        "            self._written(access, Reason.INTERNAL_ERROR, type(error).__name__)",
        "            pass",
        (SESSIONS,),
    ),
    _Mutant(
        "what a dead token gave lives on",
        "readers/vault_logins.py",
        "                instead_of.life.refused(now, gone=True)",
        "                pass",
        (LOGINS,),
    ),
    _Mutant(
        "a thread that lives on opens stores anew",
        "sessions.py",
        "            if self._closed:\n                raise task_ended()",
        "            if False:\n                raise task_ended()",
        (SESSIONS,),
    ),
    _Mutant(
        "a thread that lives on logs in to Vault",
        "readers/vault_logins.py",
        "            if self._closed:",
        "            if False:",
        (LOGINS,),
    ),
    _Mutant(
        "a thread that waits logs in behind the end",
        "readers/vault_logins.py",
        "        self._closed = True  # first",
        "        pass  # first",
        (LOGINS,),
    ),
    _Mutant(
        "a thread that lives on logs in to Entra",
        "readers/key_vault_login.py",
        "            if self._closed:",
        "            if False:",
        (KEY_VAULT,),
    ),
    _Mutant(
        "a renewal that fails unforeseen is the end of all",
        "keeper.py",
        "    except Exception as error:",
        "    except ZeroDivisionError as error:",
        (KEEPER,),
    ),
    _Mutant(
        "a thread that was not started is taken for running",
        "keeper.py",
        "                else:\n                    self._thread = thread",
        "                self._thread = thread",
        (KEEPER,),
    ),
    _Mutant(
        "a time that no clock can hold is believed",
        "readers/vault_logins.py",
        "        return float(min(value, LONGEST))",
        "        return float(value)",
        (LIVES, LOGINS),
    ),
    _Mutant(
        "a request to Vault has no end as a whole",
        "readers/bounded_transport.py",
        "        left = self.ends - time.monotonic()",
        "        left = math.inf",
        (BOUNDED,),
    ),
    _Mutant(
        "a request within another takes its time away",
        "readers/bounded_transport.py",
        "            self._bound.ends = before",
        "            self._bound.ends = math.inf",
        (BOUNDED,),
    ),
)
