"""The leak check of a study: its own features, normaliser, market and env, rebuilt from bars whose future was changed.

What runs is what the folds run: `fold_market` and the evaluation's env, on a short stretch of the study's bars around
the end of a training window. So a feature, a normaliser or an env that looks ahead is found before anything is trained.
"""

from __future__ import annotations

import logging
from dataclasses import replace

from data.features import compute_features
from data.schema import Panel
from envs.checks.leaks import LeakReport, find_leaks
from envs.portfolio import PortfolioVectorEnv
from envs.rules import check_ticks
from evaluation.rollout import evaluation_config, whole_window_env
from evaluation.scoring import scored_window
from evaluation.splits import Fold
from rayjobs.fold_job import Study, fold_market, lookback_bars

LOG = logging.getLogger(__name__)
NUM_STEPS = 160
"""Decisions that are compared."""
BARS_BEYOND = 400
"""Bars after the last decision, so that a feature that reads this far ahead is still found."""
FITTED_BARS = 400
"""Bars that the normaliser is fitted on, beyond the lookback."""


def leak_report(study: Study, fold: Fold | None = None, *, num_cuts: int = 3) -> LeakReport:
    """Change every bar after a cut, and report whatever moved before it; empty findings when nothing leaks.

    Parameters
    ----------
    study : the study as it is trained and scored; only a stretch of its bars is used.
    fold : whose windows the stretch is cut from; None takes the first one.
    num_cuts : cut bars, spread over the test window; up to two more where a bar is missing.

    Raises
    ------
    ValueError
        If the bars do not hold a fold.
    """
    fold = fold or study.config.walk_forward.folds(study.panel.num_bars)[0]
    stretch, short = short_fold(study, fold)
    panel = study.panel.slice_bars(stretch.start, stretch.stop)
    scored = evaluation_config(study.config.env)

    def env(bars: Panel) -> PortfolioVectorEnv:
        features = compute_features(bars, study.config.features.enabled)
        changed = replace(study, panel=bars, features=features, oracle_direction=None)
        market, _ = fold_market(changed, short)
        return whole_window_env(market, scored, [scored_window(short)])

    steps = min(NUM_STEPS, short.test.stop - short.test.start - 1)
    return find_leaks(env, panel, num_cuts=num_cuts, num_steps=steps, seed=study.config.seed % 2**32)


def leak_check(study: Study, fold: Fold) -> LeakReport:
    """As `leak_report`, and say at once when something leaks: the gate will refuse whatever is trained on it."""
    report = leak_report(study, fold)
    if not report.clean:
        LOG.warning("%s", report)
    return report


def check_simulator(study: Study, fold: Fold) -> None:
    """Build the training and the evaluation env on a few bars, so that settings that do not fit are told at once.

    Raises
    ------
    ValueError
        If the env cannot be built from the study's bars and settings.
    """
    instruments = study.config.instruments.for_symbols(study.panel.symbols)
    check_ticks(study.panel, study.config.env, instruments)
    stretch, short = short_fold(study, fold)
    panel = study.panel.slice_bars(stretch.start, stretch.stop)
    part = replace(study, panel=panel, features=compute_features(panel, study.config.features.enabled))
    market, _ = fold_market(part, short)
    window, env = scored_window(short), study.config.env
    whole_window_env(market, evaluation_config(env), [window])
    if env.episode.kind != "session":  # a few bars need not hold a session
        bars = min(env.episode.bars, window.num_bars)
        env = replace(env, episode=replace(env.episode, bars=bars))
        PortfolioVectorEnv(market, env, num_envs=study.config.algo.num_envs, windows=[window], seed=0)


def short_fold(study: Study, fold: Fold) -> tuple[slice, Fold]:
    """A stretch of the study's bars and the fold cut down to it.

    Returns
    -------
    stretch : bars of the study's panel. short : a fold in bars of that stretch: it trains on the last bars of the
        training window and tests on the first ones of the test window, with the same gap between. A training window
        that is hardly longer than the lookback (a policy scored on other bars) reaches into the test window here, for
        features that are not known would hide what they read.
    """
    lead = lookback_bars(study) + study.config.env.episode.warmup_bars
    gap = fold.test.start - fold.train.stop
    train_stop = max(fold.train.stop, min(lead + FITTED_BARS, fold.test.stop - gap - NUM_STEPS))
    start = max(train_stop - lead - FITTED_BARS, 0)
    first = train_stop + gap
    tested = min(fold.test.stop - first, NUM_STEPS + 1)
    stop = min(first + tested + BARS_BEYOND, study.panel.num_bars)
    return slice(start, stop), Fold(
        index=fold.index,
        train=slice(0, train_stop - start),
        test=slice(first - start, first - start + tested),
    )
