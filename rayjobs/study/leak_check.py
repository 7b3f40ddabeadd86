"""The leak check of a study: its own features, normaliser, market and env, rebuilt from bars whose future was changed.

Features, and what the simulator knows of the bars, are computed again on all bars of the study at thousands of cuts, so
that a peek on one bar in 1,000 is found (`envs.checks.prefixes`). The rest of the chain runs as the folds run it, at
fewer cuts: `fold_market` and the evaluation's env, on a short stretch of the bars around the end of a training window.
So a feature, a normaliser or an env that looks ahead is found before anything is trained.
"""

from __future__ import annotations

import hashlib
import logging
import time
from dataclasses import replace

import numpy as np

from data.features import FeatureSet, FeatureSpec, compute_features
from data.features.compute import SingleFeature, resolve_feature
from data.schema import Panel
from envs.checks.computed import Subject
from envs.checks.findings import LeakFinding
from envs.checks.leaks import BAR_NAMES, CONTEXT_NAMES, LeakReport, find_leaks, market_arrays, root_causes
from envs.checks.poison import poison_after
from envs.checks.prefixes import Compared, compare_prefixes
from envs.checks.redraw import Redraw
from envs.context import num_bar_columns
from envs.market import Market
from envs.portfolio import PortfolioVectorEnv
from envs.rules import check_ticks
from evaluation.scoring.fold_scoring import scored_window
from evaluation.scoring.rollout import evaluation_config, whole_window_env
from evaluation.windows.splits import Fold
from rayjobs.study.fact_leaks import compare_events, has_events
from rayjobs.study.feature_pruning import without_consensus
from rayjobs.study.fold_market import fold_market, lookback_bars, study_context
from rayjobs.study.study import Study
from rayjobs.training.policy_training import market_of_windows, training_env_of

LOG = logging.getLogger(__name__)
NUM_STEPS = 160
"""Decisions that are compared."""
SILENT_SECONDS = 20.0
"""A comparison that takes longer tells how far it is; on a busy machine it can take minutes."""
BARS_BEYOND = 400
"""Bars after the last decision, so that a feature that reads this far ahead is still found."""
FITTED_BARS = 400
"""Bars that the normaliser is fitted on, beyond the lookback."""
ENV_CUTS = 16
"""Bars after which the whole env is run again on another future, of each stretch."""
KEPT_COMPARISONS = 8
"""Studies of which this process remembers what was found for their features."""
_COMPARED: dict[str, tuple[object, list[Compared]]] = {}
MAX_SECONDS = 1800.0
"""CPU time after which cuts of features end. Bundled features need seconds; a slow one is then told, and refused, as
compared at too few bars."""


def leak_report(
    study: Study, fold: Fold | None = None, *, num_cuts: int = ENV_CUTS, max_seconds: float = MAX_SECONDS
) -> LeakReport:
    """Change every bar after a cut, and report whatever moved before it; empty findings when nothing leaks.

    Parameters
    ----------
    study : the study as it is trained and scored.
    fold : whose windows the stretch for the env is cut from; None takes the first one.
    num_cuts : cuts of the env, spread over the stretch's test window; up to two more where a bar is missing.
    max_seconds : CPU time of the cuts of features.

    Raises
    ------
    ValueError
        If the bars do not hold a fold.
    """
    fold = leading_fold(study, fold)
    compared = _compared_once(study, max_seconds)
    report = env_report(study, fold, num_cuts)
    findings = [finding for one in compared for finding in one.findings]
    return replace(
        report,
        findings=root_causes([*findings, *standardiser_findings(study, fold), *report.findings]),
        samplings=tuple(one.sampling for one in compared if one.sampling is not None),
        notes=tuple(note for one in compared for note in one.notes),
    )


