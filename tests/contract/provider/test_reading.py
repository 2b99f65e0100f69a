"""The provider's lookups on a real Vault, under a real account and the operator's own policy: what they cost."""

from __future__ import annotations

import json
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from airflow_airwarden.audit import AUDIT
from airflow_airwarden.errors import LookupRefused, Reason
from airflow_airwarden.sessions import Session
from contract.provider.bench import KV, NAMESPACE, ProviderBench
from plane.control_plane import Plane
from plane.printed import serving_keys
from plane.vault_admin import write_policy, write_secret
from plane.waiting import wait_for

SOON = 30.0


def read(session: Session, wanted: str = "warehouse", kind: str = "Connection") -> dict[str, Any]:
    found = session.look_up(kind, wanted)
    assert found is not None
    return dict(found.reading.values)


def refused(session: Session, wanted: str = "warehouse") -> LookupRefused:
    with pytest.raises(LookupRefused) as refusal:
        session.look_up("Connection", wanted)
    return refusal.value


@pytest.mark.parametrize("version", [1, 2])
def test_a_bound_secret_costs_one_login_and_one_request(tasks: ProviderBench, version: int) -> None:
    bound = tasks.bind(f"counted-{version}", version=version)
    mark = tasks.plane.vault.audit.mark()
    session = bound.session()
    for _ in range(5):
        assert read(session)["password"] == bound.canary
        assert session.look_up("Connection", "other") is None
    session.close()
    wait_for("the token is given up", lambda: len(bound.requests(mark)) >= 3, SOON)
    data = "data/" if version == 2 else ""
    assert [(each.operation, each.path) for each in bound.requests(mark)] == [
        ("update", "auth/provider-kubernetes/login"),
        ("read", f"{bound.kv['mount']}/{data}{NAMESPACE}/{bound.name}"),
        ("update", "auth/token/revoke-self"),
    ]


def test_many_threads_and_many_ids_cost_one_login_and_one_request_an_id(tasks: ProviderBench) -> None:
    keys = [f"{NAMESPACE}/many/{number}" for number in range(10)]
    items = [{"type": "Variable", "id": f"v{n}", "store": "vault", "key": key} for n, key in enumerate(keys)]
    for key in keys:
        write_secret(tasks.plane, key, {"value": key}, mount=KV)
    bound = tasks.bind("many", *items)
    session = bound.session()
    mark = tasks.plane.vault.audit.mark()
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda n: read(session, f"v{n % 10}", "Variable")["value"], range(100)))
    assert answers == [keys[n % 10] for n in range(100)]
    session.close()
    wait_for("the token is given up", lambda: len(bound.requests(mark)) >= 12, SOON)
    seen = [each.path for each in bound.requests(mark)]
    assert seen.count("auth/provider-kubernetes/login") == 1
    assert sorted(path for path in seen if path.startswith(KV)) == sorted(f"{KV}/data/{key}" for key in keys)


def test_no_request_is_made_before_the_first_lookup_of_a_bound_id(tasks: ProviderBench) -> None:
    bound = tasks.bind("idle")
    mark = tasks.plane.vault.audit.mark()
    session = bound.session()
    assert session.look_up("Connection", "aws_default") is None
    assert session.look_up("Variable", "warehouse") is None
    session.close()
    assert bound.requests(mark) == []


def test_a_new_value_is_read_by_the_next_process_and_after_the_maps_time(tasks: ProviderBench) -> None:
    bound = tasks.bind("renewed")
    session = bound.session(cacheTTLSeconds=0)
    first = session.look_up("Connection", "warehouse")
    bound.write({"host": "new"})
    second = session.look_up("Connection", "warehouse")
    assert first is not None
    assert second is not None
    assert (first.reading.version, second.reading.version) == ("1", "2")
    assert read(bound.session()) == {"host": "new"}
    session.close()


