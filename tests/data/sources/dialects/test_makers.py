"""What each maker writes is read back exactly: instants, prices, volumes, and the one line that says what it was.

The writers below are made from the makers' documented formats; the prices are random.
"""

import gzip
import io
import lzma
import re
import zipfile

import numpy as np
import pandas as pd
import pytest

from data.errors import DataError


def ms(bars):
    return bars["utc"].astype("datetime64[ms]").astype(np.int64)


def seconds(bars):
    return bars["utc"].astype("datetime64[s]").astype(np.int64)


def columns(bars):
    return bars.drop(columns="utc")


def csv(table, **how):
    return table.to_csv(index=False, **how)


def binance(bars, unit=1):
    table = columns(bars)
    table.insert(0, "open_time", ms(bars) * unit)
    length = 1_800_000
    return table.assign(
        close_time=(ms(bars) + length) * unit - 1,
        quote_volume=table["volume"] * table["close"],
        count=12,
        taker_buy_volume=table["volume"] / 2,
        taker_buy_quote_volume=table["volume"] * 50,
        ignore=0,
    )


def local(bars, zone):
    return bars["utc"].dt.tz_localize("UTC").dt.tz_convert(zone).dt.tz_localize(None)


def metatrader5(bars):
    shown = bars["utc"].dt
    return pd.DataFrame(
        {
            "<DATE>": shown.strftime("%Y.%m.%d"),
            "<TIME>": shown.strftime("%H:%M:%S"),
            **{f"<{name.upper()}>": bars[name] for name in ("open", "high", "low", "close")},
            "<TICKVOL>": bars["volume"].astype(int),
            "<VOL>": 0,
            "<SPREAD>": 5,
        }
    )


def stooq(bars, per="30"):
    shown = bars["utc"].dt
    return pd.DataFrame(
        {
            "<TICKER>": "AAPL.US",
            "<PER>": per,
            "<DATE>": shown.strftime("%Y%m%d"),
            "<TIME>": shown.strftime("%H%M%S"),
            **{f"<{name.upper()}>": bars[name] for name in ("open", "high", "low", "close")},
            "<VOL>": bars["volume"],
            "<OPENINT>": 0,
        }
    )


def timed(bars, shown, name="timestamp"):
    table = columns(bars)
    table.insert(0, name, shown)
    return table


def crypto_data_download(bars):
    table = timed(bars, seconds(bars), "unix")
    table.insert(1, "date", bars["utc"].dt.strftime("%Y-%m-%d %H:%M:%S"))
    table.insert(2, "symbol", "BTC/USD")
    table = table.rename(columns={"volume": "Volume BTC"}).assign(**{"Volume USD": bars["volume"] * 100})
    return "https://www.CryptoDataDownload.com\n" + csv(table.iloc[::-1])


def databento(bars, pretty):
    prices = columns(bars)[["open", "high", "low", "close"]]
    if not pretty:
        prices = (prices * 10**9).round().astype(np.int64)
    stamps = bars["utc"].astype("datetime64[ns]").astype(np.int64)
    shown = bars["utc"].dt.strftime("%Y-%m-%dT%H:%M:%S.000000000Z") if pretty else stamps
    head = pd.DataFrame({"ts_event": shown, "rtype": 33, "publisher_id": 1, "instrument_id": 17077})
    return csv(pd.concat([head, prices], axis=1).assign(volume=bars["volume"].astype(int), symbol="BTC"))


def investing(bars):
    table = pd.DataFrame({"Date": bars["utc"].dt.strftime("%m/%d/%Y"), "Price": bars["close"]})
    for name in ("open", "high", "low"):
        table[name.title()] = bars[name]
    table = table.map(lambda cell: f"{cell:,.2f}" if isinstance(cell, float) else cell)
    thousands = (bars["volume"] / 1000).map(lambda value: f"{value:.3f}K")
    return csv(table.assign(**{"Vol.": thousands, "Change %": "-0.35%"}).iloc[::-1], quoting=1)


