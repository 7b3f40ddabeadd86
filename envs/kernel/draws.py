"""Counter-based random draws: a hash of (seed, stream, episode, draw), so no state and no order of envs matters.

Mixing function: splitmix64 (Steele, Lea and Flood 2014).
"""

from __future__ import annotations

import numpy as np

from envs.kernel.jit import inner

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_S30, _S27, _S31, _S11 = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(11)


@inner
def mix(z):
    """One splitmix64 output for state z (uint64)."""
    z = (z ^ (z >> _S30)) * _MIX_1
    z = (z ^ (z >> _S27)) * _MIX_2
    return z ^ (z >> _S31)


@inner
def uniform(seed, stream, episode, draw):
    """Uniform float64 in [0, 1) for one named draw of one episode of one stream."""
    z = mix(seed + _GOLDEN)
    z = mix(z + np.uint64(stream) * _GOLDEN)
    z = mix(z + np.uint64(episode) * _GOLDEN)
    z = mix(z + np.uint64(draw) * _GOLDEN)
    return np.float64(z >> _S11) * (1.0 / 9007199254740992.0)
