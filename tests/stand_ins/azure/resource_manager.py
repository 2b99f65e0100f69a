"""Azure Resource Manager's door: who asks, how often, for which version of which provider.

Every request passes here before a provider (`assignments.py`, `identities.py`, …) sees it, and gets the headers
that say how much of the limit is left.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from stand_ins.azure.authorization import Caller
from stand_ins.azure.limits import DELETES, GLOBAL_FACTOR, READS, WRITES, Rate, too_many
from stand_ins.azure.messages import Answer, Json, Refused, Request
from stand_ins.azure.tokens import BadToken, Tokens
from stand_ins.azure.world import World, require_subscription, subscription_of


@dataclass(frozen=True)
class Call:
    """A request that has passed the door."""

    request: Request
    caller: Caller
    parts: Mapping[str, str]
    """The named parts of the path."""

    @property
    def scope(self) -> str:
        """The scope that the path begins with, beginning with a slash."""
        return self.parts["scope"] or "/"


Provider = Callable[[Call], Answer]


@dataclass(frozen=True)
class Route:
    """A path, the versions that it has, and who answers."""

    pattern: re.Pattern[str]
    versions: frozenset[str]
    type: str
    """Of the resource, for words."""
    methods: Mapping[str, Provider]
    flat_errors: bool = False
    """Whether errors are `{code, message}` without an outer `error`."""


def route(
    pattern: str, versions: Collection[str], kind: str, *, flat_errors: bool = False, **methods: Provider
) -> Route:
    """Return a route; the pattern takes the whole path without regard to case."""
    named = {name.upper(): provider for name, provider in methods.items()}
    return Route(re.compile(pattern, re.IGNORECASE), frozenset(versions), kind, named, flat_errors)


class ResourceManager:
    """Answers for management.azure.com."""

    def __init__(self, world: World, tokens: Tokens, audiences: Collection[str]) -> None:
        self._world, self._tokens, self._audiences = world, tokens, audiences
        self.routes: list[Route] = []
        self.rates: dict[str, Rate] = {"reads": READS, "writes": WRITES, "deletes": DELETES}
        self.throttled: dict[str, float] = {}
        """Subscriptions that answer 429, in lower case, and until when."""

    def answer(self, request: Request) -> Answer:
        """Answer one request."""
        flat, headers = False, {"x-ms-request-id": str(uuid.uuid4()), "x-ms-correlation-request-id": str(uuid.uuid4())}
        try:
            caller = self._caller(request)
            headers |= self._limit(request, caller)
            found, parts = self._find(request)
            flat = found.flat_errors
            answer = self._provider(request, found)(Call(request, caller, parts))
        except Refused as refused:
            return _refusal(refused, headers, flat=flat)
        return Answer(answer.status, answer.body, {**headers, **answer.headers})

    def _caller(self, request: Request) -> Caller:
        try:
            caller = self._tokens.check(request.headers.get("authorization", ""), self._audiences)
        except BadToken as bad:
            raise _unauthenticated(bad.why, self._world.tenant) from None
        return caller

    def _limit(self, request: Request, caller: Caller) -> dict[str, str]:
        kind = {"GET": "reads", "HEAD": "reads", "DELETE": "deletes"}.get(request.method, "writes")
        subscription = subscription_of(request.path)
        place = "subscription" if subscription else "tenant"
        left_over = self.throttled.get(subscription, 0.0) - self._world.clock.now()
        if left_over > 0:
            raise too_many(left_over)
        rate = self.rates[kind]
        whole = Rate(rate.capacity * GLOBAL_FACTOR, rate.per_second * GLOBAL_FACTOR)
        left = self._world.buckets.take((kind, subscription, caller.object_id), rate)
        all_left = self._world.buckets.take((kind, subscription), whole)
        return {
            f"x-ms-ratelimit-remaining-{place}-{kind}": str(left),
            f"x-ms-ratelimit-remaining-{place}-global-{kind}": str(all_left),
        }

    def _find(self, request: Request) -> tuple[Route, Mapping[str, str]]:
        path = request.path.rstrip("/")
        for each in self.routes:
            match = each.pattern.fullmatch(path)
            if match:
                return each, {name: value or "" for name, value in match.groupdict().items()}
        raise Refused(404, "InvalidResourceType", f"The stand-in for Azure does not have '{path}'.")

    def _provider(self, request: Request, found: Route) -> Provider:
        self._require_version(request, found)
        provider = found.methods.get(request.method)
        if provider is None:
            words = f"The requested resource does not support http method '{request.method}'."
            raise Refused(405, "MethodNotAllowed", words)
        require_subscription(self._world, request.path)
        return provider

    def _require_version(self, request: Request, found: Route) -> None:
        version = request.query.get("api-version", "")
        if not version:
            raise Refused(
                400,
                "MissingApiVersionParameter",
                "The api-version query parameter (?api-version=) is required for all requests.",
            )
        if version not in found.versions:
            supported = ", ".join(sorted(found.versions))
            raise Refused(
                400,
                "InvalidResourceType" if found.flat_errors else "NoRegisteredProviderFound",
                f"No registered resource provider found for API version '{version}' for type '{found.type}'. "
                f"The supported api-versions are '{supported}'.",
            )


def page(request: Request, items: Sequence[Json], size: int) -> Json:
    """Return one page of a list, with a link to the next that holds all that the first request asked for.

    The link says after which id the next page begins, so that what is deleted in between shifts nothing.
    """
    after = request.query.get("$skiptoken", request.query.get("$skipToken", ""))
    ordered = sorted(items, key=lambda each: str(each["id"]).lower())
    rest = [each for each in ordered if str(each["id"]).lower() > after.lower()] if after else ordered
    body: Json = {"value": rest[:size]}
    if len(rest) > size:
        query = {name: value for name, value in request.query.items() if name.lower() != "$skiptoken"}
        query["$skiptoken"] = str(rest[size - 1]["id"])
        body["nextLink"] = f"{request.origin}{quote(request.path)}?{urlencode(query)}"
    return body


def _refusal(refused: Refused, headers: Mapping[str, str], *, flat: bool) -> Answer:
    error: Json = {"code": refused.code, "message": refused.message}
    body = error if flat else {"error": error}
    return Answer(refused.status, body, {**headers, "x-ms-failure-cause": "gateway", **refused.headers})


def _unauthenticated(why: str, tenant: str) -> Refused:
    said = {
        "missing": ("AuthenticationFailed", "Authentication failed. The 'Authorization' header is missing."),
        "malformed": ("InvalidAuthenticationToken", "The access token is invalid."),
        "tenant": ("InvalidAuthenticationTokenTenant", "The access token is from the wrong issuer."),
        "expired": ("ExpiredAuthenticationToken", "The access token expiry UTC time is earlier than current UTC time."),
        "audience": (
            "InvalidAuthenticationTokenAudience",
            "The access token has been obtained for wrong audience or resource.",
        ),
    }
    code, message = said[why]
    challenge = f'Bearer authorization_uri="https://login.microsoftonline.com/{tenant}", error="invalid_token"'
    return Refused(401, code, message, headers={"WWW-Authenticate": challenge})