HALF_HOURS = {
    "Binance's klines without a header": ("BTC.csv", lambda b: csv(binance(b), header=False)),
    "Binance's klines without a header;": ("BTC.csv", lambda b: csv(binance(b, 1000), header=False)),
    "Binance's klines;": ("BTC.csv", lambda b: csv(binance(b))),
    "Kraken's OHLCVT": (
        "XBTUSD_30.csv",
        lambda b: csv(timed(b, seconds(b)).assign(trades=5), header=False),
    ),
    "Kraken's OHLC answer": (
        "XBTUSD.csv",
        lambda b: csv(
            timed(b, seconds(b))[["timestamp", "open", "high", "low", "close"]].assign(
                vwap=(b["high"] + b["low"]) / 2, volume=b["volume"], count=7
            ),
            header=False,
        ),
    ),
    "Bybit's klines without a header": (
        "BTCUSDT.csv",
        lambda b: csv(timed(b, ms(b)).assign(turnover=b["volume"] * b["close"]).iloc[::-1], header=False),
    ),
    "Bybit's klines;?": (
        "BTCUSDT.csv",
        lambda b: csv(
            timed(b, ms(b), "startTime")
            .rename(columns={n: f"{n}Price" for n in ("open", "high", "low", "close")})
            .assign(turnover=1.0)
        ),
    ),
    "as CCXT gives them": ("BTC.csv", lambda b: csv(timed(b, ms(b)), header=False)),
    "CryptoDataDownload's bars": ("BTC.csv", crypto_data_download),
    "MetaTrader 5's export": ("EURUSD.csv", lambda b: csv(metatrader5(b), sep="\t")),
    "MetaTrader 5's export;.*": (
        "EURUSD_M30_202401140000_202401150530.csv",
        lambda b: csv(metatrader5(b), sep="\t"),
    ),
    "MetaTrader 4's history": (
        "EURUSD30.csv",
        lambda b: csv(metatrader5(b).iloc[:, :7], header=False).replace(":00,", ","),
    ),
    "Stooq's bars": ("aapl.us.txt", lambda b: csv(stooq(b))),
    "TradingView's export": (
        "BINANCE_BTCUSDT, 30.csv",
        lambda b: csv(timed(b, seconds(b), "time").rename(columns={"volume": "Volume"})),
    ),
    "TradingView's export;?": (
        "BINANCE_BTCUSDT, 30_1a2b3.csv",
        lambda b: csv(timed(b, b["utc"].dt.strftime("%Y-%m-%dT%H:%M:%SZ"), "time")),
    ),
    "Databento's OHLCV;?$": ("BTC.csv", lambda b: databento(b, pretty=True)),
    "Databento's OHLCV; prices in 1/1,000,000,000": ("BTC.csv", lambda b: databento(b, pretty=False)),
    "Dukascopy's export": (
        "BTC.csv",
        lambda b: csv(timed(b, b["utc"].dt.strftime("%d.%m.%Y %H:%M:%S.000"), "Gmt time")),
    ),
    "Dukascopy's export;.*": (
        "BTC.csv",
        lambda b: csv(
            timed(
                b,
                local(b, "Europe/Athens").dt.strftime("%d.%m.%Y %H:%M:%S.000") + " GMT+0200",
                "Local time",
            )
        ),
    ),
    "Polygon's or Alpaca's answer": (
        "BTC.csv",
        lambda b: csv(
            timed(b, ms(b), "t")
            .rename(columns={n: n[0] for n in ("open", "high", "low", "close", "volume")})
            .assign(vw=1.0, n=3)
        ),
    ),
    "NinjaTrader's export": (
        "BTC 03-24.Last.txt",
        lambda b: csv(
            timed(b, (b["utc"] + pd.Timedelta("30min")).dt.strftime("%Y%m%d %H%M%S")), header=False, sep=";"
        ),
    ),
    "HistData's bars": (
        "DAT_ASCII_EURUSD_M1_202401.csv",
        # EST, five hours behind, all year
        lambda b: csv(
            timed(b, (b["utc"] - pd.Timedelta("5h")).dt.strftime("%Y%m%d %H%M%S")), header=False, sep=";"
        ),
    ),
    "TradeStation's export": (
        "BTC.txt",
        lambda b: csv(
            pd.DataFrame(
                {
                    "Date": (b["utc"] + pd.Timedelta("30min")).dt.strftime("%m/%d/%Y"),
                    "Time": (b["utc"] + pd.Timedelta("30min")).dt.strftime("%H:%M"),
                    **{n.title(): b[n] for n in ("open", "high", "low", "close")},
                    "Up": b["volume"] - 400,
                    "Down": 400,
                }
            ),
            quoting=1,
        ),
    ),
}


