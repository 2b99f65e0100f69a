"""Candidates of rotations by Job: staged, handed over, promoted, taken back and removed.

A candidate waits below ``airwarden-pending/`` from before a Job gets it until the store has it as a version, so that no
crash loses a value that a target may have. It is made once: what is staged already is taken again. Values are in local
names, request bodies and the `Handover` alone. Part of `airwarden.providers.vault.rotation.rotator`.
"""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Final

from airwarden.api import GROUP
from airwarden.api.rotation import Generate, Part
from airwarden.api.texts import PENDING
from airwarden.domain.errors import (
    CandidateGone,
    CandidateTaken,
    FieldMissing,
    FieldNotText,
    NoConnectionURI,
    NotRotatable,
    StoreFailed,
    VersionGone,
    VersionMoved,
)
from airwarden.domain.rotation.handover import Handover, Staged, Subject
from airwarden.domain.rotation.values import NoPassword, credentials_of, with_credentials
from airwarden.providers.vault.answers import Answer
from airwarden.providers.vault.client import VaultClient
from airwarden.providers.vault.rotation import reading
from airwarden.providers.vault.transport import Call

FOR_KEY: Final = f"{GROUP}/key"
Fields = Mapping[str, str]


class VaultCandidates:
    """The staged side of one key-value engine of version 2."""

    def __init__(
        self,
        client: VaultClient,
        path: Callable[[str, str], str],
        new_value: Callable[[Generate], Awaitable[str]],
        patch: Callable[[str, Call], Awaitable[Answer]],
    ) -> None:
        self._client = client
        self._path = path
        self._new_value = new_value
        self._patch = patch

    async def hand_over(self, subject: Subject) -> Handover:
        """Return what the Job that changes the target gets; stage a candidate where none is."""
        user, old = _held(subject, await self._fields(subject.key, subject.base))
        staged, at = await self._staged(subject)
        # One that the secret holds already was left by a run whose end was lost: it is no new value.
        new = staged if staged is not None and staged != old else await self._stage(subject, at)
        return Handover(old, new, _turn(subject, user))

    async def stored(self, subject: Subject, version: int) -> Handover:
        """Return what a Job gets that tries the value of a version."""
        user, new = _held(subject, await self._fields(subject.key, version))
        try:
            _, old = _held(subject, await self._fields(subject.key, subject.base))
        except VersionGone:
            old = ""  # a store that keeps few versions has only the one that is tried
        return Handover(old, new, user)

    async def promote(self, subject: Subject) -> int:
        """Write the candidate in place of the base version; return its version, also when it is there already."""
        candidate, _ = await self._staged(subject)
        if candidate is None:
            raise CandidateGone(
                f"the candidate of run {subject.run} is not below {PENDING}/ any more: the target has a value that "
                "nobody knows, or still the old one"
            )
        try:
            fields = await self._fields(subject.key, subject.base)
        except VersionGone:
            if await self._has(subject, candidate):
                return subject.base + 1  # an earlier try of ours, after which the store keeps no base
            raise
        wanted = _changed(subject, fields, candidate)
        return await self._put(subject.key, subject.base, wanted, (wanted[subject.field], candidate))

    async def restore(self, subject: Subject, version: int) -> int:
        """Write the base version's value in place of ``version``; return the version that it then has."""
        fields = await self._fields(subject.key, subject.base)
        names = {subject.field} | ({subject.user_field} if subject.user_field else set())
        wanted = {name: _text(subject, fields, name) for name in sorted(names)}
        return await self._put(subject.key, version, wanted, (wanted[subject.field], _held(subject, fields)[1]))

    async def clear(self, owner: str) -> None:
        """Remove what is staged for a rotation, with all its versions."""
        await self._client.request(Call("DELETE", self._metadata(owner)))

    async def staged(self, cluster: str) -> tuple[Staged, ...]:
        """Return every candidate of a cluster's rotations: names and times, no value."""
        found = []
        for namespace in await self._names(cluster):
            for name in await self._names(f"{cluster}/{namespace}"):
                path = self._metadata(f"{cluster}/{namespace}/{name}")
                answer = await self._client.request(Call("GET", path))
                if not answer.absent:
                    found.append(Staged(namespace, name, _time(answer, path), _subject(answer)))
        return tuple(found)

    async def _has(self, subject: Subject, candidate: str) -> bool:
        """Tell whether the version after the base holds the candidate, and the user whose it is."""
        try:
            user, value = _held(subject, await self._fields(subject.key, subject.base + 1))
        except (VersionGone, NotRotatable):
            return False
        return value == candidate and subject.switch in ("", user)

    async def _put(self, key: str, base: int, wanted: Fields, values: tuple[str, ...]) -> int:
        path = self._path("data", key)
        call = Call("PATCH", path, {"data": dict(wanted), "options": {"cas": base}}, secrets=values)
        try:
            return reading.new_version(await self._patch(key, call), path)
        except VersionMoved as error:
            moved = error
        # An earlier try of ours may have been the one that moved it: then the next version has just this.
        answer = await self._client.request(Call("GET", f"{path}?version={base + 1}"))
        found = answer.data.get("data")
        if answer.absent or not isinstance(found, Mapping) or any(found.get(each) != wanted[each] for each in wanted):
            raise moved
        return base + 1

    async def _fields(self, key: str, version: int) -> Mapping[str, object]:
        path = f"{self._path('data', key)}?version={version}"
        answer = await self._client.request(Call("GET", path))
        found = answer.data.get("data")
        if answer.absent:
            raise VersionGone(f"version {version} of secret {key} is gone: nothing was written")
        if not isinstance(found, Mapping):
            raise StoreFailed(f"Vault answered GET {path} without a secret: is it a Vault?")
        return found

    async def _staged(self, subject: Subject) -> tuple[str | None, int]:
        """Return the value that is staged for the run's field, None when there is none, and the newest version there.

        That is 0 where none was ever, and the deleted one's where it was deleted by hand. Raises CandidateTaken.
        """
        answer = await self._client.request(Call("GET", self._data(subject.owner)))
        metadata = answer.data.get("metadata")
        newest = metadata.get("version") if isinstance(metadata, Mapping) else None
        at = newest if isinstance(newest, int) else 0
        if answer.absent:
            return None, at
        found = answer.data.get("data")
        value = found.get("value") if isinstance(found, Mapping) else None
        if not isinstance(found, Mapping) or not isinstance(value, str) or not value:
            raise StoreFailed(f"Vault answered GET {self._data(subject.owner)} without a candidate")
        if found.get("key") != _named(subject):
            raise CandidateTaken(
                f"what waits below {PENDING}/{subject.owner} is for {found.get('key')}, not for {_named(subject)}: a "
                "target may have it. Delete it there if none has"
            )
        if not isinstance(metadata, Mapping) or not metadata.get("custom_metadata"):
            await self._mark(subject)  # a crash came between the two
        return value, at

    async def _stage(self, subject: Subject, at: int) -> str:
        """Make a candidate and stage it. What was seen there goes for good first: no right reaches to write over it.

        Nothing is deleted where nothing was seen: a network may hold a DELETE back until another try has staged one.
        """
        if at:
            await self.clear(subject.owner)
        value = await self._new_value(subject.generate)
        body = {"data": {"value": value, "key": _named(subject)}, "options": {"cas": 0}}
        await self._client.request(Call("POST", self._data(subject.owner), body, secrets=(value,)))
        await self._mark(subject)
        return value

    async def _mark(self, subject: Subject) -> None:
        """Say in the metadata whose candidate it is, for people: nothing is decided by that."""
        marks = {reading.OWNER: subject.owner, reading.RUN: subject.run, FOR_KEY: _named(subject)}
        await self._client.request(Call("PATCH", self._metadata(subject.owner), {"custom_metadata": marks}))

    async def _names(self, below: str) -> tuple[str, ...]:
        answer = await self._client.request(Call("LIST", self._metadata(below)))
        listed = answer.data.get("keys")
        if answer.absent or not isinstance(listed, list):
            return ()
        return tuple(str(each).removesuffix("/") for each in listed)

    def _data(self, owner: str) -> str:
        return self._below("data", owner)

    def _metadata(self, owner: str) -> str:
        return self._below("metadata", owner)

    def _below(self, kind: str, owner: str) -> str:
        """Return a path of the staged area. It is no key of users: the grammar that refuses it is for theirs."""
        mount = self._path(kind, "x").removesuffix("/x")
        return f"{mount}/{PENDING}/{owner}"


