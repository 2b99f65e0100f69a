"""User-assigned identities and their federated credentials: who a task is in Entra.

Azure wants the writes under one identity one after another and seconds apart: a lock and a line for each. Called by
`airwarden.providers.azure.store`.
"""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from azure.mgmt.msi.models import FederatedIdentityCredential, Identity, IdentityUpdate

from airwarden.api.reasons import Reason
from airwarden.domain.errors import AirwardenError, InvalidSettings, NotOwned, StoreFailed
from airwarden.domain.owner import PREFIX
from airwarden.providers.azure.answers import REFUSED, GroupMissing, QuotaReached, ResourceMissing
from airwarden.providers.azure.arm import Arm
from airwarden.providers.azure.connection import Place
from airwarden.providers.azure.marks import read_tags
from airwarden.providers.azure.pacing import Line, take_turn
from airwarden.providers.azure.shared_list import LAG, SharedList

AUDIENCE: Final = "api://AzureADTokenExchange"
MOST_CREDENTIALS: Final = 20
"""Federated credentials that one identity can have."""
_PER_IDENTITY: Final = 4.5
_PER_SUBSCRIPTION: Final = 0.5
"""Seconds between two writes."""


class NotYet(AirwardenError):
    """The write has to wait for its turn, which is kept for it. That says nothing of the store."""

    reason = Reason.PENDING


class IdentityNotFound(InvalidSettings):
    """The identity that the backend names is not there."""

    reason = Reason.IDENTITY_NOT_FOUND


@dataclass(frozen=True, slots=True)
class Known:
    """An identity as Azure shows it."""

    name: str
    id: str
    principal: str
    client: str
    tags: dict[str, str]

    @classmethod
    def of(cls, found: Any) -> "Known":
        """Read what Azure's client returns."""
        return cls(
            str(found.name),
            str(found.id),
            str(found.principal_id).lower(),
            str(found.client_id).lower(),
            dict(found.tags or {}),
        )


@dataclass(frozen=True, slots=True)
class Credential:
    """A federated credential: whose tokens an identity takes for its own."""

    name: str
    issuer: str
    subject: str
    audiences: tuple[str, ...]

    @property
    def namespace(self) -> str:
        """Whose account the tokens are of; empty where the subject is none of Kubernetes."""
        parts = self.subject.split(":")
        return parts[2] if len(parts) == 4 and parts[:2] == ["system", "serviceaccount"] else ""

    @classmethod
    def of(cls, found: Any) -> "Credential":
        """Read what Azure's client returns."""
        return cls(str(found.name), str(found.issuer), str(found.subject), tuple(found.audiences or ()))


def of_another(wanted: Credential, present: Iterable[Credential]) -> Credential | None:
    """Return a credential by which another account of this cluster, or any binding's, logs in as the same identity.

    What an administrator gave to tokens of other issuers is theirs to know.
    """
    for each in present:
        of_a_binding = each.name.startswith(f"{PREFIX}-") and each.name != wanted.name
        if of_a_binding or (each.issuer == wanted.issuer and each.subject != wanted.subject):
            return each
    return None


def two_accounts(other: Credential) -> str:
    """Return what to say of a credential that `of_another` returned."""
    return (
        f"credential {other.name} of the same identity lets {other.subject} log in as it, and two accounts would read "
        "each other's secrets: name another identity for one of them, or remove that credential"
    )


class Recent:
    """The credentials that were written a moment ago, which Azure's lists may not show yet."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._noted: dict[tuple[str, str], tuple[float, Credential | None, bool]] = {}

    def note(self, identity: str, name: str, credential: Credential | None, *, doubtful: bool = False) -> None:
        """Remember what was written, None for what was removed; ``doubtful`` where there is no answer yet."""
        now = self._clock()
        self._noted = {key: each for key, each in self._noted.items() if now - each[0] < LAG}
        self._noted[identity, name] = (now, credential, doubtful)

    def over(self, identity: str, listed: dict[str, Credential]) -> dict[str, Credential]:
        """Return an identity's credentials, as a list shows them and as they were written since."""
        found = dict(listed)
        for (where, name), (at, credential, doubtful) in self._noted.items():
            if where != identity or self._clock() - at >= LAG or (doubtful and name in found):
                continue
            found.pop(name, None)
            if credential is not None:
                found[name] = credential
        return found


