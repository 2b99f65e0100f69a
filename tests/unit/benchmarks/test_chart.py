from xml.etree import ElementTree as ET

import pytest
from benchmarks.chart import ceiling, curves, draw
from benchmarks.result import Measured, Result

from .results import ABOUT, NOTHING, SOME, new

SVG = "{http://www.w3.org/2000/svg}"


def test_the_picture_is_well_formed_and_shows_each_point() -> None:
    picture = ET.fromstring(draw(SOME, "2 cores of Fast & Co <fast>"))  # noqa: S314 - our own text
    assert len(picture.findall(f"{SVG}circle")) == 9
    assert len(picture.findall(f"{SVG}polyline")) == 3
    words = [each.text for each in picture.findall(f"{SVG}text")]
    assert "2 cores of Fast & Co <fast>" in words
    assert "5,000" in words


def test_everything_is_within_the_picture() -> None:
    picture = ET.fromstring(draw(SOME, ""))  # noqa: S314 - our own text
    _, _, width, height = (float(each) for each in picture.attrib["viewBox"].split())
    for circle in picture.findall(f"{SVG}circle"):
        assert 0 < float(circle.attrib["cx"]) < width
        assert 0 < float(circle.attrib["cy"]) < height


def test_nothing_measured_is_said_and_not_drawn() -> None:
    picture = draw(NOTHING, "")
    assert picture.count("not measured") == 3
    assert "<circle" not in picture


def test_the_floor_is_a_line_only_when_it_was_run() -> None:
    assert curves(SOME)[0].lines == ()
    with_floor = Result.of(ABOUT, {"new-100": new(100), "floor": Measured({}, {"per_second": 290.0})})
    assert [name for name, _, _ in curves(with_floor)[0].lines] == ["floor"]
    assert "stroke-dasharray" in draw(with_floor, "")


@pytest.mark.parametrize("value", [0.003, 0.9, 1.0, 9.0, 10.0, 116.0, 290.0, 400.0, 9999.0])
def test_there_is_room_above_the_highest_value(value: float) -> None:
    assert 1.1 * value <= ceiling(value) <= 2.5 * value
