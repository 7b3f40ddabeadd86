"""Rolls as orders: the backtest's equity over a rolling series, two orders a roll, and any kill in between."""

from dataclasses import replace

import numpy as np
import pytest
from random_markets import PLAIN, random_panel, with_parts
from rolled_account import FEE_BPS, RolledAccount, series_behind
from test_by_hand import FLAT, LONG, SHORT
from test_rolls import ROLL_AT, contracts

from data.traded_prices import OFFSET, ROLL, SCALE
from envs.kernel import columns as c
from envs.live.broker import BrokerError
from envs.live.roll_rules import RollRules
from envs.live.unsendable import refuse_rolls

MARCH, JUNE = "X:202403", "X:202406"
MILLION = 1_000_000.0
HELD = with_parts(
    PLAIN,
    initial_equity=100_000.0,
    sizing={"rule": "fixed_units", "units": 2.0},
    risk={"max_gross_exposure": 20.0},
)


def small_panel(adjust="difference"):
    """Three bars of March in the session that is traded, two of June in the next; sixty points between them."""
    panel = contracts(adjust)
    return replace(panel, session=(np.arange(panel.num_bars) >= ROLL_AT).astype(np.int32))


def held_over(path, actions=(LONG,) * 5, **changes):
    panel = changes.pop("panel", None)
    panel = small_panel() if panel is None else panel
    return RolledAccount(path, panel, HELD, [[a] for a in actions], start=3, **changes)


def rolling_panel(seed=4, adjust=OFFSET):
    """Three assets, two of which are rolled at the first bars of sessions."""
    panel = random_panel(seed, num_bars=96, num_assets=3, holes=0.0, exogenous=False)
    rng = np.random.default_rng(seed)
    terms = np.zeros(panel.close.shape) if adjust == OFFSET else np.ones(panel.close.shape)
    left_at = np.full(panel.close.shape, np.nan)
    for asset, bars in ((0, (36, 72)), (2, (48,))):
        for bar in bars:
            before, opened = terms[bar, asset], panel.open[bar, asset]
            left_at[bar, asset] = opened + before if adjust == OFFSET else opened * before
            terms[bar:, asset] = (
                before + rng.uniform(-3, 3) if adjust == OFFSET else before * rng.uniform(0.97, 1.03)
            )
    return replace(panel, exogenous={adjust: terms, ROLL: left_at}).with_ends(panel.end_bar)


def random_run(path, seed=4, adjust=OFFSET, scheme="weights", **changes):
    config = with_parts(
        PLAIN, initial_equity=MILLION, action={"scheme": scheme}, risk={"max_gross_exposure": 5.0}
    )
    rng, shape = np.random.default_rng(seed), (60, 3)
    actions = rng.uniform(-1, 1, shape) if scheme == "weights" else rng.integers(0, 3, shape)
    return RolledAccount(
        path, rolling_panel(seed, adjust), config, actions.astype(np.float32), start=20, **changes
    )


def test_a_position_is_closed_in_the_old_contract_and_opened_in_the_next_at_the_opens_of_one_bar(tmp_path):
    run = held_over(tmp_path / "run")
    run.play()
    run.assert_agrees()
    assert run.rolls() == [("roll_out", MARCH, -2.0, 5006.0), ("roll_in", JUNE, 2.0, 5066.0)]
    names = [name for name, *_ in run.orders()]
    # Decided at the close of the last bar of March, 03:00: run, bar, asset, intent.
    assert names[-2:] == ["run/20210301T030000/X/roll_out", "run/20210301T030000/X/roll_in"]
    # In at 5000, March left at 5006, June from 5066 to the last close at 5072; a fee of each notional.
    fees = FEE_BPS * 1e-4 * 2 * 50.0 * (5000.0 + 5006.0 + 5066.0)
    assert run.equity[7] == pytest.approx(100_000.0 + 2 * 50.0 * (6.0 + 6.0) - fees, rel=1e-12)
    assert run.account.env.rows.position[0, 0, c.ENTRY_PRICE] == pytest.approx(5060.0)
    moves = run.moves[ROLL_AT]
    assert [(m.units, m.price, m.reason, m.place) for m in moves] == [
        (-2.0, 5006.0, c.BY_ROLL, c.OLD_CONTRACT),
        (2.0, 5066.0, c.BY_ROLL, c.NEW_CONTRACT),
    ]


@pytest.mark.parametrize("adjust", ["difference", "ratio", "none"])
@pytest.mark.parametrize(
    "actions",
    [
        (LONG,) * 5,
        (SHORT,) * 5,
        (FLAT, FLAT, FLAT, LONG, LONG),
        (LONG, LONG, LONG, SHORT, FLAT),
        (LONG, LONG, LONG, FLAT, LONG),
    ],
)
def test_the_equity_is_the_backtests_whatever_is_decided_at_the_roll(tmp_path, adjust, actions):
    run = held_over(tmp_path / "run", actions, panel=small_panel(adjust))
    run.play()
    run.assert_agrees()
    expected = run.backtest()
    for bar in (3, 4, 5, 6):  # at the end of its window the simulator closes by itself
        assert run.equity[bar] == pytest.approx(expected[bar], rel=1e-12), bar


