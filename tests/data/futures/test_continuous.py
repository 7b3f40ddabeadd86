"""Dated contracts become one series: rolled by what was known, adjusted forward, with the way back to traded prices."""

import numpy as np
import pandas as pd
import pytest
from contract_files import config_of, contract, futures, march_and_june, read, written

from data.errors import DataError
from data.features import FeatureSpec, compute_features
from data.schema import PRICE_COLUMNS
from data.traded_prices import OFFSET, ROLL, SCALE, as_traded, traded_prices

SPECS = [FeatureSpec(name="log_return", params={"horizon_bars": 1})]


def rolled_on(dataset, symbol="ES"):
    panel = dataset.panel
    rows = np.flatnonzero(np.isfinite(panel.exogenous[ROLL][:, panel.symbols.index(symbol)]))
    return [str(panel.bar_utc[row].astype("datetime64[D]")) for row in rows]


def test_the_contract_is_left_the_day_after_another_was_traded_more(tmp_path):
    # Of June 900 were traded on the 8th, of March 400: in June from the 9th on.
    dataset = read(march_and_june(tmp_path), futures())
    assert dataset.panel.symbols == ("ES",)
    assert rolled_on(dataset) == ["2024-03-09"]
    assert any("ESH4 to ESM4 at 2024-03-09 00:00 (5116 to 5176)" in r for r in dataset.hygiene.remarks)


def test_what_was_traded_on_the_day_of_the_roll_does_not_decide_it(tmp_path):
    folder = march_and_june(tmp_path)
    rows = pd.read_csv(folder / "ESM4.csv")
    rows.loc[rows["timestamp"] == "2024-03-09", "volume"] = 1
    rows.to_csv(folder / "ESM4.csv", index=False)
    assert rolled_on(read(folder, futures())) == ["2024-03-09"]


def test_a_delay_of_two_sessions_waits_for_another_day(tmp_path):
    assert rolled_on(read(march_and_june(tmp_path), futures(delay=2))) == ["2024-03-10"]


def test_days_before_expiry_are_business_days(tmp_path):
    # Friday the 15th less three: Tuesday the 12th.
    assert rolled_on(read(march_and_june(tmp_path), futures("days_before_expiry", days=3))) == ["2024-03-12"]
    assert rolled_on(read(tmp_path, futures("days_before_expiry", days=5))) == ["2024-03-08"]
    assert rolled_on(read(tmp_path, futures("days_before_expiry", days=0))) == ["2024-03-15"]


def test_open_interest_decides_as_volume_does(tmp_path):
    folder = march_and_june(tmp_path)
    for symbol, more_from in (("ESH4", "2024-03-31"), ("ESM4", "2024-03-06")):
        rows = pd.read_csv(folder / f"{symbol}.csv")
        rows["open_interest"] = np.where(rows["timestamp"] >= more_from, 900.0, 300.0)
        rows.to_csv(folder / f"{symbol}.csv", index=False)
    assert rolled_on(read(folder, futures("open_interest"))) == ["2024-03-07"]


def test_a_contract_that_stays_the_most_traded_is_left_on_its_last_day(tmp_path):
    march = contract("2024-03-01", [5100.0] * 15, 1000)
    june = contract("2024-03-01", [5160.0] * 20, 10)
    assert rolled_on(read(written(tmp_path, ESH4=march, ESM4=june), futures())) == ["2024-03-15"]


def test_by_volume_a_month_that_is_hardly_traded_is_passed_over(tmp_path):
    rows = {
        "GCG4": contract("2024-01-01", [2000.0] * 25, [100] * 20 + [10] * 5),
        "GCH4": contract("2024-01-01", [2005.0] * 25, 1),
        "GCJ4": contract("2024-01-01", [2010.0] * 25, [5] * 20 + [90] * 5),
    }
    dataset = read(written(tmp_path, **rows), futures(), symbols=("GC",))
    assert rolled_on(dataset, "GC") == ["2024-01-22"]
    assert any("GCG4 to GCJ4" in remark for remark in dataset.hygiene.remarks)
    assert "GC: never held were GCH4" in dataset.hygiene.remarks


@pytest.mark.parametrize(("adjust", "june"), [("difference", 5116.0), ("ratio", 5116.0), ("none", 5176.0)])
def test_features_see_no_step_but_with_none_and_the_first_contract_stands_as_it_was(tmp_path, adjust, june):
    panel = read(march_and_june(tmp_path), futures(adjust=adjust)).panel
    np.testing.assert_array_equal(panel.open[:8, 0], 5100.0 + 2.0 * np.arange(8))
    assert panel.open[8, 0] == pytest.approx(june, rel=1e-15)
    later = {"difference": 5118.0, "ratio": 5178.0 * 5116.0 / 5176.0, "none": 5178.0}[adjust]
    assert panel.open[9, 0] == pytest.approx(later, rel=1e-14)


