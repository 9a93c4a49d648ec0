"""Charts as SVG inside the page: shapes alone, whose colours and fonts the page's style decides.

That way one file is readable in dark, in light and on paper, and a few kilobytes large. All are
drawn for a phone's width, and the page sets them beside each other where it is wider.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple
from xml.etree import ElementTree as ET

from training.evaluate.intervals import Estimate
from training.report.facts import Histogram, Map, Pair
from training.report.words import count

WIDTH, HEIGHT = 360, 190
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 12, 14, 30
_ROW, _LABEL = 24, 128  # of a chart of rows
_LETTER = 6.5  # of a name on the map
_TICKS = 4  # of an axis, about
Points = Sequence[tuple[float, float]]


class Row(NamedTuple):
    """A model, or a slice, of a chart of rows."""

    name: str
    ours: Estimate | None
    other: Estimate | None


class Scale(NamedTuple):
    """Values to places."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Where it is drawn."""
        share = (value - self.low) / ((self.high - self.low) or 1)
        return self.start + share * (self.end - self.start)

    def ticks(self, *, whole: bool = False) -> list[float]:
        """Round numbers within it, about ``_TICKS`` of them."""
        raw = ((self.high - self.low) or 1) / _TICKS
        power = 10.0 ** math.floor(math.log10(raw))
        step = next(power * nice for nice in (1, 2, 2.5, 5, 10) if power * nice >= raw * 0.999)
        step = max(1, round(step)) if whole else step
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [round(step * n, 10) for n in range(first, last + 1)]


def curve(said: str, points: Points, chosen: int | None = None) -> str:
    """A figure by epoch; the chosen one marked."""
    svg = _svg(said)
    x = _across(points[0][0], max(points[-1][0], points[0][0] + 1))
    y = _up(min(v for _, v in points), max(v for _, v in points))
    _axes(svg, x, y, "epoch")
    if chosen is not None:
        _add(svg, "line", "mark", x1=x(chosen), x2=x(chosen), y1=_TOP, y2=HEIGHT - _BOTTOM)
    _add(svg, "path", "line", d=_path([(x(e), y(v)) for e, v in points]))
    for epoch, value in points:
        if epoch == chosen:
            _add(svg, "circle", "dot", cx=x(epoch), cy=y(value), r=4)
            right, low = x(epoch) > WIDTH / 2, y(value) > HEIGHT / 2
            beside = x(epoch) + (-8 if right else 8)
            apart = _TOP + 8 if low else HEIGHT - _BOTTOM - 8  # where the line is not
            label, anchor = f"epoch {epoch:.0f}: {value:.3f}", "end" if right else "start"
            _add(svg, "text", "strong", label, text_anchor=anchor, x=beside, y=apart)
    return _text(svg)


def histogram(said: str, found: Histogram, low: str, high: str, unit: str) -> str:
    """Counts; the ends of the axis named."""
    svg = _svg(said)
    x = _across(found.edges[0], found.edges[-1])
    y = _up(0, max(found.counts))
    _axes(svg, None, y, "")
    for left, right, height in zip(found.edges, found.edges[1:], found.counts, strict=False):
        wide, tall = max(x(right) - x(left) - 1, 0.5), y(0) - y(height)
        _add(svg, "rect", "bar", x=x(left), y=y(height), width=wide, height=tall)
    below = HEIGHT - _BOTTOM + 16
    _add(svg, "text", "", low, x=_LEFT, y=below)
    _add(svg, "text", "", unit, x=(WIDTH + _LEFT - _RIGHT) / 2, y=below, text_anchor="middle")
    _add(svg, "text", "", high, x=WIDTH - _RIGHT, y=below, text_anchor="end")
    return _text(svg)


def rows(said: str, found: Sequence[Row]) -> str:
    """Models or slices below each other: a dot and its interval, ours in colour."""
    svg = _svg(said, bottom := _TOP + _ROW * len(found) + 22)
    every = [e for row in found for e in (row.ours, row.other) if e]
    x = Scale(0, max((e.high for e in every), default=1) or 1, _LABEL, WIDTH - _RIGHT - 4)
    for tick in x.ticks():
        _add(svg, "line", "grid", x1=x(tick), x2=x(tick), y1=_TOP - 6, y2=bottom - 20)
        _add(svg, "text", "", f"{tick:g}", x=x(tick), y=bottom - 6, text_anchor="middle")
    for n, row in enumerate(found):
        middle = _TOP + _ROW * n + _ROW / 2 - 4
        kind = "strong" if row.ours and not row.other else ""
        _add(svg, "text", kind, row.name, x=_LABEL - 8, y=middle + 4, text_anchor="end")
        apart = 4 if row.ours and row.other else 0
        for estimate, kind, aside in ((row.other, "other", apart), (row.ours, "ours", -apart)):
            if estimate:
                at, low, high = middle + aside, x(estimate.low), x(estimate.high)
                _add(svg, "line", f"whisker {kind}", x1=low, x2=high, y1=at, y2=at)
                _add(svg, "circle", f"dot {kind}", cx=x(estimate.value), cy=at, r=4)
    return _text(svg)