@pytest.mark.runs
@pytest.mark.parametrize("scheme", ["weights", "direction"])
@pytest.mark.parametrize("adjust", [OFFSET, SCALE])
def test_a_venue_that_fills_all_at_the_next_open_gives_the_backtests_equity_over_rolls(
    tmp_path, scheme, adjust
):
    run = random_run(tmp_path / "run", adjust=adjust, scheme=scheme)
    run.play()
    run.assert_agrees()
    expected = run.backtest()
    assert len(run.rolls()) >= 4
    assert len(run.equity) == 60
    for bar, equity in run.equity.items():
        assert equity == pytest.approx(expected[bar], rel=1e-9), bar


@pytest.mark.runs
def test_delays_parts_and_refusals_of_legs_change_fills_and_never_the_books(tmp_path):
    rules = RollRules(roll="close_open", late_roll="roll", roll_attempts=100)
    for seed in range(4):
        run = random_run(
            tmp_path / f"run{seed}", seed, rules=rules,
            delay_bars=seed % 2, partial_share=0.4, reject_share=0.3, half_spread_bps=1.0,
        )  # fmt: skip
        run.play()
        run.assert_agrees()
        # What is held at the end is worth what was paid for it and what was earned.
        multiplier = run.account.env.instrument[0, c.MULTIPLIER]
        paid = sum(f.units * f.price * multiplier + f.commission for f in run.desk.orders.fills())
        marks = run.account.env.market.mark[run.account.bar]
        worth = 0.0
        for name, units in run.venue.contracts.units().items():
            a = run.venue.contracts.asset(name)
            held = run.venue.contracts.held(a)
            worth += units * (marks[a] + (held.offset(name) if held else 0.0)) * multiplier
        assert run.account.equity == pytest.approx(MILLION + worth - paid, rel=1e-9)


def same_end(whole, cut):
    cut.assert_agrees()
    assert sorted(cut.orders()) == sorted(whole.orders())
    assert cut.rolls() == whole.rolls()
    assert cut.equity == pytest.approx(whole.equity, rel=1e-12)
    assert cut.venue.contracts.units() == whole.venue.contracts.units()


@pytest.mark.runs
@pytest.mark.parametrize("actions", [(LONG,) * 5, (LONG, LONG, LONG, SHORT, SHORT)])
def test_a_process_that_is_killed_before_or_after_any_call_ends_as_one_that_was_not(tmp_path, actions):
    whole = held_over(tmp_path / "whole", actions)
    calls = whole.play()
    for at in range(calls):
        cut = held_over(tmp_path / f"cut{at}", actions)
        cut.play(kills=[at])
        same_end(whole, cut)


