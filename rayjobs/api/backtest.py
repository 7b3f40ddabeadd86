"""A policy of any make on any panel, through the simulator that trains and judges: no job, no files, no Ray.

What comes out is counted as a look in the ledger before it is returned, as every other result on these bars is,
whatever the policy is and wherever the panel comes from: bars are known again by what they hold. It is no verdict.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from data.coverage.coverage import Coverage
from data.features import FeatureSet, Standardiser, compute_features
from data.schema import Panel, utc_instant
from data.sources import load
from envs.config import PortfolioEnvConfig
from envs.context import ContextConfig
from envs.episodes import Window
from envs.market import Market
from envs.observations import ObservationLayout
from envs.recording import Recording
from envs.rules import context_in_use
from evaluation.artefacts import tables
from evaluation.artefacts.summary import summarise
from evaluation.ledger.ledger import Ledger, LookEntry
from evaluation.ledger.records import Record
from evaluation.scoring.rollout import evaluation_config, rollout, run_schedules, whole_window_env
from evaluation.scoring.walk_forward import FoldResult, WalkForwardResult
from evaluation.statistics.metrics import sharpe_ratio
from evaluation.windows.splits import Fold
from policies.baselines import SCRIPTED
from rayjobs.api.acting import as_policy, decides_from
from rayjobs.api.results import RunPolicy, numbers_table
from rayjobs.config.compose import compose_command_line
from rayjobs.config.run_overrides import changed_values
from rayjobs.config.typed_config import ConfigError, build_dataclass
from rayjobs.replay.run_seal import existing_ledger
from rayjobs.storage.ledger_place import open_ledger
from rayjobs.study.config_groups import build_env, build_source
from rayjobs.study.features_config import FeaturesConfig
from rayjobs.study.instruments_config import InstrumentsConfig

SOURCE = "panel"
"""Where the bars of a backtest come from, as far as the ledger is told: they are known by what they hold."""
BASELINES = ("flat", "buy_and_hold")


class Backtest:
    """What a backtest left.

    Attributes
    ----------
    summary : the numbers of ``backtest/summary.json``, undefined ones nan.
    returns : fold (always 0), net_return and equity of each bar, by its UTC label; of an exported policy also whether
        it had seen the bar in training (in_sample) or was trained on later ones (hindsight).
    trades, fills, decisions, history : tables with the columns of a run's.
    observation_names : (D,) entries of the observation that the policy was given.
    """

    def __init__(self, result: WalkForwardResult, observation_names: Sequence[str]) -> None:
        self._result = result
        self.observation_names = tuple(observation_names)

    @cached_property
    def summary(self) -> dict[str, Any]:
        return summarise(self._result)

    @cached_property
    def returns(self) -> pd.DataFrame:
        return tables.returns_table(self._result).set_index("bar_utc").tz_localize("UTC")

    @cached_property
    def trades(self) -> pd.DataFrame:
        return tables.trades_table(self._result)

    @cached_property
    def fills(self) -> pd.DataFrame:
        return tables.fills_table(self._result)

    @cached_property
    def decisions(self) -> pd.DataFrame:
        return tables.decisions_table(self._result)

    @cached_property
    def history(self) -> pd.DataFrame:
        return tables.history_table(self._result)

    def equity(self) -> pd.Series:
        """Growth of 1, by the UTC label of each bar, at its close."""
        return self.returns["equity"]

    def __repr__(self) -> str:
        return f"Backtest({len(self.returns):,} bars, Sharpe {self.summary['sharpe']:+.2f})"

    def _repr_html_(self) -> str:
        share = self.summary["in_sample_share"]
        seen = f"{share:.0%} of the bars were seen in training; " if share and share == share else ""
        return numbers_table("Backtest", self.summary, f"{seen}net of costs; a look, not a verdict.")


def load_panel(*overrides: str) -> Panel:
    """The bars that the group ``data`` describes, such as ``"data=files", "data.path=bars.csv"``.

    Raises
    ------
    ConfigError, DataError
        With the sentence that a job would end with.
    """
    return load(build_source(_values(overrides))).panel


def backtest(
    policy: Any,
    panel: Panel,
    *overrides: str,
    start: str | None = None,
    stop: str | None = None,
    standardise_on: tuple[str, str] | None = None,
    cost_factor: float = 1.0,
) -> Backtest:
    """Run a policy over the bars of a panel, with fills, costs and limits as in training.

    Parameters
    ----------
    policy : one of

        - a function of the observation (E, D), or of observation and state, that returns the actions (E, A) as the
          action scheme asks (and the next state, if it is given one);
        - an object with ``act`` and ``initial_state`` (`policies.protocol.Policy`), such as ``run.policy()``, or with
          ``predict`` as Stable-Baselines3 has it;
        - an array (T, A) of targets in [-1, 1], row t decided at the close of bar t of the panel.
    panel : its bars; `load_panel`, or a `data.schema.Panel` of your own.
    overrides : settings as on the command line of `rayjobs.train`: ``"env=weights"``, ``"costs.fee_bps=1"``. Of a run's
        policy the run's own configuration is where they start from, and features and env stay as it was trained.
    start, stop : UTC instants of the first scored bar and of the one behind the last; None takes all bars for which
        features and context are known.
    standardise_on : first instant, and the one behind the last, of the bars before ``start`` whose mean and deviation
        standardise the features; None hands them on as they are computed. A run's policy brings its own.
    cost_factor : multiple of all costs.

    Raises
    ------
    ConfigError, DataError, ValueError
        For settings, bars or actions that cannot be used.
    """
    if not isinstance(panel, Panel):
        raise ConfigError(
            f"panel is {panel!r:.60}, a {type(panel).__name__}; give bars: api.load_panel('data=crypto_30m'), with the "
            "settings of the group data that a command takes, or a data.schema.Panel of your own"
        )
    trained = policy if isinstance(policy, RunPolicy) else None
    values = _values(overrides) if trained is None else changed_values(trained.run.values, overrides)
    env = build_env(values)
    market = _market(trained, panel, values, env, standardise_on)
    fold = Fold(index=0, train=slice(0, 0), test=_scored(panel, market, env.episode.warmup_bars, start, stop))
    if standardise_on is not None and utc_instant(standardise_on[1]) > panel.bar_utc[fold.test.start]:
        raise ConfigError(
            f"standardise_on ends at {standardise_on[1]}, inside the scored bars, which begin at "
            f"{panel.bar_utc[fold.test.start]}; what is scored must not be known beforehand"
        )
    window = Window(start_bar=fold.test.start, stop_bar=fold.test.stop)
    first = decides_from(window, env.episode.warmup_bars)
    acting = as_policy(policy, env.action.scheme, first, panel)
    (recording,) = rollout(acting, whole_window_env(market, evaluation_config(env), [window], cost_factor))
    baselines = {name: SCRIPTED[name](panel) for name in BASELINES}
    runs = run_schedules(baselines, market, env, [window], cost_factor=cost_factor)
    shown = FoldResult(
        fold=fold,
        recording=recording,
        baselines={name: tracks[0] for name, tracks in runs.items()},
        cost_factor=cost_factor,
        exposure=_exposure(trained, panel, fold),
    )
    result = WalkForwardResult(panel=panel, folds=(shown,))
    for ledger in _ledgers(values, trained):
        _count(ledger, result, {**values, "backtest": {"cost_factor": cost_factor}}, recording, trained)
    return Backtest(result, _layout(market, env).names)


def _ledgers(values: Mapping[str, Any], trained: RunPolicy | None) -> list[Ledger]:
    """Where a look is counted: a run's policy where its run is, whatever is asked for."""
    ledgers = [open_ledger(str(values["ledger"]))]
    if trained is not None:
        of_run = existing_ledger(str(trained.run.values["ledger"]), trained.run.path)
        ledgers += [] if of_run is None or of_run.id == ledgers[0].id else [of_run]
    return ledgers


