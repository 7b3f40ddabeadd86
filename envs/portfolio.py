"""Portfolio environments: many rows on one kernel as a gymnasium VectorEnv, and one row as a gymnasium Env.

Timing of one step: the observation shows what is known at the close of bar t; the action is filled at the open of
bar t + 1 (plus latency) with costs; the reward is the shaped change of equity from close t to close t + 1.

Axes: E env row, A asset slot, D observation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Any, ClassVar

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space
from numpy.typing import ArrayLike, NDArray

from data.own_objects import import_callable
from envs.actions import ACTION_SCHEMES, action_space, num_choices
from envs.config import PortfolioEnvConfig
from envs.episodes import Window
from envs.kernel import columns as c
from envs.kernel.lanes import LANES
from envs.kernel.masks import mask_rows
from envs.kernel.parts import Outputs, RowArrays
from envs.kernel.step import DISABLED, NEXT_STEP, SAME_STEP, reset_rows, step_rows
from envs.market import Market
from envs.market_fit import check_market, episode_windows
from envs.observations import ObservationLayout
from envs.rows import RowState, market_arrays, num_blocks, scratch_arrays, thread_bounds
from envs.rules import instrument_matrix, rule_vector

_MODES = {
    AutoresetMode.SAME_STEP: SAME_STEP,
    AutoresetMode.NEXT_STEP: NEXT_STEP,
    AutoresetMode.DISABLED: DISABLED,
}
ENDED_NAMES = ("net_return", "length", "turnover", "cost", "breaches", "fills", "max_drawdown")
RewardFunction = Callable[["PortfolioVectorEnv"], NDArray[np.float64]]


class PortfolioVectorEnv(gymnasium.vector.VectorEnv):
    """E portfolios over A assets, stepped by one Numba kernel.

    Parameters
    ----------
    market : bars and standardised features.
    config : what is simulated.
    num_envs : E, at least 1.
    windows : where episodes may run, see `EpisodeConfig.kind`.
    seed : of the counter-based draws; row e with stream number `first_stream + e` gets the same draws whatever E is.
    autoreset_mode : SAME_STEP (final observations in infos["final_obs"]), NEXT_STEP or DISABLED.
    num_threads : rows are split over this many threads; the numbers are the same bits.
    reward : own reward, called after each step with this env; returns (E,) and replaces the configured terms.
    copy : hand out arrays of the caller's own, as gymnasium's vector envs do. False is faster: what `step` returns is
        then reused and holds until the next `step` or `reset`. Stock RLlib keeps what it is handed and needs True.
    """

    _pool: ThreadPoolExecutor | None = None

    def __init__(
        self,
        market: Market,
        config: PortfolioEnvConfig,
        *,
        num_envs: int,
        windows: Sequence[Window],
        seed: int,
        autoreset_mode: AutoresetMode = AutoresetMode.SAME_STEP,
        num_threads: int = 1,
        first_stream: int = 0,
        reward: RewardFunction | None = None,
        copy: bool = True,
    ) -> None:
        check_market(market, config, num_envs)
        self.market = market
        self.config = config
        self.num_envs = int(num_envs)
        self.num_assets = config.episode.num_assets or market.num_symbols
        shown = config.observation.account_names
        self.layout = ObservationLayout.portfolio(
            self.num_assets, market.asset_names, market.clock_names, shown
        )
        self.windows = tuple(windows)
        self.metadata = {"autoreset_mode": autoreset_mode}
        self.single_observation_space = self.layout.space()
        self.single_action_space = action_space(config.action, self.num_assets)
        self.recorder: Any = None
        self._mode = _MODES[autoreset_mode]
        self._rule = rule_vector(config, market)
        self.instrument = instrument_matrix(config, market)
        self._seed = np.uint64(int(seed) % 2**64)
        own = config.reward.function
        self._reward_function = reward or (None if own is None else import_callable(own, "reward.function"))
        self.rows = RowState.allocate(config, market, self.num_envs, self.num_assets, first_stream)
        # To the kernel named tuples go as plain ones, see `step_rows`.
        self._market_arrays = tuple(market_arrays(market, self.instrument))
        self._episode_windows = episode_windows(market, config, self.windows)
        self._allocate_outputs()
        self._bounds = thread_bounds(self.num_envs, num_threads)
        width, var_bars = market.bars.shape[2], self.rows.below.shape[1]
        self._scratch = [
            tuple(
                scratch_arrays(
                    self.instrument, width, self.num_assets, self.layout.size, self.layout.account, var_bars
                )
            )
            for _ in self._bounds[1:]
        ]
        self._pool = ThreadPoolExecutor(len(self._bounds) - 1) if len(self._bounds) > 2 else None
        self._ended: list[NDArray[np.float64]] = []
        self._copy = copy
        self._started = False

    @cached_property
    def observation_space(self) -> gymnasium.Space:  # type: ignore[override]
        """Of all rows together; built when asked for, because its bounds take twice the memory of the observations."""
        return batch_space(self.single_observation_space, self.num_envs)

    @cached_property
    def action_space(self) -> gymnasium.Space:  # type: ignore[override]
        """Of all rows together."""
        return batch_space(self.single_action_space, self.num_envs)

    def _allocate_outputs(self) -> None:
        E, A, D = self.num_envs, self.num_assets, self.layout.size
        width = ACTION_SCHEMES[self.config.action.scheme].num_columns
        self._actions = np.zeros((E, A, width), dtype=np.float32)
        self._out = np.zeros((E, D), dtype=np.float32)
        self._final = np.zeros((E if self._mode == SAME_STEP else 1, D), dtype=np.float32)
        self._rewards = np.zeros((num_blocks(E), 1, LANES))
        self._flags = np.zeros((2, num_blocks(E) * LANES), dtype=np.bool_)
        self._reward = self._rewards.reshape(-1)[:E]
        self._terminated, self._truncated = self._flags[:, :E]
        self._ended_rows = np.zeros((E, c.NUM_ENDED_COLUMNS))
        outputs = Outputs(
            out=self._out,
            final_out=self._final,
            reward=self._rewards,
            flags=self._flags,
            ended=self._ended_rows,
        )
        self._outputs = tuple(outputs)
        self.set_logging(False)

    def set_logging(self, on: bool) -> None:
        """Allocate or free the per-step fill and decision logs that a recorder reads."""
        E, A = self.num_envs, self.num_assets
        self.fill_log = np.zeros((E, A, c.NUM_PLACES if on else 0, c.NUM_FILL_COLUMNS))
        self.decision_log = np.zeros((E, A if on else 0, c.NUM_DECISION_COLUMNS))
        rows = RowArrays(
            account=self.rows.account_BKL,
            counter=self.rows.counter_BKL,
            position=self.rows.position_BAKL,
            slot=self.rows.slot_BAKL,
            flow=self.rows.flow_BKL,
            below=self.rows.below,
            fill_log=self.fill_log,
            decision_log=self.decision_log,
        )
        self._row_arrays = tuple(rows)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Start a new episode in every row, or where options["reset_mask"] (E,) is true. A seed restarts all draws."""
        mask = np.ones(self.num_envs, dtype=np.uint8)
        if options and options.get("reset_mask") is not None:
            mask[:] = options["reset_mask"]
        if seed is not None:
            self._seed = np.uint64(int(seed) % 2**64)
            self.rows.put("counter", c.EPISODE, -1, np.flatnonzero(mask))
        reset_rows(
            self._market_arrays,
            self._rule,
            self._episode_windows,
            self._row_arrays,
            self._scratch[0],
            mask,
            self._out,
            self._seed,
        )
        self._started = True
        if self.recorder is not None:
            self.recorder.on_reset(mask)
        return self._handed(None), {}

    def step(
        self, actions: Any, out: NDArray[np.float32] | None = None
    ) -> tuple[
        NDArray[np.float32], NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]
    ]:
        """Step every row.

        Parameters
        ----------
        actions : (E, A), or (E, A, 2) for scheme `direction_size`.
        out : (E, D) float32 buffer that receives the observations and is returned.

        Returns
        -------
        observation (E, D) float32, reward (E,) float64, terminated (E,), truncated (E,), infos. When an episode
        ended and autoreset is SAME_STEP: infos["final_obs"] (E, D), valid where infos["_final_obs"] (E,) is true.
        """
        if not self._started:
            raise RuntimeError("step was called before reset; call reset first")
        self.take_actions(actions)
        direct = out is None or (out.flags.c_contiguous and out.dtype == np.float32 and out.flags.writeable)
        target = out if out is not None and direct else self._out
        any_ended = self._run(target)
        if out is not None and target is not out:
            out[...] = target
        infos = self._after_step(any_ended)
        reward, terminated, truncated = self._reward, self._terminated, self._truncated
        if self._copy:
            reward, terminated, truncated = reward.copy(), terminated.copy(), truncated.copy()
            infos = {name: values.copy() for name, values in infos.items()}
        return self._handed(out), reward, terminated, truncated, infos

    def _handed(self, out: NDArray[np.float32] | None) -> NDArray[np.float32]:
        if out is not None:
            return out
        return self._out.copy() if self._copy else self._out

    def _run(self, target: NDArray[np.float32]) -> bool:
        inputs = self._market_arrays, self._rule, self._episode_windows, self._row_arrays
        outputs = self._outputs if target is self._out else (target, *self._outputs[1:])
        arguments = outputs, self._actions, self._seed, self._mode
        if self._pool is None:
            return bool(step_rows(*inputs, self._scratch[0], *arguments, 0, self.num_envs))
        parts = zip(self._bounds[:-1].tolist(), self._bounds[1:].tolist(), strict=True)
        futures = [
            self._pool.submit(step_rows, *inputs, scratch, *arguments, first, stop)
            for scratch, (first, stop) in zip(self._scratch, parts, strict=True)
        ]
        ended = [future.result() for future in futures]
        return any(ended)

    def _after_step(self, any_ended: bool) -> dict[str, Any]:
        infos: dict[str, Any] = {}
        if self._reward_function is not None:
            self._reward[:] = self._reward_function(self)
        if not any_ended and self.recorder is None:
            return infos
        ended = self._terminated | self._truncated
        if self.recorder is not None:
            self.recorder.on_step(ended)
        if any_ended:
            if len(self._ended) < 65_536:
                self._ended.append(self._ended_rows[ended])
            if self._mode == SAME_STEP:
                infos["final_obs"] = self._final
                infos["_final_obs"] = ended
        return infos

    def action_masks(self) -> NDArray[np.bool_]:
        """(E, A, n) True where a discrete action would not be changed by a limit; keeping is never masked out."""
        choices = num_choices(self.config.action)
        if choices is None:
            raise ValueError(
                f"action scheme {self.config.action.scheme!r} is continuous; masks need a discrete one"
            )
        out = np.zeros((self.num_envs, self.num_assets, choices), dtype=np.uint8)
        rows = self.rows
        mask_rows(
            self.market.bars,
            self.market.calendar,
            self.instrument,
            self._rule,
            rows.counter_BKL,
            rows.position_BAKL,
            rows.slot_BAKL,
            rows.below,
            out,
        )
        return out.astype(bool)

    def set_cost_scale(self, scale: ArrayLike) -> None:
        """Multiply all costs from now on, of all rows or of each by its own (E,): 0 is free, 1 as configured.

        The one way to scale costs from outside: a cost curriculum trains below 1, a stress test scores above. What
        `RandomisationConfig` draws at each reset is multiplied by it.
        """
        values = np.asarray(scale, dtype=np.float64)
        if not (np.isfinite(values) & (values >= 0.0)).all():
            raise ValueError(f"cost scale is {scale!r}; expected 0 or more, finite")
        if values.shape not in ((), (self.num_envs,)):
            raise ValueError(
                f"cost scale is {values.shape}; expected a number, or one of each of {self.num_envs} rows"
            )
        self.rows.put("account", c.COST_SCALE, values)

    @property
    def cost_scale(self) -> float:
        """Current multiplier of all costs, where the rows share one."""
        scales = np.unique(self.rows.account[:, c.COST_SCALE])
        if len(scales) > 1:
            raise ValueError(f"rows have {len(scales)} cost scales; read env.rows.account[:, COST_SCALE]")
        return float(scales[0])

    def episode_statistics(self) -> dict[str, NDArray[np.float64]]:
        """Return the columns of ENDED_NAMES, one entry per episode ended since the last call."""
        rows = np.concatenate(self._ended) if self._ended else np.zeros((0, c.NUM_ENDED_COLUMNS))
        self._ended = []
        return {name: rows[:, column] for column, name in enumerate(ENDED_NAMES)}

    def get_state(self) -> dict[str, Any]:
        """Complete state: stepping on after `set_state` gives the same bits."""
        return {
            "rows": self.rows.arrays(),
            "observation": self._out.copy(),
            "seed": int(self._seed),
            "ended": [rows.copy() for rows in self._ended],
            "started": self._started,
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Put back what `get_state` returned, into an env of the same market and config."""
        self.rows.restore(state["rows"])
        self._out[...] = state["observation"]
        self._seed = np.uint64(state["seed"])
        self._ended = list(state["ended"])
        self._started = state["started"]

    @property
    def last_reward(self) -> NDArray[np.float64]:
        """(E,) reward of the last step, in the env's own buffer."""
        return self._reward

    @property
    def ended_rows(self) -> NDArray[np.float64]:
        """(E, columns of ENDED_NAMES) statistics of each row's last episode that ended, in the env's own buffer."""
        return self._ended_rows

    def step_buffers(self) -> tuple[NDArray[Any], ...]:
        """What a step reads and writes beside the rows and the observations: actions, rewards, flags, ended rows."""
        return self._actions, self._reward, self._flags, self._ended_rows

    def kernel_arguments(self) -> tuple[Any, ...]:
        """Market, rule, rows and scratch, as the parts of a step take them (`envs.kernel.live_steps`)."""
        return self._market_arrays, self._rule, self._row_arrays, self._scratch[0]

    def take_actions(self, actions: Any) -> NDArray[np.float32]:
        """The env's own buffer (E, A, columns) with these actions in it."""
        self._actions[...] = np.asarray(actions).reshape(self._actions.shape)
        return self._actions

    @property
    def outputs(self) -> tuple[Any, ...]:
        """What a step writes, as the kernel takes it (`envs.kernel.parts.Outputs`)."""
        return self._outputs

    @property
    def current_bar(self) -> NDArray[np.int64]:
        """(E,) last bar whose close each row's observation knows."""
        return self.rows.counter[:, c.BAR].astype(np.int64)

    def last_fills(self) -> list[dict[str, Any]]:
        """Fills of the last step (row, asset, filled_bar, units, price, at_open); needs `set_logging(True)`.

        Rows whose episode has just ended and started anew are left out.
        """
        rows, assets, places = np.nonzero(self.fill_log[..., c.FILL_UNITS])
        bars = self.current_bar
        ended = self._terminated | self._truncated
        return [
            {
                "row": int(e),
                "asset": int(a),
                "filled_bar": int(bars[e]),
                "at_open": bool(place == c.AT_OPEN),
                "units": float(self.fill_log[e, a, place, c.FILL_UNITS]),
                "price": float(self.fill_log[e, a, place, c.FILL_PRICE]),
            }
            for e, a, place in zip(rows, assets, places, strict=True)
            if not ended[e]
        ]

    @property
    def observation(self) -> NDArray[np.float32]:
        """(E, D) last observation written to the env's own buffer."""
        return self._out

    def close_extras(self, **kwargs: Any) -> None:
        """Stop the threads."""
        if self._pool is not None:
            self._pool.shutdown(wait=False)


class PortfolioEnv(gymnasium.Env):
    """One portfolio as a plain gymnasium Env: row 0 of a one-row `PortfolioVectorEnv`."""

    metadata: ClassVar[dict[str, Any]] = {"render_modes": []}

    def __init__(
        self, market: Market, config: PortfolioEnvConfig, *, windows: Sequence[Window], seed: int
    ) -> None:
        self.vector = PortfolioVectorEnv(
            market, config, num_envs=1, windows=windows, seed=seed, autoreset_mode=AutoresetMode.DISABLED
        )
        self.layout = self.vector.layout
        self.observation_space = self.vector.single_observation_space
        self.action_space = self.vector.single_action_space

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Start a new episode; a seed restarts the draws."""
        super().reset(seed=seed)
        observation, infos = self.vector.reset(seed=seed)
        return observation[0].copy(), infos

    def step(self, action: Any) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Step the portfolio by one bar."""
        observation, reward, terminated, truncated, infos = self.vector.step(np.asarray(action)[None])
        return observation[0].copy(), float(reward[0]), bool(terminated[0]), bool(truncated[0]), infos
