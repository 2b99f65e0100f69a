"""The stand-in for Azure as tests use it: start it, put things into it, and look at what was asked of it.

    with AzureStandIn() as azure:
        vault = azure.add_vault("kv-billing")
        identity = azure.add_identity("billing")
        azure.grant(identity.principal_id, SECRETS_USER, vault.id)

What a test does here by its own hand takes effect at once; what a client asks for, after Azure's delays.
"""

from __future__ import annotations

import asyncio
import tempfile
import threading
import uuid
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from cryptography import x509

from stand_ins.azure.assertions import Assertions, Keys
from stand_ins.azure.assignments import RoleAssignments
from stand_ins.azure.diagnostics import Diagnostics
from stand_ins.azure.directory import Application, Principal, digest, thumbprints
from stand_ins.azure.entra import Entra
from stand_ins.azure.faults import CUT, LOST, Fault, Faults
from stand_ins.azure.faults import answer as faulty
from stand_ins.azure.graph import Graph
from stand_ins.azure.identities import CREDENTIAL_PATH, Identities, concurrent
from stand_ins.azure.key_vault import KeyVault
from stand_ins.azure.limits import Clock, Rate
from stand_ins.azure.messages import Answer, Json, Logged, Request, Vanished
from stand_ins.azure.resource_manager import ResourceManager
from stand_ins.azure.role_definitions import RoleDefinitions
from stand_ins.azure.roles import Role
from stand_ins.azure.server import Server
from stand_ins.azure.tokens import Tokens
from stand_ins.azure.vaults import Vaults
from stand_ins.azure.world import Assignment, Credential, Delays, Identity, Quotas, Vault, Version, World

LOCATION = "westeurope"
GROUP = "airwarden"
"""The resource group of whatever a test gives none."""
_FOREVER = 10.0 * 365 * 86400


