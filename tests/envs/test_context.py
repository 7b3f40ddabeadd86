"""ATR, volatility and average volume against pandas and numbers worked out by hand: late listings, gaps, halts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from random_markets import (
    PLAIN,
    build_market,
    free_instruments,
    random_features,
    random_panel,
    with_life,
    with_parts,
)
from test_by_hand import hand_panel

from envs.barriers import BarrierConfig
from envs.context import ContextConfig
from envs.episodes import Window
from envs.kernel import columns as c
from envs.market import Market
from envs.portfolio import PortfolioVectorEnv
from envs.rules import context_in_use

WINDOWS = ContextConfig(atr_bars=3, volatility_bars=3, adv_bars=3, until_full="no_entry")
NAN = float("nan")
COLUMNS = {"atr": c.ATR, "volatility": c.VOLATILITY, "adv": c.ADV}


def context_of(panel, config=WINDOWS):
    """Name -> (T - 1, S): what is known at the close of each bar but the last."""
    market = Market.build(panel, random_features(panel), free_instruments(panel), config)
    return {name: market.bars[1:, :, column] for name, column in COLUMNS.items()}


def by_pandas(panel, asset, atr_bars, volatility_bars, adv_bars):
    """The three columns of one asset at the close of each bar, by definition, from the rows in which it traded."""
    names = ("open", "high", "low", "close", "volume")
    rows = pd.DataFrame({name: getattr(panel, name)[:, asset] for name in names})
    last = rows.close.ffill().shift()
    copies = (rows[["open", "high", "low", "close"]].eq(last, axis=0)).all(axis=1) & (rows.volume == 0)
    bars = rows[rows.close.notna() & ~copies]
    before = bars.close.shift()
    ranges = pd.concat([bars.high - bars.low, (bars.high - before).abs(), (bars.low - before).abs()], axis=1)
    ranges = ranges.max(axis=1).where(
        before.notna()
    )  # Wilder (1978): no true range without a close before it
    atr = ranges.rolling(atr_bars).mean()
    sigma = np.log(bars.close).diff().rolling(volatility_bars).std(ddof=0)
    volume = rows.volume[rows.close.notna().cummax()].rolling(adv_bars, min_periods=1).mean()
    enough = rows.close.notna() & ~copies
    volume = volume.where((enough.cumsum() >= adv_bars) & (volume > 1e-9)).reindex(rows.index).ffill()
    per_session = np.median(np.unique(panel.session, return_counts=True)[1])
    return {
        "atr": atr.reindex(rows.index).ffill(),
        "volatility": sigma.reindex(rows.index).ffill(),
        "adv": volume * per_session,
    }


@pytest.mark.parametrize("windows", [(5, 6, 7), (2, 3, 2), (20, 11, 16)])
@pytest.mark.parametrize("seed", range(6))
def test_context_equals_pandas_on_late_listings_gaps_halts_and_ends(seed, windows):
    panel = random_panel(seed, num_bars=120, num_assets=3, holes=0.15)
    panel = with_life(panel, 1, listed=17 + seed, halts=True)
    panel = with_life(panel, 2, listed=60, ended=100)
    config = ContextConfig(
        atr_bars=windows[0], volatility_bars=windows[1], adv_bars=windows[2], until_full="no_entry"
    )
    got = context_of(panel, config)
    for asset in range(3):
        for name, wanted in by_pandas(panel, asset, *windows).items():
            np.testing.assert_allclose(
                got[name][:, asset], wanted.to_numpy()[:-1], rtol=1e-9, atol=1e-12, err_msg=f"{name} {asset}"
            )


def test_windows_of_more_than_512_bars_are_the_same_means_too():
    panel = with_life(random_panel(3, num_bars=1500, num_assets=2), 1, listed=200)
    got = context_of(
        panel, ContextConfig(atr_bars=600, volatility_bars=550, adv_bars=700, until_full="no_entry")
    )
    for asset in range(2):
        for name, wanted in by_pandas(panel, asset, 600, 550, 700).items():
            np.testing.assert_allclose(got[name][:, asset], wanted.to_numpy()[:-1], rtol=1e-8, atol=1e-12)


def late_listing():
    """Listed in bar 4: closes 100, 102, 101, 103, 103; every bar reaches 1 beyond its open and close."""
    bars = [(NAN,) * 4] * 4
    bars += [
        (100, 101, 99, 100),
        (100, 103, 99, 102),
        (102, 103, 100, 101),
        (101, 104, 100, 103),
        (103, 104, 102, 103),
    ]
    bars += [(103, 104, 102, 103)] * 3
    known = np.isfinite([bar[3] for bar in bars])
    return hand_panel(bars, volume=np.where(known, 600.0, 0.0), tradable=known)


def test_a_late_listings_atr_begins_with_its_own_bars():
    # True ranges of bars 5, 6, 7, 8: 4, 3, 4, 2; the first bar, 4, has no close before it. Nothing is known before
    # three ranges are there: (4 + 3 + 4) / 3 at close 7, (3 + 4 + 2) / 3 at close 8.
    atr = context_of(late_listing())["atr"][:, 0]
    assert np.isnan(atr[:7]).all()
    np.testing.assert_allclose(atr[7:9], [11 / 3, 3.0])


def test_a_late_listings_volatility_and_volume_leave_out_what_was_before_it():
    known = context_of(late_listing())
    returns = np.log([102 / 100, 101 / 102, 103 / 101])
    assert np.isnan(known["volatility"][:7, 0]).all()
    np.testing.assert_allclose(known["volatility"][7, 0], np.std(returns))
    # Three bars of 600 units at close 6; a session has 12 bars.
    assert np.isnan(known["adv"][:6, 0]).all()
    np.testing.assert_allclose(known["adv"][6:8, 0], 600 * 12)


@pytest.mark.parametrize("written_down", [True, False])
def test_a_halt_has_no_range_whether_the_vendor_leaves_it_out_or_copies_the_last_close(written_down):
    # True ranges of 2, 2, 2 before a halt of three bars and of 104 - 100 = 4 after it: (2 + 2 + 4) / 3.
    bar, halted = (100, 101, 99, 100), (100,) * 4 if written_down else (NAN,) * 4
    panel = hand_panel(
        [bar] * 5 + [halted] * 3 + [(103, 104, 102, 103)] * 2,
        volume=[100.0] * 5 + [0.0] * 3 + [100.0] * 2,
        tradable=[1] * 5 + [0] * 3 + [1] * 2,
    )
    known = context_of(panel)
    np.testing.assert_allclose(known["atr"][4:9, 0], [2, 2, 2, 2, 8 / 3])
    np.testing.assert_allclose(known["volatility"][8, 0], np.std([0, 0, np.log(1.03)]))
    # Nothing traded in the halt: (100 + 0 + 0) / 3 in its second bar; after three such bars the last mean stands.
    np.testing.assert_allclose(known["adv"][4:9, 0] / 10, [100, 200 / 3, 100 / 3, 100 / 3, 100 / 3])


def test_a_shorter_window_counts_the_bars_that_are_there():
    known = context_of(late_listing(), replace(WINDOWS, until_full="shorter_window"))
    assert np.isnan(known["atr"][:5, 0]).all()
    np.testing.assert_allclose(known["atr"][5:8, 0], [4.0, 3.5, 11 / 3])
    assert np.isnan(known["volatility"][:6, 0]).all()  # one return has no spread
    np.testing.assert_allclose(known["volatility"][6, 0], np.std(np.log([1.02, 101 / 102])))
    np.testing.assert_allclose(known["adv"][4:7, 0], 7200)


def play(config, context, start=4):
    """Long in the late listing from the first decision on; returns units held after each bar, and allowed actions."""
    panel = late_listing()
    market = Market.build(panel, random_features(panel), free_instruments(panel), context)
    windows = [Window(start_bar=start, stop_bar=panel.num_bars)]
    env = PortfolioVectorEnv(market, config, num_envs=1, windows=windows, seed=0)
    env.set_logging(True)
    env.reset()
    held, allowed = [], []
    for _ in range(panel.num_bars - start):
        allowed.append(env.action_masks()[0, 0].tolist())
        env.step(np.full((1, 1), 2))
        held.append(env.decision_log[0, 0, c.LOG_UNITS])
    return held, allowed


ATR_STOP = BarrierConfig(
    unit="atr", profit_target=None, stop_loss=2.0, trailing_stop=None, time_limit_bars=None
)
READERS = {
    "size in ATR": {"sizing": {"rule": "atr_risk"}},
    "size by volatility": {"sizing": {"rule": "volatility_target"}},
    "stop in ATR": {"barriers": ATR_STOP},
    "impact": {"costs": {"impact_coefficient": 1.0}},
}


@pytest.mark.parametrize("reads", READERS)
def test_nothing_is_opened_while_what_its_size_barrier_or_impact_reads_is_unknown(reads):
    # All three windows are full at close 7, so that the first fill is at the open of bar 8: the fifth of bars 4, 5, ...
    config = with_parts(PLAIN, **READERS[reads], episode={"liquidate_at_end": False})
    held, allowed = play(config, WINDOWS)
    assert held[:4] == [0.0] * 4
    assert all(units > 0 for units in held[4:])
    assert allowed[:4] == [[False, True, False]] * 4
    assert allowed[4] == [True, True, True]


def test_a_config_that_reads_no_window_trades_from_the_first_bar():
    # The first bar of the listing is bar 4, known at its close, so the fill is in bar 5.
    held, _ = play(with_parts(PLAIN, episode={"liquidate_at_end": False}), WINDOWS)
    assert [units > 0 for units in held] == [False, *[True] * 7]


def test_the_config_may_let_what_bars_there_are_count():
    config = with_parts(PLAIN, sizing={"rule": "atr_risk"}, episode={"liquidate_at_end": False})
    held, _ = play(config, replace(WINDOWS, until_full="shorter_window"))
    # Known at close 5 (one range of 4): 10,000 x 1 % / 4 = 25 units in bar 6.
    assert held[:2] == [0.0] * 2
    np.testing.assert_allclose(held[2], 25.0)


def test_target_weights_with_stops_in_atr_wait_for_the_atr_too():
    config = with_parts(PLAIN, action={"scheme": "weights"}, barriers=ATR_STOP)
    panel = late_listing()
    market = Market.build(panel, random_features(panel), free_instruments(panel), WINDOWS)
    env = PortfolioVectorEnv(market, config, num_envs=1, windows=[Window(start_bar=4, stop_bar=12)], seed=0)
    env.reset()
    held = []
    for _ in range(6):
        env.step(np.array([[0.5]], np.float32))
        held.append(env.rows.position[0, 0, c.UNITS] > 0)
    assert held == [False] * 4 + [True] * 2


@pytest.mark.parametrize(
    ("parts", "lookback"),
    [
        ({"sizing": {"rule": "atr_risk"}}, 48),
        ({"barriers": ATR_STOP}, 48),
        ({"sizing": {"rule": "volatility_target"}}, 240),
        ({"costs": {"impact_coefficient": 1.0}}, 1950),
        ({"action": {"scheme": "weights"}, "sizing": {"rule": "atr_risk"}, "costs": {"impact_coefficient": 0.0}}, None),
        ({"barriers": replace(ATR_STOP, stop_loss=None, time_limit_bars=3)}, None),
    ],
)  # fmt: skip
def test_only_windows_that_are_read_are_waited_for(parts, lookback):
    panel = replace(random_panel(0), exogenous={})
    context = ContextConfig(atr_bars=48, volatility_bars=240, adv_bars=1950, until_full="no_entry")
    used = context_in_use(context, with_parts(PLAIN, **parts), panel, free_instruments(panel))
    assert (None if used is None else used.lookback_bars) == lookback


def test_a_market_without_the_window_that_a_config_reads_is_refused():
    panel = random_panel(0)
    market = Market.build(
        panel, random_features(panel), free_instruments(panel), replace(WINDOWS, volatility_bars=None)
    )
    config = with_parts(PLAIN, sizing={"rule": "volatility_target"})
    with pytest.raises(ValueError, match=r"sizing\.rule=volatility_target need ATR, .* with volatility_bars"):
        PortfolioVectorEnv(market, config, num_envs=1, windows=[Window(start_bar=9, stop_bar=20)], seed=0)


def test_an_order_that_waits_keeps_the_atr_of_its_decision():
    # Ranges of 2 up to bar 6, then wild ones of 40: decided at close 6 (ATR 2), one bar late and into bars without
    # volume until bar 10, where the ATR would be 40. The stop of 2 ATR below the entry at 100 stands at 96, not at 20.
    calm, wild = (100, 101, 99, 100), (100, 120, 80, 100)
    bars = [calm] * 7 + [wild] * 3 + [calm] * 2 + [(100, 100, 95, 95)] * 2
    panel = hand_panel(bars, tradable=[1] * 7 + [0] * 3 + [1] * 4)
    for latency in (0, 1, 2):
        config = with_parts(PLAIN, barriers=ATR_STOP, costs={"latency_bars": latency})
        market = Market.build(panel, random_features(panel), free_instruments(panel), WINDOWS)
        env = PortfolioVectorEnv(
            market, config, num_envs=1, windows=[Window(start_bar=7, stop_bar=14)], seed=0
        )
        env.set_logging(True)
        env.reset()
        fills = []
        for _ in range(6):
            env.step(np.array([[2]]))
            fills += [(fill["filled_bar"], fill["price"]) for fill in env.last_fills()]
        assert fills[:2] == [(10, 100.0), (12, 96.0)]


def test_the_context_of_the_whole_market_is_that_of_every_prefix():
    panel = with_life(
        random_panel(5, num_bars=60, num_assets=2, holes=0.2), 1, listed=20, ended=50, halts=True
    )
    columns = [
        c.ATR,
        c.VOLATILITY,
    ]  # average volume counts the bars of a session, which a prefix need not hold
    whole = build_market(panel).bars[..., columns]
    for stop in range(2, 60):
        part = build_market(panel.slice_bars(0, stop)).bars[..., columns]
        np.testing.assert_array_equal(part, whole[:stop])
