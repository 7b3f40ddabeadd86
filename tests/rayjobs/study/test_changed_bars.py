"""Own code that writes into the bars is refused before a training, before a verdict, and by the audit."""

from __future__ import annotations

import ctypes
import json
from dataclasses import replace
from types import SimpleNamespace

import changing_features
import numpy as np
import pytest
from exported_market import noise
from small_run import OVERRIDES, make_run

from data.features import FeatureSpec, compute_features
from data.sources import load
from envs.checks.leaks import LeakReport
from envs.kernel import columns as c
from rayjobs.audit import main as audit
from rayjobs.config.compose import compose
from rayjobs.study.changed_bars import CHANGED, bars_changed, require_market_of, require_same_bars
from rayjobs.study.config import TRAIN_KEYS, build_train_config
from rayjobs.study.fold_market import fold_market
from rayjobs.study.load import load_study
from rayjobs.study.study import Study

OWN = "+features.specs.own={name: 'changing_features:WRITTEN', params: {}}"
HONEST = "+features.specs.own={name: 'own_features:DATES', params: {}}"


def config(*overrides: str):
    values = {k: v for k, v in compose("train", [*OVERRIDES, *overrides]).items() if k in TRAIN_KEYS}
    return build_train_config(values)


@pytest.mark.runs
def test_a_feature_that_writes_into_the_bars_ends_the_job_before_anything_is_trained():
    with pytest.raises(ValueError, match="own code changed the bars"):
        load_study(config(OWN))


@pytest.mark.runs
def test_bars_that_are_as_they_were_pass():
    study, _, folds = load_study(config(HONEST))
    assert not bars_changed(study)
    require_same_bars(study)
    require_market_of(study.panel, fold_market(study, folds[0])[0])


@pytest.mark.runs
def test_a_market_with_other_prices_than_its_panel_is_refused():
    study, _, folds = load_study(config(HONEST))
    market, _ = fold_market(study, folds[0])
    bars = market.bars.copy()
    bars[700, 1, c.OPEN] *= 1.001
    with pytest.raises(ValueError, match="own code changed the bars"):
        require_market_of(study.panel, replace(market, bars=bars))


@pytest.mark.runs
def test_what_is_written_later_is_found_before_the_verdict_and_in_the_symbols_held_out():
    study, _, _ = load_study(config(HONEST))
    other = replace(study, panel=load(noise(seed=9)).panel)
    _ = other.panel.fingerprint
    held_out = replace(study, unseen=other)
    require_same_bars(held_out)
    ctypes.memmove(other.panel.close.__array_interface__["data"][0], np.float64(3.0).tobytes(), 8)
    require_same_bars(study)
    with pytest.raises(ValueError, match="own code changed the bars"):
        require_same_bars(held_out)


@pytest.mark.runs
def test_the_fingerprint_of_a_study_is_that_of_before_its_features():
    given = config(OWN)
    dataset = load(given.data)
    honest = load(given.data).panel.fingerprint
    assert Study.of(given, dataset).panel.fingerprint == honest
    assert dataset.panel.fingerprint_now() != honest


def test_a_feature_cannot_make_the_bars_writeable():
    panel = load(noise()).panel
    with pytest.raises(ValueError, match="WRITEABLE"):
        compute_features(panel, [FeatureSpec(name="changing_features:UNLOCKED")])
    assert panel.fingerprint_now() == panel.fingerprint


def test_bars_of_a_job_without_own_code_are_not_hashed_again():
    class NotAsked:
        @property
        def fingerprint(self):
            raise AssertionError

    plain = SimpleNamespace(config=config(), panel=NotAsked(), unseen=None)
    assert not bars_changed(plain)
    assert CHANGED.startswith("own code changed the bars")


@pytest.mark.runs
def test_an_audit_says_so_where_own_code_writes_into_the_bars_that_it_loads(
    tmp_path, monkeypatch, leak_check_aside
):
    own = "+features.specs.own={name: 'changing_features:WHEN_ASKED', params: {}}"
    clean = LeakReport(cut_bars=(1,), bars_compared=1, findings=())
    monkeypatch.setattr("rayjobs.replay.derived_again.leak_report", lambda *_, **__: clean)
    run = make_run(tmp_path, own, "policy=flip")
    for writes, outcome in ((False, "pass"), (True, "fail")):
        monkeypatch.setitem(changing_features.ASKED, "to write", writes)
        audit([f"run={run}", "checks=[data,reproduction]"])
        found = json.loads((run / "audit_report.json").read_text())["checks"]
        (row,) = [row for row in found if row["check"] == "bars beside own code"]
        assert row["outcome"] == outcome
        assert ("own code changed the bars" in row["detail"]) is writes
        again = [r for r in found if r["section"] == "reproduction" and r["outcome"] == "fail"]
        assert bool(again) is writes
