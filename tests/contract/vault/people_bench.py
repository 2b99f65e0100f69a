"""A real Vault in which people log in with tokens of an identity provider, and a backend that lets some groups in.

The identity provider is a key of the tests' own; the external groups are made as an admin makes them. Cluster, operator
and its policy are their own, the mounts those of `bench`. Used by `test_people.py` and `test_people_rights.py`.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from airwarden.api.backend import AirflowSecretBackend
from airwarden.domain.diff import Terms, diff
from airwarden.domain.owner import Owner
from airwarden.domain.resources import Address, Changes, Grant, Readable, StaticSecret
from airwarden.providers.vault.fenced.setup import ModeOptions
from airwarden.providers.vault.opening import open_store
from airwarden.providers.vault.people import GROUP
from airwarden.providers.vault.setup import VaultSetup, vault_setup
from airwarden.providers.vault.store import VaultStore
from contract.vault.bench import AUTH, BACKEND, KV, NAMESPACE, OPERATOR, Bench, backend_of, grant
from plane.errors import PlaneHTTPError
from plane.vault_admin import login, read_secret, write_secret

CLUSTER = "c5"
MOUNT, POLICY, ROLE = "contract-people", "contract-people-operator", "contract-people-airwarden"
ANALYSTS, AUDITORS, STRANGERS = "analysts", "auditors", "strangers"


@dataclass(frozen=True)
class PeopleBench:
    """The prepared Vault."""

    bench: Bench
    key: rsa.RSAPrivateKey
    ids: dict[str, str] = field(default_factory=dict)
    """Vault's ids of the external groups, by the value that stands in tokens."""

    @classmethod
    def prepare(cls, bench: Bench) -> PeopleBench:
        """Make the people's login, one external group for each group of theirs, and what is printed for the backend."""
        made = cls(bench, rsa.generate_private_key(public_exponent=65537, key_size=2048))
        vault = bench.plane.vault
        pem = made.key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        vault.request("POST", f"sys/auth/{MOUNT}", {"type": "jwt"})
        vault.request("POST", f"auth/{MOUNT}/config", {"jwt_validation_pubkeys": [pem.decode()]})
        role = {"role_type": "jwt", "user_claim": "sub", "groups_claim": "groups", "bound_audiences": ["people"]}
        vault.request("POST", f"auth/{MOUNT}/role/person", role)
        accessor = vault.request("GET", f"sys/auth/{MOUNT}")["data"]["accessor"]
        for value in (ANALYSTS, AUDITORS, STRANGERS):
            group = vault.request("POST", "identity/group", {"name": f"idp-{value}", "type": "external"})["data"]["id"]
            alias = {"name": value, "mount_accessor": accessor, "canonical_id": group}
            vault.request("POST", "identity/group-alias", alias)
            made.ids[value] = str(group)
        setup = made.setup()
        vault.request("PUT", f"sys/policies/acl/{setup.policy_name}", {"policy": setup.policy_text})
        vault.request("POST", f"auth/{setup.role_mount}/role/{setup.role_name}", dict(setup.role_fields))
        return made

    def backend(self) -> AirflowSecretBackend:
        """Return the backend: it lets in analysts and auditors."""
        plain = backend_of(self.bench.plane.vault_address, login={"kubernetes": {"mount": AUTH, "role": ROLE}})
        groups = [{"provider": "idp", "value": each, "vaultGroupID": self.ids[each]} for each in (ANALYSTS, AUDITORS)]
        body = plain.model_dump(by_alias=True, exclude_none=True)
        return AirflowSecretBackend.model_validate({**body, "spec": {**body["spec"], "groups": groups}})

    def setup(self) -> VaultSetup:
        """Return what is printed for it."""
        return vault_setup(self.backend(), cluster=CLUSTER, operator=OPERATOR, options=ModeOptions(policy=POLICY))

    def open(self) -> VaultStore:
        """Return its store."""
        opened = open_store(self.backend(), cluster=CLUSTER, token_directory=self.bench.tokens, ca_pem=None)
        assert isinstance(opened, VaultStore)
        return opened

    def operator_token(self) -> str:
        """Return a token with exactly the operator's rights."""
        return login(self.bench.plane, ROLE, (self.bench.tokens / "vault").read_text(), AUTH)

    def person(self, *groups: str, name: str = "somebody") -> str:
        """Log somebody in who is in these groups; return the token."""
        now = int(time.time())
        claims = {"sub": name, "aud": ["people"], "groups": list(groups), "iat": now, "nbf": now, "exp": now + 600}
        body = {"role": "person", "jwt": jwt.encode(claims, self.key, "RS256")}
        return str(
            self.bench.plane.vault.request("POST", f"auth/{MOUNT}/login", body, token="")["auth"]["client_token"]
        )

    def grant(self, binding: str, *groups: str, common: tuple[Readable, ...] = ()) -> Grant:
        """Return a grant of one secret, which these groups may read too, and of others that only tasks may."""
        own = StaticSecret(f"{NAMESPACE}/connections/{binding}")
        plain = grant(binding, own, *common)
        return replace(
            plain,
            owner=Owner(CLUSTER, NAMESPACE, binding, BACKEND),
            people=frozenset(self.ids[each] for each in groups),
            for_people=frozenset({own}),
        )

    def put(self, *keys: str) -> None:
        """Write secrets."""
        for key in keys:
            write_secret(self.bench.plane, key, {"value": key}, mount=KV)

    def reads(self, token: str, key: str) -> bool:
        """Tell whether a token can read a secret."""
        try:
            read_secret(self.bench.plane, key, token=token, mount=KV)
        except PlaneHTTPError as refused:
            if refused.status != 403:
                raise
            return False
        return True

    def group(self, owner: Owner) -> dict[str, object]:
        """Return the group as Vault has it."""
        return dict(self.bench.plane.vault.request("GET", f"identity/group/name/{owner.name_in_store}")["data"])


async def changes(store: VaultStore, wanted: Grant | None, recorded: dict[Address, str], owner: Owner) -> Changes:
    """Return what a pass of the reconciler would decide."""
    desired = store.render(wanted) if wanted is not None else ()
    order = store.addresses(owner, [*(each.address for each in desired), *recorded])
    seen = await store.observe(owner, order, known=bool(recorded))
    return diff(desired, seen, recorded, order, Terms(alone=store.alone))


async def reconcile(
    store: VaultStore, wanted: Grant | None, recorded: dict[Address, str] | None = None, owner: Owner | None = None
) -> dict[Address, str]:
    """Do what the decision says; return what is on the record then."""
    whose = wanted.owner if wanted is not None else owner
    assert whose is not None
    found = await changes(store, wanted, recorded or {}, whose)
    assert found.conflicts == ()
    for each in found.operations:
        written = await store.apply(each)
        assert written.warnings == ()
        assert bool(written.id) == (each.address.kind == GROUP and each.resource is not None)
    return {each.address: each.digest for each in store.render(wanted)} if wanted is not None else {}
