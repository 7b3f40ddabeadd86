"""Events and sectors by symbol out of a file, or of the instruments: what the configuration holds from then on."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rayjobs.config.compose import compose, compose_command_line
from rayjobs.config.typed_config import ConfigError
from rayjobs.study.config import build_train_config

NOISE = "+experiment=noise"
CSV = """# results
Symbol, Instant, known_at
AMD,2018-01-30T21:15Z,2018-01-09
NVDA,"2018-02-08 21:20"   # no zone: UTC
AMD,2018-04-25,
SPY,
"""


def earnings(path) -> str:
    return (
        '+features.specs.since={name: time_since_earnings, params: {days: 90, events: "${events_in:'
        + f'{path}}}"}}}}'
    )


def events_of(*overrides):
    return build_train_config(compose("train", [NOISE, *overrides])).features.specs["since"].params["events"]


def test_the_events_of_a_file_are_written_out_as_it_has_them(tmp_path):
    (tmp_path / "earnings.csv").write_text(CSV)
    assert events_of(earnings(tmp_path / "earnings.csv")) == {
        "AMD": "2018-01-30T21:15Z known 2018-01-09; 2018-04-25",
        "NVDA": "2018-02-08 21:20",
        "SPY": "",
    }


def test_a_table_of_parquet_says_the_same(tmp_path):
    table = pa.table(
        {
            "symbol": ["AMD", "NVDA", "SPY"],
            "date": pa.array(
                [datetime(2018, 1, 30, 21, 15, tzinfo=UTC), None, None], pa.timestamp("us", "UTC")
            ),
            "known_at": pa.array([date(2018, 1, 9), None, None]),
        }
    )
    pq.write_table(table, tmp_path / "earnings.parquet")
    assert events_of(earnings(tmp_path / "earnings.parquet")) == {
        "AMD": "2018-01-30T21:15:00+00:00 known 2018-01-09",
        "NVDA": "",
        "SPY": "",
    }
    # What pandas writes of dates are midnights without a zone, which are dates alone.
    days = pa.table({"symbol": ["ON"], "date": pa.array([datetime(2018, 2, 5)], pa.timestamp("us"))})
    pq.write_table(days, tmp_path / "days.parquet")
    assert events_of(earnings(tmp_path / "days.parquet")) == {"ON": "2018-02-05T00:00:00"}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (None, "cannot be read"),
        ("# none\n", "lacks the column symbol; .*has none"),
        (
            "symbol,day\nAMD,2018-01-30\n",
            "lacks the column instant or date or time or utc; .*has symbol, day",
        ),
        (
            "symbol,date,time\nAMD,2018-01-30,16:15\n",
            "has the columns date and time; it must have one of them",
        ),
        ("symbol,date\nSPY,\n", "holds no event"),
        ("symbol,date\n,2018-01-30\n", "line 2 names no symbol"),
        ("symbol,date\nAMD,2018-01-30\nAMD,30/01/2018\n", "line 3: .*'30/01/2018' is not a date or time"),
        ("symbol,date,known_at\nAMD,2018-01-30,soon\n", "line 2: .*'soon' is not a date or time"),
        ("symbol,date,known_at\nAMD,,2018-01-30\n", "line 2: known_at is '2018-01-30', but there is no date"),
        ("symbol,date\nAMD,2018-01-30,2018-01-09\n", "line 2 has 3 cells under 2 headings"),
    ],
)
def test_a_file_that_holds_no_events_is_told_in_one_sentence_with_its_key(tmp_path, text, sentence):
    if text is not None:
        (tmp_path / "earnings.csv").write_text(text)
    with pytest.raises(ConfigError, match=rf"features\.specs\.since\.params\.events: .*{sentence}"):
        compose_command_line("train", [NOISE, earnings(tmp_path / "earnings.csv")])


def sectors_of(*overrides):
    values = compose("train", [*overrides, "features=identity"])
    return build_train_config(values).features.specs["sector"].params["sectors"]


def test_sectors_are_those_of_the_instruments():
    found = sectors_of("+experiment=equities_cross_section")
    assert len(found) == 12
    assert found["SYN_OIL2"] == "energy"
    assert sectors_of(NOISE) == {}


def test_sectors_may_come_out_of_a_file(tmp_path):
    (tmp_path / "sectors.csv").write_text("symbol;sector\nAMD;semi conductors\nON;semi conductors\nSPY;\n")
    asked = f'features.specs.sector.params.sectors="${{sectors_in:{tmp_path / "sectors.csv"}}}"'
    assert sectors_of(NOISE, asked) == {"AMD": "semi conductors", "ON": "semi conductors"}
    (tmp_path / "sectors.csv").write_text("symbol,sector\nAMD,chips\nAMD,banks\n")
    with pytest.raises(ConfigError, match="line 3: AMD is of 'banks', and of 'chips' before"):
        compose_command_line("train", [NOISE, "features=identity", asked])


def test_a_feature_that_tells_symbols_apart_is_refused_for_symbols_held_out():
    held_out = ("data.test_symbols=[SYN1]", "features.standardise=pooled", "policy.symbol_embedding=false")
    with pytest.raises(ConfigError, match="symbol_identity tells the symbols of the training apart"):
        build_train_config(compose("train", [NOISE, *held_out, "features=identity"]))
    without = "features.specs.symbol_identity=null"
    assert build_train_config(compose("train", [NOISE, *held_out, "features=identity", without])).test_symbols