@pytest.mark.parametrize("adjust", ["difference", "ratio", "none"])
def test_a_mean_price_of_trades_keeps_its_place_beside_the_close(tmp_path, adjust):
    both = {"ESH4": contract("2024-03-01", [5100.0] * 15, [1000] * 7 + [400] * 8)}
    both["ESM4"] = contract("2024-03-03", [5160.0] * 18, [100] * 5 + [900] * 13)
    both = {symbol: rows.assign(vwap=rows["close"]) for symbol, rows in both.items()}
    panel = read(written(tmp_path, **both), futures(adjust=adjust)).panel
    assert np.isfinite(panel.exogenous[ROLL]).any()
    np.testing.assert_array_equal(panel.exogenous["vwap"], panel.close)


@pytest.mark.parametrize("adjust", ["difference", "ratio", "none"])
def test_the_way_back_gives_the_prices_of_the_contracts_to_the_bit(tmp_path, adjust):
    rng = np.random.default_rng(3)
    march = contract("2024-03-01", np.round(rng.uniform(50, 90, 15), 2), [1000] * 7 + [400] * 8)
    june = contract("2024-03-03", np.round(rng.uniform(50, 90, 18), 2), [100] * 5 + [900] * 13)
    for rows in (march, june):
        rows[list(PRICE_COLUMNS)] = rows[list(PRICE_COLUMNS)].round(2)
    panel = read(written(tmp_path, ESH4=march, ESM4=june), futures(adjust=adjust)).panel
    for name in PRICE_COLUMNS:
        expected = [*march[name][:8], *june[name][6:]]
        np.testing.assert_array_equal(traded_prices(panel)[name][:, 0], expected)
    assert panel.exogenous[ROLL][8, 0] == march["open"][8]
    np.testing.assert_array_equal(panel.volume[:, 0], [*march["volume"][:8], *june["volume"][6:]])
    assert as_traded(panel).exogenous.keys() == {ROLL}


@pytest.mark.parametrize("rule", ["volume", "days_before_expiry"])
@pytest.mark.parametrize("adjust", ["difference", "ratio"])
def test_what_is_past_never_changes_when_bars_are_added(tmp_path, rule, adjust):
    """Whatever comes later, later rolls included: the panel up to a day is what it was on that day."""
    rng = np.random.default_rng(5)
    days, names = 150, ("ESH4", "ESM4", "ESU4")
    most = np.searchsorted([10, 105], np.arange(days), side="right")  # of which contract most is traded
    rows = {
        name: contract(
            "2024-03-01",
            5000 + 50 * k + rng.normal(0, 5, days).cumsum(),
            rng.integers(1, 99, days) + 200 * (most == k),
        )
        for k, name in enumerate(names)
    }
    ends = {"ESH4": "2024-03-15", "ESM4": "2024-06-21", "ESU4": "2024-09-20"}
    rows = {name: own[own["timestamp"] <= ends[name]] for name, own in rows.items()}
    whole = read(written(tmp_path / "all", **rows), futures(rule, adjust=adjust)).panel
    features = compute_features(whole, SPECS)
    assert np.isfinite(whole.exogenous[ROLL]).sum() >= 2
    for stop in ("2024-03-10", "2024-03-14", "2024-04-01", "2024-06-20", "2024-07-01"):
        known = {name: own[own["timestamp"] < stop] for name, own in rows.items()}
        part = read(written(tmp_path / stop, **known), futures(rule, adjust=adjust)).panel
        count = part.num_bars
        for name in (*PRICE_COLUMNS, "volume", "tradable"):
            np.testing.assert_array_equal(getattr(part, name), getattr(whole, name)[:count])
        for name, values in part.exogenous.items():
            np.testing.assert_array_equal(values, whole.exogenous[name][:count])
        np.testing.assert_array_equal(compute_features(part, SPECS).asset, features.asset[:count])


def test_a_window_does_not_move_the_series(tmp_path):
    folder = march_and_june(tmp_path)
    whole, part = read(folder, futures()).panel, read(folder, futures(), start_utc="2024-03-12").panel
    np.testing.assert_array_equal(part.close, whole.close[-part.num_bars :])


def test_a_roll_waits_for_the_first_bar_in_which_both_contracts_are_traded(tmp_path):
    folder = march_and_june(tmp_path)
    rows = pd.read_csv(folder / "ESM4.csv")
    rows[rows["timestamp"] != "2024-03-12"].to_csv(folder / "ESM4.csv", index=False)
    assert rolled_on(read(folder, futures("days_before_expiry", days=3))) == ["2024-03-13"]


