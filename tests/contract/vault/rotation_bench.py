"""A real Vault, set up for rotations as `airwarden vault-setup` prints it, with the secrets that the tests rotate.

Used by `test_rotation.py` and `test_rotation_rights.py`. The login under test has exactly the printed policy. Each
test takes secrets with names of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from airwarden.api.backend import AirflowSecretBackend
from airwarden.domain.identity import Expected
from airwarden.providers.vault.fenced.setup import ModeOptions
from airwarden.providers.vault.rotation.opening import open_rotator
from airwarden.providers.vault.rotation.rotator import VaultRotator
from airwarden.providers.vault.rotation.setup import RotationOptions, RotationSetup
from airwarden.providers.vault.setup import VaultSetup, vault_setup
from contract.vault.bench import AUTH, CLUSTER, KV, NAMESPACE, OPERATOR, Bench, backend_of
from plane.printed import run_script
from plane.vault_admin import login

ROLE, READING_ROLE = "contract-rotation", "contract-rotation-reading"
PASSWORD_POLICY, MISSING_POLICY = "contract-words", "contract-nowhere"
ALPHABET: Final = 'abcXYZ%@:/ "'
"""What the password policy makes values of: with characters that a URI and JSON write otherwise."""
UID = "11111111-2222-3333-4444-555555555555"


@dataclass(frozen=True)
class RotationBench:
    """A prepared Vault with two logins for rotations: the usual one, and one that may also read."""

    bench: Bench
    setup: VaultSetup

    @classmethod
    def prepare(cls, bench: Bench) -> RotationBench:
        """Run the printed scripts twice, as an admin may, and write a password policy."""
        rules = f'length = 24\nrule "charset" {{\n  charset = "{ALPHABET.replace(chr(34), chr(92) + chr(34))}"\n}}\n'
        bench.plane.vault.request("PUT", f"sys/policies/password/{PASSWORD_POLICY}", {"policy": rules})
        made = printed(bench)
        for _ in range(2):
            run_script(bench.plane, made.script)
            run_script(bench.plane, printed(bench, reading=True).script)
        return cls(bench, made)

    @property
    def rotation(self) -> RotationSetup:
        """The policy and login of the usual one."""
        assert self.setup.rotation is not None
        return self.setup.rotation

    def open(self, *, reading: bool = False, uid: str = UID, **vault: object) -> VaultRotator:
        """Return the rotating side."""
        backend = rotating(backend_of(str(vault.pop("address", self.bench.plane.vault_address)), **vault), reading)
        expected = Expected.of(backend, uid, claims=False)
        return open_rotator(backend, expected, cluster=CLUSTER, token_directory=self.bench.tokens, ca_pem=None)

    def steal(self, role: str = ROLE) -> str:
        """Return a Vault token of the login for rotations."""
        return login(self.bench.plane, role, (self.bench.tokens / "vault").read_text(), AUTH)

    def put(self, name: str, **fields: object) -> str:
        """Write a secret of the tests' namespace; return its key."""
        key = f"{NAMESPACE}/{name}"
        self.admin("POST", f"data/{key}", {"data": fields})
        return key

    def read(self, key: str, version: int | None = None) -> dict[str, Any]:
        """Return what a version of a secret holds, by default the current one."""
        query = f"?version={version}" if version is not None else ""
        return dict(self.admin("GET", f"data/{key}{query}")["data"]["data"])

    def metadata(self, key: str) -> dict[str, Any]:
        """Return a secret's metadata."""
        return dict(self.admin("GET", f"metadata/{key}")["data"])

    def admin(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """Send a request on the key-value mount with the root token."""
        return self.bench.plane.vault.request(method, f"{KV}/{path}", body)


def rotating(backend: AirflowSecretBackend, reading: bool = False) -> AirflowSecretBackend:
    """Return the backend with a login for rotations, and a rule that lets them write."""
    body = backend.model_dump(by_alias=True, mode="json", exclude_none=True)
    body["spec"]["rotation"] = {"login": {"kubernetes": {"mount": AUTH, "role": READING_ROLE if reading else ROLE}}}
    body["spec"]["allow"][0]["operations"] = ["Read", "RotateGenerate"]
    return AirflowSecretBackend.model_validate(body)


def printed(bench: Bench, *, reading: bool = False) -> VaultSetup:
    """Return what `airwarden vault-setup` prints."""
    # The reading one under names of its own, so that it replaces nothing of the usual one.
    more = {"login": {"kubernetes": {"mount": AUTH, "role": "contract-airwarden-reading"}}} if reading else {}
    return vault_setup(
        rotating(bench.backend(**more), reading),
        cluster=CLUSTER,
        operator=OPERATOR,
        enable_kv=True,
        options=ModeOptions(policy="contract-reading") if reading else None,
        rotation=RotationOptions(read=reading, password_policies=(PASSWORD_POLICY, MISSING_POLICY)),
    )