@pytest.mark.parametrize("said", HALF_HOURS)
def test_half_hours_of_each_maker_are_read_back_exactly(read_back, half_hours, assert_same, said):
    name, write = HALF_HOURS[said]
    dataset = read_back({name: write(half_hours)})
    assert_same(dataset.panel, half_hours)
    assert any(re.search(f"{re.escape(name)} read as .*{said}", remark) for remark in dataset.hygiene.remarks)


@pytest.mark.parametrize(
    ("name", "symbol"),
    [
        ("EURUSD_M30_202401140000_202401150530.csv", "EURUSD"),
        ("BINANCE_BTCUSDT, 30_1a2b3.csv", "BTCUSDT"),
        ("DAT_ASCII_EURUSD_M1_202401.csv", "EURUSD"),
        ("XBTUSD_30.csv", "XBTUSD_30"),
    ],
)
def test_a_makers_way_to_name_files_names_the_symbol(read_back, half_hours, name, symbol):
    write = next(write for file, write in HALF_HOURS.values() if file == name)
    assert read_back({name: write(half_hours)}).panel.symbols == (symbol,)
    assert read_back({}, symbols=(symbol,)).panel.symbols == (symbol,)


def test_what_a_maker_adds_to_bars_is_handed_on_or_left_out_by_name(read_back, half_hours):
    panel = read_back({"BTC.csv": csv(binance(half_hours), header=False)}).panel
    assert set(panel.exogenous) == {
        "quote_volume",
        "count",
        "taker_buy_volume",
        "taker_buy_quote_volume",
    }


def test_milliseconds_and_microseconds_of_one_file_without_a_header_are_one_series(
    read_back, half_hours, assert_same
):
    first, last = binance(half_hours.iloc[:40]), binance(half_hours.iloc[40:], 1000)
    text = csv(first, header=False) + csv(last, header=False)
    assert_same(read_back({"BTC.csv": text}).panel, half_hours)


