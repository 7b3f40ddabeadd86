"""Episodes: where an env row starts and stops, and what is drawn anew at each reset."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from envs.validation import require_choice, require_non_negative, require_range


@dataclass(frozen=True, kw_only=True)
class Window:
    """Bars [start_bar, stop_bar) of the panel whose returns may be earned; first decision at close start_bar - 1."""

    start_bar: int
    stop_bar: int

    def __post_init__(self) -> None:
        if not 1 <= self.start_bar < self.stop_bar:
            raise ValueError(
                f"window [{self.start_bar}, {self.stop_bar}) is not usable; need 1 <= start_bar < stop_bar, because "
                "the first decision is taken at the close of start_bar - 1"
            )

    @property
    def num_bars(self) -> int:
        """Number of returns that can be earned."""
        return self.stop_bar - self.start_bar


@dataclass(frozen=True, kw_only=True)
class RandomisationConfig:
    """Domain randomisation, drawn per env row at each reset; off in every evaluation.

    Attributes
    ----------
    tickers : each row trades `num_assets` symbols drawn without replacement from the market's; else the first ones.
    cost_low, cost_high : all costs are multiplied by a uniform draw from this range.
    max_extra_latency_bars : uniform integer in [0, max] added to `costs.latency_bars`.
    """

    tickers: bool
    cost_low: float
    cost_high: float
    max_extra_latency_bars: int

    def __post_init__(self) -> None:
        require_non_negative("episode.randomisation", "cost_low", self.cost_low)
        if not self.cost_high >= self.cost_low:
            raise ValueError(
                f"episode.randomisation.cost_high {self.cost_high!r} is below cost_low {self.cost_low!r}; swap them"
            )
        require_range("episode.randomisation", "max_extra_latency_bars", self.max_extra_latency_bars, 0, 64)


@dataclass(frozen=True, kw_only=True)
class EpisodeConfig:
    """Shape of an episode.

    Attributes
    ----------
    kind : "random": `bars` bars at a random start inside a randomly drawn window; "whole": row e runs window
        e modulo their number from end to end; "session": a session drawn at random inside the windows.
    bars : length of a random episode.
    warmup_bars : bars observed before the first decision, trading blocked (recurrent state warm-up).
    liquidate_at_end : close positions at the last close, with costs, when the window ends ("window_end").
    num_assets : assets traded by each row; None for all symbols of the market.
    randomisation : None switches it off.
    """

    kind: Literal["random", "whole", "session"]
    bars: int
    warmup_bars: int
    liquidate_at_end: bool
    num_assets: int | None
    randomisation: RandomisationConfig | None

    def __post_init__(self) -> None:
        require_choice("episode", "kind", self.kind, ("random", "whole", "session"))
        require_range("episode", "bars", self.bars, 1, 1e12)
        require_range("episode", "warmup_bars", self.warmup_bars, 0, 1e12)
        if self.num_assets is not None:
            require_range("episode", "num_assets", self.num_assets, 1, 1e9)
