import io

from benchmarks.figures import FIGURES
from benchmarks.result import Measured, Result
from benchmarks.tables import comparison, direction, growth_table, result_table, shown
from rich.console import Console
from rich.table import Table

from .results import ABOUT, NOTHING, SOME


def text(table: Table, width: int = 80) -> str:
    console = Console(width=width, file=io.StringIO(), record=True)
    console.print(table)
    return console.export_text()


def row(shown_table: str, key: str) -> str:
    return next(line for line in shown_table.splitlines() if key in line)


def test_what_was_not_measured_shows_a_dash_and_no_number() -> None:
    for each in FIGURES:
        assert row(text(result_table(NOTHING)), each.key).split()[1] == "-"
    assert "not run" in row(text(result_table(NOTHING)), "floor_ratio")


def test_a_budget_is_kept_or_missed_in_its_direction() -> None:
    figures = {"bindings_per_second": 100.0, "operator_cpu_ms_per_binding": 5.0, "patches_steady": 0.0}
    shown_table = text(result_table(Result.of(ABOUT, {"new-1000": Measured(figures)})))
    assert "missed" in row(shown_table, "bindings_per_second")
    assert "kept" in row(shown_table, "operator_cpu_ms_per_binding")
    assert "kept" in row(shown_table, "patches_steady")


def test_keys_are_whole_on_a_narrow_terminal() -> None:
    narrow = text(result_table(SOME))
    assert all(each.key in narrow for each in FIGURES)
    assert FIGURES[0].meaning in text(result_table(SOME, 200), 200)


def test_growth_says_what_is_linear() -> None:
    assert "power 1 of" in text(growth_table(SOME), 120)


def test_two_results_side_by_side() -> None:
    faster = Result.of(ABOUT, {"new-1000": Measured({"bindings_per_second": 150.0, "ready_seconds_p50": 5.0})})
    shown_table = text(comparison(SOME, faster, ("a", "b")))
    assert row(shown_table, "bindings_per_second").split() == ["bindings_per_second", "100", "150", "1.50", "better"]
    assert row(shown_table, "ready_seconds_p50").split() == ["ready_seconds_p50", "2.5", "5", "2.00", "worse"]
    assert row(shown_table, "rss_mb_10000").split() == ["rss_mb_10000", "-", "-", "-"]


def test_small_differences_are_noise_and_a_new_write_is_not() -> None:
    by_key = {each.key: each for each in FIGURES}
    assert direction(by_key["bindings_per_second"], 100, 105) == ""
    assert direction(by_key["patches_steady"], 0, 1) == "worse"
    assert direction(by_key["patches_steady"], None, 1) == ""


def test_numbers_are_shown_for_people() -> None:
    assert [shown(each) for each in (None, 0, 3, 12345.6, 0.01234, 99.95)] == [
        "-",
        "0",
        "3",
        "12,346",
        "0.01234",
        "99.95",
    ]


def test_times_on_a_disturbed_machine_get_no_verdict_and_counts_do() -> None:
    runs = [{"kind": "full", "others_busy_percent": 40.0}]
    figures = {"bindings_per_second": 500.0, "floor_ratio": 0.5, "patches_steady": 0.0, "patches_new": 4.0}
    shown_table = text(result_table(Result.of({**ABOUT, "runs": runs}, {"new-1000": Measured(figures)})))
    assert "disturbed" in row(shown_table, "bindings_per_second")
    assert "disturbed" in row(shown_table, "floor_ratio")
    assert "kept" in row(shown_table, "patches_steady")
    assert "missed" in row(shown_table, "patches_new")
