"""Functions, arrays and policies of other projects as policies that the simulator can run."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.schema import Panel
from envs.episodes import Window
from policies.baselines import ScheduledPolicy
from policies.protocol import Policy, State
from rayjobs.config.typed_config import ConfigError


def decides_from(window: Window, warmup_bars: int) -> int:
    """Bar at whose close a policy decides first."""
    return window.start_bar - 1 - warmup_bars


def as_policy(given: Any, scheme: str, first_bar: int, panel: Panel) -> Policy:
    """See `rayjobs.api.backtest.backtest` for what may be given.

    Parameters
    ----------
    scheme : of the env's actions. first_bar : of the first decision.

    Raises
    ------
    ConfigError
        If it is none of them.
    """
    if isinstance(given, Policy):
        return given
    if callable(getattr(given, "predict", None)):
        return _Function(lambda seen, memory: given.predict(seen, state=memory, deterministic=True))
    if callable(given):
        return _Function(given if _takes_state(given) else lambda seen, _: (given(seen), None))
    if isinstance(given, (np.ndarray, list, tuple)):
        return _scheduled(np.asarray(given, dtype=np.float64), scheme, first_bar, panel)
    raise ConfigError(
        f"the policy is a {type(given).__name__}; give a function of the observation, an object with act and "
        "initial_state or with predict, or an array (bars, assets) of targets"
    )


def _scheduled(target_TA: NDArray[np.float64], scheme: str, first_bar: int, panel: Panel) -> Policy:
    if target_TA.shape != (panel.num_bars, panel.num_assets):
        raise ConfigError(
            f"the targets are {target_TA.shape}; the panel has {(panel.num_bars, panel.num_assets)} (bars, assets)"
        )
    return ScheduledPolicy(target_TA=target_TA, first_bar_E=np.array([first_bar]), scheme=scheme)


def _takes_state(function: Callable[..., Any]) -> bool:
    """Whether a function must be given a second argument."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # built in C: it says nothing
        return False
    places = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    needed = [p for p in parameters if p.kind in places and p.default is inspect.Parameter.empty]
    return len(needed) >= 2


class _Function:
    """Any function as a policy of one row; what it remembers it keeps itself, whatever that is made of.

    Parameters
    ----------
    decide : from observation and memory, None at the first bar, to actions and memory.
    """

    def __init__(self, decide: Callable[[NDArray[np.float32], Any], Any]) -> None:
        self._decide, self._memory = decide, None

    def initial_state(self, num_envs: int) -> State:
        self._memory = None

    def act(self, observation: NDArray[np.float32], state: State) -> tuple[NDArray[Any], State]:
        answer = self._decide(observation.copy(), self._memory)
        if not (isinstance(answer, tuple) and len(answer) == 2):
            raise ConfigError(
                "a policy that takes observation and state must return actions and the next state"
            )
        self._memory = answer[1]
        return np.asarray(answer[0]), None
