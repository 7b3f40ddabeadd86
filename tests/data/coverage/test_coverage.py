"""Bars are known again under another name, bar length, order or start, and other bars are not taken for them."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from data.coverage.coverage import Coverage, SymbolCoverage, same_instrument
from data.coverage.price_sketch import plain_name
from data.schema import Panel

DAY = 86_400


def walk(seed: int, num_bars: int, bar_seconds: int, symbols=("BTC", "ETH"), start="2020-01-01") -> Panel:
    random = np.random.default_rng(seed)
    steps = 0.002 * random.standard_normal((num_bars, len(symbols)))
    close = 100.0 * np.exp(np.cumsum(steps, axis=0))
    return panel_of(close, bar_seconds, symbols, start)


def panel_of(close, bar_seconds, symbols, start) -> Panel:
    """Bars that open at the last close and reach a little beyond both."""
    opened = np.concatenate([close[:1] * 1.001, close[:-1]])
    wick = 1.0 + 0.001 * np.abs(np.sin(close * 1e4))
    bar_utc = np.datetime64(start, "ns") + np.arange(len(close)) * np.timedelta64(bar_seconds, "s")
    return Panel(
        symbols=symbols,
        bar_utc=bar_utc,
        open=opened,
        high=np.maximum(opened, close) * wick,
        low=np.minimum(opened, close) / wick,
        close=close,
        volume=np.ones_like(close),
        tradable=np.ones(close.shape, dtype=bool),
        session=bar_utc.astype("datetime64[D]").astype(np.int32),
        calendar="24/7",
        bar_seconds=bar_seconds,
    )


def coarser(panel: Panel, factor: int) -> Panel:
    """Every `factor` bars as one; the closes are those of the last of them."""
    closes = panel.close[factor - 1 :: factor]
    return panel_of(closes, panel.bar_seconds * factor, panel.symbols, panel.bar_utc[0])


def renamed(panel: Panel, *symbols: str) -> Panel:
    return replace(panel, symbols=symbols)


FINE = walk(1, 48 * 120, 1800)
SEEN = Coverage.of(FINE, slice(480, 2400), source="files: a")


def covered_bars(panel: Panel) -> np.ndarray:
    return SEEN.covered(panel, source="files: b").all(axis=1)


def test_a_panel_is_covered_exactly_where_its_bars_were_looked_at():
    covered = SEEN.covered(FINE, source="files: a")
    assert covered[480:2400].all()
    assert covered.sum() == 2 * (2400 - 480)


@pytest.mark.parametrize(
    "panel",
    [
        renamed(FINE, "X", "Y"),
        renamed(FINE, "ETH", "BTC"),
        replace(FINE, open=FINE.open * 7.0, high=FINE.high * 7.0, low=FINE.low * 7.0, close=FINE.close * 7.0),
        FINE.slice_bars(1, FINE.num_bars),
        FINE.select(["ETH"]),
        FINE.select(["ETH", "BTC"]),
    ],
    ids=[
        "other names",
        "names exchanged",
        "another unit of price",
        "a bar later",
        "a subset",
        "another order",
    ],
)
def test_the_same_bars_in_another_dress_are_known_again(panel):
    first = int(np.flatnonzero(panel.bar_utc == FINE.bar_utc[480])[0])
    covered = covered_bars(panel)
    assert covered[first : first + 1920].all()
    assert covered.sum() == 1920


@pytest.mark.parametrize("factor", [2, 8, 48])
def test_another_bar_length_of_the_same_instrument_is_known_again(factor):
    panel = renamed(coarser(FINE, factor), "X", "Y")
    covered = covered_bars(panel)
    assert covered.sum() == 1920 // factor


def on_another_calendar(panel: Panel) -> Panel:
    """Without weekends and an hour of each day, sessions from 22:00 to 21:00 UTC: as CME cuts crypto bars."""
    hours = panel.bar_utc.astype("datetime64[h]").astype(int)
    weekday = (hours // 24 + 3) % 7
    kept = np.flatnonzero((weekday < 5) & (hours % 24 != 21))
    per_bar = ("bar_utc", "open", "high", "low", "close", "volume", "tradable")
    session = ((panel.bar_utc + np.timedelta64(2, "h")).astype("datetime64[D]").astype(np.int32))[kept]
    cut = {name: getattr(panel, name)[kept] for name in per_bar}
    return replace(panel, **cut, session=session, calendar="CME Globex Crypto")


def test_a_part_of_each_day_as_longer_bars_under_another_name_is_known_again():
    hourly = coarser(renamed(FINE, "X", "Y"), 2)
    hour = hourly.bar_utc.astype("datetime64[h]").astype(int) % 24
    kept = np.flatnonzero((hour >= 8) & (hour < 20))
    per_bar = ("bar_utc", "open", "high", "low", "close", "volume", "tradable", "session")
    part = replace(hourly, **{name: getattr(hourly, name)[kept] for name in per_bar})
    inside = (part.bar_utc >= FINE.bar_utc[480]) & (part.bar_utc < FINE.bar_utc[2400])
    assert covered_bars(part)[inside].all()


def test_bars_cut_to_another_calendar_under_another_name_are_known_again():
    other = on_another_calendar(renamed(FINE, "X", "Y"))
    covered = SEEN.covered(other, source="files: b")
    inside = (other.bar_utc >= FINE.bar_utc[480]) & (other.bar_utc < FINE.bar_utc[2400])
    assert covered[inside].all()
    assert not covered[~inside].any()


@pytest.mark.parametrize("days", [1, 2, 5, 20])
def test_a_stretch_of_few_days_is_known_again_by_its_closes_within_the_day(days):
    minutes = walk(3, 1440 * 30, 60, symbols=("SPY",), start="2021-03-01")
    seen = Coverage.of(minutes, slice(0, 1440 * days), source="files: a")
    for panel in (
        renamed(minutes, "Q"),
        renamed(coarser(minutes, 5), "Q"),
        renamed(coarser(minutes, 30), "Q"),
    ):
        covered = seen.covered(panel, source="files: b")
        assert covered.sum() == 1440 * days * 60 // panel.bar_seconds


def test_other_instruments_and_other_times_are_not_covered():
    other = walk(2, FINE.num_bars, 1800, symbols=("X", "Y"))
    assert not SEEN.covered(other, source="files: b").any()
    assert not SEEN.covered(FINE.slice_bars(2400, FINE.num_bars), source="files: b").any()
    assert not SEEN.covered(FINE.slice_bars(0, 480), source="files: b").any()


def test_one_name_is_one_instrument_unless_many_prices_contradict():
    adjusted = replace(
        FINE,
        **{
            n: getattr(FINE, n) * np.linspace(0.5, 1.0, FINE.num_bars)[:, None]
            for n in ("open", "high", "low", "close")
        },
    )
    assert covered_bars(adjusted).sum() == 1920
    assert not SEEN.covered(walk(2, FINE.num_bars, 1800), source="files: b").any()


def test_markets_of_two_seeds_are_two_markets_however_short():
    short = FINE.slice_bars(0, 96)
    seen = Coverage.of(short, slice(0, 96), source="synthetic: noise, seed=1")
    assert not seen.covered(walk(2, 96, 1800), source="synthetic: noise, seed=2").any()
    assert seen.covered(short, source="synthetic: noise, seed=1").all()


def test_a_synthetic_market_drawn_with_more_bars_or_another_cost_is_the_same_market():
    seen = Coverage.of(FINE, slice(480, 2400), source="synthetic: noise, cost_bps=2.0, num_bars=5760, seed=1")
    for source in (
        "synthetic: noise, cost_bps=2.0, num_bars=9000, seed=1",
        "synthetic: noise, cost_bps=2.1, seed=1",
    ):
        assert seen.covered(FINE, source=source).all(axis=1).sum() == 1920


def test_daily_bars_of_sessions_end_where_the_next_begins():
    panel = walk(5, 400, DAY)
    seen = Coverage.of(panel, slice(0, 100), source="a")
    assert seen.covered(panel, source="b").all(axis=1).sum() == 100


def test_a_coverage_survives_being_written_down():
    again = Coverage.from_json(json.loads(json.dumps(SEEN.to_json())))
    assert again == SEEN
    assert len(json.dumps(SEEN.to_json())) < 60_000


def test_marks_stay_few_over_twenty_years_and_are_still_compared():
    years = walk(7, 365 * 20, DAY, start="2000-01-01")
    seen = Coverage.of(years, slice(0, 365 * 10), source="a")
    assert max(len(one.session_marks) for one in seen.symbols) <= 512
    assert seen.covered(renamed(years, "X", "Y"), source="b").all(axis=1).sum() == 3650


def test_symbols_without_a_bar_there_are_left_out():
    close = FINE.close.copy()
    close[:2400, 1] = np.nan
    known = np.isfinite(close)
    prices = {n: np.where(known, getattr(FINE, n), np.nan) for n in ("open", "high", "low", "close")}
    late = replace(FINE, **prices, volume=known.astype(float), tradable=known)
    assert Coverage.of(late, slice(480, 2400), source="a").names == ("BTC",)


def test_names_are_compared_without_separators_case_and_quote_currency():
    assert len({plain_name(name) for name in ("BTC", "btc-usd", "BTC/USDT", "BTCUSD")}) == 1
    assert plain_name("USD") == "USD"
    assert plain_name("AMD") != plain_name("NVDA")


def test_with_too_few_prices_in_common_the_name_decides():
    def one(symbol):
        return SymbolCoverage(
            symbol=symbol,
            first_utc=np.datetime64("2020-01-01", "s"),
            last_utc=np.datetime64("2020-02-01", "s"),
            session_marks={1: 10.0},
            instant_marks={},
            shapes={},
        )

    assert same_instrument(one("ES"), one("es"))
    assert not same_instrument(one("ES"), one("NQ"))


@pytest.mark.parametrize("days", [0.5 / 24, 1.0, 365.25])
def test_bars_under_other_dates_are_known_again_by_their_shapes(days):
    bar_utc = FINE.bar_utc + np.timedelta64(round(days * 86_400), "s")
    prices = {name: 3.0 * getattr(FINE, name) for name in ("open", "high", "low", "close")}
    session = bar_utc.astype("datetime64[D]").astype(np.int32)
    moved = replace(renamed(FINE, "X", "Y"), bar_utc=bar_utc, session=session, **prices)
    covered = covered_bars(moved)
    assert covered[540:2340].all()
    assert not covered[:480].any() or days < 1.0  # by half an hour, time itself tells of the bars at the edge
    assert covered[2450:].sum() == 0


@pytest.mark.parametrize("order", ["every tenth day left out", "shuffled"])
def test_days_that_were_laid_anew_under_other_dates_are_known_again(order):
    days = np.arange(10, 50)
    days = days[days % 10 != 0] if order != "shuffled" else np.random.default_rng(0).permutation(days)
    kept = (48 * days[:, None] + np.arange(48)).ravel()
    bar_utc = np.datetime64("2024-01-01", "ns") + np.arange(len(kept)) * np.timedelta64(1800, "s")
    prices = {
        name: getattr(FINE, name)[kept] for name in ("open", "high", "low", "close", "volume", "tradable")
    }
    laid = replace(
        renamed(FINE, "X", "Y"),
        bar_utc=bar_utc,
        session=bar_utc.astype("datetime64[D]").astype(np.int32),
        **prices,
    )
    assert covered_bars(laid).mean() > 0.95


def test_an_inverted_or_levered_price_at_the_same_instants_is_the_same_instrument():
    for power in (-1.0, 2.0, 0.5):
        close = 100.0 * (FINE.close / 100.0) ** power
        assert SEEN.covered(panel_of(close, 1800, ("X", "Y"), "2020-01-01"), source="files: b")[
            480:2400
        ].all()


def test_flat_bars_have_no_shape_to_be_known_by():
    flat = np.full((500, 1), 10.0)
    still = replace(panel_of(flat, 1800, ("X",), "2020-01-01"), open=flat, high=flat, low=flat)
    assert Coverage.of(still, slice(0, 500), source="a").symbols[0].shapes == {}


@pytest.mark.parametrize("price", [2.0, 10.0, 250.0])
def test_prices_of_few_ticks_do_not_look_like_bars_of_another_year(price):
    # A stock of two dollars moves by a cent or not at all: single bars repeat themselves all the time.
    for seed in range(5):
        random = np.random.default_rng(seed)
        close = np.maximum(price + 0.01 * np.cumsum(random.integers(-1, 2, size=(20_000, 1)), axis=0), 0.05)
        opened = np.concatenate([close[:1], close[:-1]])
        ticks = 0.01 * random.integers(0, 2, size=close.shape)
        prices = {
            "open": opened,
            "high": np.maximum(opened, close) + ticks,
            "low": np.minimum(opened, close),
            "close": close,
        }
        panel = replace(panel_of(close, 60, ("X",), "2020-01-01"), **prices)
        seen = Coverage.of(panel, slice(0, 10_000), source="a")
        assert not seen.covered(panel.slice_bars(10_000, 20_000), source="b").any()
