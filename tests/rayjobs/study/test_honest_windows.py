"""No honest run scores a bar that its policy had seen: bundled experiments, holdouts of sweeps, and any splitter."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.schema import Panel
from data.sources import describe, load
from evaluation.windows.search_windows import search_windows_in
from evaluation.windows.splits import WalkForward
from policies.exported_policy import PolicyContract
from policies.origin import EARLIER, SEEN, UNSEEN
from rayjobs.config.compose import compose
from rayjobs.study.config import TRAIN_KEYS, TrainConfig, build_train_config
from rayjobs.study.fold_origin import with_origin
from rayjobs.study.fold_windows import training_windows
from rayjobs.study.study import Study

pytestmark = pytest.mark.runs

EXPERIMENTS = ("crypto_portfolio", "spy_intraday", "planted_signal", "planted_memory", "noise")
LOOKBACK_BARS = 400
"""At least that of every bundled feature set."""
CONTRACT = PolicyContract(
    layout=None, feature_hash="", standardiser=None, action_scheme="", actions=None, network=None
)  # type: ignore[arg-type]
"""Only its origin matters here."""


def config_of(*overrides: str) -> TrainConfig:
    return build_train_config({k: v for k, v in compose("train", [*overrides]).items() if k in TRAIN_KEYS})


def study_of(config: TrainConfig, **bars) -> Study:
    return Study(config=config, panel=load(config.data).panel, features=None, oracle_direction=None, **bars)


def exposure(study: Study, fold, scored: slice | None = None) -> np.ndarray:
    """What the policy of a fold has seen of the bars that are scored."""
    origin = with_origin(CONTRACT, study, fold, LOOKBACK_BARS, Path("nowhere")).origin
    scored = scored or fold.test
    panel = study.panel.slice_bars(scored.start, scored.stop)
    return origin.exposure(panel, source=describe(study.config.data))


@pytest.mark.parametrize("overrides", [*((f"+experiment={e}",) for e in EXPERIMENTS),
                                       ("+experiment=crypto_portfolio", "walk_forward=anchored")])  # fmt: skip
def test_the_test_windows_of_a_bundled_experiment_were_never_seen_and_its_training_windows_were(overrides):
    study = study_of(config_of(*overrides))
    for fold in study.config.walk_forward.folds(study.panel.num_bars):
        assert (exposure(study, fold) == UNSEEN).all()
        assert (exposure(study, fold, fold.train) == SEEN).all()


@pytest.mark.parametrize(
    ("experiment", "holdout"), [*((experiment, "auto") for experiment in EXPERIMENTS), ("noise", 900)]
)
def test_the_winner_of_a_sweep_has_seen_its_validation_bars_and_none_of_its_holdout(experiment, holdout):
    study = study_of(config_of(f"+experiment={experiment}"))
    windows = search_windows_in(study.config.walk_forward, study.panel, holdout)
    study = replace(study, selection=tuple(fold.test for fold in windows.folds))
    for fold in windows.holdout_folds:
        assert (exposure(study, fold) == UNSEEN).all()
        for validation in windows.folds:
            assert (exposure(study, fold, validation.test) == SEEN).all()
            assert (exposure(study, fold, validation.train) >= EARLIER).all()


DAY = 48
CONFIG = config_of("+experiment=crypto_portfolio", "env.episode.bars=2")


def daily_panel(num_bars: int) -> Panel:
    random = np.random.default_rng(num_bars)
    close = 100.0 * np.exp(np.cumsum(0.01 * random.standard_normal((num_bars, 2)), axis=0))
    bar_utc = np.datetime64("2020-01-01", "ns") + np.arange(num_bars) * np.timedelta64(1800, "s")
    return Panel(
        symbols=("BTC", "ETH"),
        bar_utc=bar_utc,
        open=close,
        high=close,
        low=close,
        close=close,
        volume=np.ones_like(close),
        tradable=np.ones(close.shape, dtype=bool),
        session=bar_utc.astype("datetime64[D]").astype(np.int32),
        calendar="24/7",
        bar_seconds=1800,
    )


@settings(max_examples=60, deadline=None)
@given(
    train=st.integers(20, 400),
    test=st.integers(1, 200),
    step=st.one_of(st.none(), st.integers(1, 250)),
    horizon=st.integers(0, 5),
    embargo=st.integers(0, 60),
    anchored=st.booleans(),
    share=st.sampled_from([0.0, 0.1, 0.3]),
)
def test_no_splitter_lets_training_or_the_choice_of_a_checkpoint_reach_a_test_window(
    train, test, step, horizon, embargo, anchored, share
):
    panel = daily_panel(2000)
    splitter = WalkForward(
        train_bars=train,
        test_bars=test,
        step_bars=step,
        horizon_bars=horizon,
        embargo_bars=embargo,
        anchored=anchored,
    )
    config = replace(
        CONFIG, walk_forward=splitter, trainer=replace(CONFIG.trainer, validation_fraction=share)
    )
    study = Study(config=config, panel=panel, features=None, oracle_direction=None)
    try:
        folds = splitter.folds(panel.num_bars)
    except ValueError:
        return  # no fold fits
    for fold in folds[:3]:
        try:
            training, validation = training_windows(config, fold, 1)
        except ValueError:
            continue  # too short to train on
        last = training.stop_bar if validation is None else validation.stop_bar
        assert last <= fold.train.stop <= fold.test.start - splitter.gap_bars
        if validation is not None:
            assert training.stop_bar <= validation.start_bar - splitter.gap_bars
        origin = with_origin(CONTRACT, study, fold, 1, Path("nowhere")).origin
        scored = panel.slice_bars(fold.test.start, fold.test.stop)
        assert (origin.exposure(scored, source=origin.source) == UNSEEN).all()


def test_early_stopping_is_named_where_it_is_on():
    config = config_of("+experiment=crypto_portfolio", "algo.early_stop_validations=3")
    study = study_of(config)
    fold = config.walk_forward.folds(study.panel.num_bars)[0]
    origin = with_origin(CONTRACT, study, fold, LOOKBACK_BARS, Path("nowhere")).origin
    assert [entry.role for entry in origin.seen] == [
        "standardiser",
        "training",
        "validation",
        "early_stopping",
    ]
