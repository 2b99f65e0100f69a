"""Microsoft.ManagedIdentity: user-assigned identities and their federated credentials.

Writes of the credentials of one identity must follow one another, and slowly: whoever sends two at once gets
409 for the second, whoever sends them too fast gets 429, as does whoever writes too much in one subscription.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from stand_ins.azure.authorization import require
from stand_ins.azure.limits import CREDENTIAL_WRITES, IDENTITY_WRITES, Rate
from stand_ins.azure.messages import Answer, Json, Refused
from stand_ins.azure.resource_manager import Call, Route, page, route
from stand_ins.azure.world import Credential, Identity, World, require_group

_TYPE = "Microsoft.ManagedIdentity/userAssignedIdentities"
_CHILD = f"{_TYPE}/federatedIdentityCredentials"
_VERSIONS = ("2018-11-30", "2023-01-31", "2024-11-30", "2026-05-31")
_CREDENTIAL_VERSIONS = ("2023-01-31", "2024-11-30", "2026-05-31")
_GROUP = r"(?P<scope>/subscriptions/(?P<subscription>[^/]+)/resourcegroups/(?P<group>[^/]+))"
_PROVIDER = r"/providers/microsoft\.managedidentity/userassignedidentities"
CREDENTIAL_PATH = re.compile(
    rf"(?P<identity>{_GROUP}{_PROVIDER}/[^/]+)/federatedidentitycredentials/[^/]+", re.IGNORECASE
)
"""What `server.py` holds for a moment, so that two writes at once can be seen."""
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_-]{2,127}")
_CREDENTIAL_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_-]{2,119}")
_LONGEST = 600


class Identities:
    """The provider."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.credential_writes: Rate = CREDENTIAL_WRITES
        self.identity_writes: Rate = IDENTITY_WRITES

    def routes(self) -> Sequence[Route]:
        """Return what it answers."""
        one, child = rf"{_GROUP}{_PROVIDER}/(?P<name>[^/]+)", r"/federatedidentitycredentials"
        everywhere = rf"(?P<scope>/subscriptions/(?P<subscription>[^/]+)){_PROVIDER}"
        return (
            route(everywhere, _VERSIONS, _TYPE, get=self._list),
            route(rf"{_GROUP}{_PROVIDER}", _VERSIONS, _TYPE, get=self._list),
            route(one, _VERSIONS, _TYPE, get=self._get, put=self._put, patch=self._patch, delete=self._delete),
            route(rf"{one}{child}", _CREDENTIAL_VERSIONS, _CHILD, get=self._list_credentials),
            route(
                rf"{one}{child}/(?P<credential>[^/]+)",
                _CREDENTIAL_VERSIONS,
                _CHILD,
                get=self._get_credential,
                put=self._put_credential,
                delete=self._delete_credential,
            ),
        )

    def add(self, subscription: str, group: str, name: str, location: str) -> Identity:
        """Make an identity and its service principal."""
        client_id = str(uuid.uuid4())
        principal = self._world.directory.add("ServicePrincipal", name, self._world.clock.now(), client_id)
        identity = Identity(name, subscription, group, location, principal.id, client_id)
        self._world.identities[identity.id.lower()] = identity
        return identity

    def remove(self, identity: Identity) -> None:
        """Delete an identity with its service principal and its credentials."""
        del self._world.identities[identity.id.lower()]
        self._world.directory.remove(identity.principal_id)

    def _allow(self, call: Call, kind: str, verb: str) -> None:
        require(self._world, call.caller, f"{kind}/{verb}", call.request.path)
        require_group(self._world, call.request.path)

    def _list(self, call: Call) -> Answer:
        self._allow(call, _TYPE, "read")
        under = f"{call.scope.lower()}/"
        all_shown = self._world.identity_history.listed(self._world.identities, self._world.delays.lists)
        found = [_shown(each, self._world) for each in all_shown if each.id.lower().startswith(under)]
        return Answer(200, page(call.request, found, self._world.page_size))

    def _find(self, call: Call) -> Identity | None:
        return self._world.identities.get(_key(call))

    def _require(self, call: Call, found: Identity | None) -> Identity:
        if found is None:
            raise _not_found(f"{_TYPE}/{call.parts['name']}", call.parts["group"])
        return found

    def _get(self, call: Call) -> Answer:
        self._allow(call, _TYPE, "read")
        history, lag = self._world.identity_history, self._world.delays.reads
        return Answer(200, _shown(self._require(call, history.shown(_key(call), self._find(call), lag)), self._world))

    def _put(self, call: Call) -> Answer:
        self._allow(call, _TYPE, "write")
        body, name = call.request.json(), call.parts["name"]
        if not _NAME.fullmatch(name):
            raise Refused(400, "InvalidResourceName", f"Resource name {name} is invalid.")
        location = body.get("location")
        if not isinstance(location, str) or not location:
            raise Refused(400, "LocationRequired", "The location property is required for this definition.")
        self._pace_subscription(call)
        found = self._find(call)
        status = 200 if found else 201
        self._note(_key(call), found)
        if found is None:
            found = self.add(call.parts["subscription"], call.parts["group"], name, location)
        elif found.location.lower() != location.lower():
            raise Refused(
                409,
                "InvalidResourceLocation",
                f"The resource '{name}' already exists in location '{found.location}' in resource group "
                f"'{found.group}'. A resource with the same name cannot be created in location '{location}'.",
            )
        found.tags = dict(body.get("tags") or {})
        found.isolation = str((body.get("properties") or {}).get("isolationScope", "None"))
        return Answer(status, _shown(found, self._world))

    def _patch(self, call: Call) -> Answer:
        self._allow(call, _TYPE, "write")
        self._pace_subscription(call)
        found, body = self._require(call, self._find(call)), call.request.json()
        self._note(_key(call), found)
        if "tags" in body:
            found.tags = dict(body["tags"] or {})
        return Answer(200, _shown(found, self._world))

    def _delete(self, call: Call) -> Answer:
        self._allow(call, _TYPE, "delete")
        self._pace_subscription(call)
        found = self._find(call)
        if found is None:
            return Answer(204)
        self._note(_key(call), found)
        self.remove(found)
        return Answer(200)

    def _parent(self, call: Call) -> Identity:
        found = self._find(call)
        if found is None:
            raise Refused(
                404,
                "ParentResourceNotFound",
                f"Failed to perform '{call.request.method.lower()}' on resource(s) of type "
                f"'userAssignedIdentities/federatedIdentityCredentials', because the parent resource "
                f"'{call.request.path.rsplit('/', 2)[0]}' could not be found.",
            )
        return found

    def _list_credentials(self, call: Call) -> Answer:
        self._allow(call, _CHILD, "read")
        parent = self._parent(call)
        present = {_credential_key(parent, name): each for name, each in parent.credentials.items()}
        listed = self._world.credential_history.listed(present, self._world.delays.lists, f"{parent.id.lower()}/")
        found = [_credential(parent, each) for each in listed]
        return Answer(200, page(call.request, found, self._world.page_size))

    def _get_credential(self, call: Call) -> Answer:
        self._allow(call, _CHILD, "read")
        parent = self._parent(call)
        name = call.parts["credential"].lower()
        history, lag = self._world.credential_history, self._world.delays.reads
        found = history.shown(_credential_key(parent, name), parent.credentials.get(name), lag)
        if found is None:
            raise _not_found(f"{_CHILD}/{parent.name}/{call.parts['credential']}", parent.group)
        return Answer(200, _credential(parent, found))

    def _put_credential(self, call: Call) -> Answer:
        self._allow(call, _CHILD, "write")
        parent = self._parent(call)
        wanted = _wanted(call.parts["credential"], call.request.json().get("properties") or {})
        self._pace(call, parent)
        present = parent.credentials.get(wanted.name.lower())
        for other in parent.credentials.values():
            if other is not present and (other.issuer, other.subject) == (wanted.issuer, wanted.subject):
                raise _bad("Issuer and subject combination already exists for this Managed Identity.")
        if present is None and len(parent.credentials) >= self._world.quotas.credentials:
            raise _bad(
                f"Too many Federated Identity Credentials: the managed identity '{parent.id}' has reached the limit of "
                f"{self._world.quotas.credentials}."
            )
        effective = self._world.clock.now() + self._world.delays.credentials
        stored = Credential(
            present.name if present else wanted.name, wanted.issuer, wanted.subject, wanted.audiences, effective
        )
        if present and (present.issuer, present.subject, present.audiences) == (
            stored.issuer,
            stored.subject,
            stored.audiences,
        ):
            stored = present
        self._world.credential_history.note(_credential_key(parent, wanted.name), present)
        parent.credentials[wanted.name.lower()] = stored
        return Answer(200 if present else 201, _credential(parent, stored))

    def _delete_credential(self, call: Call) -> Answer:
        self._allow(call, _CHILD, "delete")
        parent = self._parent(call)
        self._pace(call, parent)
        gone = parent.credentials.pop(call.parts["credential"].lower(), None)
        self._world.credential_history.note(_credential_key(parent, call.parts["credential"]), gone)
        return Answer(204 if gone is None else 200)

    def _pace(self, call: Call, parent: Identity) -> None:
        self._pace_subscription(call)
        self._world.buckets.take(("credentials", parent.id.lower()), self.credential_writes)

    def _pace_subscription(self, call: Call) -> None:
        self._world.buckets.take(("identities", call.parts["subscription"].lower()), self.identity_writes)

    def _note(self, key: str, before: Identity | None) -> None:
        self._world.identity_history.note(key, replace(before, tags=dict(before.tags)) if before else None)


