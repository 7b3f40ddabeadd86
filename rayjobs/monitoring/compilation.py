"""Says that the simulator is being compiled, before minutes without a sign of life look like a hang."""

from __future__ import annotations

import logging

LOG = logging.getLogger(__name__)


def tell_compilation() -> bool:
    """Log one line where this machine has no compiled simulator yet; whether it did."""
    from envs.kernel.jit import is_cached  # Numba is slow to import
    from envs.kernel.step import step_rows

    if is_cached(step_rows):
        return False
    LOG.info(
        "the simulator and the networks are compiled for this machine first, which can take minutes; done once for "
        "each machine and each version of the code"
    )
    return True
