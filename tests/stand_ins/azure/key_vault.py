"""The data plane of Key Vault: secrets, for whom a role assignment lets read or write them.

A request without a good token is sent to the token endpoint (401 with a challenge). Then come the vault's
firewall, the caller's roles, and last whether there is such a secret: a stranger does not learn that.
"""

from __future__ import annotations

import re
import uuid

from stand_ins.azure.authorization import Caller, data_allowed
from stand_ins.azure.limits import VAULT_READS, Rate
from stand_ins.azure.messages import Answer, Json, Refused, Request, Vanished
from stand_ins.azure.roles import GET_SECRET, READ_METADATA, SET_SECRET
from stand_ins.azure.tokens import BadToken, Tokens
from stand_ins.azure.world import Vault, Version, World

_VERSIONS = re.compile(r"7\.[0-6]|2025-07-01|2026-04-01|\d{4}-\d\d-\d\d-preview")
_NAME = re.compile(r"[0-9a-zA-Z-]{1,127}")
_PATH = re.compile(r"/secrets(?:/(?P<name>[^/]+)(?:/(?P<version>[^/]*))?)?/?")
_LONGEST = 25 * 1024


class KeyVault:
    """Answers for NAME.vault.azure.net."""

    def __init__(self, world: World, tokens: Tokens, authority: str) -> None:
        self._world, self._tokens, self._authority = world, tokens, authority
        self.rate: Rate = VAULT_READS
        self.audiences = {"https://vault.azure.net"}

    def answer(self, request: Request) -> Answer:
        """Answer one request to a vault."""
        vault = self._world.vaults.get(request.vault)
        if vault is None or vault.deleted is not None:
            raise Vanished(request.vault)
        region = {"x-ms-keyvault-region": vault.location, "x-ms-request-id": str(uuid.uuid4())}
        try:
            answer = self._answer(vault, request)
        except Refused as refused:
            error: Json = {"code": refused.code, "message": refused.message}
            if refused.inner:
                error["innererror"] = {"code": refused.inner}
            return Answer(refused.status, {"error": error}, {**region, **refused.headers})
        return Answer(answer.status, answer.body, {**region, **answer.headers})

    def _answer(self, vault: Vault, request: Request) -> Answer:
        caller = self._caller(request)
        self._pace(vault)
        version = request.query.get("api-version", "")
        if not _VERSIONS.fullmatch(version):
            raise Refused(
                400,
                "BadParameter",
                f"The specified version ({version}) is not recognized. Consider using the latest supported version.",
            )
        if not vault.public:
            raise Refused(
                403,
                "Forbidden",
                "Public network access is disabled and request is not from a trusted service nor via an approved "
                "private link.",
                inner="ForbiddenByConnection",
            )
        if vault.firewalled:
            raise Refused(
                403,
                "Forbidden",
                "Client address is not authorized and caller is not a trusted service.",
                inner="ForbiddenByFirewall",
            )
        path = _PATH.fullmatch(request.path)
        if path is None or request.method not in {"GET", "PUT"}:
            raise Refused(501, "NotInTheStandIn", f"The stand-in for Key Vault has no {request.method} {request.path}.")
        name = path.group("name")
        if name is None:
            return self._list(vault, caller, request)
        if not _NAME.fullmatch(name):
            raise Refused(400, "BadParameter", f"The request URI contains an invalid name: {name}")
        if request.method == "PUT":
            return self._put(vault, caller, name, request)
        if path.group("version") == "versions":
            return self._list_versions(vault, caller, name)
        return self._get(vault, caller, name, path.group("version") or "")

    def _pace(self, vault: Vault) -> None:
        try:
            self._world.buckets.take(("vault", vault.name.lower()), self.rate)
        except Refused as refused:
            reason = "Reason: VaultRequestTypeLimitReached"
            words = f"Request was not processed because too many requests were received. {reason}"
            raise Refused(429, "Throttled", words, headers=refused.headers) from None

    def _caller(self, request: Request) -> Caller:
        said = {
            "missing": "AKV10000: Request is missing a Bearer or PoP token.",
            "malformed": "AKV10027: Error validating token: the signature is invalid.",
            "tenant": "AKV10032: Invalid issuer.",
            "expired": "AKV10045: Error validating token: the token has expired.",
            "audience": "AKV10022: Invalid audience. Expected https://vault.azure.net.",
        }
        try:
            return self._tokens.check(request.headers.get("authorization", ""), self.audiences)
        except BadToken as bad:
            challenge = (
                f'Bearer authorization="{self._authority}/{self._world.tenant}", resource="https://vault.azure.net"'
            )
            raise Refused(401, "Unauthorized", said[bad.why], headers={"WWW-Authenticate": challenge}) from None

    def _allow(self, vault: Vault, caller: Caller, action: str, name: str = "") -> None:
        scope = f"{vault.id}/secrets/{name}" if name else vault.id
        who = f"appid={caller.app_id};oid={caller.object_id};iss={self._tokens.issuer}"
        if not vault.rbac:
            verb = {GET_SECRET: "get", SET_SECRET: "set", READ_METADATA: "list"}[action]
            raise Refused(
                403,
                "Forbidden",
                f"The user, group or application '{who}' does not have secrets {verb} permission on key vault "
                f"'{vault.name};location={vault.location}'.",
                inner="AccessDenied",
            )
        if data_allowed(self._world, caller.object_id, action, scope):
            return
        raise Refused(
            403,
            "Forbidden",
            "Caller is not authorized to perform action on resource.\r\nIf role assignments, deny assignments or role "
            "definitions were changed recently, please observe propagation time.\r\n"
            f"Caller: {who}\r\nAction: '{action}'\r\nResource: '{scope.lower()}'\r\nAssignment: (not found)\r\n"
            f"DenyAssignmentId: null\r\nDecisionReason: 'DeniedWithNoValidRBAC' \r\n"
            f"Vault: {vault.name};location={vault.location}\r\n",
            inner="ForbiddenByRbac",
        )

    def _get(self, vault: Vault, caller: Caller, name: str, version: str) -> Answer:
        self._allow(vault, caller, GET_SECRET, name)
        versions = vault.secrets.get(name.lower(), [])
        found = versions[-1:] if not version else [each for each in versions if each.id == version]
        if not found:
            what = f"{name}/{version}" if version else name
            raise Refused(
                404,
                "SecretNotFound",
                f"A secret with (name/id) {what} was not found in this key vault. If you recently deleted this secret "
                "you may be able to recover it using the correct recovery command.",
            )
        if not found[0].enabled:
            raise Refused(
                403, "Forbidden", "Operation get is not allowed on a disabled secret.", inner="SecretDisabled"
            )
        # A secret before and after its time is handed out: the dates are for the reader to look at.
        return Answer(200, {"value": found[0].value, **_shown(vault, name, found[0])})

    def _put(self, vault: Vault, caller: Caller, name: str, request: Request) -> Answer:
        self._allow(vault, caller, SET_SECRET, name)
        body = request.json()
        value, attributes = body.get("value"), body.get("attributes") or {}
        if not isinstance(value, str) or len(value.encode()) > _LONGEST:
            raise Refused(400, "BadParameter", "The value of the secret is missing or longer than 25 KB.")
        version = Version(
            uuid.uuid4().hex,
            value,
            self._world.clock.now(),
            enabled=bool(attributes.get("enabled", True)),
            not_before=attributes.get("nbf"),
            expires=attributes.get("exp"),
        )
        vault.secrets.setdefault(name.lower(), []).append(version)
        return Answer(200, {"value": value, **_shown(vault, name, version)})

    def _list(self, vault: Vault, caller: Caller, request: Request) -> Answer:
        self._allow(vault, caller, READ_METADATA)
        after, size = request.query.get("$skiptoken", ""), int(request.query.get("maxresults", self._world.page_size))
        names = sorted(name for name in vault.secrets if name > after)
        items = []
        for name in names[:size]:
            shown = _shown(vault, name, vault.secrets[name][-1])
            items.append({**shown, "id": f"{vault.url}/secrets/{name}"})
        link = None
        if len(names) > size:
            version, last = request.query["api-version"], names[size - 1]
            link = f"{request.origin}/secrets?api-version={version}&$skiptoken={last}&maxresults={size}"
        return Answer(200, {"value": items, "nextLink": link})

    def _list_versions(self, vault: Vault, caller: Caller, name: str) -> Answer:
        self._allow(vault, caller, READ_METADATA, name)
        versions = sorted(vault.secrets.get(name.lower(), []), key=lambda each: each.id)
        return Answer(200, {"value": [_shown(vault, name, each) for each in versions], "nextLink": None})


def _shown(vault: Vault, name: str, version: Version) -> Json:
    attributes: Json = {
        "enabled": version.enabled,
        "created": int(version.created),
        "updated": int(version.created),
        "recoveryLevel": "Recoverable+Purgeable",
        "recoverableDays": 90,
    }
    if version.not_before is not None:
        attributes["nbf"] = int(version.not_before)
    if version.expires is not None:
        attributes["exp"] = int(version.expires)
    return {"id": f"{vault.url}/secrets/{name}/{version.id}", "attributes": attributes, "tags": {}}
