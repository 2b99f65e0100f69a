"""Every way in which Vault fails, on the real thing: each its own error, in time, and healed by itself."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from airwarden.domain import errors
from airwarden.domain.resources import Grant
from airwarden.providers.vault.client import VaultClient
from airwarden.providers.vault.connection import ProjectedToken
from airwarden.providers.vault.store import VaultStore
from airwarden.providers.vault.transport import Call
from contract.vault.bench import AUTH, KV, OPERATOR, Bench, create, grant
from plane.vault_server import VaultServer

WANTED = grant("failing")
Opening = Callable[..., VaultStore]


async def observe(store: VaultStore, wanted: Grant = WANTED) -> None:
    await store.observe(wanted.owner, store.addresses(wanted.owner), known=True)


def read_from(store: VaultStore, file: Path) -> None:
    """Let the store read the operator's projected token from another file."""
    credentials = store.client.connection.credentials
    assert isinstance(credentials, ProjectedToken)
    store.client.connection = replace(store.client.connection, credentials=replace(credentials, file=file))


def logins(bench: Bench, mark: int) -> int:
    return sum(each.path == f"auth/{AUTH}/login" for each in bench.plane.vault.audit.entries(mark))


async def test_many_at_once_share_one_login(bench: Bench, opening: Opening) -> None:
    mark = bench.plane.vault.audit.mark()
    store = opening()
    await asyncio.gather(*(observe(store) for _ in range(60)))
    assert logins(bench, mark) == 1
    assert store.client.counts()["login"] == 1


async def test_a_revoked_token_is_replaced_once_and_nobody_notices(bench: Bench, store: VaultStore) -> None:
    await observe(store)
    mark = bench.plane.vault.audit.mark()
    bench.plane.vault.request("POST", f"sys/leases/revoke-prefix/auth/{AUTH}/login", {})
    await asyncio.gather(*(observe(store) for _ in range(30)))
    await create(store, grant("after-revocation"))
    assert logins(bench, mark) == 1


async def test_a_lost_right_is_forbidden_and_not_a_reason_to_log_in_again(bench: Bench, store: VaultStore) -> None:
    await observe(store)
    vault, policy = bench.plane.vault, bench.setup.policy_name
    mark = vault.audit.mark()
    vault.request("PUT", f"sys/policies/acl/{policy}", {"policy": "# nothing"})
    try:
        with pytest.raises(errors.Forbidden, match="vault-setup"):
            await observe(store)
    finally:
        vault.request("PUT", f"sys/policies/acl/{policy}", {"policy": bench.setup.policy_text})
    await observe(store)
    assert logins(bench, mark) == 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"bound_service_account_names": "another"}, "service account name not authorized"),
        ({"bound_service_account_namespaces": "another"}, "namespace not authorized"),
        ({"audience": "another"}, "invalid audience"),
    ],
)
async def test_a_refused_login_has_vaults_own_words(
    bench: Bench, store: VaultStore, change: dict[str, str], words: str
) -> None:
    vault, role = bench.plane.vault, f"auth/{AUTH}/role/{bench.setup.role_name}"
    vault.request("POST", role, change)
    try:
        with pytest.raises(errors.Unauthorized, match=words):
            await observe(store)
    finally:
        vault.request("POST", role, dict(bench.setup.role_fields))
    await observe(store)


async def test_other_refused_logins(bench: Bench, opening: Opening, tmp_path: Path) -> None:
    login = {"mount": AUTH, "role": "nobody"}
    with pytest.raises(errors.Unauthorized, match="invalid role name"):
        await observe(opening(login={"kubernetes": login}))
    with pytest.raises(errors.Unauthorized, match="permission denied"):
        await observe(opening(login={"kubernetes": {"mount": "nowhere", "role": "airwarden"}}))
    store = opening()
    forged = (bench.tokens / "vault").read_text()[:-8] + "AAAAAAAA"
    (tmp_path / "vault").write_text(forged)
    read_from(store, tmp_path / "vault")
    with pytest.raises(errors.Unauthorized, match="permission denied") as caught:
        await observe(store)
    assert forged not in repr(caught.value)


async def test_the_token_file_is_read_anew_at_each_login(bench: Bench, opening: Opening, tmp_path: Path) -> None:
    store = opening()
    file = tmp_path / "vault"
    read_from(store, file)
    with pytest.raises(errors.InvalidSettings, match=str(file)):
        await observe(store)
    file.write_text(bench.plane.service_account_token(OPERATOR.namespace, OPERATOR.name, "other"))
    with pytest.raises(errors.InvalidSettings, match="audience"):
        await observe(store)
    file.write_text(bench.plane.service_account_token(OPERATOR.namespace, OPERATOR.name, "vault"))
    await observe(store)


async def test_a_mount_that_is_not_there_is_neither_absence_nor_a_denial(bench: Bench, opening: Opening) -> None:
    policy, vault = "sys/policies/acl/" + bench.setup.policy_name, bench.plane.vault
    more = 'path "auth/gone/*" { capabilities = ["read", "list"] }'
    vault.request("PUT", policy, {"policy": bench.setup.policy_text + more})
    store = opening(workloadLogin={"kubernetes": {"mount": "gone", "audience": "vault"}})
    try:
        for known in (True, False):
            with pytest.raises(errors.MountMissing, match="no handler for route"):
                await store.observe(WANTED.owner, store.addresses(WANTED.owner), known=known)
    finally:
        vault.request("PUT", policy, {"policy": bench.setup.policy_text})


