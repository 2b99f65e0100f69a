"""The operator's other ways to log in, on real Vault: each behaves as the usual one, and keeps its secret to itself."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

import pytest
import pytest_asyncio

from airwarden.domain import errors
from airwarden.providers.vault.client import VaultClient
from airwarden.providers.vault.store import VaultStore
from airwarden.providers.vault.transport import Call
from contract.vault.bench import create, grant
from contract.vault.test_failures import Clock
from contract.vault.ways import WAYS, Way
from plane.waiting import wait_for

WANTED = grant("logins")
LOOK = Call("GET", f"sys/policies/acl/{WANTED.owner.name_in_store}")
PATIENCE = 30.0


@pytest.fixture(params=list(WAYS))
def way(request: pytest.FixtureRequest, ways: Mapping[str, Way]) -> Way:
    """Return each way to log in."""
    found: Way = ways[request.param]
    return found


@pytest_asyncio.fixture
async def store(way: Way) -> AsyncIterator[VaultStore]:
    """Return a store that logs in this way, closed after the test."""
    opened = way.open()
    yield opened
    await opened.close()


async def observe(store: VaultStore) -> None:
    await store.observe(WANTED.owner, store.addresses(WANTED.owner), known=True)


async def soon(what: str, holds: Callable[[], Awaitable[bool]]) -> None:
    """Wait until something holds that the loop is still working on."""
    async with asyncio.timeout(PATIENCE):
        while not await holds():  # noqa: ASYNC110 - what is waited for is the loop's own work
            await asyncio.sleep(0.02)
    assert await holds(), what


async def test_what_is_printed_gives_every_right_that_is_needed(store: VaultStore) -> None:
    assert (await store.check()).missing_permissions == ()
    await create(store, grant(f"made-{store.layout.auth_mount}"))


async def test_many_at_once_share_one_login(way: Way, store: VaultStore) -> None:
    mark = way.bench.plane.vault.audit.mark()
    await asyncio.gather(*(observe(store) for _ in range(60)))
    assert way.logins(mark) == 1
    assert store.client.counts()["login"] == 1


async def test_a_revoked_token_is_replaced_once_and_nobody_notices(way: Way, store: VaultStore) -> None:
    await observe(store)
    token = way.renew_proof().strip() if not way.mount else ""
    vault = way.bench.plane.vault
    mark = vault.audit.mark()
    if token:
        vault.request("POST", "auth/token/revoke", {"token": token})
    else:
        vault.request("POST", f"sys/leases/revoke-prefix/auth/{way.mount}/login", {})
    await asyncio.gather(*(observe(store) for _ in range(30)))
    assert way.logins(mark) == 1


async def test_a_lost_right_is_forbidden_and_no_reason_to_log_in_again(way: Way, store: VaultStore) -> None:
    await observe(store)
    vault, policy = way.bench.plane.vault, way.setup.policy_name
    mark = vault.audit.mark()
    vault.request("PUT", f"sys/policies/acl/{policy}", {"policy": "# nothing"})
    try:
        with pytest.raises(errors.Forbidden, match="vault-setup"):
            await observe(store)
    finally:
        vault.request("PUT", f"sys/policies/acl/{policy}", {"policy": way.setup.policy_text})
    await observe(store)
    assert way.logins(mark) == 0


REFUSED = {
    "AppRole": (
        "5f2d9b6e-0000-4000-8000-0123456789ab",
        "invalid role or secret ID",
        "put a secret-id that still holds",
    ),
    "JWT": ("", "error verifying token", "Check the login's role, audience and account"),
    "TokenFile": ("hvs.CAESIneverwasatokenofthisvault", "invalid token", "Put a token that Vault knows into file"),
}


async def test_a_refused_login_has_vaults_words_and_what_to_do_and_heals_with_the_file(way: Way) -> None:
    method = way.pair.login["method"]
    content, words, advice = REFUSED[method]
    before = way.file.read_text()
    wrong = content or f"{before[:-8]}AAAAAAAA"
    store = way.open()
    way.file.write_text(wrong)
    try:
        with pytest.raises(errors.Unauthorized, match=words) as caught:
            await observe(store)
        assert advice in caught.value.message
        assert wrong not in caught.value.message
        if method != "JWT":
            assert str(way.file) in caught.value.message
        way.file.write_text("")
        with pytest.raises(errors.InvalidSettings, match=str(way.file)):
            await observe(store)
        way.file.unlink()
        with pytest.raises(errors.InvalidSettings, match="No such file"):
            await observe(store)
    finally:
        way.file.write_text(before)
    await observe(store)
    await store.close()


async def test_closing_revokes_what_the_operator_made_and_nothing_else(way: Way) -> None:
    store = way.open()
    await observe(store)
    vault = way.bench.plane.vault
    mark = vault.audit.mark()
    await store.close()
    asked = [each.path for each in vault.audit.entries(mark)]
    assert asked == (["auth/token/revoke-self"] if way.mount else [])
    if not way.mount:
        vault.request("GET", "auth/token/lookup-self", token=way.file.read_text().strip())


@pytest.mark.parametrize("name", ["AppRole", "JWT"])
async def test_a_login_is_renewed_before_it_ends_and_replaced_when_it_ends(ways: Mapping[str, Way], name: str) -> None:
    clock = Clock()
    client = VaultClient(ways[name].open().client.connection, clock)

    async def counted(login: int, renew: int) -> None:
        async def holds() -> bool:
            await client.request(LOOK)
            counts = client.counts()
            return (counts.get("login", 0), counts.get("renew", 0)) == (login, renew)

        await soon(f"{login} logins and {renew} renewals", holds)

    try:
        await counted(1, 0)
        clock.ahead += 15 * 60 * 0.7
        await counted(1, 1)
        clock.ahead += 15 * 60
        await counted(2, 1)
    finally:
        await client.close()


@pytest.fixture
def kept(ways: Mapping[str, Way]) -> Way:
    """Return the way with a token that somebody else keeps."""
    return ways["TokenFile"]


async def test_a_token_from_a_file_is_never_renewed_and_is_asked_about_again_only_at_its_end(kept: Way) -> None:
    clock = Clock()
    kept.renew_proof()
    client = VaultClient(kept.open().client.connection, clock)
    mark = kept.bench.plane.vault.audit.mark()
    try:
        for _ in range(10):
            await client.request(LOOK)
            clock.ahead += 60
        assert client.counts() == {"login": 1, "request": 10}
        clock.ahead += 15 * 60
        await client.request(LOOK)
        assert client.counts() == {"login": 2, "request": 11}
        paths = {each.path for each in kept.bench.plane.vault.audit.entries(mark)}
        assert paths == {LOOK.path, "auth/token/lookup-self"}
    finally:
        await client.close()


async def test_a_new_token_in_the_file_is_taken_up_before_the_old_one_ends(kept: Way) -> None:
    clock = Clock()
    client = VaultClient(kept.open().client.connection, clock)
    try:
        await client.request(LOOK)
        kept.renew_proof()

        async def taken_up() -> bool:
            clock.ahead += 31
            await client.request(LOOK)
            login = client._login
            return login is not None and login.token == kept.file.read_text().strip()

        await soon("the new token is used", taken_up)
        assert client.counts()["login"] == 2
    finally:
        await client.close()


async def test_a_file_that_is_away_for_a_while_does_not_end_a_token_that_holds(kept: Way) -> None:
    clock = Clock()
    client = VaultClient(kept.open().client.connection, clock)
    content = kept.file.read_text()
    try:
        await client.request(LOOK)
        kept.file.unlink()
        for _ in range(3):
            clock.ahead += 31
            await client.request(LOOK)
        assert client.counts()["login"] == 1
    finally:
        kept.file.write_text(content)
        await client.close()


async def test_a_token_with_counted_uses_is_refused(kept: Way) -> None:
    content = kept.file.read_text()
    body = {"policies": [kept.setup.policy_name], "no_default_policy": True, "num_uses": 5, "ttl": "5m"}
    token = kept.bench.plane.vault.request("POST", "auth/token/create", body)["auth"]["client_token"]
    store = kept.open()
    kept.file.write_text(token)
    try:
        with pytest.raises(errors.InvalidSettings, match="only 4 uses left") as caught:
            await observe(store)
        assert str(kept.file) in caught.value.message
    finally:
        kept.file.write_text(content)
        await store.close()


async def test_no_proof_is_in_any_log_at_debug(way: Way, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    store = way.open()
    await store.check()
    await create(store, grant(f"logged-{store.layout.auth_mount}"))
    login = store.client._login
    assert login is not None
    shown = caplog.text + repr(login) + repr(vars(store.client)) + repr(store.client.connection)
    await store.close()
    assert len(shown) > 1000
    for secret in (login.token, *way.file.read_text().strip().split(".")[-2:]):
        assert secret not in shown


async def test_a_sealed_vault_is_no_refused_login(way: Way) -> None:
    store, vault = way.open(), way.bench.plane.vault
    vault.seal()
    try:
        with pytest.raises(errors.Sealed):
            await observe(store)
    finally:
        vault.unseal()
    wait_for("Vault answers", vault.healthy, PATIENCE)
    await observe(store)
    await store.close()
