"""Change the learning rate of a running job, without a restart.

Run: python -m rayjobs.nudge run=runs/crypto_portfolio lr=x0.5
The job picks it up at its next training iteration and records it in progress.csv.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any

from rayjobs.config.exit_codes import ExitCode
from rayjobs.config.typed_config import ConfigError, build_dataclass
from rayjobs.entry import run_entry_point
from rayjobs.storage.run_directory import latest_run, read_status
from rayjobs.training.nudges import Nudge, write_nudge

LOG = logging.getLogger("rayjobs.nudge")  # run as a program, __name__ is not below our package


def nudge(values: dict[str, Any]) -> ExitCode:
    """Leave a nudge for the job; ``values`` is the resolved ``conf/nudge.yaml``."""
    wanted = {"learning_rate": str(values["lr"]), "fold": values["fold"]}
    change = build_dataclass(Nudge, wanted, "nudge")
    run = latest_run(Path(str(values["run"])).expanduser(), "running")
    status = (read_status(run) or {}).get("status")
    if status != "running":
        raise ConfigError(
            f"the job in {run} is not running, its status is {status}; only a running job takes nudges"
        )
    path = write_nudge(run / "checkpoints", change)
    LOG.info("lr=%s left in %s; the job takes it at its next iteration", change.learning_rate, path)
    return ExitCode.DONE


if __name__ == "__main__":
    sys.exit(run_entry_point(nudge, "nudge"))
