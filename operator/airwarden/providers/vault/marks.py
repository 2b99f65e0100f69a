"""What the first lines of a policy say: whose it is, whether it was adopted, whether it was let go.

A role has no room for such lines, so the policy's speak for both. Everything about adoption stands here and not
in a status, since others may write statuses: who forges one makes no access outlive its binding. Pure; called by
`airwarden.providers.vault.store`.
"""

import hashlib
import re
from collections.abc import Iterable
from typing import Final

from airwarden.domain.owner import Owner
from airwarden.domain.resources import Adoption, Claim
from airwarden.providers.vault import policy

_ADOPTED: Final = re.compile(r"# airwarden\.dev/adopted scope=(?P<scope>[0-9a-f]{32}) kinds=(?P<kinds>\w+(?:,\w+)*)")
_RELEASED_NOTE: Final = "# No longer kept by Airwarden."
_COMMENT: Final = re.compile(r"#[ -~]*")
_OWNER: Final = "airwarden.dev/owner "
_RELEASED: Final = "airwarden.dev/released "


def scope_of(paths: Iterable[str]) -> str:
    """Return the fingerprint of the secrets that these paths open."""
    return hashlib.sha256("\n".join(sorted(set(paths))).encode()).hexdigest()[:32]


def claim_of(owner: Owner, text: str) -> Claim:
    """Return whose the policy is by its first line."""
    marked = policy.owner_of(text)
    if marked is not None:
        return Claim.OURS if marked == owner else Claim.FOREIGN
    return Claim.RELEASED if text.split("\n", 1)[0] == _released_line(owner) else Claim.UNMARKED


def adopting(text: str, adoption: Adoption) -> str:
    """Return a marked policy with the line that says what was here before us."""
    mark, rest = text.split("\n", 1)
    return f"{mark}\n# airwarden.dev/adopted scope={adoption.scope} kinds={','.join(sorted(adoption.kinds))}\n{rest}"


def read_adoption(text: str) -> tuple[str, Adoption | None]:
    """Return a marked policy without that line, and what the line says. Only the second line is looked at."""
    mark, _, rest = text.partition("\n")
    line, _, body = rest.partition("\n")
    found = _ADOPTED.fullmatch(line)
    if found is None:
        return text, None
    return f"{mark}\n{body}", Adoption(found["scope"], frozenset(found["kinds"].split(",")))


def released(owner: Owner, text: str) -> str:
    """Return a policy of ours that is no longer marked as ours: the rights as they are, and a line for people."""
    return f"{_released_line(owner)}\n{_RELEASED_NOTE}\n{_body(text)}"


def as_marked(owner: Owner, text: str) -> str:
    """Return the policy as it would be with our mark: comment lines before the first right make no difference."""
    return f"{policy.heading(owner)}{_body(text)}"


def _body(text: str) -> str:
    lines = text.split("\n")
    while lines and (not lines[0].strip(" ") or _COMMENT.fullmatch(lines[0])):
        lines.pop(0)
    body = "\n".join(lines).rstrip("\n")
    return f"{body}\n" if body else ""


def _released_line(owner: Owner) -> str:
    return f"# {owner.mark.replace(_OWNER, _RELEASED, 1)}"
