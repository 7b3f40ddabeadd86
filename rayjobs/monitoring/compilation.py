"""Says that features and simulator are being compiled, before minutes without a sign of life look like a hang."""

from __future__ import annotations

import logging

LOG = logging.getLogger(__name__)


def tell_compilation() -> bool:
    """Log one line where this machine has no compiled features or simulator yet; whether it did.

    To be called before bars are loaded, whose features are computed at once.
    """
    from data.features.plan.interpreter import run_steps  # Numba is slow to import
    from envs.kernel.jit import is_cached
    from envs.kernel.step import step_rows

    if is_cached(run_steps) and is_cached(step_rows):
        return False
    LOG.info(
        "features, simulator and networks are compiled for this machine first, which can take minutes; done once for "
        "each machine and each version of the code"
    )
    return True
