"""A ConfigMap as it should be: pure text, with the labels by which it is known as Airwarden's.

Rendered for environments (`airwarden.domain.environment`) and for bindings, written by
`airwarden.providers.kubernetes.config_maps`.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from airwarden.api import GROUP

MANAGED_BY: Final = "app.kubernetes.io/managed-by"
ENVIRONMENT: Final = f"{GROUP}/environment"
LARGEST: Final = 900_000
"""Bytes that one may hold. The API server takes 1 MiB, with all that it keeps beside the data."""


def digest(text: str) -> str:
    """Return the fingerprint of a text, as status and annotations name it: 32 hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class WantedMap:
    """One ConfigMap as it should be."""

    namespace: str
    name: str
    labels: Mapping[str, str]
    """Whoever lacks one of them is not ours."""
    data: Mapping[str, str]

    @property
    def size(self) -> int:
        """Bytes of its data."""
        return sum(len(key.encode()) + len(text.encode()) for key, text in self.data.items())

    @property
    def digest(self) -> str:
        """Fingerprint of its data: of a single text the text's own."""
        texts = tuple(self.data.values())
        if len(texts) == 1:
            return digest(texts[0])
        return digest(json.dumps(dict(self.data), sort_keys=True, separators=(",", ":")))


def compact(value: object) -> str:
    """Return JSON as short as it can be, with keys in the order in which they were given."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def environment_labels(environment: str) -> dict[str, str]:
    """Return the labels of what Airwarden keeps for an environment, by its name."""
    return {MANAGED_BY: "airwarden", ENVIRONMENT: environment}
