"""A stock held through a 4:1 split and two dividends earns its total return, and pays fees for real shares."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from random_markets import free_instruments, random_features, with_parts
from test_by_hand import FULL_SIZE, LONG

from data.lake import Lake, Series
from data.lake.actions import write_actions
from data.sources import FilesConfig, load
from data.sources.lake import LakeConfig
from data.vendors.definition import BarRequest, Delivery
from data.vendors.reference import Dividend, Split
from envs.context import ContextConfig
from envs.episodes import Window
from envs.market import Market
from envs.portfolio import PortfolioVectorEnv
from envs.recording import Recorder

CLOSE = np.array([400.0, 400.0, 400.0, 404.0, 398.0, 402.0, 100.0, 101.0, 100.0, 99.0, 102.0, 103.0, 104.0])
SPLIT_AT, FIRST_DIVIDEND, SECOND_DIVIDEND = 6, 4, 9
DIVIDENDS = {FIRST_DIVIDEND: 4.0, SECOND_DIVIDEND: 1.0}
START = 3


def raw_bars(missing=()):
    """Raw prices, and closes adjusted backwards as vendors write them: what comes later is undone before its date."""
    factor = np.ones(len(CLOSE))
    for at, dividend in DIVIDENDS.items():
        factor[:at] *= 1.0 - dividend / CLOSE[at - 1]
    factor[:SPLIT_AT] /= 4.0
    opened = np.append(CLOSE[0], CLOSE[:-1])
    for at, dividend in DIVIDENDS.items():
        opened[at] -= dividend
    opened[SPLIT_AT] = CLOSE[SPLIT_AT - 1] / 4.0
    times = pd.date_range("2024-01-01", periods=len(CLOSE), freq="1D")
    frame = pd.DataFrame(
        {
            "timestamp": times.strftime("%Y-%m-%d"),
            "open": opened,
            "high": np.maximum(opened, CLOSE),
            "low": np.minimum(opened, CLOSE),
            "close": CLOSE,
            "adjusted_close": CLOSE * factor,
            "volume": 1e6,
        }
    )
    return frame.drop(index=list(missing))


def loaded(folder, frame, **changes):
    frame.to_csv(folder / "X.csv", index=False)
    config = {"calendar": "24/7", "bar_seconds": 86400, "timezone": None, "labels": None}
    window = {"symbols": (), "start_utc": None, "stop_utc": None}
    return load(FilesConfig(path=str(folder), **config, **window, **changes)).panel


def held(panel, commission=0.0):
    """Buy at the open of bar START with 10,000, hold, sell at the last close."""
    instrument = replace(free_instruments(panel)["X"], commission_per_unit=commission)
    market = Market.build(
        panel,
        random_features(panel),
        {"X": instrument},
        ContextConfig(atr_bars=None, volatility_bars=None, adv_bars=None, until_full="no_entry"),
    )
    windows = [Window(start_bar=START, stop_bar=panel.num_bars)]
    env = PortfolioVectorEnv(market, with_parts(FULL_SIZE), num_envs=1, windows=windows, seed=0)
    recorder = Recorder(env)
    env.reset()
    for _ in range(panel.num_bars - START):
        env.step(np.array([[LONG]]))
    return recorder.recordings()[0]


def total_return_by_hand():
    """Shares bought at the open of bar START; each dividend buys shares at the close before less the dividend."""
    shares = 10_000.0 / 400.0
    shares *= 1.0 + 4.0 / (404.0 - 4.0)
    shares *= 4.0
    shares *= 1.0 + 1.0 / (100.0 - 1.0)
    return shares * 104.0


def test_buy_and_hold_earns_the_total_return(tmp_path):
    recording = held(loaded(tmp_path, raw_bars(), prices="total_return"))
    assert recording.equity[-1] == pytest.approx(total_return_by_hand(), rel=1e-12)


def test_without_it_the_split_is_a_loss_of_three_quarters(tmp_path):
    recording = held(loaded(tmp_path, raw_bars(), prices="as_written"))
    assert recording.equity[-1] == pytest.approx(10_000.0 * 104.0 / 400.0, rel=1e-12)


def test_fees_are_those_of_real_shares(tmp_path):
    recording = held(loaded(tmp_path, raw_bars(), prices="total_return"), commission=0.01)
    bought, sold = 25.0, total_return_by_hand() / 104.0
    np.testing.assert_allclose(recording.costs[:, 0].sum(), 0.01 * (bought + sold), rtol=1e-9)


def test_a_missing_bar_does_not_lose_the_factor(tmp_path):
    panel = loaded(tmp_path, raw_bars(missing=[10]), prices="total_return")
    factor = panel.exogenous["split_factor"][:, 0]
    # Units of the panel per real share: the split, and each dividend put back at the close before it less itself.
    assert factor[10] == factor[9] == factor[11]
    assert factor[9] == pytest.approx(1.0 / (4.0 * (404.0 / 400.0) * (100.0 / 99.0)), rel=1e-12)


def test_nothing_that_comes_later_moves_what_was_known(tmp_path):
    whole = loaded(tmp_path, raw_bars(), prices="total_return")
    early = raw_bars().iloc[:8].assign(adjusted_close=lambda t: t["adjusted_close"] / 0.99)
    part = loaded(tmp_path, early, prices="total_return")
    np.testing.assert_allclose(whole.close[:8], part.close, rtol=1e-12)
    np.testing.assert_allclose(whole.volume[:8], part.volume, rtol=1e-12)


def test_a_mean_price_of_trades_is_grown_as_the_close_is(tmp_path):
    rows = raw_bars()
    panel = loaded(tmp_path, rows.assign(vwap=rows["close"]), prices="total_return")
    np.testing.assert_allclose(panel.exogenous["vwap"], panel.close, rtol=1e-15)


def through_a_lake(folder):
    """The same bars as traded, with the splits and dividends that a vendor answers, read from a lake."""
    rows = raw_bars().drop(columns="adjusted_close").set_index("timestamp")
    rows.index = pd.DatetimeIndex(rows.index, tz="UTC").as_unit("ns")
    first, stop = rows.index[0], rows.index[-1] + pd.Timedelta("1D")
    lake, name = Lake(str(folder)), {"bar_seconds": 86400, "adjustment": "raw", "symbol": "X"}
    lake.store(
        Series(source="made", **name),
        BarRequest(start_utc=first, stop_utc=stop, **name),
        Delivery(rows=rows, source_uri="made:/X", calls=1),
        now_utc=pd.Timestamp("2024-03-01", tz="UTC"),
        settle_seconds=0,
        calendar="24/7",
    )
    dates = [moment.date() for moment in rows.index]
    paid = [
        Dividend(symbol="X", ex_date=dates[at], cash_per_share=cash, currency="USD", split_adjusted=False)
        for at, cash in DIVIDENDS.items()
    ]
    split = Split(symbol="X", ex_date=dates[SPLIT_AT], new_shares=4.0, old_shares=1.0)
    write_actions(lake.files, "made", "X", dates[0], dates[-1], [split], paid)
    source = {"lake": str(folder), "source_name": "made", "bar": "1d", "made_from": None, "adjustment": "raw"}
    window = {"calendar": None, "as_of": None, "symbols": (), "start_utc": None, "stop_utc": None}
    return load(LakeConfig(**source, **window, prices="total_return")).panel


def test_through_a_lake_it_earns_the_total_return_and_pays_for_real_shares(tmp_path):
    panel = through_a_lake(tmp_path)
    recording = held(panel)
    assert recording.equity[-1] == pytest.approx(total_return_by_hand(), rel=1e-12)
    bought, sold = 25.0, total_return_by_hand() / 104.0
    np.testing.assert_allclose(held(panel, 0.01).costs[:, 0].sum(), 0.01 * (bought + sold), rtol=1e-9)
    # And they are the prices that adjusted closes of the same actions give.
    (tmp_path / "files").mkdir()
    files = loaded(tmp_path / "files", raw_bars(), prices="total_return")
    np.testing.assert_allclose(panel.close, files.close, rtol=1e-12)
    np.testing.assert_allclose(panel.exogenous["split_factor"], files.exogenous["split_factor"], rtol=1e-12)


def test_total_return_needs_adjusted_closes(tmp_path):
    with pytest.raises(ValueError, match="X has no adjusted closes, which data.prices=total_return needs"):
        loaded(tmp_path, raw_bars().drop(columns="adjusted_close"), prices="total_return")
