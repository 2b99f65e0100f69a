"""Service accounts of bindings: made by POST, adopted never, corrected by server-side apply (design section 5).

Ours are known from a label-selected watch, so that looking at one costs no request. Called by
`airwarden.reconcile.bindings` for the cluster's part of a plan.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from airwarden.api import GROUP
from airwarden.domain.errors import (
    NamespaceTerminating,
    NotOwned,
    ServiceAccountNotAllowed,
    ServiceAccountNotFound,
    ServiceAccountTaken,
)
from airwarden.domain.owner import Owner
from airwarden.domain.progress import CLUSTER
from airwarden.domain.resources import Action, Address, Adoption, Claim, Observed, Operation, Resource
from airwarden.providers.kubernetes.api import FIELD_MANAGER, Absent, Conflict, Json, KubernetesApi
from airwarden.providers.ports import Written

KIND: Final = "ServiceAccount"
MANAGED_BY: Final = "app.kubernetes.io/managed-by"
BINDING: Final = f"{GROUP}/binding"
CLUSTER_LABEL: Final = f"{GROUP}/cluster"
ADOPTED: Final = f"{GROUP}/adopted"
"""Annotation of an account that was there before its binding."""
CARRIER: Final = f"{FIELD_MANAGER}-stores"
"""Field manager of what an account carries for its stores: what it no longer applies goes."""
_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
ALLOW: Final = f"{GROUP}/allow-binding"
"""Names the binding that may use the account: set by the owner of an External account, and by us on ours."""
SELECTOR: Final = ALLOW
"""What the operator watches: one label on accounts of both modes, since a selector cannot say "or"."""


@dataclass(frozen=True, slots=True)
class Account:
    """What the operator remembers of a service account."""

    namespace: str
    name: str
    uid: str
    resource_version: str
    labels: Mapping[str, str]
    automount: bool | None
    written_by_us: bool = False
    """Whether the API server remembers a write by our field manager."""
    adopted: bool = False
    """Whether it was there before its binding."""
    carried: Mapping[str, str] = field(default_factory=dict)
    """Annotations that it carries for the binding's stores."""

    @classmethod
    def read(cls, body: Mapping[str, object]) -> "Account":
        """Read the parts that matter from an object."""
        metadata = body.get("metadata")
        if not isinstance(metadata, Mapping):
            raise TypeError("a service account without metadata")
        automount = body.get("automountServiceAccountToken")
        return cls(
            namespace=str(metadata.get("namespace", "")),
            name=str(metadata["name"]),
            uid=str(metadata.get("uid", "")),
            resource_version=str(metadata.get("resourceVersion", "0")),
            labels={
                key: value
                for key, value in (metadata.get("labels") or {}).items()
                if key in (MANAGED_BY, BINDING, CLUSTER_LABEL, ALLOW)
            },
            automount=automount if isinstance(automount, bool) else None,
            adopted=(metadata.get("annotations") or {}).get(ADOPTED) == "true",
            carried=_carried(metadata),
            written_by_us=any(each.get("manager") == FIELD_MANAGER for each in metadata.get("managedFields") or ()),
        )

    @property
    def is_managed(self) -> bool:
        """Whether some binding made it or took it over: an External account carries its owner's label alone."""
        return BINDING in self.labels

    def observed(self, owner: Owner) -> Observed:
        """Return the account as an observed resource, claimed by its labels."""
        return Observed(
            address(self.name),
            {**self.labels, "automount": _text(self.automount)},
            self.claim(owner),
            self.uid,
            Adoption("", frozenset({KIND})) if self.adopted else None,
        )

    def claim(self, owner: Owner) -> Claim:
        """Return whose the account is by its namespace and labels."""
        mine = labels_of(owner)
        if self.namespace == owner.namespace and all(
            self.labels.get(key) == mine[key] for key in (BINDING, CLUSTER_LABEL)
        ):
            return Claim.OURS
        # A lost label is no other owner's; one that says something else is.
        other = any(self.labels.get(key, mine[key]) != mine[key] for key in (BINDING, CLUSTER_LABEL))
        return Claim.FOREIGN if other else Claim.UNMARKED


def address(name: str) -> Address:
    """Return the address of an account; its namespace is the binding's."""
    return Address(CLUSTER, KIND, name)


def desired(owner: Owner, name: str) -> Resource:
    """Return the account of a binding. Its API token is not mounted: tasks need only the store's."""
    return Resource(address(name), {**labels_of(owner), "automount": _text(False)})


