"""What the NumPy env with everything on can do, and the numbers of what is on."""

from __future__ import annotations

from dataclasses import MISSING, dataclass, fields

import numpy as np

from envs.config import PortfolioEnvConfig
from envs.kernel import columns as c
from envs.market import Market
from envs.rules import instrument_matrix


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Barriers and limits of a config that switches all of them on; names and units as in the config."""

    profit_target: float
    stop_loss: float
    trailing_stop: float
    time_limit_bars: float
    max_participation: float
    max_position_exposure: float
    max_daily_loss: float
    max_drawdown: float
    max_var: float
    max_entries_per_session: int

    @classmethod
    def of(cls, config: PortfolioEnvConfig) -> Limits:
        """Limits of `config`; ValueError if one is off."""
        sections = (config.barriers, config.costs, config.risk)
        names = [field.name for field in fields(cls)]
        values = {name: getattr(part, name) for part in sections for name in names if hasattr(part, name)}
        off = [name for name in names if values.get(name) is None]
        if off:
            raise ValueError(f"the NumPy env needs {', '.join(off)} to be on")
        return cls(**values)


def check_scope(market: Market, config: PortfolioEnvConfig) -> None:
    """Raise ValueError when `config` or the instruments of `market` ask for what the env leaves out."""
    missing = [text for text, holds in (_choices(config) | _instruments(market, config)).items() if not holds]
    if missing:
        raise ValueError(f"the NumPy env needs {'; '.join(missing)}")


def _choices(config: PortfolioEnvConfig) -> dict[str, bool]:
    costs, risk, episode = config.costs, config.risk, config.episode
    return {
        "actions of scheme direction": config.action.scheme == "direction",
        "shorts": config.action.allow_short,
        "size rule volatility_target": config.sizing.rule == "volatility_target",
        "slippage by volume": costs.slippage == "volume",
        "orders one bar late, remainders carried": (costs.latency_bars, costs.remainder) == (1, "carry"),
        "borrow and funding": costs.borrow and costs.funding,
        "barriers in ATR": config.barriers is not None and config.barriers.unit == "atr",
        "margin": risk.margin,
        "none of the rules that are off until they are asked for": not _asked(config),
        "sessions that end flat at the last open": risk.flat_at_session_end == "last_open",
        "random episodes without warm-up, liquidation or randomisation": episode.kind == "random"
        and (episode.warmup_bars, episode.liquidate_at_end, episode.randomisation) == (0, False, None),
    }


def _asked(config: PortfolioEnvConfig) -> list[str]:
    """Keys with a value other than that of configurations which are older than they are."""
    parts = (config.action, config.sizing, config.costs, config.risk, config.observation)
    return [
        f.name for part in parts for f in fields(part) if f.default not in (MISSING, getattr(part, f.name))
    ]


def _instruments(market: Market, config: PortfolioEnvConfig) -> dict[str, bool]:
    table = instrument_matrix(config, market)
    per_unit = [
        c.LOT_STEP,
        c.COMMISSION_PER_UNIT,
        c.HALF_SPREAD_TICKS,
        c.INITIAL_PER_UNIT,
        c.MAINTENANCE_PER_UNIT,
    ]
    return {
        "episodes of all symbols": config.episode.num_assets in (None, market.num_symbols),
        "instruments of any size that charge by notional": not table[:, per_unit].any(),
        "multipliers of 1": bool((table[:, c.MULTIPLIER] == 1.0).all()),
        "prices without dividends": not market.has_dividends,
        "prices without splits": bool((market.bars[..., c.SPLIT] == 1.0).all()),
        "contracts that are not rolled, in a universe that stays": market.bars.shape[2] <= c.MEMBER,
        "prices that are not below zero": bool((market.low >= 0.0).all()),
        "instruments that can be sold short": bool((table[:, c.SHORT_SHARE] == 1.0).all()),
        "instruments that stay listed": bool(np.isinf(table[:, c.DELIST_BAR]).all()),
    }