def _named(subject: Subject) -> str:
    return f"{subject.key}#{subject.field}"


def _held(subject: Subject, fields: Mapping[str, object]) -> tuple[str, str]:
    """Return the user, empty where the secret names none, and the value that the secret holds."""
    value = _text(subject, fields, subject.field)
    if subject.part is Part.URI_PASSWORD:
        try:
            return credentials_of(value)
        except NoPassword:
            pass
        raise NoConnectionURI(f"field {subject.field} of secret {subject.key} holds no connection URI with a user")
    return (_text(subject, fields, subject.user_field) if subject.user_field else ""), value


def _text(subject: Subject, fields: Mapping[str, object], name: str) -> str:
    if name not in fields:
        raise FieldMissing(f"secret {subject.key} has no field {name}: a rotation adds none")
    value = fields[name]
    if not isinstance(value, str):
        raise FieldNotText(f"field {name} of secret {subject.key} holds no text")
    return value


def _turn(subject: Subject, user: str) -> str:
    """Return whose value the candidate is: of the one user, or of the one of two that is not in use."""
    if subject.switch or not subject.users:
        return subject.switch or user
    return next(each for each in subject.users if each != user)


def _changed(subject: Subject, fields: Mapping[str, object], candidate: str) -> Fields:
    """Return the fields that the new version has otherwise."""
    if subject.part is Part.URI_PASSWORD:
        uri = _text(subject, fields, subject.field)
        return {subject.field: with_credentials(uri, subject.switch or None, candidate)}
    named = {subject.user_field: subject.switch} if subject.switch else {}
    return {subject.field: candidate, **named}


def _subject(answer: Answer) -> str:
    """Return the key and field that a candidate is marked as made for; empty where a crash came before the mark."""
    marks = answer.data.get("custom_metadata")
    found = marks.get(FOR_KEY) if isinstance(marks, Mapping) else None
    return found if isinstance(found, str) else ""


def _time(answer: Answer, path: str) -> datetime:
    made = reading.versions(answer, path)
    if made is None or made.made is None:
        raise StoreFailed(f"Vault answered {path} without a version: is it a Vault?")
    return made.made
