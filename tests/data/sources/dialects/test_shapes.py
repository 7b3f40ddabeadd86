"""Tables of no particular maker: what can be meant in one way only is read, what may mean two things is refused."""

import numpy as np
import pandas as pd
import pytest

from data.errors import DataError

PRICES = ["open", "high", "low", "close"]


def table(bars, form="%Y-%m-%d %H:%M:%S"):
    shown = bars.drop(columns="utc")
    shown.insert(0, "timestamp", bars["utc"].dt.strftime(form))
    return shown


def csv(frame, **how):
    return frame.to_csv(index=False, **how)


def european(frame):
    return frame.map(
        lambda cell: f"{cell:,.2f}".translate(str.maketrans(",.", ".,")) if isinstance(cell, float) else cell
    )


def grouped(frame, columns):
    return frame.assign(**{name: frame[name].map("{:,.2f}".format) for name in columns})


def split_times(bars, date, clock):
    shown = bars.drop(columns="utc")
    return shown.assign(Date=bars["utc"].dt.strftime(date), Time=bars["utc"].dt.strftime(clock))


READ = {
    "semicolons and decimal commas": lambda b: csv(european(table(b)), sep=";"),
    "the same with German dates": lambda b: csv(european(table(b, "%d.%m.%Y %H:%M")), sep=";"),
    "commas between thousands": lambda b: csv(grouped(table(b), ["volume"])),
    "bars between fields": lambda b: csv(table(b), sep="|"),
    "tabs": lambda b: csv(table(b), sep="\t"),
    "everything in quotes": lambda b: csv(table(b), quoting=1),
    "a byte order mark": lambda b: "\ufeff" + csv(table(b)),
    "UTF-16": lambda b: csv(table(b)).encode("utf-16"),
    "UTF-16 without a mark": lambda b: csv(table(b)).encode("utf-16-le"),
    "letters in Latin-1": lambda b: csv(table(b).assign(médian=1.0)).encode("latin-1"),
    "blank lines": lambda b: csv(table(b), lineterminator="\r\n\r\n"),
    "empty rows at the end": lambda b: csv(table(b)) + ",,,,,\n,,,,,\n",
    "a comma after each row": lambda b: "\n".join(f"{line}," for line in csv(table(b)).splitlines()),
    "titles": lambda b: "My export\nSymbol: BTC\n\n" + csv(table(b)),
    "an index without a name": lambda b: table(b).set_index("timestamp").rename_axis(None).to_csv(),
    "an unnamed first column of times": lambda b: csv(table(b).rename(columns={"timestamp": "Unnamed: 0"})),
    "row numbers": lambda b: table(b).to_csv(),
    "names of one letter": lambda b: csv(
        table(b).set_axis(["date", "O", "H", "L", "C", "V"], axis=1)
    ),
    "columns in another order": lambda b: csv(table(b)[["volume", *PRICES[::-1], "timestamp"]]),
    "date and time": lambda b: csv(split_times(b, "%m/%d/%Y", "%I:%M %p")),
    "date and time in digits": lambda b: csv(split_times(b, "%Y%m%d", "%H%M")),
    "date and time in digits with seconds": lambda b: csv(split_times(b, "%Y%m%d", "%H%M%S")),
    "the close of a bar": lambda b: csv(
        table(b.assign(utc=b["utc"] + pd.Timedelta("30min"))).rename(columns={"timestamp": "close_time"})
    ),
    "open and close of a bar": lambda b: csv(table(b).assign(close_time=b["utc"] + pd.Timedelta("30min"))),
    "a date beside the time": lambda b: csv(table(b).assign(date=b["utc"].dt.strftime("%Y-%m-%d"))),
    "AM and PM": lambda b: csv(table(b, "%Y-%m-%d %I:%M:%S %p")),
    "digits only": lambda b: csv(table(b, "%Y%m%d%H%M")),
    "a volume in two currencies": lambda b: csv(
        table(b).rename(columns={"volume": "Volume_(BTC)"}).assign(**{"Volume_(Currency)": 1.0})
    ),
    "no header, day first": lambda b: csv(table(b, "%d/%m/%Y %H:%M"), header=False),
}  # fmt: skip


@pytest.mark.parametrize("shape", READ)
def test_what_can_be_meant_in_one_way_is_read_exactly(read_back, half_hours, assert_same, shape):
    dataset = read_back({"BTC.csv": READ[shape](half_hours)})
    assert_same(dataset.panel, half_hours)
    assert dataset.panel.symbols == ("BTC",)


