"""What is registered with kopf, where, and what its settings keep it from doing."""

from __future__ import annotations

import ast
import itertools
import operator as standard
import subprocess
import sys
from collections.abc import Sized
from pathlib import Path

import kopf
import pytest

from airwarden.handlers.registry import kopf_settings, register
from airwarden.reconcile.engine import Engine
from airwarden.reconcile.metrics import Metrics
from plane.binaries import REPOSITORY
from unit.reconcile.environment_fakes import EnvironmentBench
from unit.reconcile.rotation_fakes import RotationBench

SOURCE = REPOSITORY / "operator"


@pytest.fixture
def registry() -> kopf.OperatorRegistry:
    """Return a registry with all handlers of one engine."""
    rotations = RotationBench()
    bench = rotations.bench
    found = kopf.OperatorRegistry()
    engine = Engine("c1", bench.cache, bench.backends, bench.reconciler, Metrics(), clock=bench.clock)
    register(found, engine, rotations.engine, EnvironmentBench(bench).engine, lambda: None)
    return found


def test_handlers_go_into_the_given_registry_and_not_into_the_global_one(registry: kopf.OperatorRegistry) -> None:
    everything = kopf.get_default_registry()
    assert list(everything._watching.get_all_handlers()) == []
    assert list(everything._indexing.get_all_handlers()) == []
    assert {each.id for each in registry._watching.get_all_handlers()} == {
        "binding",
        "rotation",
        "environment",
        "backend",
        "namespace",
        "account",
    }


def test_kopf_stores_nothing_on_objects_because_no_handler_is_of_its_changing_kind(
    registry: kopf.OperatorRegistry,
) -> None:
    assert list(registry._changing.get_all_handlers()) == []
    assert list(registry._spawning.get_all_handlers()) == []


def test_no_handler_ever_sees_secrets(registry: kopf.OperatorRegistry) -> None:
    handlers = [*registry._watching.get_all_handlers(), *registry._indexing.get_all_handlers()]
    watched = {each.selector.any_name or each.selector.plural for each in handlers if each.selector is not None}
    assert watched == {
        "airflowsecretbindings",
        "airflowsecretbackends",
        "airflowsecretrotations",
        "airflowenvironments",
        "namespaces",
        "serviceaccounts",
    }


def test_kopf_neither_limits_workers_nor_posts_events_nor_scans() -> None:
    settings = kopf_settings()
    assert settings.queueing.worker_limit is None
    assert settings.posting.enabled is False
    assert settings.scanning.disabled is True


def test_kopf_goes_on_trying_however_long_the_api_server_refuses_and_each_request_begins_with_short_pauses() -> None:
    backoffs = kopf_settings().networking.error_backoffs
    assert not isinstance(backoffs, float)
    assert not isinstance(backoffs, Sized), "kopf counts on tries that end"
    for _ in range(2):
        pauses = list(itertools.islice(backoffs, 1000))
        assert len(pauses) == 1000
        assert pauses[0] == 1.0
        assert max(pauses) == 5.0


def test_the_source_root_does_not_shadow_the_standard_library() -> None:
    assert not (SOURCE / "__init__.py").exists()
    assert Path(str(standard.__file__)).parent == Path(str(ast.__file__)).parent
    code = "import operator, sys; sys.exit(not hasattr(operator, 'itemgetter'))"
    for path in (SOURCE, REPOSITORY):
        done = subprocess.run([sys.executable, "-c", code], cwd=path, check=False)
        assert done.returncode == 0