@pytest.mark.runs
def test_a_process_that_is_killed_twice_between_the_legs_ends_as_one_that_was_not(tmp_path):
    whole = held_over(tmp_path / "whole")
    calls = whole.play()
    rng = np.random.default_rng(0)
    for trial in range(12):
        cut = held_over(tmp_path / f"cut{trial}")
        cut.play(kills=[int(rng.integers(calls // 2, calls)), int(rng.integers(0, 12))])
        same_end(whole, cut)


def test_a_leg_that_is_refused_is_sent_again_at_the_next_close(tmp_path):
    run = held_over(tmp_path / "run")
    run.refusals["roll_in"] = 1
    run.play()
    run.assert_agrees()
    assert [name.rpartition("/")[2] for name, *_ in run.orders()] == [
        "target",
        "roll_out",
        "roll_in",
        "roll_in",
    ]
    # Out at 5006, in again at the open of the bar after: 5070 instead of 5066.
    assert run.rolls() == [("roll_out", MARCH, -2.0, 5006.0), ("roll_in", JUNE, 2.0, 5070.0)]
    fees = FEE_BPS * 1e-4 * 2 * 50.0 * (5000.0 + 5006.0 + 5070.0)
    assert run.equity[7] == pytest.approx(100_000.0 + 2 * 50.0 * (6.0 + 2.0) - fees, rel=1e-12)
    # At the close between the legs nothing was held: what March brought, whatever June did.
    fees = FEE_BPS * 1e-4 * 2 * 50.0 * (5000.0 + 5006.0)
    assert run.equity[6] == pytest.approx(100_000.0 + 2 * 50.0 * 6.0 - fees, rel=1e-12)


def test_trading_stops_with_what_is_left_named_where_a_leg_is_refused_too_often(tmp_path):
    rules = RollRules(roll="close_open", late_roll="roll", roll_attempts=1)
    run = held_over(tmp_path / "run", rules=rules)
    run.refusals["roll_in"] = 5
    with pytest.raises(
        BrokerError, match=r"2 were closed and are not open in X:202406.*1 closes in a row.*resume"
    ):
        run.play()
    out = held_over(tmp_path / "out", rules=rules)
    out.refusals["roll_out"] = 5
    with pytest.raises(BrokerError, match=r"2 are still in X:202403"):
        out.play()


def test_a_position_that_stays_in_the_old_contract_is_worth_what_that_one_is(tmp_path):
    run = held_over(tmp_path / "run")
    run.refusals["roll_out"] = 1
    run.play()
    run.assert_agrees()
    # Left at the open after, where March is taken to lie sixty points under June: at 5010, June from 5070.
    assert run.rolls() == [("roll_out", MARCH, -2.0, 5010.0), ("roll_in", JUNE, 2.0, 5070.0)]
    fees = FEE_BPS * 1e-4 * 2 * 50.0
    # June closes at 5070 in the bar of the roll, March then at 5010.
    assert run.equity[6] == pytest.approx(100_000.0 + 2 * 50.0 * 10.0 - fees * 5000.0, rel=1e-12)
    expected = 100_000.0 + 2 * 50.0 * (10.0 + 2.0) - fees * (5000.0 + 5010.0 + 5070.0)
    assert run.equity[7] == pytest.approx(expected, rel=1e-12)


def test_what_a_roll_has_closed_and_the_policy_leaves_is_not_opened_again(tmp_path):
    run = held_over(tmp_path / "run", (LONG, LONG, LONG, LONG, FLAT))
    run.refusals["roll_in"] = 5
    run.play()
    run.assert_agrees()
    assert run.rolls() == [("roll_out", MARCH, -2.0, 5006.0)]
    fees = FEE_BPS * 1e-4 * 2 * 50.0 * (5000.0 + 5006.0)
    assert run.equity[7] == pytest.approx(100_000.0 + 2 * 50.0 * 6.0 - fees, rel=1e-12)
    assert run.account.units.tolist() == [0.0]


def late_series(panel):
    """As a source tells it that did not know before the session that a roll was due."""
    return [series_behind(panel, 0, due={1: 0})]


def test_a_roll_that_was_not_known_in_time_is_made_at_the_next_close(tmp_path, caplog):
    panel = small_panel()
    run = held_over(tmp_path / "run", panel=panel, series=late_series(panel))
    run.play()
    run.assert_agrees()
    assert run.rolls() == [("roll_out", MARCH, -2.0, 5010.0), ("roll_in", JUNE, 2.0, 5070.0)]
    assert (
        "X: 2 are held in X:202403, which the bars have left for X:202406; they are rolled now" in caplog.text
    )


def test_a_late_roll_ends_in_one_sentence_where_the_rules_say_so(tmp_path):
    panel, rules = small_panel(), RollRules(roll="close_open", late_roll="stop", roll_attempts=3)
    run = held_over(tmp_path / "run", panel=panel, series=late_series(panel), rules=rules)
    with pytest.raises(BrokerError, match=r"X: 2 are held in X:202403.*broker\.late_roll=roll"):
        run.play()
    assert run.rolls() == []
    run.rules = replace(rules, late_roll="roll")
    run.play()  # another process, that may
    run.assert_agrees()
    assert run.rolls() == [("roll_out", MARCH, -2.0, 5010.0), ("roll_in", JUNE, 2.0, 5070.0)]


def test_a_source_that_takes_a_roll_back_moves_no_position_back(tmp_path):
    # June is due in the session after the bars of March, and the bars never show it.
    panel = small_panel("none")
    panel = replace(panel, exogenous={ROLL: np.full(panel.close.shape, np.nan)})
    (series,) = [series_behind(small_panel("none"), 0)]
    shown = replace(series, rolls=(), due={0: 0, 1: 1})
    run = held_over(tmp_path / "run", panel=panel, series=[shown])
    run.play()
    assert [leg[:2] for leg in run.rolls()] == [("roll_out", MARCH)]  # June opens nowhere in these bars
    assert run.venue.contracts.contract(0) == JUNE


def test_a_contract_that_nobody_knows_is_not_rolled_into(tmp_path):
    run = held_over(tmp_path / "run")
    begin = run.begin

    def begun(killer=None):
        begin(killer)
        run.venue.contracts._at_venue = frozenset({MARCH})

    run.begin = begun
    with pytest.raises(BrokerError, match=r"is to be held in X:202406.*after this loop began"):
        run.play()


def test_bars_that_roll_are_refused_where_the_rules_or_the_source_do_not_allow_it():
    panel = small_panel()
    with pytest.raises(BrokerError, match=r"broker\.roll=close_open"):
        refuse_rolls(panel)
    with pytest.raises(BrokerError, match=r"broker\.roll is spread"):
        refuse_rolls(panel, RollRules(roll="spread"))
    rules = RollRules(roll="close_open")
    with pytest.raises(BrokerError, match="bars of X roll, and their source does not say"):
        refuse_rolls(panel, rules, [])
    refuse_rolls(panel, rules, [series_behind(panel, 0)])
    refuse_rolls(replace(panel, exogenous={}))
    with pytest.raises(ValueError, match="roll_attempts is 0"):
        RollRules(roll="close_open", roll_attempts=0)
