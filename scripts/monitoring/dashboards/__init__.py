"""One file a dashboard."""

from scripts.monitoring.dashboards import catalogue, latency, machine, overview, quality

DASHBOARDS = {
    "overview": overview.DASHBOARD,
    "latency": latency.DASHBOARD,
    "catalogue": catalogue.DASHBOARD,
    "quality": quality.DASHBOARD,
    "machine": machine.DASHBOARD,
}
