"""The section [airwarden]: all that is wrong is said at once, before the scheduler starts."""

from __future__ import annotations

import pytest

from airflow_airwarden.executor_settings import ExecutorSettings, ExecutorSettingsInvalid, executor_settings

WHOLE = {
    "environment": "airflow/main",
    "bundles": "billing-git, reports-git",
    "unbound_namespace": "airflow-prod",
    "unbound_service_account": "airflow-unbound",
    "digest": "abc",
}
WATCHED = frozenset({"airflow-prod"})


def settings(changes: dict[str, str] | None = None, namespaces: frozenset[str] = WATCHED) -> ExecutorSettings:
    return executor_settings((WHOLE | (changes or {})).get, namespaces)


def test_the_operators_rendering_is_taken() -> None:
    found = settings()
    assert (found.reference, found.environment, found.bundles) == (
        "airflow/main",
        "main",
        ("billing-git", "reports-git"),
    )
    assert (found.unbound.namespace, found.unbound.account) == ("airflow-prod", "airflow-unbound")
    assert (found.digest, found.allow_image) == ("abc", False)
    assert settings({"allow_image": "True"}, frozenset()).allow_image


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({"environment": "main"}, "environment must be"),
        ({"environment": "a/b/c"}, "environment must be"),
        ({"bundles": " , "}, "bundles must name"),
        ({"unbound_namespace": ""}, "unbound_namespace must be"),
        ({"unbound_namespace": "elsewhere"}, "namespace_list must hold unbound_namespace"),
        ({"unbound_service_account": "A"}, "unbound_service_account must be"),
        ({"allow_image": "maybe"}, "allow_image must be"),
    ],
)
def test_what_is_wrong_is_named(changes: dict[str, str], wrong: str) -> None:
    with pytest.raises(ExecutorSettingsInvalid, match=wrong):
        settings(changes)


def test_without_any_rendering_each_option_is_named_with_the_way_out() -> None:
    with pytest.raises(ExecutorSettingsInvalid) as refusal:
        executor_settings(lambda _: None, None)
    for each in ("environment", "bundles", "unbound_namespace", "unbound_service_account", "multi_namespace_mode"):
        assert each in str(refusal.value)
    assert "airwarden.<environment>.scheduler" in str(refusal.value)
