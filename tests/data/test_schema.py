"""The panel: checks on the way in, immutability, slices, fingerprint."""

import pickle
from dataclasses import replace

import numpy as np
import pytest

from data.errors import DataError
from data.schema import Panel


def make_panel(num_bars=6, num_assets=2, **changes):
    rng = np.random.default_rng(0)
    close = 100.0 + np.cumsum(rng.normal(0.0, 0.1, (num_bars, num_assets)), axis=0)
    opened = close - 0.05
    times = np.datetime64("2020-01-01T00:00", "ns") + np.arange(num_bars) * np.timedelta64(1800, "s")
    fields = {
        "symbols": tuple("ABCDEFGH"[:num_assets]),
        "bar_utc": times,
        "open": opened,
        "high": np.maximum(opened, close) + 0.1,
        "low": np.minimum(opened, close) - 0.1,
        "close": close,
        "volume": np.full(close.shape, 10.0),
        "tradable": np.ones(close.shape, dtype=bool),
        "session": times.astype("datetime64[D]").astype(np.int32),
        "calendar": "24/7",
        "bar_seconds": 1800,
        "exogenous": {"rate": rng.normal(size=close.shape)},
    }
    return Panel(**{**fields, **changes})


def with_missing(panel, rows, column):
    arrays = {
        name: np.array(getattr(panel, name))
        for name in ("open", "high", "low", "close", "volume", "tradable")
    }
    for name in ("open", "high", "low", "close"):
        arrays[name][rows, column] = np.nan
    arrays["volume"][rows, column] = 0.0
    arrays["tradable"][rows, column] = False
    return replace(panel, **arrays)


def test_arrays_of_a_panel_cannot_be_written_to_and_do_not_follow_the_callers_arrays():
    mine = np.full((6, 2), 10.0)
    panel = make_panel(volume=mine)
    mine[0, 0] = 99.0
    assert panel.volume[0, 0] == 10.0
    with pytest.raises(ValueError, match="read-only"):
        panel.close[0, 0] = 1.0
    with pytest.raises(TypeError):
        panel.exogenous["new"] = mine


def test_a_slice_shares_memory_and_keeps_its_session_ids():
    panel = make_panel(60)
    part = panel.slice_bars(48, 60)
    assert np.shares_memory(part.close, panel.close)
    assert part.num_bars == 12
    # 2020-01-02 is day 18,263 since 1970-01-01.
    assert set(part.session.tolist()) == {18263}


def test_select_orders_the_assets_as_asked():
    panel = make_panel(num_assets=3)
    chosen = panel.select(["C", "A"])
    assert chosen.symbols == ("C", "A")
    np.testing.assert_array_equal(chosen.close, panel.close[:, [2, 0]])
    np.testing.assert_array_equal(chosen.exogenous["rate"], panel.exogenous["rate"][:, [2, 0]])


def test_a_symbol_that_is_not_there_is_answered_with_the_nearest():
    panel = make_panel(symbols=("BTC", "ETH"))
    with pytest.raises(DataError, match="did you mean 'BTC'"):
        panel.select(["BTCC"])


def test_a_panel_survives_pickling_bit_for_bit_and_stays_immutable():
    panel = with_missing(make_panel(), [2], 1)
    copy = pickle.loads(pickle.dumps(panel))
    assert copy.fingerprint == panel.fingerprint
    assert not copy.close.flags.writeable
    np.testing.assert_array_equal(copy.exogenous["rate"], panel.exogenous["rate"])


def test_equal_data_have_equal_fingerprints_and_any_changed_value_changes_it():
    panel = make_panel()
    assert make_panel().fingerprint == panel.fingerprint
    volume = np.array(panel.volume)
    volume[3, 1] += 1e-9
    assert make_panel(volume=volume).fingerprint != panel.fingerprint
    assert make_panel(symbols=("A", "X")).fingerprint != panel.fingerprint


def test_last_close_carries_the_last_known_price_forward_and_never_back():
    panel = with_missing(make_panel(), [0, 1, 3, 4], 0)
    marks = panel.last_close()
    assert np.isnan(marks[:2, 0]).all()
    assert marks[3, 0] == marks[4, 0] == panel.close[2, 0]
    np.testing.assert_array_equal(marks[:, 1], panel.close[:, 1])


def test_bars_between_is_half_open():
    panel = make_panel()  # labels 00:00, 00:30, ..., 02:30
    assert panel.bars_between("2020-01-01T00:30Z", "2020-01-01T02:00Z") == slice(1, 4)
    assert panel.bars_between(None, None) == slice(0, 6)
    assert panel.bars_between("2020-01-01T01:00:00+00:30", None) == slice(1, 6)


@pytest.mark.parametrize(
    ("start", "stop", "said"),
    [
        ("2019-12-31T23:30", None, "outside the data"),
        (None, "2020-01-01T03:30", "outside the data"),
        ("2021-01-01", "2021-02-01", "outside the data"),
        (
            "2020-01-01T02:00",
            "2020-01-01T01:00",
            "holds no bar; the data run from .*: let it start before it stops",
        ),
        ("2020-01-01T00:01", "2020-01-01T00:02", "No bar lies between"),
        ("soon", None, "not a date"),
        ("9999-01-01", None, "not a date"),
        (float("nan"), None, "not a date"),
    ],
)
def test_a_window_outside_the_data_is_refused(start, stop, said):
    with pytest.raises(DataError, match=said):
        make_panel().bars_between(start, stop)


def changed(array, at, value):
    result = np.array(array)
    result[at] = value
    return result


GOOD = make_panel()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"symbols": ("A", "A")}, "repeated"),
        ({"symbols": ("A",)}, "expected"),
        ({"bar_utc": GOOD.bar_utc[::-1]}, "strictly increasing"),
        ({"bar_utc": changed(GOOD.bar_utc, 1, GOOD.bar_utc[0])}, "strictly increasing"),
        ({"session": GOOD.session[::-1] + np.arange(6)[::-1]}, "ascend"),
        ({"close": changed(GOOD.close, (1, 1), np.nan)}, "some prices and lacks others"),
        ({"low": changed(GOOD.low, (1, 1), -1.0)}, "positive"),
        ({"high": changed(GOOD.high, (1, 1), 1.0)}, "bound"),
        ({"high": changed(GOOD.high, (1, 1), 1e308)}, "no price"),
        ({"low": changed(GOOD.low, (1, 1), 1e-320)}, "no price"),
        ({"volume": changed(GOOD.volume, (1, 1), np.nan)}, "volume"),
        ({"exogenous": {"x": np.full((6, 2), np.inf)}}, "infinite"),
        ({"exogenous": {"x": np.zeros((5, 2))}}, "shape"),
        ({"bar_seconds": 0}, "bar_seconds"),
    ],
)
def test_a_panel_that_breaks_its_contract_is_refused(changes, said):
    with pytest.raises(DataError, match=said):
        make_panel(**changes)


def test_a_bar_without_prices_must_not_be_tradable():
    missing = with_missing(make_panel(), [1], 0)
    with pytest.raises(DataError, match="tradable"):
        replace(missing, tradable=np.ones((6, 2), dtype=bool))
