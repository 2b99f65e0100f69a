"""Settings that need no cluster to show that they act."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from airwarden.api.backend import AirflowSecretBackend
from airwarden.domain.errors import InvalidSettings
from airwarden.providers.kubernetes.api import Absent, KubernetesApi
from airwarden.providers.opening import Opening
from airwarden.reconcile.metrics import Metrics
from airwarden.reconcile.queue import Key, Lanes, Urgency
from airwarden.settings import Settings
from airwarden.telemetry import Ports


@pytest.mark.parametrize(("stalled", "status"), [(0.0, 200), (40.0, 200), (41.0, 503)])
async def test_health_fails_after_stall_seconds_without_a_finished_pass(stalled: float, status: int) -> None:
    settings = Settings(cluster="prod", metrics_port=0, listen_address="127.0.0.1", stall_seconds=40)
    ports = Ports(Metrics(), ready=lambda: True, stalled_seconds=lambda: stalled)
    port = await ports.start(settings)
    try:
        async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/healthz") as answer:
            text = await answer.text()
            assert answer.status == status
            assert (text == "ok\n") is (status == 200)
    finally:
        await ports.stop()


async def test_running_passes_get_shutdown_seconds_to_finish() -> None:
    ended: list[str] = []
    begun = asyncio.Event()

    async def work(key: Key, _urgency: Urgency) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(key[1])

    lanes = Lanes(work, lambda _key: None)
    lanes.submit(("team", "slow"), frozenset({"vault"}), Urgency.CHANGE)
    await begun.wait()
    before = time.monotonic()
    async with asyncio.timeout(60):
        await lanes.close(0.05)
    assert ended == ["slow"]
    assert time.monotonic() - before >= 0.05


class _Asked(KubernetesApi):
    """Remembers what was read, and has nothing."""

    def __init__(self) -> None:
        self.paths: list[str] = []

    async def get(self, path: str) -> dict[str, Any]:
        self.paths.append(path)
        raise Absent(path)


async def test_ca_bundles_are_read_in_the_operators_namespace(tmp_path: Path) -> None:
    api = _Asked()
    backend = AirflowSecretBackend.model_validate(
        {
            "metadata": {"name": "vault"},
            "spec": {
                "type": "Vault",
                "vault": {
                    "address": "https://vault.example",
                    "tls": {"caBundleRef": {"configMap": {"name": "vault-ca"}}},
                    "login": {"kubernetes": {"role": "airwarden"}},
                    "kv": {"mount": "airflow"},
                    "workloadLogin": {"kubernetes": {"audience": "vault"}},
                },
            },
        }
    )
    with pytest.raises(InvalidSettings, match="ConfigMap platform/vault-ca"):
        await Opening(api, "prod", "platform", tmp_path).open(backend)
    assert api.paths == ["/api/v1/namespaces/platform/configmaps/vault-ca"]
