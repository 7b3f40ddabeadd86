"""State of the env rows as arrays, and the checks that a market, a config and windows fit together.

Axes: E env row, A asset slot, K column, N bars of the VaR window, W window.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from envs.config import PortfolioEnvConfig
from envs.episodes import Window
from envs.kernel import columns as c
from envs.market import Market
from envs.rules import needs_context, num_position_columns


@dataclass(frozen=True, kw_only=True, eq=False)
class RowState:
    """Struct-of-arrays state, columns named in envs.kernel.columns.

    Attributes
    ----------
    account : (E, K) float64. counter : (E, K) int32. position : (E, A, K) float64. slot : (E, A, K) int32.
    below : (E, N) uint8, ring: 1 where a net return of the VaR window lies below minus the limit, N = 0 without that
        limit. flow : (E, K) float64, the last bar.
    """

    account: NDArray[np.float64]
    counter: NDArray[np.int32]
    position: NDArray[np.float64]
    slot: NDArray[np.int32]
    below: NDArray[np.uint8]
    flow: NDArray[np.float64]

    @classmethod
    def allocate(
        cls, config: PortfolioEnvConfig, market: Market, num_envs: int, num_assets: int, first_stream: int
    ) -> RowState:
        """Allocate zeroed rows; row e draws from stream `first_stream + e`."""
        random = config.episode.randomisation
        mapped = random is not None and random.tickers
        counter = np.zeros((num_envs, c.NUM_COUNTER_COLUMNS), dtype=np.int32)
        counter[:, c.STREAM] = first_stream + np.arange(num_envs)
        counter[:, c.EPISODE] = -1
        return cls(
            account=np.zeros((num_envs, c.NUM_ACCOUNT_COLUMNS)),
            counter=counter,
            position=np.zeros((num_envs, num_assets, num_position_columns(config))),
            slot=np.zeros((num_envs, num_assets, 2 if mapped else 1), dtype=np.int32),
            below=np.zeros((num_envs, 0 if config.risk.max_var is None else config.risk.var_bars), np.uint8),
            flow=np.zeros((num_envs, c.NUM_FLOW_COLUMNS)),
        )

    def arrays(self) -> dict[str, NDArray]:
        """Name -> array, for saving and restoring."""
        names = ("account", "counter", "position", "slot", "below", "flow")
        return {name: getattr(self, name) for name in names}


def check_market(market: Market, config: PortfolioEnvConfig, num_envs: int) -> None:
    """Raise ValueError when the config asks for what the market does not have."""
    if num_envs < 1:
        raise ValueError(f"num_envs is {num_envs}; an env needs at least 1 row")
    asked = config.episode.num_assets
    if asked is not None and asked > market.num_symbols:
        raise ValueError(f"episode.num_assets is {asked} but the market has {market.num_symbols} symbols")
    funded = bool((market.instrument[:, c.FUNDING_HOURS] > 0.0).any())
    needs = needs_context(config, funded=funded)
    if needs and not market.has_context:
        raise ValueError(
            f"{', '.join(needs)} need ATR, volatility, volume or funding context, which this market was built "
            "without; pass context=ContextConfig(...) to Market.build"
        )
    if config.risk.flat_at_session_end == "last_open" and market.bars_per_session < 3:
        raise ValueError(
            f"risk.flat_at_session_end is 'last_open' but sessions have {market.bars_per_session:g} bars, so that "
            "no position could ever be held; use bars shorter than the session, or 'never'"
        )


def _session_windows(market: Market, windows: Sequence[Window]) -> list[Window]:
    result = []
    for window in windows:
        session = market.session[window.start_bar : window.stop_bar]
        starts = window.start_bar + np.flatnonzero(np.diff(session, prepend=-1))
        stops = np.append(starts[1:], window.stop_bar)
        result += [
            Window(start_bar=int(a), stop_bar=int(b)) for a, b in zip(starts, stops, strict=True) if b > a
        ]
    return result


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
