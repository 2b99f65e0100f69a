"""The binding's map: taken whole, or refused with the place and the fault."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_airwarden import map_file
from airflow_airwarden.binding_map import AppRoleLogin, Key, Login, UnboundIDs, VaultStore
from airflow_airwarden.errors import LookupRefused, Reason
from airflow_airwarden.map_file import LARGEST, MapFile, parse_map
from unit.provider.making import APP_ROLE, FAULTS, VAULT, WAREHOUSE, change, map_body, write_map


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
    assert isinstance(store.login, Login)
    assert (store.addresses, store.kv_mount, store.login.role) == (
        ("https://vault.example:8200",),
        "airflow",
        "billing",
    )


def test_a_workload_without_a_projected_token_has_two_files() -> None:
    store = parsed(map_body(stores={"vault": {**VAULT, "login": APP_ROLE}})).stores["vault"]
    assert store.login == AppRoleLogin("approle", "/run/role-id", "/run/secret-id")


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


class Closing:
    """Opens a file, and at its closing does something: what another thread does just then."""

    def __init__(self, path: Path, then: Callable[[], object]) -> None:
        self._file = path.open("rb")
        self._then = then

    def open(self, _: str) -> Closing:
        return self

    def __enter__(self) -> IO[bytes]:
        return self._file

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._then()


def test_a_map_that_another_thread_loses_meanwhile_is_still_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_map(tmp_path)
    file = MapFile(str(path))
    first = file.current()

    def lose() -> None:
        monkeypatch.undo()
        path.unlink()
        with ThreadPoolExecutor(1) as pool, pytest.raises(LookupRefused, match="MapMissing"):
            pool.submit(file.current).result(30)

    monkeypatch.setattr(map_file, "Path", lambda _: Closing(path, lose))
    assert file.current() == first
    with pytest.raises(LookupRefused, match="MapMissing"):
        file.current()