def bias(said: str, pair: Pair) -> str:
    """What attention is multiplied with, by similarity."""
    svg, last = _svg(said), len(pair.factors) - 1
    x = _across(-0.5, last + 0.5)
    y = _up(min(0.8, *pair.factors), max(1.2, *pair.factors))
    _axes(svg, None, y, "cosine of their codes", before="\u00d7")
    _add(svg, "line", "mark", x1=_LEFT, x2=WIDTH - _RIGHT, y1=y(1), y2=y(1))
    _add(svg, "path", "line", d=_path([(x(n), y(f)) for n, f in enumerate(pair.factors)]))
    for n, factor in enumerate(pair.factors):
        _add(svg, "circle", "dot", cx=x(n), cy=y(factor), r=2.5)
    for n in sorted({last // 6, last // 2, last - last // 6}):
        at = {"x": x(n + 0.5), "y": HEIGHT - _BOTTOM + 16}
        _add(svg, "text", "", f"{pair.cosines[n]:.2f}", text_anchor="middle", **at)
    return _text(svg)


def scatter(said: str, found: Map) -> str:
    """Items as dots, the commonest first codes in colours."""
    wide, tall, edge = 720, 480, 10
    svg = _svg(said, tall, wide)
    x, y = Scale(0, 1, edge, wide - edge), Scale(0, 1, tall - edge, edge)

    def dots(kind: str, points: Points) -> None:
        _add(svg, "path", kind, d="".join(f"M{x(a):.1f} {y(b):.1f}h0" for a, b in points))

    dots("spot", found.others)
    for n, group in enumerate(found.groups):
        dots(f"spot group{n}", group.points)
    taken: list[tuple[float, float, float]] = []
    for a, b, title in found.labels:
        at_x, at_y = x(a), y(b) - 6
        short = title if len(title) <= 28 else f"{title[:27]}…"
        length = _LETTER * len(short)
        anchor = "end" if at_x > wide * 0.8 else "start" if at_x < wide * 0.2 else "middle"
        left = at_x - {"start": 0, "middle": length / 2, "end": length}[anchor]
        if all(
            left > right or left + length < other or abs(at_y - other_y) > 16
            for other, right, other_y in taken
        ):
            taken.append((left, left + length, at_y))
            _add(svg, "circle", "place", cx=at_x, cy=at_y + 6, r=3)
            _add(svg, "text", "label", short, x=at_x, y=at_y, text_anchor=anchor)
    return _text(svg)


def _svg(said: str, height: float = HEIGHT, width: float = WIDTH) -> ET.Element:
    svg = ET.Element("svg", {"viewBox": f"0 0 {width:g} {height:g}", "role": "img"})
    ET.SubElement(svg, "title").text = said
    return svg


def _add(
    parent: ET.Element, tag: str, kind: str, text: str | None = None, **attributes: float | str
) -> None:
    named = {
        name.replace("_", "-"): value if isinstance(value, str) else f"{value:.1f}"
        for name, value in attributes.items()
    }
    added = ET.SubElement(parent, tag, ({"class": kind} if kind else {}) | named)
    added.text = text


def _text(svg: ET.Element) -> str:
    return ET.tostring(svg, encoding="unicode")


def _path(places: Points) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places)


def _across(low: float, high: float) -> Scale:
    return Scale(low, high, _LEFT, WIDTH - _RIGHT)


def _up(low: float, high: float) -> Scale:
    return Scale(low, high, HEIGHT - _BOTTOM, _TOP)


def _axes(svg: ET.Element, x: Scale | None, y: Scale, unit: str, before: str = "") -> None:
    for tick in y.ticks():
        _add(svg, "line", "grid", x1=_LEFT, x2=WIDTH - _RIGHT, y1=y(tick), y2=y(tick))
        said = count(tick) if tick >= 1000 else f"{before}{tick:g}"
        _add(svg, "text", "", said, x=_LEFT - 6, y=y(tick) + 4, text_anchor="end")
    for tick in x.ticks(whole=True) if x else ():
        at = {"x": x(tick) if x else 0, "y": HEIGHT - _BOTTOM + 16}
        _add(svg, "text", "", f"{tick:g}", text_anchor="middle", **at)
    if unit:
        _add(svg, "text", "", unit, x=WIDTH - _RIGHT, y=HEIGHT - 2, text_anchor="end")
