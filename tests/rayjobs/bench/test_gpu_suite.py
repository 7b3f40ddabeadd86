"""Suite `gpu` walks every path on a CPU, keeps to its time, and keeps what it measured when it is cut off."""

from __future__ import annotations

import json
import runpy
import sys

import pytest

from rayjobs.bench.gpu_suite import GpuBenchConfig, Planned, Table, _compare, _run_plan, planned
from rayjobs.config.compose import compose
from rayjobs.config.typed_config import ConfigError

SETTINGS = compose("bench", ["suite=gpu"])["gpu"]


def config(**changes):
    return GpuBenchConfig.of({**SETTINGS, "device": "cpu", **changes})


def clock_of(*moments):
    told = iter(moments)
    return lambda: next(told)


def test_ours_come_before_the_others_and_the_first_network_before_the_second():
    names = [plan.name for plan in planned(config())]
    assert names[0] == "rayfold, LSTM 128, 1,024 envs, float32"
    assert len(names) == len(set(names)) == 12 + 12 + 2  # ours, plain loops, stock RLlib at each size
    assert all(name.startswith("rayfold") for name in names[:12])
    assert names[12] == "stock RLlib PPO, LSTM 128, 256 envs, float32"


def test_a_row_is_the_median_of_the_turns_that_fit_its_share():
    # Turns of 4, 2, 1 and 3 seconds: the first warms up, and after the fourth another one of 3 would pass 11 seconds.
    saved = []
    moments = (0.0, 0.0, 0.0, 4.0, 4.0, 4.0, 6.0, 6.0, 6.0, 7.0, 7.0, 7.0, 10.0, 10.0, 10.0)
    table = Table(lambda rows: saved.append(len(rows)), 100.0, clock=clock_of(*moments))
    table.measure("x", lambda: None, 600, {}, share=11.0)
    (row,) = table.rows
    assert row["value"] == 600 / 2.0
    assert (row["settings"]["turns"], row["settings"]["cold"]) == (3, False)
    assert saved == [1]


def test_without_time_for_a_second_turn_the_first_counts_and_is_called_cold():
    table = Table(lambda rows: None, 100.0, clock=clock_of(0.0, 0.0, 0.0, 8.0, 8.0, 8.0))
    table.measure("x", lambda: None, 80, {}, share=5.0)
    assert table.rows[0]["value"] == 10.0
    assert table.rows[0]["settings"]["cold"] is True


def test_what_fails_or_has_no_time_is_a_row_with_its_reason():
    def out_of_memory():
        raise RuntimeError("CUDA out of memory\nand much more")

    table = Table(lambda rows: None, 100.0)
    turns = {"end to end": (out_of_memory, 1)}
    _run_plan(Planned(name="a", settings={}, build=object, turns=lambda _: turns), table, 10.0)
    _run_plan(Planned(name="b", settings={}, build=out_of_memory, turns=lambda _: turns), table, 10.0)
    _run_plan(Planned(name="c", settings={}, build=object, turns=lambda _: turns), table, 0.5)
    assert [row["settings"]["reason"] for row in table.rows] == [
        "RuntimeError: CUDA out of memory",
        "RuntimeError: CUDA out of memory",
        "no time was left",
    ]
    assert all(row["value"] is None for row in table.rows)


def test_others_stand_beside_ours_of_the_same_size_and_ours_beside_the_goal():
    def row(name, value, envs=1024):
        settings = {"units": 128, "envs": envs, "precision": "float32", "device": "cuda"}
        return {"name": name, "value": value, "unit": "env steps/s", "ratio_to": None, "settings": settings}

    ours, plain = (
        row("rayfold, x, end to end", 500_000.0),
        row("plain PyTorch loop, x, end to end", 250_000.0),
    )
    stock = row("stock RLlib PPO, x, end to end", 50_000.0, envs=256)
    _compare([ours, plain, stock])
    assert ours["ratio_to"] == {"name": "the goal of 1,000,000 env steps/s", "ratio": 0.5}
    assert plain["ratio_to"]["ratio"] == 0.5
    assert stock["ratio_to"]["ratio"] == 0.1


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"device": "tpu"}, "it must be cuda or cpu"),
        ({"device": "cpu", "precisions": ["float8"]}, "known are float32 and bfloat16"),
    ],
)
def test_settings_without_sense_are_one_sentence(changes, sentence):
    with pytest.raises(ConfigError, match=sentence):
        GpuBenchConfig.of({**SETTINGS, **changes})


def test_without_a_gpu_the_dry_run_is_named(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(ConfigError, match=r"walk the paths with gpu\.device=cpu"):
        GpuBenchConfig.of(SETTINGS)


@pytest.mark.slow
@pytest.mark.ray
def test_a_dry_run_on_the_cpu_walks_every_path(tmp_path, monkeypatch):
    monkeypatch.setattr(
        sys, "argv",
        [
            "bench", "suite=gpu", f"directory={tmp_path}", "gpu.device=cpu", "gpu.seconds=900", "gpu.units=[16]",
            "gpu.envs=[8]", "gpu.fragment_bars=32", "gpu.runners=1",
        ],
    )  # fmt: skip
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("rayjobs.bench", run_name="__main__")
    assert ended.value.code == 0
    rows = {row["name"]: row for row in json.loads((tmp_path / "bench" / "gpu.json").read_text())["rows"]}
    for envs in (8,):
        assert rows[f"rayfold, LSTM 16, {envs} envs, float32, sampling alone"]["value"] > 0
        for precision in ("float32", "bfloat16"):
            ours = rows[f"rayfold, LSTM 16, {envs} envs, {precision}, end to end"]
            assert ours["value"] > 0
            assert sum(ours["settings"]["shares"].values()) == pytest.approx(1.0, abs=0.01)
            assert ours["settings"]["bottleneck"] in ours["settings"]["shares"]
            assert rows[f"rayfold, LSTM 16, {envs} envs, {precision}, learner alone"]["value"] > 0
            plain = rows[f"plain PyTorch loop, LSTM 16, {envs} envs, {precision}, end to end"]
            assert plain["ratio_to"]["name"] == ours["name"]
    assert rows["stock RLlib PPO, LSTM 16, 256 envs, float32, end to end"]["value"] > 0
    assert rows["profile of an update, LSTM 16"]["settings"]["profile"]
    assert "skipped" in rows["tests marked gpu"]["settings"]["summary"]