DAYS = {
    "Yahoo's history": (
        "AAPL.csv",
        lambda b: csv(
            timed(b, b["utc"].dt.strftime("%Y-%m-%d"), "Date")
            .rename(columns=str.title)
            .assign(**{"Adj Close": b["close"]})
        ),
    ),
    "yfinance's history": (
        "AAPL.csv",
        lambda b: csv(
            timed(b, b["utc"].dt.strftime("%Y-%m-%d 00:00:00-05:00"), "Date")
            .rename(columns=str.title)
            .assign(**{"Dividends": 0.0, "Stock Splits": 0.0})
        ),
    ),
    "Stooq's bars": ("aapl.us.txt", lambda b: csv(stooq(b, "D"))),
    "Stooq's history": (
        "aapl_us_d.csv",
        lambda b: csv(
            timed(b, b["utc"].dt.strftime("%Y-%m-%d")).set_axis(
                ["Data", "Otwarcie", "Najwyzszy", "Najnizszy", "Zamkniecie", "Wolumen"], axis=1
            )
        ),
    ),
    "Nasdaq's history": (
        "AAPL.csv",
        lambda b: csv(
            pd.DataFrame(
                {
                    "Date": b["utc"].dt.strftime("%m/%d/%Y"),
                    "Close/Last": b["close"].map("${:.2f}".format),
                    "Volume": b["volume"].astype(int),
                    **{n.title(): b[n].map("${:.2f}".format) for n in ("open", "high", "low")},
                }
            ).iloc[::-1]
        ),
    ),
    "Investing.com's history": ("AAPL Historical Data.csv", investing),
    "Barchart's history": (
        "aapl.csv",
        lambda b: (
            csv(
                timed(b, b["utc"].dt.strftime("%Y-%m-%d"), "Time")
                .rename(columns={"close": "Last"})
                .assign(Change=0.1, **{"%Chg": "+0.1%"})
                .iloc[::-1]
            )
            + '"Downloaded from Barchart.com as of 02-01-2024 05:45am CST"\n'
        ),
    ),
    "Alpha Vantage's adjusted bars": (
        "AAPL.csv",
        lambda b: csv(
            timed(b, b["utc"].dt.strftime("%Y-%m-%d"))
            .assign(adjusted_close=b["close"], dividend_amount=0.0, split_coefficient=1.0)
            .iloc[::-1]
        ),
    ),
    "a table": (
        "AAPL.csv",
        lambda b: csv(
            timed(b, b["utc"].dt.strftime("%Y-%m-%d")).rename(
                columns={n: f"{i}. {n}" for i, n in enumerate(("open", "high", "low", "close", "volume"), 1)}
            )
        ),
    ),
    "Tiingo's bars": (
        "AAPL.csv",
        lambda b: csv(
            timed(b, b["utc"].dt.strftime("%Y-%m-%dT00:00:00.000Z"), "date").assign(
                adjClose=b["close"], adjHigh=1, adjLow=1, adjOpen=1, adjVolume=1, divCash=0, splitFactor=1
            )
        ),
    ),
    "Kibot's daily bars": (
        "AAPL.txt",
        lambda b: csv(timed(b, b["utc"].dt.strftime("%m/%d/%Y")), header=False),
    ),
    "Interactive Brokers' bars": (
        "AAPL.csv",
        lambda b: timed(b, b["utc"].dt.strftime("%Y-%m-%d"), "date").assign(average=1.0, barCount=9).to_csv(),
    ),
    "FirstRate Data's bars": (
        "AAPL_full_1day_adjsplitdiv.txt",
        lambda b: csv(timed(b, b["utc"].dt.strftime("%Y-%m-%d")), header=False),
    ),
    "QuantConnect LEAN's US stocks": (
        "equity/usa/daily/aapl.csv",
        lambda b: csv(
            timed(b, b["utc"].dt.strftime("%Y%m%d 00:00")).assign(
                **{n: (b[n] * 10_000).round().astype(int) for n in ("open", "high", "low", "close")}
            ),
            header=False,
        ),
    ),
}


@pytest.mark.parametrize("said", DAYS)
def test_daily_bars_of_each_maker_are_read_back_exactly(
    read_back, new_york_days, assert_same, tmp_path, said
):
    name, write = DAYS[said]
    dataset = read_back(
        {name: write(new_york_days)},
        path=(tmp_path / name).parent,
        calendar="NYSE",
        bar_seconds=86400,
    )
    # All of January is winter time: the session of each date opens at 14:30 UTC.
    assert_same(dataset.panel, new_york_days, utc=new_york_days["utc"] + pd.Timedelta("14h30min"))
    file = re.escape(name.split("/")[-1])
    assert any(re.search(f"{file} read as .*{said}", remark) for remark in dataset.hygiene.remarks)


def lean_minutes(bars, day):
    wall = local(bars, "America/New_York")
    part = bars[wall.dt.date == pd.Timestamp(day).date()]
    since = wall[part.index] - wall[part.index].dt.normalize()
    table = columns(part).assign(
        **{n: (part[n] * 10_000).round().astype(int) for n in ("open", "high", "low", "close")}
    )
    table.insert(0, "ms", since.astype("timedelta64[ms]").astype(np.int64))
    return csv(table, header=False)


