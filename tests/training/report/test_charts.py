from xml.etree import ElementTree as ET

import pytest

from training.report import charts
from training.report.facts import Histogram, Map, Pair


@pytest.mark.parametrize(
    ("low", "high"), [(0, 1), (0.92, 0.998), (0, 8123), (15.1, 17.3), (-0.2, 0.3), (4, 4)]
)
def test_ticks_are_round_and_within(low: float, high: float) -> None:
    ticks = charts.Scale(low, high, 0, 100).ticks()
    assert 1 <= len(ticks) <= 6
    assert all(low - 1e-9 <= tick <= high + 1e-9 for tick in ticks)
    assert all(len(f"{tick:g}") <= 6 for tick in ticks)


def test_epochs_are_whole() -> None:
    assert charts.Scale(1, 3, 0, 100).ticks(whole=True) == [1, 2, 3]


def test_the_chosen_epoch_is_marked_with_its_figure() -> None:
    svg = ET.fromstring(charts.curve("NDCG", [(1, 0.1), (2, 0.3), (3, 0.2)], chosen=2))
    texts = [element.text for element in svg.iter("text")]
    assert "epoch 2: 0.300" in texts
    assert len(list(svg.iter("circle"))) == 1


@pytest.mark.parametrize("points", [[(1, 0.5)], [(1, 0.0), (2, 0.0)]])
def test_a_single_epoch_and_a_flat_curve_can_be_drawn(points: list[tuple[int, float]]) -> None:
    assert "nan" not in charts.curve("loss", points, chosen=1)


def test_bars_are_as_high_as_they_count() -> None:
    svg = ET.fromstring(charts.histogram("users", Histogram((0, 1, 2), (10, 5)), "0", "2", ""))
    first, second = (float(bar.attrib["height"]) for bar in svg.iter("rect"))
    assert first == pytest.approx(2 * second, abs=0.2)


def test_every_bucket_is_a_dot_beside_the_usual() -> None:
    pair = Pair("text", "text", (-0.5, 0.1, 0.4, 1.0), (0.5, 0.9, 1.0, 1.6))
    svg = ET.fromstring(charts.bias("text", pair))
    places = [float(dot.attrib["cy"]) for dot in svg.iter("circle")]
    usual = next(float(e.attrib["y1"]) for e in svg.iter("line") if e.get("class") == "mark")
    assert [place > usual for place in places] == [True, True, False, False]
    assert places == sorted(places, reverse=True)


def test_no_name_on_the_map_is_written_over_another() -> None:
    """One at the right edge ends at its item, one farther in stands around its own."""
    title = "a title of thirty letters or so"
    labels = ((0.9, 0.5, title), (0.68, 0.5, title), (0.3, 0.5, title))
    svg = ET.fromstring(charts.scatter("items", Map("text", (), (), labels, 3, 0.5, 0.5, 0.5)))
    ends = [(float(e.attrib["x"]), e.attrib["text-anchor"]) for e in svg.iter("text")]
    assert [anchor for _, anchor in ends] == ["end", "middle"]
    assert ends[1][0] < 250
