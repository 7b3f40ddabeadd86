"""The directory of a trading run: made beside the policy's run, gone on with after a stop, and filled at its end."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

from evaluation.files import write_json
from rayjobs.config.typed_config import ConfigError
from rayjobs.monitoring.result_tables import print_paths, print_sentence, print_table
from rayjobs.replay.finished_run import open_run
from rayjobs.storage.run_directory import RunConfig, RunDirectory
from rayjobs.storage.uri import local_copy
from rayjobs.trading.artefacts import recording_of, write_trading_artefacts
from rayjobs.trading.candidate import Candidate
from rayjobs.trading.loop import Tick
from rayjobs.trading.session import Session
from rayjobs.trading.settings import TradeSettings, build_trade_settings, without_account

TRADING = "trading"
"""Key of config.yaml, and folder beside the policy's run."""


@dataclass(frozen=True, kw_only=True)
class TradingPlan:
    """What is to be traded: the policy, the configuration of its run perhaps with other data, and the settings."""

    candidate: Candidate
    values: Mapping[str, Any]
    settings: TradeSettings


def trading_directory(plan: TradingPlan, given: Mapping[str, Any]) -> RunDirectory:
    """A new directory ``<experiment>/trading/<run_id>/``, beside the policy's run unless another root is named.

    given : the composed command line; it is written down without the account's number.
    """
    run = plan.candidate.run
    root = plan.settings.directory or str(run.path.absolute().parent)
    values = dict(plan.values)
    if plan.settings.directory is not None:
        values |= {"run": {**values["run"], "directory": root}}
    asked = {key: value for key, value in without_account(given).items() if key != "resume"}
    asked |= {"policy": str(run.policy(plan.candidate.fold).absolute()), "fold": plan.candidate.fold}
    return RunDirectory.create(
        RunConfig(experiment=TRADING, directory=root),
        {**values, TRADING: asked},
        seed=int(values["seed"]),
        data_fingerprint=None,
    )


def resumed_plan(directory: RunDirectory, given: Mapping[str, Any]) -> TradingPlan:
    """The plan that a trading run was started with; the account's number comes from the command line.

    Raises
    ------
    ConfigError
        If it is no trading run.
    """
    values = dict(directory.started.values)
    if TRADING not in values:
        raise ConfigError(f"resume={directory.path}: this is no trading run")
    asked = dict(values.pop(TRADING))
    broker = given.get("broker")
    if isinstance(broker, Mapping) and "account" in broker and "account" in asked["broker"]:
        asked["broker"] = {**asked["broker"], "account": broker["account"]}
    later = {
        key: value for key, value in given.items() if key not in asked
    }  # keys that the run was begun without
    settings = build_trade_settings({**later, **asked, "resume": None})
    run = open_run(local_copy(str(asked["policy"])).parents[2])
    for key in set(values) - set(run.values):
        values.pop(key)
    return TradingPlan(
        candidate=Candidate(run=run, fold=int(asked["fold"])), values=values, settings=settings
    )


class Latencies:
    """How long decisions took, in bins of a hundredth of a millisecond, so that memory does not grow with time."""

    WIDTH_MS = 0.01

    def __init__(self) -> None:
        self._counts = np.zeros(100_000, dtype=np.int64)
        self.num, self.longest_ms, self.num_late = 0, 0.0, 0

    def add(self, tick: Tick) -> None:
        """Count a bar."""
        took_ms = 1e3 * tick.latency_s
        self._counts[min(int(took_ms / self.WIDTH_MS), len(self._counts) - 1)] += 1
        self.num += 1
        self.longest_ms = max(self.longest_ms, took_ms)
        self.num_late += tick.arrival.late

    def quantile_ms(self, share: float) -> float:
        """Milliseconds that this share of decisions stayed within; nan where there were none."""
        if not self.num:
            return float("nan")
        at = int(np.searchsorted(np.cumsum(self._counts), share * self.num))
        return min((at + 1) * self.WIDTH_MS, self.longest_ms)


@contextmanager
def stopped_by_sigterm() -> Iterator[None]:
    """SIGTERM ends the block as Ctrl-C does, so that what was traded is written down."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def report_trading(session: Session, directory: Path, latencies: Latencies) -> None:
    """Write the files of a trading run and say how it stands."""
    paths = write_trading_artefacts(session, directory)
    recording = recording_of(session)
    summary: dict[str, Any] = {
        "end": session.loop.end,
        "num_bars": 0 if recording is None else len(recording.bar),
        "equity": session.stand.account.equity,
        "num_fills": 0 if recording is None else len(recording.fills),
        "num_late": latencies.num_late,
        "latency_p50_ms": latencies.quantile_ms(0.5),
        "latency_p99_ms": latencies.quantile_ms(0.99),
        "latency_max_ms": latencies.longest_ms,
    }
    write_json(directory / "trading.json", summary)
    shown = {
        "num_bars": ",d",
        "num_fills": ",d",
        "equity": ",.2f",
        "latency_p50_ms": ".2f",
        "latency_p99_ms": ".2f",
    }
    print_table(f"Traded by {session.stand.policy.policy_hash[:12]}", [summary], columns=shown)
    if not paths:
        print_sentence("No bar was traded.")
    print_paths([*paths, directory / "trading.json"])
