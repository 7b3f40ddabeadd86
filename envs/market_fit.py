"""Whether a market has what a config asks of it, and where in it episodes may run.

Axes: W window.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from data.equal_runs import run_starts
from data.errors import nearest_name
from envs.config import PortfolioEnvConfig
from envs.episodes import Window
from envs.kernel import columns as c
from envs.market import Market
from envs.rules import WINDOWS, windows_read


def check_market(market: Market, config: PortfolioEnvConfig, num_envs: int) -> None:
    """Raise ValueError when the config asks for what the market does not have."""
    if num_envs < 1:
        raise ValueError(f"num_envs is {num_envs}; an env needs at least 1 row")
    asked = config.episode.num_assets
    if asked is not None and asked > market.num_symbols:
        raise ValueError(f"episode.num_assets is {asked} but the market has {market.num_symbols} symbols")
    _check_named(market, config)
    without = [s for s, row in zip(market.symbols, market.instrument, strict=True) if row[c.SECTOR] < 0.0]
    if config.risk.caps_sectors and without:
        raise ValueError(
            f"a sector cap is on, and no sector is given for {', '.join(without)}; set "
            f"instruments.symbols.{without[0]}.sector, or null risk.max_sector_exposure and max_sector_net_exposure"
        )
    _check_context(market, config)
    if config.risk.flat_at_session_end == "last_open" and market.bars_per_session < 3:
        raise ValueError(
            f"risk.flat_at_session_end is 'last_open' but sessions have {market.bars_per_session:g} bars, so that "
            "no position could ever be held; use bars shorter than the session, or 'never'"
        )


def _check_named(market: Market, config: PortfolioEnvConfig) -> None:
    """Raise ValueError when a limit names a symbol that is not traded here: it would limit nothing."""
    for symbol, key in config.risk.named_symbols.items():
        if symbol not in market.symbols:
            raise ValueError(
                f"{key} names {symbol}, which the market does not have"
                f"{nearest_name(symbol, list(market.symbols))}; it has {', '.join(market.symbols)}"
            )


def _check_context(market: Market, config: PortfolioEnvConfig) -> None:
    """Raise ValueError when a size, barrier or cost reads a window that the market was built without."""
    read = windows_read(config)
    missing = [name for column, name in WINDOWS.items() if name in read and not market.keeps(column)]
    needs = list(dict.fromkeys(key for name in missing for key in read[name]))
    funded = bool((market.instrument[:, c.FUNDING_HOURS] > 0.0).any())
    if config.costs.funding and funded and not market.has_context:
        needs.append("costs.funding")
    if needs:
        windows = f" with {', '.join(missing)}" if missing else ""
        raise ValueError(
            f"{', '.join(needs)} need ATR, volatility, volume or funding context, which this market was built "
            f"without; pass context=ContextConfig(...){windows} to Market.build"
        )


def episode_windows(
    market: Market, config: PortfolioEnvConfig, windows: Sequence[Window]
) -> NDArray[np.int64]:
    """Windows as the kernel's array (W, 3): start bar, stop bar, possible starts accumulated over windows.

    Raises
    ------
    ValueError
        If a window leaves the market, begins before features and warm-up are known, or is shorter than an episode.
    """
    episode = config.episode
    if not windows:
        raise ValueError("no window was given; an env needs at least one")
    first = market.first_bar + episode.warmup_bars + 1
    for window in windows:
        if window.stop_bar > market.num_bars:
            raise ValueError(
                f"window ends at bar {window.stop_bar} but the market has {market.num_bars} bars"
            )
        if window.start_bar < first:
            raise ValueError(
                f"window starts at bar {window.start_bar}, but features look back {market.first_bar} bars and "
                f"episode.warmup_bars is {episode.warmup_bars}: start at bar {first} or later"
            )
        if episode.kind == "random" and window.num_bars < episode.bars:
            raise ValueError(
                f"window [{window.start_bar}, {window.stop_bar}) has {window.num_bars} bars, fewer than "
                f"episode.bars = {episode.bars}; shorten the episode or widen the window"
            )
    parts = _session_windows(market, windows) if episode.kind == "session" else list(windows)
    starts = [part.num_bars - episode.bars + 1 if episode.kind == "random" else 1 for part in parts]
    rows = [[part.start_bar, part.stop_bar] for part in parts]
    return np.column_stack([np.array(rows, dtype=np.int64), np.cumsum(starts)]).astype(np.int64)


def _session_windows(market: Market, windows: Sequence[Window]) -> list[Window]:
    result = []
    for window in windows:
        session = market.session[window.start_bar : window.stop_bar]
        starts = window.start_bar + run_starts(session)
        stops = np.append(starts[1:], window.stop_bar)
        result += [
            Window(start_bar=int(a), stop_bar=int(b)) for a, b in zip(starts, stops, strict=True) if b > a
        ]
    return result