def _compared_once(study: Study, max_seconds: float) -> list[Compared]:
    """What was found for equal features of equal bars, if they were compared before: it is the same for every fold.

    Equal is whatever decides the outcome: every value of the bars and of the features, and the functions, settings and
    seed that they are computed again with.
    """
    config = study.config
    functions = [resolve_feature(spec.name) for spec in config.features.enabled]
    settings = (
        functions,
        config.features,
        config.env,
        config.context,
        config.instruments,
        config.seed,
        max_seconds,
    )
    digest = _digest(study)
    known = _COMPARED.pop(digest, None)
    if known is None or known[0] != settings:
        known = settings, compare_columns(study, max_seconds)
    _COMPARED[digest] = known  # the latest one last
    while len(_COMPARED) > KEPT_COMPARISONS:
        _COMPARED.pop(next(iter(_COMPARED)))
    return known[1]


def _digest(study: Study) -> str:
    """SHA-256 (hex) over every value of the study's bars and features."""
    panel, features = study.panel, study.features
    digest = hashlib.sha256(panel.fingerprint.encode())
    digest.update(repr((features.asset_names, features.clock_names, features.asset.shape)).encode())
    for values in (panel.end_bar, features.asset, features.clock):
        digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()


def compare_columns(study: Study, max_seconds: float) -> list[Compared]:
    """Each feature, and the market's bars and context, at cuts of their own over all bars of the study."""
    subjects = [*feature_subjects(study), simulated_bars(study)]
    LOG.info("looking for leaks: every feature computed again with the bars after thousands of cuts redrawn")
    seed, started, found = study.config.seed % 2**32, time.process_time(), []
    redraw, spoke = Redraw(study.panel, seed), time.monotonic()
    for number, subject in enumerate(subjects):
        if time.monotonic() - spoke > SILENT_SECONDS:
            LOG.info("looking for leaks: %d of %d compared", number, len(subjects))
            spoke = time.monotonic()
        left = max(max_seconds - (time.process_time() - started), 0.0)
        # What is slow takes no more than an even share of what is left.
        share = left / (len(subjects) - number)
        found.append(
            compare_prefixes(subject, study.panel, seed=seed + number, max_seconds=share, redraw=redraw)
        )
        took = time.process_time() - started
        LOG.debug("%s compared after %.1f s", subject.label, took)
    of_events = [spec for spec in study.config.features.enabled if has_events(spec)]
    return [compare_events(spec, study.panel, seed=seed) for spec in of_events] + found


def _must_read_bars(spec: FeatureSpec) -> bool:
    """Whether it is worth a note that no bar moves a feature: a clock, a flag and a calendar of events read none."""
    feature = resolve_feature(spec.name)
    return feature.kind == "asset" and feature.reads_bars and not has_events(spec)


def feature_subjects(study: Study) -> list[Subject]:
    """One subject for each feature of the study, with the values that are trained on."""
    subjects = []
    filled = {"asset": 0, "clock": 0}
    for spec in study.config.features.enabled:
        feature = SingleFeature.of(spec, study.panel)
        start = filled[feature.kind]
        stop = filled[feature.kind] = start + len(feature.names)
        used = study.features.asset if feature.kind == "asset" else study.features.clock
        subjects.append(
            Subject(
                label=feature.names[0] if len(feature.names) == 1 else spec.name,
                kinds=("feature",) * len(feature.names),
                names=feature.names,
                lookback_bars=feature.lookback_bars,
                compute=feature.values,
                used=used[..., start:stop],
                reads_bars=_must_read_bars(spec),
            )
        )
    return subjects


