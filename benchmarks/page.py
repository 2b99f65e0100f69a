"""The measured parts of docs/performance.md: written from a result, and checked against it by a test.

Each part stands between two comments and is replaced as a whole, so the page cannot say what was not
measured. Called by `__main__` after a run; `tests/unit/benchmarks` calls `stale`.
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from benchmarks.errors import BenchmarkError
from benchmarks.figures import FIGURES
from benchmarks.machine import described
from benchmarks.maths import growth, ratio
from benchmarks.result import Result
from benchmarks.tables import budget, shown, verdict

ROOT: Final = Path(__file__).resolve().parents[1]
PAGE: Final = ROOT / "docs" / "performance.md"
CHART: Final = ROOT / "docs" / "images" / "benchmarks.svg"
_NOT_RUN: Final = "not run"
_INTERVAL: Final = 600
_LIMIT_MB: Final = 512


def filled(text: str, result: Result) -> str:
    """Return the page with all measured parts as the result has them."""
    for name, write in _PARTS.items():
        mark = re.compile(rf"(<!-- measured: {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        if not mark.search(text):
            raise BenchmarkError(f"the page has no part named {name}")
        body = write(result)
        text = mark.sub(lambda found, body=body: f"{found.group(1)}{body}{found.group(2)}", text)  # type: ignore[misc]
    return text


def budgets(result: Result) -> str:
    """Return the table of all figures beside their budgets."""
    lines = ["| what | budget | measured | | key |", "|---|---:|---:|---|---|"]
    for each in FIGURES:
        value = result.value(each.key)
        said = verdict(each, value, disturbed=result.disturbed)
        note = f" ({each.note})" if each.note else ""
        what = f"{each.meaning}{note}"
        measured = _NOT_RUN if value is None else f"{shown(value)} {_unit(each.unit)}".strip()
        word = {"missed": "**missed**", _NOT_RUN: ""}.get(said, said)
        lines.append(f"| {what} | {budget(each)} | {measured} | {word} | `{each.key}` |")
    return "\n".join(lines) + "\n"


def where(result: Result) -> str:
    """Return on what was measured."""
    lines = [f"{described(result.about)}.", ""]
    for run in result.about.get("runs") or ():
        busy = run.get("others_busy_percent")
        noise = "" if busy is None else f"; other programs used {shown(busy)} % of the machine meanwhile"
        failed = "".join(f"; {name} failed" for name in run.get("failures") or ())
        lines.append(f"- {run['kind']} run of {run['commit']}, {run['date']}, {run['seconds']} s{noise}{failed}")
    return "\n".join(lines) + "\n"


def curves(result: Result) -> str:
    """Return the table of growth and what is linear in it."""
    names = ("bindings", "per_second", "cpu_ms_per_binding", "ready_seconds_p50", "ready_seconds_p99", "rss_mb")
    lines = ["| new bindings | a second | CPU ms each | Ready p50, s | Ready p99, s | memory, MB |", "|" + "---:|" * 6]
    found = result.growth()
    lines.extend("| " + " | ".join(shown(each.get(name)) for name in names) + " |" for each in found)
    if len(found) > 1:
        counts = [float(each["bindings"]) for each in found]
        cpu = growth([(each["bindings"], each["bindings"] * each["cpu_ms_per_binding"]) for each in found])
        each_kb = 1024 * (found[-1]["rss_mb"] - found[0]["rss_mb"]) / (counts[-1] - counts[0])
        linear = f"Processor time grows with the power {shown(cpu)} of the number of bindings (1 is linear)"
        lines += ["", f"{linear}, memory by {shown(each_kb)} kB a binding."]
    return "\n".join(lines) + "\n"


def more(result: Result) -> str:
    """Return what else was measured, in sentences; those without figures are left out."""
    said = [
        text
        for name, write in _SENTENCES.items()
        if (details := result.scenarios.get(name)) is not None
        for text in [write(details)]
    ]
    return "\n".join(f"- {each}" for each in said) + "\n" if said else f"{_NOT_RUN}\n"


def capacity(result: Result) -> str:
    """Return the constants of the capacity formula."""
    steady, restart = result.scenarios.get("steady", {}), result.scenarios.get("restart", {})
    found = result.growth()
    lines = ["| constant | value | from |", "|---|---:|---|"]
    new = next((each for each in found if each["bindings"] == 1000), {})
    lines.append(f"| `new`, CPU ms of one new binding | {shown(new.get('cpu_ms_per_binding'))} | 1,000 new |")
    lines.append(f"| `check`, CPU ms of one drift check | {shown(steady.get('cpu_ms_per_check'))} | steady state |")
    lines.append(f"| `start`, CPU ms a binding at a start | {shown(restart.get('cpu_ms_per_binding'))} | restart |")
    lines.append(f"| `idle`, CPU with nothing due, % of a core | {shown(restart.get('idle_cpu_percent'))} | restart |")
    base, each_kb = memory(found)
    lines.append(f"| `base`, memory without bindings, MB | {shown(base)} | 1,000 and more new |")
    lines.append(f"| `each`, memory of one binding, kB | {shown(each_kb)} | the same |")
    most = ratio(1000.0, steady.get("cpu_ms_per_check"))
    lines.append(f"| drift checks a second that fill one core | {shown(most)} | 1000 / `check` |")
    half = None if most is None else most / 2 * _INTERVAL
    lines.append(f"| bindings that half a core checks every ten minutes | {shown(half)} | half of that times 600 s |")
    fit = None if base is None else ratio(1024 * (_LIMIT_MB - base), each_kb)
    lines.append(f"| bindings that fit the {_LIMIT_MB} MB limit of `manifests/` | {shown(fit)} | `base` + `each` |")
    return "\n".join(lines) + "\n"


def memory(found: list[dict[str, Any]]) -> tuple[float | None, float | None]:
    """Return the memory without bindings in MB and that of one binding in kB."""
    if not found:
        return None, None
    first, last = found[0], found[-1]
    base = first.get("rss_mb_before")
    if base is None or last["bindings"] == 0:
        return base, None
    return base, 1024 * (last["rss_mb"] - base) / last["bindings"]


def tasks(result: Result) -> str:
    """Return the tasks' table, side by side."""
    found = result.scenarios.get("tasks")
    if found is None:
        return f"{_NOT_RUN}\n"
    ours, theirs = found["airwarden"], found["vaultbackend"]
    lines = [
        f"{shown(found['tasks'])} tasks with {found['lookups']} lookups: bound, again, not bound, bound, not bound.",
        "",
        "| | AirwardenBackend | VaultBackend | ratio |",
        "|---|---:|---:|---:|",
    ]
    for key, what in _TASKS.items():
        cells = (what, shown(ours[key]), shown(theirs[key]), shown(ratio(theirs[key], ours[key])))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _unit(unit: str) -> str:
    return {"1/s": "a second", "times": "times", "requests": "", "PATCHes": ""}.get(unit, unit)


