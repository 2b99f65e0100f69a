"""New values on a real Vault: one field of one version, never over what somebody else wrote, and seen by nobody."""

from __future__ import annotations

import json
import logging
import traceback
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from urllib.parse import unquote, urlsplit

import pytest
import pytest_asyncio

from airwarden.api.rotation import Characters, Generate, Part
from airwarden.domain import errors
from airwarden.domain.rotation.facts import RunMark, SecretFacts, SecretState
from airwarden.providers.ports import Rotator
from airwarden.providers.vault.rotation.rotator import VaultRotator
from contract.vault.bench import KV, NAMESPACE
from contract.vault.rotation_bench import ALPHABET, MISSING_POLICY, PASSWORD_POLICY, RotationBench
from plane.proxy import Answer, Fate, Proxy, Request

OLD = "the-old-password"
URI = f"postgresql://app%40corp:{OLD}@db.example:5432/main?sslmode=require"
OWN = Generate()
MARK = RunMark("c1/contract-team/warehouse", "run-1", "2031-05-01T10:00:00Z")
Opening = Callable[..., VaultRotator]


@pytest_asyncio.fixture
async def opening(rotating: RotationBench) -> AsyncIterator[Opening]:
    """Return a function that opens rotators, all closed after the test."""
    opened: list[VaultRotator] = []

    def open_one(**vault: object) -> VaultRotator:
        opened.append(rotating.open(**vault))  # type: ignore[arg-type] # settings of the Vault beside the bench's own
        return opened[-1]

    yield open_one
    for each in opened:
        await each.close()


@pytest.fixture
def rotator(opening: Opening) -> VaultRotator:
    made = opening()
    as_reconciled: Rotator = made  # the type checker holds it to the contract
    assert as_reconciled.settings == opening().settings
    return made


async def test_a_look_tells_version_time_and_names_of_fields_and_reads_no_value(
    rotating: RotationBench, rotator: VaultRotator
) -> None:
    key = rotating.put("look", password=OLD, host="db", nested={"a": "b"})
    mark = rotating.bench.plane.vault.audit.mark()
    found = await rotator.look(key)
    assert found.made is not None
    assert timedelta(0) <= datetime.now(UTC) - found.made < timedelta(minutes=5)
    assert found == SecretFacts(SecretState.PRESENT, 1, found.made, frozenset({"password", "host", "nested"}), None, 0)
    paths = {each.path for each in rotating.bench.plane.vault.audit.entries(mark) if each.path.startswith(KV)}
    assert paths == {f"{KV}/metadata/{key}", f"{KV}/subkeys/{key}"}


async def test_a_write_replaces_the_one_field_as_a_new_version(rotating: RotationBench, rotator: VaultRotator) -> None:
    key = rotating.put("one-field", password=OLD, host="db", nested={"a": "b"})
    assert await rotator.write(key, "password", Part.VALUE, OWN, 1) == 2
    new = rotating.read(key)
    assert new == {"password": new["password"], "host": "db", "nested": {"a": "b"}}
    assert len(new["password"]) == 32
    assert rotating.read(key, 1)["password"] == OLD
    wanted = Generate(length=64, characters=(Characters.DIGIT,))
    assert await rotator.write(key, "password", Part.VALUE, wanted, 2) == 3
    assert len(rotating.read(key)["password"]) == 64
    assert rotating.read(key)["password"].isdigit()


async def test_a_version_made_by_hand_is_never_overwritten(rotating: RotationBench, rotator: VaultRotator) -> None:
    key = rotating.put("by-hand", password=OLD)
    rotating.put("by-hand", password="by-hand")
    with pytest.raises(errors.VersionMoved, match="another version"):
        await rotator.write(key, "password", Part.VALUE, OWN, 1)
    assert rotating.read(key) == {"password": "by-hand"}
    assert (await rotator.look(key)).version == 2


