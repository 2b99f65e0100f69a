"""Which keys a store has, so that a key can be judged before anything is sent.

Each provider defines one `KeyGrammar`; `airwarden.domain.guardrails` asks it.
"""

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class KeyGrammar:
    """The grammar of a store's keys: an allow-list, and prefixes that are surely a mistake."""

    separator: str
    pattern: re.Pattern[str]
    description: str
    mistaken_prefixes: tuple[tuple[str, str], ...] = ()
    """Pairs of a prefix and what to write instead."""

    def complaint(self, key: str) -> str | None:
        """Return what is wrong with the key and what to do, or None when it is one of the store's."""
        if self.pattern.fullmatch(key) is None:
            return f"{key!r} is not a key of this store: {self.description}"
        if self.separator and {".", ".."} & set(key.split(self.separator)):
            return f"{key!r} has . or .. as a segment: write the key without them"
        for prefix, instead in self.mistaken_prefixes:
            if key.startswith(prefix):
                return f"{key!r} begins with {prefix}: {instead}"
        return None
