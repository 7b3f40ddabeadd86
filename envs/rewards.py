"""What a policy is paid for: weights of the reward terms, which `envs.kernel.reward` defines."""

from __future__ import annotations

from dataclasses import dataclass

from data.own_objects import import_callable
from envs.kernel.reward import TERMS
from envs.validation import require_non_negative, require_positive, require_range

REWARD_TERMS: tuple[str, ...] = tuple(TERMS)
"""Names of the terms; each is a field of `RewardConfig`, its weight."""


@dataclass(frozen=True, kw_only=True)
class RewardConfig:
    """Weights of the reward terms (0 switches a term off), and their constants.

    Attributes
    ----------
    scale : multiplies the weighted sum of the terms; brings per-bar rewards to the order of 1.
    log_equity, ..., breach : weight of the term of this name in `envs.kernel.reward.TERMS`, 0 or more.
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