async def test_deleted_destroyed_and_absent_are_told_apart_and_not_written(
    rotating: RotationBench, rotator: VaultRotator
) -> None:
    key = rotating.put("gone", password=OLD)
    assert await rotator.look(f"{NAMESPACE}/never-there") == SecretFacts(SecretState.ABSENT)
    rotating.admin("POST", f"metadata/{NAMESPACE}/no-version", {"max_versions": 3})
    assert await rotator.look(f"{NAMESPACE}/no-version") == SecretFacts(SecretState.ABSENT)
    for act, state in (("DELETE data", SecretState.DELETED), ("PUT destroy", SecretState.DESTROYED)):
        method, kind = act.split()
        rotating.admin(method, f"{kind}/{key}", {"versions": [1]} if kind == "destroy" else None)
        found = await rotator.look(key)
        assert (found.state, found.version, found.fields) == (state, 1, frozenset())
        with pytest.raises(errors.VersionMoved, match="deleted"):
            await rotator.write(key, "password", Part.VALUE, OWN, 1)
    for missing in (key, f"{NAMESPACE}/never-there"):
        with pytest.raises(errors.VersionMoved):
            await rotator.write(missing, "password", Part.VALUE, OWN, 1)
    rotating.admin("DELETE", f"metadata/{key}")
    assert await rotator.look(key) == SecretFacts(SecretState.ABSENT)
    with pytest.raises(errors.VersionMoved, match="deleted meanwhile"):
        await rotator.mark(key, MARK, None)


@pytest.mark.parametrize("act", ["DELETE data", "PUT destroy", "DELETE metadata"])
async def test_what_is_deleted_between_look_and_write_is_not_made_anew(
    rotating: RotationBench, opening: Opening, act: str
) -> None:
    method, kind = act.split()
    key = rotating.put(f"between-{method}-{kind}", password=OLD)

    def delete(request: Request) -> Fate:
        if request.method == "PATCH":
            rotating.admin(method, f"{kind}/{key}", {"versions": [1]} if kind == "destroy" else None)
        return Fate.PASS

    with Proxy(rotating.bench.plane.vault_address) as proxy:
        rotator = opening(address=proxy.address)
        proxy.behaviour = delete
        with pytest.raises(errors.VersionMoved, match="nothing was written"):
            await rotator.write(key, "password", Part.VALUE, OWN, 1)
        found = await rotator.look(key)
        assert found.state is not SecretState.PRESENT
        assert found.version in {0, 1}
        await rotator.close()


async def test_a_time_of_deletion_that_lies_ahead_is_no_deletion(
    rotating: RotationBench, rotator: VaultRotator
) -> None:
    key = f"{NAMESPACE}/later"
    rotating.admin("POST", f"metadata/{key}", {"delete_version_after": "10h"})
    rotating.put("later", password=OLD)
    assert rotating.metadata(key)["versions"]["1"]["deletion_time"]
    assert (await rotator.look(key)).state is SecretState.PRESENT
    assert await rotator.write(key, "password", Part.VALUE, OWN, 1) == 2


async def test_a_field_is_replaced_and_never_added_and_an_object_never_ended(
    rotating: RotationBench, rotator: VaultRotator
) -> None:
    key = rotating.put("fields", password=OLD, nested={"a": "b"})
    with pytest.raises(errors.FieldMissing, match="Its fields are nested, password"):
        await rotator.write(key, "pasword", Part.VALUE, OWN, 1)
    with pytest.raises(errors.FieldNotText, match="holds an object"):
        await rotator.write(key, "nested", Part.VALUE, OWN, 1)
    assert rotating.metadata(key)["current_version"] == 1


async def test_an_engine_without_versions_is_refused_with_the_reason(rotating: RotationBench, opening: Opening) -> None:
    mark = rotating.bench.plane.vault.audit.mark()
    rotator = opening(kv={"mount": KV, "version": 1})
    for work in (
        rotator.look("team/db"),
        rotator.write("team/db", "password", Part.VALUE, OWN, 1),
        rotator.mark("team/db", MARK, None),
    ):
        with pytest.raises(errors.NoVersions, match="engine of version 1"):
            await work
    assert [each.path for each in rotating.bench.plane.vault.audit.entries(mark)] == []


@pytest.mark.parametrize("key", ["../x", "a/../b", "a//b", "a?version=1", "a#b", "a%2e%2e/b", "", "/a", "a/"])
async def test_what_is_no_key_is_sent_to_nobody(rotating: RotationBench, rotator: VaultRotator, key: str) -> None:
    mark = rotating.bench.plane.vault.audit.mark()
    with pytest.raises(errors.NotRotatable):
        await rotator.look(key)
    assert rotating.bench.plane.vault.audit.entries(mark) == []


