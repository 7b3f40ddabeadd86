"""Rayfold from Python: the jobs of the command line as functions, their results as objects, and a backtest of anything.

    from rayjobs import api

    run = api.train("crypto_portfolio", "trainer.total_env_steps=50000")
    run.verdict["pass"], run.summary["sharpe"], run.trades.head()
    api.backtest(lambda observation: -np.sign(observation[:, :4]), panel, "env=weights")

What a job is told here is what its command is told: the same configuration, run directory, ledger and verdict. What a
command says in one sentence before it ends with exit code 2 is raised here as a `ConfigError` or a `DataError`.
"""

from __future__ import annotations

from data.errors import DataError
from rayjobs.api.backtest import Backtest, backtest, load_panel
from rayjobs.api.jobs import compare, evaluate, load, sweep, train
from rayjobs.api.results import Report, Run, RunPolicy, Study
from rayjobs.config.typed_config import ConfigError
from rayjobs.storage.run_directory import JobFailed

__all__ = [
    "Backtest", "ConfigError", "DataError", "JobFailed", "Report", "Run", "RunPolicy", "Study",
    "backtest", "compare", "evaluate", "load", "load_panel", "sweep", "train",
]  # fmt: skip
