"""Microsoft Graph v1.0: groups, service principals and who is a member of what, as far as Airwarden asks.

Its known gap is here too: the members of a group are listed without its service principals, so without managed
identities; and without the right to read an object, only its type and id are shown.
"""

from __future__ import annotations

import datetime as dt
import re
import uuid
from collections.abc import Callable, Collection, Mapping

from stand_ins.azure.authorization import Caller
from stand_ins.azure.directory import Principal
from stand_ins.azure.messages import Answer, Json, Refused, Request, is_guid
from stand_ins.azure.tokens import BadToken, Tokens
from stand_ins.azure.world import World

GROUP_READ, GROUP_WRITE, APPLICATION_READ = "GroupMember.Read.All", "GroupMember.ReadWrite.All", "Application.Read.All"
_READS: Mapping[str, Collection[str]] = {
    "Group": (GROUP_READ, GROUP_WRITE, "Group.Read.All", "Directory.Read.All"),
    "ServicePrincipal": (APPLICATION_READ, "Directory.Read.All"),
    "Application": (APPLICATION_READ, "Directory.Read.All"),
    "User": ("User.Read.All", "Directory.Read.All"),
}
_FILTER = re.compile(r"displayName eq '((?:[^']|'')*)'")
_MOST_CHECKED = 20
_MOST_IDS = 1000
_Handler = Callable[[Request, Caller, re.Match[str]], Answer]