async def test_a_password_policy_of_the_store_makes_the_value(rotating: RotationBench, rotator: VaultRotator) -> None:
    key = rotating.put("by-policy", password=OLD)
    await rotator.write(key, "password", Part.VALUE, Generate(password_policy=PASSWORD_POLICY), 1)
    value = rotating.read(key)["password"]
    assert len(value) == 24
    assert set(value) <= set(ALPHABET)
    with pytest.raises(errors.PasswordPolicyMissing, match=MISSING_POLICY):
        await rotator.write(key, "password", Part.VALUE, Generate(password_policy=MISSING_POLICY), 2)
    with pytest.raises(errors.Forbidden, match=r"vault-setup prints with --password-policy another$"):
        await rotator.write(key, "password", Part.VALUE, Generate(password_policy="another"), 2)
    assert rotating.metadata(key)["current_version"] == 2


@pytest.mark.parametrize("wanted", [OWN, Generate(password_policy=PASSWORD_POLICY)], ids=["own", "policy"])
async def test_the_password_of_a_uri_is_replaced_and_quoted(
    rotating: RotationBench, opening: Opening, wanted: Generate
) -> None:
    key = rotating.put("uri", conn_uri=URI, host="db")
    rotator = opening(reading=True)
    base = rotating.metadata(key)["current_version"]
    assert await rotator.write(key, "conn_uri", Part.URI_PASSWORD, wanted, base) == base + 1
    new = rotating.read(key)
    before, after = urlsplit(URI), urlsplit(new["conn_uri"])
    assert (after.scheme, after.username, after.hostname, after.port, after.path, after.query) == (
        before.scheme, before.username, before.hostname, before.port, before.path, before.query
    )  # fmt: skip
    password = unquote(after.password or "")
    assert password != OLD
    assert len(password) in (24, 32)
    assert new["host"] == "db"


async def test_what_is_no_uri_with_a_user_is_left_alone(rotating: RotationBench, opening: Opening) -> None:
    key = rotating.put("no-uri", plain="no-uri-at-all", nobody="https://db.example/x", number=5)
    rotator = opening(reading=True)
    for field in ("plain", "nobody"):
        with pytest.raises(errors.NoConnectionURI, match=f"field {field} of secret"):
            await rotator.write(key, field, Part.URI_PASSWORD, OWN, 1)
    with pytest.raises(errors.FieldNotText):
        await rotator.write(key, "number", Part.URI_PASSWORD, OWN, 1)
    assert rotating.metadata(key)["current_version"] == 1


async def test_without_the_right_to_read_a_uri_is_refused_and_the_option_named(
    rotating: RotationBench, rotator: VaultRotator
) -> None:
    key = rotating.put("unreadable", conn_uri=URI)
    with pytest.raises(errors.Forbidden, match=r"what airwarden vault-setup prints with --rotation-read$"):
        await rotator.write(key, "conn_uri", Part.URI_PASSWORD, OWN, 1)
    assert rotating.read(key)["conn_uri"] == URI


async def test_a_mark_stands_beside_what_others_noted(rotating: RotationBench, rotator: VaultRotator) -> None:
    key = rotating.put("marked", password=OLD)
    rotating.admin("POST", f"metadata/{key}", {"custom_metadata": {"team": "billing"}, "max_versions": 7})
    await rotator.mark(key, MARK, None)
    found = await rotator.look(key)
    assert (found.mark, found.kept, found.version) == (MARK, 7, 1)
    await rotator.mark(key, RunMark(MARK.owner, "run-2", "2031-06-01T10:00:00Z"), 4)
    found = await rotator.look(key)
    assert found.mark is not None
    assert (found.mark.run, found.kept) == ("run-2", 4)
    assert rotating.metadata(key)["custom_metadata"]["team"] == "billing"


