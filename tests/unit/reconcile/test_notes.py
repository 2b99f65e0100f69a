"""What a check finds worth saying of a store that can be used is a condition of the backend, until it is so no more."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from airwarden.api.reasons import Reason
from airwarden.domain.errors import Forbidden, MountMissing, Unreachable
from airwarden.providers.kubernetes.objects import ObjectWriter
from airwarden.providers.ports import Health, Note
from airwarden.reconcile.metrics import Metrics
from airwarden.reconcile.probe import Probe, ProbeTools
from unit.reconcile.fakes import Bench, FakeStore, backend_body

PATH = "/apis/airwarden.dev/v1alpha1/airflowsecretbackends/vault"
NEAR = Note("QuotaNear", Reason.QUOTA_NEAR, "more than 3199 of 4000")


class NotedStore(FakeStore):
    """A store of which there is something to say, and in which something is shared."""

    notes: tuple[Note, ...] = ()
    missing: tuple[str, ...] = ()

    async def check(self) -> Health:
        return replace(await super().check(), notes=self.notes, missing_permissions=self.missing)

    async def keep_shared(self, *, used: bool) -> None:
        self._raise("shared")


class Watch:
    """One probe, whose checks a test asks for one by one."""

    def __init__(self) -> None:
        self.bench = Bench()
        self.store = NotedStore("vault", self.bench.journal, self.bench.api)
        self.bench.stores["vault"] = self.store
        self.bench.api.put(PATH, backend_body())
        self.woken: list[str] = []
        self.restart()

    def restart(self) -> None:
        """Forget what memory held."""
        bench = self.bench
        bench.restart()
        bench.backends.learn(bench.api.objects[PATH])
        writer, now = ObjectWriter(bench.api), datetime(2031, 5, 1, tzinfo=UTC)
        tools = ProbeTools(
            bench.cache,
            bench.backends,
            writer,
            Metrics(),
            self.woken.append,
            lambda: now,
            lambda _: None,
            bench.sweeps(),
        )
        self.probe = Probe("vault", tools)

    async def look(self) -> dict[str, tuple[str, str, str]]:
        """Check once, and return what the status says besides Ready and the like."""
        await self.probe._check()
        return await self.told()

    async def told(self) -> dict[str, tuple[str, str, str]]:
        """Keep the status, and return what it says besides Ready and the like."""
        await self.probe._keep_status()
        found: list[dict[str, Any]] = self.bench.api.objects[PATH]["status"]["conditions"]
        usual = {"Ready", "Reachable", "Authorized", "Reconciling"}
        return {
            each["type"]: (each["status"], each["reason"], each["message"])
            for each in found
            if each["type"] not in usual
        }


@pytest.fixture
def watch() -> Watch:
    return Watch()


async def test_a_note_is_a_condition_for_as_long_as_it_is_made(watch: Watch) -> None:
    assert await watch.look() == {}
    watch.store.notes = (NEAR,)
    assert await watch.look() == {"QuotaNear": ("True", "QuotaNear", "more than 3199 of 4000")}
    watch.store.notes = ()
    assert await watch.look() == {}


async def test_what_is_shared_and_could_not_be_kept_is_one_too(watch: Watch) -> None:
    watch.store.errors["shared"] = Forbidden("no right to the workspace")
    assert await watch.look() == {"SharedFailed": ("True", "DiagnosticsFailed", "no right to the workspace")}
    del watch.store.errors["shared"]
    assert await watch.look() == {}


@pytest.mark.parametrize("restarted", [False, True])
async def test_what_was_said_of_a_store_stands_while_it_cannot_be_asked(watch: Watch, restarted: bool) -> None:
    watch.store.notes = (NEAR,)
    watch.store.errors["shared"] = Forbidden("no right to the workspace")
    said = await watch.look()
    assert sorted(said) == ["QuotaNear", "SharedFailed"]
    if restarted:
        watch.restart()
        assert await watch.told() == said, "nobody has asked yet"
    watch.store.errors["check"] = Unreachable("no answer")
    assert await watch.look() == said
    watch.store.errors.clear()
    watch.store.notes = ()
    assert await watch.look() == {}


async def test_bindings_are_woken_when_the_rights_that_the_operator_lacked_are_there(watch: Watch) -> None:
    watch.store.missing = ("Microsoft.Authorization/roleAssignments/write",)
    await watch.look()
    await watch.look()
    assert watch.woken == []
    watch.store.missing = ()
    await watch.look()
    assert watch.woken == ["vault"], "they look at the store again: what a recovered vault lost is made anew now"
    await watch.look()
    assert watch.woken == ["vault"]


async def test_of_a_store_that_is_gone_nothing_stands_that_was_said_of_it(watch: Watch) -> None:
    watch.store.notes = (NEAR,)
    assert sorted(await watch.look()) == ["QuotaNear"]
    watch.store.errors["check"] = MountMissing("no such vault")
    assert await watch.look() == {}