def absent(name: str) -> Observed:
    """Return the observation that there is no such account of ours."""
    return Observed(address(name), None)


class Accounts:
    """Creates, corrects and deletes service accounts."""

    def __init__(self, api: KubernetesApi) -> None:
        self._api = api

    async def read(self, owner: Owner, name: str) -> Account | None:
        """Read one account live; None when there is none."""
        try:
            return Account.read(await self._api.get(_path(owner.namespace, name)))
        except Absent:
            return None

    async def apply(self, owner: Owner, operation: Operation, recorded_uid: str = "") -> tuple[Written, Account | None]:
        """Do one operation. Raises NotOwned or ServiceAccountTaken for an account that is not this binding's."""
        name = operation.address.name
        if operation.action is Action.DELETE:
            await self._delete(owner, name, operation.observed.id)
            return Written(), None
        if operation.action is Action.RELEASE:
            await self._release(owner, name, operation.observed)
            return Written(), None
        if operation.action is Action.CREATE:
            made = await self._create(owner, name, recorded_uid)
        else:
            made = await self._correct(owner, name, operation.observed.id)
        return Written(made.uid), made

    async def carry(self, account: Account, annotations: Mapping[str, str]) -> Account:
        """Have the very account that was seen carry these annotations for its stores, and none that it did before.

        Raises NotOwned when it was made anew meanwhile.
        """
        metadata: Json = {"name": account.name, "namespace": account.namespace, "uid": account.uid}
        body: Json = {"apiVersion": "v1", "kind": KIND, "metadata": {**metadata, "annotations": dict(annotations)}}
        where = _path(account.namespace, account.name)
        try:
            return Account.read(await self._api.apply(where, body, manager=CARRIER))
        except Conflict:
            raise NotOwned(
                f"service account {account.namespace}/{account.name} was made anew by somebody else"
            ) from None

    async def _create(self, owner: Owner, name: str, recorded_uid: str) -> Account:
        try:
            return Account.read(await self._api.post(collection(owner.namespace), _manifest(owner, name)))
        except Absent:
            raise NamespaceTerminating(f"namespace {owner.namespace} is gone") from None
        except Conflict:
            found = await self.read(owner, name)
        if found is None:
            return await self._create_again(owner, name)
        refuse_foreign(found, owner, recorded_uid)
        if found.observed(owner).fields == desired(owner, name).fields:
            return found
        return await self._correct(owner, name, found.uid)

    async def _create_again(self, owner: Owner, name: str) -> Account:
        """The account went between the POST and the GET: one more try, then the next pass decides."""
        try:
            return Account.read(await self._api.post(collection(owner.namespace), _manifest(owner, name)))
        except Conflict:
            raise NotOwned(f"service account {owner.namespace}/{name} comes and goes: find out who makes it") from None

    async def _correct(self, owner: Owner, name: str, uid: str) -> Account:
        """Set the account right, but only the very one that was looked at: the uid makes it a precondition."""
        manifest = _manifest(owner, name)
        manifest["metadata"]["uid"] = uid
        try:
            return Account.read(await self._api.apply(_path(owner.namespace, name), manifest))
        except Conflict:
            raise NotOwned(
                f"service account {owner.namespace}/{name} was made anew by somebody else and was not changed"
            ) from None

    async def _release(self, owner: Owner, name: str, found: Observed) -> None:
        """Take our labels off and leave the account: the very one that was looked at."""
        labels = [each for each in labels_of(owner) if each in (found.fields or {})]
        taken = [f"/metadata/labels/{_pointer(each)}" for each in labels]
        taken += [f"/metadata/annotations/{_pointer(ADOPTED)}"] if found.adoption is not None else []
        if not taken:
            return
        patch: list[Json] = [{"op": "test", "path": "/metadata/uid", "value": found.id}]
        patch += [{"op": "remove", "path": each} for each in taken]
        try:
            await self._api.patch(_path(owner.namespace, name), patch)
        except Absent:
            return
        except Conflict:
            raise NotOwned(f"service account {owner.namespace}/{name} changed meanwhile and was not released") from None

    async def _delete(self, owner: Owner, name: str, uid: str) -> None:
        try:
            await self._api.delete(_path(owner.namespace, name), uid=uid)
        except Conflict:
            raise NotOwned(
                f"service account {owner.namespace}/{name} was made anew by somebody else and was not deleted"
            ) from None


