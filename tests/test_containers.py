"""The container files: they read, every command and variable is one of the code, and nothing is open to the network."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import entry_points
from pathlib import Path

import pytest
import yaml

from rayjobs.config.compose import compose_command_line
from rayjobs.config.typed_config import build_dataclass
from rayjobs.dashboard import TOKEN_VARIABLE, DashboardConfig
from rayjobs.pages import metrics
from rayjobs.shell.commands import all_commands
from rayjobs.storage.uri import CACHE_VARIABLE

ROOT = Path(__file__).parents[1]
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES = COMPOSE["services"]
OURS = [name for name, service in SERVICES.items() if service.get("image", "").startswith("rayfold:")]
DOCKERFILE = (ROOT / "Dockerfile").read_text()


def test_the_desk_has_what_it_promises():
    assert {"minio", "postgres", "optuna-dashboard", "grafana", "prometheus", "dashboard", "job"} <= set(
        SERVICES
    )
    assert {"dashboard", "optuna-dashboard", "job"} == set(OURS)


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_pinned_and_published_on_this_machine_alone(name):
    service = SERVICES[name]
    tag = service["image"].rpartition(":")[2]
    assert re.search(r"\d", tag)
    assert tag != "latest"
    assert all(str(port).startswith("127.0.0.1:") for port in service.get("ports", []))
    assert "network_mode" not in service
    assert not service.get("privileged")


@pytest.mark.parametrize("name", SERVICES)
def test_no_password_stands_in_the_file_and_one_that_is_missing_is_told(name):
    for variable, value in SERVICES[name].get("environment", {}).items():
        if re.search(r"PASSWORD|SECRET|TOKEN", variable):
            assert re.match(r"\$\{[A-Z_]+:\?.+\}$", value), variable
    asked = set(re.findall(r"\$\{([A-Z_]+):\?", (ROOT / "compose.yaml").read_text()))
    assert asked <= set(re.findall(r"#?([A-Z_]+)=", (ROOT / ".env.example").read_text()))


def test_what_is_mounted_is_there_and_volumes_are_named():
    for service in SERVICES.values():
        for mount in service.get("volumes", []):
            source = mount.split(":")[0]
            assert (ROOT / source).is_file() if source.startswith("./") else source in COMPOSE["volumes"]
    for name, service in SERVICES.items():
        assert set(service.get("depends_on", [])) <= set(SERVICES), name


@pytest.mark.parametrize("name", OURS)
def test_variables_of_ours_are_those_that_the_code_reads(name):
    environment = SERVICES[name]["environment"]
    named = {variable for variable in environment if variable.startswith("RAYFOLD_")}
    assert named <= {CACHE_VARIABLE, TOKEN_VARIABLE, "RAYFOLD_LAKE"}
    assert environment[CACHE_VARIABLE] in {mount.split(":")[1] for mount in SERVICES[name]["volumes"]}
    composed = compose_command_line("ingest", [])
    assert composed is not None
    assert "RAYFOLD_LAKE" in (ROOT / "conf" / "ingest.yaml").read_text()


def test_the_dashboards_command_is_one_that_starts():
    command, *arguments = SERVICES["dashboard"]["command"]
    assert command in all_commands()
    values = compose_command_line(command, arguments)
    assert values is not None
    config = build_dataclass(DashboardConfig, values | {"token": "a-token-of-tests"}, "")
    assert (config.host, config.remote) == ("0.0.0.0", True)  # the container's; it is published on loopback
    assert SERVICES["dashboard"]["ports"] == [f"127.0.0.1:{config.port}:{config.port}"]
    assert 'ENTRYPOINT ["rayfold"]' in DOCKERFILE


def test_optunas_dashboard_is_installed_in_the_image():
    assert "optuna-dashboard" in {found.name for found in entry_points(group="console_scripts")}
    assert re.search(r"pip install .*optuna-dashboard", DOCKERFILE)
    assert "exec optuna-dashboard " in SERVICES["optuna-dashboard"]["command"][0]


def checked(port: int, token: str) -> int:
    """Exit code of the dashboard's health check, against a server on another port."""
    _, _, *options = SERVICES["dashboard"]["healthcheck"]["test"]
    options[-1] = options[-1].replace(":8050", f":{port}")
    env = os.environ | {TOKEN_VARIABLE: token}
    return subprocess.run([sys.executable, *options], env=env, capture_output=True, check=False).returncode


def test_the_health_check_passes_with_the_token_and_only_then(tmp_path):
    from aiohttp.test_utils import TestServer

    from rayjobs.pages.guard import Guard
    from rayjobs.pages.server import make_application

    async def ask():
        guard = Guard("0.0.0.0", remote=True, token="a-token-of-the-tests")
        async with TestServer(make_application(tmp_path, guard, warm=False)) as server:
            assert server.port is not None
            return [
                await asyncio.to_thread(checked, server.port, token)
                for token in ("a-token-of-the-tests", "another-token-here")
            ]

    assert asyncio.run(ask()) == [0, 1]


def test_prometheus_asks_the_dashboard_where_it_answers():
    (job,) = yaml.safe_load((ROOT / "docs/containers/prometheus.yml").read_text())["scrape_configs"]
    assert job["metrics_path"] == "/metrics"
    assert job["static_configs"] == [{"targets": ["dashboard:8050"]}]
    token = job["authorization"]["credentials_file"]
    assert f"> {token}" in SERVICES["prometheus"]["command"][0]


def test_every_panel_draws_a_metric_that_is_told_from_a_source_that_is_there():
    board = json.loads((ROOT / "docs/containers/grafana/desk.json").read_text())
    source = yaml.safe_load((ROOT / "docs/containers/grafana/datasource.yaml").read_text())
    assert source["datasources"][0]["url"] == "http://prometheus:9090"
    told = set(re.findall(r'"(rayfold_\w+)"', Path(metrics.__file__).read_text()))
    drawn = {
        name
        for panel in board["panels"]
        for target in panel["targets"]
        for name in re.findall(r"rayfold_\w+", target["expr"])
    }
    assert drawn
    assert drawn <= told
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])


def test_the_image_is_built_from_what_is_there_and_has_every_package():
    copied = [
        source
        for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE)
        for source in line.split()[:-1]
    ]
    assert all((ROOT / source).exists() for source in copied)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = project["tool"]["setuptools"]["packages"]["find"]["include"]
    assert {name for name in packages if "." not in name} <= set(copied)
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] == "!"}
    assert set(copied) <= let_in
    extras = re.search(r"ARG EXTRAS=(\S+)", DOCKERFILE)
    assert extras is not None
    assert set(extras[1].split(",")) <= set(project["project"]["optional-dependencies"])
    (version,) = set(re.findall(r"^FROM python:(\d+\.\d+)\.\d+-", DOCKERFILE, re.MULTILINE))
    assert version in ("3.11", "3.12", "3.13")
    assert "USER rayfold" in DOCKERFILE
