"""What a trading run leaves in its directory, in the columns of a backtest, made of its record alone.

decisions.parquet fills.parquet returns.parquet equity.csv daily_report.csv trades.csv latency.csv feature_drift.csv
daily.json, of a policy with a value head value_calibration.csv, and where a broker filled executions.csv and
venue_comparison.csv.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from envs.kernel import columns as c
from envs.live.paper import BookedFill
from envs.recording import Recorder, Recording
from evaluation.artefacts import tables
from evaluation.files import write_csv, write_parquet
from evaluation.scoring.walk_forward import FoldResult, WalkForwardResult
from evaluation.windows.splits import Fold
from rayjobs.trading.daily_page import write_daily_page
from rayjobs.trading.feature_drift import feature_drift_table
from rayjobs.trading.session import Session
from rayjobs.trading.value_calibration import calibration_table
from rayjobs.trading.venue_comparison import comparison_table


def recording_of(session: Session) -> Recording | None:
    """What the account has decided, filled, paid and held, as a backtest records it; None before the first bar."""
    env, record = session.stand.account.env, session.record
    steps = record.steps(env.num_assets)
    if not len(steps["bar"]) or steps["bar"][-1] < session.ground.start_bar:
        return None
    over = session.loop.end in ("ruined", "ended")
    return Recorder.of_steps(env, steps, complete=over).recordings()[0]


def result_of(session: Session, recording: Recording) -> WalkForwardResult:
    """The traded bars as a study of one window, which every table of a backtest is made of."""
    start, stop = session.ground.start_bar, int(recording.bar[-1]) + 1
    fold = Fold(index=0, train=slice(0, start), test=slice(start, stop))
    panel = session.stand.market.panel()
    return WalkForwardResult(panel=panel, folds=(FoldResult(fold=fold, recording=recording),))


def write_trading_artefacts(session: Session, directory: Path) -> list[Path]:
    """Write every file named at the head of this module, and return their paths; none before the first bar."""
    recording = recording_of(session)
    if recording is None:
        return []
    result = result_of(session, recording)
    trades = tables.trades_table(result)
    frames = {
        "decisions.parquet": tables.decisions_table(result),
        "fills.parquet": tables.fills_table(result),
        "returns.parquet": tables.returns_table(result),
        "equity.csv": tables.history_table(result),
        "daily_report.csv": tables.daily_table(result, trades),
        "trades.csv": trades,
        "latency.csv": session.record.latency_table(),
        "feature_drift.csv": feature_drift_table(
            session.stand.market.market, session.ground.start_bar, int(recording.bar[-1]) + 1
        ),
    }
    if session.discount is not None:
        frames["value_calibration.csv"] = calibration_table(session.record.expectations(), session.discount)
    booked, predicted = session.record.booked(), session.record.predicted()
    if booked or predicted:
        frames["executions.csv"] = executions_table([fill for fill, _ in booked], result.panel.symbols)
        points = dict(enumerate(session.stand.account.env.instrument[:, c.MULTIPLIER].tolist()))
        frames["venue_comparison.csv"] = comparison_table(predicted, booked, result.panel, points)
    for name, frame in frames.items():
        (write_parquet if name.endswith(".parquet") else write_csv)(directory / name, frame)
    return [*(directory / name for name in frames), write_daily_page(session, directory)]


def executions_table(booked: Sequence[BookedFill], symbols: Sequence[str]) -> pd.DataFrame:
    """A row per execution of a broker: filled_utc, symbol, contract, units, price, commission, client_order_id,
    execution_id; the contract is the symbol's name at the venue.
    """
    return pd.DataFrame(
        {
            "filled_utc": [np.datetime64(fill.filled_utc.replace(tzinfo=None), "us") for fill in booked],
            "symbol": [symbols[fill.asset] for fill in booked],
            "contract": [fill.symbol or symbols[fill.asset] for fill in booked],
            "units": [fill.units for fill in booked],
            "price": [fill.price for fill in booked],
            "commission": [fill.commission if fill.commission_known else np.nan for fill in booked],
            "client_order_id": [fill.client_order_id or "" for fill in booked],
            "execution_id": [fill.execution_id for fill in booked],
        }
    )
