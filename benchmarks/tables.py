"""Tables for the terminal: one result against its budgets, and two results against each other.

Called by `__main__` and `commits`. A figure that was not measured shows a dash, never 0.
"""

from rich.box import SIMPLE_HEAD
from rich.table import Table

from benchmarks.figures import FIGURES, Better, Figure
from benchmarks.maths import growth, ratio
from benchmarks.result import Result

NOTHING = "-"
_WIDE = 130


def shown(value: float | None) -> str:
    """Return a figure as people read it."""
    if value is None:
        return NOTHING
    if value == int(value):
        return f"{int(value):,}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def verdict(figure: Figure, value: float | None, *, disturbed: bool) -> str:
    """Return what the budget says of a value; of a time on a disturbed machine it says nothing, good or bad."""
    within = figure.within(value)
    if value is None:
        return "not run"
    if figure.timed and disturbed:
        return "disturbed"
    return "" if within is None else "kept" if within else "missed"


def result_table(result: Result, width: int = 80) -> Table:
    """Return all figures beside their budgets; on a wide terminal also what each is."""
    table = Table(title="Airwarden, measured", title_justify="left", box=SIMPLE_HEAD)
    for name in ("figure", "measured", "budget", "", "unit"):
        table.add_column(name, justify="right" if name in ("measured", "budget") else "left", no_wrap=True)
    if width >= _WIDE:
        table.add_column("what it is")
    for each in FIGURES:
        value = result.value(each.key)
        said = verdict(each, value, disturbed=result.disturbed)
        style = {"missed": "red", "kept": "green", "disturbed": "yellow"}.get(said, "dim" if value is None else "")
        row = (each.key, shown(value), budget(each), said, each.unit)
        table.add_row(*row, *((each.meaning,) if width >= _WIDE else ()), style=style)
    return table


def budget(figure: Figure) -> str:
    """Return a budget with its direction."""
    if figure.budget is None:
        return NOTHING
    return f"{'≥' if figure.better is Better.HIGHER else '≤'} {shown(figure.budget)}"


def growth_table(result: Result) -> Table:
    """Return how rate, processor time and memory grow with the number of new bindings."""
    table = Table(title="New bindings, by number", title_justify="left", box=SIMPLE_HEAD)
    for name in ("bindings", "a second", "CPU ms each", "Ready p50 s", "Ready p99 s", "memory MB"):
        table.add_column(name, justify="right")
    points = result.growth()
    for each in points:
        table.add_row(*(shown(each.get(key)) for key in _GROWING))
    if len(points) > 1:
        cpu = growth([(each["bindings"], each["bindings"] * each["cpu_ms_per_binding"]) for each in points])
        table.caption = f"processor time grows with the power {shown(cpu)} of the number; 1 is linear"
    return table


_GROWING = ("bindings", "per_second", "cpu_ms_per_binding", "ready_seconds_p50", "ready_seconds_p99", "rss_mb")


def comparison(one: Result, other: Result, names: tuple[str, str]) -> Table:
    """Return two results side by side, with how many times the second is the first."""
    table = Table(title=f"{names[0]} against {names[1]}", title_justify="left", box=SIMPLE_HEAD)
    table.add_column("figure", no_wrap=True)
    for name in (*names, "ratio"):
        table.add_column(name, justify="right", overflow="fold")
    table.add_column("")
    for each in FIGURES:
        before, after = one.value(each.key), other.value(each.key)
        times = ratio(after, before)
        row = (shown(before), shown(after), NOTHING if times is None else f"{times:.2f}")
        table.add_row(each.key, *row, direction(each, before, after))
    return table


def direction(figure: Figure, before: float | None, after: float | None) -> str:
    """Return whether the second is better; under 10 % of difference nothing is said, that much is noise."""
    if before is None or after is None or before == after:
        return ""
    if before != 0 and abs(after / before - 1) < 0.1:
        return ""
    return "better" if (after > before) is (figure.better is Better.HIGHER) else "worse"