def _market(
    trained: RunPolicy | None,
    panel: Panel,
    values: Mapping[str, Any],
    env: PortfolioEnvConfig,
    standardise_on: tuple[str, str] | None,
) -> Market:
    """The panel with its features, instruments and context; refused where they are not those of a run's policy."""
    settings = build_dataclass(FeaturesConfig, values["features"], "features")
    features = compute_features(panel, settings.enabled)
    standardiser = _standardiser(trained, features, panel, settings.clip, standardise_on)
    kinds = build_dataclass(InstrumentsConfig, values["instruments"], "instruments")
    instruments = kinds.for_symbols(panel.symbols)
    context = context_in_use(
        build_dataclass(ContextConfig, values["context"], "context"), env, panel, instruments
    )
    market = Market.build(panel, standardiser.transform(features), instruments, context)
    if trained is not None:
        trained.contract.check_fits(_layout(market, env), features.feature_hash)
    return market


def _layout(market: Market, env: PortfolioEnvConfig) -> ObservationLayout:
    names = market.asset_names, market.clock_names, env.observation.account_names
    return ObservationLayout.portfolio(market.num_symbols, *names)


def _values(overrides: Sequence[str]) -> dict[str, Any]:
    values = compose_command_line("train", list(overrides))
    if values is None:
        raise ConfigError("options of the command line, such as --help, have no meaning here; give key=value")
    return values


