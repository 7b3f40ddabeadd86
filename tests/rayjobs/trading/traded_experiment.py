"""An experiment cut to some bars, an untrained policy of its kind, its backtest, and the loop over the same bars."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gymnasium.vector import AutoresetMode

from data.sources import load
from envs.episodes import Window
from envs.live.bar_feed import HistoryFeed
from envs.live.paper import PaperVenue
from envs.portfolio import PortfolioVectorEnv
from envs.recording import Recorder, Recording
from evaluation.scoring.rollout import evaluation_config
from evaluation.windows.splits import Fold
from policies.exported_policy import PolicyContract, TrainedPolicy
from rayjobs.config.compose import compose
from rayjobs.study.config import TRAIN_KEYS, build_train_config
from rayjobs.study.fold_market import fold_market, lookback_bars
from rayjobs.study.study import Study
from rayjobs.trading.loop import Tick, TradingLoop
from rayjobs.trading.market_ground import Ground, build_stand, whole_sessions
from rayjobs.trading.trading_record import TradingRecord

RUN_FIELDS = (
    "bar", "equity", "net_return", "units", "target_units", "exposure", "turnover", "costs", "reward",
)  # fmt: skip


def random_policy(contract: PolicyContract, seed: int = 0) -> TrainedPolicy:
    """Weights that are large enough to trade."""
    network = contract.actions.network(contract.layout, contract.network)
    generator = torch.Generator().manual_seed(seed)
    weights = {k: 2.0 * torch.randn(v.shape, generator=generator) for k, v in network.state_dict().items()}
    return TrainedPolicy(contract, weights)


@dataclass(frozen=True, kw_only=True)
class Exported:
    """Stands for a finished run where only its policy is asked for."""

    policy: TrainedPolicy

    def open(self, study: Study) -> TrainedPolicy:
        self.policy.contract.check_fits(None, study.features.feature_hash)
        return self.policy


class TradedExperiment:
    """The test window of an experiment, traded twice."""

    def __init__(self, experiment: str, *overrides: str, num_bars: int) -> None:
        given = [f"+experiment={experiment}", "policy.encoder_units=4", "policy.core_units=4", *overrides]
        values = {k: v for k, v in compose("train", given).items() if k in TRAIN_KEYS}
        self.config = build_train_config(values)
        dataset = load(self.config.data)
        study = Study.of(self.config, dataset)
        self.start = lookback_bars(study) + self.config.env.episode.warmup_bars + 60
        self.stop = min(self.start + num_bars, dataset.panel.num_bars)
        self.panel = dataset.panel
        fold = Fold(index=0, train=slice(0, self.start), test=slice(self.start, self.stop))
        self.whole, contract = fold_market(study, fold)
        self.policy = random_policy(contract)

    def backtest(self) -> tuple[list[np.ndarray], Recording]:
        """What was observed at each close, and the recording."""
        window = Window(start_bar=self.start, stop_bar=self.stop)
        env = PortfolioVectorEnv(
            self.whole,
            evaluation_config(self.config.env),
            num_envs=1,
            windows=[window],
            seed=0,
            autoreset_mode=AutoresetMode.DISABLED,
        )
        recorder = Recorder(env)
        observation, _ = env.reset()
        state, seen, over = self.policy.initial_state(1), [observation[0].copy()], False
        while not over:
            masks = {"allowed": env.action_masks()} if self.policy.masks_actions else {}
            action, state = self.policy.act(observation, state, **masks)
            observation, _, terminated, truncated, _ = env.step(action)
            seen.append(observation[0].copy())
            over = bool(terminated[0] or truncated[0])
        return seen, recorder.recordings()[0]

    def loop(self, path: Path, make_venue: Any = None) -> TradingLoop:
        """A loop on a record, new or gone on with, that has not been started."""
        record = TradingRecord(path)
        saved = record.state()
        seen = self.start if saved is None else int(saved["known"])
        panel = self.panel
        ground = Ground(
            history=panel.slice_bars(0, seen),
            to_come=whole_sessions(panel, seen, self.stop),
            start_bar=self.start,
            stop_bar=self.stop,
            bars_per_session=float(np.median(np.unique(panel.session, return_counts=True)[1])),
            feed=HistoryFeed(panel, seen, self.stop, speed=None),
        )
        stand = build_stand(Exported(policy=self.policy), self.config, ground, warmup_bars=None)
        venue = PaperVenue(stand.account) if make_venue is None else make_venue(stand.account, ground)
        return TradingLoop(
            policy=self.policy,
            account=stand.account,
            market=stand.market,
            feed=ground.feed,
            venue=venue,
            record=record,
            cost_scale=1.0,
        )

    def traded(
        self, path: Path, restarts: tuple[int, ...], make_venue: Any = None
    ) -> tuple[dict[int, np.ndarray], Recording, list[Tick]]:
        """Observations by bar, the recording that the record gives, and every bar that went through the loop.

        restarts : bars of the loop after which its process is gone, and another goes on from the record.
        """
        seen: dict[int, np.ndarray] = {}
        ticks: list[Tick] = []
        loop = self.loop(path, make_venue)
        loop.start()
        seen[loop.account.bar] = loop.last_observation
        while (tick := loop.step()) is not None:
            ticks.append(tick)
            seen[loop.account.bar] = tick.closed.observation
            if len(ticks) in restarts:
                loop.record.close()
                loop = self.loop(path, make_venue)
                loop.start()
        steps = loop.record.steps(loop.account.env.num_assets)
        recording = Recorder.of_steps(loop.account.env, steps, complete=True).recordings()[0]
        loop.record.close()
        return seen, recording, ticks


def assert_same(one: Recording, two: Recording) -> None:
    """Bit by bit: decisions, fills, costs, equity, trades."""
    for name in RUN_FIELDS:
        assert np.array_equal(getattr(one, name), getattr(two, name), equal_nan=True), name
    for part in ("fills", "trades"):
        mine, theirs = vars(getattr(one, part)), vars(getattr(two, part))
        for name, values in mine.items():
            same = (
                np.array_equal(values, theirs[name], equal_nan=True)
                if values.dtype.kind == "f"
                else np.array_equal(values, theirs[name])
            )
            assert same, (part, name)
