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
    external: bool
    """The account is not ours."""
    backends: frozenset[str]
    """Whose stores its own secrets lie in."""
    ends: datetime | None = None
    """When its access ends."""

    @classmethod
    def read(cls, body: Mapping[str, Any]) -> "Asked | None":
        """Return what a binding asks; None when it names no environment, goes, or cannot be read."""
        metadata, spec = body["metadata"], body.get("spec") or {}
        named = spec.get("environmentRef")
        if not named or metadata.get("deletionTimestamp"):
            return None
        try:
            account = spec["serviceAccount"]
            claims = tuple(DagClaim.model_validate(each) for each in spec.get("dags") or ())
            if spec.get("suspend"):
                claims = _had(claims, body.get("status") or {}, named)
            ends = (spec.get("access") or {}).get("notAfter")
            return cls(
                (named["namespace"], named["name"]),
                Claimant((metadata["namespace"], metadata["name"]), account["name"], claims),
                account.get("mode") == AccountMode.EXTERNAL,
                frozenset(each["backendRef"]["name"] for each in spec["secrets"]),
                moment(ends) if ends else None,
            )
        except (ValidationError, ValueError, KeyError, TypeError, AttributeError):
            # It does not hold to its schema, and says so itself: nothing runs under its account meanwhile.
            return None


def _had(claims: Iterable[DagClaim], status: Mapping[str, Any], named: Mapping[str, Any]) -> tuple[DagClaim, ...]:
    """Return the part of the claims that the status records as in force."""
    identity = status.get("identity") or {}
    if identity.get("environment") != f"{named['namespace']}/{named['name']}":
        return ()
    held = {each["bundle"]: frozenset(each.get("ids") or ()) for each in identity.get("dags") or ()}
    kept = {claim.bundle: tuple(ids for ids in claim.ids if ids in held.get(claim.bundle, ())) for claim in claims}
    return tuple(DagClaim(bundle=bundle, ids=ids) for bundle, ids in kept.items() if ids)
