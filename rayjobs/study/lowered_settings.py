"""What a study was scored by that asks less than the shipped settings do: an approval that hangs on it says so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from functools import cache

from data.charged_columns import FUNDING_RATE
from envs.costs import COST_NAMES
from envs.instruments import CATALOGUE
from envs.recording import Recording
from evaluation.gate.standard import lowered_thresholds
from evaluation.scoring.owed import owed_to
from evaluation.scoring.stop_fills import STOPS
from evaluation.scoring.walk_forward import WalkForwardResult
from rayjobs.config.compose import compose
from rayjobs.study.config import TrainConfig, build_train_config
from rayjobs.study.ended_names import lowered_by_ends, told_of_ends
from rayjobs.study.least_costs import is_stand_in, is_synthetic
from rayjobs.study.least_financing import lacking_financing
from rayjobs.study.study import Study
from rayjobs.study.unfilled_orders import lowered_by_unfilled, told_of_repairs
from rayjobs.study.unknown_dividends import unknown_dividends
from rayjobs.study.volume_taken import lowered_by_volume, told_of_volume

BASELINE_SETTINGS = ("momentum_bars", "hold_bars", "rebalance_sessions", "target_volatility")
FUNDING_SHARE = 0.1
"""Share of the gain from which on funding that was received at an assumed rate is no by-product."""


@cache
def _standard() -> TrainConfig:
    return build_train_config(compose("train"))


def lowered_criteria(config: TrainConfig) -> tuple[str, ...]:
    """What this job's gate and baselines demand less of, or may, than those that Rayfold ships.

    Any other window of a baseline may be a weaker one, and nothing in the numbers tells which: a change is named.
    """
    standard, ours = _standard(), config.scoring
    left_out = [name for name in standard.scoring.supervised if name not in ours.supervised]
    changed = [(name, getattr(ours, name), getattr(standard.scoring, name)) for name in BASELINE_SETTINGS] + [
        (
            f"supervised_fit.{name}",
            getattr(ours.supervised_fit, name),
            getattr(standard.scoring.supervised_fit, name),
        )
        for name in (field.name for field in fields(ours.supervised_fit))
        if name != "seed" and ours.supervised
    ]
    fewer = ours.placebo_strategies < standard.scoring.placebo_strategies
    return (
        *lowered_thresholds(config.gate, standard.gate),
        *(f"the baseline {name} is left out" for name in left_out),
        *(
            f"the baselines' {name} is {value:g} instead of {shipped:g}"
            for name, value, shipped in changed
            if value != shipped
        ),
        *(
            [
                f"placebo_strategies is {ours.placebo_strategies} instead of {standard.scoring.placebo_strategies}"
            ]
            if fewer
            else []
        ),
        *_own_code(config),
    )


def _own_code(config: TrainConfig) -> list[str]:
    """What a policy was trained with that no check can read; features of one's own are leak-checked instead."""
    if config.script is not None or config.supervised is not None:
        return []
    named = {"env.factory": config.env.factory, "reward.function": config.env.reward.function}
    return [
        f"trained with code of your own that no check reads, {key}={name}"
        for key, name in named.items()
        if name is not None
    ]


def lowered_charges(study: Study, result: WalkForwardResult) -> tuple[str, ...]:
    """What the scored policy was spared, or given, by the simulator's settings; only what it made use of is named."""
    if is_synthetic(study.config) and not is_stand_in(study.config):
        return ()
    recordings, cap = [fold.recording for fold in result.folds], _standard().env.costs.max_participation
    return (
        *lacking_financing(study, recordings),
        *unknown_dividends(study, result),
        *_contracts(study),
        *([] if cap is None else lowered_by_volume(study, result, cap)),
        *lowered_by_unfilled(study, result),
        *_stops(result),
        *_delisted_shorts(study, recordings),
        *lowered_by_ends(study, result),
        *_funding(study, recordings),
    )


def told_charges(study: Study, result: WalkForwardResult) -> tuple[str, ...]:
    """Sentences on fills and bars of this kind that a headline ends with, however few, where it does not name them."""
    if is_synthetic(study.config) and not is_stand_in(study.config):
        return ()
    cap = _standard().env.costs.max_participation
    volume = () if cap is None else told_of_volume(study, result, cap)
    return (*volume, *told_of_repairs(study, result), *told_of_ends(study, result))


def _contracts(study: Study) -> list[str]:
    """Symbols that are called a future, which is short for nothing, and trade by the unit or by parts of one.

    Other futures than those of the catalogue are named by the nearest kind, with multiplier, tick and fee of their own.
    """
    instruments, found = study.config.instruments.for_symbols(study.panel.symbols), []
    for symbol in study.panel.symbols:
        kind = study.config.instruments.kind_of(symbol)
        ours = instruments[symbol]
        no_contract = ours.multiplier == 1.0 or ours.lot_step == 0.0 or ours.lot_step % 1.0 != 0.0
        if CATALOGUE[kind].multiplier != 1.0 and no_contract:
            found.append(
                f"{symbol} is called {kind}, but with multiplier {ours.multiplier:g} and lots of {ours.lot_step:g} it "
                "is no futures contract"
            )
    return found if len(found) < 4 else [*found[:3], f"and so are {len(found) - 3} more symbols"]


def _stops(result: WalkForwardResult) -> list[str]:
    """What is owed to stops that filled at their level, where the market may have jumped through it."""
    owed = owed_to(result, STOPS)
    if owed is None:
        return []
    return [
        "stops filled at their level inside of bars: at the close of these bars, which is as likely above as below "
        f"where a price only wanders, the annual Sharpe ratio is {owed[1]:.2f} instead of {owed[0]:.2f}"
    ]


def _delisted_shorts(study: Study, recordings: Sequence[Recording]) -> list[str]:
    """Shorts that were closed below the last price because of what is assumed to be recovered."""
    recovery = study.config.env.costs.delisting_recovery
    shorts = sum(int(((r.fills.reason == "delisting") & (r.fills.units > 0.0)).sum()) for r in recordings)
    if recovery >= 1.0 or not shorts:
        return []
    return [
        f"{shorts:,} short{'' if shorts == 1 else 's'} of names that end closed at {recovery:.0%} of the last "
        "price (costs.delisting_recovery)"
    ]


def _funding(study: Study, recordings: Sequence[Recording]) -> list[str]:
    """Funding received at the constant rate of the configuration, where it is much of the gain."""
    if FUNDING_RATE in study.panel.exogenous:
        return []
    received = -sum(float(r.costs[:, COST_NAMES.index("funding")].sum()) for r in recordings)
    gain = sum(float(r.equity[-1] - r.equity[0]) for r in recordings)
    if not gain > 0.0 or received <= FUNDING_SHARE * gain:
        return []
    return [
        f"{received / gain:.0%} of the gain is funding received at the constant rate of the configuration, for want of "
        f"a column {FUNDING_RATE}"
    ]
