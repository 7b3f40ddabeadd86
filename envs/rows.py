"""What a step of the kernel works on: the state of the env rows, the market, and what each thread writes on.

Axes: E env row, B block of LANES rows, L lane, A asset slot, K column, N bars of the VaR window.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from envs.config import PortfolioEnvConfig
from envs.kernel import columns as c
from envs.kernel.lanes import LANES
from envs.kernel.observe import NUM_POSITION_FEATURES
from envs.kernel.parts import MarketArrays, Scratch
from envs.market import Market
from envs.rules import num_position_columns

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


def market_arrays(market: Market, instrument: NDArray[np.float64]) -> MarketArrays:
    """The market as the kernel takes it, with the facts (S, K) of its symbols that a config changes."""
    return MarketArrays(
        bars=market.bars,
        features=market.features.reshape(market.num_bars, -1),
        clock=_never_empty(market.clock),
        calendar=market.calendar,
        years=market.years,
        instrument=instrument,
    )


def _never_empty(clock: NDArray[np.float32]) -> NDArray[np.float32]:
    """`clock`, or a column that nobody reads: to Numba an array without entries is of another type."""
    return clock if clock.size else np.broadcast_to(np.zeros((1, 1), np.float32), (len(clock), 1))
