"""Logins of a store that Airwarden did not make, and whether they let a managed account in.

A policy of ours says what an account may read, but a role of somebody else that names the same account gives it
more. Such roles are never touched: they are reported, by `airwarden.reconcile.foreign` where the store's admin
lets the operator read them, and by `airwarden doctor` with the caller's rights. Pure.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

MAX_SHOWN: Final = 5
"""How many logins, accounts and policies a message names before it says how many more there are."""

_LONGEST: Final = 128
Account = tuple[str, str]
"""Namespace and name."""


@dataclass(frozen=True, slots=True, order=True)
class ForeignLogin:
    """One way to log in that is not ours, and whom it admits. Patterns may hold ``*`` anywhere, as Vault reads them."""

    where: str
    """Path in the store, as in ``auth/kubernetes/role/legacy``."""
    names: tuple[str, ...] = ()
    namespaces: tuple[str, ...] = ()
    by_label: bool = False
    """Namespaces are also selected by label. Which those are, the store asks at login: here each one counts."""
    subjects: tuple[str, ...] = ()
    """Subjects of tokens, ``system:serviceaccount:<namespace>:<name>``, where the login goes by those."""
    policies: tuple[str, ...] = ()

    def admitted(self, accounts: Iterable[Account]) -> tuple[Account, ...]:
        """Return the accounts that may log in here, as far as names decide it."""
        name_fits, namespace_fits = _test(self.names), _test(self.namespaces)
        subject_fits = _test(self.subjects)
        return tuple(
            (namespace, name)
            for namespace, name in accounts
            if (name_fits(name) and (self.by_label or namespace_fits(namespace)))
            or subject_fits(f"system:serviceaccount:{namespace}:{name}")
        )


@dataclass(frozen=True, slots=True)
class ForeignLogins:
    """What a look at a store's logins found: those that are not ours, and how many were not looked at."""

    logins: tuple[ForeignLogin, ...] = ()
    unread: int = 0


@dataclass(frozen=True, slots=True)
class Hit:
    """A login that admits managed accounts."""

    login: ForeignLogin
    accounts: tuple[Account, ...]

    @property
    def sentence(self) -> str:
        """What the login is, in one sentence of bounded length."""
        named = shortened([f"{namespace}/{name}" for namespace, name in self.accounts])
        given = f"with policies {shortened(self.login.policies)}" if self.login.policies else "without policies"
        by_label = ", by a label of the namespace or by name" if self.login.by_label else ""
        return f"{shortened([self.login.where])} lets {named} log in {given}{by_label}"


def admitting(logins: Iterable[ForeignLogin], accounts: Iterable[Account]) -> tuple[Hit, ...]:
    """Return the logins that admit managed accounts, in the order of their paths."""
    known = sorted(set(accounts))
    hits = (Hit(each, each.admitted(known)) for each in sorted(set(logins)))
    return tuple(hit for hit in hits if hit.accounts)


def shortened(names: Sequence[str]) -> str:
    """Return the names in a row, cut after the first few and after the first characters of each."""
    shown = ", ".join(_fit(name) for name in names[:MAX_SHOWN])
    more = f" and {len(names) - MAX_SHOWN} more" if len(names) > MAX_SHOWN else ""
    return shown + more


def _fit(name: str) -> str:
    """Return the name fit to be shown: somebody else chose it."""
    name = "".join(each if each.isprintable() else "?" for each in name)
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"


def _test(patterns: Iterable[str]) -> Callable[[str], bool]:
    """Return a test for texts that fit any of the patterns: ``*`` is any text, everything else is itself."""
    given = frozenset(patterns)
    exact = frozenset(each for each in given if "*" not in each)
    globs = tuple(each.split("*") for each in given - exact)
    return lambda text: text in exact or any(_fits(parts, text) for parts in globs)


def _fits(parts: Sequence[str], text: str) -> bool:
    """Tell whether the parts stand in the text one after the other, the first and the last at its ends.

    No regular expression: a role with many stars would make one take for ever.
    """
    first, *middle, last = parts
    if len(text) < len(first) + len(last) or not text.startswith(first) or not text.endswith(last):
        return False
    place, end = len(first), len(text) - len(last)
    for part in middle:
        found = text.find(part, place, end)
        if found < 0:
            return False
        place = found + len(part)
    return True