def single_feature_report(
    spec: FeatureSpec, panel: Panel, *, seed: int, max_seconds: float = MAX_SECONDS
) -> LeakReport:
    """One feature on its own, at thousands of cuts of these bars: names the feature and the bar that it peeked at."""
    feature = SingleFeature.of(spec, panel)
    subject = Subject(
        label=feature.names[0] if len(feature.names) == 1 else spec.name,
        kinds=("feature",) * len(feature.names),
        names=feature.names,
        lookback_bars=feature.lookback_bars,
        compute=feature.values,
        reads_bars=_must_read_bars(spec),
    )
    compared = compare_prefixes(subject, panel, seed=seed % 2**32, max_seconds=max_seconds)
    of_events = compare_events(spec, panel, seed=seed % 2**32).findings if has_events(spec) else ()
    return LeakReport(
        cut_bars=(),
        bars_compared=0 if compared.sampling is None else compared.sampling.tested_rows,
        findings=root_causes([*of_events, *compared.findings]),
        samplings=() if compared.sampling is None else (compared.sampling,),
        notes=compared.notes,
    )


def simulated_bars(study: Study) -> Subject:
    """The bars as the simulator holds them, and its context: marks, ATR, volatility, volume, funding, splits."""
    panel, context = study.panel, study_context(study)
    instruments = study.config.instruments.for_symbols(panel.symbols)
    nothing = FeatureSet(
        asset=np.empty((panel.num_bars, panel.num_assets, 0), np.float32),
        clock=np.empty((panel.num_bars, 0), np.float32),
        asset_names=(),
        clock_names=(),
        lookback_bars=0,
        feature_hash="",
    )

    def arrays(bars: Panel) -> np.ndarray:
        bars.__dict__.setdefault("fingerprint", "")  # to hash redrawn bars takes longer than all the rest
        return market_arrays(Market.build(bars, nothing, instruments, context))

    width = num_bar_columns(panel, context)
    kinds = ("bars",) * len(BAR_NAMES) + ("context",) * (width - len(BAR_NAMES))
    return Subject(
        label="market",
        kinds=kinds,
        names=(*BAR_NAMES, *CONTEXT_NAMES)[:width],
        lookback_bars=0 if context is None else context.lookback_bars,
        compute=arrays,
        sessions=False,
        truncate=False,
        reads_bars=False,
    )


def env_report(study: Study, fold: Fold, num_cuts: int) -> LeakReport:
    """The whole chain from features to rewards, run again at a few cuts around the end of a training window."""
    stretch, short = short_fold(study, fold)
    panel = study.panel.slice_bars(stretch.start, stretch.stop)
    scored = evaluation_config(study.config.env)

    def env(bars: Panel) -> PortfolioVectorEnv:
        market, _ = fold_market(on_bars(study, bars), short)
        return whole_window_env(market, scored, [scored_window(short)])

    steps = min(NUM_STEPS, short.test.stop - short.test.start - 1)
    seed = study.config.seed % 2**32
    return find_leaks(env, panel, num_cuts=num_cuts, num_steps=steps, seed=seed, market_seconds=0.0)


def standardiser_findings(study: Study, fold: Fold) -> list[LeakFinding]:
    """The normaliser of a training window must be the same when every bar after the window is another."""
    stretch, short = short_fold(study, fold)
    panel = study.panel.slice_bars(stretch.start, stretch.stop)
    cut = short.train.stop - 1
    if cut + 1 >= panel.num_bars:
        return []
    one, other = (
        fold_market(on_bars(study, bars), short)[1].standardiser
        for bars in (panel, poison_after(panel, cut, study.config.seed % 2**32))
    )
    if one == other:
        return []
    return [
        LeakFinding(
            kind="standardiser",
            culprit="normaliser",
            cut_bar=stretch.start + cut,
            first_bar=stretch.start,
            last_bar=stretch.start + cut,
            hint="it is fitted on bars after the training window, as a statistic of the whole sample is",
        )
    ]


def on_bars(study: Study, panel: Panel) -> Study:
    """The study on other bars, its features computed from them, and none of them screened: these are a few bars."""
    features = compute_features(panel, study.config.features.enabled)
    config = without_consensus(study.config)
    return replace(study, config=config, panel=panel, features=features, oracle_direction=None, unseen=None)


