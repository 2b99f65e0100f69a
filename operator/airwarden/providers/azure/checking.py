"""What a check of an Azure backend finds: the vault, the rights of the login, and how full the quotas are.

Called by `airwarden.providers.azure.store` for the backend's probe.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from azure.core.rest import HttpRequest

from airwarden.api.azure import Scope
from airwarden.api.reasons import Reason
from airwarden.domain.errors import Forbidden, OfAPart, Rejected, StoreFailed
from airwarden.providers.azure.answers import NotSeen
from airwarden.providers.azure.arm import Arm
from airwarden.providers.azure.ceilings import Ceilings, coarse
from airwarden.providers.azure.identities import MOST_CREDENTIALS, Identities
from airwarden.providers.azure.rights import needed, permitted
from airwarden.providers.azure.seen import State
from airwarden.providers.azure.vault import KeyVault, VaultMissing
from airwarden.providers.ports import Health, Note

_SELDOM: Final = 300.0
"""Seconds between two looks at rights and quotas."""
_NEAR: Final = 0.8


class Checks:
    """What is asked at each check, and what only now and then."""

    def __init__(
        self, arm: Arm, vault: KeyVault, ceilings: Ceilings, identities: Identities, clock: Callable[[], float]
    ) -> None:
        self._arm = arm
        self._place = ceilings.place
        self._vault = vault
        self._ceilings = ceilings
        self._identities = identities
        self._clock = clock
        self._asked: float | None = None
        self._missing: dict[str, tuple[str, ...]] = {}
        """What the login lacks, by scope, as far as it could be asked."""

    async def check(self) -> Health:
        """Return what was found. Raises for a vault that is missing, soft-deleted or not in RBAC mode."""
        try:
            state = await self._vault.look()
        except VaultMissing:
            self._asked = None  # the operator's own role at it went with it, and does not come back with it
            raise
        await self._vault.require_rbac()
        if self._asked is None or self._clock() - self._asked > _SELDOM:
            all_asked = await self._ask_for_rights()
            self._ceilings.counted(await self._usage())
            self._asked = self._clock() if all_asked and not any(self._missing.values()) else None
        return Health(
            self._place.vault_id,
            "",
            tuple(each for missing in self._missing.values() for each in missing),
            ("Static",),
            remedy="grant what airwarden azure-setup prints",
            caveat=_WHOLE if self._place.scope is Scope.VAULT else "",
            notes=tuple(self._notes(state)),
        )

    def _notes(self, state: State) -> Iterable[Note]:
        if state.restricted:
            said = f"vault {self._place.vault_name}: {state.restricted}. See that the pods' network is let in"
            yield Note("NetworkRestricted", Reason.NETWORK_RESTRICTED, said)
        near = []
        used = self._ceilings.used
        if used is not None and used[0] >= _NEAR * used[1]:
            near.append(f"subscription {self._place.subscription} has {coarse(*used)} role assignments")
        for identity, held in sorted(self._identities.held.items()):
            if len(held) >= _NEAR * MOST_CREDENTIALS:
                near.append(f"identity {identity} has {len(held)} of {MOST_CREDENTIALS} federated credentials")
        if near:
            yield Note("QuotaNear", Reason.QUOTA_NEAR, "; ".join(near))

    async def _ask_for_rights(self) -> bool:
        """Compare what the login may do; False where the identities' side could not be asked: that is as it was."""
        for scope, actions in needed(self._place).items():
            here = scope == self._place.vault_id
            try:
                held = await self._permissions(scope, self._place.side if here else self._place.identity_side)
            except (OfAPart, StoreFailed):
                if here:
                    raise
                return False
            lacking = [each for each in actions if held is not None and not permitted(each, held)]
            self._missing[scope] = tuple(f"{each} at {scope}" for each in lacking)
        return True

    async def _permissions(self, scope: str, side: str) -> list[Mapping[str, Any]] | None:
        """Return what the login may do at a scope; None where that cannot be asked: the first write then tells."""
        path = f"{scope}/providers/Microsoft.Authorization/permissions?api-version=2022-04-01"
        try:
            body = await self._arm.send(side, HttpRequest("GET", path), "asking for the login's rights")
        except (Forbidden, NotSeen, Rejected):
            return None
        return list(body.get("value") or ())

    async def _usage(self) -> tuple[int, int] | None:
        path = (
            f"/subscriptions/{self._place.subscription}/providers/Microsoft.Authorization/roleAssignmentsUsageMetrics"
            "?api-version=2019-08-01-preview"
        )
        try:
            body = await self._arm.send(self._place.side, HttpRequest("GET", path), "counting role assignments")
        except (Forbidden, NotSeen, Rejected):
            return None
        return int(body.get("roleAssignmentsCurrentCount") or 0), int(body.get("roleAssignmentsLimit") or 4000)


_WHOLE: Final = "the role is assigned for the whole vault: each binding can read every secret in it"
