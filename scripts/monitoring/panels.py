"""What a dashboard is made of, and what Grafana makes of that."""

from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple

from grafana_foundation_sdk.builders import common, heatmap, prometheus, stat, timeseries
from grafana_foundation_sdk.builders import dashboard as grafana
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import (
    BigValueTextMode,
    LegendDisplayMode,
    LegendPlacement,
    StackingMode,
)
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DashboardLinkType,
    DataSourceRef,
    Threshold,
    ThresholdsMode,
    VariableOption,
    VariableRefresh,
)
from grafana_foundation_sdk.models.dashboard import Panel as GrafanaPanel
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

TAG = "bbqrec"
_SOURCE = DataSourceRef("prometheus", "prometheus")  # its uid is in docker/grafana/provisioning
_HEIGHT = {"stat": 4, "lines": 8, "stack": 8, "heat": 8}


class Target(NamedTuple):
    """One query, and what its series are called."""

    expr: str
    legend: str = ""


class Panel(NamedTuple):
    """One question and its answer. limits: where a number turns orange, then red.

    rising: a higher number is a worse one.
    """

    title: str
    what: str
    unit: str
    targets: tuple[Target, ...]
    kind: Literal["lines", "stack", "stat", "heat"] = "lines"
    width: int = 8  # of 24
    limits: tuple[float, float] | None = None
    rising: bool = True


class Row(NamedTuple):
    """Panels under one heading."""

    title: str
    panels: tuple[Panel, ...]


class Dashboard(NamedTuple):
    """A page. Its uid is what links name."""

    uid: str
    title: str
    what: str
    rows: tuple[Row, ...]

    def panels(self) -> list[Panel]:
        """All of them."""
        return [panel for row in self.rows for panel in row.panels]


def lines(title: str, what: str, unit: str, *targets: tuple[str, str], width: int = 8) -> Panel:
    """Over time. targets: expressions and what their series are called."""
    return Panel(title, what, unit, tuple(Target(*target) for target in targets), width=width)


def stack(title: str, what: str, unit: str, *targets: tuple[str, str], width: int = 8) -> Panel:
    """Over time, one on top of another."""
    return lines(title, what, unit, *targets, width=width)._replace(kind="stack")


def number(
    title: str,
    what: str,
    unit: str,
    expr: str,
    legend: str = "",
    *,
    limits: tuple[float, float] | None = None,
    rising: bool = True,
    width: int = 6,
) -> Panel:
    """As it is now."""
    return Panel(title, what, unit, (Target(expr, legend),), "stat", width, limits, rising)


def heat(title: str, what: str, unit: str, expr: str, width: int = 8) -> Panel:
    """How a histogram changes."""
    return Panel(title, what, unit, (Target(expr, "{{le}}"),), "heat", width)


def as_json(dashboard: Dashboard) -> str:
    """What Grafana reads."""
    made = (
        grafana.Dashboard(dashboard.title)
        .uid(dashboard.uid)
        .description(dashboard.what)
        .tags([TAG])
        .refresh("5s")
        .time("now-15m", "now")
        .timezone("browser")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .link(_links())
        .with_variable(_variable("job", "label_values(bbqrec_workers, job)"))
        .with_variable(_variable("instance", 'label_values(bbqrec_workers{job=~"$job"}, instance)'))
    )
    number = 0
    for row in dashboard.rows:
        made.with_row(grafana.Row(row.title).id(number := number + 1))
        for panel in row.panels:
            made.with_panel(_panel(panel, number := number + 1))
    return JSONEncoder(sort_keys=True, indent=1).encode(made.build()) + "\n"


def _links() -> grafana.DashboardLink:
    """To all the others, with what is picked, and when."""
    link = grafana.DashboardLink("bbqrec").type(DashboardLinkType.DASHBOARDS).tags([TAG])
    return link.include_vars(True).keep_time(True)


def _variable(name: str, query: str) -> grafana.QueryVariable:
    made = grafana.QueryVariable(name).query(query).datasource(_SOURCE).multi(True)
    everything = VariableOption(text="All", value="$__all")
    made.refresh(VariableRefresh.ON_TIME_RANGE_CHANGED).include_all(True).all_value(".*")
    return made.current(everything)


def _panel(panel: Panel, number: int) -> Builder[GrafanaPanel]:
    made = _KINDS[panel.kind]()
    made.id(number).title(panel.title).description(panel.what).unit(panel.unit)
    made.datasource(_SOURCE).span(panel.width).height(_HEIGHT[panel.kind])
    if panel.limits is not None:
        made.thresholds(_thresholds(panel.limits, rising=panel.rising))
    for letter, target in zip("ABCDEFGH", panel.targets, strict=False):
        query = prometheus.Dataquery().expr(target.expr).ref_id(letter).datasource(_SOURCE)
        if target.legend:
            query.legend_format(target.legend)
        if isinstance(made, heatmap.Panel):
            query.format(PromQueryFormat.HEATMAP)
            made.y_axis(heatmap.YAxisConfig().unit(panel.unit))
        made.with_target(query)
    return made


def _lines() -> timeseries.Panel:
    legend = common.VizLegendOptions().display_mode(LegendDisplayMode.LIST)
    return timeseries.Panel().min(0).legend(legend.placement(LegendPlacement.BOTTOM))


def _stack() -> timeseries.Panel:
    stacked = common.StackingConfig().mode(StackingMode.NORMAL)
    return _lines().stacking(stacked).fill_opacity(30)


def _stat() -> stat.Panel:
    last = common.ReduceDataOptions().calcs(["lastNotNull"])
    return stat.Panel().reduce_options(last).text_mode(BigValueTextMode.AUTO)


def _heat() -> heatmap.Panel:
    colours = heatmap.HeatmapColorOptions().mode(HeatmapColorMode.SCHEME).scheme("Oranges")
    return heatmap.Panel().calculate(False).color(colours)


def _thresholds(limits: tuple[float, float], *, rising: bool) -> grafana.ThresholdsConfig:
    colours = ("green", "orange", "red") if rising else ("red", "orange", "green")
    steps = [
        Threshold(value, colour) for value, colour in zip((None, *limits), colours, strict=True)
    ]
    return grafana.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps)


_KINDS: Mapping[str, Callable[[], timeseries.Panel | stat.Panel | heatmap.Panel]] = {
    "lines": _lines,
    "stack": _stack,
    "stat": _stat,
    "heat": _heat,
}
