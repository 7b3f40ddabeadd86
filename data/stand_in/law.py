"""The law of a stand-in market: its symbols, what moves them together, tails, clustering, hours and volume."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from data.calendars import check_bar_seconds, check_calendar
from data.context_symbols import ContextSymbol

PREFIX = "SYN_"
"""How the names of all its symbols begin, so that no table shows a made SPY as SPY."""


@dataclass(frozen=True, kw_only=True)
class SymbolLaw:
    """What one symbol is like.

    Parameters
    ----------
    price : of the first open, quote currency; at least 20 ticks.
    tick : price step, quote currency.
    volatility : annual standard deviation of its returns.
    beta : return per unit of the market's return.
    group, group_beta : a factor of `StandInConfig.groups` that it shares with others, and its return per unit of it;
        None and 0 for none.
    daily_volume : units traded in a full session, on average about.
    """

    price: float
    tick: float
    volatility: float
    beta: float
    group: str | None
    group_beta: float
    daily_volume: float

    def __post_init__(self) -> None:
        for name in ("price", "tick", "volatility", "daily_volume"):
            _above(f"a symbol's {name}", getattr(self, name), 0.0)
        if self.price < 20.0 * self.tick:
            raise ValueError(
                f"a symbol's price of {self.price:g} is below 20 ticks of {self.tick:g}; raise the price or take a "
                "finer tick"
            )
        if (self.group is None) != (self.group_beta == 0.0):
            raise ValueError(
                f"a symbol has group {self.group} and group_beta {self.group_beta:g}; give both, or null and 0"
            )


@dataclass(frozen=True, kw_only=True)
class ActiveHours:
    """The busy part of each day, where it is not the whole session.

    Parameters
    ----------
    open, close : local times, such as "09:30"; open before close.
    timezone : IANA zone of these times.
    """

    open: str
    close: str
    timezone: str

    def __post_init__(self) -> None:
        if not self.open_minute < self.close_minute:
            raise ValueError(
                f"active hours from {self.open} to {self.close} are none; let open come before close"
            )

    @property
    def open_minute(self) -> int:
        """Minutes from midnight."""
        return _minutes(self.open)

    @property
    def close_minute(self) -> int:
        """Minutes from midnight."""
        return _minutes(self.close)


@dataclass(frozen=True, kw_only=True)
class DayShape:
    """A level over the active hours, x from 0 at their open to 1 at their close.

    The level is middle + open exp(-decay x) + close exp(-decay (1 - x)) inside, and `outside` elsewhere; only
    ratios matter, as a session's levels are scaled to add up.
    """

    middle: float
    open: float
    close: float
    decay: float
    outside: float

    def __post_init__(self) -> None:
        _above("a day shape's middle", self.middle, 0.0)
        for name in ("open", "close", "decay", "outside"):
            _at_least(f"a day shape's {name}", getattr(self, name), 0.0)


@dataclass(frozen=True, kw_only=True)
class SpreadEdge:
    """A planted edge, for tests: the log ratio of two symbols' prices gets a part that reverts to 0.

    That part is an AR(1) with standard deviation `size`, of which half is in each leg.

    Parameters
    ----------
    pair : the two symbols, without prefix; a positive spread means that the first is dear.
    size : standard deviation of the reverting part, log units.
    half_life_bars : bars in which half of it is expected to go.
    shown : True adds a column `spread` (the part itself, from each leg's side); False leaves it to the prices.
    """

    pair: tuple[str, str]
    size: float
    half_life_bars: float
    shown: bool

    def __post_init__(self) -> None:
        object.__setattr__(self, "pair", tuple(self.pair))
        _above("the edge's size", self.size, 0.0)
        _above("the edge's half_life_bars", self.half_life_bars, 0.0)


@dataclass(frozen=True, kw_only=True)
class StandInConfig:
    """A market drawn from stylised facts; `conf/data/stand_in.yaml` states the source of each number.

    Parameters
    ----------
    seed : another seed is another market of the same law.
    calendar, bar_seconds : of `data.calendars`; bars lie on the calendar's own grid.
    start_utc, num_bars : first instant at which a bar may begin, and how many bars.
    symbols : name -> law; in the panel a name begins with `PREFIX`.
    market_volatility : annual, of the market factor.
    groups : name -> annual volatility of a factor beside the market.
    drift : annual expected return of the market factor; 0 leaves nothing to earn by holding.
    degrees_of_freedom : of Student t innovations, above 2.
    garch_news, garch_memory : alpha and beta of a GARCH(1,1) over sessions, for each factor; their sum below 1.
    burst_size, burst_half_life_minutes : standard deviation of log volatility inside sessions (AR(1)), and its memory.
    overnight_share : part of a day's variance between close and open, 0 to 1 (exclusive).
    active_hours : None for the whole session.
    volatility_shape, volume_shape : over the active hours.
    volume_elasticity : volume goes with (volatility of the bar, relative to its hour) to this power.
    volume_noise : standard deviation of log volume beyond that.
    funding_sd : of a funding rate per 8 hours, drawn anew each time around 0 (column `funding_rate`); 0 = no column.
    edge : None, or a planted edge.
    context_symbols : name -> symbol that is read beside the traded ones; no part of the law.
    """

    seed: int
    calendar: str
    bar_seconds: int
    start_utc: str
    num_bars: int
    symbols: Mapping[str, SymbolLaw]
    market_volatility: float
    groups: Mapping[str, float]
    drift: float
    degrees_of_freedom: float
    garch_news: float
    garch_memory: float
    burst_size: float
    burst_half_life_minutes: float
    overnight_share: float
    active_hours: ActiveHours | None
    volatility_shape: DayShape
    volume_shape: DayShape
    volume_elasticity: float
    volume_noise: float
    funding_sd: float
    edge: SpreadEdge | None
    context_symbols: Mapping[str, ContextSymbol] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.seed < 0 or self.num_bars < 2:
            raise ValueError(f"seed is {self.seed} and num_bars {self.num_bars}; at least 0 and 2 are needed")
        check_calendar(self.calendar)
        check_bar_seconds(self.calendar, self.bar_seconds)
        self._check_numbers()
        self._check_symbols()

    def _check_numbers(self) -> None:
        _above("degrees_of_freedom", self.degrees_of_freedom, 2.0)
        _above("market_volatility", self.market_volatility, 0.0)
        _above("burst_half_life_minutes", self.burst_half_life_minutes, 0.0)
        for name in (
            "garch_news",
            "garch_memory",
            "burst_size",
            "volume_elasticity",
            "volume_noise",
            "funding_sd",
        ):
            _at_least(name, getattr(self, name), 0.0)
        if not self.garch_news + self.garch_memory < 1.0:
            raise ValueError(
                f"garch_news {self.garch_news:g} and garch_memory {self.garch_memory:g} add up to 1 or more, which "
                "has no mean variance; lower one of them"
            )
        if not 0.0 <= self.overnight_share < 1.0:
            raise ValueError(f"overnight_share is {self.overnight_share:g}; it must lie in [0, 1)")
        if not math.isfinite(self.drift):
            raise ValueError(f"drift is {self.drift}; it must be a number, 0 for none")
        for name, volatility in self.groups.items():
            _above(f"groups.{name}", volatility, 0.0)

    def _check_symbols(self) -> None:
        if not self.symbols:
            raise ValueError("symbols is empty; name at least one, with its law")
        for name, law in self.symbols.items():
            if not re.fullmatch(r"[A-Za-z0-9]+", name):
                raise ValueError(f"symbols: {name!r} is no name; use letters and digits")
            if law.group is not None and law.group not in self.groups:
                raise ValueError(
                    f"symbols.{name}.group is {law.group!r}; groups has {', '.join(self.groups) or 'none'}"
                )
            self.own_volatility(name)
        if self.edge is not None and not (
            len(set(self.edge.pair)) == 2 and set(self.edge.pair) <= set(self.symbols)
        ):
            raise ValueError(f"edge.pair is {list(self.edge.pair)}; name two of {', '.join(self.symbols)}")

    @property
    def summary(self) -> str:
        """One line that tells this law and draw from every other; equal for equal configs."""
        drawn = {key: value for key, value in asdict(self).items() if key != "context_symbols"}
        law = hashlib.sha256(repr(sorted(drawn.items())).encode()).hexdigest()[:12]
        return f"seed={self.seed}, start_utc={self.start_utc}, symbols={' '.join(self.symbols)}, law={law}"

    def own_volatility(self, symbol: str) -> float:
        """Annual volatility of a symbol that its factors do not explain.

        Raises
        ------
        ValueError
            If its betas explain more than all of it.
        """
        law = self.symbols[symbol]
        shared = (law.beta * self.market_volatility) ** 2
        if law.group is not None:
            shared += (law.group_beta * self.groups[law.group]) ** 2
        own = law.volatility**2 - shared
        if own < 0.0:
            raise ValueError(
                f"symbols.{symbol}: its factors have a volatility of {math.sqrt(shared):.3g} a year, above its own "
                f"{law.volatility:.3g}; lower beta or group_beta, or raise volatility"
            )
        return math.sqrt(own)


def _minutes(clock: str) -> int:
    found = re.fullmatch(r"([01]\d|2[0-4]):([0-5]\d)", clock)
    if found is None or int(found[1]) * 60 + int(found[2]) > 24 * 60:
        raise ValueError(f"{clock!r} is no time of a day; write 09:30")
    return int(found[1]) * 60 + int(found[2])


def _above(name: str, value: float, low: float) -> None:
    if not (math.isfinite(value) and value > low):
        raise ValueError(f"{name} is {value}; it must be above {low:g}")


def _at_least(name: str, value: float, low: float) -> None:
    if not (math.isfinite(value) and value >= low):
        raise ValueError(f"{name} is {value}; it must be at least {low:g}")