class Identities:
    """The identities of one resource group."""

    def __init__(self, arm: Arm, place: Place, clock: Callable[[], float]) -> None:
        self._arm = arm
        self._place = place
        self._clock = clock
        self._list = SharedList(self._fetch, clock)
        self._last: dict[str, Known] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._lines: dict[str, Line] = {}
        self._recent = Recent(clock)
        self._writes = Line(_PER_SUBSCRIPTION, clock, burst=2)
        self.held: dict[str, tuple[Credential, ...]] = {}
        """What credentials an identity had when it was last looked at, by its name in lower case."""

    async def all(self, age: float) -> list[Known]:
        """Return the identities, from a list at most ``age`` seconds old."""
        return list((await self._list.items(age)).values())

    def seen(self) -> list[Known]:
        """Return the identities as they were last listed, without a request."""
        return list(self._list.seen().values())

    async def find(self, name: str, age: float) -> Known | None:
        """Return one identity; None when there is none."""
        found = (await self._list.items(age)).get(name.lower())
        if found is None and self._list.doubts(name.lower()):
            found = await self.live(name)
            if found is None and self._list.doubts(name.lower(), LAG):
                raise StoreFailed(
                    f"whether identity {name} was made is not known yet: there was no answer", retry_after=LAG
                )
        if found is None:
            self._last.pop(name.lower(), None)
            self.held.pop(name.lower(), None)
        else:
            self._last[name.lower()] = found
        return found

    async def live(self, name: str) -> Known | None:
        """Return one identity as it is now, whatever the lists show."""
        try:
            found = await self._call(
                f"reading identity {name}",
                lambda: self._client.user_assigned_identities.get(self._place.identity_group, name),
            )
        except ResourceMissing:
            return None
        return self._note(Known.of(found))

    def last(self, name: str) -> Known | None:
        """Return an identity as it was when it was last looked at or written, without a request."""
        return self._last.get(name.lower())

    async def make(self, name: str, tags: dict[str, str]) -> Known:
        """Make an identity."""
        self._take_turn(name, namespace=_namespace_of(tags))
        body = Identity(location=self._place.location, tags=tags)
        self._list.trying(name.lower())
        try:
            made = await self._send(
                name,
                f"making identity {name}",
                lambda: self._client.user_assigned_identities.create_or_update(self._place.identity_group, name, body),
            )
        except REFUSED:
            self._list.settled(name.lower())
            raise
        return self._note(Known.of(made))

    async def tag(self, known: Known, tags: dict[str, str]) -> Known:
        """Give an identity its tags again, beside those of others."""
        self._take_turn(known.name, namespace=_namespace_of(tags))
        body = IdentityUpdate(tags={**known.tags, **tags})
        changed = await self._send(
            known.name,
            f"tagging identity {known.name}",
            lambda: self._client.user_assigned_identities.update(self._place.identity_group, known.name, body),
        )
        return self._note(Known.of(changed))

    async def remove(self, name: str) -> None:
        """Remove an identity; nothing happens where there is none."""
        last = self._last.get(name.lower())
        self._take_turn(name, namespace=_namespace_of(last.tags) if last is not None else "", ahead=True)
        await self._send(
            name,
            f"removing identity {name}",
            lambda: self._client.user_assigned_identities.delete(self._place.identity_group, name),
        )
        self._list.note(name.lower(), None)
        self._list.settled(name.lower())
        self._last.pop(name.lower(), None)
        self.held.pop(name.lower(), None)

    async def credentials(self, identity: str) -> tuple[Credential, ...]:
        """Return the credentials of an identity; none where the identity is gone."""
        group = self._place.identity_group
        try:
            found = await self._arm.listed(
                self._place.identity_side,
                f"listing the credentials of identity {identity}",
                lambda: self._client.federated_identity_credentials.list(group, identity),
            )
        except ResourceMissing:
            self.held.pop(identity.lower(), None)
            return ()
        present = self._recent.over(identity.lower(), {each.name: each for each in map(Credential.of, found)})
        self.held[identity.lower()] = tuple(present.values())
        return self.held[identity.lower()]

    async def federate(self, identity: str, wanted: Credential) -> None:
        """Make or correct a credential, and read it back. Raises QuotaReached before Azure would refuse a 21st."""
        group = self._place.identity_group
        async with self._alone(identity):
            present = await self.credentials(identity)
            if wanted in present:
                return
            if all(each.name != wanted.name for each in present) and len(present) >= MOST_CREDENTIALS:
                raise QuotaReached(
                    f"identity {identity} has {len(present)} federated credentials, and Azure permits "
                    f"{MOST_CREDENTIALS}: remove one that nobody uses, or name another identity"
                )
            same = [each for each in present if (each.issuer, each.subject) == (wanted.issuer, wanted.subject)]
            if any(each.name != wanted.name for each in same):
                raise NotOwned(
                    f"credential {same[0].name} of identity {identity} is for this account already and was not made by "
                    "this binding: remove it, and Airwarden makes its own"
                )
            if (other := of_another(wanted, present)) is not None:
                raise NotOwned(two_accounts(other))
            self._take_turn(wanted.name, identity, wanted.namespace)
            body = FederatedIdentityCredential(
                issuer=wanted.issuer, subject=wanted.subject, audiences=list(wanted.audiences)
            )
            doing = f"making credential {wanted.name} of identity {identity}"
            self._recent.note(identity.lower(), wanted.name, Credential(wanted.name, "", "", ()), doubtful=True)
            await self._send(
                wanted.name,
                doing,
                lambda: self._client.federated_identity_credentials.create_or_update(
                    group, identity, wanted.name, body
                ),
                identity,
            )
            if await self._credential(identity, wanted.name) != wanted:
                raise StoreFailed(f"{doing}: written, and Azure does not show it yet", retry_after=5.0)
            self._recent.note(identity.lower(), wanted.name, wanted)

    async def _credential(self, identity: str, name: str) -> Credential | None:
        group = self._place.identity_group
        try:
            found = await self._call(
                f"reading credential {name} of identity {identity}",
                lambda: self._client.federated_identity_credentials.get(group, identity, name),
            )
        except ResourceMissing:
            return None
        return Credential.of(found)

    async def unfederate(self, identity: str, name: str) -> None:
        """Remove a credential; nothing happens where there is none, or no identity."""
        async with self._alone(identity):
            going = next((each for each in await self.credentials(identity) if each.name == name), None)
            if going is None:
                return
            self._take_turn(name, identity, going.namespace, ahead=True)
            await self._send(
                name,
                f"removing credential {name} of identity {identity}",
                lambda: self._client.federated_identity_credentials.delete(self._place.identity_group, identity, name),
                identity,
            )
            self._recent.note(identity.lower(), name, None)

    @property
    def _client(self) -> Any:
        return self._arm.identities(self._place.identity_subscription)

    async def _call(self, doing: str, work: Callable[[], Any]) -> Any:
        return await self._arm.call(self._place.identity_side, doing, work)

    async def _send(self, who: str, doing: str, work: Callable[[], Any], identity: str = "") -> Any:
        """Do a write whose turn it is. The next is counted from when Azure has this one, and not from when it left."""
        try:
            return await self._call(doing, work)
        finally:
            for each in self._lines_of(identity):
                each.take(who)

    def _lines_of(self, identity: str) -> list[Line]:
        if not identity:
            return [self._writes]
        return [self._writes, self._lines.setdefault(identity, Line(_PER_IDENTITY, self._clock))]

    def _alone(self, identity: str) -> asyncio.Lock:
        return self._locks.setdefault(identity, asyncio.Lock())

    def _take_turn(self, who: str, identity: str = "", namespace: str = "", *, ahead: bool = False) -> None:
        """Raise NotYet unless it is this write's turn: in the subscription, and at its identity."""
        if (wait := take_turn(who, self._lines_of(identity), namespace, ahead=ahead)) > 0:
            raise NotYet(f"the write of {who} waits for its turn: Azure wants such writes apart", retry_after=wait)

    def _note(self, known: Known) -> Known:
        self._list.note(known.name.lower(), known)
        self._last[known.name.lower()] = known
        return known

    async def _fetch(self) -> dict[str, Known]:
        group = self._place.identity_group
        try:
            found = await self._arm.listed(
                self._place.identity_side,
                f"listing the identities of resource group {group}",
                lambda: self._client.user_assigned_identities.list_by_resource_group(group),
            )
        except GroupMissing:
            return {}
        return {str(each.name).lower(): Known.of(each) for each in found}


def _namespace_of(tags: dict[str, str]) -> str:
    mark = read_tags(tags)
    return mark.owner.namespace if mark is not None else ""