def _standardiser(
    trained: RunPolicy | None,
    features: FeatureSet,
    panel: Panel,
    clip: float,
    bars: tuple[str, str] | None,
) -> Standardiser:
    if trained is not None:
        if bars is not None:
            raise ConfigError(
                "standardise_on is for policies without statistics of their own; this run's has them"
            )
        if trained.contract.standardiser is None:
            raise ConfigError(f"{trained!r} was not trained on a panel's features; it cannot be run on one")
        return Standardiser.from_dict(trained.contract.standardiser)
    if bars is not None:
        first, last = np.searchsorted(panel.bar_utc, [utc_instant(bars[0]), utc_instant(bars[1])])
        if last <= first:
            raise ConfigError(f"standardise_on is {bars[0]} to {bars[1]}; the panel has no bar there")
        return Standardiser.fit(features, slice(int(first), int(last)), clip=clip)
    shape = features.asset.shape[1:]
    return Standardiser(
        feature_hash=features.feature_hash, mean=np.zeros(shape), std=np.ones(shape), clip=np.inf
    )


def _scored(panel: Panel, market: Market, warmup_bars: int, start: str | None, stop: str | None) -> slice:
    """Bars that are scored; ConfigError where one of them cannot be."""
    least = market.first_bar + warmup_bars + 1
    first = least if start is None else int(np.searchsorted(panel.bar_utc, utc_instant(start)))
    last = panel.num_bars if stop is None else int(np.searchsorted(panel.bar_utc, utc_instant(stop)))
    if first < least:
        raise ConfigError(
            f"start is {start}, but features, context and warm-up need {least} bars before it; begin at "
            f"{panel.bar_utc[min(least, panel.num_bars - 1)]} or give the panel more bars before"
        )
    if last <= first:
        raise ConfigError(
            f"no bar is left to score: the panel has {panel.num_bars:,}, features, context and warm-up need {least:,} "
            f"before the first, and start={start}, stop={stop} hold none after it"
        )
    return slice(first, last)


def _exposure(trained: RunPolicy | None, panel: Panel, fold: Fold) -> Any:
    if trained is None or trained.contract.origin is None:
        return None
    return trained.contract.origin.exposure(panel.slice_bars(fold.test.start, fold.test.stop), source=SOURCE)


def _count(
    ledger: Ledger,
    result: WalkForwardResult,
    values: Mapping[str, Any],
    recording: Recording,
    trained: RunPolicy | None,
) -> None:
    """Enter the result, before it is shown: the same decisions under the same settings are the same look."""
    panel, scored = result.panel, result.folds[0].fold.test
    decided = hashlib.sha256(np.ascontiguousarray(recording.net_return).tobytes()).hexdigest()
    number = ledger.enter(
        LookEntry(
            kind="scripted policy" if trained is None else "re-scoring",
            study="backtest",
            identity={"job": "backtest", "earned": decided, "config": dict(values)},
            seed=0,
            data_fingerprint=panel.fingerprint,
            code_commit="unknown",
            coverage=Coverage.of(panel, scored, source=SOURCE),
        )
    )
    record = Record.of(result.net_return, panel.bar_utc[result.bar], panel.bar_seconds)
    score = sharpe_ratio(result.net_return, periods_per_year=result.periods_per_year)
    ledger.finish(number, score=score, record=record)
