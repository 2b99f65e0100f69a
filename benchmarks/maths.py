"""The arithmetic of the benchmarks: percentiles, ratios, growth. Pure.

Called by the scenarios, the tables and the chart. What cannot be computed is None, never 0.
"""

import math
from collections.abc import Sequence


def percentile(values: Sequence[float], share: float) -> float | None:
    """Return the smallest value that at least ``share`` of all values do not exceed; None without values."""
    if not 0 < share <= 1:
        raise ValueError(f"a share must be above 0 and at most 1, and {share} is not")
    if not values:
        return None
    return sorted(values)[math.ceil(share * len(values)) - 1]


def ratio(one: float | None, other: float | None) -> float | None:
    """Return one / other; None when either is unknown or the other is 0."""
    if one is None or other is None or other == 0:
        return None
    return one / other


def slope(points: Sequence[tuple[float, float]]) -> float | None:
    """Return how much y grows for each x, by least squares; None for fewer than two different x."""
    if not points:
        return None
    middle_x = sum(x for x, _ in points) / len(points)
    middle_y = sum(y for _, y in points) / len(points)
    spread = sum((x - middle_x) ** 2 for x, _ in points)
    if spread == 0:
        return None
    return sum((x - middle_x) * (y - middle_y) for x, y in points) / spread


def growth(points: Sequence[tuple[float, float]]) -> float | None:
    """Return the power with which y grows with x: 1 is linear, 0 constant, 2 quadratic.

    Points with a value of 0 or less say nothing here and are left out.
    """
    return slope([(math.log(x), math.log(y)) for x, y in points if x > 0 and y > 0])


def rounded(value: float | None, digits: int = 3) -> float | None:
    """Return the value with so many significant digits; whole numbers of more digits stay whole."""
    if value is None or value == 0:
        return value
    places = digits - 1 - math.floor(math.log10(abs(value)))
    return round(value, max(places, 0))
