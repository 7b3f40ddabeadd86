"""Copying what a step leaves into a recorder's arrays.

Axes: N steps, P recorded rows, E env rows, A assets, L places of a fill, R fills.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from envs.kernel.columns import FILL_UNITS, NUM_PLACES, OLD_CONTRACT
from envs.kernel.jit import compiled, inner

NUM_FILL_KEYS = 4
"""Columns of a recorded fill before those of the fill log: recorded row, asset, place, bar."""


class StepArrays(NamedTuple):
    """What a step leaves: flow (E, K), decisions (E, A, K), reward (E,), fills (E, A, L, K)."""

    flow: Any
    decisions: Any
    reward: Any
    fills: Any


class RecordedArrays(NamedTuple):
    """What a recorder keeps: bar, reward (N, P), flow (N, P, K), decisions (N, P, A, K), fills (R, 4 + K)."""

    bar: Any
    flow: Any
    decisions: Any
    reward: Any
    fills: Any


@compiled
def record_step(n, num_fills, rows, active, bar, step, recorded):
    """Write step n of the named rows, and the fills of those that are active; returns how many fills there are now.

    rows, active, bar (P,); step, recorded : fields of `StepArrays` and `RecordedArrays` as plain tuples, as in
    `envs.kernel.step.step_rows`.
    """
    step, recorded = StepArrays(*step), RecordedArrays(*recorded)
    for p in range(rows.shape[0]):
        e = rows[p]
        recorded.bar[n, p] = bar[p]
        recorded.reward[n, p] = step.reward[e]
        for k in range(step.flow.shape[1]):
            recorded.flow[n, p, k] = step.flow[e, k]
        for a in range(step.decisions.shape[1]):
            for k in range(step.decisions.shape[2]):
                recorded.decisions[n, p, a, k] = step.decisions[e, a, k]
            if active[p]:
                num_fills = record_fills(num_fills, p, a, bar[p], step.fills[e, a], recorded.fills)
    return num_fills


@inner
def record_fills(num_fills, p, a, bar, fills, recorded):
    """Write the fills (L, K) of asset a in recorded row p; returns how many fills there are now."""
    for turn in range(fills.shape[0]):
        place = (turn + OLD_CONTRACT) % NUM_PLACES  # in the order of time
        if fills[place, FILL_UNITS] == 0.0:
            continue
        out = recorded[num_fills]
        out[0], out[1], out[2], out[3] = p, a, place, bar
        for k in range(fills.shape[1]):
            out[NUM_FILL_KEYS + k] = fills[place, k]
        num_fills += 1
    return num_fills
