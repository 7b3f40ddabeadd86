"""Returns of one factor: fat tails, volatility that clusters over sessions and comes in bursts inside them.

A bar's return over the factor's daily volatility is sqrt(w h) b sqrt(m) n, with

    n  standard normal
    m  (v - 2) / chi-squared(v): sqrt(m) n is Student t with v degrees of freedom and variance 1
    b  exp(x - s^2), x an AR(1) of standard deviation s: E[b^2] = 1
    w  the bar's share of a full day's variance (`data.stand_in.hours`)
    h  GARCH(1,1) over sessions (Bollerslev 1986): h' = 1 - alpha - beta + (alpha z^2 + beta) h, with z the sum over
       the session of sqrt(w) b sqrt(m) n, the gap before it included; E[h] = 1

Given m, b and h a return is normal, which is why its path inside the bar can be that of a Brownian motion.

Axes: T time (bars), S session.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data.array_types import FloatArray
from data.stand_in.hours import Hours
from data.stand_in.law import StandInConfig


@dataclass(frozen=True, kw_only=True)
class FactorShocks:
    """One factor's returns in units of its daily volatility.

    Parameters
    ----------
    move, variance : (T,) return inside the bar, and its variance given everything but the last normal draw.
    gap : (T,) return between the last close and the bar's open; 0 inside sessions and before the first bar.
    """

    move: FloatArray
    variance: FloatArray
    gap: FloatArray


def draw_factor(config: StandInConfig, hours: Hours, seed: np.random.SeedSequence) -> FactorShocks:
    """Draw a factor; a stream each, so that a longer market begins with the same bars as a shorter one."""
    normal, mixing, burst, night, night_mixing = (np.random.default_rng(s) for s in seed.spawn(5))
    count, freedom = len(hours.bar_utc), config.degrees_of_freedom
    unit_variance = hours.variance_share * (freedom - 2.0) / mixing.chisquare(freedom, count)
    if config.burst_size > 0.0:
        unit_variance *= np.exp(2.0 * (log_bursts(config, count, burst) - config.burst_size**2))
    move = np.sqrt(unit_variance) * normal.standard_normal(count)
    sessions = len(hours.first_bar)
    gap_variance = config.overnight_share * (freedom - 2.0) / night_mixing.chisquare(freedom, sessions)
    gap = np.sqrt(gap_variance) * night.standard_normal(sessions)
    gap[0] = 0.0  # the first price is given
    day = np.add.reduceat(move, hours.first_bar) + gap
    variance = session_variance(day, news=config.garch_news, memory=config.garch_memory)
    of_bar = variance[hours.place]
    gaps = np.zeros(count)
    gaps[hours.first_bar] = gap * np.sqrt(variance)
    return FactorShocks(move=move * np.sqrt(of_bar), variance=unit_variance * of_bar, gap=gaps)


def log_bursts(config: StandInConfig, count: int, rng: np.random.Generator) -> FloatArray:
    """(T,) an AR(1) over bars with mean 0 and standard deviation `burst_size`, begun in its stationary law."""
    kept = 0.5 ** (config.bar_seconds / 60.0 / config.burst_half_life_minutes)
    return stationary_ar1(rng, count, kept=kept, size=config.burst_size)


def stationary_ar1(rng: np.random.Generator, count: int, *, kept: float, size: float) -> FloatArray:
    """(T,) x' = kept x + noise, with mean 0 and standard deviation `size` from the first value on."""
    from scipy.signal import lfilter  # slow to import, and other sources need none of it

    noise = rng.standard_normal(count) * size
    noise[1:] *= np.sqrt(1.0 - kept**2)
    return np.asarray(lfilter([1.0], [1.0, -kept], noise), dtype=np.float64)


def session_variance(day_S: FloatArray, *, news: float, memory: float) -> NDArray[np.float64]:
    """(S,) variance of each session relative to the mean, known before it: GARCH(1,1) from its mean on."""
    factor = news * day_S**2 + memory
    variance = np.ones(len(day_S))
    for at in range(1, len(day_S)):
        variance[at] = 1.0 - news - memory + factor[at - 1] * variance[at - 1]
    return variance
