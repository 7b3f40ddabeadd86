"""What a step leaves on a recorder's tape.

Axes: N steps, P recorded rows, E env rows, A assets, L places of a fill, R fills.
"""

from __future__ import annotations

from envs.kernel.columns import FILL_UNITS
from envs.kernel.jit import compiled

NUM_FILL_KEYS = 4
"""Columns of a fill on the tape before those of the fill log: recorded row, asset, place, bar."""


@compiled
def record_step(
    n,
    rows,
    active,
    bar,
    flow,
    decisions,
    reward,
    fills,
    tape_bar,
    tape_flow,
    tape_decisions,
    tape_reward,
    tape_fills,
    num_fills,
):
    """Write step n of the named rows, and the fills of those that are active; returns how many fills there are now.

    rows, active, bar (P,); flow (E, K), decisions (E, A, K), reward (E,), fills (E, A, L, K) are the env's;
    tape_bar, tape_reward (N, P), tape_flow (N, P, K), tape_decisions (N, P, A, K), tape_fills (R, 4 + K).
    """
    for p in range(rows.shape[0]):
        e = rows[p]
        tape_bar[n, p] = bar[p]
        tape_reward[n, p] = reward[e]
        for k in range(flow.shape[1]):
            tape_flow[n, p, k] = flow[e, k]
        for a in range(decisions.shape[1]):
            for k in range(decisions.shape[2]):
                tape_decisions[n, p, a, k] = decisions[e, a, k]
            if not active[p]:
                continue
            for place in range(fills.shape[2]):
                if fills[e, a, place, FILL_UNITS] == 0.0:
                    continue
                out = tape_fills[num_fills]
                out[0], out[1], out[2], out[3] = p, a, place, bar[p]
                for k in range(fills.shape[3]):
                    out[NUM_FILL_KEYS + k] = fills[e, a, place, k]
                num_fills += 1
    return num_fills
