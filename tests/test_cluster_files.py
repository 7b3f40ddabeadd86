"""The cluster files: Ray's launcher accepts them, the token is on everywhere, the dashboard draws what is exported."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
LAUNCHER = ("cluster.yaml", "docs/cluster/gcp.yaml", "docs/cluster/on_premise.yaml")


def load(name: str) -> dict:
    return yaml.safe_load((ROOT / name).read_text())


@pytest.mark.parametrize("name", LAUNCHER)
def test_rays_launcher_accepts_the_file(name):
    util = pytest.importorskip("ray.autoscaler._private.util")
    filled = util.prepare_config(load(name))
    util.validate_config(filled)
    assert filled["cluster_name"] == load(name)["cluster_name"]


@pytest.mark.parametrize("name", LAUNCHER)
def test_a_key_that_the_launcher_does_not_know_is_found_by_its_schema(name):
    util = pytest.importorskip("ray.autoscaler._private.util")
    with pytest.raises(Exception, match="max_wrkers"):
        util.validate_config(util.prepare_config(load(name) | {"max_wrkers": 3}))


@pytest.mark.parametrize("name", LAUNCHER)
def test_every_place_installs_the_lock_asks_for_the_token_and_keeps_to_loopback(name):
    cluster = load(name)
    starts = [" ".join(cluster[f"{kind}_start_ray_commands"]) for kind in ("head", "worker")]
    assert all("RAY_AUTH_MODE=token" in start for start in starts)
    assert all(
        "$HOME/.rayfold/bin" in start for start in starts
    )  # a job's `python` is the one with the packages
    assert "--dashboard-host=127.0.0.1" in starts[0]
    assert "~/.ray/auth_token" in cluster["file_mounts"]
    assert any("requirements.lock" in command for command in cluster["setup_commands"])


@pytest.mark.parametrize("name", ["cluster.yaml", "docs/cluster/gcp.yaml"])
def test_only_workers_of_clouds_are_spot(name):
    types = load(name)["available_node_types"]
    assert "spot" in json.dumps(types["runner"]).lower()
    assert "spot" not in json.dumps(types["head"]).lower()


def test_the_workers_of_aws_are_bought_on_its_spot_market():
    runner = load("cluster.yaml")["available_node_types"]["runner"]["node_config"]
    assert runner["InstanceMarketOptions"] == {"MarketType": "spot"}


def test_the_kubernetes_manifest_has_the_token_on_and_the_locked_ray():
    spec = load("docs/cluster/kuberay.yaml")["spec"]
    locked = re.search(r"^ray==([\d.]+)", (ROOT / "requirements.lock").read_text(), flags=re.MULTILINE)
    assert spec["rayVersion"] == locked[1]
    assert spec["authOptions"] == {"mode": "token"}
    assert spec["headGroupSpec"]["serviceType"] == "ClusterIP"
    images = {
        group["template"]["spec"]["containers"][0]["image"]
        for group in (spec["headGroupSpec"], *spec["workerGroupSpecs"])
    }
    assert len(images) == 1


def test_the_dashboard_draws_every_metric_that_is_exported():
    from rayjobs.monitoring.ray_metrics import COUNTER, GAUGES

    dashboard = json.loads((ROOT / "docs" / "cluster" / "grafana.json").read_text())
    drawn = json.dumps([target["expr"] for panel in dashboard["panels"] for target in panel["targets"]])
    for name in (*GAUGES, f"{COUNTER}_total"):
        assert f"ray_{name}{{" in drawn
    assert set(re.findall(r"ray_rayfold_(\w+?)(?:_total)?{", drawn)) == {
        name.removeprefix("rayfold_") for name in (*GAUGES, COUNTER)
    }
    assert "ray_object_store_memory" in drawn


def test_every_choice_of_cluster_that_the_documents_name_exists():
    text = (ROOT / "docs" / "cluster" / "README.md").read_text() + (ROOT / "README.md").read_text()
    named = set(re.findall(r"\bcluster=(\w+)", text))
    assert named <= {path.stem for path in (ROOT / "conf" / "cluster").glob("*.yaml")}
