"""The leak check of a study: it passes honest configurations, and names the one thing that looks ahead."""

from __future__ import annotations

from dataclasses import replace
from time import process_time

import numpy as np
import pytest
from loaded_study import SMALL, study_of
from small_run import OVERRIDES
from small_training import small_config

from data.features import Standardiser
from data.features.compute import FEATURES
from data.features.hidden_markov import HiddenMarkov
from evaluation.windows.splits import Fold
from rayjobs.study import leak_check as leak_audit
from rayjobs.study.leak_check import NUM_STEPS, leak_report, short_fold
from rayjobs.study.load import load_study

pytestmark = pytest.mark.runs

FEW_BARS = (
    "data.stop_utc=2017-11-20", "walk_forward.train_bars=1500", "walk_forward.test_bars=400",
    "features.specs.return_336=null", "features.specs.volatility_336=null",
)  # fmt: skip


@pytest.mark.parametrize(
    "experiment",
    [
        "planted_signal",
        *(pytest.param(e, marks=pytest.mark.slow) for e in ("crypto_portfolio", "spy_intraday")),
    ],
)
def test_an_honest_study_is_clean_at_enough_cuts_well_within_a_minute(experiment):
    study = study_of(f"+experiment={experiment}")
    started = process_time()
    report = leak_report(study)
    assert process_time() - started < 40.0  # 10 on an idle core, the compilation of the kernel included
    assert report.clean, str(report)
    assert report.sufficient
    assert not report.notes
    assert report.bars_compared > 100
    assert all(sampling.tested_rows > 4_600 for sampling in report.samplings)
    assert "cuts or more: a peek on one bar in 1,1" in str(report) or "one bar in 1,2" in str(report)


def counted(monkeypatch) -> list[object]:
    """One entry for each time that features are compared."""
    compared: list[object] = []
    compare = leak_audit.compare_columns
    monkeypatch.setattr(leak_audit, "_COMPARED", {})
    monkeypatch.setattr(
        leak_audit, "compare_columns", lambda *given: compared.append(given) or compare(*given)
    )
    return compared


def test_equal_features_of_equal_bars_are_compared_once_and_the_env_for_every_fold(monkeypatch):
    compared = counted(monkeypatch)
    overrides = ("+experiment=planted_signal", "data.num_bars=3000", *SMALL)
    first = leak_report(study_of(*overrides))
    study = study_of(*overrides)  # loaded anew
    folds = study.config.walk_forward.folds(study.panel.num_bars)
    assert leak_report(study, folds[-1]).samplings == first.samplings
    assert len(compared) == 1


def test_a_comparison_that_takes_long_tells_how_far_it_is(monkeypatch, caplog):
    monkeypatch.setattr(leak_audit, "SILENT_SECONDS", -1.0)  # any time is long
    study = study_of(*OVERRIDES)
    with caplog.at_level("INFO", logger=leak_audit.__name__):
        compared = leak_audit.compare_columns(study, max_seconds=1.0)
    told = [line for line in caplog.messages if line.endswith(" compared")]
    assert told == [
        f"looking for leaks: {number} of {len(compared)} compared" for number in range(len(compared))
    ]


@pytest.mark.parametrize(
    "change",
    ["bars", "end of an asset", "one value of a feature", "function", "seed", "context", "instrument"],
)
def test_whatever_may_change_what_is_found_is_compared_again(monkeypatch, change):
    compared = counted(monkeypatch)
    overrides = list(OVERRIDES)
    study = study_of(*overrides)
    leak_report(study)
    if change == "bars":
        bars = replace(study.panel, volume=study.panel.volume + 1.0)  # no feature of this study reads volume
        other = replace(study, panel=bars)
    elif change == "end of an asset":
        other = replace(
            study, panel=study.panel.with_ends(np.full(study.panel.num_assets, study.panel.num_bars))
        )
    elif change == "one value of a feature":
        values = study.features.asset.copy()
        values[-1, 0, 0] += 1e-3
        other = replace(study, features=replace(study.features, asset=values))
    elif change == "function":
        edited = replace(FEATURES["column"], version=FEATURES["column"].version + 1)
        monkeypatch.setattr(leak_audit, "resolve_feature", lambda name: edited)
        other = study
    else:
        overrides += {
            "seed": ["seed=5"],
            "context": ["context=bars_1m"],
            "instrument": ["instruments=us_stock"],
        }[change]
        other = replace(study_of(*overrides), features=study.features)
    leak_report(other)
    assert len(compared) == 2


