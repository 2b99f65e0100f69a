"""The ACL policy text of one binding: rendered, and read back, by one quoting function.

Whoever writes policy text can write himself any right, so this module is small and strict: it refuses
every character that HCL or Vault's path matching could read in another way, it parses its own output
before it hands it out, and what it did not write itself it does not understand. Pure; called by
`airwarden.providers.vault.store` and `airwarden.providers.vault.setup`.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from airwarden.domain.owner import Owner
from airwarden.domain.resources import DynamicCredentials, Readable, StaticSecret

VERSIONED: Final = 2
"""The version of the key-value engine that keeps values below data/."""
SEGMENT_CHARACTERS: Final = "A-Za-z0-9._~@:=,-"
_PATH: Final = re.compile(rf"[{SEGMENT_CHARACTERS}]+(?:/[{SEGMENT_CHARACTERS}]+)*")
_NOTE: Final = "# Written by Airwarden. A change made here is undone: change the binding instead."
TOKEN_CALLS: Final = (
    ("auth/token/lookup-self", "read"),
    ("auth/token/renew-self", "update"),
    ("auth/token/revoke-self", "update"),
)
LEASE_CALLS: Final = (("sys/leases/renew", "increment"), ("sys/leases/revoke", "sync"))
_CREDENTIALS: Final = re.compile(r"(?P<engine>.+)/(?P<calls>creds|static-creds)/(?P<role>[^/]+)")
_BLOCK: Final = re.compile(
    r'path "(?P<path>[^"]+)" \{\n'
    r'  capabilities = \["(?P<capability>[a-z]+)"\]\n'
    r"(?:  allowed_parameters = \{\n"
    r'    "lease_id" = \[(?P<leases>[^\]\n]+)\]\n'
    r'    "(?P<spare>[a-z]+)" = \[\]\n'
    r"  \}\n)?"
    r"\}\n"
)


@dataclass(frozen=True, slots=True, order=True)
class PathRule:
    """One right on one exact path. ``leases`` confines a lease call to the leases below these paths."""

    path: str
    capability: str = "read"
    leases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PolicyDocument:
    """What a policy text says: whose it is, and its rights in order."""

    owner: Owner
    rules: tuple[PathRule, ...]


def rules_for(readable: Iterable[Readable], *, mount: str, version: int) -> tuple[PathRule, ...]:
    """Return the rights that a reader of exactly these secrets needs, sorted.

    ``mount`` and ``version`` are those of the key-value engine. Raises ValueError for a key, mount, engine
    or role that cannot be written as a plain path.
    """
    items = frozenset(readable)
    rules = {PathRule(path, capability) for path, capability in TOKEN_CALLS}
    rules |= {PathRule(_secret_path(item, mount, version)) for item in items}
    leases = tuple(sorted({_credentials_path(item) for item in items if _has_leases(item)}))
    if leases:
        rules |= {PathRule(path, "update", leases) for path, _ in LEASE_CALLS}
    return tuple(sorted(rules))


def render(owner: Owner, rules: Iterable[PathRule]) -> str:
    """Return the policy text of these rights. The same rights give the same text.

    Raises ValueError for a path that cannot be quoted safely, and when the text does not read back as
    what was asked for.
    """
    document = PolicyDocument(owner, tuple(sorted(set(rules))))
    text = _write(document)
    if parse(text) != document:
        raise ValueError(f"the policy of {owner} does not read back as it was meant: it is not written")
    return text


def parse(text: str) -> PolicyDocument | None:
    """Return what a text of `render` says; None for any other text, however small the difference."""
    owner = owner_of(text)
    if owner is None:
        return None
    rules: list[PathRule] = []
    for found in _BLOCK.finditer(text):
        leases = () if found["leases"] is None else _unquote_leases(found["leases"])
        rules.append(PathRule(found["path"], found["capability"], leases))
    document = PolicyDocument(owner, tuple(sorted(set(rules))))
    try:
        same = _write(document) == text
    except ValueError:
        return None
    return document if same else None


def readable(document: PolicyDocument, *, mount: str, version: int) -> frozenset[Readable]:
    """Return the secrets that a policy gives: the other way round of `rules_for`."""
    values = f"{mount}/data/" if version == VERSIONED else f"{mount}/"
    found: set[Readable] = set()
    for rule in document.rules:
        if rule.capability != "read" or rule.path in dict(TOKEN_CALLS):
            continue
        credentials = _CREDENTIALS.fullmatch(rule.path)
        if rule.path.startswith(values):
            found.add(StaticSecret(rule.path.removeprefix(values)))
        elif credentials is not None:
            kind: Literal["Dynamic", "Static"] = "Dynamic" if credentials["calls"] == "creds" else "Static"
            found.add(DynamicCredentials(credentials["engine"], credentials["role"], kind))
        else:
            # A right that is no secret is more than any grant gives.
            found.add(StaticSecret(f"//{rule.path}"))
    return frozenset(found)


def readable_of(
    rules: Iterable[PathRule], among: Iterable[Readable], *, mount: str, version: int
) -> frozenset[Readable]:
    """Return those of some secrets for whose reader these rights suffice."""
    given = {(each.path, each.capability): each.leases for each in rules}

    def covers(needed: PathRule) -> bool:
        leases = given.get((needed.path, needed.capability))
        return leases is not None and set(needed.leases) <= set(leases)

    return frozenset(
        item for item in among if all(covers(needed) for needed in rules_for((item,), mount=mount, version=version))
    )


def owner_of(text: str) -> Owner | None:
    """Return the owner that the first line names, or None. No other line is looked at."""
    first = text.split("\n", 1)[0]
    return Owner.from_mark(first.removeprefix("# ")) if first.startswith("# ") else None


def heading(owner: Owner) -> str:
    """Return the lines before the first right: the mark, and a word to people."""
    return f"# {owner.mark}\n{_NOTE}\n"


def secret_paths(rules: Iterable[PathRule]) -> tuple[str, ...]:
    """Return the paths of the secrets alone, without the calls that every reader needs."""
    calls = {path for path, _ in (*TOKEN_CALLS, *LEASE_CALLS)}
    return tuple(sorted(rule.path for rule in rules if rule.path not in calls))


def quote(path: str) -> str:
    """Return the path as an HCL string that means exactly this one path.

    Raises ValueError for anything that HCL, Vault's path matching or a URL could read in another way:
    characters outside the allow-list, ``.`` and ``..`` segments, empty segments. ``*`` and ``+``, which
    would match other paths as well, are outside the allow-list.
    """
    if _PATH.fullmatch(path) is None:
        raise ValueError(
            f"{path!r} cannot be a path in a policy: write segments of {SEGMENT_CHARACTERS} between single slashes"
        )
    if {".", ".."} & set(path.split("/")):
        raise ValueError(f"{path!r} cannot be a path in a policy: it has . or .. as a segment")
    return f'"{path}"'


def _secret_path(item: Readable, mount: str, version: int) -> str:
    if isinstance(item, StaticSecret):
        return f"{mount}/data/{item.key}" if version == VERSIONED else f"{mount}/{item.key}"
    return _credentials_path(item)


def _has_leases(item: Readable) -> bool:
    return isinstance(item, DynamicCredentials) and item.kind == "Dynamic"


def _credentials_path(item: Readable) -> str:
    if isinstance(item, StaticSecret):
        raise TypeError("a static secret has no credentials path")
    if "/" in item.role:
        raise ValueError(f"{item.role!r} cannot be a role of {item.engine}: it has a slash")
    return f"{item.engine}/{'creds' if item.kind == 'Dynamic' else 'static-creds'}/{item.role}"


def _write(document: PolicyDocument) -> str:
    lines = heading(document.owner).splitlines()
    for rule in document.rules:
        lines += [f"path {quote(rule.path)} {{", f'  capabilities = ["{_capability(rule)}"]']
        if rule.leases:
            leases = ", ".join(_quote_leases(lease) for lease in rule.leases)
            lines += ["  allowed_parameters = {", f'    "lease_id" = [{leases}]', f'    "{_spare(rule)}" = []', "  }"]
        lines += ["}"]
    return "\n".join(lines) + "\n"


def _capability(rule: PathRule) -> str:
    """Return the rule's one capability; a call that takes an id must have the ids fenced."""
    if rule.capability == "read" and not rule.leases:
        return "read"
    calls = {path for path, capability in TOKEN_CALLS if capability == "update"}
    fenced = {path for path, _ in LEASE_CALLS}
    if rule.capability == "update" and rule.path in (fenced if rule.leases else calls):
        return "update"
    raise ValueError(f"a binding's policy never gives {rule.capability!r} on {rule.path!r}")


def _spare(rule: PathRule) -> str:
    """Return the one further parameter of a lease call, which may have any value."""
    return dict(LEASE_CALLS)[rule.path]


def _quote_leases(path: str) -> str:
    """Return the HCL string for every lease below a path: the one place where a glob is written."""
    return quote(path)[:-1] + '/*"'


def _unquote_leases(text: str) -> tuple[str, ...]:
    return tuple(each.removeprefix('"').removesuffix('/*"') for each in text.split(", "))
