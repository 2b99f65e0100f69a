import json
from dataclasses import replace
from pathlib import Path

import pytest
from benchmarks.errors import BenchmarkError
from benchmarks.figures import FIGURES, KEYS
from benchmarks.result import Measured, Result, read, write
from benchmarks.runner import with_ratio

from .results import ABOUT, NOTHING, SOME, new

ISSUED = frozenset(
    [
        "bindings_per_second",
        "ready_seconds_p50",
        "ready_seconds_p99",
        "operator_cpu_ms_per_binding",
        "patches_new",
        "patches_steady",
        "vault_requests_per_new_binding",
        "vault_reads_per_drift_check",
        "vault_writes_per_drift_check",
        "patches_restart",
        "floor_ratio",
        "rss_mb_1000",
        "rss_mb_10000",
        "edit_seconds_among_5000",
        "restart_seconds_5000",
        "delete_per_second",
        "patches_edit",
        "patches_outage",
    ]
)


def test_every_key_stands_in_the_file_and_what_was_not_run_is_null() -> None:
    found = json.loads(NOTHING.text())
    assert set(found) >= ISSUED
    assert [found[key] for key in KEYS] == [None] * len(KEYS)


def test_a_measured_zero_stays_a_zero() -> None:
    found = json.loads(Result.of(ABOUT, {"steady": Measured({"patches_steady": 0.0})}).text())
    assert found["patches_steady"] == 0
    assert found["patches_restart"] is None


def test_a_figure_that_is_nowhere_explained_is_refused() -> None:
    with pytest.raises(ValueError, match="bindings_per_minute"):
        Measured({"bindings_per_minute": 1.0})


def test_a_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    write(tmp_path / "results" / "a.json", SOME)
    assert read(tmp_path / "results" / "a.json").text() == SOME.text()


@pytest.mark.parametrize("text", ["", "[]", '{"a": 1}'])
def test_what_is_no_result_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(BenchmarkError, match="not a result"):
        read(tmp_path / "a.json")
    with pytest.raises(BenchmarkError, match="cannot be read"):
        read(tmp_path / "b.json")


def test_growth_is_in_order_of_size() -> None:
    assert [each["bindings"] for each in SOME.growth()] == [100, 1000, 5000]


def test_an_apart_run_adds_its_figures_and_takes_none_away() -> None:
    huge = Result.of({**ABOUT, "runs": [{"kind": "huge"}]}, {"new-10000": Measured({"rss_mb_10000": 300.0})})
    assert SOME.comes_from(huge)
    both = SOME.merged(huge)
    assert both.value("rss_mb_10000") == 300
    assert both.value("bindings_per_second") == 100
    assert [each["kind"] for each in both.about["runs"]] == ["full", "huge"]
    assert not SOME.comes_from(replace(huge, about={**ABOUT, "commit": "another"}))


def test_the_ratio_needs_both_sides() -> None:
    floor = Measured({}, {"per_second": 250.0})
    assert with_ratio(Result.of(ABOUT, {"new-1000": new(1000), "floor": floor})).value("floor_ratio") == 2.5
    slower = with_ratio(Result.of(ABOUT, {"new-1000": new(1000, 500.0), "floor": floor}))
    assert slower.value("floor_ratio") == 0.5, "what was measured stands there, also when it cannot be right"
    assert with_ratio(Result.of(ABOUT, {"floor": floor})).value("floor_ratio") is None
    assert with_ratio(Result.of(ABOUT, {"new-1000": new(1000)})).value("floor_ratio") is None


@pytest.mark.parametrize("figure", FIGURES, ids=lambda each: each.key)
def test_no_verdict_without_a_value(figure: object) -> None:
    assert next(each for each in FIGURES if each is figure).within(None) is None