def _paced(found: Mapping[str, Any]) -> str:
    return (
        f"Bindings that come ten a second are Ready within {shown(found['ready_seconds_p50'])} s (p50), "
        f"{shown(found['ready_seconds_p99'])} s (p99)."
    )


def _floor(found: Mapping[str, Any]) -> str:
    return (
        f"The floor: {shown(found['per_second'])} bindings a second with {found['in_flight']} in flight, "
        f"{shown(found['cpu_ms_per_binding'])} ms of CPU each; {shown(found['per_second_without_creation'])} a second "
        "when the bindings are there before."
    )


def _restart(found: Mapping[str, Any]) -> str:
    return (
        f"Restart with {shown(found['bindings'])} bindings: all checked after {shown(found['seconds'])} s, "
        f"{found['vault_writes']} writes to Vault, {found['patches']} PATCHes on bindings, Ready flapped "
        f"{found['ready_flaps']} times; then {shown(found['idle_cpu_percent'])} % of a core with nothing due."
    )


def _edit(found: Mapping[str, Any]) -> str:
    waiting = found["waiting_at_each_edit"]
    return (
        f"Edits with {shown(min(waiting))} to {shown(max(waiting))} others waiting: Ready after "
        f"{shown(found['seconds_p50'])} s (p50), {shown(found['seconds_most'])} s (the slowest of {found['edits']}); "
        f"one in the very moment of the start after {shown(found['seconds_right_after_start'])} s."
    )


