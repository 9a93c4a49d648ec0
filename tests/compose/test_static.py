"""What can be known of the compose files without a Docker engine."""

import re
from typing import Any

import pytest
import yaml

from scripts.monitoring.files import ALERTS, ROOT, RULES
from scripts.monitoring.objectives import DAY, PERIOD

COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
ANSWERING = sorted(set(SERVICES) - {"train", "follow", "load"})


def test_grafana_and_prometheus_are_given_all_that_is_generated() -> None:
    grafana, prometheus = SERVICES["grafana"], SERVICES["prometheus"]
    folder = grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"].rsplit("/", 1)[0]
    assert f"./docker/grafana/dashboards:{folder}:ro" in grafana["volumes"]
    provider = yaml.safe_load(
        (ROOT / "docker/grafana/provisioning/dashboards/bbqrec.yml").read_text("utf-8")
    )
    assert [each["options"]["path"] for each in provider["providers"]] == [folder]
    assert "./docker/prometheus:/etc/prometheus:ro" in prometheus["volumes"]
    settings = yaml.safe_load((ROOT / "docker/prometheus/prometheus.yml").read_text("utf-8"))
    assert settings["rule_files"] == [RULES, ALERTS]


def test_prometheus_keeps_as_long_as_objectives_look_back() -> None:
    kept = re.search(r"retention\.time=(\d+)d", " ".join(SERVICES["prometheus"]["command"]))
    assert kept
    assert int(kept[1]) * DAY > PERIOD


@pytest.mark.parametrize("name", ANSWERING)
def test_every_service_that_answers_has_a_health_check(name: str) -> None:
    dockerfile = ROOT / "docker" / f"{name}.Dockerfile"
    in_image = dockerfile.exists() and "HEALTHCHECK" in dockerfile.read_text(encoding="utf-8")
    assert in_image or "healthcheck" in SERVICES[name]


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_every_container_is_hardened(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]


@pytest.mark.parametrize("name", ["service", "train", "proxy"])
def test_our_images_do_not_run_as_root(name: str) -> None:
    final = (
        (ROOT / "docker" / f"{name}.Dockerfile").read_text(encoding="utf-8").split("\nFROM ")[-1]
    )
    assert re.search(r"^USER [1-9]\d+$", final, re.MULTILINE)


def test_the_service_image_holds_no_training_code() -> None:
    dockerfile = (ROOT / "docker/service.Dockerfile").read_text(encoding="utf-8")
    assert "COPY training" not in dockerfile
    assert "train" not in re.search(r"ARG EXTRAS=(\S+)", dockerfile).group(1)  # type: ignore[union-attr]


def test_only_the_override_asks_for_a_gpu() -> None:
    override = yaml.safe_load((ROOT / "docker-compose.gpu.yml").read_text(encoding="utf-8"))
    assert "devices" in str(override["services"]["service"]["deploy"])
    assert "devices" not in str(COMPOSE)
    environment = override["services"]["service"]["environment"]
    assert environment == {"BBQREC_PROVIDER": "cuda", "BBQREC_ENGINE": "shared"}


def test_containers_outlive_the_drain() -> None:
    service = SERVICES["service"]
    grace = int(service["stop_grace_period"].removesuffix("s"))
    assert grace > float(service["environment"]["BBQREC_DRAIN"]) + 5


@pytest.mark.parametrize("name", sorted(set(SERVICES) - {"follow"}))
def test_nothing_waits_for_another_to_be_well(name: str) -> None:
    """Neither for a training, nor for Redis; but two trainings are never in one folder."""
    conditions = {d["condition"] for d in SERVICES[name].get("depends_on", {}).values()}
    assert conditions <= {"service_started"}
    assert SERVICES["service"]["environment"]["BBQREC_WAIT"] == "true"
    waits = SERVICES["follow"]["depends_on"]["train"]["condition"]
    assert waits == "service_completed_successfully"


def test_the_service_can_have_replicas() -> None:
    """No port of the machine, no name: the proxy finds them, and Prometheus asks each."""
    assert not {"ports", "container_name", "hostname"} & set(SERVICES["service"])
    proxy = (ROOT / "docker/haproxy.cfg").read_text(encoding="utf-8")
    assert proxy.count("service:8000") == 2
    settings = yaml.safe_load((ROOT / "docker/prometheus/prometheus.yml").read_text("utf-8"))
    (job,) = settings["scrape_configs"]
    assert job["dns_sd_configs"][0]["names"] == ["service"]


def test_every_variable_is_in_the_example_with_its_default() -> None:
    text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    read = set(re.findall(r"\$\{(\w+):-([^}]*)\}", text))
    assert "$" not in re.sub(r"\$\{\w+:-[^}]*\}", "", text)
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    assert set(re.findall(r"^(\w+)=(.*)$", example, re.MULTILINE)) == read


def test_the_log_is_in_a_redis_that_keeps_and_the_cache_in_one_that_does_not() -> None:
    log, cache = (" ".join(SERVICES[name]["command"]) for name in ("log", "redis"))
    assert "--appendonly yes" in log
    assert "--maxmemory-policy noeviction" in log
    assert SERVICES["log"]["volumes"] == ["log:/data"]
    assert "--maxmemory-policy allkeys-lru" in cache
    environment = SERVICES["service"]["environment"]
    assert environment["BBQREC_LOG_URL"] != environment["BBQREC_REDIS_URL"]


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_every_container_has_a_memory_limit(name: str) -> None:
    limit = filled(str(SERVICES[name]["mem_limit"]))
    assert re.fullmatch(r"[1-9]\d*[mg]", limit), limit


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_opening_the_service_to_others_opens_nothing_else(name: str) -> None:
    for port in SERVICES[name].get("ports", []):
        opened = not filled(port, BBQREC_BIND="0.0.0.0").startswith("127.0.0.1:")
        assert opened is (name == "proxy")


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_no_port_is_open_beyond_this_machine_unless_told(name: str) -> None:
    assert all(filled(p).startswith("127.0.0.1:") for p in SERVICES[name].get("ports", []))


def test_there_is_no_password_in_the_compose_file_and_nobody_to_log_in_as() -> None:
    text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    assert re.findall(r"^\s*\w*(?:PASSWORD|SECRET|TOKEN)\w*:.*", text, re.MULTILINE) == []
    grafana = SERVICES["grafana"]["environment"]
    assert grafana["GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION"] == "true"
    assert grafana["GF_AUTH_BASIC_ENABLED"] == "false"
    assert grafana["GF_AUTH_ANONYMOUS_ORG_ROLE"] == "Viewer"


def filled(text: str, **environment: str) -> str:
    """``text`` with Compose's variables, or their defaults, put in."""
    return re.sub(r"\$\{(\w+):-([^}]*)\}", lambda match: environment.get(match[1], match[2]), text)
