"""The provider's lookups in a key vault that enforces the role assignments: what they cost, and what is refused how."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from airflow_airwarden import connections
from airflow_airwarden.audit import AUDIT
from airflow_airwarden.binding_map import Key
from airflow_airwarden.errors import LookupRefused, Reason
from airflow_airwarden.readers.key_vault import KeyVaultReader
from airflow_airwarden.sessions import Session
from contract.provider.key_vault_bench import NAMESPACE, STORE, VAULT, Bound, KeyVaultBench, StillClock, subject
from stand_ins.azure.stand_in import AzureStandIn

GET = "GET /secrets/airflow-billing/"
HOUR = 3600.0


@pytest.fixture
def vault(azure: AzureStandIn, tmp_path: Path) -> Iterator[KeyVaultBench]:
    made = KeyVaultBench.prepare(azure, tmp_path)
    yield made
    made.close()


@pytest.fixture
def billing(vault: KeyVaultBench) -> Bound:
    """The binding of most tests; its tokens live for days, so that a test may move the stand-in's clock."""
    bound = vault.bind("billing")
    bound.token_file.write_text(vault.issuer.token(subject("billing"), expires=time.time() + 10 * 24 * HOUR))
    return bound


def password(session: Session) -> object:
    found = session.look_up("Connection", "warehouse")
    assert found is not None
    uri = connections.connection_payload(found.secret, found.reading.values).uri
    return uri.partition("svc:")[2].partition("@")[0]


def refused(session: Session, wanted: str = "warehouse") -> LookupRefused:
    with pytest.raises(LookupRefused) as refusal:
        session.look_up("Connection", wanted)
    return refusal.value


def denied(reader: KeyVaultReader, deadline: float = 20.0, key: str = "airflow-billing") -> LookupRefused:
    with pytest.raises(LookupRefused) as refusal:
        reader.read(Key(key), "", deadline)
    return refusal.value


def test_a_bound_secret_costs_one_login_and_one_request(vault: KeyVaultBench, billing: Bound) -> None:
    session = billing.session()
    for _ in range(5):
        assert password(session) == billing.canary
        assert session.look_up("Connection", "other") is None
    session.close()
    assert vault.asked() == ["login", GET]


def test_many_threads_and_many_ids_cost_one_login_and_one_request_an_id(vault: KeyVaultBench) -> None:
    keys = [f"airflow-many-{number}" for number in range(10)]
    for key in keys:
        vault.azure.set_secret(VAULT, key, f"value of {key}")
    items = [{"type": "Variable", "id": f"v{n}", "store": STORE, "key": key} for n, key in enumerate(keys)]
    session = vault.bind("many", *items).session()

    def read(number: int) -> str:
        found = session.look_up("Variable", f"v{number % 10}")
        assert found is not None
        return connections.text_payload(found.secret, found.reading.values)

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(read, range(100)))
    assert answers == [f"value of {keys[n % 10]}" for n in range(100)]
    assert sorted(vault.asked()) == sorted(["login", *(f"GET /secrets/{key}/" for key in keys)])


def test_no_request_is_made_before_the_first_lookup_of_a_bound_id(vault: KeyVaultBench, billing: Bound) -> None:
    session = billing.session()
    assert session.look_up("Connection", "aws_default") is None
    assert session.look_up("Variable", "warehouse") is None
    assert refused(billing.session(unboundIDs="Refuse"), "aws_default").reason is Reason.NOT_BOUND
    assert vault.asked() == []


def test_a_new_version_is_read_after_the_maps_time(vault: KeyVaultBench, billing: Bound) -> None:
    session = billing.session(cacheTTLSeconds=0)
    first = session.look_up("Connection", "warehouse")
    version = vault.azure.set_secret(VAULT, "airflow-billing", "http://new")
    second = session.look_up("Connection", "warehouse")
    assert first is not None
    assert second is not None
    assert first.reading.version != second.reading.version == version
    assert second.reading.values["conn_uri"] == "http://new"
    assert vault.asked() == ["login", GET, GET]


