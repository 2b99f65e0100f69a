"""The token endpoint of Entra and the metadata endpoint of a machine: who may have a token, and for what.

Client credentials only: a federated token, a certificate's assertion or a client secret. A managed identity has
neither secret nor certificate, an application no federated credential here.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Collection
from urllib.parse import parse_qsl

from stand_ins.azure.assertions import Assertions, aadsts
from stand_ins.azure.authorization import Caller
from stand_ins.azure.directory import Application, digest
from stand_ins.azure.messages import Answer, Json, Refused, Request
from stand_ins.azure.tokens import Tokens
from stand_ins.azure.world import Identity, World

_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

_OPENID = {"openid", "offline_access", "profile", "email"}
"""Asked for beside the resource by some clients, and without meaning to one that is no person."""


class Entra:
    """Answers for login.microsoftonline.com and for 169.254.169.254."""

    def __init__(self, world: World, tokens: Tokens, assertions: Assertions) -> None:
        self._world, self._tokens, self._assertions = world, tokens, assertions
        self.resources: set[str] = set()
        """What a token may be asked for: the services' own addresses, without a slash at the end."""

    def answer(self, request: Request) -> Answer:
        """Answer one request to the authority."""
        parts = request.path.strip("/").split("/")
        if parts == ["common", "discovery", "instance"] and request.method == "GET":
            return Answer(200, self._clouds(request))
        try:
            tenant = self._tenant(parts[0])
            rest = "/".join(parts[1:])
            if rest == "v2.0/.well-known/openid-configuration" and request.method == "GET":
                return Answer(200, self._configuration(request, tenant))
            if rest == "oauth2/v2.0/token" and request.method == "POST":
                return Answer(200, self._token(request), {"Cache-Control": "no-store, no-cache"})
        except Refused as refused:
            return self._refusal(refused)
        return Answer(
            404, {"error": "invalid_request", "error_description": "no such page of the stand-in's authority"}
        )

    def metadata(self, request: Request) -> Answer:
        """Answer one request to the metadata endpoint."""
        if request.path != "/metadata/identity/oauth2/token" or request.method != "GET":
            return Answer(404, {"error": "not_found"})
        if request.headers.get("metadata", "").lower() != "true":
            return Answer(
                400, {"error": "bad_request_102", "error_description": "Required metadata header not specified"}
            )
        identity = self._attached(request.query.get("client_id", ""))
        if identity is None:
            return Answer(400, {"error": "invalid_request", "error_description": "Identity not found"})
        resource = request.query.get("resource", "")
        if resource.rstrip("/") not in self.resources:
            return Answer(
                400, {"error": "invalid_resource", "error_description": f"AADSTS500011: {resource} was not found"}
            )
        issued = self._tokens.issue(Caller(identity.principal_id, identity.client_id), resource)
        expires = int(self._world.clock.now()) + int(issued["expires_in"])
        body = {**issued, "expires_in": str(issued["expires_in"]), "expires_on": str(expires)}
        return Answer(200, {**body, "resource": resource, "client_id": identity.client_id})

    def _attached(self, client_id: str) -> Identity | None:
        found = [self._world.identities[each] for each in self._world.attached if each in self._world.identities]
        if client_id:
            return next((each for each in found if each.client_id == client_id.lower()), None)
        return found[0] if len(found) == 1 else None

    def _tenant(self, text: str) -> str:
        if text.lower() != self._world.tenant:
            raise aadsts(
                90002,
                "invalid_request",
                f"Tenant '{text}' not found. Check to make sure you have the correct tenant ID.",
            )
        return text

    def _clouds(self, request: Request) -> Json:
        """Say which hosts are one cloud, for clients that ask before they trust an authority."""
        host = request.origin.partition("//")[2]
        cloud = {"preferred_network": host, "preferred_cache": host, "aliases": [host]}
        page = f"{request.origin}/{self._world.tenant}/v2.0/.well-known/openid-configuration"
        return {"tenant_discovery_endpoint": page, "api-version": "1.1", "metadata": [cloud]}

    def _configuration(self, request: Request, tenant: str) -> Json:
        base = f"{request.origin}/{tenant}"
        return {
            "token_endpoint": f"{base}/oauth2/v2.0/token",
            "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
            "device_authorization_endpoint": f"{base}/oauth2/v2.0/devicecode",
            "issuer": f"{base}/v2.0",
            "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt"],
        }

    def _token(self, request: Request) -> Json:
        form = dict(parse_qsl(request.body.decode(), keep_blank_values=True))
        if form.get("grant_type") != "client_credentials":
            raise aadsts(
                70003,
                "unsupported_grant_type",
                f"The app requested an unsupported grant type '{form.get('grant_type')}'.",
            )
        audience = audience_of(form.get("scope", ""), self.resources)
        client_id = form.get("client_id", "").lower()
        application = self._world.directory.applications.get(client_id)
        identity = self._world.identity_of(client_id)
        if application is not None:
            self._application_login(application, form, request)
            return self._tokens.issue(Caller(application.principal_id, client_id), audience)
        if identity is not None:
            self._identity_login(identity, form)
            return self._tokens.issue(Caller(identity.principal_id, client_id), audience)
        raise aadsts(
            700016,
            "unauthorized_client",
            f"Application with identifier '{form.get('client_id')}' was not found in the directory "
            f"'{self._world.tenant}'. This can happen if the application has not been installed by the administrator.",
        )

    def _identity_login(self, identity: Identity, form: Json) -> None:
        if form.get("client_assertion_type") != _BEARER or not form.get("client_assertion"):
            raise aadsts(
                7000218,
                "invalid_client",
                "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.",
                status=401,
            )
        now = self._world.clock.now()
        known = [each for each in identity.credentials.values() if each.effective <= now]
        self._assertions.federated(form["client_assertion"], known, now)

    def _application_login(self, application: Application, form: Json, request: Request) -> None:
        now = self._world.clock.now()
        if form.get("client_assertion_type") == _BEARER and form.get("client_assertion"):
            base = f"{request.origin}/{self._world.tenant}"
            audiences = (f"{base}/oauth2/v2.0/token", f"{base}/v2.0")
            self._assertions.signed_by_certificate(form["client_assertion"], application, audiences, now)
            return
        ends = application.secrets.get(digest(form.get("client_secret", "")))
        if "client_secret" not in form:
            raise aadsts(
                7000218,
                "invalid_client",
                "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.",
                status=401,
            )
        if ends is None:
            raise aadsts(
                7000215,
                "invalid_client",
                "Invalid client secret provided. Ensure the secret being sent in the request is the client secret "
                f"value, not the client secret ID, for a secret added to app '{application.app_id}'.",
                status=401,
            )
        if ends <= now:
            raise aadsts(
                7000222,
                "invalid_client",
                f"The provided client secret keys for app '{application.app_id}' are expired.",
                status=401,
            )

    def _refusal(self, refused: Refused) -> Answer:
        now = dt.datetime.fromtimestamp(self._world.clock.now(), dt.UTC).strftime("%Y-%m-%d %H:%M:%SZ")
        trace, correlation = str(uuid.uuid4()), str(uuid.uuid4())
        words = f"{refused.message} Trace ID: {trace} Correlation ID: {correlation} Timestamp: {now}"
        body = {
            "error": refused.inner,
            "error_description": words,
            "error_codes": [int(refused.code)],
            "timestamp": now,
            "trace_id": trace,
            "correlation_id": correlation,
            "error_uri": f"https://login.microsoftonline.com/error?code={refused.code}",
        }
        return Answer(refused.status, body, refused.headers)


def audience_of(scope: str, resources: Collection[str]) -> str:
    """Return the resource of a scope; Entra's refusal when it is no `/.default`, or of nobody."""
    words = [each for each in scope.split() if each not in _OPENID]
    if len(words) != 1 or not words[0].endswith("/.default"):
        raise aadsts(
            1002012,
            "invalid_scope",
            f"The provided value for scope {scope} is not valid. Client credential flows must have a scope value with "
            "/.default suffixed to the resource identifier (application ID URI).",
        )
    resource = words[0].removesuffix("/.default")
    if resource.rstrip("/") not in resources:
        raise aadsts(
            500011, "invalid_resource", f"The resource principal named {resource} was not found in the tenant."
        )
    return resource