def is_ours(found: Account, owner: Owner, recorded_uid: str) -> bool:
    """Tell whether the account carries this binding's labels, or lost some and is the very one that we made.

    That a status names its uid is no proof, since others may write statuses: the API server must remember
    a write of ours as well, which nobody can forge who may not write the account itself.
    """
    claim = found.claim(owner)
    lost = claim is Claim.UNMARKED and bool(recorded_uid) and found.uid == recorded_uid and found.written_by_us
    return claim is Claim.OURS or lost


def refuse_foreign(found: Account, owner: Owner, recorded_uid: str) -> None:
    """Raise unless the account is this binding's."""
    if is_ours(found, owner, recorded_uid):
        return
    where = f"service account {found.namespace}/{found.name}"
    if found.claim(owner) is Claim.FOREIGN:
        raise ServiceAccountTaken(
            f"{where} belongs to binding {found.labels.get(BINDING)}: "
            "put the secrets into that binding, or name another account"
        )
    if found.labels.get(ALLOW, owner.binding) != owner.binding:
        raise ServiceAccountTaken(
            f"{where} is given to binding {found.labels[ALLOW]} by its owner's label {ALLOW}: name another account"
        )
    raise NotOwned(
        f"{where} was not made by Airwarden and is not bound: name an account that does not exist yet, "
        f"or take it over by hand with airwarden adopt {owner}"
    )


def require_allowed(found: Account | None, owner: Owner, name: str) -> None:
    """Raise unless an account of mode External is there and its owner's label names this binding.

    An account that Airwarden made, for whichever binding, is nobody's own.
    """
    where = f"service account {owner.namespace}/{name}"
    label = f"{ALLOW}={owner.binding}"
    if found is None:
        raise ServiceAccountNotFound(f"{where} is External and is not there: create it, with the label {label}")
    if BINDING in found.labels or CLUSTER_LABEL in found.labels:
        made_for = found.labels.get(BINDING, "another cluster")
        raise ServiceAccountTaken(f"{where} was made by Airwarden for binding {made_for}: name an account of your own")
    allowed = found.labels.get(ALLOW)
    if allowed is None:
        raise ServiceAccountNotAllowed(
            f"{where} is External and has no label {ALLOW}: whoever owns the account sets {label}"
        )
    if allowed != owner.binding:
        raise ServiceAccountTaken(
            f"{where} is given to binding {allowed!r} by its owner's label {ALLOW}: name another account, or have its "
            f"owner set {label}"
        )


def is_allowed(found: Account | None, owner: Owner, name: str) -> bool:
    """Tell whether an account of mode External is there and given to this binding."""
    try:
        require_allowed(found, owner, name)
    except (ServiceAccountNotFound, ServiceAccountNotAllowed, ServiceAccountTaken):
        return False
    return True


def labels_of(owner: Owner) -> dict[str, str]:
    """Return the labels by which an account is known as the binding's."""
    return {MANAGED_BY: "airwarden", BINDING: owner.binding, CLUSTER_LABEL: owner.cluster, ALLOW: owner.binding}


def _carried(metadata: Mapping[str, object]) -> dict[str, str]:
    """Return the annotations that the API server remembers as written for the stores, and by nobody else since."""
    annotations, fields = metadata.get("annotations"), metadata.get("managedFields")
    if not isinstance(annotations, Mapping) or not isinstance(fields, list):
        return {}
    ours: set[str] = set()
    for each in fields:
        if each.get("manager") == CARRIER:
            ours |= set(((each.get("fieldsV1") or {}).get("f:metadata") or {}).get("f:annotations") or {})
    return {key: value for key, value in annotations.items() if f"f:{key}" in ours}


def _manifest(owner: Owner, name: str) -> Json:
    return {
        "apiVersion": "v1",
        "kind": KIND,
        "metadata": {"name": name, "namespace": owner.namespace, "labels": labels_of(owner)},
        "automountServiceAccountToken": False,
    }


def _text(flag: bool | None) -> str:
    return "unset" if flag is None else str(flag).lower()


def _pointer(key: str) -> str:
    """Return a key as it stands in a JSON pointer."""
    return key.replace("~", "~0").replace("/", "~1")


def collection(namespace: str) -> str:
    """Return where the API server keeps the accounts of a namespace."""
    return f"/api/v1/namespaces/{namespace}/serviceaccounts"


def _path(namespace: str, name: str) -> str:
    if _NAME.fullmatch(name) is None:
        # Names come from statuses too, which others may write: one must not lead to another path.
        raise ValueError(f"{name!r} is not the name of a service account")
    return f"{collection(namespace)}/{name}"
