"""From a backend to its store: the one place that knows which provider serves which type.

Called through `airwarden.reconcile.backends` when a backend is first used or its connection changed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from airwarden.api.backend import AirflowSecretBackend, BackendType
from airwarden.api.tls import ConfigMapKey
from airwarden.domain.errors import ClusterFailed, InvalidSettings
from airwarden.domain.identity import Expected
from airwarden.providers.kubernetes.api import Absent, KubernetesApi
from airwarden.providers.ports import Rotator, Store
from airwarden.providers.vault.opening import open_store as open_vault
from airwarden.providers.vault.rotation.opening import open_rotator as open_vault_rotator
from airwarden.providers.vault.rotation.opening import refuse_without_rotation


@dataclass(frozen=True, slots=True)
class Opening:
    """What opening a store needs of the operator."""

    api: KubernetesApi
    cluster: str
    namespace: str
    token_directory: Path
    told: Callable[[str, str, int], None] = lambda *_: None
    """Takes a backend, a limit of its store and how many requests that still permits."""

    async def open(self, backend: AirflowSecretBackend) -> Store:
        """Return the store. Raises InvalidSettings when something that the backend names is not there."""
        ca_pem = await self.ca_bundle(backend)
        uid = await cluster_uid(self.api)
        store = self._opened(backend, ca_pem)
        store.expect(Expected.of(backend, uid))
        return store

    def _opened(self, backend: AirflowSecretBackend, ca_pem: str | None) -> Store:
        if backend.spec.type is BackendType.VAULT:
            return open_vault(backend, cluster=self.cluster, token_directory=self.token_directory, ca_pem=ca_pem)
        # Azure's clients take 50 MB and a second to load, which an operator without such a backend need not spend.
        from airwarden.providers.azure.opening import open_store as open_azure  # noqa: PLC0415

        return open_azure(
            backend, cluster=self.cluster, token_directory=self.token_directory, ca_pem=ca_pem, told=self.told
        )

    async def open_rotator(self, backend: AirflowSecretBackend) -> Rotator:
        """Return the store's rotating side, with a login of its own.

        Raises RotationNotEnabled for a backend without one, InvalidSettings when something that it names is not there.
        """
        refuse_without_rotation(backend)
        ca_pem = await self.ca_bundle(backend)
        # The name of the cluster is claimed by the login that may write policies, never by this one.
        expected = Expected.of(backend, await cluster_uid(self.api), claims=False)
        return open_vault_rotator(
            backend, expected, cluster=self.cluster, token_directory=self.token_directory, ca_pem=ca_pem
        )

    async def ca_bundle(self, backend: AirflowSecretBackend) -> str | None:
        """Return the certificates that the backend names; None when it names none. Raises InvalidSettings."""
        reference = backend.spec.ca_bundle_ref
        return await self._ca_bundle(reference.config_map) if reference is not None else None

    async def _ca_bundle(self, reference: ConfigMapKey) -> str:
        where = f"ConfigMap {self.namespace}/{reference.name}"
        try:
            found = await self.api.get(f"/api/v1/namespaces/{self.namespace}/configmaps/{reference.name}")
        except Absent:
            raise InvalidSettings(f"{where} of tls.caBundleRef is not there: create it, or correct the name") from None
        pem = (found.get("data") or {}).get(reference.key)
        if not isinstance(pem, str):
            raise InvalidSettings(
                f"{where} has no key {reference.key}: add it, or correct tls.caBundleRef.configMap.key"
            )
        return pem


async def cluster_uid(api: KubernetesApi) -> str:
    """Return the uid of kube-system, which a cluster keeps for life. Raises ClusterFailed without one."""
    path = "/api/v1/namespaces/kube-system"
    try:
        uid = (await api.get(path))["metadata"].get("uid")
    except Absent:
        uid = None
    if not isinstance(uid, str) or not uid:
        raise ClusterFailed(f"the Kubernetes API has no uid for {path}: is it a Kubernetes API?")
    return uid
