"""A million bars are summarised, judged, written and drawn in seconds."""

from __future__ import annotations

import time

import numpy as np
import pytest
from gate_settings import gate_config

from data.schema import Panel
from envs.recording import Recording
from envs.trades import Fills, Trades
from evaluation.artefacts.run_files import write_artefacts
from evaluation.artefacts.summary import summarise
from evaluation.gate.evidence import SupportingEvidence
from evaluation.gate.verdict import GateEvidence, judge
from evaluation.report.page import write_report
from evaluation.scoring.rollout import Track
from evaluation.scoring.walk_forward import FoldResult, WalkForwardResult
from evaluation.windows.splits import Fold

NUM_BARS, NUM_ASSETS = 1_000_001, 4
GATE = gate_config("sharpe")


def random_panel(random: np.random.Generator) -> Panel:
    close = 100.0 * np.exp(np.cumsum(random.normal(0.0, 1e-3, size=(NUM_BARS, NUM_ASSETS)), axis=0))
    opened = np.vstack([close[:1], close[:-1]])
    times = np.datetime64("2020-01-01", "ns") + np.arange(NUM_BARS) * np.timedelta64(60, "s")
    return Panel(
        symbols=("A", "B", "C", "D"),
        bar_utc=times,
        open=opened,
        high=np.maximum(opened, close),
        low=np.minimum(opened, close),
        close=close,
        volume=np.full(close.shape, 1e4),
        tradable=np.ones(close.shape, dtype=bool),
        session=times.astype("datetime64[D]").astype(np.int32),
        calendar="24/7",
        bar_seconds=60,
    )


def random_recording(fold: Fold, random: np.random.Generator) -> Recording:
    size = fold.test.stop - fold.test.start
    count, bar, returns = (
        size // 10,
        np.arange(fold.test.start, fold.test.stop),
        random.normal(0.0, 1e-4, size),
    )
    at = np.sort(random.integers(0, size - 20, count))
    asset, ones = random.integers(0, NUM_ASSETS, count), np.ones(count)
    fills = Fills(
        decided_bar=bar[at] - 1,
        filled_bar=bar[at],
        asset=asset,
        units=ones,
        price=100.0 * ones,
        costs=np.ones((count, 6)),
        reason=np.full(count, "signal"),
        place=np.zeros(count, dtype=np.int64),
    )
    trades = Trades(
        asset=asset,
        direction=np.ones(count, dtype=np.int64),
        entry_bar=bar[at],
        exit_bar=bar[at] + 10,
        entry_price=100.0 * ones,
        exit_price=101.0 * ones,
        units=ones,
        pnl=random.normal(size=count),
        mfe=ones,
        mae=-ones,
        costs=np.ones((count, 6)),
        exit_reason=np.full(count, "signal"),
    )
    wide = random.normal(0.0, 0.2, size=(size, NUM_ASSETS))
    return Recording(
        symbols=np.arange(NUM_ASSETS),
        multiplier=np.ones(NUM_ASSETS),
        start_bar=fold.test.start,
        bar=bar,
        equity=1e5 * np.concatenate([[1.0], np.cumprod(1.0 + returns)]),
        net_return=returns,
        units=wide,
        target_units=wide,
        exposure=wide,
        turnover=np.full(size, 0.1),
        costs=np.ones((size, 6)),
        reward=returns,
        complete=True,
        fills=fills,
        trades=trades,
    )


@pytest.mark.slow
def test_a_million_bars_of_metrics_artefacts_and_report_take_under_20_seconds_of_one_core(tmp_path):
    random = np.random.default_rng(0)
    folds = [
        Fold(index=k, train=slice(0, 1), test=slice(1 + k * 250_000, 1 + (k + 1) * 250_000)) for k in range(4)
    ]
    results = []
    for fold in folds:
        recording = random_recording(fold, random)
        track = Track(bar=recording.bar, net_return=random.normal(0.0, 1e-4, 250_000))
        results.append(
            FoldResult(fold=fold, recording=recording, baselines={"flat": track, "momentum": track})
        )
    study = WalkForwardResult(panel=random_panel(random), folds=tuple(results))
    started = time.process_time()
    summary = summarise(study)
    verdict = judge(GATE, GateEvidence.of(study, SupportingEvidence()))
    write_artefacts(tmp_path, study, summary, verdict)
    write_report(tmp_path / "report.html", study, summary, verdict, title="Speed", provenance={})
    assert time.process_time() - started < 20.0