REFUSED = {
    r"'2,000' may be 2000 \(a comma between thousands\) or 2.000": lambda b: csv(
        b.assign(utc=b["utc"].dt.strftime("%Y-%m-%dT%H:%M"))
        .rename(columns={"utc": "timestamp"})
        .assign(volume=5, **{name: (b[name] * 20).round().map("{:,.0f}".format) for name in PRICES})
    ),
    r"may be 15\d\d\d \(a point between thousands\) or 15": lambda b: csv(
        table(b).assign(volume=7, **{name: (b[name] * 0.15).map("{:.3f}".format) for name in PRICES}), sep=";"
    ),
    "column 'open' is not numeric .'open' in row 31": lambda b: (
        csv(table(b).iloc[:30]) + csv(table(b).iloc[30:])
    ),
    "has two times a row": lambda b: csv(table(b).assign(date=b["utc"] + pd.Timedelta("3h"))),
    "times are not sorted": lambda b: csv(pd.concat([table(b).iloc[30:], table(b).iloc[:30]])),
    "times are not sorted.*": lambda b: csv(table(b, "%Y-%m-%d %I:%M:%S")),
    "is not parted as the rows are": lambda b: csv(table(b), sep=";").replace(";", ",", 5),
    "'Volume XYZ' and 'Volume ABC'; call the one": lambda b: csv(
        table(b).rename(columns={"volume": "Volume XYZ"}).assign(**{"Volume ABC": 1.0})
    ),
    "has no header": lambda b: csv(table(b).assign(adjusted=1.0), header=False),
    "row numbers or Excel's days .2024-01-14": lambda b: csv(
        table(b).assign(timestamp=45305 + np.arange(len(b)) / 48)
    ),
    "'1.70519E.12' of row 1 cannot be read": lambda b: csv(
        table(b).assign(timestamp=(b["utc"].astype("datetime64[ms]").astype(np.int64)).map("{:.5E}".format))
    ),
    "the rows have 1. fields but the header names 6": lambda b: csv(table(b)).replace(".", ","),
    "is nan at": lambda b: csv(table(b))[:-25],
    "has no column 'open' .rename 'bid_open'": lambda b: csv(
        table(b).rename(columns={name: f"bid_{name}" for name in PRICES})
    ),
    "does not part into at least 5 fields": lambda b: csv(table(b), sep=" "),
    "no text": lambda b: b"\x01\x00\x00PK" + csv(table(b)).encode(),
    "set data.timezone to the zone of the times": lambda b: csv(
        split_times(b, "%m/%d/%Y", "%H:%M")[["Date", "Time", *PRICES, "volume"]], header=False
    ),
}


@pytest.mark.parametrize("said", REFUSED)
def test_what_may_mean_two_things_or_none_is_refused_in_one_sentence(read_back, half_hours, said):
    with pytest.raises(DataError, match=said) as caught:
        read_back({"BTC.csv": REFUSED[said](half_hours)})
    assert "\n" not in str(caught.value)


def test_a_stated_mark_or_order_decides(read_back, half_hours, assert_same):
    thousands = half_hours.assign(**{name: half_hours[name] * 20 for name in PRICES}).round(0)
    text = csv(grouped(table(thousands), PRICES).replace(r"\.00$", "", regex=True).assign(volume=5))
    np.testing.assert_allclose(
        read_back({"BTC.csv": text}, decimal=".").panel.close[:, 0], thousands["close"]
    )
    np.testing.assert_allclose(
        read_back({"BTC.csv": text}, decimal=",").panel.close[:, 0], thousands["close"] / 1000.0
    )
    one_day = half_hours.assign(utc=half_hours["utc"] - pd.Timedelta("8D")).iloc[:48]
    files = {"BTC.csv": csv(table(one_day, "%d/%m/%Y %H:%M"))}
    with pytest.raises(DataError, match=r"may be 2024-01-06 \(day first\) or 2024-06-01 \(month first\)"):
        read_back(files)
    assert_same(read_back(files, dates="day_first").panel, one_day)


@pytest.mark.parametrize("changes", [{"dates": "dmy"}, {"decimal": ";"}])
def test_a_statement_that_cannot_be_meant_is_refused(read_back, half_hours, changes):
    with pytest.raises(DataError, match=f"{next(iter(changes))} is "):
        read_back({"BTC.csv": csv(table(half_hours))}, **changes)


def test_what_the_config_says_against_a_makers_habit_is_done_and_said(read_back, half_hours):
    text = csv(table(half_hours, "%Y%m%d %H%M%S"), header=False, sep=";")
    dataset = read_back({"BTC 03-24.Last.txt": text}, labels="open")
    assert dataset.panel.bar_utc[0] == np.datetime64("2024-01-14", "ns")
    assert any("though such files are labelled by its close" in remark for remark in dataset.hygiene.remarks)
    text = csv(table(half_hours, "%Y%m%d %H%M%S"), header=False, sep=";")
    dataset = read_back({"DAT_ASCII_EURUSD_M1_2024.csv": text}, symbols=("EURUSD",), timezone="UTC")
    assert dataset.panel.bar_utc[0] == np.datetime64("2024-01-14", "ns")
    assert any("though such files hold those of Etc/GMT+5" in remark for remark in dataset.hygiene.remarks)
