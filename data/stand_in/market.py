"""The panel of a stand-in market.

Axes: T time (bars), A asset.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from data.array_types import FloatArray
from data.calendars import DAY_SECONDS, periods_per_year
from data.charged_columns import FUNDING_RATE
from data.schema import Panel
from data.stand_in.hours import Hours, trading_hours
from data.stand_in.law import PREFIX, SpreadEdge, StandInConfig
from data.stand_in.shocks import FactorShocks, draw_factor, stationary_ar1
from data.stand_in.ticks import tick_prices, walk_ticks

MAX_RETURN = 0.5
"""A return is cut to this size on both sides, which keeps its mean."""
FUNDING_SECONDS = 8 * 3600


def make_stand_in(config: StandInConfig) -> Panel:
    """Draw the market of this config; the same config gives the same market, bit for bit.

    Another symbol in the config does not change those that were there, nor do more bars change earlier ones.

    Raises
    ------
    ValueError
        If a price falls to one tick, below which there is none.
    """
    hours = trading_hours(config)
    market = draw_factor(config, hours, _stream(config, "market"))
    groups = {name: draw_factor(config, hours, _stream(config, f"group {name}")) for name in config.groups}
    spread_T = None if config.edge is None else _spread(config, config.edge, len(hours.bar_utc))
    drawn = [_draw_symbol(config, hours, name, market, groups, spread_T) for name in config.symbols]
    bars = np.stack([bars for bars, _ in drawn], axis=1)
    return Panel(
        symbols=tuple(f"{PREFIX}{name}" for name in config.symbols),
        bar_utc=hours.bar_utc,
        open=bars[..., 0],
        high=bars[..., 1],
        low=bars[..., 2],
        close=bars[..., 3],
        volume=np.stack([volume for _, volume in drawn], axis=1),
        tradable=np.ones(bars.shape[:2], dtype=bool),
        session=hours.session,
        calendar=config.calendar,
        bar_seconds=config.bar_seconds,
        exogenous=_columns(config, hours, spread_T),
    )


def _stream(config: StandInConfig, name: str) -> np.random.SeedSequence:
    return np.random.SeedSequence([config.seed, zlib.crc32(name.encode())])


def _draw_symbol(
    config: StandInConfig,
    hours: Hours,
    name: str,
    market: FactorShocks,
    groups: Mapping[str, FactorShocks],
    spread_T: FloatArray | None,
) -> tuple[FloatArray, FloatArray]:
    """(T, 4) open, high, low and close, and (T,) volume of one symbol."""
    law = config.symbols[name]
    draws = np.random.default_rng(_stream(config, f"ticks {name}"))
    days = periods_per_year(config.calendar, DAY_SECONDS)
    parts = [(law.beta * config.market_volatility, market)]
    if law.group is not None:
        parts.append((law.group_beta * config.groups[law.group], groups[law.group]))
    own = draw_factor(config, hours, _stream(config, f"symbol {name}"))
    parts.append((config.own_volatility(name), own))
    scaled = [(size / np.sqrt(days), factor) for size, factor in parts]
    move = np.sum([size * factor.move for size, factor in scaled], axis=0)
    gap = np.sum([size * factor.gap for size, factor in scaled], axis=0)
    variance = np.sum([size**2 * factor.variance for size, factor in scaled], axis=0)
    # Volume follows the volatility of the bar relative to its hour, so it is taken before the edge is added.
    usual = law.volatility**2 / days * hours.variance_share
    relative = np.sqrt(np.divide(variance, usual, out=np.ones_like(variance), where=usual > 0.0))
    move += config.drift * law.beta / days * hours.variance_share / (1.0 - config.overnight_share)
    if spread_T is not None and config.edge is not None and name in config.edge.pair:
        move, variance = _with_edge(config.edge, name, spread_T, move, variance)
    bars = np.empty((len(move), 4), dtype=np.int64)
    held = walk_ticks(
        round(law.price / law.tick),
        np.clip(gap, -MAX_RETURN, MAX_RETURN),
        np.clip(move, -MAX_RETURN, MAX_RETURN),
        variance,
        draws.random((len(move), 4)),
        bars,
    )
    if held:
        raise ValueError(
            f"the price of {PREFIX}{name} fell to one tick of {law.tick:g}; raise its price, lower its volatility, ask "
            "for fewer bars or take another seed"
        )
    return tick_prices(bars, law.tick), _volume(config, hours, name, relative)


def _volume(config: StandInConfig, hours: Hours, name: str, relative_T: FloatArray) -> FloatArray:
    noise = np.random.default_rng(_stream(config, f"volume {name}")).standard_normal(len(relative_T))
    spread = np.exp(config.volume_noise * noise - 0.5 * config.volume_noise**2)
    usual = config.symbols[name].daily_volume * hours.volume_share
    return np.floor(usual * relative_T**config.volume_elasticity * spread) + 1.0


def _spread(config: StandInConfig, edge: SpreadEdge, count: int) -> FloatArray:
    """(T,) the part of the pair's log ratio that reverts."""
    rng = np.random.default_rng(_stream(config, "edge"))
    return stationary_ar1(rng, count, kept=0.5 ** (1.0 / edge.half_life_bars), size=edge.size)


def _with_edge(
    edge: SpreadEdge, name: str, spread_T: FloatArray, move_T: FloatArray, variance_T: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """A leg's moves and their variances with half of the spread's changes; its drift over a bar is no variance."""
    side = 0.5 if name == edge.pair[0] else -0.5
    noise_variance = edge.size**2 * (1.0 - 0.25 ** (1.0 / edge.half_life_bars))
    change = np.diff(spread_T, prepend=spread_T[:1])
    return move_T + side * change, variance_T + 0.25 * noise_variance


def _columns(
    config: StandInConfig, hours: Hours, spread_T: FloatArray | None
) -> dict[str, NDArray[np.float64]]:
    """What is known beside prices: the planted spread where it is shown, and funding rates."""
    columns, names = {}, list(config.symbols)
    if spread_T is not None and config.edge is not None and config.edge.shown:
        shown = np.zeros((len(spread_T), len(names)))
        for side, name in zip((1.0, -1.0), config.edge.pair):
            shown[:, names.index(name)] = side * spread_T
        columns["spread"] = shown
    if config.funding_sd > 0.0:
        due = hours.bar_utc.astype("datetime64[s]").astype(np.int64) // FUNDING_SECONDS
        period = due - due[0]
        rates = [
            np.random.default_rng(_stream(config, f"funding {name}")).standard_normal(int(period[-1]) + 1)
            for name in names
        ]
        columns[FUNDING_RATE] = config.funding_sd * np.stack(rates, axis=1)[period]
    return columns
