import pytest
from benchmarks.maths import growth, percentile, ratio, rounded, slope


def test_a_percentile_is_one_of_the_values() -> None:
    values = [float(each) for each in range(100, 0, -1)]
    assert percentile(values, 0.5) == 50
    assert percentile(values, 0.99) == 99
    assert percentile(values, 1.0) == 100
    assert percentile([7.0], 0.5) == 7


def test_no_values_have_no_percentile() -> None:
    assert percentile([], 0.99) is None


@pytest.mark.parametrize("share", [0.0, -1.0, 1.1, 50.0])
def test_a_share_that_is_none_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match="share"):
        percentile([1.0], share)


def test_a_ratio_of_something_unknown_is_unknown() -> None:
    assert ratio(3, 2) == 1.5
    assert ratio(None, 2) is None
    assert ratio(3, None) is None
    assert ratio(3, 0) is None
    assert ratio(0, 3) == 0


def test_growth_is_the_power() -> None:
    sizes = (100.0, 1000.0, 5000.0)
    assert growth([(x, 3 * x) for x in sizes]) == pytest.approx(1)
    assert growth([(x, x * x) for x in sizes]) == pytest.approx(2)
    assert growth([(x, 5) for x in sizes]) == pytest.approx(0)
    assert growth([(0.0, 1.0), (100.0, 0.0)]) is None


def test_a_slope_needs_two_places() -> None:
    assert slope([]) is None
    assert slope([(1, 1), (1, 2)]) is None
    assert slope([(0, 1), (1, 3), (2, 5)]) == 2


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (0.0, 0.0),
        (123456.7, 123457),
        (12.345, 12.3),
        (0.0012345, 0.00123),
        (-2.0049, -2.0),
        (2.006, 2.01),
    ],
)
def test_rounding_keeps_three_digits(value: float | None, expected: float | None) -> None:
    assert rounded(value) == expected