def test_the_audit_line_and_vaults_audit_log_name_the_same_request(
    tasks: ProviderBench, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, AUDIT)
    bound = tasks.bind("audited")
    mark = tasks.plane.vault.audit.mark()
    session = bound.session()
    read(session)
    session.close()
    lines = [json.loads(record.getMessage()) for record in caplog.records if record.name == AUDIT]
    access, end = lines
    theirs = [each.request_id for each in bound.requests(mark) if each.path.startswith(KV)]
    assert [access["requestID"]] == theirs
    assert access["pod"] == {"namespace": NAMESPACE, "serviceAccount": "audited"}
    assert (access["version"], access["place"], access["outcome"]) == ("1", f"{NAMESPACE}/audited", "Read")
    assert (end["event"], end["outcome"]) == ("end", "Revoked")


def test_another_bindings_secret_is_denied_with_what_to_do(tasks: ProviderBench) -> None:
    tasks.bind("owner")
    bound = tasks.bind(
        "curious", {"type": "Connection", "id": "warehouse", "store": "vault", "key": f"{NAMESPACE}/owner"}
    )
    other = {**bound.secrets[0], "key": f"{NAMESPACE}/audited"}
    mark = tasks.plane.vault.audit.mark()
    session = bound.session(secrets=[other], settings={"fresh_denial_seconds": 4.0})
    refusal = refused(session)
    assert refusal.reason is Reason.ACCESS_DENIED
    assert f"store vault denies this identity {NAMESPACE}/audited" in str(refusal)
    asked = [each for each in bound.requests(mark) if each.path.startswith(KV)]
    assert 2 <= len(asked) <= 8, "a fresh denial is asked again, within a bound"
    session.close()


def test_a_denial_that_is_not_fresh_is_not_asked_again(tasks: ProviderBench) -> None:
    bound = tasks.bind("settled")
    other = {**bound.secrets[0], "id": "other", "key": f"{NAMESPACE}/elsewhere"}
    session = bound.session(secrets=[bound.secrets[0], other], settings={"fresh_denial_seconds": 0})
    read(session)
    mark = tasks.plane.vault.audit.mark()
    assert refused(session, "other").reason is Reason.ACCESS_DENIED
    assert len(bound.requests(mark)) == 1
    session.close()


def test_a_grant_that_comes_a_moment_later_is_waited_for(tasks: ProviderBench, plane: Plane) -> None:
    bound = tasks.bind("early")
    policy = plane.vault.request("GET", "sys/policies/acl/early")["data"]["policy"]
    plane.vault.request("DELETE", "sys/policies/acl/early")
    session = bound.session(settings={"fresh_denial_seconds": 30})
    with ThreadPoolExecutor(1) as pool:
        mark = plane.vault.audit.mark()
        reading = pool.submit(read, session)
        wait_for("it was denied", lambda: any(each.error for each in bound.requests(mark)), SOON)
        plane.vault.request("PUT", "sys/policies/acl/early", {"policy": policy})
        assert reading.result(SOON)["password"] == bound.canary
    session.close()


def test_an_absent_and_a_deleted_secret_are_refused_and_not_looked_for_elsewhere(
    tasks: ProviderBench, plane: Plane
) -> None:
    bound = tasks.bind(
        "absent", {"type": "Connection", "id": "warehouse", "store": "vault", "key": f"{NAMESPACE}/gone"}
    )
    session = bound.session(cacheTTLSeconds=0)
    assert f"SecretAbsent: store vault holds nothing at {NAMESPACE}/gone" in str(refused(session))
    bound.write({"host": "db"})
    assert read(session) == {"host": "db"}
    plane.vault.request("DELETE", f"{KV}/data/{NAMESPACE}/gone")
    assert refused(session).reason is Reason.SECRET_ABSENT
    session.close()


def test_a_mount_that_is_gone_is_not_called_an_absent_secret(tasks: ProviderBench, plane: Plane) -> None:
    bound = tasks.bind("mountless")
    write_policy(plane, "mountless", f'path "no-such-mount/data/{NAMESPACE}/mountless" {{ capabilities = ["read"] }}')
    store = {**bound.store(), "kv": {"mount": "no-such-mount", "version": 2}}
    refusal = refused(bound.session(store=store))
    assert (refusal.reason, refusal.wrong) == (
        Reason.STORE_FAILED,
        f"store vault has no mount for {NAMESPACE}/mountless",
    )


