"""Rotates secrets of one Vault: an implementation of `providers.ports.Rotator`.

Values are in local names and request bodies alone: in no attribute, no exception and its context, no repr, no log.
Only the one field travels, as a merge patch with check-and-set, so that neither another field nor a version that
somebody else made is ever overwritten. Called by `airwarden.reconcile`.
"""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from airwarden.api.rotation import Generate, Part
from airwarden.domain.errors import (
    FieldMissing,
    FieldNotText,
    Forbidden,
    NoConnectionURI,
    NotRotatable,
    NoVersions,
    PasswordPolicyMissing,
    Rejected,
    StoreFailed,
    VersionMoved,
)
from airwarden.domain.rotation.facts import RunMark, SecretFacts, SecretState
from airwarden.domain.rotation.values import NoPassword, generate, with_password
from airwarden.providers.ports import Candidates
from airwarden.providers.vault import policy
from airwarden.providers.vault.answers import Answer
from airwarden.providers.vault.client import VaultClient
from airwarden.providers.vault.rotation import reading
from airwarden.providers.vault.rotation.candidates import VaultCandidates
from airwarden.providers.vault.rotation.roles import VaultRoles
from airwarden.providers.vault.store import key_grammar
from airwarden.providers.vault.transport import Call

_NO_POLICY: Final = "policy does not exist"
READ_OPTION: Final = "--rotation-read"
POLICY_OPTION: Final = "--password-policy"


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the Vault the secrets are."""

    backend: str
    mount: str
    version: int


class VaultRotator:
    """Writes new values to one key-value engine, with a login of its own."""

    def __init__(self, client: VaultClient, place: Place) -> None:
        self.client = client
        self.settings: object = (client.connection, place)
        self.roles = VaultRoles(client, place.backend)
        self._place = place
        self._grammar = key_grammar(place.version)
        self.candidates: Candidates = VaultCandidates(client, self._path, self._new_value, self._patch)

    async def look(self, key: str) -> SecretFacts:
        """Ask for versions and names of fields: two requests, and no value."""
        path = self._path("metadata", key)
        found = reading.versions(await self.client.request(Call("GET", path)), path)
        if found is None or found.current == 0:
            return SecretFacts(SecretState.ABSENT)
        asked = self._subkeys(key, found.current)
        answer = await self.client.request(asked)
        # Vault itself says whether the version is deleted: a time of deletion may also lie ahead.
        state = reading.state(answer)
        if state is SecretState.ABSENT:
            return SecretFacts(state)
        names = frozenset(reading.fields(answer, asked.what)) if state is SecretState.PRESENT else frozenset()
        return SecretFacts(state, found.current, found.made, names, found.mark, found.kept)

    async def write(self, key: str, field: str, part: Part, generate: Generate, base: int) -> int:
        """Write a new value in place of version ``base``, and return the version that it has."""
        path = self._path("data", key)
        await self._refuse_unfit(key, field, base)
        made = await self._new_value(generate)
        value = made if part is Part.VALUE else await self._new_uri(key, field, base, made)
        hidden = (value,) if part is Part.VALUE else (value, made, quote(made, safe=""))
        body = {"data": {field: value}, "options": {"cas": base}}
        answer = await self._patch(key, Call("PATCH", path, body, secrets=hidden))
        return reading.new_version(answer, path)

    async def mark(self, key: str, mark: RunMark, keep_versions: int | None) -> None:
        """Note the run in the secret's metadata, beside what others keep there."""
        body: dict[str, object] = {"custom_metadata": reading.mark_fields(mark)}
        if keep_versions is not None:
            body["max_versions"] = keep_versions
        await self._patch(key, Call("PATCH", self._path("metadata", key), body))

    async def close(self) -> None:
        """Revoke the login and close all connections."""
        await self.client.close()

    async def _patch(self, key: str, call: Call) -> Answer:
        """Send a merge patch. Raises VersionMoved when there is no such secret any more."""
        try:
            answer = await self.client.request(call)
        except StoreFailed as error:
            failure = error
        else:
            if not answer.absent:
                return answer
            raise self._gone(key)
        # Vault answers the patch of what is not there without a word, as what stands before it may: so it is asked.
        if (await self.look(key)).state is SecretState.ABSENT:
            raise self._gone(key)
        raise failure

    async def _refuse_unfit(self, key: str, field: str, base: int) -> None:
        """Raise unless version ``base`` is there and has the field, and no object in it."""
        asked = self._subkeys(key, base)
        answer = await self.client.request(asked)
        if answer.absent:
            raise self._gone(key)
        found = reading.fields(answer, asked.what)
        if field not in found:
            raise FieldMissing(
                f"secret {key} has no field {field}: a rotation adds none. Its fields are {_listed(found)}"
            )
        if found[field]:
            raise FieldNotText(f"field {field} of secret {key} holds an object, which a new value would put an end to")

    async def _new_value(self, wanted: Generate) -> str:
        if not wanted.password_policy:
            return generate(wanted.length, wanted.characters)
        path = f"sys/policies/password/{wanted.password_policy}/generate"
        try:
            answer = await self._granted(Call("GET", path), f"{POLICY_OPTION} {wanted.password_policy}")
        except Rejected as error:
            if _NO_POLICY not in error.message:
                raise
            answer = Answer(absent=True)
        if answer.absent:
            raise PasswordPolicyMissing(f"Vault has no password policy {wanted.password_policy}: correct its name")
        value = answer.data.get("password")
        if not isinstance(value, str) or not value:
            raise StoreFailed(f"Vault answered GET {path} without a password: is it a Vault?")
        return value

    async def _new_uri(self, key: str, field: str, base: int, password: str) -> str:
        """Return the connection URI in the field of version ``base`` with another password."""
        path = f"{self._path('data', key)}?version={base}"
        answer = await self._granted(Call("GET", path), READ_OPTION)
        if answer.absent:
            raise self._gone(key)
        fields = answer.data.get("data")
        old = fields.get(field) if isinstance(fields, dict) else None
        if not isinstance(old, str):
            raise FieldNotText(f"field {field} of secret {key} holds no text, so no connection URI")
        with suppress(NoPassword):
            return with_password(old, password)
        raise NoConnectionURI(f"field {field} of secret {key} holds no connection URI with a user")

    async def _granted(self, call: Call, option: str) -> Answer:
        """Send a request that vault-setup permits only when asked to. Raises Forbidden, naming the option."""
        try:
            return await self.client.request(call)
        except Forbidden as error:
            message = error.message
        raise Forbidden(f"{message} with {option}")

    def _subkeys(self, key: str, version: int) -> Call:
        return Call("GET", f"{self._path('subkeys', key)}?version={version}")

    def _path(self, kind: str, key: str) -> str:
        """Return a path of the engine. Raises NoVersions for an engine of version 1, NotRotatable for no key."""
        place = self._place
        if place.version != policy.VERSIONED:
            raise NoVersions(
                f"mount {place.mount} of backend {place.backend} is a key-value engine of version {place.version}: it "
                "cannot tell whether somebody else wrote meanwhile. Move the secret to an engine of version 2"
            )
        if (complaint := self._grammar.complaint(key)) is not None:
            raise NotRotatable(complaint)  # hvac does not quote paths
        return f"{place.mount}/{kind}/{key}"

    def _gone(self, key: str) -> VersionMoved:
        where = f"mount {self._place.mount} of backend {self._place.backend}"
        return VersionMoved(f"secret {key} was deleted meanwhile from {where}: nothing was written")


def _listed(fields: Iterable[str]) -> str:
    names = sorted(fields)
    return ", ".join(names[:8]) + (", …" if len(names) > 8 else "") if names else "none"
