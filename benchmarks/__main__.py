"""The command of the benchmarks: `make bench ARGS="--quick"`, or `python -m benchmarks --help`.

Runs, shows one table, and writes the result, the chart and the measured parts of docs/performance.md.
"""

from pathlib import Path
from typing import Annotated, NamedTuple

import typer
from rich.console import Console

from benchmarks import commits, plan
from benchmarks.chart import draw
from benchmarks.errors import BenchmarkError
from benchmarks.machine import described
from benchmarks.page import CHART, PAGE, filled
from benchmarks.progress import open_progress
from benchmarks.result import LATEST, Result, read, write
from benchmarks.runner import Finished, Kind, run
from benchmarks.sizes import FULL, QUICK
from benchmarks.tables import comparison, growth_table, result_table
from plane.errors import PlaneError

_OUT = Console()


def main(  # noqa: PLR0913, PLR0917 - one parameter a flag, as typer reads them
    quick: Annotated[bool, typer.Option("--quick", help="Smaller sizes, under 3 minutes.")] = False,
    huge: Annotated[bool, typer.Option("--huge", help="Only the 10,000 bindings.")] = False,
    soak: Annotated[bool, typer.Option("--soak", help="Only the long run.")] = False,
    tasks: Annotated[bool, typer.Option("--tasks", help="Only tasks, beside Airflow's own VaultBackend.")] = False,
    task_count: Annotated[int, typer.Option(min=2, help="How many.")] = 100,
    soak_minutes: Annotated[float, typer.Option(min=0.2, help="How long the long run is.")] = 30.0,
    only: Annotated[list[str] | None, typer.Option(help="Only scenarios whose name holds this word.")] = None,
    output: Annotated[Path, typer.Option(help="File of the result. Chart and page follow the usual one.")] = LATEST,
    compare: Annotated[tuple[Path, Path] | None, typer.Option(help="Show two results side by side.")] = None,
    compare_commits: Annotated[
        tuple[str, str] | None, typer.Option(help="Measure two commits quickly, one after the other, and compare.")
    ] = None,
) -> None:
    """Measure the operator on the local control plane."""
    try:
        if compare is not None:
            one, other = compare
            _OUT.print(comparison(read(one), read(other), (one.stem, other.stem)))
            return
        if compare_commits is not None:
            first, second = (commits.measure(each) for each in compare_commits)
            _OUT.print(comparison(first, second, compare_commits))
            return
        finished = _run(_Wanted(quick, huge, soak, tasks), soak_minutes, task_count, tuple(only or ()))
        _keep(finished.result, output)
    except (BenchmarkError, PlaneError) as error:
        Console(stderr=True).print(f"bench: {error}", markup=False, highlight=False)
        raise typer.Exit(1) from None
    raise typer.Exit(1 if finished.failures else 0)


class _Wanted(NamedTuple):
    """Which kind of run; at most one of them."""

    quick: bool
    huge: bool
    soak: bool
    tasks: bool


def _run(wanted_kind: _Wanted, minutes: float, count: int, words: tuple[str, ...]) -> Finished:
    sizes = QUICK if wanted_kind.quick else FULL
    if sum(wanted_kind) > 1:
        raise BenchmarkError("--quick, --huge, --soak and --tasks are runs of their own: give one of them")
    if wanted_kind.huge:
        kind, groups = Kind("huge", words=words), plan.huge()
    elif wanted_kind.tasks:
        kind, groups = Kind("tasks", words=words), plan.tasks(count)
    elif wanted_kind.soak:
        kind, groups = Kind("soak", words=words), plan.soak(minutes)
    else:
        kind, groups = Kind("quick" if wanted_kind.quick else "full", sizes, words), plan.usual(sizes)
    wanted = plan.chosen(groups, words)
    if not wanted:
        raise BenchmarkError(f"no scenario has {' or '.join(words)} in its name")
    with open_progress() as progress:
        return run(wanted, kind, progress)


def _keep(result: Result, output: Path) -> None:
    """Show the result and write it, beside what other kinds of runs found on the same machine."""
    if output.exists():
        before = read(output)
        result = result.beside(before) if before.comes_from(result) else result
    _OUT.print(result_table(result, _OUT.width))
    _OUT.print(growth_table(result))
    _OUT.print(described(result.about), style="dim", highlight=False)
    _warn(result)
    write(output, result)
    if output != LATEST:
        return
    CHART.parent.mkdir(parents=True, exist_ok=True)
    CHART.write_text(draw(result, described(result.about)))
    PAGE.write_text(filled(PAGE.read_text(), result))
    _OUT.print("written: benchmarks/results/latest.json, docs/images/benchmarks.svg, docs/performance.md")
    _OUT.print("git restore benchmarks docs brings the published figures back")


def _warn(result: Result) -> None:
    """Say so when the times are worth little."""
    if result.disturbed:
        said = "Other programs used much of the machine meanwhile: the counts hold, the times do not."
        _OUT.print(said, style="yellow", highlight=False)


if __name__ == "__main__":
    typer.run(main)