def _key(call: Call) -> str:
    parts = call.parts
    group = f"/subscriptions/{parts['subscription']}/resourcegroups/{parts['group']}"
    return f"{group}/providers/{_TYPE}/{parts['name']}".lower()


def _credential_key(parent: Identity, name: str) -> str:
    return f"{parent.id}/{name}".lower()


def concurrent(identity: str) -> Refused:
    """Return the refusal of a second write at the same time."""
    return Refused(
        409,
        "ConcurrentFederatedIdentityCredentialsWritesForSingleManagedIdentity",
        f"Too many Federated Identity Credentials are written concurrently for the managed identity '{identity}'. "
        "Concurrent Federated Identity Credentials writes under the same managed identity are not supported.",
    )


def _wanted(name: str, properties: Mapping[str, Any]) -> Credential:
    if not _CREDENTIAL_NAME.fullmatch(name):
        raise _bad(f"The name '{name}' of the Federated Identity Credential is invalid.")
    issuer, subject, audiences = (properties.get(key) for key in ("issuer", "subject", "audiences"))
    if not (isinstance(issuer, str) and issuer and isinstance(subject, str) and subject and audiences):
        raise _bad(
            "The request format was unexpected. Federated Identity Credential must specify 'issuer', 'subject' and "
            "'audience'."
        )
    if not isinstance(audiences, list) or len(audiences) != 1 or not isinstance(audiences[0], str):
        raise _bad(
            "The request format was unexpected. Federated Identity Credential must specify exactly one audience."
        )
    if not issuer.startswith("https://"):
        raise _bad(f"The issuer '{issuer}' of the Federated Identity Credential is not an https URL.")
    if any(len(each) > _LONGEST for each in (issuer, subject, audiences[0])):
        raise _bad(f"The issuer, subject and audience may have {_LONGEST} characters each.")
    return Credential(name, issuer, subject, (audiences[0],), 0.0)


def _bad(message: str) -> Refused:
    return Refused(400, "BadRequest", message)


def _not_found(what: str, group: str) -> Refused:
    return Refused(404, "ResourceNotFound", f"The Resource '{what}' under resource group '{group}' was not found.")


def _shown(identity: Identity, world: World) -> Json:
    return {
        "id": identity.id,
        "name": identity.name,
        "type": _TYPE,
        "location": identity.location,
        "tags": identity.tags,
        "properties": {
            "tenantId": world.tenant,
            "principalId": identity.principal_id,
            "clientId": identity.client_id,
            "isolationScope": identity.isolation,
        },
    }


def _credential(parent: Identity, credential: Credential) -> Json:
    return {
        "id": f"{parent.id}/federatedIdentityCredentials/{credential.name}",
        "name": credential.name,
        "type": _CHILD,
        "properties": {
            "issuer": credential.issuer,
            "subject": credential.subject,
            "audiences": list(credential.audiences),
        },
    }