def zipped(members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    return buffer.getvalue()


def lean_zips(bars):
    return {
        f"{day}_trade.zip": zipped({f"{day}_spy_minute_trade.csv": lean_minutes(bars, day)})
        for day in ("20240308", "20240311")
    }


@pytest.mark.parametrize("folder", ["equity/usa/minute/spy", "spy", "somewhere"])
def test_leans_zips_are_days_of_new_york_in_ten_thousandths_of_a_dollar(
    read_back, new_york_minutes, assert_same, tmp_path, folder
):
    files = {f"{folder}/{name}": content for name, content in lean_zips(new_york_minutes).items()}
    dataset = read_back(
        files,
        path=tmp_path / folder,
        calendar="NYSE",
        bar_seconds=60,
        timezone=None if "usa" in folder else "America/New_York",
    )
    assert dataset.panel.symbols == ("spy",)
    assert_same(dataset.panel, new_york_minutes)
    assert any("prices in 1/10,000" in remark for remark in dataset.hygiene.remarks)


def test_a_tree_of_leans_minutes_is_one_asset_a_folder(read_back, new_york_minutes, assert_same, tmp_path):
    files = {
        f"equity/usa/minute/{symbol}/{name.replace('spy', symbol)}": content
        for symbol in ("spy", "aapl")
        for name, content in lean_zips(new_york_minutes).items()
    }
    files = {
        name: content.replace(b"_spy_", b"_aap_") if "/aapl/" in name else content
        for name, content in files.items()
    }
    panel = read_back(files, path=tmp_path / "equity/usa/minute", calendar="NYSE", bar_seconds=60).panel
    assert panel.symbols == ("aap", "spy")
    assert_same(panel, new_york_minutes, asset=1)


def test_whole_prices_outside_of_leans_folders_and_zips_are_not_guessed(read_back, half_hours):
    table = timed(half_hours, half_hours["utc"].dt.strftime("%Y%m%d %H:%M")).round()
    with pytest.raises(DataError, match="may be meant as they are, or in 1/10,000 of a dollar"):
        read_back(
            {"spy.csv": csv(table.astype(dict.fromkeys(("open", "high", "low", "close"), int)), header=False)}
        )


def test_leans_crypto_is_in_units_and_in_utc(read_back, half_hours, assert_same, tmp_path):
    files = {}
    for day in ("20240114", "20240115"):
        part = half_hours[half_hours["utc"].dt.strftime("%Y%m%d") == day]
        since = (part["utc"] - part["utc"].dt.normalize()).astype("timedelta64[ms]").astype(np.int64)
        text = csv(timed(part, since), header=False)
        files[f"crypto/binance/minute/btcusdt/{day}_trade.zip"] = zipped(
            {f"{day}_btcusdt_minute_trade.csv": text}
        )
    panel = read_back(files, path=tmp_path / "crypto/binance/minute/btcusdt").panel
    assert panel.symbols == ("btcusdt",)
    assert_same(panel, half_hours)


MINUTES_OF_NEW_YORK = {
    "Kibot's bars": (
        "AAPL.txt",
        lambda b, wall: csv(
            pd.concat(
                [wall.dt.strftime("%m/%d/%Y"), wall.dt.strftime("%H:%M").rename("t"), columns(b)], axis=1
            ),
            header=False,
        ),
    ),
    "FirstRate Data's bars": (
        "AAPL_full_1min_UNADJUSTED.txt",
        lambda b, wall: csv(timed(b, wall.dt.strftime("%Y-%m-%d %H:%M:%S")), header=False),
    ),
    "Interactive Brokers' bars": (
        "AAPL.csv",
        lambda b, wall: csv(
            timed(b, wall.dt.strftime("%Y%m%d  %H:%M:%S") + " US/Eastern", "date").assign(
                average=1, barCount=9
            )
        ),
    ),
    "Polygon's flat file": (
        "2024-03-08.csv.gz",
        lambda b, wall: gzip.compress(
            csv(
                timed(b, b["utc"].astype("datetime64[ns]").astype(np.int64), "window_start").assign(
                    ticker="AAPL", transactions=3
                )
            ).encode()
        ),
    ),
}


@pytest.mark.parametrize("said", MINUTES_OF_NEW_YORK)
def test_minutes_of_new_york_are_read_across_a_change_of_clocks(
    read_back, new_york_minutes, assert_same, said
):
    name, write = MINUTES_OF_NEW_YORK[said]
    content = write(new_york_minutes, local(new_york_minutes, "America/New_York"))
    # 03/08 and 03/11 may be either; no row decides.
    dates = "month_first" if "Kibot" in said else None
    dataset = read_back({name: content}, calendar="NYSE", bar_seconds=60, dates=dates)
    assert_same(dataset.panel, new_york_minutes)
    assert any(re.search(f"read as .*{said}", remark) for remark in dataset.hygiene.remarks)


def test_flat_files_of_many_symbols_a_day_are_joined_by_symbol(read_back, new_york_minutes, assert_same):
    bars = new_york_minutes
    files = {}
    for day in ("2024-03-08", "2024-03-11"):
        part = bars[bars["utc"].dt.strftime("%Y-%m-%d") == day]
        stamps = part["utc"].astype("datetime64[ns]").astype(np.int64)
        table = timed(part, stamps, "window_start").assign(transactions=3)
        doubled = table.assign(**{n: 2 * table[n] for n in ("open", "high", "low", "close")})
        both = pd.concat([table.assign(ticker="AAPL"), doubled.assign(ticker="TRUE")])
        files[f"{day}.csv.gz"] = gzip.compress(csv(both).encode())
    config = {"calendar": "NYSE", "bar_seconds": 60}
    panel = read_back(files, **config).panel
    assert panel.symbols == ("AAPL", "TRUE")
    assert_same(panel, bars, asset=0)
    np.testing.assert_allclose(panel.close[:, 1], 2.0 * panel.close[:, 0])
    chosen = read_back({}, symbols=("TRUE",), **config)
    assert chosen.panel.symbols == ("TRUE",)
    with pytest.raises(DataError, match="Symbol 'MSFT' is not in"):
        read_back({}, symbols=("MSFT",), **config)


@pytest.mark.parametrize("rows", [3, 2])
@pytest.mark.parametrize("by_symbol", [False, True])
def test_yfinances_header_of_several_lines_is_a_table_per_symbol(
    read_back, new_york_days, assert_same, rows, by_symbol
):
    bars, other = new_york_days, new_york_days.assign(close=new_york_days["low"])
    fields = ["Close", "High", "Low", "Open", "Volume"]
    pairs = [(f, s) for f in fields for s in ("AAPL", "MSFT")]
    pairs = sorted(pairs, key=lambda pair: pair[1]) if by_symbol else pairs
    names = [["Price", *(f for f, _ in pairs)], ["Ticker", *(s for _, s in pairs)]]
    lines = [",".join(line) for line in (names[::-1] if by_symbol else names)]
    lines += ["Date" + "," * len(pairs)] if rows == 3 else []
    for i, date in enumerate(bars["utc"].dt.strftime("%Y-%m-%d")):
        cells = [str({"AAPL": bars, "MSFT": other}[s][f.lower()].iloc[i]) for f, s in pairs]
        if i == 3:  # MSFT has no bar on that day
            cells = ["" if s == "MSFT" else cell for cell, (_, s) in zip(cells, pairs)]
        lines.append(",".join([date, *cells]))
    dataset = read_back({"download.csv": "\n".join(lines)}, calendar="NYSE", bar_seconds=86400)
    assert dataset.panel.symbols == ("AAPL", "MSFT")
    utc = bars["utc"] + pd.Timedelta("14h30min")
    assert_same(dataset.panel, bars, asset=0, utc=utc)
    assert_same(dataset.panel, other.drop(index=3), asset=1, utc=utc.drop(index=3))


def test_columns_of_two_levels_in_parquet_are_a_table_per_symbol(
    read_back, new_york_days, assert_same, tmp_path
):
    frame = columns(new_york_days).rename(columns=str.title)
    wide = pd.concat({"AAPL": frame, "MSFT": frame}, axis=1).swaplevel(axis=1)
    wide.columns = wide.columns.set_names(["Price", "Ticker"])
    wide.set_axis(pd.DatetimeIndex(new_york_days["utc"], name="Date"), axis=0).to_parquet(
        tmp_path / "x.parquet"
    )
    panel = read_back({}, calendar="NYSE", bar_seconds=86400).panel
    assert panel.symbols == ("AAPL", "MSFT")
    assert_same(panel, new_york_days, asset=1, utc=new_york_days["utc"] + pd.Timedelta("14h30min"))


@pytest.mark.parametrize(
    ("order", "said"),
    [
        (["open", "close", "high", "low"], "the highest is always number 3 and the lowest number 4"),
        (["low", "high", "open", "close"], "the highest is always number 2 and the lowest number 1"),
    ],
)
def test_prices_without_a_header_in_another_order_are_not_guessed(read_back, half_hours, order, said):
    table = timed(half_hours, ms(half_hours))[["timestamp", *order, "volume"]]
    with pytest.raises(DataError, match=said):
        read_back({"BTC.csv": csv(table, header=False)})


def test_rows_of_several_kinds_in_one_file_are_refused(read_back, half_hours):
    text = databento(half_hours, pretty=True).splitlines()
    text[-1] = text[-1].replace(",33,", ",34,")
    with pytest.raises(DataError, match=r"its column 'rtype' holds 33, 34"):
        read_back({"BTC.csv": "\n".join(text)})


def test_small_whole_prices_of_databento_are_not_guessed(read_back, half_hours):
    text = databento(half_hours.round(0), pretty=True)
    text = re.sub(r"(\d)\.0(?=,)", r"\1", text)
    with pytest.raises(DataError, match="may be meant as they are, or in billionths"):
        read_back({"BTC.csv": text})


def test_a_continuous_series_says_that_its_rolls_are_not_adjusted(read_back, half_hours):
    lines = databento(half_hours, pretty=True).splitlines()
    lines[30:] = [line.replace(",17077,", ",18000,") for line in lines[30:]]
    remarks = read_back({"BTC.csv": "\n".join(lines)}).hygiene.remarks
    assert any("2 instruments one after another" in remark for remark in remarks)


@pytest.mark.parametrize(
    ("suffix", "pack"),
    [
        (".csv.gz", gzip.compress),
        (".csv.xz", lzma.compress),
        (".zip", lambda data: zipped({"__MACOSX/._x.csv": b"\0", "x.csv": data})),
        (".zip", lambda data: zipped({"deep/x.csv.gz": gzip.compress(data)})),
        (".tsv", lambda data: data.replace(b",", b"\t")),
        (".txt", lambda data: data),
    ],
)
def test_packed_files_are_read_as_what_they_hold(read_back, half_hours, assert_same, suffix, pack, tmp_path):
    data = csv(timed(half_hours, ms(half_hours))).encode()
    panel = read_back({f"BTC{suffix}": pack(data)}).panel
    assert panel.symbols == ("BTC",)
    assert_same(panel, half_hours)
    assert_same(read_back({}, path=tmp_path / f"BTC{suffix}").panel, half_hours)


def test_a_zip_of_several_tables_holds_a_symbol_each(read_back, half_hours, assert_same, tmp_path):
    data = csv(timed(half_hours, ms(half_hours)))
    panel = read_back({"all.zip": zipped({"BTC.csv": data, "ETH.csv": data})}).panel
    assert panel.symbols == ("BTC", "ETH")
    assert_same(panel, half_hours, asset=1)
    assert read_back({}, path=tmp_path / "all.zip", symbols=("ETH",)).panel.symbols == ("ETH",)


@pytest.mark.parametrize("zone", [None, "UTC", "America/New_York"])
def test_feather_and_parquet_hold_instants_whatever_their_zone(
    read_back, half_hours, assert_same, tmp_path, zone
):
    times = half_hours["utc"] if zone is None else half_hours["utc"].dt.tz_localize("UTC").dt.tz_convert(zone)
    table = timed(half_hours, times, "date")
    table.to_feather(tmp_path / "BTC.feather")
    table.set_index("date").to_parquet(tmp_path / "ETH.parquet")
    panel = read_back({}).panel
    assert_same(panel, half_hours, asset=0)
    assert_same(panel, half_hours, asset=1)


def test_folders_called_key_value_say_what_their_rows_are_of(read_back, half_hours, assert_same, tmp_path):
    table = timed(half_hours, half_hours["utc"])
    for symbol in ("000001", "BTC"):
        for year, part in (("a", table.iloc[:30]), ("b", table.iloc[30:])):
            folder = tmp_path / f"symbol={symbol}" / f"part={year}"
            folder.mkdir(parents=True)
            part.to_parquet(folder / "0.parquet")
    panel = read_back({}).panel
    assert panel.symbols == ("000001", "BTC")
    assert_same(panel, half_hours, asset=0)
    assert_same(panel, half_hours, asset=1)
    assert not panel.exogenous
    assert read_back({}, symbols=("BTC",)).panel.symbols == ("BTC",)
