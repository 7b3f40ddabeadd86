"""Another engine that fills the same decisions at the next open, with the same costs, comes to the same equity.

`backtrader` and NautilusTrader are told units alone: they know neither our sizes nor our fills, our costs or our marks.
NautilusTrader needs an environment of its own: python -m venv NAUTILUS && NAUTILUS/bin/pip install nautilus_trader,
then RAYFOLD_NAUTILUS_PYTHON=NAUTILUS/bin/python.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import backtrader
import numpy as np
import pandas as pd
import pytest
from traded_experiment import TradedExperiment

KINDS = ("env=portfolio", "env=weights", "env=direction_size")
NAUTILUS = "RAYFOLD_NAUTILUS_PYTHON"
"""Environment variable: a Python of its own that has nautilus_trader, which does not fit beside this project."""
DEEP_POCKETS = (
    1e7  # a purchase may come before the sale that pays for it, and backtrader looks at cash in between
)


def replayed(panel, recording, cost_bps: float, equity: float) -> np.ndarray:
    """(N,) equity at the close of each bar of the recording by backtrader: market orders, filled at the next open."""
    wanted = {int(bar): recording.target_units[n] for n, bar in enumerate(recording.bar)}
    first, last = int(recording.bar[0]), int(recording.bar[-1])
    values: list[float] = []

    class FollowTargets(backtrader.Strategy):
        def next(self):
            now = first - 1 + len(self.data) - 1  # the first bar handed over is the one of the first decision
            values.append(self.broker.getvalue() - DEEP_POCKETS)
            for asset, data in enumerate(self.datas):
                if now + 1 in wanted:
                    size = float(wanted[now + 1][asset]) - self.getposition(data).size
                    if size:
                        self.buy(data, size=size) if size > 0 else self.sell(data, size=-size)

    engine = backtrader.Cerebro(stdstats=False)
    rows = slice(first - 1, last + 1)
    for asset in range(panel.num_assets):
        frame = pd.DataFrame(
            {name: getattr(panel, name)[rows, asset] for name in ("open", "high", "low", "close", "volume")},
            index=pd.DatetimeIndex(panel.bar_utc[rows]),
        )
        engine.adddata(backtrader.feeds.PandasData(dataname=frame))
    engine.addstrategy(FollowTargets)
    engine.broker.setcash(equity + DEEP_POCKETS)
    engine.broker.setcommission(commission=cost_bps * 1e-4)
    engine.broker.set_checksubmit(False)
    engine.run(runonce=False)
    return np.array(values[1:])


def traded_kind(kind: str) -> TradedExperiment:
    """A small experiment of one kind of actions."""
    return TradedExperiment(
        "planted_signal", kind, "data.num_bars=500", "env.sizing.fraction=0.25", "policy=mlp", num_bars=300
    )


@pytest.mark.parametrize("kind", KINDS)
def test_backtrader_comes_to_the_same_equity_from_the_same_decisions(kind):
    traded = traded_kind(kind)
    _, recording = traded.backtest()
    costs = traded.config.env.costs
    cost_bps = costs.fee_bps + costs.half_spread_bps  # both of the notional at the open
    equity = replayed(traded.panel, recording, cost_bps, traded.config.env.initial_equity)
    # The last bar ends the window: the simulator closes there, at the close.
    assert len(recording.fills) > 20
    assert equity[:-1] == pytest.approx(recording.equity[1:-1], rel=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_nautilus_trader_comes_to_the_same_equity_from_the_same_decisions(kind, tmp_path):
    python = os.environ.get(NAUTILUS)
    if not python:
        pytest.skip(f"{NAUTILUS} names no Python that has nautilus_trader")
    traded = traded_kind(kind)
    _, recording = traded.backtest()
    costs, bars = traded.config.env.costs, recording.bar
    given, out = tmp_path / "given.npz", tmp_path / "equity.npy"
    np.savez(
        given,
        open=traded.panel.open[bars],
        close=traded.panel.close[bars],
        target=recording.target_units,
        cost_bps=costs.fee_bps + costs.half_spread_bps,
        equity=traded.config.env.initial_equity,
    )
    script = Path(__file__).with_name("nautilus_replay.py")
    done = subprocess.run([python, str(script), str(given), str(out)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert len(recording.fills) > 20
    assert np.load(out)[:-1] == pytest.approx(recording.equity[1:-1], rel=1e-9)