def test_a_login_that_is_refused_names_the_role_and_vaults_words(tasks: ProviderBench) -> None:
    bound = tasks.bind("stranger")
    bound.token_file.write_text(tasks.jwt("default"))
    refusal = refused(bound.session())
    assert refusal.reason is Reason.LOGIN_REFUSED
    assert "under role stranger at auth/provider-kubernetes (status 403: service account name not authorized)" in str(
        refusal
    )
    bound.token_file.unlink()
    assert refused(bound.session()).reason is Reason.TOKEN_FILE_MISSING


def test_a_rotated_token_is_read_again_at_the_next_login(tasks: ProviderBench, plane: Plane) -> None:
    bound = tasks.bind("rotated")
    session = bound.session(cacheTTLSeconds=0)
    read(session)
    bound.token_file.write_text("a token that the kubelet has replaced")
    read(session)
    _revoke_tokens(plane, "rotated")
    assert refused(session).reason is Reason.LOGIN_REFUSED
    bound.token_file.write_text(tasks.jwt("rotated"))
    assert read(session)["password"] == bound.canary
    session.close()


def _revoke_tokens(plane: Plane, role: str) -> None:
    """Take a role's live tokens away, as an administrator would."""
    for accessor in plane.vault.request("LIST", "auth/token/accessors")["data"]["keys"]:
        found = plane.vault.request("POST", "auth/token/lookup-accessor", {"accessor": accessor}, accept=[403, 404])
        if ((found.get("data") or {}).get("meta") or {}).get("role") == role:
            plane.vault.request("POST", "auth/token/revoke-accessor", {"accessor": accessor})


def test_a_token_that_vault_no_longer_knows_is_replaced_once(tasks: ProviderBench, plane: Plane) -> None:
    bound = tasks.bind("replaced")
    session = bound.session(cacheTTLSeconds=0)
    read(session)
    _revoke_tokens(plane, "replaced")
    mark = plane.vault.audit.mark()
    assert read(session)["password"] == bound.canary
    logins = [each for each in bound.requests(mark) if each.path.endswith("/login")]
    assert len(logins) == 1
    session.close()


def test_a_token_is_renewed_while_the_task_works_on(tasks: ProviderBench, plane: Plane) -> None:
    bound = tasks.bind("patient", token_ttl="6s", token_max_ttl="60s")
    session = bound.session(cacheTTLSeconds=0)
    mark = plane.vault.audit.mark()
    read(session)
    began = time.monotonic()
    wait_for("it outlived its first life", lambda: time.monotonic() > began + 7, SOON)
    assert read(session)["password"] == bound.canary
    seen = [each.path for each in bound.requests(mark)]
    assert seen.count("auth/provider-kubernetes/login") == 1
    assert "auth/token/renew-self" in seen
    session.close()


def test_a_jwt_login_reads_as_well(tasks: ProviderBench, plane: Plane) -> None:
    bound = tasks.bind("by-jwt")
    plane.vault.request("POST", "sys/auth/provider-jwt", {"type": "jwt"})
    role = {
        "role_type": "jwt",
        "user_claim": "sub",
        "bound_audiences": ["vault"],
        "bound_subject": f"system:serviceaccount:{NAMESPACE}:by-jwt",
        "token_policies": "by-jwt",
    }
    login = {"method": "JWT", "mount": "provider-jwt", "role": "by-jwt", "tokenFile": str(bound.token_file)}
    with serving_keys(plane) as url:
        plane.vault.request("POST", "auth/provider-jwt/config", {"jwks_url": url})
        plane.vault.request("POST", "auth/provider-jwt/role/by-jwt", role)
        session = bound.session(store={**bound.store(), "login": login})
        assert read(session)["password"] == bound.canary
        session.close()
