"""Which run `resume` names, and when it may not be gone on with."""

from __future__ import annotations

import json
import os
import socket
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml

from data.schema import Panel
from data.synthetic import NoiseConfig, make_market
from rayjobs.config.compose import compose
from rayjobs.config.typed_config import ConfigError
from rayjobs.storage.resume import check_same_data, run_to_resume
from rayjobs.training.policy_training import PolicyTraining

MARKET = NoiseConfig(
    seed=1,
    num_bars=60,
    num_assets=2,
    bar_seconds=1800,
    start_utc="2020-01-01",
    volatility=0.002,
    noise_features=1,
    cost_bps=2.0,
)


def a_run(root, name, status, *, pid=0, fingerprint="a" * 64):
    run = root / "some_experiment" / name
    run.mkdir(parents=True)
    facts = {"status": status, "host": socket.gethostname(), "pid": pid}
    (run / "status.json").write_text(json.dumps(facts))
    (run / "config.yaml").write_text(yaml.safe_dump({"provenance": {"data_fingerprint": fingerprint}}))
    return run


def values(root, resume):
    return {"resume": resume, "run": {"experiment": "some_experiment", "directory": str(root)}}


README = Path(__file__).resolve().parents[3] / "README.md"
EARLIER, LATER = "20260101T000000Z-aaaaaa", "20260102T000000Z-bbbbbb"
GONE = 2**22 + 1  # beyond the largest process id


def test_without_resume_a_new_run_is_started(tmp_path):
    assert run_to_resume(values(tmp_path, None)) is None


def test_latest_is_the_newest_run_that_is_not_done(tmp_path):
    killed = a_run(tmp_path, EARLIER, "running", pid=GONE)
    a_run(tmp_path, LATER, "done")
    assert run_to_resume(values(tmp_path, "latest")) == killed


def test_the_readme_goes_on_with_the_experiment_that_it_starts(tmp_path):
    lines = [line.split("#")[0].split() for line in README.read_text().splitlines()]
    (typed,) = [
        line[3:]
        for line in lines
        if line[:3] == ["python", "-m", "rayjobs.train"] and "resume=latest" in line
    ]
    killed = tmp_path / "crypto_portfolio" / EARLIER
    a_run(tmp_path, EARLIER, "running", pid=GONE).parent.rename(killed.parent)
    assert run_to_resume(compose("train", [*typed, f"run.directory={tmp_path}"])) == killed
    assert "`python -m rayjobs.train +experiment=crypto_portfolio`" in README.read_text()


def test_where_latest_finds_nothing_a_run_of_another_experiment_is_named(tmp_path):
    killed = a_run(tmp_path, EARLIER, "interrupted")
    elsewhere = {**values(tmp_path, "latest"), "run": {"experiment": "train", "directory": str(tmp_path)}}
    with pytest.raises(ConfigError, match=f"resume={killed}, or \\+experiment=some_experiment resume=latest"):
        run_to_resume(elsewhere)


@pytest.mark.parametrize("status", ["failed", "interrupted"])
def test_a_run_that_failed_or_was_interrupted_can_be_named(tmp_path, status):
    run = a_run(tmp_path, EARLIER, status)
    assert run_to_resume(values(tmp_path, str(run))) == run


def test_a_run_that_cannot_be_gone_on_with_is_one_sentence(tmp_path):
    done = a_run(tmp_path, EARLIER, "done")
    with pytest.raises(ConfigError, match="is done; there is nothing to resume"):
        run_to_resume(values(tmp_path, str(done)))
    with pytest.raises(ConfigError, match="holds no run that was stopped"):
        run_to_resume(values(tmp_path, "latest"))
    with pytest.raises(ConfigError, match="not a run directory"):
        run_to_resume(values(tmp_path, str(tmp_path / "nowhere")))
    alive = a_run(tmp_path, LATER, "running", pid=os.getppid())
    with pytest.raises(ConfigError, match=f"process {os.getppid()} is still working on"):
        run_to_resume(values(tmp_path, str(alive)))


def test_other_bars_than_the_run_was_started_with_are_refused(tmp_path):
    run = a_run(tmp_path, EARLIER, "failed")
    check_same_data(run, "a" * 64)
    with pytest.raises(ConfigError, match="put the old data back or start a new run"):
        check_same_data(run, "b" * 64)


def changed_market() -> dict[str, Panel]:
    """The same bars with one thing changed, by its name."""
    panel = make_market(MARKET).panel
    moved = panel.close.copy()
    moved[-1, 0] = panel.high[-1, 0]
    return {
        "one close": replace(panel, close=moved),
        "a bar less": panel.slice_bars(0, panel.num_bars - 1),
        "a bar later": panel.slice_bars(1, panel.num_bars),
        "another clock": replace(panel, bar_utc=panel.bar_utc + np.timedelta64(30, "m")),
        "another order": panel.select(panel.symbols[::-1]),
        "fewer symbols": panel.select(panel.symbols[:1]),
        "other names": replace(panel, symbols=("A", "B")),
        "other volumes": replace(panel, volume=panel.volume + 1.0),
        "an exogenous column": replace(panel, exogenous={k: v + 1.0 for k, v in panel.exogenous.items()}),
        "another bar length": replace(panel, bar_seconds=60),
    }


@pytest.mark.parametrize("kind", list(changed_market()))
def test_a_run_does_not_go_on_with_bars_that_were_changed_in_any_way(tmp_path, kind):
    run = a_run(tmp_path, EARLIER, "failed", fingerprint=make_market(MARKET).panel.fingerprint)
    check_same_data(run, make_market(MARKET).panel.fingerprint)
    with pytest.raises(ConfigError, match="put the old data back or start a new run"):
        check_same_data(run, changed_market()[kind].fingerprint)


def test_a_training_does_not_go_on_from_a_checkpoint_of_other_bars(tmp_path):
    record = {"rows": [], "best_score": None, "validations_since_best": 0, "validations_since_cut": 0,
              "finished": True, "origin": "0" * 64}  # fmt: skip
    (tmp_path / "iteration_000010").mkdir()
    (tmp_path / "iteration_000010" / "training.json").write_text(json.dumps(record))
    spec = SimpleNamespace(
        label="fold 0",
        directory=tmp_path,
        fold=0,
        contract=SimpleNamespace(origin=None),
        trainer=SimpleNamespace(total_env_steps=100),
        ppo=SimpleNamespace(batch_steps=10),
    )
    with pytest.raises(ValueError, match="was not trained on the bars of this training"):
        PolicyTraining(spec)
