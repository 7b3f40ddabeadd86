"""State of the env rows as arrays, and the checks that a market, a config and windows fit together.

Axes: E env row, B block of LANES rows, L lane, A asset slot, K column, N bars of the VaR window, W window.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from data.equal_runs import run_starts
from data.errors import nearest_name
from envs.config import PortfolioEnvConfig
from envs.episodes import Window
from envs.kernel import columns as c
from envs.kernel.lanes import LANES
from envs.kernel.observe import NUM_POSITION_FEATURES
from envs.kernel.parts import Scratch
from envs.market import Market
from envs.rules import WINDOWS, num_position_columns, windows_read

CACHE_LINE_BYTES = 64


@dataclass(frozen=True, kw_only=True, eq=False)
class RowState:
    """State of E env rows in blocks of LANES, a column's LANES numbers side by side, as the kernel treats them.

    Columns are named in envs.kernel.columns; the last block may be longer than the rows.

    Attributes
    ----------
    account_BKL, flow_BKL : float64; flow is what happened in the last bar. counter_BKL : int32.
    position_BAKL : float64. slot_BAKL : int32.
    below : (E, N) uint8, ring: 1 where a net return of the VaR window lies below minus the limit, N = 0 without that
        limit.
    """

    num_envs: int
    account_BKL: NDArray[np.float64]
    counter_BKL: NDArray[np.int32]
    position_BAKL: NDArray[np.float64]
    slot_BAKL: NDArray[np.int32]
    below: NDArray[np.uint8]
    flow_BKL: NDArray[np.float64]

    @classmethod
    def allocate(
        cls, config: PortfolioEnvConfig, market: Market, num_envs: int, num_assets: int, first_stream: int
    ) -> RowState:
        """Allocate zeroed rows; row e draws from stream `first_stream + e`."""
        B, A, L = num_blocks(num_envs), num_assets, LANES
        random = config.episode.randomisation
        mapped = random is not None and random.tickers
        columns = 3 if config.risk.max_entries_per_symbol is not None else (2 if mapped else 1)
        state = cls(
            num_envs=num_envs,
            account_BKL=line_zeros(B, c.NUM_ACCOUNT_COLUMNS, L),
            counter_BKL=line_zeros(B, c.NUM_COUNTER_COLUMNS, L, dtype=np.int32),
            position_BAKL=line_zeros(B, A, num_position_columns(config), L),
            slot_BAKL=line_zeros(B, A, columns, L, dtype=np.int32),
            below=np.zeros((num_envs, 0 if config.risk.max_var is None else config.risk.var_bars), np.uint8),
            flow_BKL=line_zeros(B, c.NUM_FLOW_COLUMNS, L),
        )
        state.put("counter", c.STREAM, first_stream + np.arange(num_envs))
        state.put("counter", c.EPISODE, -1)
        state.put("account", c.COST_SCALE, 1.0)
        if columns > c.SYMBOL:
            state.slot_BAKL[:, :, c.SYMBOL] = np.arange(A, dtype=np.int32)[:, None]
        return state

    def _by_row(self, array: NDArray) -> NDArray:
        """(B, ..., L) -> (E, ...), a copy that cannot be written to: a change of it would be lost."""
        rows = np.array(np.moveaxis(array, -1, 1), order="C").reshape(-1, *array.shape[1:-1])[: self.num_envs]
        rows.flags.writeable = False
        return rows

    @property
    def account(self) -> NDArray[np.float64]:
        """(E, K), a copy."""
        return self._by_row(self.account_BKL)

    @property
    def counter(self) -> NDArray[np.int32]:
        """(E, K), a copy."""
        return self._by_row(self.counter_BKL)

    @property
    def position(self) -> NDArray[np.float64]:
        """(E, A, K), a copy."""
        return self._by_row(self.position_BAKL)

    @property
    def slot(self) -> NDArray[np.int32]:
        """(E, A, K), a copy."""
        return self._by_row(self.slot_BAKL)

    @property
    def flow(self) -> NDArray[np.float64]:
        """(E, K), a copy."""
        return self._by_row(self.flow_BKL)

    def put(self, name: str, column: int, values: ArrayLike, rows: ArrayLike | None = None) -> None:
        """Set a column of `account`, `counter` or `flow` to `values`, of all rows or of `rows` (indices)."""
        which = np.arange(self.num_envs) if rows is None else np.asarray(rows)
        getattr(self, f"{name}_BKL")[which // LANES, column, which % LANES] = values

    def arrays(self) -> dict[str, NDArray]:
        """Name -> array with E rows, a copy, for saving."""
        names = ("account", "counter", "position", "slot", "flow")
        return {**{name: getattr(self, name) for name in names}, "below": self.below.copy()}

    def restore(self, arrays: Mapping[str, NDArray]) -> None:
        """Put back what `arrays` returned; ValueError if it is of other rows or another config."""
        for name, value in self.arrays().items():
            saved = arrays[name]
            if saved.shape != value.shape:
                raise ValueError(
                    f"saved {name} is {saved.shape}, this env's is {value.shape}; build the same env"
                )
        which = np.arange(self.num_envs)
        for name in ("account", "counter", "flow"):
            getattr(self, f"{name}_BKL")[which // LANES, :, which % LANES] = arrays[name]
        for name in ("position", "slot"):
            getattr(self, f"{name}_BAKL")[which // LANES, :, :, which % LANES] = arrays[name]
        self.below[...] = arrays["below"]


def line_zeros(*shape: int, dtype: DTypeLike = np.float64) -> NDArray:
    """Zeros that begin with a line of the cache, so that a column's LANES numbers lie in one and not across two.

    NumPy begins an array at any multiple of 16 bytes.
    """
    size = math.prod(shape) * np.dtype(dtype).itemsize
    room = np.zeros(size + CACHE_LINE_BYTES, np.uint8)
    first = -room.ctypes.data % CACHE_LINE_BYTES
    return room[first : first + size].view(dtype).reshape(shape)


def num_blocks(num_envs: int) -> int:
    """Blocks of LANES rows that hold `num_envs` rows."""
    return -(-num_envs // LANES)


def thread_bounds(num_envs: int, num_threads: int) -> NDArray[np.int64]:
    """Rows at which threads begin and end: whole blocks of LANES for each."""
    blocks = num_blocks(num_envs)
    bounds = np.linspace(0, blocks, min(max(num_threads, 1), blocks) + 1).astype(np.int64)
    return np.minimum(bounds * LANES, num_envs)


def scratch_arrays(
    instrument: NDArray[np.float64],
    num_bar_columns: int,
    num_assets: int,
    observation_size: int,
    num_account: int,
    var_bars: int,
) -> Scratch:
    """Allocate what one thread of the kernel writes on.

    Slots hold the first symbols of `instrument` (S, K) in order; rows that draw theirs write over that. num_account :
    columns of the observation's account block.
    """
    A, L = num_assets, LANES
    symbols = np.repeat(np.arange(A), L).reshape(A, L)
    facts = line_zeros(A, c.NUM_FACT_COLUMNS, L)
    facts[:, c.INSTRUMENT :] = instrument[:A, :, None]
    logged = A * max(c.NUM_DECISION_COLUMNS, c.NUM_PLACES * c.NUM_FILL_COLUMNS)
    return Scratch(
        facts=facts,
        symbols=symbols,
        shifts=symbols * num_bar_columns,
        places=np.zeros((c.NUM_PLACE_ROWS, L), np.int64),
        seen=line_zeros(NUM_POSITION_FEATURES * A + num_account, L, dtype=np.float32),
        waste=np.zeros((1, logged)),
        waste_32=np.zeros((1, observation_size), np.float32),
        waste_8=np.zeros((1, var_bars), np.uint8),
    )


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
