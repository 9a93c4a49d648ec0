"""Dashboards, recording rules and alerts, from one place: ``python -m scripts.monitoring``."""