async def test_what_vault_refuses_is_rejected_with_its_words(store: VaultStore) -> None:
    name = WANTED.owner.name_in_store
    with pytest.raises(errors.Rejected, match="cannot be greater"):
        await store.client.request(Call("POST", f"auth/{AUTH}/role/{name}", {"token_ttl": "1h", "token_max_ttl": "1m"}))
    with pytest.raises(errors.Rejected):
        await store.client.request(Call("POST", f"sys/policies/acl/{name}", {"policy": "path {"}))


async def test_a_quota_is_throttled_with_the_wait_that_vault_asks_for(bench: Bench, store: VaultStore) -> None:
    vault = bench.plane.vault
    await observe(store)
    vault.request("POST", "sys/quotas/config", {"enable_rate_limit_response_headers": True})
    vault.request("POST", "sys/quotas/rate-limit/contract", {"rate": 2, "interval": "60s", "path": f"auth/{AUTH}/"})
    try:
        with pytest.raises(errors.Throttled) as caught:
            await asyncio.gather(*(observe(store) for _ in range(5)))
        assert caught.value.retry_after is not None
        assert 0 < caught.value.retry_after <= 60
    finally:
        vault.request("DELETE", "sys/quotas/rate-limit/contract")
    await observe(store)


async def test_a_fault_of_vaults_own_is_told_apart(store: VaultStore) -> None:
    path = f"sys/policies/acl/{WANTED.owner.name_in_store}"
    with pytest.raises((errors.StoreFailed, errors.Rejected)) as caught:
        await store.client.request(Call("POST", path, {"policy": "#" * (2 << 20)}))
    assert "500" in caught.value.message
    assert isinstance(caught.value, errors.StoreFailed)


@pytest.fixture
def vault(bench: Bench) -> Iterator[VaultServer]:
    """Return the shared Vault, which runs and is unsealed again after the test."""
    server = bench.plane.vault
    yield server
    server.resume()
    if not server.healthy():
        server.stop()
        server.start()


async def test_sealed_and_unsealed(vault: VaultServer, store: VaultStore) -> None:
    await observe(store)
    vault.seal()
    with pytest.raises(errors.Sealed):
        await observe(store)
    with pytest.raises(errors.Sealed, match="unseal"):
        await store.check()
    vault.unseal()
    await observe(store)
    assert (await store.check()).missing_permissions == ()


async def test_stopped_started_sealed_unsealed(vault: VaultServer, store: VaultStore) -> None:
    await observe(store)
    vault.stop()
    for call in (observe(store), store.check()):
        with pytest.raises(errors.Unreachable, match="refused"):
            await call
    vault.start(unseal=False)
    with pytest.raises(errors.Sealed):
        await observe(store)
    vault.unseal()
    await observe(store)
    assert store.client.counts()["login"] == 1


async def test_a_hanging_vault_is_unreachable_in_time_and_closing_does_not_hang(
    vault: VaultServer, opening: Opening
) -> None:
    store = opening(requests={"timeout": "1s", "maxConcurrent": 4})
    await observe(store)
    vault.pause()
    async with asyncio.timeout(60):
        with pytest.raises(errors.Unreachable, match="time ran out after 1 s"):
            await observe(store)
        await store.close()
    vault.resume()


async def test_closing_revokes_the_token_and_ends_the_store(bench: Bench, opening: Opening) -> None:
    store = opening()
    await observe(store)
    mark = bench.plane.vault.audit.mark()
    await store.close()
    assert [each.path for each in bench.plane.vault.audit.entries(mark)] == ["auth/token/revoke-self"]
    with pytest.raises(errors.Unreachable, match="closed"):
        await observe(store)
    await store.close()


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.ahead


async def test_the_login_is_renewed_before_it_ends_and_replaced_when_it_ends_or_cannot_grow(
    bench: Bench, opening: Opening
) -> None:
    vault, role = bench.plane.vault, f"auth/{AUTH}/role/{bench.setup.role_name}"
    clock = Clock()
    connection = opening().client.connection
    client = VaultClient(connection, clock)
    call = Call("GET", f"sys/policies/acl/{WANTED.owner.name_in_store}")

    async def settle() -> dict[str, int]:
        await client.request(call)
        await asyncio.sleep(0.3)
        counts = client.counts()
        return {kind: counts.get(kind, 0) for kind in ("login", "renew")}

    try:
        assert await settle() == {"login": 1, "renew": 0}
        clock.ahead += 15 * 60 * 0.6
        assert await settle() == {"login": 1, "renew": 0}
        clock.ahead += 15 * 60 * 0.1
        assert await settle() == {"login": 1, "renew": 1}
        assert await settle() == {"login": 1, "renew": 1}
        clock.ahead += 15 * 60
        assert await settle() == {"login": 2, "renew": 1}
        vault.request("POST", role, {"token_ttl": "10s", "token_max_ttl": "12s"})
        clock.ahead += 15 * 60
        assert await settle() == {"login": 3, "renew": 1}
        await asyncio.sleep(3)
        clock.ahead += 4
        assert await settle() == {"login": 4, "renew": 2}, "a renewal that no longer grows leads to a new login"
    finally:
        vault.request("POST", role, dict(bench.setup.role_fields))
        await client.close()


async def test_the_pace_is_kept(opening: Opening) -> None:
    store = opening(requests={"perSecond": 50})
    await observe(store)
    await asyncio.sleep(0.2)
    started = time.monotonic()
    await asyncio.gather(*(observe(store) for _ in range(25)))
    assert time.monotonic() - started > 0.85


async def test_a_key_value_engine_is_never_asked(bench: Bench, opening: Opening) -> None:
    mark = bench.plane.vault.audit.mark()
    store = opening()
    await store.check()
    await create(store, grant("no-values"))
    await store.close()
    assert not any(each.path.startswith(f"{KV}/") for each in bench.plane.vault.audit.entries(mark))
