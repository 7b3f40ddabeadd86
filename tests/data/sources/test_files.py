"""The user's own files: every layout gives the same panel, and each mistake one sentence."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from data.errors import DataError
from data.schema import BAR_COLUMNS
from data.sources import FilesConfig, load

CONFIG = FilesConfig(
    path="",
    symbols=(),
    calendar="24/7",
    bar_seconds=1800,
    labels="open",
    timezone="UTC",
    start_utc=None,
    stop_utc=None,
)


def table_of(panel, symbol):
    a = panel.symbols.index(symbol)
    columns = {name: getattr(panel, name)[:, a] for name in BAR_COLUMNS}
    columns |= {name: values[:, a] for name, values in panel.exogenous.items()}
    table = pd.DataFrame({"timestamp": panel.bar_utc, **columns})
    return table[np.isfinite(table["close"])]


def load_from(path, **changes):
    return load(replace(CONFIG, path=str(path), **changes))


def same(panel, original):
    # Exogenous values of missing bars are not written, so they come back as unknown.
    gone = np.isnan(original.close)
    exogenous = {name: np.where(gone, np.nan, values) for name, values in original.exogenous.items()}
    return panel.fingerprint == replace(original, exogenous=exogenous).fingerprint


@pytest.fixture
def original(random_panel):
    panel = random_panel(7, 200, missing=0.05)
    # The first and the last bar are there in one asset at least, so that the panel keeps its length.
    assert np.isfinite(panel.close[[0, -1]]).any(axis=1).all()
    return panel


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".parquet"])
def test_a_directory_of_one_file_per_symbol_gives_the_panel_back(tmp_path, original, suffix):
    for symbol in original.symbols:
        table = table_of(original, symbol)
        if suffix == ".parquet":
            table.to_parquet(tmp_path / f"{symbol}{suffix}")
        else:
            table.to_csv(tmp_path / f"{symbol}{suffix}", index=False)
    (tmp_path / "notes.txt").write_text("not a bar")
    dataset = load_from(tmp_path)
    assert same(dataset.panel, original)
    assert dataset.hygiene.bars("missing") == np.isnan(original.close).sum()


def test_one_long_file_gives_the_same_panel(tmp_path, original):
    long = pd.concat([table_of(original, s).assign(symbol=s) for s in original.symbols]).sort_values(
        "timestamp"
    )
    long.to_csv(tmp_path / "bars.csv", index=False)
    assert same(load_from(tmp_path / "bars.csv").panel, original)
    assert load_from(tmp_path / "bars.csv", symbols=("B",)).panel.symbols == ("B",)


def test_one_file_of_one_symbol_is_named_after_it(tmp_path, original):
    table_of(original, "A").to_csv(tmp_path / "A.csv", index=False)
    assert load_from(tmp_path / "A.csv").panel.symbols == ("A",)


def test_a_time_index_in_parquet_serves_as_timestamp(tmp_path, original):
    table_of(original, "A").set_index("timestamp").to_parquet(tmp_path / "A.parquet")
    assert load_from(tmp_path).panel.num_bars > 190


@pytest.fixture
def good():
    times = pd.date_range("2020-01-01", periods=6, freq="30min")
    prices = {"open": 10.0, "high": 11.0, "low": 9.0, "close": 10.5, "volume": 3.0}
    return pd.DataFrame({"timestamp": times.strftime("%Y-%m-%dT%H:%M:%S"), **prices})


def write(tmp_path, table):
    table.to_csv(tmp_path / "X.csv", index=False)
    return tmp_path


@pytest.mark.parametrize(
    ("write_time", "timezone", "first"),
    [
        ("2019-07-0{d} 09:30:00", "America/New_York", "2019-07-01T13:30"),
        ("2019-07-0{d} 09:30:00", "UTC", "2019-07-01T09:30"),
        ("2019-07-0{d}T09:30:00Z", "America/New_York", "2019-07-01T09:30"),
        ("2019-07-0{d}T09:30:00-04:00", "UTC", "2019-07-01T13:30"),
        ("2019-07-0{d}", "UTC", "2019-07-01"),
    ],
)
def test_times_are_read_by_their_offset_or_else_as_wall_clock(tmp_path, good, write_time, timezone, first):
    good["timestamp"] = [write_time.format(d=d) for d in range(1, 7)]
    panel = load_from(write(tmp_path, good), timezone=timezone).panel
    assert panel.bar_utc[0] == np.datetime64(first, "ns")


@pytest.mark.parametrize(("scale", "unit"), [(1, "s"), (10**3, "ms"), (10**6, "us"), (10**9, "ns")])
def test_unix_times_are_read_in_any_unit(tmp_path, good, scale, unit):
    good["timestamp"] = (1_577_836_800 + 1800 * np.arange(6)) * scale
    assert load_from(write(tmp_path, good)).panel.bar_utc[0] == np.datetime64("2020-01-01", "ns"), unit


def test_both_offsets_of_new_york_are_one_time_zone_if_it_is_named(tmp_path, good):
    # Clocks went back on 2019-11-03; 9:30 is 13:30 UTC before and 14:30 UTC after.
    days = [("2019-11-01", "-04:00"), ("2019-11-04", "-05:00"), ("2019-11-05", "-05:00")]
    table = good.iloc[:3].assign(timestamp=[f"{day} 09:30:00{offset}" for day, offset in days])
    folder = write(tmp_path, table)
    panel = load_from(folder, timezone="America/New_York", calendar="NYSE", bar_seconds=86400).panel
    assert panel.bar_utc[:2].tolist() == [
        np.datetime64(t, "ns").item() for t in ("2019-11-01T13:30", "2019-11-04T14:30")
    ]
    with pytest.raises(DataError, match=r"different offsets .-0400, -0500."):
        load_from(folder, calendar="NYSE", bar_seconds=86400)


def test_daily_bars_written_as_dates_are_labelled_by_the_open(tmp_path, good):
    good["timestamp"] = ["2019-07-01", "2019-07-02", "2019-07-03", "2019-07-05", "2019-07-08", "2019-07-09"]
    panel = load_from(write(tmp_path, good), calendar="NYSE", bar_seconds=86400).panel
    assert panel.num_bars == 6
    assert panel.bar_utc[0] == np.datetime64("2019-07-01T13:30", "ns")
    with pytest.raises(DataError, match="2019-07-04 is no session"):
        good.loc[3, "timestamp"] = "2019-07-04"
        load_from(write(tmp_path, good), calendar="NYSE", bar_seconds=86400)


def edited(good, column, row, value):
    table = good.astype(object)
    table.loc[row, column] = value
    return table


BAD_TABLES = {
    "no column 'close'": lambda t: t.drop(columns="close"),
    "no column 'timestamp'": lambda t: t.rename(columns={"timestamp": "when"}),
    "rename 'clsoe'": lambda t: t.rename(columns={"close": "clsoe"}),
    "is empty; give a file with rows": lambda t: t.iloc[:0],
    "close is nan": lambda t: edited(t, "close", 2, np.nan),
    "low is -9.0": lambda t: edited(t, "low", 2, -9.0),
    "not sorted": lambda t: t.iloc[[0, 2, 1, 3, 4, 5]],
    "occurs more than once": lambda t: pd.concat([t.iloc[:3], t.iloc[2:]]),
    "some have none": lambda t: edited(t, "timestamp", 3, "2020-01-01T01:30:00+00:00"),
    "different offsets": lambda t: t.assign(
        timestamp=[f"{x}{z}" for x, z in zip(t["timestamp"], ["Z", "+01:00"] * 3)]
    ),
    "cannot be read": lambda t: edited(t, "timestamp", 3, "yesterday"),
    "row 4 has no timestamp": lambda t: edited(t, "timestamp", 3, None),
    "row numbers or Excel's days": lambda t: t.assign(timestamp=range(45292, 45298)),
    "may be a date and an hour": lambda t: t.assign(timestamp=range(2020010101, 2020010107)),
    "column 'note' is not numeric": lambda t: t.assign(note="x"),
    "column 'open' is not numeric": lambda t: edited(t, "open", 1, "ten"),
}


@pytest.mark.parametrize("said", BAD_TABLES)
def test_a_file_with_a_mistake_is_refused_in_one_sentence(tmp_path, good, said):
    with pytest.raises(DataError, match=said) as caught:
        load_from(write(tmp_path, BAD_TABLES[said](good)))
    assert "\n" not in str(caught.value)


def test_paths_that_hold_no_bars_are_refused(tmp_path, good):
    with pytest.raises(DataError, match="does not exist"):
        load_from(tmp_path / "nowhere")
    with pytest.raises(DataError, match="holds no bars"):
        load_from(tmp_path)
    (tmp_path / "X.csv").write_text("")
    with pytest.raises(DataError, match="is empty"):
        load_from(tmp_path)
    (tmp_path / "X.parquet").write_text("no parquet")
    with pytest.raises(DataError, match="two files for X"):
        load_from(tmp_path)
    (tmp_path / "X.csv").unlink()
    with pytest.raises(DataError, match="cannot be read"):
        load_from(tmp_path)
    (tmp_path / "X.xls").write_text("")
    with pytest.raises(DataError, match="convert it"):
        load_from(tmp_path / "X.xls")


def test_a_symbol_without_a_file_is_answered_with_the_nearest(tmp_path, good):
    good.to_csv(tmp_path / "BTCUSD.csv", index=False)
    with pytest.raises(DataError, match="did you mean 'BTCUSD'"):
        load_from(tmp_path, symbols=("BTCUSDT",))


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"calendar": "NYC"}, "Calendar"), ({"bar_seconds": 7}, "divide"), ({"timezone": "New York"}, "IANA")],
)
def test_a_config_that_cannot_be_meant_is_refused(changes, said):
    with pytest.raises(DataError, match=said):
        replace(CONFIG, **changes)
