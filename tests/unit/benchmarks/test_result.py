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


def huge(commit: str = "c-huge", rss: float = 300.0) -> Result:
    run = {"kind": "huge", "commit": commit, "scenarios": ["new-10000"], "others_busy_percent": 80.0}
    return Result.of({**ABOUT, "commit": commit, "runs": [run]}, {"new-10000": Measured({"rss_mb_10000": rss})})


def test_an_apart_run_adds_its_figures_and_takes_none_away() -> None:
    both = huge().beside(SOME)
    assert both.value("rss_mb_10000") == 300
    assert both.value("bindings_per_second") == 100
    assert [each["kind"] for each in both.about["runs"]] == ["full", "huge"]
    assert both.about["commit"] == ABOUT["commit"], "the file's commit is that of the usual run"
    assert set(both.scenarios) == {*SOME.scenarios, "new-10000"}


def test_a_usual_run_replaces_the_last_one_and_leaves_the_apart_ones() -> None:
    quick = Result.of(
        {**ABOUT, "commit": "later", "runs": [{"kind": "quick", "commit": "later", "others_busy_percent": 0.0}]},
        {"steady": Measured({"patches_steady": 0.0})},
    )
    found = quick.beside(huge().beside(SOME))
    assert [(each["kind"], each["commit"]) for each in found.about["runs"]] == [("huge", "c-huge"), ("quick", "later")]
    assert found.value("rss_mb_10000") == 300
    assert found.value("bindings_per_second") is None, "a figure of the run that was replaced is no longer shown"
    assert set(found.scenarios) == {"new-10000", "steady"}


def test_an_apart_run_takes_its_own_place() -> None:
    found = huge("newer", 250.0).beside(huge().beside(SOME))
    assert [(each["kind"], each.get("commit")) for each in found.about["runs"]][-1] == ("huge", "newer")
    assert len(found.about["runs"]) == 2
    assert found.value("rss_mb_10000") == 250


def test_a_busy_apart_run_takes_no_verdict_from_the_usual_one() -> None:
    assert huge().disturbed
    assert not huge().beside(SOME).disturbed


def test_another_machine_begins_a_new_file() -> None:
    assert huge().comes_from(SOME)
    assert not huge().comes_from(replace(SOME, about={**ABOUT, "machine": {"cores": 64}}))


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
