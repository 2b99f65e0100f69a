"""A workload without a projected token: the provider logs in to a real Vault by AppRole, from two files."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from airflow_airwarden.errors import LookupRefused, Reason
from airflow_airwarden.sessions import Session
from contract.provider.bench import KV, NAMESPACE, Bound, ProviderBench
from plane.control_plane import Plane
from plane.waiting import wait_for

MOUNT = "provider-approle"
SOON = 30.0


@dataclass(frozen=True)
class Outside:
    """A binding that is read from outside Kubernetes, with its role and its two files."""

    bound: Bound
    role_id_file: Path
    secret_id_file: Path
    secret_id: str = field(repr=False)

    def session(self, **changes: Any) -> Session:
        login = {
            "method": "AppRole",
            "mount": MOUNT,
            "roleIDFile": str(self.role_id_file),
            "secretIDFile": str(self.secret_id_file),
        }
        return self.bound.session(store={**self.bound.store(), "login": login}, **changes)

    def seen(self, mark: int) -> list[str]:
        """What Vault was asked since a mark, by whomever logs in by AppRole."""
        login = f"auth/{MOUNT}/login"
        entries = self.bound.plane.vault.audit.entries(mark)
        mine = [each for each in entries if each.path == login or each.metadata.get("role_name") == self.bound.name]
        return [each.path for each in mine]

    def new_secret_id(self, **limits: Any) -> str:
        """Have an administrator make another secret-id."""
        made = self.bound.plane.vault.request("POST", f"auth/{MOUNT}/role/{self.bound.name}/secret-id", limits)
        return str(made["data"]["secret_id"])


Binding = Callable[..., Outside]


@pytest.fixture(scope="module")
def mount(tasks: ProviderBench) -> Plane:
    tasks.plane.vault.request("POST", f"sys/auth/{MOUNT}", {"type": "approle"})
    return tasks.plane


@pytest.fixture
def binding(mount: Plane, tasks: ProviderBench, tmp_path: Path) -> Binding:
    """Return a function that makes a binding with an AppRole of its own."""

    def make(name: str, **limits: Any) -> Outside:
        bound = tasks.bind(name)
        path = f"auth/{MOUNT}/role/{name}"
        mount.vault.request("POST", path, {"token_policies": name, "token_ttl": "60s"})
        role_id = mount.vault.request("GET", f"{path}/role-id")["data"]["role_id"]
        secret_id = mount.vault.request("POST", f"{path}/secret-id", limits)["data"]["secret_id"]
        made = Outside(bound, tmp_path / "role-id", tmp_path / "secret-id", secret_id)
        made.role_id_file.write_text(f"{role_id}\n")
        made.secret_id_file.write_text(f"{secret_id}\n")
        return made

    return make


def read(session: Session) -> object:
    found = session.look_up("Connection", "warehouse")
    assert found is not None
    return found.reading.values["password"]


def refused(session: Session) -> LookupRefused:
    with pytest.raises(LookupRefused) as refusal:
        session.look_up("Connection", "warehouse")
    return refusal.value


def test_a_bound_secret_costs_one_login_and_one_request(binding: Binding, mount: Plane) -> None:
    outside = binding("outside")
    mark = mount.vault.audit.mark()
    session = outside.session()
    for _ in range(3):
        assert read(session) == outside.bound.canary
        assert session.look_up("Connection", "other") is None
    session.close()
    wait_for("the token is given up", lambda: len(outside.seen(mark)) >= 3, SOON)
    place = f"{KV}/data/{NAMESPACE}/outside"
    assert outside.seen(mark) == [f"auth/{MOUNT}/login", place, "auth/token/revoke-self"]


def test_a_secret_id_that_is_used_up_is_said_with_what_to_do_and_its_successor_is_taken(
    binding: Binding, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    outside = binding("used-up", num_uses=1)
    session = outside.session()
    assert read(session) == outside.bound.canary
    session.close()
    refusal = refused(outside.session())
    assert refusal.reason is Reason.LOGIN_REFUSED
    assert f"with the role id in {outside.role_id_file} at auth/{MOUNT} (status 400: invalid" in str(refusal)
    assert "have airwarden secret-id make another one" in str(refusal)
    outside.secret_id_file.write_text(outside.new_secret_id())
    again = outside.session()
    assert read(again) == outside.bound.canary
    again.close()
    role_id = outside.role_id_file.read_text().strip()
    for secret in (outside.secret_id, outside.secret_id_file.read_text(), role_id, outside.bound.canary):
        assert secret not in caplog.text + str(refusal) + repr(session)


def test_the_files_are_read_again_at_each_login_and_not_before(binding: Binding, mount: Plane) -> None:
    outside = binding("replaced-id")
    session = outside.session(cacheTTLSeconds=0)
    assert read(session) == outside.bound.canary
    outside.secret_id_file.write_text("somebody empties it")
    assert read(session) == outside.bound.canary
    mount.vault.request("POST", f"auth/{MOUNT}/role/replaced-id/secret-id/destroy", {"secret_id": outside.secret_id})
    for accessor in mount.vault.request("LIST", "auth/token/accessors")["data"]["keys"]:
        found = mount.vault.request("POST", "auth/token/lookup-accessor", {"accessor": accessor}, accept=[403, 404])
        if ((found.get("data") or {}).get("meta") or {}).get("role_name") == "replaced-id":
            mount.vault.request("POST", "auth/token/revoke-accessor", {"accessor": accessor})
    assert refused(session).reason is Reason.LOGIN_REFUSED
    outside.secret_id_file.write_text(outside.new_secret_id())
    assert read(session) == outside.bound.canary
    session.close()


def test_a_missing_file_is_named_before_anything_is_sent(binding: Binding, mount: Plane) -> None:
    outside = binding("fileless")
    outside.secret_id_file.write_text("\n")
    mark = mount.vault.audit.mark()
    refusal = refused(outside.session())
    assert refusal.reason is Reason.TOKEN_FILE_MISSING
    assert f"the secret-id for store vault is not at {outside.secret_id_file}, or empty" in str(refusal)
    outside.role_id_file.unlink()
    assert f"the role id for store vault is not at {outside.role_id_file}" in str(refused(outside.session()))
    assert outside.seen(mark) == []