class AzureStandIn:
    """One tenant with one subscription, to which a test adds."""

    def __init__(self, clock: Clock | None = None) -> None:
        self.clock = clock or Clock()
        self.tenant, self.subscription = str(uuid.uuid4()), str(uuid.uuid4())
        self._world = World(self.clock, self.tenant)
        self._tokens, self._assertions = Tokens(self.clock, self.tenant), Assertions()
        self._faults = Faults()
        self._lock = threading.RLock()
        self._log: list[Logged] = []
        self._writing: set[str] = set()
        self.credential_writes_take = 0.02
        """Real seconds during which a write of a federated credential shuts out a second one of its identity."""
        self._folder = tempfile.TemporaryDirectory(prefix="airwarden-azure-")
        self._server = Server(Path(self._folder.name), self._answer)
        self._identities = Identities(self._world)
        self.add_subscription(self.subscription)

    def __enter__(self) -> Self:
        self._server.start()
        self.url, self.authority = self._server.url("arm"), self._server.url("entra")
        self.graph_url, self.metadata_url = self._server.url("graph"), self._server.url("imds")
        self.proxy_url = self._server.url("proxy")
        """For HTTPS_PROXY: leads the names of Azure's own hosts here, and no other name anywhere."""
        self.ca_pem = self._server.ca
        managers = {self.url, "https://management.azure.com", "https://management.core.windows.net"}
        graphs = {self.graph_url, "https://graph.microsoft.com"}
        self._manager = ResourceManager(self._world, self._tokens, managers)
        for provider in (
            RoleAssignments(self._world),
            RoleDefinitions(self._world),
            self._identities,
            Vaults(self._world),
            Diagnostics(self._world),
        ):
            self._manager.routes += provider.routes()
        self._entra = Entra(self._world, self._tokens, self._assertions)
        self._graph = Graph(self._world, self._tokens, graphs)
        self._vaults = KeyVault(self._world, self._tokens, self.authority)
        self._entra.resources |= managers | graphs | self._vaults.audiences
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop()
        self._folder.cleanup()

    # What there is.

    def add_subscription(self, subscription: str = "", groups: Collection[str] = (GROUP,)) -> str:
        """Add a subscription with its resource groups and return its id."""
        with self._lock:
            chosen = subscription or str(uuid.uuid4())
            self._world.subscriptions[chosen] = {each.lower(): each for each in groups}
            return chosen

    def add_vault(
        self,
        name: str,
        subscription: str = "",
        group: str = GROUP,
        *,
        rbac: bool = True,
        soft_deleted: bool = False,
        firewalled: bool = False,
        public: bool = True,
    ) -> Vault:
        """Add a vault; one of that name that was deleted is made anew, with the same address."""
        url = self._server.add_vault(name)
        with self._lock:
            owner = subscription or self.subscription
            self._world.subscriptions[owner].setdefault(group.lower(), group)
            vault = Vault(name, owner, group, LOCATION, url, rbac=rbac, firewalled=firewalled, public=public)
            vault.deleted = self.clock.now() if soft_deleted else None
            self._world.vaults[name.lower()] = vault
            return vault

    def delete_vault(self, name: str) -> None:
        """Soft-delete a vault: its role assignments go, its diagnostic settings stay behind."""
        with self._lock:
            self._world.delete_vault(name)

    def recover_vault(self, name: str) -> None:
        """Recover a soft-deleted vault, without the role assignments that it had."""
        with self._lock:
            self._world.vaults[name.lower()].deleted = None

    def change_vault(
        self,
        name: str,
        *,
        rbac: bool = True,
        firewalled: bool = False,
        public: bool = True,
        purge_protection: bool = False,
        for_templates: bool = False,
    ) -> None:
        """Change the mode and the firewall of a vault, and how it is kept."""
        with self._lock:
            vault = self._world.vaults[name.lower()]
            vault.rbac, vault.firewalled, vault.public = rbac, firewalled, public
            vault.purge_protection, vault.for_templates = purge_protection, for_templates

    def vault_url(self, name: str) -> str:
        """Return the address of a vault's data plane."""
        return self._world.vaults[name.lower()].url

    def set_secret(
        self,
        vault: str,
        name: str,
        value: str,
        *,
        enabled: bool = True,
        not_before: float | None = None,
        expires: float | None = None,
    ) -> str:
        """Put a new version of a secret into a vault and return its id. Times are seconds since 1970."""
        with self._lock:
            version = Version(uuid.uuid4().hex, value, self.clock.now(), enabled, not_before, expires)
            self._world.vaults[vault.lower()].secrets.setdefault(name.lower(), []).append(version)
            return version.id

    def remove_secret(self, vault: str, name: str) -> None:
        """Take a secret away with all its versions."""
        with self._lock:
            del self._world.vaults[vault.lower()].secrets[name.lower()]

    # Who there is.

    def add_identity(self, name: str, subscription: str = "", group: str = GROUP) -> Identity:
        """Add a user-assigned managed identity."""
        with self._lock:
            return self._identities.add(subscription or self.subscription, group, name, LOCATION)

    def remove_identity(self, identity: Identity) -> None:
        """Delete an identity; role assignments to it stay behind."""
        with self._lock:
            self._identities.remove(identity)

    def attach_identity(self, identity: Identity) -> None:
        """Let the metadata endpoint give out tokens of this identity, as on a machine that has it."""
        with self._lock:
            self._world.attached.append(identity.id.lower())

    def federate(
        self, identity: Identity, issuer: str, subject: str, audience: str = "api://AzureADTokenExchange"
    ) -> None:
        """Let an identity take the tokens of this subject for its own."""
        with self._lock:
            credential = Credential(f"by-hand-{uuid.uuid4().hex[:12]}", issuer, subject, (audience,), self.clock.now())
            identity.credentials[credential.name] = credential

    def trust_issuer(self, issuer: str, keys: Keys) -> None:
        """Say where the key set of an issuer of federated tokens is to be had: `keys` fetches it."""
        with self._lock:
            self._assertions.issuers[issuer] = keys

    def add_application(self, name: str) -> Application:
        """Add an app registration with its service principal."""
        with self._lock:
            return self._world.directory.add_application(name, self.clock.now())

    def add_client_secret(self, application: Application, *, ends: float | None = None) -> str:
        """Make a client secret; `ends` in seconds since 1970."""
        with self._lock:
            secret = f"{uuid.uuid4()}~{uuid.uuid4()}"
            application.secrets[digest(secret)] = ends or self.clock.now() + _FOREVER
            return secret

    def add_client_certificate(self, application: Application, certificate: x509.Certificate) -> None:
        """Let an application log in with the key of this certificate."""
        with self._lock:
            application.certificates |= dict.fromkeys(thumbprints(certificate), certificate)

    def add_group(self, name: str, members: Collection[str] = ()) -> Principal:
        """Add a security group with these object ids in it."""
        with self._lock:
            group = self._world.directory.add("Group", name, self.clock.now())
            self._world.directory.members[group.id] = set(members)
            return group

    def add_user(self, name: str) -> Principal:
        """Add a user."""
        with self._lock:
            return self._world.directory.add("User", name, self.clock.now())

    def remove_principal(self, object_id: str) -> None:
        """Delete an object of the directory."""
        with self._lock:
            self._world.directory.remove(object_id)

    # Who may do what.

    def add_role(self, role: Role) -> Role:
        """Add a custom role."""
        with self._lock:
            self._world.roles[role.id] = role
            return role

    def grant(
        self, principal: str, role: str, scope: str = "", *, condition: str = "", description: str = "", name: str = ""
    ) -> Assignment:
        """Give a role by hand, at once, at the subscription unless told where."""
        with self._lock:
            now, guid = self.clock.now(), name or str(uuid.uuid4())
            found = self._world.directory.find(principal)
            assignment = Assignment(
                name=guid,
                scope=scope or f"/subscriptions/{self.subscription}",
                role=role,
                principal=principal,
                principal_type=found.kind if found else "Unknown",
                description=description or None,
                condition=condition or None,
                condition_version="2.0" if condition else None,
                created=now,
                updated=now,
                created_by="by hand",
                updated_by="by hand",
                effective=now,
            )
            self._world.assignments[guid] = assignment
            return assignment

    def revoke(self, assignment: str) -> None:
        """Take a role away by hand, by the assignment's name."""
        with self._lock:
            del self._world.assignments[assignment]

    def grant_graph(self, principal: str, *permissions: str) -> None:
        """Give application permissions for Graph."""
        with self._lock:
            self._world.directory.graph_roles.setdefault(principal, set()).update(permissions)

    def lock_scope(self, scope: str) -> None:
        """Put a lock on a scope: nothing at it or below it can be deleted."""
        with self._lock:
            self._world.locks.add(scope.lower())

    # How Azure behaves.

    def delay(
        self,
        *,
        assignments: float | None = None,
        removals: float | None = None,
        credentials: float | None = None,
        principals: float | None = None,
        lists: float | None = None,
        reads: float | None = None,
    ) -> None:
        """Say how many seconds changes take from now on; what is left out stays."""
        with self._lock:
            now = self._world.delays
            self._world.delays = Delays(
                now.assignments if assignments is None else assignments,
                now.removals if removals is None else removals,
                now.credentials if credentials is None else credentials,
                now.principals if principals is None else principals,
                now.lists if lists is None else lists,
                now.reads if reads is None else reads,
            )

    def throttle(self, subscription: str = "", seconds: float = 30.0) -> None:
        """Answer 429 to everybody in a subscription for so long."""
        with self._lock:
            self._manager.throttled[(subscription or self.subscription).lower()] = self.clock.now() + seconds

    def limit(self, **rates: Rate) -> None:
        """Change limits: reads, writes and deletes of a principal; a vault's secrets; credentials of an identity.

        And identities: what is written of both in a subscription.
        """
        with self._lock:
            if "identities" in rates:
                self._identities.identity_writes = rates.pop("identities")
            if "credentials" in rates:
                self._identities.credential_writes = rates.pop("credentials")
            if "vault" in rates:
                self._vaults.rate = rates.pop("vault")
            self._manager.rates |= rates

    @property
    def quotas(self) -> Quotas:
        """How much there may be; a test lowers it."""
        return self._world.quotas

    def fail_next(
        self,
        status: int,
        code: str,
        message: str = "",
        *,
        method: str = "",
        path: str = "",
        times: int = 1,
        retry_after: int = 0,
    ) -> None:
        """Answer the next requests of this method with this in their path with an error of Azure's."""
        with self._lock:
            self._faults.add(Fault(status, code, message or code, method, path.lower(), times, retry_after))

    def cut_next(self, *, method: str = "", path: str = "", times: int = 1, lose_answer: bool = False) -> None:
        """End the connection of the next such requests: before they act, or after it and before the answer."""
        with self._lock:
            self._faults.add(Fault(LOST if lose_answer else CUT, "", "", method, path.lower(), times, 0))

    def heal(self) -> None:
        """Answer again as if no fault had been asked for."""
        with self._lock:
            self._faults = Faults()

    def behave(
        self,
        *,
        page_size: int | None = None,
        missing_secret_scopes: bool | None = None,
        unknown_principals: bool | None = None,
        old_conflicts: bool | None = None,
        combined_login_errors: bool | None = None,
        token_lifetime: int | None = None,
    ) -> None:
        """Choose among the ways in which Azure is known to answer, or where they are not known."""
        with self._lock:
            world = self._world
            world.page_size = world.page_size if page_size is None else page_size
            if missing_secret_scopes is not None:
                world.missing_secret_scopes = missing_secret_scopes
            if unknown_principals is not None:
                world.unknown_principals = unknown_principals
            world.old_conflicts = world.old_conflicts if old_conflicts is None else old_conflicts
            if combined_login_errors is not None:
                self._assertions.combined_errors = combined_login_errors
            self._tokens.lifetime = self._tokens.lifetime if token_lifetime is None else token_lifetime

    # What was seen.

    def requests(self, *, service: str = "", method: str = "", path: str = "") -> list[Logged]:
        """Return the requests so far, oldest first, that have this service, this method and this in their path."""
        with self._lock:
            found = (each for each in self._log if not service or each.service == service)
            found = (each for each in found if not method or each.method == method)
            return [each for each in found if path.lower() in each.path.lower()]

    def forget_requests(self) -> None:
        """Begin the log anew."""
        with self._lock:
            self._log.clear()

    @contextmanager
    def world(self) -> Iterator[World]:
        """Give the whole state, to look at or to change while no request is answered."""
        with self._lock:
            yield self._world

    def assignments(self, scope: str = "") -> list[Assignment]:
        """Return the role assignments whose scope begins so."""
        with self._lock:
            return [each for each in self._world.assignments.values() if each.scope.lower().startswith(scope.lower())]

    def diagnostics(self, scope: str) -> dict[str, Json]:
        """Return the diagnostic settings of a resource id, whether there is such a resource or not."""
        with self._lock:
            return dict(self._world.diagnostics.get(scope.lower(), {}))

    # How it answers.

    async def _answer(self, request: Request) -> Answer:
        holding = CREDENTIAL_PATH.fullmatch(request.path) if request.method in {"PUT", "DELETE"} else None
        if request.service != "arm" or holding is None:
            return self._answer_now(request)
        identity = holding.group("identity").lower()
        if identity in self._writing:
            refused = concurrent(identity)
            answer = Answer(409, {"error": {"code": refused.code, "message": refused.message}})
            return self._logged(request, answer)
        self._writing.add(identity)
        try:
            await asyncio.sleep(self.credential_writes_take)
            return self._answer_now(request)
        finally:
            self._writing.discard(identity)

    def _answer_now(self, request: Request) -> Answer:
        with self._lock:
            services = {
                "arm": self._manager.answer,
                "entra": self._entra.answer,
                "imds": self._entra.metadata,
                "graph": self._graph.answer,
                "vault": self._vaults.answer,
            }
            fault = self._faults.take(request)
            if fault is not None and fault.status > CUT:
                return self._logged(request, faulty(request, fault))
            if fault is not None and fault.status == CUT:
                raise Vanished(request.path)
            answer = self._logged(request, services[request.service](request))
            if fault is not None:
                raise Vanished(request.path)
            return answer

    def _logged(self, request: Request, answer: Answer) -> Answer:
        error = (answer.body or {}).get("error", answer.body or {})
        code = (
            error.get("code", "") if isinstance(error, dict) else str((answer.body or {}).get("error_codes", [""])[0])
        )
        principal = self._tokens.principal_of(request.headers.get("authorization", ""))
        entry = Logged(
            at=self.clock.now(),
            service=request.service,
            method=request.method,
            path=request.path,
            query=request.query,
            principal=principal,
            status=answer.status,
            code=str(code) if answer.status >= 400 else "",
            retry_after=answer.headers.get("Retry-After", ""),
            request_id=answer.headers.get("x-ms-request-id", ""),
        )
        with self._lock:
            self._log.append(entry)
        return answer
