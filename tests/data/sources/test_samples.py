"""The bundled samples: their known defects are counted, their checksums hold."""

import numpy as np
import pytest

from data.errors import DataError
from data.features import FeatureSpec, compute_features
from data.sources import SamplesConfig, load
from data.sources import samples as samples_module


def sample(name, symbols=(), start_utc=None, stop_utc=None):
    return load(SamplesConfig(sample=name, symbols=symbols, start_utc=start_utc, stop_utc=stop_utc))


@pytest.fixture(scope="module")
def crypto():
    return sample("crypto_30min")


@pytest.fixture(scope="module")
def spy():
    return sample("spy_1min")


def test_crypto_has_the_gaps_it_came_with(crypto):
    # Counted in the raw files: steps of more than 30 minutes, and the half hours they skip.
    table = crypto.hygiene.table().set_index("symbol")
    assert table["rows"].to_dict() == {"BTC": 35019, "ETH": 35011, "LTC": 34989, "XRP": 34991, "EOS": 34995}
    assert table["gaps"].to_dict() == {"BTC": 9, "ETH": 13, "LTC": 16, "XRP": 14, "EOS": 17}
    assert table["missing"].to_dict() == {"BTC": 22, "ETH": 30, "LTC": 52, "XRP": 50, "EOS": 46}
    # Wicks of the crash of 2017-12-22, and one of XRP on 2018-04-25.
    assert table["jump"].to_dict() == {"BTC": 0, "ETH": 0, "LTC": 0, "XRP": 2, "EOS": 1}


def test_crypto_covers_two_years_of_half_hours(crypto):
    # 730 days of 48 bars, and the one labelled 2019-10-01 00:00.
    assert crypto.panel.close.shape == (730 * 48 + 1, 5)
    assert crypto.panel.symbols == ("BTC", "ETH", "LTC", "XRP", "EOS")
    assert np.isnan(crypto.panel.close).sum() == 22 + 30 + 52 + 50 + 46
    assert crypto.panel.close[0, 0] == 4386.3


def test_spy_has_the_defects_it_came_with(spy):
    (row,) = spy.hygiene.table().to_dict("records")
    assert (row["rows"], row["inconsistent"], row["zero_volume"]) == (293_707, 194, 13)
    assert (row["gaps"], row["missing"], row["shifted_session"]) == (1, 72, 0)


def test_spy_holds_the_regular_sessions_of_three_years(spy):
    # 251 + 251 + 252 sessions of 390 minutes, of which 1 + 3 + 3 + 1 (2017-07-03 counts) half-days lose 180.
    assert spy.panel.num_bars == 754 * 390 - 8 * 180
    # A half-day ends with the bar labelled 12:59 in New York.
    last_of_session = np.flatnonzero(np.diff(spy.panel.session))
    half_day = np.datetime64("2018-12-24T17:59", "ns")
    assert half_day in spy.panel.bar_utc[last_of_session]
    # After 16:00 there is one bar on each of 746 full days; the other bars are those after 13:00 on half-days.
    assert spy.panel.num_bars + spy.hygiene.bars("outside_session") == 293_707 + 72


def test_spys_opening_minute_is_the_busiest_of_the_morning_in_summer_too(spy):
    # This is what shows that labels are opening instants of New York's clock.
    panel = spy.panel
    summer = panel.slice_bars(*panel.bars_between("2018-06-01", "2018-09-01").indices(panel.num_bars)[:2])
    volume = np.nan_to_num(summer.volume[:, 0])
    minute = (summer.bar_utc - summer.bar_utc.astype("datetime64[D]")) / np.timedelta64(1, "m")
    by_minute = [volume[minute == 13 * 60 + 30 + i].mean() for i in range(60)]
    assert np.argmax(by_minute) == 0


def test_symbols_and_window_can_be_chosen():
    chosen = sample("crypto_30min", ("XRP", "BTC"), "2018-01-01", "2018-02-01")
    assert chosen.panel.symbols == ("XRP", "BTC")
    assert chosen.panel.num_bars == 31 * 48
    assert chosen.oracle_direction is None


def test_all_features_of_spy_take_little_time(spy):
    import time

    asset = {
        "log_return": {"horizon_bars": 60},
        "realised_volatility": {"window_bars": 60},
        "atr": {"window_bars": 30},
    }
    asset |= {"rsi": {"window_bars": 14}, "relative_volume": {"window_bars": 390}}
    clock = {"time_of_day": {}, "day_of_week": {}, "session_flags": {"edge_minutes": 15}, "bars_to_close": {}}
    specs = [FeatureSpec(name=name, params=params) for name, params in {**asset, **clock}.items()]
    compute_features(spy.panel.slice_bars(0, 1000), specs)  # compiles
    began = time.perf_counter()
    result = compute_features(spy.panel, specs)
    # About 0.6 s on one core for 292,620 bars; the limit leaves room for a busy machine.
    assert time.perf_counter() - began < 10.0
    assert np.isfinite(result.asset[-1]).all()


@pytest.mark.parametrize(
    ("name", "symbols", "said"),
    [
        ("crypto", (), "did you mean 'crypto_30min'"),
        ("crypto_30min", ("BTCC",), "did you mean 'BTC'"),
        ("spy_1min", ("BTC",), "it has SPY"),
    ],
)
def test_a_sample_or_symbol_that_is_not_bundled_is_refused(name, symbols, said):
    with pytest.raises(DataError, match=said):
        sample(name, symbols)


def test_a_window_outside_the_sample_is_refused():
    with pytest.raises(DataError, match="outside the data, which run from 2017-01-03"):
        sample("spy_1min", (), "2016-12-01", "2017-06-01")


def test_a_changed_sample_is_noticed(monkeypatch, tmp_path):
    for name in ("SHA256SUMS", "spy_1min/SPY.parquet"):
        target = tmp_path / name
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(
            (samples_module.SAMPLES_DIR / name).read_bytes() + (b"" if "SUMS" in name else b"x")
        )
    monkeypatch.setattr(samples_module, "SAMPLES_DIR", tmp_path)
    with pytest.raises(DataError, match="was changed"):
        sample("spy_1min")
