"""Collects what the cluster holds, with the caller's rights. What the caller may not see becomes `Unknown`.

Called by `airwarden.commands.doctor.command`. Of Secrets only the metadata is asked for: no value is read.
"""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Final, TypeVar

from airwarden.api import API_VERSION, BINDINGS, crd
from airwarden.api.environment import AirflowEnvironment
from airwarden.commands.caller import Caller, Listing
from airwarden.commands.doctor.environment_checks import accounts_of
from airwarden.commands.doctor.facts import RoleGrant, TokenSecret, Unknown
from airwarden.domain.errors import AirwardenError, ClusterForbidden
from airwarden.domain.logins import Account as AccountName
from airwarden.providers.kubernetes.accounts import SELECTOR, Account
from airwarden.providers.kubernetes.api import Absent, Json

_RBAC: Final = "/apis/rbac.authorization.k8s.io/v1"
_KINDS: Final = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_SHIPPED: Final = "kubernetes.io/bootstrapping"
"""Label of what every cluster has from the start."""
_TOKENS: Final = "type=kubernetes.io/service-account-token"
_OF_ACCOUNT: Final = "kubernetes.io/service-account.name"
_USER: Final = "system:serviceaccount:"

T = TypeVar("T")


async def known(work: Callable[[], Awaitable[T]], needs: str) -> T | Unknown:
    """Return what the work finds; without the right, what it needs. A cluster or store that fails is unknown too."""
    try:
        return await work()
    except ClusterForbidden:
        return Unknown(f"needs {needs}")
    except AirwardenError as error:
        return Unknown(error.message)


def within(path: str, resource: str, namespace: str) -> str:
    """Return where a namespaced resource is listed: in one namespace, or in all."""
    return f"{path}/namespaces/{namespace}/{resource}" if namespace else f"{path}/{resource}"


async def accounts(caller: Caller, namespace: str) -> tuple[Account, ...]:
    """Return the accounts that some binding made: without those that their owners gave to one."""
    bodies = await caller.bodies(within("/api/v1", "serviceaccounts", namespace), SELECTOR)
    return tuple(each for each in map(Account.read, bodies) if each.is_managed)


async def bound(caller: Caller, namespace: str) -> frozenset[AccountName]:
    """Return namespace and name of every binding, also of those that cannot be read as one."""
    bodies = await caller.bodies(within(f"/apis/{API_VERSION}", BINDINGS, namespace))
    return frozenset((body["metadata"]["namespace"], body["metadata"]["name"]) for body in bodies)


async def token_secrets(caller: Caller, namespace: str) -> tuple[TokenSecret, ...]:
    """Return the Secrets that hold tokens of service accounts, by their metadata alone."""
    found = []
    async for body in caller.api.metadata_pages(within("/api/v1", "secrets", namespace), _TOKENS):
        metadata = body["metadata"]
        account = (metadata.get("annotations") or {}).get(_OF_ACCOUNT, "")
        found.append(TokenSecret(metadata["namespace"], metadata["name"], account))
    return tuple(found)


async def role_grants(caller: Caller, namespace: str) -> tuple[RoleGrant, ...]:
    """Return the role bindings that name service accounts or groups, without those that every cluster has."""
    bodies = [("RoleBinding", body) for body in await caller.bodies(within(_RBAC, "rolebindings", namespace))]
    bodies += [("ClusterRoleBinding", body) for body in await caller.bodies(f"{_RBAC}/clusterrolebindings")]
    return tuple(
        role_grant(kind, body) for kind, body in bodies if _SHIPPED not in (body["metadata"].get("labels") or {})
    )


def role_grant(kind: str, body: Json) -> RoleGrant:
    """Return whom a role binding names."""
    metadata, reference = body["metadata"], body["roleRef"]
    where = metadata.get("namespace", "")
    accounts: set[AccountName] = set()
    groups: set[str] = set()
    for subject in body.get("subjects") or ():
        name = subject.get("name", "")
        if subject["kind"] == "ServiceAccount":
            accounts.add((subject.get("namespace") or where, name))
        elif subject["kind"] == "User" and name.startswith(_USER):
            namespace, _, account = name.removeprefix(_USER).partition(":")
            accounts.add((namespace, account))
        elif subject["kind"] == "Group":
            groups.add(name)
    place = f"{where}/{metadata['name']}" if where else metadata["name"]
    return RoleGrant(
        f"{kind} {place}", f"{reference['kind']} {reference['name']}", frozenset(accounts), frozenset(groups)
    )


async def named_accounts(
    caller: Caller, environments: Listing[AirflowEnvironment] | Unknown
) -> Mapping[AccountName, bool | Unknown]:
    """Return whether each account is there that an environment names."""
    named = () if isinstance(environments, Unknown) else environments.items
    accounts = sorted({account for each in named for account in accounts_of(each).values()})
    return {
        each: await known(partial(_is_there, caller, each), f"get on serviceaccounts in {each[0]}") for each in accounts
    }


async def _is_there(caller: Caller, account: AccountName) -> bool:
    try:
        await caller.api.get(f"/api/v1/namespaces/{account[0]}/serviceaccounts/{account[1]}")
    except Absent:
        return False
    return True


async def kinds(caller: Caller) -> Mapping[str, Json | None]:
    """Return the installed CustomResourceDefinitions of ours, by file; None for one that is not there."""
    found: dict[str, Json | None] = {}
    for kind in crd.KINDS:
        try:
            found[kind.file] = await caller.api.get(f"{_KINDS}/{kind.definition_name}")
        except Absent:
            found[kind.file] = None
    return found
