"""The whole configuration of a portfolio env, as one frozen dataclass."""

from __future__ import annotations

from dataclasses import dataclass

from data.own_objects import import_callable
from envs.actions import ActionConfig
from envs.barriers import BarrierConfig
from envs.costs import CostConfig
from envs.episodes import EpisodeConfig
from envs.observations import ObservationConfig
from envs.rewards import RewardConfig
from envs.risk import RiskConfig
from envs.sizing import SizingConfig
from envs.validation import require_positive


@dataclass(frozen=True, kw_only=True)
class PortfolioEnvConfig:
    """What the simulator does; the market itself is `Market`.

    Attributes
    ----------
    initial_equity : account currency at reset.
    barriers : None for no barriers.
    factory : ``package.module:NAME`` of what builds the env that is trained on, with the arguments of
        `envs.portfolio.PortfolioVectorEnv` (market, config, *, num_envs, windows, seed, copy): a subclass of it, or a
        function. Its spaces must be the portfolio env's, which scoring always takes. None trains on that one too.
    """

    initial_equity: float
    action: ActionConfig
    sizing: SizingConfig
    costs: CostConfig
    barriers: BarrierConfig | None
    risk: RiskConfig
    reward: RewardConfig
    episode: EpisodeConfig
    observation: ObservationConfig
    factory: str | None

    def __post_init__(self) -> None:
        require_positive("env", "initial_equity", self.initial_equity)
        random = self.episode.randomisation
        late = self.costs.latency_bars or (random is not None and random.max_extra_latency_bars)
        if self.action.scheme == "order_entry" and late:
            raise ValueError(
                "env.action.scheme is 'order_entry', whose orders rest from the next bar on, but there is latency; set "
                "costs.latency_bars (and env.episode.randomisation.max_extra_latency_bars) to 0"
            )
        levels = self.barriers
        stops = () if levels is None else (levels.stop_loss, levels.trailing_stop)
        if self.sizing.rule == "stop_distance" and not any(stops):
            raise ValueError(
                "sizing.rule is 'stop_distance' but there is no stop; set env.barriers.stop_loss or "
                "env.barriers.trailing_stop, or choose another rule"
            )
        if self.factory is not None:
            import_callable(self.factory, "env.factory")
