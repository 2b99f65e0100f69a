"""A service account that was there before its binding becomes the binding's, when a person says so.

Called by `airwarden.commands.adopt` with that person's rights; the operator never does it.
"""

from dataclasses import dataclass
from typing import Final

from airwarden.api import API_VERSION, BINDINGS
from airwarden.domain.errors import NotOwned, ServiceAccountTaken
from airwarden.domain.owner import Owner
from airwarden.domain.resources import Claim
from airwarden.providers.kubernetes.accounts import ADOPTED, BINDING, Account, collection, labels_of
from airwarden.providers.kubernetes.api import Absent, Conflict, Json, KubernetesApi

_SHARED: Final = "default"


@dataclass(frozen=True, slots=True)
class Unlabelled:
    """An account that nobody's labels claim, as it was looked at."""

    path: str
    version: str
    labels: dict[str, str]
    annotations: dict[str, str]


async def find_unlabelled(api: KubernetesApi, owner: Owner, name: str) -> Unlabelled | None:
    """Return the account if it is to be taken over; None when there is none, or it is the binding's already.

    Raises NotOwned for the account that is every pod's, and ServiceAccountTaken for one that another binding has
    or names as well.
    """
    where = f"service account {owner.namespace}/{name}"
    if name == _SHARED:
        raise NotOwned(f"{where} is that of every pod that names none, and is never a binding's: name another")
    path = f"{collection(owner.namespace)}/{name}"
    try:
        body = await api.get(path)
    except Absent:
        return None
    account = Account.read(body)
    claim = account.claim(owner)
    if claim is Claim.OURS:
        return None
    if claim is Claim.FOREIGN:
        raise ServiceAccountTaken(f"{where} belongs to binding {account.labels.get(BINDING)} and is not taken over")
    others = [
        other["metadata"]["name"]
        async for other in api.pages(f"/apis/{API_VERSION}/namespaces/{owner.namespace}/{BINDINGS}")
        if (other.get("spec") or {}).get("serviceAccount", {}).get("name") == name
        and other["metadata"]["name"] != owner.binding
    ]
    if others:
        raise ServiceAccountTaken(
            f"{where} is named by binding {', '.join(sorted(others))} too, and an account belongs to one binding: "
            "delete or change that one first"
        )
    metadata = body["metadata"]
    labels, annotations = dict(metadata.get("labels") or {}), dict(metadata.get("annotations") or {})
    return Unlabelled(path, metadata["resourceVersion"], labels, annotations)


async def adopt_account(api: KubernetesApi, owner: Owner, found: Unlabelled) -> None:
    """Put the binding's labels on the very account that was looked at. Raises NotOwned when it changed meanwhile."""
    labels = {**found.labels, **labels_of(owner)}
    patch: list[Json] = [
        {"op": "test", "path": "/metadata/resourceVersion", "value": found.version},
        {"op": "add", "path": "/metadata/labels", "value": labels},
        {"op": "add", "path": "/metadata/annotations", "value": {**found.annotations, ADOPTED: "true"}},
    ]
    try:
        await api.patch(found.path, patch)
    except (Absent, Conflict):
        raise NotOwned("the service account changed since it was shown and was left alone: look again") from None