def tell_leaks(study: Study, fold: Fold) -> LeakReport:
    """As `leak_report`, and say at once when something leaks: the gate will refuse whatever is trained on it."""
    report = leak_report(study, fold)
    if not report.clean or not report.sufficient or report.notes:
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
    stretch, short = short_fold(study, leading_fold(study, fold))
    panel = study.panel.slice_bars(stretch.start, stretch.stop)
    part = on_bars(study, panel)
    market, _ = fold_market(part, short)
    window, env = scored_window(short), study.config.env
    whole_window_env(market, evaluation_config(env), [window])
    if env.episode.kind != "session":  # a few bars need not hold a session
        bars = min(env.episode.bars, window.num_bars)
        env = replace(env, episode=replace(env.episode, bars=bars))
        plain = PortfolioVectorEnv(market, env, num_envs=study.config.algo.num_envs, windows=[window], seed=0)
        if env.factory is not None:
            check_own_env(env.factory, plain)


def check_own_env(name: str, plain: PortfolioVectorEnv) -> None:
    """Build the env of ``env.factory`` as a training does, and compare its spaces with the portfolio env's.

    Raises
    ------
    ValueError
        If they differ: what is trained on it could not be scored.
    """
    own = training_env_of(plain.config)(
        market_of_windows(plain.market, plain.windows),
        plain.config,
        num_envs=plain.num_envs,
        windows=list(plain.windows),
        seed=0,
        copy=False,
    )
    for space in ("single_observation_space", "single_action_space"):
        found, wanted = getattr(own, space, None), getattr(plain, space)
        if found != wanted:
            shapes = [getattr(one, "shape", None) for one in (found, wanted)]
            raise ValueError(
                f"env.factory={name} builds an env whose {space} (shape {shapes[0]}) is not that of the portfolio env "
                f"that scores its policies (shape {shapes[1]}); both must be equal"
            )


def leading_fold(study: Study, fold: Fold | None) -> Fold:
    """The fold, or the first of the study that trains on earlier bars than it tests: of combinatorial splits few do."""
    if fold is not None and fold.trains_before_it_tests:
        return fold
    return next(one for one in study.config.walk_forward.folds_in(study.panel) if one.trains_before_it_tests)


def short_fold(study: Study, fold: Fold) -> tuple[slice, Fold]:
    """A stretch of the study's bars and the fold cut down to it.

    Returns
    -------
    stretch : bars of the study's panel. short : a fold in bars of that stretch: it trains on the last bars of the
        training window and tests on the first ones of the test window, with the same gap between. A training window
        that is hardly longer than the lookback (a policy scored on other bars) reaches into the test window here, for
        features that are not known would hide what they read. A test window of few bars reaches beyond its end, or,
        where the bars end there, the training window ends earlier: decisions are needed that can be compared.

    Raises
    ------
    ValueError
        If the bars are too few for a decision after the lookback.
    """
    lead = lookback_bars(study) + study.config.env.episode.warmup_bars
    gap = fold.test.start - fold.train.stop
    train_stop = max(fold.train.stop, min(lead + FITTED_BARS, fold.test.stop - gap - NUM_STEPS))
    if fold.test.stop - train_stop - gap <= NUM_STEPS:
        room = study.panel.num_bars - gap - (NUM_STEPS + 1)
        train_stop = max(min(train_stop, room), min(lead + 2, train_stop))
    start = max(train_stop - lead - FITTED_BARS, 0)
    first = train_stop + gap
    tested = min(study.panel.num_bars - first, NUM_STEPS + 1)
    if tested < 2:
        raise ValueError(
            f"the {study.panel.num_bars} bars leave no decision to look for leaks at: features and context need {lead} "
            f"bars before the first one, and {gap} lie between training and test; give more bars, or shorter windows"
        )
    stop = min(first + tested + BARS_BEYOND, study.panel.num_bars)
    return slice(start, stop), Fold(
        index=fold.index,
        train=slice(0, train_stop - start),
        test=slice(first - start, first - start + tested),
    )
