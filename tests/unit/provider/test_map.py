"""The binding's map: taken whole, or refused with the place and the fault."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_airwarden.binding_map import Key, UnboundIDs, VaultStore
from airflow_airwarden.errors import LookupRefused, Reason
from airflow_airwarden.map_file import LARGEST, MapFile, parse_map
from unit.provider.making import VAULT, WAREHOUSE, map_body, write_map

Change = Callable[[dict[str, Any]], object]


def parsed(body: object) -> Any:
    return parse_map(json.dumps(body).encode(), "/etc/airwarden/binding.json")


def refusal(content: bytes) -> LookupRefused:
    with pytest.raises(LookupRefused) as refused:
        parse_map(content, "/etc/airwarden/binding.json")
    return refused.value


def test_a_whole_map_says_where_each_id_lies() -> None:
    found = parsed(map_body())
    assert (found.binding, found.environment, found.cache_ttl) == ("airflow-prod/billing", "airflow/main", 60.0)
    assert found.unbound_ids is UnboundIDs.FALL_THROUGH
    warehouse = found.secrets["Connection", "warehouse"]
    assert (warehouse.store, warehouse.place) == ("vault", Key("airflow-prod/connections/warehouse"))
    store = found.stores["vault"]
    assert isinstance(store, VaultStore)
    assert (store.addresses, store.kv_mount, store.login.role) == (
        ("https://vault.example:8200",),
        "airflow",
        "billing",
    )


def test_dynamic_places_name_the_call() -> None:
    def place(**dynamic: Any) -> str:
        item = {"type": "Connection", "id": "x", "store": "vault", "dynamic": dynamic}
        return str(parsed(map_body(secrets=[item])).secrets["Connection", "x"].place)

    assert place(engine="database", role="ns.r") == "database/creds/ns.r"
    assert place(engine="database", role="ns.r", kind="Static") == "database/static-creds/ns.r"
    assert place(engine="pki", role="web", kind="Update", call="issue", parameters={"ttl": "1h"}) == "pki/issue/web"


def test_an_unbound_task_has_a_map_without_secrets() -> None:
    assert parsed(map_body(secrets=[], stores={})).secrets == {}


def test_the_map_of_five_thousand_secrets_is_read() -> None:
    many = [{**WAREHOUSE, "id": f"c{number}"} for number in range(5000)]
    assert len(parsed(map_body(secrets=many)).secrets) == 5000


def test_a_missing_map_names_the_file_and_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(LookupRefused) as refused:
        MapFile(str(tmp_path / "absent.json")).current()
    assert refused.value.reason is Reason.MAP_MISSING
    assert f"{tmp_path}/absent.json cannot be read (No such file or directory)" in str(refused.value)
    assert "mount the map and set map_path" in str(refused.value)


def test_a_truncated_map_is_refused_at_every_length() -> None:
    whole = json.dumps(map_body()).encode()
    for length in range(len(whole)):
        assert refusal(whole[:length]).reason is Reason.MAP_INVALID


def test_another_version_is_refused_before_anything_else_is_read() -> None:
    for version in (0, 2, "1", None):
        refused = refusal(json.dumps({"version": version, "bindings": []}).encode())
        assert refused.reason is Reason.MAP_VERSION_UNKNOWN
        assert "does not have the version 1" in str(refused)


def test_a_map_too_large_for_a_configmap_is_refused() -> None:
    assert "larger than" in str(refusal(b" " * (LARGEST + 1)))


def change(path: str, value: object) -> Change:
    """A change of one place of the map; the value ... takes it away."""

    def act(body: dict[str, Any]) -> None:
        *way, last = path.split(".")
        part: Any = body
        for step in way:
            part = part[int(step)] if step.isdecimal() else part[step]
        if value is ...:
            del part[last]
        else:
            part[last] = value

    return act


FAULTS = [
    ("binding", ..., "binding: it is missing"),
    ("binding", "../x", "binding: it has characters"),
    ("unboundIDs", "Allow", "unboundIDs: it is none of the known ones"),
    ("cacheTTLSeconds", -1, "cacheTTLSeconds: it is not between 0 and 3600"),
    ("cacheTTLSeconds", True, "cacheTTLSeconds: it is no int"),
    ("extra", 1, "extra: this version of the provider does not know it"),
    ("secrets", ..., "secrets: it is missing"),
    ("secrets", ["x"], "secrets[0]: it is no object"),
    ("secrets", [WAREHOUSE, WAREHOUSE], "secrets[1]: its type and id stand there twice"),
    ("secrets.0.type", "Secret", "secrets[0].type: it is none of the known ones"),
    ("secrets.0.id", "a/b", "secrets[0].id: it has characters"),
    ("secrets.0.id", "..", "secrets[0].id: it has characters"),
    ("secrets.0.store", "other", "secrets[0].store: no store of the map has this name"),
    ("secrets.0.key", ..., "secrets[0].key: exactly one of key and dynamic"),
    ("secrets.0.dynamic", {"engine": "d", "role": "r"}, "secrets[0].key: exactly one of key and dynamic"),
    ("secrets.0.key", "a/../b", "secrets[0].key: it has characters"),
    ("secrets.0.key", "a//b", "secrets[0].key: it has characters"),
    ("secrets.0.key", "a?version=1", "secrets[0].key: it has characters"),
    ("secrets.0.key", "a%2e%2e/b", "secrets[0].key: it has characters"),
    ("secrets.0.team", "x", "secrets[0].team: this version of the provider does not know it"),
    ("secrets.0.connection", {"password": "x"}, "secrets[0].connection.password: it is not known there"),
    ("secrets.0.connectionFields", {"user": "username"}, "secrets[0].connectionFields.user: it is not known there"),
    ("stores.vault.type", "Conjur", "stores.vault.type: this version of the provider has no reader for it"),
    ("stores.vault.addresses", [], "stores.vault.addresses: each must be"),
    ("stores.vault.addresses", ["https://user@vault"], "stores.vault.addresses: each must be"),
    ("stores.vault.addresses", ["https://vault/path"], "stores.vault.addresses: each must be"),
    ("stores.vault.login.method", "Token", "stores.vault.login.method: it is neither Kubernetes nor JWT"),
    ("stores.vault.login.tokenFile", "token", "stores.vault.login.tokenFile: it is no absolute path"),
    ("stores.vault.login.role", ..., "stores.vault.login.role: it is missing"),
    ("stores.vault.kv.version", 3, "stores.vault.kv.version: it is neither 1 nor 2"),
    ("stores.vault.token", "x", "stores.vault.token: this version of the provider does not know it"),
    ("stores.vault.tls", {"verify": False}, "stores.vault.tls.verify: this version of the provider does not know it"),
]


@pytest.mark.parametrize(("path", "value", "said"), FAULTS)
def test_a_fault_is_named_with_its_place(path: str, value: object, said: str) -> None:
    body = json.loads(json.dumps(map_body()))
    change(path, value)(body)
    refused = refusal(json.dumps(body).encode())
    assert refused.reason is Reason.MAP_INVALID
    assert f"the binding's map is wrong at {said}" in str(refused)


def test_stores_for_development_hold_keys_alone() -> None:
    item = {"type": "Variable", "id": "x", "store": "local", "dynamic": {"engine": "d", "role": "r"}}
    body = map_body(stores={"local": {"type": "File", "path": "/somewhere/x.json"}}, secrets=[item])
    assert "its store makes no credentials" in str(refusal(json.dumps(body).encode()))


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda each: st.lists(each) | st.dictionaries(st.text(), each),
    )
)
def test_whatever_stands_in_the_file_is_a_map_or_a_refusal(body: object) -> None:
    for content in (body, {**map_body(), "secrets": body}, {**map_body(), "stores": body}):
        reason = Reason.MAP_INVALID
        try:
            parsed(content)
        except LookupRefused as refused:
            reason = refused.reason
        assert reason in {Reason.MAP_INVALID, Reason.MAP_VERSION_UNKNOWN}


def test_a_new_map_is_seen_and_a_lost_one_is_not_lived_down(tmp_path: Path) -> None:
    path = write_map(tmp_path)
    file = MapFile(str(path))
    assert ("Connection", "warehouse") in file.current().secrets
    assert file.current() is file.current(), "an unchanged file is not read again"
    write_map(tmp_path, secrets=[{**WAREHOUSE, "id": "other"}])
    assert list(file.current().secrets) == [("Connection", "other")]
    path.write_text("{")
    with pytest.raises(LookupRefused):
        file.current()
    with pytest.raises(LookupRefused):
        file.current()
    write_map(tmp_path, stores={"vault": VAULT})
    assert ("Connection", "warehouse") in file.current().secrets
    path.unlink()
    with pytest.raises(LookupRefused):
        file.current()