class Graph:
    """Answers for graph.microsoft.com."""

    def __init__(self, world: World, tokens: Tokens, audiences: Collection[str]) -> None:
        self._world, self._tokens, self._audiences = world, tokens, audiences
        table: tuple[tuple[str, str, _Handler], ...] = (
            ("GET", r"/groups", self._find_groups),
            ("GET", r"/groups/(?P<id>[^/]+)", self._one),
            ("GET", r"/groups/(?P<id>[^/]+)/members", self._members),
            ("POST", r"/groups/(?P<id>[^/]+)/members/\$ref", self._join),
            ("DELETE", r"/groups/(?P<id>[^/]+)/members/(?P<member>[^/]+)/\$ref", self._leave),
            ("GET", r"/servicePrincipals\(appId='(?P<app>[^']+)'\)", self._by_app),
            ("GET", r"/servicePrincipals/(?P<id>[^/]+)", self._one),
            ("GET", r"/servicePrincipals/(?P<id>[^/]+)/(?P<how>memberOf|transitiveMemberOf)", self._member_of),
            ("POST", r"/servicePrincipals/(?P<id>[^/]+)/checkMemberGroups", self._check),
            ("POST", r"/directoryObjects/getByIds", self._by_ids),
        )
        self._table = [(method, re.compile(rf"/v1\.0{path}"), handler) for method, path, handler in table]

    def answer(self, request: Request) -> Answer:
        """Answer one request."""
        try:
            return self._dispatch(request, self._caller(request))
        except Refused as refused:
            now = dt.datetime.fromtimestamp(self._world.clock.now(), dt.UTC).strftime("%Y-%m-%dT%H:%M:%S")
            inner = {"date": now, "request-id": str(uuid.uuid4()), "client-request-id": str(uuid.uuid4())}
            error = {"code": refused.code, "message": refused.message, "innerError": inner}
            return Answer(refused.status, {"error": error}, refused.headers)

    def _dispatch(self, request: Request, caller: Caller) -> Answer:
        for method, pattern, handler in self._table:
            match = pattern.fullmatch(request.path)
            if match and method == request.method:
                return handler(request, caller, match)
        raise Refused(400, "BadRequest", f"The stand-in for Graph has no {request.method} {request.path}.")

    def _caller(self, request: Request) -> Caller:
        try:
            return self._tokens.check(request.headers.get("authorization", ""), self._audiences)
        except BadToken as bad:
            said = {
                "missing": "Access token is empty.",
                "malformed": "Access token validation failure.",
                "tenant": "Access token validation failure. Invalid issuer.",
                "expired": "Lifetime validation failed, the token is expired.",
                "audience": "Access token validation failure. Invalid audience.",
            }
            raise Refused(
                401, "InvalidAuthenticationToken", said[bad.why], headers={"WWW-Authenticate": "Bearer"}
            ) from None

    def _may(self, caller: Caller, wanted: Collection[str]) -> bool:
        return bool(self._world.directory.graph_roles.get(caller.object_id, set()) & set(wanted))

    def _allow(self, caller: Caller, wanted: Collection[str]) -> None:
        if not self._may(caller, wanted):
            raise Refused(403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation.")

    def _require(self, object_id: str, kind: str = "") -> Principal:
        if not is_guid(object_id):
            raise Refused(400, "Request_BadRequest", f"Invalid object identifier '{object_id}'.")
        found = self._world.directory.find(object_id)
        if found is None or (kind and found.kind != kind):
            raise Refused(
                404,
                "Request_ResourceNotFound",
                f"Resource '{object_id}' does not exist or one of its queried reference-property objects are not "
                "present.",
            )
        return found

    def _one(self, request: Request, caller: Caller, match: re.Match[str]) -> Answer:
        kind = "Group" if "/groups/" in request.path else "ServicePrincipal"
        self._allow(caller, _READS[kind])
        found = self._require(match.group("id"), kind)
        body = _selected(_shown(found), request)
        if request.query.get("$expand") == "members":
            body["members"] = [self._shown_to(caller, each) for each in self._members_of(found.id)]
        return Answer(200, body)

    def _find_groups(self, request: Request, caller: Caller, _match: re.Match[str]) -> Answer:
        self._allow(caller, _READS["Group"])
        wanted = _FILTER.fullmatch(request.query.get("$filter", ""))
        if request.query.get("$filter") and wanted is None:
            raise Refused(
                400, "Request_UnsupportedQuery", "The stand-in for Graph filters groups by displayName alone."
            )
        name = wanted.group(1).replace("''", "'") if wanted else None
        groups = [each for each in self._world.directory.principals.values() if each.kind == "Group"]
        found = [each for each in groups if name is None or each.name == name]
        return self._page(request, [_selected(_shown(each), request) for each in found])

    def _members_of(self, group: str) -> list[Principal]:
        members = (self._world.directory.find(each) for each in self._world.directory.members[group])
        return [each for each in members if each is not None]

    def _members(self, request: Request, caller: Caller, match: re.Match[str]) -> Answer:
        self._allow(caller, _READS["Group"])
        group = self._require(match.group("id"), "Group")
        listed = [each for each in self._members_of(group.id) if each.kind != "ServicePrincipal"]
        return self._page(request, [self._shown_to(caller, each) for each in listed])

    def _by_app(self, request: Request, caller: Caller, match: re.Match[str]) -> Answer:
        self._allow(caller, _READS["ServicePrincipal"])
        found = self._world.directory.service_principal(match.group("app"))
        if found is None:
            self._require(self._world.fresh_guid())
        return Answer(200, _selected(_shown(found), request) if found else {})

    def _member_of(self, request: Request, caller: Caller, match: re.Match[str]) -> Answer:
        self._allow(caller, _READS["ServicePrincipal"])
        found = self._require(match.group("id"), "ServicePrincipal")
        groups = self._world.directory.groups_of(found.id, nested=match.group("how") == "transitiveMemberOf")
        return self._page(request, [self._shown_to(caller, self._require(each)) for each in groups])

    def _check(self, request: Request, caller: Caller, match: re.Match[str]) -> Answer:
        self._allow(caller, _READS["ServicePrincipal"])
        found = self._require(match.group("id"), "ServicePrincipal")
        asked = [str(each).lower() for each in request.json().get("groupIds", [])]
        if len(asked) > _MOST_CHECKED:
            raise Refused(400, "Request_BadRequest", f"At most {_MOST_CHECKED} groups can be checked in one request.")
        held = self._world.directory.groups_of(found.id)
        return Answer(200, {"value": [each for each in asked if each in held]})

    def _by_ids(self, request: Request, caller: Caller, _match: re.Match[str]) -> Answer:
        body = request.json()
        ids, types = body.get("ids", []), {str(each).lower() for each in body.get("types", [])}
        if len(ids) > _MOST_IDS:
            raise Refused(400, "Request_BadRequest", f"At most {_MOST_IDS} ids can be asked for in one request.")
        if not any(self._may(caller, wanted) for wanted in _READS.values()):
            self._allow(caller, ())
        found = [self._world.directory.find(str(each)) for each in ids]
        shown = [each for each in found if each is not None and (not types or each.kind.lower() in types)]
        return Answer(200, {"value": [self._shown_to(caller, each) for each in shown]})

    def _join(self, request: Request, caller: Caller, match: re.Match[str]) -> Answer:
        self._allow(caller, (GROUP_WRITE,))
        group = self._require(match.group("id"), "Group")
        member = self._require(str(request.json().get("@odata.id", "")).rsplit("/", 1)[-1])
        members = self._world.directory.members[group.id]
        if member.id in members:
            words = (
                "One or more added object references already exist for the following modified properties: 'members'."
            )
            raise Refused(400, "Request_BadRequest", words)
        members.add(member.id)
        return Answer(204)

    def _leave(self, _request: Request, caller: Caller, match: re.Match[str]) -> Answer:
        self._allow(caller, (GROUP_WRITE,))
        group = self._require(match.group("id"), "Group")
        members = self._world.directory.members[group.id]
        if match.group("member").lower() not in members:
            self._require(self._world.fresh_guid())
        members.discard(match.group("member").lower())
        return Answer(204)

    def _shown_to(self, caller: Caller, principal: Principal) -> Json:
        shown = _shown(principal)
        if self._may(caller, _READS[principal.kind]):
            return shown
        return {name: value if name in {"@odata.type", "id"} else None for name, value in shown.items()}

    def _page(self, request: Request, items: list[Json]) -> Answer:
        after, size = request.query.get("$skiptoken", ""), int(request.query.get("$top", self._world.page_size))
        rest = sorted((each for each in items if str(each["id"]) > after), key=lambda each: str(each["id"]))
        body: Json = {"value": rest[:size]}
        if len(rest) > size:
            others = "".join(f"{name}={value}&" for name, value in request.query.items() if name != "$skiptoken")
            body["@odata.nextLink"] = f"{request.origin}{request.path}?{others}$skiptoken={rest[size - 1]['id']}"
        return Answer(200, body)


def _shown(principal: Principal) -> Json:
    kind = principal.kind[0].lower() + principal.kind[1:]
    body: Json = {"@odata.type": f"#microsoft.graph.{kind}", "id": principal.id, "displayName": principal.name}
    if principal.kind == "Group":
        body["securityEnabled"] = True
    if principal.app_id:
        body["appId"] = principal.app_id
    return body


def _selected(body: Json, request: Request) -> Json:
    wanted = {each.strip() for each in request.query.get("$select", "").split(",") if each.strip()}
    return {name: value for name, value in body.items() if not wanted or name in wanted or name == "id"}