def test_contracts_that_do_not_overlap_are_refused(tmp_path):
    folder = written(
        tmp_path, ESH4=contract("2024-03-01", [5100.0] * 10, 1), ESM4=contract("2024-03-11", [5160.0] * 20, 1)
    )
    with pytest.raises(DataError, match="ESH4 cannot be rolled into ESM4.*no traded bar in common"):
        read(folder, futures())


def test_bars_after_the_last_trading_day_are_refused(tmp_path):
    folder = written(tmp_path, ESH4=contract("2024-03-01", [5100.0] * 20, 1))
    with pytest.raises(DataError, match="ESH4 has bars until 2024-03-20.*last trading day was 2024-03-15"):
        read(folder, futures())


def test_a_root_that_is_not_known_needs_its_last_trading_days(tmp_path):
    rows = {"XYZH4": contract("2024-03-01", [10.0] * 11, 9), "XYZM4": contract("2024-03-01", [11.0] * 20, 5)}
    folder = written(tmp_path, **rows)
    with pytest.raises(
        DataError, match="last trading day of XYZH4 is not known.*data.futures.expiries.XYZH4"
    ):
        read(folder, futures(), symbols=("XYZ",))
    stated = futures(expiries={"XYZH4": "2024-03-11", "XYZM4": "2024-06-11"})
    assert rolled_on(read(folder, stated, symbols=("XYZ",)), "XYZ") == ["2024-03-11"]


def test_one_digit_of_a_year_is_the_contract_that_came_next(tmp_path):
    march, june = contract("2014-03-01", [1850.0] * 21, 9), contract("2014-03-01", [1845.0] * 30, 5)
    dataset = read(written(tmp_path, ESH4=march, ESM4=june), futures())
    assert rolled_on(dataset) == ["2014-03-21"]


def test_other_symbols_stand_beside_the_series(tmp_path):
    folder = march_and_june(tmp_path)
    written(folder, SPY=contract("2024-03-01", [510.0] * 20, 7))
    panel = read(folder, futures(), symbols=("SPY", "ES")).panel
    assert panel.symbols == ("SPY", "ES")
    np.testing.assert_array_equal(traded_prices(panel)["open"][:, 0], 510.0)
    assert read(folder, futures(), symbols=()).panel.symbols == ("ES", "SPY")
    assert read(folder, futures(None), symbols=()).panel.symbols == ("ESH4", "ESM4", "SPY")
    with pytest.raises(DataError, match="'NQ' is neither a symbol .* nor the root"):
        read(folder, futures(), symbols=("NQ",))


def test_a_repair_that_takes_the_bar_of_a_roll_out_is_refused(tmp_path):
    from dataclasses import replace

    from data.repair_decisions import Repairs

    folder = march_and_june(tmp_path)
    for symbol in ("ESH4", "ESM4"):
        rows = pd.read_csv(folder / f"{symbol}.csv")
        keep = ~rows["timestamp"].isin(["2024-03-08" if symbol == "ESH4" else "", "2024-03-10"])
        rows[keep].to_csv(folder / f"{symbol}.csv", index=False)
    config = replace(config_of(folder, futures()), repair=Repairs(island_bars=2))
    with pytest.raises(DataError, match="ES is rolled in the bar of 2024-03-09.*repair took out"):
        config.read()


def test_ratios_of_prices_at_zero_and_below_are_refused(tmp_path):
    rows = {
        "CLK20": contract("2020-04-10", [20.0] * 10 + [-37.0, 9.0], 900),
        "CLM20": contract("2020-04-10", [25.0] * 25, 5),
    }
    folder = written(tmp_path, **rows)
    by_days = futures("days_before_expiry", days=1, adjust="ratio")
    with pytest.raises(DataError, match="have no ratio"):
        read(folder, by_days, symbols=("CL",))


def test_a_note_held_past_its_first_notice_day_is_told(tmp_path):
    rows = {
        "ZNH4": contract("2024-02-20", [110.0] * 29, 900),
        "ZNM4": contract("2024-02-20", [111.0] * 35, 5),
    }
    dataset = read(written(tmp_path, **rows), futures("days_before_expiry", days=5), symbols=("ZN",))
    assert any("after its first notice day 2024-02-29" in remark for remark in dataset.hygiene.remarks)


def test_columns_of_difference_and_ratio_are_the_steps_added_up(tmp_path):
    folder = march_and_june(tmp_path)
    difference = read(folder, futures()).panel.exogenous[OFFSET][:, 0]
    np.testing.assert_array_equal(difference, [0.0] * 8 + [60.0] * 12)
    ratio = read(folder, futures(adjust="ratio")).panel.exogenous[SCALE][:, 0]
    np.testing.assert_array_equal(ratio, [1.0] * 8 + [5176.0 / 5116.0] * 12)
