"""`data.context_symbols`: read and not traded, from whatever source, known at their own close, and in the contract."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from made_vendor import law

from data.calendars import bar_grid
from data.features import compute_features
from data.lake import Lake, Series
from data.sources import describe, load
from data.stand_in import PREFIX
from data.vendors.definition import BarRequest, Delivery
from envs.checks.poison import poison_after
from evaluation.windows.splits import Fold
from policies.origin import SEEN, Origin
from rayjobs.config.compose import compose
from rayjobs.config.typed_config import ConfigError
from rayjobs.study.config import TRAIN_KEYS, build_train_config
from rayjobs.study.config_groups import build_source
from rayjobs.study.fold_market import fold_market
from rayjobs.study.fold_origin import with_origin
from rayjobs.study.leak_check import leak_report
from rayjobs.study.study import Study

PAIR = ("data=stand_in_pair", "data.num_bars=3000")


def source(*overrides: str):
    return build_source(compose("train", list(overrides)))


def study_of(*overrides: str) -> Study:
    values = compose("train", ["instruments=us_stock", *overrides])
    config = build_train_config({key: value for key, value in values.items() if key in TRAIN_KEYS})
    return Study.of(config, load(config.data))


def write_bars(path, calendar, seconds, start, stop, first=100.0):
    grid = bar_grid(calendar, seconds, np.datetime64(start), np.datetime64(stop))
    close = first + np.arange(len(grid.bar_utc))
    table = pd.DataFrame({"timestamp": grid.bar_utc.astype(str), "open": close, "high": close, "low": close})
    table.assign(close=close, volume=1.0).to_csv(path, index=False)
    return grid


def test_a_symbol_of_the_same_market_is_read_and_the_traded_ones_do_not_change():
    both, one = load(source(*PAIR)).panel, load(source(*PAIR, "data.context_symbols=[NVDA]"))
    assert one.panel.symbols == (f"{PREFIX}AMD",)
    np.testing.assert_array_equal(one.panel.close, both.select([f"{PREFIX}AMD"]).close)
    np.testing.assert_array_equal(one.panel.exogenous["SYN_NVDA.close"], both.select(["SYN_NVDA"]).close)
    assert one.context[0].symbols == ("SYN_NVDA",)
    assert dict(one.hygiene.rows)["SYN_NVDA"] == 3000


def test_what_is_read_beside_the_traded_symbols_does_not_make_their_bars_others_to_the_ledger():
    own = source("data=crypto_30m", "data.symbols=[BTC]")
    assert describe(own) == describe(
        source("data=crypto_30m", "data.symbols=[BTC]", "data.context_symbols=[ETH]")
    )


def test_daily_bars_of_another_calendar_are_known_from_their_close(tmp_path):
    write_bars(tmp_path / "BTC.csv", "24/7", 3600, "2019-07-01", "2019-07-09")
    daily = write_bars(tmp_path / "vix.csv", "NYSE", 86_400, "2019-06-24", "2019-07-09", first=15.0)
    facts = f"{{path: {tmp_path / 'vix.csv'}, symbol: vix, calendar: NYSE, bar_seconds: 86400}}"
    place = ("data=files", f"data.path={tmp_path / 'BTC.csv'}", "data.bar_seconds=3600")
    panel = load(source(*place, f"data.context_symbols={{VIX: {facts}}}")).panel
    closed = panel.bar_utc + np.timedelta64(3600, "s")
    values = panel.exogenous["VIX.close"][:, 0]
    # New York closes at 20:00 UTC in July; the fifth session of the file is that of June 28.
    on = daily.bar_utc.astype("datetime64[D]") == np.datetime64("2019-07-01")
    monday = 15.0 + float(np.flatnonzero(on)[0])
    assert values[closed == np.datetime64("2019-07-01T19:00")] == monday - 1.0
    assert values[closed == np.datetime64("2019-07-01T20:00")] == monday
    short = f"{{VIX: {facts[:-1]}, max_age_seconds: 3600}}}}"
    panel = load(source(*place, f"data.context_symbols={short}")).panel
    values = panel.exogenous["VIX.close"][:, 0]
    assert values[closed == np.datetime64("2019-07-01T21:00")] == monday
    assert np.isnan(values[closed == np.datetime64("2019-07-01T22:00")])


def test_a_context_symbol_may_come_from_another_kind_of_source():
    mixed = "data.context_symbols={BTC: {source: samples, sample: crypto_30min}}"
    panel = load(source(*PAIR, "data.start_utc=2017-10-02", mixed)).panel
    assert panel.symbols == ("SYN_AMD", "SYN_NVDA")
    assert (panel.exogenous["BTC.close"] > 0.0).any()


def put_in_lake(place, symbol, seconds, rows):
    """Bars of 24/7 as an ingest leaves them in a lake."""
    start, stop = rows.index[0], rows.index[-1] + pd.Timedelta(seconds=seconds)
    piece = BarRequest(symbol=symbol, bar_seconds=seconds, start_utc=start, stop_utc=stop)
    series = Series(source="made", bar_seconds=seconds, adjustment="raw", symbol=symbol)
    lake, now = Lake(str(place)), pd.Timestamp("2024-06-01", tz="UTC")
    delivery = Delivery(rows=rows, source_uri=f"made:/{symbol}", calls=1)
    lake.store(series, piece, delivery, now_utc=now, settle_seconds=0, calendar="24/7")
    lake.curate(series)


def test_symbols_of_a_lake_are_read_beside_the_traded_one_of_it(tmp_path):
    first, last = pd.Timestamp("2024-01-01", tz="UTC"), pd.Timestamp("2024-01-08", tz="UTC")
    rows = {name: law(name, first, last, 3600) for name in ("AMD", "SPY", "QQQ")}
    for name, own in rows.items():
        put_in_lake(tmp_path, name, 3600, own)
    put_in_lake(tmp_path, "SPY", 14_400, law("SPY", first, last, 14_400))
    place = (
        "data=lake", f"data.lake={tmp_path}", "data.source_name=made", "data.bar=1h", "data.calendar=24/7",
        "data.symbols=[AMD]",
    )  # fmt: skip
    study = study_of(
        *place,
        "data.context_symbols=[SPY,QQQ]",
        "features=clock",
        "+features.specs.gap={name: reference_divergence, params: {reference: SPY, horizon_bars: 3}}",
        "+features.specs.pair={name: pair_spread, params: {first: SPY, second: QQQ, horizon_bars: 2}}",
    )
    assert study.panel.symbols == ("AMD",)
    close = {name: np.log(own["close"].to_numpy(dtype=float)) for name, own in rows.items()}
    gap = (close["AMD"][3:] - close["AMD"][:-3]) - (close["SPY"][3:] - close["SPY"][:-3])
    np.testing.assert_allclose(study.features.asset[3:, 0, 0], gap, rtol=0, atol=1e-6)
    spread = (close["SPY"][2:] - close["SPY"][:-2]) - (close["QQQ"][2:] - close["QQQ"][:-2])
    np.testing.assert_allclose(study.features.asset[2:, 0, 1], spread, rtol=0, atol=1e-6)
    # Four-hour bars of the same lake count from their own close on: at 04:00 the first one, not before.
    slow = "data.context_symbols={SPY4: {symbol: SPY, bar: 4h, made_from: 4h}}"
    column = load(source(*place, slow)).panel.exogenous["SPY4.close"][:, 0]
    assert np.isnan(column[:3]).all()
    np.testing.assert_array_equal(
        column[3:], np.repeat(law("SPY", first, last, 14_400)["close"], 4)[: len(column) - 3]
    )


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (("data=crypto_30m", "data.context_symbols=[ETH]"), "names ETH, which is traded"),
        (("data=crypto_30m", "data.symbols=[BTC]", "data.context_symbols=[ETX]"), "did you mean 'ETH'"),
        (("data=noise", "+data.context_symbols=[ETH]"), "use files, samples, lake or stand_in"),
        ((*PAIR, "data.context_symbols=[AMX]"), "data.symbols has no law of AMX"),
        ((*PAIR, "data.context_symbols={AMD: 3}"), "data.context_symbols.AMD is 3"),
        (
            ("data=crypto_30m", "data.symbols=[BTC]", "data.context_symbols={SPY: {simple: spy_1min}}"),
            "context_symbols.SPY.simple: unknown key; did you mean sample",
        ),
        (
            ("data=crypto_30m", "data.symbols=[BTC]", "data.context_symbols=[ETH, ETH]"),
            "name each symbol once",
        ),
        (
            ("data=crypto_30m", "data.symbols=[BTC]", "data.stop_utc=2017-10-20",
             "data.context_symbols={SPY: {sample: spy_1min, max_age_seconds: -1}}"),
            "max_age_seconds is -1",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_told_in_one_sentence(overrides, sentence):
    with pytest.raises(ValueError, match=sentence):
        load(source(*overrides))


def test_configurations_older_than_context_symbols_have_none():
    values = compose("train", ["data=crypto_30m"])
    older = {k: v for k, v in values["data"].items() if not k.startswith("context_")}
    assert build_source({"data": older}).context_symbols == {}


@pytest.fixture(scope="module")
def pair_study() -> Study:
    specs = (
        "features.specs={gap: {name: reference_divergence, params: {reference: SYN_NVDA, horizon_bars: 5}}}"
    )
    return study_of(*PAIR, "data.context_symbols=[NVDA]", f"+{specs}", "features=clock")


FOLD = Fold(index=0, train=slice(0, 1500), test=slice(1510, 2000))


def test_features_read_the_context_whose_future_the_leak_check_redraws(pair_study):
    assert pair_study.features.asset_names == ("reference_divergence_5_SYN_NVDA",)
    cut = 1000
    redrawn = poison_after(pair_study.panel, cut, 7)
    other = compute_features(redrawn, pair_study.config.features.enabled).asset
    np.testing.assert_array_equal(other[: cut + 1], pair_study.features.asset[: cut + 1])
    context = "SYN_NVDA.close"
    assert (redrawn.exogenous[context][cut + 1 :] != pair_study.panel.exogenous[context][cut + 1 :]).all()


@pytest.mark.slow
def test_the_leak_check_of_a_study_with_context_is_clean(pair_study):
    report = leak_report(pair_study, FOLD)
    assert report.clean, str(report)


def test_the_contract_names_the_context_and_a_policy_has_seen_its_bars(pair_study, tmp_path):
    market, contract = fold_market(pair_study, FOLD)
    origin = with_origin(contract, pair_study, FOLD, market.first_bar, tmp_path).origin
    assert origin.context_symbols == ("SYN_NVDA",)
    assert Origin.from_json(origin.to_json()) == origin
    # Scored on NVDA, which it never traded, the bars of the training window are in sample.
    other = load(source(*PAIR)).panel.select(["SYN_NVDA"])
    seen = origin.exposure(other, source=describe(pair_study.config.data)) == SEEN
    assert seen[400:1400].all()
    assert not seen[1501:].any()


def test_a_contract_without_context_says_nothing_of_it(pair_study, tmp_path):
    plain = study_of(*PAIR)
    market, contract = fold_market(plain, FOLD)
    origin = with_origin(contract, plain, FOLD, market.first_bar, tmp_path).origin
    assert "context_symbols" not in origin.to_json()


def test_a_number_in_place_of_names_is_refused():
    with pytest.raises(ConfigError, match="data.context_symbols"):
        source("data=crypto_30m", "data.context_symbols=5")
