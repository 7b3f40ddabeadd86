"""What a policy is to everything that runs one: a batched function from observations to actions, with state.

Axes: E env rows, D observation entries.
"""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

State = Any
"""Any nesting of tuples, lists and dicts of arrays (NumPy or torch) whose first axis is the env row; or None."""


@runtime_checkable
class Policy(Protocol):
    """A deterministic policy; exploration is off.

    Methods
    -------
    initial_state(num_envs) : the state of `num_envs` rows at the start of an episode.
    act(observation, state) : actions of every row for observation (E, D) float32, shaped as the env's batched action
        space asks, and the next state. Row e may depend on row e alone: the batch's other rows and their order never
        change its numbers.
    """

    def initial_state(self, num_envs: int) -> State: ...

    def act(self, observation: NDArray[np.float32], state: State) -> tuple[NDArray[Any], State]: ...


def restart_rows(state: State, fresh: State, rows: NDArray[np.bool_]) -> State:
    """A state in which the rows marked True are taken from `fresh` and the others are kept.

    Parameters
    ----------
    state, fresh : two states of one structure; neither is changed.
    rows : (E,) bool, rows whose episode ended.

    Raises
    ------
    ValueError
        If the two structures differ.
    """
    if state is None and fresh is None:
        return None
    if isinstance(state, dict) and isinstance(fresh, dict) and state.keys() == fresh.keys():
        return {key: restart_rows(state[key], fresh[key], rows) for key in state}
    if isinstance(state, (tuple, list)) and isinstance(fresh, (tuple, list)) and len(state) == len(fresh):
        parts = [restart_rows(old, new, rows) for old, new in zip(state, fresh)]
        if hasattr(state, "_fields"):  # a named tuple takes its fields one by one
            return type(state)(*parts)
        return type(state)(parts)
    if not hasattr(state, "shape") or getattr(fresh, "shape", None) != state.shape:
        raise ValueError(
            f"the policy's state changed its structure from {type(fresh).__name__} to {type(state).__name__}; "
            "act() must return a state like the one of initial_state()"
        )
    merged = state.clone() if hasattr(state, "clone") else np.array(state)
    merged[rows] = fresh[rows]
    return merged
