"""Limit and stop entries that rest: where they fill, at what fee, for how long, and what barriers make of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from random_markets import PLAIN, build_market, free_instruments, random_features, random_panel, with_parts
from test_by_hand import FLAT_BAR, hand_panel

from envs.barriers import BarrierConfig
from envs.episodes import Window
from envs.market import Market
from envs.portfolio import PortfolioVectorEnv
from envs.recording import Recorder

HOLD, BUY, SELL, CLOSE, BUY_LIMIT, SELL_LIMIT, BUY_STOP, SELL_STOP = range(8)
# Ticks of 0.25, one offset of 4 ticks = 1.00 from the close of 100; 10,000 x 0.5 / 100 = 50 units.
ENTRY = with_parts(
    PLAIN,
    action={"scheme": "order_entry", "entry_offsets": (4.0,), "time_in_force_bars": 2},
    sizing={"fraction": 0.5},
)


def enter(bars, actions, config=ENTRY, volume=1e6, maker=0.0, taker=0.0, hard=False):
    """Play actions on bars from bar 3 on; the three before are flat at 100."""
    panel = hand_panel([FLAT_BAR] * 3 + bars, volume=volume)
    facts = {"tick_size": 0.25, "maker_fee_bps": maker, "taker_fee_bps": taker, "hard_to_borrow": hard}
    instruments = {"X": replace(free_instruments(panel)["X"], **facts)}
    market = Market.build(panel, random_features(panel), instruments)
    windows = [Window(start_bar=3, stop_bar=panel.num_bars)]
    env = PortfolioVectorEnv(market, config, num_envs=1, windows=windows, seed=0)
    recorder = Recorder(env)
    env.reset()
    for action in actions:
        env.step(np.array([[action]]))
    return recorder.recordings()[0]


STILL = (100.0, 100.0, 100.0, 100.0)


@pytest.mark.parametrize(
    ("action", "bar", "price", "reason"),
    [
        (BUY_LIMIT, (100, 100.5, 98.75, 99.5), 99.0, "limit_entry"),  # one tick through 99
        (BUY_LIMIT, (100, 100.5, 99.0, 99.5), None, None),  # touched, but nobody has to have sold to us
        (BUY_LIMIT, (98.5, 99, 98.5, 99), 98.5, "signal"),  # the open is better already: taken there
        (SELL_LIMIT, (100, 101.25, 100, 101), 101.0, "limit_entry"),
        (SELL_LIMIT, (100, 101.0, 100, 101), None, None),
        (BUY_STOP, (100, 101.0, 100, 101), 101.0, "stop_entry"),  # a touch is enough against us
        (BUY_STOP, (102, 103, 102, 103), 102.0, "signal"),  # a gap fills at the open
        (BUY_STOP, (100, 100.75, 100, 100.5), None, None),
        (SELL_STOP, (100, 100, 99.0, 99.25), 99.0, "stop_entry"),
        (SELL_STOP, (98, 98.5, 97, 98), 98.0, "signal"),
    ],
)
def test_an_entry_fills_by_the_range_of_the_next_bar(action, bar, price, reason):
    recording = enter([bar, STILL], [action, HOLD])
    entries = [(p, r) for p, r in zip(recording.fills.price, recording.fills.reason) if r != "window_end"]
    assert entries == ([] if price is None else [(price, reason)])
    if price is not None:
        side = 1.0 if action in (BUY_LIMIT, BUY_STOP) else -1.0
        assert recording.fills.units[0] == side * 50.0


def test_a_limit_pays_the_makers_fee_and_a_stop_the_takers():
    # 50 units at 99 and at 101: 4,950 at 2 bps and 5,050 at 6 bps.
    limit = enter([(100, 100, 98, 99), STILL], [BUY_LIMIT, HOLD], maker=2.0, taker=6.0)
    np.testing.assert_allclose(limit.fills.costs[0].sum(), 0.99)
    stop = enter([(100, 101, 100, 101), STILL], [BUY_STOP, HOLD], maker=2.0, taker=6.0)
    np.testing.assert_allclose(stop.fills.costs[0].sum(), 3.03)


def test_an_order_rests_for_its_time_in_force_and_no_longer():
    through = (100, 100, 98, 100)
    for wait, filled in ((1, True), (2, False)):
        recording = enter([STILL] * wait + [through, STILL], [BUY_LIMIT] + [HOLD] * (wait + 1))
        assert ("limit_entry" in recording.fills.reason) == filled
        assert recording.target_units[0, 0] == 50.0
        if not filled:
            assert recording.target_units[2, 0] == 0.0


def test_closing_cancels_what_rests_and_a_new_entry_takes_its_place():
    through = (100, 100, 98, 100)
    assert not len(enter([STILL, through, STILL], [BUY_LIMIT, CLOSE, HOLD]).fills)
    replaced = enter([STILL, (100, 101, 98, 100), STILL], [BUY_LIMIT, SELL_LIMIT, HOLD])
    assert "limit_entry" not in replaced.fills.reason  # the sale rests at 101, which is only touched
    bought = enter([STILL, through, STILL], [BUY_LIMIT, BUY, HOLD])
    assert (bought.fills.reason[0], bought.fills.price[0]) == ("signal", 100.0)


@pytest.mark.parametrize("short", [SELL, SELL_LIMIT, SELL_STOP])
@pytest.mark.parametrize("why", ["hard", "haircut", "shorts are off"])
def test_a_short_that_cannot_be_had_keeps_what_rests_while_nothing_is_held(short, why):
    # It asks for flat, which is held already: the bid at 99 goes on resting, and is hit in the second bar.
    config = ENTRY
    if why == "haircut":
        config = with_parts(ENTRY, risk={"unknown_borrow_haircut": 1.0})
    elif why == "shorts are off":
        config = with_parts(ENTRY, action={"allow_short": False})
    hard = {"hard": True, "haircut": None}.get(why, False)
    through = (100, 100, 98, 100)
    recording = enter([STILL, through, STILL], [BUY_LIMIT, short, HOLD], config, hard=hard)
    assert (recording.fills.reason[0], recording.fills.price[0]) == ("limit_entry", 99.0)
    # Where something is held it is closed at the market, and nothing rests.
    closed = enter([STILL, STILL, STILL, STILL], [BUY, short, HOLD, HOLD], config, hard=hard)
    np.testing.assert_allclose(closed.units[:, 0], [50, 0, 0, 0])
    assert closed.fills.reason.tolist() == ["signal", "signal"]


def test_a_thin_bar_fills_a_limit_in_part_and_the_rest_goes_on_resting():
    config = with_parts(ENTRY, costs={"max_participation": 0.1})
    through = (100, 100, 98, 99)
    recording = enter([through, through, STILL], [BUY_LIMIT, HOLD, HOLD], config, volume=300.0)
    assert recording.fills.units[:2].tolist() == [30.0, 20.0]
    assert recording.fills.price[:2].tolist() == [99.0, 99.0]
    dropped = with_parts(config, costs={"remainder": "drop"})
    recording = enter([through, through, STILL], [BUY_LIMIT, HOLD, HOLD], dropped, volume=300.0)
    assert recording.fills.units.tolist() == [30.0, -30.0]


def test_the_rest_of_a_triggered_stop_is_a_market_order():
    config = with_parts(ENTRY, costs={"max_participation": 0.1})
    rising, after = (100, 102, 100, 102), (102, 103, 102, 103)
    recording = enter([rising, after, STILL], [BUY_STOP, HOLD, HOLD], config, volume=300.0)
    assert recording.fills.price[:2].tolist() == [101.0, 102.0]
    assert recording.fills.reason[:2].tolist() == ["stop_entry", "signal"]


def test_in_the_bar_of_an_entry_at_a_level_the_stop_counts_and_the_target_does_not():
    levels = BarrierConfig(
        unit="percent", profit_target=1.0, stop_loss=1.0, trailing_stop=None, time_limit_bars=None
    )
    config = replace(ENTRY, barriers=levels)
    # Bought at 99: target 99.99, stop 98.01 on the tick 98.00. The high of 100 may have been before the entry.
    kept = enter([(100, 100, 98.25, 99), (99, 99.5, 98.5, 99), STILL], [BUY_LIMIT, HOLD, HOLD], config)
    assert kept.units[0, 0] == 50.0
    stopped = enter([(100, 100, 97.5, 99), STILL], [BUY_LIMIT, HOLD], config)
    assert stopped.fills.reason.tolist() == ["limit_entry", "stop_loss"]
    assert stopped.fills.price.tolist() == [99.0, 98.0]
    # Its worst and best prices are those that it has surely seen: from 99 to 98.
    np.testing.assert_allclose([stopped.trades.mfe[0], stopped.trades.mae[0]], [0.0, -50.0])
    np.testing.assert_allclose([kept.trades.mfe[0], kept.trades.mae[0]], [50.0, -25.0])


def test_nothing_rests_where_entries_are_closed():
    config = with_parts(ENTRY, risk={"no_trade_close_bars": 2})
    # Bars 3 to 6, one session: the last two, 5 and 6, may only reduce.
    recording = enter([STILL, STILL, (100, 100, 98, 99), STILL], [HOLD, BUY_LIMIT, HOLD, HOLD], config)
    assert not len(recording.fills)


def test_masks_of_resting_entries_are_those_of_their_sides():
    config = with_parts(ENTRY, action={"allow_short": False, "entry_offsets": (1.0, 2.0)})
    market = build_market(random_panel(5, num_assets=1))
    env = PortfolioVectorEnv(market, config, num_envs=1, windows=[Window(start_bar=14, stop_bar=80)], seed=0)
    env.reset()
    assert env.single_action_space.nvec.tolist() == [12]
    while not market.tradable[env.current_bar[0], 0]:
        env.step(np.array([[HOLD]]))
    assert env.action_masks()[0, 0].tolist() == [True, True, False, True] + [True, False] * 4


def test_resting_entries_with_latency_or_without_distances_are_refused():
    with pytest.raises(ValueError, match=r"costs\.latency_bars"):
        with_parts(ENTRY, costs={"latency_bars": 1})
    with pytest.raises(ValueError, match=r"entry_offsets is empty"):
        with_parts(ENTRY, action={"entry_offsets": ()})