async def test_after_a_lost_answer_a_look_tells_and_nothing_is_written_twice(
    rotating: RotationBench, opening: Opening
) -> None:
    key = rotating.put("lost", password=OLD)
    with Proxy(rotating.bench.plane.vault_address) as proxy:
        rotator = opening(address=proxy.address)
        for fate, version in ((Fate.CUT, 1), (Fate.LOSE, 2), (Fate.TRUNCATE, 3)):
            base = (await rotator.look(key)).version
            proxy.behaviour = partial(to_writes, fate)
            with pytest.raises(errors.Unreachable):
                await rotator.write(key, "password", Part.VALUE, OWN, base)
            assert (await rotator.look(key)).version == version
            if version > base:
                proxy.behaviour = lambda _: Fate.PASS
                with pytest.raises(errors.VersionMoved):
                    await rotator.write(key, "password", Part.VALUE, OWN, base)
        await rotator.close()
    assert rotating.metadata(key)["current_version"] == 3


async def test_under_the_name_of_another_cluster_nothing_is_looked_at_or_written(
    rotating: RotationBench, opening: Opening
) -> None:
    key = rotating.put("other-cluster", password=OLD)
    vault, marker = rotating.bench.plane.vault, "sys/policies/acl/airwarden.c1.cluster-id"
    text = "# airwarden.dev/cluster cluster=c1 uid=99999999-2222-3333-4444-555555555555\n"
    vault.request("PUT", marker, {"policy": text})
    try:
        for work in (opening().look(key), opening().write(key, "password", Part.VALUE, OWN, 1)):
            with pytest.raises(errors.ClusterIDConflict):
                await work
    finally:
        vault.request("DELETE", marker)
    assert rotating.metadata(key)["current_version"] == 1
    await opening().look(key)
    assert vault.request("LIST", "sys/policies/acl")["data"]["keys"].count("airwarden.c1.cluster-id") == 0


def to_writes(fate: Fate, request: Request) -> Fate:
    return fate if request.method == "PATCH" else Fate.PASS


def all_texts(error: BaseException) -> str:
    """Return everything that an exception and those it came from can show."""
    texts, waiting = [], [error]
    while waiting:
        each = waiting.pop()
        texts += [repr(each), str(each), repr(vars(each)), "".join(traceback.format_exception(each))]
        waiting += [one for one in (each.__cause__, each.__context__) if one is not None]
    return "\n".join(texts)


async def test_no_value_old_or_new_is_in_any_error_repr_or_log(
    rotating: RotationBench, opening: Opening, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    key = rotating.put("canary", conn_uri=URI, password=OLD)
    texts: list[str] = []
    sent: list[str] = []
    with Proxy(rotating.bench.plane.vault_address) as proxy:
        rotator = opening(address=proxy.address, reading=True)
        for status in (400, 403, 404, 405, 429, 500, 503):
            proxy.behaviour = partial(echo, status, sent)
            for field, part in (("conn_uri", Part.URI_PASSWORD), ("password", Part.VALUE)):
                with pytest.raises(errors.AirwardenError) as caught:
                    await rotator.write(key, field, part, OWN, 1)
                texts.append(all_texts(caught.value))
        proxy.behaviour = lambda _: Fate.PASS
        await rotator.write(key, "conn_uri", Part.URI_PASSWORD, OWN, 1)
        texts += [repr(rotator), repr(vars(rotator)), repr(vars(rotator.client)), caplog.text]
        sent += [each.body.decode() for each in proxy.requests if each.method == "PATCH"]
        await rotator.close()
    found = "\n".join(texts)
    assert "PATCH /v1/" in caplog.text
    assert "[redacted]" in found, "the echo came through"
    secrets = {word for body in sent for word in values(body)}
    assert len(secrets) > 14
    for secret in (OLD, *secrets):
        assert secret not in found


def echo(status: int, sent: list[str], request: Request) -> Fate | Answer:
    """Answer a write with its own value in Vault's words."""
    if request.method != "PATCH":
        return Fate.PASS
    sent.append(request.body.decode())
    said = json.dumps({"errors": values(sent[-1])})
    return Answer(status, said.encode(), (("Content-Type", "application/json"),))


def values(body: str) -> list[str]:
    """Return the value that a request carries, and where it is a URI also the password in it."""
    (value,) = json.loads(body)["data"].values()
    password = urlsplit(value).password
    return [value, password] if password else [value]
