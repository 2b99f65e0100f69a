"""The login of the person who runs a command: which way is taken, what is refused, and what is asked again."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from airwarden.domain.errors import AirwardenError, InvalidSettings, Unauthorized
from airwarden.providers.azure.borrowed import BorrowedStore, NotLoggedIn, open_borrowed
from contract.azure.bench import VAULT, Bench
from contract.azure.showing_cluster import azure_login
from plane.certificates import self_signed
from stand_ins.azure.roles import READER
from stand_ins.azure.stand_in import AzureStandIn

Borrowing = Callable[[Mapping[str, str]], BorrowedStore]


@pytest_asyncio.fixture
async def borrowed(bench: Bench) -> AsyncIterator[Borrowing]:
    """Return a function that opens the bench's backend for somebody with these variables."""
    opened: list[BorrowedStore] = []

    def make(environment: Mapping[str, str]) -> BorrowedStore:
        opened.append(open_borrowed(bench.backend(), cluster="c1", environment=environment, ca_pem=bench.ca))
        return opened[-1]

    yield make
    for each in opened:
        await each.close()


@dataclass(frozen=True)
class Program:
    """A program `az` that is logged in to nothing."""

    trace: Path

    @property
    def was_run(self) -> bool:
        """Whether anybody ran it."""
        return self.trace.exists()


@pytest.fixture
def az(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Program:
    """Put the program `az` on the path."""
    ran = tmp_path / "ran"
    program = tmp_path / "programs" / "az"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\necho run >> {ran}\necho 'Please run az login to setup account.' >&2\nexit 1\n")
    program.chmod(stat.S_IRWXU)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return Program(ran)


async def test_a_certificate_will_do(
    bench: Bench, borrowed: Borrowing, azure: AzureStandIn, az: Program, tmp_path: Path
) -> None:
    assert bench.name == "kv"
    made, pem = self_signed("somebody")
    path = tmp_path / "somebody.pem"
    path.write_bytes(pem)
    somebody = azure.add_application("somebody")
    azure.add_client_certificate(somebody, made)
    azure.grant(somebody.principal_id, READER)
    variables = {"AZURE_TENANT_ID": azure.tenant, "AZURE_CLIENT_ID": somebody.app_id}
    await borrowed({**variables, "AZURE_CLIENT_CERTIFICATE_PATH": str(path)}).identify()
    assert {each.principal for each in azure.requests(service="arm", path=VAULT)} == {somebody.principal_id}
    with pytest.raises(InvalidSettings, match="AZURE_CLIENT_CERTIFICATE_PATH cannot be used"):
        await borrowed({**variables, "AZURE_CLIENT_CERTIFICATE_PATH": str(tmp_path / "none")}).arm.log_in()
    assert not az.was_run


async def test_a_workload_identity_will_do(
    bench: Bench, borrowed: Borrowing, azure: AzureStandIn, az: Program, tmp_path: Path
) -> None:
    subject = "system:serviceaccount:tools:audit"
    identity = azure.add_identity("audit")
    azure.federate(identity, bench.issuer.url, subject)
    azure.grant(identity.principal_id, READER)
    token = tmp_path / "token"
    token.write_text(bench.issuer.token(subject, expires=time.time() + 3600))
    variables = {"AZURE_TENANT_ID": azure.tenant, "AZURE_CLIENT_ID": identity.client_id}
    await borrowed({**variables, "AZURE_FEDERATED_TOKEN_FILE": str(token)}).identify()
    assert {each.principal for each in azure.requests(service="arm", path=VAULT)} == {identity.principal_id}
    assert not az.was_run


async def test_a_login_that_is_refused_is_not_passed_over(
    bench: Bench, borrowed: Borrowing, azure: AzureStandIn, az: Program
) -> None:
    assert bench.name == "kv"
    variables = {**azure_login(azure, READER), "AZURE_CLIENT_SECRET": "wrong"}
    with pytest.raises(Unauthorized, match="AADSTS7000215") as caught:
        await borrowed(variables).arm.log_in()
    assert "wrong" not in caught.value.message
    assert not az.was_run


async def test_where_nobody_is_logged_in_the_next_step_is_said(
    bench: Bench, borrowed: Borrowing, azure: AzureStandIn, az: Program
) -> None:
    azure.attach_identity(bench.operator)
    azure.forget_requests()
    with pytest.raises(NotLoggedIn, match=f"run az login --tenant {azure.tenant}"):
        await borrowed({}).arm.log_in()
    assert az.was_run
    assert azure.requests() == []


async def test_the_operators_own_identity_is_refused_however_it_comes(
    bench: Bench, borrowed: Borrowing, azure: AzureStandIn
) -> None:
    variables = {
        "AZURE_TENANT_ID": azure.tenant,
        "AZURE_CLIENT_ID": bench.operator.client_id,
        "AZURE_FEDERATED_TOKEN_FILE": str(bench.token),
    }
    store = borrowed(variables)
    for _ in range(2):
        with pytest.raises(InvalidSettings, match="as the operator of backend kv"):
            await store.arm.log_in()
        with pytest.raises(AirwardenError):
            await store.identify()
    assert azure.requests(service="arm") == []


async def test_a_token_is_asked_for_once_and_again_when_it_was_refused(
    bench: Bench, borrowed: Borrowing, azure: AzureStandIn
) -> None:
    assert bench.name == "kv"
    store = borrowed(azure_login(azure, READER))
    await store.arm.log_in()
    await store.identify()
    await store.holdings()
    assert len(azure.requests(service="entra", method="POST")) == 1
    azure.fail_next(401, "InvalidAuthenticationToken", path=VAULT)
    await store.identify()
    assert len(azure.requests(service="entra", method="POST")) == 2