def test_the_audit_line_has_version_request_and_pod_and_nothing_has_the_value(
    vault: KeyVaultBench, billing: Bound, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    session = billing.session()
    found = session.look_up("Connection", "warehouse")
    assert found is not None
    session.close()
    access, end = (json.loads(record.getMessage()) for record in caplog.records if record.name == AUDIT)
    assert [access["requestID"]] == [each.request_id for each in vault.requests() if each.service == "vault"]
    assert (access["version"], access["place"], access["outcome"]) == (
        found.reading.version,
        "airflow-billing",
        "Read",
    )
    assert (end["event"], end["outcome"]) == ("end", "LeftToItsTTL")
    token = billing.token_file.read_text()
    for text in (caplog.text, repr(found), repr(vars(session))):
        assert billing.canary not in text
        assert token not in text
        assert "Bearer " not in text.replace("Bearer authorization", "")


def test_the_pods_name_is_what_its_token_says(vault: KeyVaultBench, billing: Bound) -> None:
    reader = billing.reader(StillClock())
    reader.read(Key("airflow-billing"), "dag/task/run/1", 20.0)
    assert reader.identity() == {}, "this issuer says nothing of pods; a cluster's tokens do"
    assert (reader.counts(), reader.counts()) == ({"requests": 1, "logins": 1}, {"requests": 0, "logins": 0})


def test_another_bindings_secret_is_denied_within_the_bound(vault: KeyVaultBench, billing: Bound) -> None:
    vault.bind("owner")
    clock = StillClock()
    reader = billing.reader(clock, fresh_denial_seconds=10.0)
    refusal = denied(reader, key="airflow-owner")
    assert refusal.reason is Reason.ACCESS_DENIED
    assert "store kv denies this identity airflow-owner (ForbiddenByRbac)" in str(refusal)
    assert "ten minutes to act on a new role assignment" in str(refusal)
    assert 3 <= len(clock.slept) <= 10
    assert sum(clock.slept) <= 10.0
    asked = len(vault.asked())
    clock.slept.append(10.0)
    assert denied(reader, deadline=60.0, key="airflow-owner").reason is Reason.ACCESS_DENIED
    assert len(vault.asked()) == asked + 1, "it is no longer fresh"


def test_a_grant_that_comes_a_moment_later_is_waited_for(vault: KeyVaultBench, billing: Bound) -> None:
    vault.azure.set_secret(VAULT, "airflow-later", "a value")
    clock = StillClock(meanwhile={2: lambda: billing.grant("airflow-later")})
    found = billing.reader(clock, fresh_denial_seconds=30.0).read(Key("airflow-later"), "", 60.0)
    assert found.values["value"] == "a value"
    assert vault.asked() == ["login", *["GET /secrets/airflow-later/"] * 3]


@pytest.mark.parametrize("combined", [False, True], ids=["three codes", "one code"])
def test_a_federated_credential_that_comes_a_moment_later_is_waited_for(
    vault: KeyVaultBench, billing: Bound, combined: bool
) -> None:
    vault.azure.behave(combined_login_errors=combined)
    billing.identity.credentials.clear()
    clock = StillClock(meanwhile={3: billing.federate})
    found = billing.reader(clock, fresh_denial_seconds=30.0).read(Key("airflow-billing"), "", 60.0)
    assert billing.canary in str(found.values["value"])
    assert vault.asked() == ["login"] * 4 + [GET]


def test_an_identity_without_the_credential_is_refused_within_the_bound(vault: KeyVaultBench, billing: Bound) -> None:
    billing.identity.credentials.clear()
    clock = StillClock()
    reader = billing.reader(clock, fresh_denial_seconds=5.0)
    refusal = denied(reader)
    assert refusal.reason is Reason.LOGIN_REFUSED
    assert f"Entra refuses the login of client {billing.identity.client_id}" in str(refusal)
    assert "(AADSTS700211)" in str(refusal)
    assert "minutes to act on a new federated credential" in str(refusal)
    assert 0 < sum(clock.slept) <= 5.0
    asked = len(vault.asked())
    clock.slept.append(5.0)
    denied(reader, deadline=60.0)
    assert len(vault.asked()) == asked + 1, "the bound is the process's, not each lookup's"


def test_another_accounts_token_is_refused(vault: KeyVaultBench, billing: Bound) -> None:
    vault.issuer.write(billing.token_file, subject("intern"))
    refusal = denied(billing.reader(StillClock(), fresh_denial_seconds=0.0))
    assert (refusal.reason, "(AADSTS700213)" in refusal.wrong) == (Reason.LOGIN_REFUSED, True)
    assert vault.asked() == ["login"]


def test_each_login_reads_the_token_anew(vault: KeyVaultBench, billing: Bound) -> None:
    """Azure's own credential reads the file at most every ten minutes, and so logs in with a stale one."""
    good = billing.token_file.read_text()
    billing.token_file.write_text(vault.issuer.token(subject("billing"), expires=time.time() - HOUR))
    session = billing.session(cacheTTLSeconds=0)
    refusal = refused(session)
    assert (refusal.reason, "AADSTS700024" in refusal.wrong) == (Reason.LOGIN_REFUSED, True)
    assert "clocks are right" in str(refusal)
    billing.token_file.unlink()
    assert refused(session).reason is Reason.TOKEN_FILE_MISSING
    billing.token_file.write_text(good)
    assert password(session) == billing.canary
    billing.token_file.write_text("what the kubelet put there since")
    assert password(session) == billing.canary
    assert vault.asked() == ["login", "login", GET, GET]


def test_a_login_that_the_vault_no_longer_takes_is_replaced_once(vault: KeyVaultBench, billing: Bound) -> None:
    session = billing.session(cacheTTLSeconds=0)
    password(session)
    vault.azure.clock.advance(2 * HOUR)
    vault.azure.behave(token_lifetime=24 * 3600)
    assert password(session) == billing.canary
    assert vault.asked() == ["login", GET, GET, "login", GET]
    vault.azure.fail_next(401, "Unauthorized", path="/secrets/", times=2)
    refusal = refused(session)
    assert refusal.reason is Reason.LOGIN_REFUSED
    assert "takes no token of client" in str(refusal)
    assert vault.asked()[5:] == [GET, "login", GET]


def test_a_login_is_replaced_before_its_end(vault: KeyVaultBench, billing: Bound) -> None:
    vault.azure.behave(token_lifetime=600)
    clock = StillClock()
    reader = billing.reader(clock)
    reader.read(Key("airflow-billing"), "", 20.0)
    clock.slept.append(530.0)
    reader.read(Key("airflow-billing"), "", 550.0)
    assert vault.asked().count("login") == 1
    clock.slept.append(20.0)
    reader.read(Key("airflow-billing"), "", 570.0)
    assert vault.asked() == ["login", GET, GET, "login", GET]


@pytest.mark.parametrize(
    ("state", "reason", "said"),
    [
        ({"enabled": False}, Reason.SECRET_DISABLED, "the newest version of airflow-billing of store kv is disabled"),
        ({"expires": -HOUR}, Reason.SECRET_EXPIRED, "airflow-billing of store kv expired at 20"),
        ({"not_before": HOUR}, Reason.SECRET_NOT_YET_VALID, "of store kv is not to be used before 20"),
    ],
    ids=str,
)
def test_a_secret_that_is_not_to_be_used_is_told_apart_from_one_that_is_not_there(
    vault: KeyVaultBench, billing: Bound, state: dict[str, Any], reason: Reason, said: str
) -> None:
    dated = {name: value if name == "enabled" else time.time() + value for name, value in state.items()}
    vault.azure.set_secret(VAULT, "airflow-billing", f"http://:{billing.canary}@h", **dated)
    session = billing.session()
    refusal = refused(session)
    assert refusal.reason is reason
    assert said in str(refusal)
    assert billing.canary not in str(refusal)
    assert vault.asked() == ["login", GET]
    vault.azure.remove_secret(VAULT, "airflow-billing")
    assert refused(session).reason is Reason.SECRET_ABSENT
    assert vault.asked() == ["login", GET, GET]


def test_a_value_is_not_kept_past_its_date(vault: KeyVaultBench, billing: Bound) -> None:
    vault.azure.set_secret(VAULT, "airflow-billing", "http://h", expires=time.time() + 100, not_before=time.time() - 1)
    clock = StillClock()
    found = billing.reader(clock).read(Key("airflow-billing"), "", 20.0)
    assert 95 < found.good_until() < 101


@pytest.mark.parametrize(
    ("change", "reason", "said"),
    [
        ({"firewalled": True}, Reason.STORE_UNREACHABLE, "does not let this pod's network in (ForbiddenByFirewall)"),
        ({"public": False}, Reason.STORE_UNREACHABLE, "does not let this pod's network in (ForbiddenByConnection)"),
        ({"rbac": False}, Reason.ACCESS_DENIED, "(status 403: AccessDenied). Correct what the store names"),
    ],
    ids=str,
)
def test_what_no_retry_mends_is_said_at_once(
    vault: KeyVaultBench, billing: Bound, change: dict[str, bool], reason: Reason, said: str
) -> None:
    vault.azure.change_vault(VAULT, **change)
    refusal = refused(billing.session())
    assert refusal.reason is reason
    assert said in str(refusal)
    assert vault.asked() == ["login", GET]


@pytest.mark.parametrize("status", [429, 408, 500, 503])
def test_a_vault_that_does_not_serve_is_asked_again(vault: KeyVaultBench, billing: Bound, status: int) -> None:
    vault.azure.fail_next(status, "Busy", path="/secrets/", times=2)
    found = billing.reader(StillClock()).read(Key("airflow-billing"), "", 20.0)
    assert billing.canary in str(found.values["value"])
    assert vault.asked() == ["login", GET, GET, GET]


@pytest.mark.parametrize("lost", [False, True], ids=["cut", "lost"])
@pytest.mark.parametrize("path", ["/secrets/", "/oauth2/"])
def test_connections_that_end_are_made_again(vault: KeyVaultBench, billing: Bound, path: str, lost: bool) -> None:
    vault.azure.cut_next(path=path, times=2, lose_answer=lost)
    found = billing.reader(StillClock()).read(Key("airflow-billing"), "", 20.0)
    assert billing.canary in str(found.values["value"])


@pytest.mark.parametrize(("status", "reason"), [(429, Reason.STORE_BUSY), (503, Reason.STORE_FAILED)])
@pytest.mark.parametrize("path", ["/secrets/", "/oauth2/"])
def test_a_server_that_goes_on_like_this_is_given_up(
    vault: KeyVaultBench, billing: Bound, path: str, status: int, reason: Reason
) -> None:
    vault.azure.fail_next(status, "AADSTS90033", path=path, times=99)
    clock = StillClock()
    refusal = denied(billing.reader(clock))
    assert refusal.reason is reason
    assert "it was asked 4 times" in refusal.wrong
    assert len(clock.slept) == 3


def test_the_pause_that_a_store_asks_for_is_kept_within_the_lookups_time(vault: KeyVaultBench, billing: Bound) -> None:
    vault.azure.fail_next(429, "Throttled", path="/secrets/", retry_after=7)
    clock = StillClock()
    reader = billing.reader(clock)
    reader.read(Key("airflow-billing"), "", 20.0)
    assert clock.slept == [7.0]
    vault.azure.fail_next(429, "Throttled", path="/secrets/", retry_after=30)
    refusal = denied(reader, deadline=27.0)
    assert (refusal.reason, clock.slept) == (Reason.STORE_BUSY, [7.0])


def test_a_vault_that_is_gone_is_not_called_an_absent_secret(vault: KeyVaultBench, billing: Bound) -> None:
    vault.azure.delete_vault(VAULT)
    assert denied(billing.reader(StillClock())).reason is Reason.STORE_UNREACHABLE


def test_something_else_than_a_vault_is_not_called_an_absent_secret(vault: KeyVaultBench, billing: Bound) -> None:
    vault.azure.fail_next(404, "ResourceNotFound", path="/secrets/")
    refusal = denied(billing.reader(StillClock()))
    assert (refusal.reason, refusal.wrong) == (
        Reason.STORE_FAILED,
        "store kv refuses airflow-billing (status 404: ResourceNotFound)",
    )


def test_a_server_that_is_not_certified_gets_no_token(vault: KeyVaultBench, billing: Bound) -> None:
    session = billing.session(store=billing.store(tls={}), settings={"lookup_seconds": 1.0})
    refusal = refused(session)
    assert refusal.reason is Reason.STORE_UNREACHABLE
    assert "Entra at https://localhost:" in refusal.wrong
    absent = billing.session(store=billing.store(tls={"caFile": "/nowhere.pem"}))
    assert "certificate authorities of store kv in /nowhere.pem cannot be read" in str(refused(absent))
    assert vault.asked() == []


def test_azures_own_names_are_reached_through_the_images_proxy(
    vault: KeyVaultBench, billing: Bound, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = billing.store(vaultURL=f"https://{VAULT}.vault.azure.net", authority="https://login.microsoftonline.com")
    monkeypatch.setenv("HTTPS_PROXY", vault.azure.proxy_url)
    for name in ("AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_FEDERATED_TOKEN_FILE", "AZURE_AUTHORITY_HOST"):
        monkeypatch.setenv(name, "nothing that is used")
    assert password(billing.session(store=store)) == billing.canary
    assert vault.asked() == ["login", GET]


def test_a_secret_may_be_an_object_of_fields(vault: KeyVaultBench) -> None:
    text = json.dumps({"conn_type": "postgres", "host": "db", "password": "p", "recipient": "a@b"})
    vault.azure.set_secret(VAULT, "airflow-json", text)
    place = {"store": STORE, "key": "airflow-json"}
    session = vault.bind(
        "json",
        {"type": "Variable", "id": "whole", **place},
        {"type": "Variable", "id": "part", **place, "field": "recipient"},
    ).session()
    read = []
    for each in ("whole", "part"):
        found = session.look_up("Variable", each)
        assert found is not None
        read.append(connections.text_payload(found.secret, found.reading.values))
    assert read == [text, "a@b"]


def test_names_of_dashes_and_underlines_do_not_meet(vault: KeyVaultBench) -> None:
    """Airflow's own backend turns each `_` of an id into `-`, so that two ids are one secret."""
    for key in ("airflow-my-db", "airflow-other"):
        vault.azure.set_secret(VAULT, key, f"http://{key}")
    wanted = {"my-db": "airflow-my-db", "my_db": "airflow-other"}
    items = [{"type": "Connection", "id": id_, "store": STORE, "key": key} for id_, key in wanted.items()]
    session = vault.bind("names", *items).session()
    for id_, key in wanted.items():
        found = session.look_up("Connection", id_)
        assert found is not None
        assert found.reading.values["conn_uri"] == f"http://{key}"


def test_a_session_that_is_closed_reads_no_more(vault: KeyVaultBench, billing: Bound) -> None:
    reader = billing.reader(StillClock())
    reader.read(Key("airflow-billing"), "", 20.0)
    assert [each.outcome for each in reader.close()] == ["LeftToItsTTL"]
    assert reader.close() == []
    assert "the task has ended" in denied(reader).wrong


def test_the_audit_line_of_a_refusal_names_binding_and_reason(
    vault: KeyVaultBench, billing: Bound, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, AUDIT)
    vault.azure.remove_secret(VAULT, "airflow-billing")
    refused(billing.session())
    [line] = [json.loads(record.getMessage()) for record in caplog.records if record.name == AUDIT]
    assert (line["binding"], line["outcome"]) == (f"{NAMESPACE}/billing", "SecretAbsent")
    assert line["reason"] == "store kv holds nothing at airflow-billing"
