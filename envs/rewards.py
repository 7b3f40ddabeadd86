"""Reward terms: the reward of a bar is `scale` times the weighted sum of these.

With equity W before and after the bar (W0 initial), peak M, traded notional Q, gross notional G:

    log_equity           ln(W' / W)                        (W' floored at 1e-12 of W0)
    net_return           W' / W - 1
    pnl                  (W' - W) / W0
    differential_sharpe  D_t of Moody and Saffell (1998), eq. 8, on net returns; zero for the first bar
    realised             PnL realised by closing trades less all costs of the bar, over W0
    drawdown             - (1 - W' / M')
    downside             - min(W' / W - 1, 0)^2
    turnover             - Q / W
    holding              - G / W'
    micro                - fills of the bar, times `edge_factor` in the first and last `edge_minutes` of a session
    breach               - limits breached at the close of the bar

Penalties are written as terms with a minus sign, so a positive weight always punishes.
"""

from __future__ import annotations

from dataclasses import dataclass

from data.own_objects import import_callable
from envs.validation import require_non_negative, require_positive, require_range

REWARD_TERMS: tuple[str, ...] = (
    "log_equity",
    "net_return",
    "pnl",
    "differential_sharpe",
    "realised",
    "drawdown",
    "downside",
    "turnover",
    "holding",
    "micro",
    "breach",
)


@dataclass(frozen=True, kw_only=True)
class RewardConfig:
    """Weights of the reward terms (0 switches a term off), and their constants.

    Attributes
    ----------
    scale : multiplies the sum; brings per-bar rewards to the order of 1.
    differential_sharpe_rate : eta, adaptation rate of the moments, in (0, 1].
    edge_minutes, edge_factor : the micro penalty is `edge_factor` times as large near session edges.
    function : ``package.module:NAME`` of a reward of your own, (env) -> (E,), called after each step in place of the
        terms; None for the terms.
    """

    scale: float
    log_equity: float
    net_return: float
    pnl: float
    differential_sharpe: float
    realised: float
    drawdown: float
    downside: float
    turnover: float
    holding: float
    micro: float
    breach: float
    differential_sharpe_rate: float
    edge_minutes: float
    edge_factor: float
    function: str | None

    def __post_init__(self) -> None:
        require_positive("reward", "scale", self.scale)
        for name in REWARD_TERMS:
            require_non_negative("reward", name, getattr(self, name))
        require_range(
            "reward", "differential_sharpe_rate", self.differential_sharpe_rate, 0, 1, open_low=True
        )
        require_non_negative("reward", "edge_minutes", self.edge_minutes)
        require_non_negative("reward", "edge_factor", self.edge_factor)
        if self.function is not None:
            import_callable(self.function, "reward.function")
