"""Dashboards and rules are what is generated, and ask only for what the service exposes."""

import re
import shutil
import subprocess
from pathlib import Path

import promql_parser
import pytest
import yaml
from prometheus_client import Counter, Histogram, ProcessCollector
from prometheus_client.metrics import MetricWrapperBase

from scripts.monitoring.alert_cases import CASES, Fires
from scripts.monitoring.alerts import alerts, runbook
from scripts.monitoring.dashboards import DASHBOARDS
from scripts.monitoring.files import ALERTS, ROOT, RULES, files
from scripts.monitoring.files import CASES as CASES_FILE
from scripts.monitoring.objectives import BATCH_SECONDS, QUICK_SECONDS, Pace
from scripts.monitoring.recording import DECILE_SHARE
from service.metrics import SECONDS, Metrics

PROMETHEUS = Path("docker/prometheus")
NAMES = [alert.name for alert in alerts(Pace())]
ADDED = {"job", "instance"}  # by whoever scrapes
GROUPS = [
    group
    for name in (RULES, ALERTS)
    for group in yaml.safe_load(files()[PROMETHEUS / name])["groups"]
]
RULE_EXPRESSIONS = {
    rule.get("record") or rule["alert"]: rule["expr"] for group in GROUPS for rule in group["rules"]
}
EXPRESSIONS = [*RULE_EXPRESSIONS.items()] + [
    (f"{name}: {panel.title}", target.expr.replace("$__rate_interval", "30s"))
    for name, dashboard in DASHBOARDS.items()
    for panel in dashboard.panels()
    for target in panel.targets
]


def exposed() -> dict[str, set[str]]:
    """Every series that Prometheus has of the service and its rules, and the labels of it."""
    known: dict[str, set[str]] = {"up": set(), "ALERTS": {"alertname", "alertstate"}}
    for metric in vars(Metrics()).values():
        if isinstance(metric, Histogram):
            name, labels = metric._name, {*metric._labelnames}
            known |= {
                f"{name}_sum": labels,
                f"{name}_count": labels,
                f"{name}_bucket": {*labels, "le"},
            }
        elif isinstance(metric, MetricWrapperBase):
            suffix = "_total" if isinstance(metric, Counter) else ""
            known[metric._name + suffix] = {*metric._labelnames}
    for family in ProcessCollector(registry=None).collect():
        known |= {sample.name: set() for sample in family.samples}
    known |= {name: {"decile"} if name == DECILE_SHARE else set() for name in RULE_EXPRESSIONS}
    return {name: labels | ADDED for name, labels in known.items()}


def asked(expression: str) -> tuple[list[tuple[str, set[str]]], set[str]]:
    """Series, each with the labels that pick it, and labels that anything is grouped by."""
    series: list[tuple[str, set[str]]] = []
    grouped: set[str] = set()

    def visit(node: promql_parser.Expr) -> None:
        if isinstance(node, promql_parser.VectorSelector):
            assert node.name is not None, expression
            series.append((node.name, {matcher.name for matcher in node.matchers.matchers}))
        elif isinstance(node, promql_parser.AggregateExpr) and node.modifier is not None:
            grouped.update(node.modifier.labels)

    promql_parser.walk(promql_parser.parse(expression), visit)
    return series, grouped


@pytest.mark.parametrize("path", files(), ids=str)
def test_what_is_committed_is_what_is_generated(path: Path) -> None:
    """`python -m scripts.monitoring` writes it."""
    assert (ROOT / path).read_text("utf-8") == files()[path]


def test_no_dashboard_and_no_rules_lie_there_that_nobody_generates() -> None:
    lying = {
        path.relative_to(ROOT)
        for folder in ("docker/grafana/dashboards", PROMETHEUS)
        for path in (ROOT / folder).iterdir()
    }
    assert lying == {*files(), PROMETHEUS / "prometheus.yml"}


@pytest.mark.parametrize(("what", "expression"), EXPRESSIONS)
def test_only_series_and_labels_that_exist_are_asked_for(what: str, expression: str) -> None:
    """A metric that is renamed in the service fails here."""
    known = exposed()
    series, grouped = asked(expression)
    assert series
    for name, labels in series:
        assert name in known, (what, name)
        assert labels <= known[name], (what, name)
    assert grouped <= {label for name, _ in series for label in known[name]}, what


@pytest.mark.parametrize("name", DASHBOARDS)
def test_every_panel_says_what_it_shows_and_in_what_unit(name: str) -> None:
    panels = DASHBOARDS[name].panels()
    assert len({panel.title for panel in panels}) == len(panels)
    for panel in panels:
        assert panel.unit
        assert panel.what.endswith(".")
        assert panel.targets


def test_dashboards_keep_the_names_that_links_know_them_by() -> None:
    assert {dashboard.uid for dashboard in DASHBOARDS.values()} == {
        f"bbqrec-{name}" for name in ("overview", "latency", "catalogue", "quality", "machine")
    }


def test_every_step_is_shown_at_three_quantiles_and_whole() -> None:
    expressions = [target.expr for p in DASHBOARDS["latency"].panels() for target in p.targets]
    for step in ("request", "queue", "encode", "search", "cache"):
        metric = f"bbqrec_{step}_seconds_bucket"
        of_step = [expr for expr in expressions if metric in expr and "answer" not in expr]
        for start in ("histogram_quantile(0.5,", "histogram_quantile(0.9,", "sum by (le)"):
            assert any(expr.startswith(start) for expr in of_step), (step, start)
        assert any(expr.startswith("histogram_quantile(0.99,") for expr in of_step), step


def test_every_alert_has_its_part_of_the_runbook_and_the_other_way_round() -> None:
    text = (ROOT / "docs/runbook.md").read_text("utf-8")
    parts = dict(re.findall(r"^## (Bbqrec\w+)\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL))
    assert sorted(parts) == sorted(NAMES)
    for name, part in parts.items():
        assert runbook(name).endswith(f"docs/runbook.md#{name.lower()}")
        for told in ("**Means.**", "**Look at.**", "**Do.**", "```"):
            assert told in part, (name, told)


@pytest.mark.parametrize("name", NAMES)
def test_of_every_alert_it_is_tested_that_it_fires_and_that_it_does_not(name: str) -> None:
    cases = [isinstance(case, Fires) for case in CASES if case.alert == name]
    assert {*cases} == {True, False}


@pytest.mark.skipif(not shutil.which("promtool"), reason="needs promtool: Debian's prometheus")
def test_alerts_fire_when_they_should_and_not_when_not() -> None:
    done = subprocess.run(
        ["promtool", "test", "rules", CASES_FILE],
        cwd=ROOT / PROMETHEUS,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_without_traffic_no_objective_is_missed() -> None:
    """Every ratio divides by what is filtered to be more than nothing."""
    ratios = [expr for name, expr in RULE_EXPRESSIONS.items() if ":ratio" in name]
    assert len(ratios) > 10
    assert all(re.search(r"/ \(sum by \(job\) .*\]\)\) > 0\)$", expr) for expr in ratios)


def test_what_is_quick_is_an_edge_of_a_bucket() -> None:
    assert {QUICK_SECONDS, BATCH_SECONDS} <= {*SECONDS}


def test_a_story_shortens_windows_and_nothing_else() -> None:
    def shape(pace: Pace) -> list[tuple[str, str]]:
        return [(a.name, re.sub(r"\[\w+\]|[\d.]+", "", a.expr)) for a in alerts(pace)]

    assert shape(Pace()) == shape(Pace(faster=60))
