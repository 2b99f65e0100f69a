"""The settings: each has a flag, a place on the page, and a clear word when it cannot be used."""

import inspect
from pathlib import Path

import pytest
from pydantic import ValidationError
from typer.testing import CliRunner

from airwarden import cli
from airwarden.settings import Settings, manual

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "settings.md"


def test_every_setting_is_a_flag_of_run() -> None:
    assert list(inspect.signature(cli.run).parameters) == list(Settings.model_fields)


def test_the_page_is_as_generated() -> None:
    assert PAGE.read_text() == manual(), "run: airwarden settings > docs/reference/settings.md"


def test_the_environment_is_read_under_its_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRWARDEN_CLUSTER", "prod-eu1")
    monkeypatch.setenv("AIRWARDEN_METRICS_PORT", "9100")
    settings = Settings()
    assert (settings.cluster, settings.metrics_port) == ("prod-eu1", 9100)


@pytest.mark.parametrize("name", ["", "has.dot", "Upper", "-dash", "dash-", "a" * 33, "under_score", "new\nline"])
def test_a_cluster_name_that_could_collide_is_refused(name: str) -> None:
    with pytest.raises(ValidationError):
        Settings(cluster=name)


def test_a_bad_setting_ends_run_with_one_line_that_names_it() -> None:
    done = CliRunner().invoke(cli.app, ["run", "--cluster", "has.dot"])
    assert done.exit_code == 1
    assert done.output.startswith("airwarden: the settings cannot be used: cluster:")