def _ending(found: Mapping[str, Any]) -> str:
    ways = {
        "a rule that no longer admits them": "rule",
        "an edit that asks for another key": "edit",
        "`notAfter`": "notAfter",
        "deletion": "deletion",
    }
    told = (
        f"{name} {shown(found[f'{way}_seconds_p50'])} s (p50), {shown(found[f'{way}_seconds_most'])} s (the slowest)"
        for name, way in ways.items()
    )
    return (
        f"Access of {shown(found['bindings'])} bindings beside {shown(found['bindings_beside'])} others, from what "
        f"ends it to Vault's answer: {'; '.join(told)}."
    )


def _namespace(found: Mapping[str, Any]) -> str:
    return (
        f"A namespace with {shown(found['bindings'])} bindings: its bindings gone after "
        f"{shown(found['seconds_until_bindings_gone'])} s, the namespace after "
        f"{shown(found['seconds_until_namespace_gone'])} s, {found['left_in_vault']} objects left in Vault."
    )


def _outage(found: Mapping[str, Any]) -> str:
    return (
        f"Vault down for {shown(found['seconds'])} s with {shown(found['bindings'])} bindings: "
        f"{found['patches_on_others']} PATCHes on bindings that were not edited, {found['others_not_ready']} of which "
        f"stopped being Ready, {shown(found['cpu_percent'])} % of a core; the {found['edits']} edited ones Ready "
        f"{shown(found['recovery_seconds'])} s after Vault was back."
    )


def _hostile(found: Mapping[str, Any]) -> str:
    return (
        f"Beside {shown(found['refused_bindings'])} refused bindings and {found['edits']} edits of one: others Ready "
        f"within {shown(found['others_ready_seconds_p50'])} s (p50), {shown(found['others_ready_seconds_p99'])} s "
        f"(p99), against {shown(found['others_ready_seconds_p50_calm'])} s and "
        f"{shown(found['others_ready_seconds_p99_calm'])} s in peace."
    )


def _soak(found: Mapping[str, Any]) -> str:
    return (
        f"{shown(found['minutes'])} minutes of churn, {shown(found['changes'])} changes: memory "
        f"{shown(found['rss_mb_settled'])} MB after the first third, {shown(found['rss_mb_last'])} MB at the end "
        f"({shown(found['rss_mb_per_hour'])} MB an hour); sockets {found['sockets_first']} at first, "
        f"{found['sockets_most']} at most, {found['sockets_last']} at the end."
    )


_SENTENCES: Final[dict[str, Callable[[Mapping[str, Any]], str]]] = {
    "floor": _floor,
    "paced": _paced,
    "restart": _restart,
    "edit": _edit,
    "ending": _ending,
    "namespace": _namespace,
    "outage": _outage,
    "hostile": _hostile,
    "soak": _soak,
}
_TASKS: Final = {
    "requests": "requests to Vault in all, with logins and the ends of logins",
    "logins": "logins",
    "reads": "reads",
    "requests_unbound": "reads of ids that are not bound",
    "lookup_ms_p50": "a lookup, p50, ms",
    "lookup_ms_p99": "a lookup, p99, ms",
    "first_ms_p50": "the first lookup of a task, with its login, p50, ms",
    "import_ms": "added to the start of each Airflow process, ms",
}
_PARTS: Final[dict[str, Callable[[Result], str]]] = {
    "where": where,
    "budgets": budgets,
    "growth": curves,
    "more": more,
    "tasks": tasks,
    "capacity": capacity,
}
