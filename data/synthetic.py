"""Seeded synthetic markets whose best policy is known in closed form.

Three laws, each with independent assets, simple returns of standard deviation `volatility`, and an open that
equals the close before it, so that a decision at the close of bar t, filled at the open of t+1, earns the
return of bar t+1:

- planted_signal: a visible sign s(t) that flips with probability q a bar; E[r(t+1) | t] = drift * s(t). With several
  rules each asset shows as many such signs, and s is another of them in each; the others mean nothing there.
- planted_memory: a pulse p(t) in {-1, 0, 1} is shown at bar t only, and adds drift * p(t) to the returns of
  bars t+k+1 to t+k+n.
- noise: independent returns; nothing can be earned.

Oracle, with cost c per unit of notional traded on each side. Let m(t) be the expected return of bar t+1 in
units of drift, known at the close of t (signal: m = s; memory: m(t) = p(t-k) + ... + p(t-k-n+1); noise: 0).
The oracle holds sign(m(t)).

*Where m(t) is not 0.* Compare it with any policy that holds x != sign(m) on some run of bars and returns to
the oracle afterwards. Per bar of the run it gives up drift * |m| * |sign(m) - x| >= drift * |sign(m) - x|.
What it can save in costs is at most c * |sign(m) - x| when the run begins and again when it ends. So each
deviation loses when drift > 2c: with drift 5 bps and c = 2 bps, following costs 10 bps less than staying on
the wrong side for one bar, which can save 8 at most (and 5 against 4 for standing aside). The config is
refused where drift <= 2c, because then waiting can pay.

*Where m(t) = 0* (memory, noise) nothing is earned, whatever is held. The oracle holds nothing: it is the best
of the policies that take no risk without pay. Keeping the position until the next pulse would save one
round trip in every second idle spell: 2 bps on a payout of n * drift = 160 bps, or 1.3 %, for an exposure 3.5
times as long, which costs about a third of the Sharpe ratio.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data.array_types import FloatArray
from data.calendars import ALWAYS_OPEN, check_bar_seconds
from data.schema import Panel, utc_instant

Int8Array = NDArray[np.int8]


@dataclass(frozen=True, kw_only=True)
class NoiseConfig:
    """Independent returns; also the fields that every synthetic market has.

    Parameters
    ----------
    seed : seed of the market; another seed is another market of the same law.
    num_bars, num_assets : shape of the panel.
    bar_seconds : length of a bar, seconds; must divide a day.
    start_utc : label of the first bar.
    volatility : standard deviation of the return of one bar.
    noise_features : columns `noise_00`, ... of standard normal numbers that mean nothing.
    cost_bps : cost per side that the oracle reckons with, basis points of notional.
    """

    seed: int
    num_bars: int
    num_assets: int
    bar_seconds: int
    start_utc: str
    volatility: float
    noise_features: int
    cost_bps: float

    def __post_init__(self) -> None:
        if self.num_bars < 2 or self.num_assets < 1:
            raise ValueError(
                f"A synthetic market of {self.num_bars} bars and {self.num_assets} assets was asked for; "
                "it needs at least 2 bars and 1 asset."
            )
        if self.seed < 0 or self.noise_features < 0 or self.cost_bps < 0.0:
            raise ValueError("seed, noise_features and cost_bps must not be negative.")
        if not 0.0 < self.volatility < 0.1:
            raise ValueError(f"volatility is {self.volatility}; it must lie between 0 and 0.1 a bar.")
        check_bar_seconds(ALWAYS_OPEN, self.bar_seconds)


@dataclass(frozen=True, kw_only=True)
class PlantedSignalConfig(NoiseConfig):
    """A visible, persistent sign that predicts the next return.

    Parameters
    ----------
    drift : expected return of a bar along the sign.
    flip_probability : probability that the sign turns, per bar.
    without_edge : symbols (SYN0, SYN1, ...) whose sign is shown as well and predicts nothing.
    rules : signs that each asset shows: the column ``signal``, or ``signal_00``, ``signal_01``, ... where there are
        several; asset k is paid by sign k modulo ``rules`` alone.
    """

    drift: float
    flip_probability: float
    without_edge: tuple[str, ...] = ()
    rules: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        check_drift(self.drift, self.cost_bps)
        if not 0.0 < self.flip_probability < 1.0:
            raise ValueError(f"flip_probability is {self.flip_probability}; it must lie between 0 and 1.")
        if self.rules < 1:
            raise ValueError(
                f"rules is {self.rules}; it must be at least 1, which is one rule for all symbols."
            )
        object.__setattr__(self, "without_edge", tuple(self.without_edge))
        for symbol in self.without_edge:
            if symbol not in symbol_names(self.num_assets):
                raise ValueError(
                    f"without_edge names {symbol!r}; the symbols are {', '.join(symbol_names(self.num_assets))}"
                )


@dataclass(frozen=True, kw_only=True)
class PlantedMemoryConfig(NoiseConfig):
    """Pulses that are shown once and paid later.

    Parameters
    ----------
    drift : expected return of a bar along each pulse that is being paid; overlapping pulses add up.
    pulse_probability : probability of a pulse, per bar.
    delay_bars : k; a pulse of bar t pays from bar t+k+1 on.
    pay_bars : n; bars for which it pays.
    """

    drift: float
    pulse_probability: float
    delay_bars: int
    pay_bars: int

    def __post_init__(self) -> None:
        super().__post_init__()
        check_drift(self.drift, self.cost_bps)
        if not 0.0 < self.pulse_probability < 1.0:
            raise ValueError(f"pulse_probability is {self.pulse_probability}; it must lie between 0 and 1.")
        if self.delay_bars < 0 or self.pay_bars < 1:
            raise ValueError(f"delay_bars {self.delay_bars} must be >= 0 and pay_bars {self.pay_bars} >= 1.")


SyntheticConfig = NoiseConfig | PlantedSignalConfig | PlantedMemoryConfig


@dataclass(frozen=True, kw_only=True)
class SyntheticMarket:
    """A panel, and (T, A) int8 the best position of each bar and asset, decided at its close: -1, 0 or 1."""

    panel: Panel
    oracle_direction: Int8Array


def symbol_names(num_assets: int) -> tuple[str, ...]:
    """Names of the symbols of a synthetic market."""
    return tuple(f"SYN{i}" for i in range(num_assets))


def check_drift(drift: float, cost_bps: float) -> None:
    """Raise ValueError unless drift > 2 * cost, below which following the sign is not always best."""
    if drift <= 2.0 * cost_bps * 1e-4:
        raise ValueError(
            f"drift {drift} is not above twice the cost per side ({cost_bps} bps), so the oracle is not "
            "known in closed form; raise the drift or lower cost_bps."
        )


def make_market(config: SyntheticConfig) -> SyntheticMarket:
    """Draw the market of this config; the same config gives the same market, bit for bit."""
    # One stream per part: more noise features or another volatility do not move the signal.
    plant, shocks, ranges, volumes, noise = (
        np.random.default_rng(s) for s in np.random.SeedSequence(config.seed).spawn(5)
    )
    shape = (config.num_bars, config.num_assets)
    exogenous: dict[str, FloatArray] = {}
    if isinstance(config, PlantedSignalConfig):
        signs = [persistent_sign(plant, shape, config.flip_probability) for _ in range(config.rules)]
        names = ["signal"] if config.rules == 1 else [f"signal_{rule:02d}" for rule in range(config.rules)]
        exogenous.update(zip(names, signs, strict=True))
        rule_A = np.arange(config.num_assets) % config.rules
        paid = np.stack(signs)[rule_A, :, np.arange(config.num_assets)].T
        pays = np.array([name not in config.without_edge for name in symbol_names(config.num_assets)])
        expected = config.drift * paid * pays
    elif isinstance(config, PlantedMemoryConfig):
        exogenous["pulse"] = random_pulses(plant, shape, config.pulse_probability)
        expected = config.drift * due_pulses(exogenous["pulse"], config.delay_bars, config.pay_bars)
    else:
        expected = np.zeros(shape)
    for i in range(config.noise_features):
        exogenous[f"noise_{i:02d}"] = noise.standard_normal(shape)
    returns = config.volatility * shocks.standard_normal(shape)
    returns[1:] += expected[:-1]
    panel = _panel_of_returns(config, np.clip(returns, -0.5, 0.5), exogenous, ranges, volumes)
    return SyntheticMarket(panel=panel, oracle_direction=np.sign(expected).astype(np.int8))


def persistent_sign(rng: np.random.Generator, shape: tuple[int, int], flip_probability: float) -> FloatArray:
    """Return (T, A) signs in {-1, 1} that start at random and turn with `flip_probability` a bar."""
    turns = np.where(rng.random(shape) < flip_probability, -1.0, 1.0)
    turns[0] = np.where(rng.random(shape[1]) < 0.5, -1.0, 1.0)
    return np.cumprod(turns, axis=0, dtype=np.float64)


def random_pulses(rng: np.random.Generator, shape: tuple[int, int], probability: float) -> FloatArray:
    """Return (T, A) values in {-1, 0, 1}, not zero with `probability`."""
    signs = np.where(rng.random(shape) < 0.5, -1.0, 1.0)
    return np.where(rng.random(shape) < probability, signs, 0.0)


def due_pulses(pulse: FloatArray, delay_bars: int, pay_bars: int) -> FloatArray:
    """Return (T, A) the sum of the pulses that pay in bar t+1: pulse(t-k) + ... + pulse(t-k-n+1)."""
    num_bars = len(pulse)
    total = np.zeros_like(pulse)
    for lag in range(delay_bars, min(delay_bars + pay_bars, num_bars)):
        total[lag:] += pulse[: num_bars - lag]
    return total


def _panel_of_returns(
    config: SyntheticConfig,
    returns: FloatArray,
    exogenous: dict[str, FloatArray],
    ranges: np.random.Generator,
    volumes: np.random.Generator,
) -> Panel:
    close = 100.0 * np.cumprod(1.0 + returns, axis=0, dtype=np.float64)
    opened = np.concatenate([np.full((1, config.num_assets), 100.0), close[:-1]])
    reach = 0.25 * config.volatility * np.abs(ranges.standard_normal((2, *close.shape)))
    step = np.timedelta64(config.bar_seconds, "s").astype("timedelta64[ns]")
    bar_utc = utc_instant(config.start_utc) + np.arange(config.num_bars) * step
    return Panel(
        symbols=symbol_names(config.num_assets),
        bar_utc=bar_utc,
        open=opened,
        high=np.maximum(opened, close) * (1.0 + reach[0]),
        low=np.minimum(opened, close) / (1.0 + reach[1]),
        close=close,
        volume=1e6 * np.exp(0.3 * volumes.standard_normal(close.shape)),
        tradable=np.ones(close.shape, dtype=bool),
        session=bar_utc.astype("datetime64[D]").astype(np.int32),
        calendar=ALWAYS_OPEN,
        bar_seconds=config.bar_seconds,
        exogenous=exogenous,
    )
