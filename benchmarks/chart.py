"""Draws the growth curves as an SVG file: rate, processor time and memory by number of new bindings. Pure.

Called by `__main__` for docs/images/benchmarks.svg. Plain text elements and lines; readable on light and
dark ground alike.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Final

from benchmarks.result import Result
from benchmarks.tables import shown

_WIDTH, _HEIGHT = 960, 330
_PANEL, _LEFT, _TOP, _PLOT_WIDTH, _PLOT_HEIGHT = 316, 64, 62, 220, 190
_INK, _LINE, _FLOOR = "#57606a", "#2f6feb", "#8250df"


@dataclass(frozen=True, slots=True)
class Curve:
    """One panel: a curve, and lines it is held against."""

    title: str
    points: tuple[tuple[float, float], ...]
    lines: tuple[tuple[str, float, str], ...] = ()
    """Name, height and colour of each level line."""


PANELS: Final = (
    ("bindings a second", "per_second"),
    ("processor time of one binding, ms", "cpu_ms_per_binding"),
    ("resident memory, MB", "rss_mb"),
)


def draw(result: Result, caption: str) -> str:
    """Return the picture's text."""
    panels = "".join(_panel(number, curve) for number, curve in enumerate(curves(result)))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-label="Growth with the number of new bindings" font-family="system-ui, sans-serif" font-size="11">\n'
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" rx="6" fill="#ffffff"/>\n'
        f"{_text(16, 24, 'New bindings: how rate, processor time and memory grow with their number', size=14)}"
        f"{panels}"
        f"{_text(16, _HEIGHT - 14, caption, size=10)}"
        "</svg>\n"
    )


def curves(result: Result) -> tuple[Curve, ...]:
    """Return what is drawn; a value that was not measured gives no point."""
    growth = result.growth()
    floor = result.scenarios.get("floor", {}).get("per_second")
    return tuple(
        Curve(title, _points(growth, key), (("floor", floor, _FLOOR),) if key == "per_second" and floor else ())
        for title, key in PANELS
    )


def _points(growth: Sequence[Mapping[str, Any]], key: str) -> tuple[tuple[float, float], ...]:
    return tuple((float(each["bindings"]), float(each[key])) for each in growth if each.get(key) is not None)


def _panel(number: int, curve: Curve) -> str:
    left = number * _PANEL + _LEFT
    bottom = _TOP + _PLOT_HEIGHT
    parts = [_text(left - 48, _TOP - 14, curve.title, size=12)]
    if not curve.points:
        return parts[0] + _text(left, _TOP + _PLOT_HEIGHT / 2, "not measured")
    top = ceiling(max([y for _, y in curve.points] + [height for _, height, _ in curve.lines]))
    most = curve.points[-1][0]
    for step in range(5):
        height = top * step / 4
        y = bottom - _PLOT_HEIGHT * step / 4
        parts.append(_level(left, y, "#d0d7de", dashed=False))
        parts.append(_text(left - 6, y + 4, shown(height), anchor="end"))
    for name, height, colour in curve.lines:
        y = bottom - _PLOT_HEIGHT * height / top
        parts.append(_level(left, y, colour, dashed=True))
        parts.append(_text(left + _PLOT_WIDTH, y - 4, name, anchor="end", colour=colour))
    places = [(left + _PLOT_WIDTH * x / most, bottom - _PLOT_HEIGHT * y / top) for x, y in curve.points]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    parts.append(f'<polyline points="{path}" fill="none" stroke="{_LINE}" stroke-width="2"/>\n')
    for (count, value), (x, y) in zip(curve.points, places, strict=True):
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{_LINE}"/>\n')
        parts.append(_text(x, y - 8, shown(value), anchor="middle", colour=_LINE))
        if count >= most / 10 or len(places) == 1:
            parts.append(_text(x, bottom + 16, f"{count:,.0f}", anchor="middle"))
    return "".join(parts)


def ceiling(value: float) -> float:
    """Return the next of 1, 2, 4, 6, 8 times a power of ten that leaves room above the value."""
    power = 1.0
    while power * 10 <= value:
        power *= 10
    while power > value:
        power /= 10
    return next(each * power for each in (1.2, 2, 4, 6, 8, 10, 12) if each * power >= value * 1.1)


def _level(left: float, y: float, colour: str, *, dashed: bool) -> str:
    dashes = ' stroke-dasharray="5 4"' if dashed else ""
    return f'<line x1="{left}" y1="{y:.1f}" x2="{left + _PLOT_WIDTH}" y2="{y:.1f}" stroke="{colour}"{dashes}/>\n'


def _text(x: float, y: float, text: str, *, size: int = 11, anchor: str = "start", colour: str = _INK) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" fill="{colour}">'
        f"{escape(text)}</text>\n"
    )