@pytest.mark.parametrize(
    ("feature", "culprit"),
    [
        ("{name: 'cheating_features:NEXT_RETURN', params: {ahead_bars: 1}}", "next_return_1"),
        ("{name: 'cheating_features:NEXT_RETURN', params: {ahead_bars: 300}}", "next_return_300"),
        ("{name: 'cheating_features:SHARE_OF_HIGH', params: {}}", "share_of_sample_high"),
    ],
)
def test_a_feature_that_reads_ahead_is_named(feature, culprit):
    study = study_of("+experiment=crypto_portfolio", *FEW_BARS, f"+features.specs.cheat={feature}")
    report = leak_report(study)
    assert {finding.culprit for finding in report.findings if finding.kind == "feature"} == {culprit}


def test_a_normaliser_fitted_on_the_whole_sample_is_found(monkeypatch):
    fit = Standardiser.fit
    cheating = staticmethod(
        lambda features, train, **more: fit(features, slice(0, len(features.asset)), **more)
    )
    monkeypatch.setattr(Standardiser, "fit", cheating)
    report = leak_report(study_of("+experiment=planted_signal", "data.num_bars=3000", *SMALL))
    assert not report.clean
    assert any("statistic of the whole sample" in finding.hint for finding in report.findings)


HMM = "+features.specs.hmm={name: gaussian_hmm, params: {window_bars: 8}}"


def test_a_hidden_markov_model_that_is_fitted_and_filtered_as_it_should_be_is_clean():
    report = leak_report(study_of("+experiment=planted_signal", "data.num_bars=3000", HMM, *SMALL))
    assert report.clean, str(report)


def test_a_hidden_markov_model_that_is_smoothed_backwards_is_named(monkeypatch):
    forward = HiddenMarkov.filtered

    def smoothed(model, observed):
        return 0.5 * (forward(model, observed) + forward(model, observed[::-1])[::-1])

    monkeypatch.setattr(HiddenMarkov, "filtered", smoothed)
    report = leak_report(study_of("+experiment=planted_signal", "data.num_bars=3000", HMM, *SMALL))
    assert not report.clean
    assert any("gaussian_hmm_8" in finding.culprit for finding in report.findings), str(report)


def test_every_fold_has_a_stretch_with_its_own_gap_and_enough_bars():
    study, _, folds = load_study(small_config("data.num_bars=3000", *SMALL))
    for fold in folds:
        stretch, short = short_fold(study, fold)
        assert stretch.start + short.test.start == fold.test.start
        assert short.test.start - short.train.stop == fold.test.start - fold.train.stop
        assert stretch.stop - stretch.start > short.test.stop
        assert leak_report(study, fold).clean


@pytest.mark.parametrize("test_bars", [1, 2, 7])
def test_folds_of_a_few_bars_are_checked_over_as_many_decisions_as_long_ones(test_bars):
    study, _, folds = load_study(
        small_config(
            "data.num_bars=3000", *SMALL, f"walk_forward.test_bars={test_bars}", "walk_forward.step_bars=null"
        )
    )
    for fold in (folds[0], folds[len(folds) // 2], folds[-1]):
        stretch, short = short_fold(study, fold)
        assert short.test.stop - short.test.start == NUM_STEPS + 1
        assert stretch.start + short.test.stop <= study.panel.num_bars
        assert short.test.start - short.train.stop == fold.test.start - fold.train.stop
        assert stretch.start + short.train.stop <= fold.train.stop
    assert leak_report(study, folds[-1]).clean


def test_a_policy_scored_on_other_bars_is_checked_although_its_training_window_is_the_lookback_alone():
    cheat = "{name: 'cheating_features:NEXT_RETURN', params: {ahead_bars: 1}}"
    study = study_of("+experiment=crypto_portfolio", *FEW_BARS, f"+features.specs.cheat={cheat}")
    first = study.features.lookback_bars + 1
    whole = Fold(index=0, train=slice(0, first), test=slice(first, study.panel.num_bars))
    assert "next_return_1" in str(leak_report(study, whole))


def test_the_check_leaves_the_study_as_it_was():
    study = study_of("+experiment=planted_signal", "data.num_bars=3000", *SMALL)
    before = study.features.asset.copy()
    leak_report(replace(study))
    assert (study.features.asset == before).all()
