"""What one binding asks of an environment, read from the object as the API server sent it.

Of thousands of bindings only this is kept beside their text, so that a map is rendered without reading them all again.
Used by `airwarden.reconcile.cache`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from airwarden.api.binding import AccountMode
from airwarden.api.dags import DagClaim
from airwarden.api.fields import moment
from airwarden.domain.environment.claims import Claimant, Key


@dataclass(frozen=True, slots=True)
class Asked:
    """One binding, as far as an environment is concerned."""

    environment: Key
    """Namespace and name of the environment that it names."""
    claimant: Claimant
    """What it claims. A suspended one claims no more than it has."""
    in_force: Mapping[str, frozenset[str]]
    """DAG ids by bundle that its status says are in force: its account is there, and all that a task needs."""
    external: bool
    """The account is not ours."""
    backends: frozenset[str]
    """Whose stores its own secrets lie in."""
    ends: datetime | None = None
    """When its access ends."""
    declared: tuple[DagClaim, ...] = ()
    """What its spec claims, suspended or not."""
    created: str = ""
    """When it was made, as the API server writes times."""

    @classmethod
    def read(cls, body: Mapping[str, Any]) -> "Asked | None":
        """Return what a binding asks; None when it names no environment, goes, or cannot be read."""
        metadata, spec = body["metadata"], body.get("spec") or {}
        named = spec.get("environmentRef")
        if not named or metadata.get("deletionTimestamp"):
            return None
        try:
            account = spec["serviceAccount"]
            in_force = _in_force(body.get("status") or {}, named)
            declared = tuple(DagClaim.model_validate(each) for each in spec.get("dags") or ())
            claims = within(declared, in_force) if spec.get("suspend") else declared
            ends = (spec.get("access") or {}).get("notAfter")
            return cls(
                (named["namespace"], named["name"]),
                Claimant((metadata["namespace"], metadata["name"]), account["name"], claims),
                in_force,
                account.get("mode") == AccountMode.EXTERNAL,
                frozenset(each["backendRef"]["name"] for each in spec["secrets"]),
                moment(ends) if ends else None,
                declared,
                str(metadata.get("creationTimestamp") or ""),
            )
        except (ValidationError, ValueError, KeyError, TypeError, AttributeError):
            # It does not hold to its schema, and says so itself: nothing runs under its account meanwhile.
            return None


def within(claims: Iterable[DagClaim], in_force: Mapping[str, frozenset[str]]) -> tuple[DagClaim, ...]:
    """Return the part of some claims that those in force cover."""
    kept = {
        claim.bundle: tuple(ids for ids in claim.ids if _covered(ids, in_force.get(claim.bundle, frozenset())))
        for claim in claims
    }
    return tuple(DagClaim(bundle=bundle, ids=ids) for bundle, ids in kept.items() if ids)


def _in_force(status: Mapping[str, Any], named: Mapping[str, Any]) -> dict[str, frozenset[str]]:
    identity = status.get("identity") or {}
    if identity.get("environment") != f"{named['namespace']}/{named['name']}":
        return {}
    return {each["bundle"]: frozenset(each.get("ids") or ()) for each in identity.get("dags") or ()}


def _covered(ids: str, others: frozenset[str]) -> bool:
    return ids in others or any(each.endswith("*") and ids.startswith(each[:-1]) for each in others)
