import pytest
from benchmarks.chart import draw
from benchmarks.errors import BenchmarkError
from benchmarks.figures import KEYS
from benchmarks.machine import described
from benchmarks.page import CHART, PAGE, budgets, capacity, filled, more, tasks
from benchmarks.result import LATEST, Measured, Result, read

from .results import NOTHING, SOME


def test_the_page_says_what_was_measured_last() -> None:
    text = PAGE.read_text()
    assert filled(text, read(LATEST)) == text, "docs/performance.md differs from benchmarks/results/latest.json"


def test_the_chart_shows_what_was_measured_last() -> None:
    result = read(LATEST)
    assert CHART.read_text() == draw(result, described(result.about))


def test_every_key_is_on_the_page() -> None:
    assert [key for key in KEYS if f"`{key}`" not in PAGE.read_text()] == []


def test_what_was_not_run_has_no_number() -> None:
    rows = [line.split("|") for line in budgets(NOTHING).splitlines()[2:]]
    assert {each[3].strip() for each in rows} == {"not run"}
    assert more(NOTHING) == "not run\n"
    rows = [line.split("|") for line in capacity(NOTHING).splitlines()[2:]]
    assert {each[2].strip() for each in rows} == {"-"}


def test_tasks_stand_side_by_side_with_the_ratio() -> None:
    times = {"lookup_ms_p50": 1.0, "lookup_ms_p99": 20.0, "first_ms_p50": 10.0, "import_ms": 2.0}
    ours = {"requests": 400, "logins": 100, "reads": 200, "requests_unbound": 0, **times}
    theirs = {**ours, "requests": 600, "reads": 500, "requests_unbound": 200, "import_ms": 50.0}
    details = {"tasks": 100, "lookups": 5, "airwarden": ours, "vaultbackend": theirs}
    text = tasks(Result.of({"runs": []}, {"tasks": Measured({}, details)}))
    assert "| requests to Vault in all, with logins and the ends of logins | 400 | 600 | 1.5 |" in text
    assert "| reads of ids that are not bound | 0 | 200 | - |" in text
    assert "| added to the start of each Airflow process, ms | 2 | 50 | 25 |" in text
    assert tasks(NOTHING) == "not run\n"


def test_a_page_without_its_marks_is_refused() -> None:
    with pytest.raises(BenchmarkError, match="no part named"):
        filled("# Performance\n", SOME)


def test_filling_twice_changes_nothing() -> None:
    once = filled(PAGE.read_text(), SOME)
    assert filled(once, SOME) == once
    assert "Fast & Co" in once
