"""`python -m rayjobs.ingest` from its command line: exit codes, what it prints, and that it keeps keys to itself."""

from __future__ import annotations

import json
import os
import re

import numpy as np
import pandas as pd
import pytest
import yaml
from ingest_settings import ENTRY

from data.lake import Lake, Series
from data.sources import SamplesConfig, load
from data.sources.lake import LakeConfig
from data.sources.samples import sample_rows
from rayjobs.config.compose import CONF, compose
from rayjobs.ingest.__main__ import main
from rayjobs.ingest.keys import load_keys, without_keys
from rayjobs.ingest.settings import build_ingest_settings


@pytest.fixture
def conf(tmp_path):
    """A folder of one's own with a source of each kind of trouble."""
    folder = tmp_path / "conf" / "source"
    folder.mkdir(parents=True)
    for name, fault in (("fine", None), ("locked", "key"), ("down", "down"), ("spare", None)):
        entry = {**ENTRY, "options": {"name": name, "fault": fault}}
        (folder / f"{name}.yaml").write_text(yaml.safe_dump({name: entry}))
    return tmp_path / "conf"


def ingest(conf, tmp_path, *words: str) -> int:
    command = [word for word in words if "=" not in word]
    overrides = [word for word in words if "=" in word]
    standing = [f"lake={tmp_path}/lake", f"directory={tmp_path}/runs", f"env_file={tmp_path}/.env"]
    return int(main([*command, f"--config-dir={conf}", *standing, *overrides]))


REQUEST = ("symbols=[AAA,BBB]", "start=2024-01-01", "end=2024-03-01", "bar=1h")


def test_a_command_fetches_and_the_same_command_finds_everything_there(conf, tmp_path, capsys):
    assert ingest(conf, tmp_path, "source=fine", *REQUEST) == 0
    told = capsys.readouterr().out
    assert "2,880 new bars" in told  # two symbols, sixty days of twenty-four hours
    assert ingest(conf, tmp_path, "source=fine", *REQUEST) == 0
    assert "0 new bars, no call" in capsys.readouterr().out
    assert len(list((tmp_path / "lake" / "curated").rglob("*.parquet"))) == 4


def test_a_refused_key_is_code_2_and_one_sentence(conf, tmp_path, capsys):
    assert ingest(conf, tmp_path, "source=locked", *REQUEST) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error")]
    assert line == "error: locked says no"


def test_a_vendor_that_is_down_leaves_its_pieces_with_code_1_and_the_reason(conf, tmp_path, capsys):
    quick = ("pacing.first_wait_s=0.001", "pacing.longest_wait_s=0.002", "pacing.tries=2")
    assert ingest(conf, tmp_path, "source=down", *quick, *REQUEST) == 1
    assert "left: AAA, 2 pieces: down says no" in capsys.readouterr().out


@pytest.mark.parametrize("name", sorted(path.stem for path in (CONF / "source").glob("*.yaml")))
def test_every_source_builds_and_is_chosen_beside_another(name):
    built = build_ingest_settings(compose("ingest", [f"source=[{name},local]"]))
    assert list(built.sources) == list(dict.fromkeys([name, "local"]))
    assert built.sources[name].vendor == name


def test_an_option_of_a_vendor_that_its_file_does_not_list_is_added_with_a_plus(conf, tmp_path):
    words = (
        "source=fine",
        "source.fine.options.fault=null",
        "symbols=[AAA]",
        "start=2024-01-01",
        "end=2024-01-02",
    )
    assert ingest(conf, tmp_path, *words, "bar=1h", "+source.fine.options.own=1") == 0
    assert ingest(conf, tmp_path, *words, "bar=1h", "+sorce.fine.options.own=1") == 2


def test_the_next_source_gives_what_the_first_one_cannot(conf, tmp_path):
    quick = ("pacing.first_wait_s=0.001", "pacing.longest_wait_s=0.002", "pacing.tries=2")
    assert ingest(conf, tmp_path, "source=[down,spare]", *quick, *REQUEST) == 0
    assert {series.source for series in Lake(f"{tmp_path}/lake").series()} == {"spare"}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("source=fin", *REQUEST), "there is no source 'fin'; did you mean fine?"),
        (REQUEST, "no source is chosen"),
        (("source=fine", "symbols=[A]"), "start: missing"),
        (("source=fine", "start=2024-01-01"), "symbols: missing"),
        (("source=fine", "symbols=[A]", "start=2024-01-02", "end=2024-01-02"), "not after start"),
        (("source=fine", "symbols=[A]", "start=yesterday"), "is not a date or time"),
        (("source=fine", "symbols=[A]", "start=2024-01-01", "bar=7"), "write the length of a bar"),
        (("source=fine", "symbols=[TRUE]", "start=2024-01-01"), "quote it"),
        (("source=fine", "symbols=@nowhere/list", "start=2024-01-01"), "there is no file nowhere/list"),
        (("source=fine", "symbols=[A]", "start=2024-01-01", "universe.min_price=1"), "knows what was listed"),
        (
            ("source=fine", "symbols=[A]", "start=2024-01-01", "source.fine.vendor=iex"),
            "IEX Cloud was shut down",
        ),
        (
            ("source=fine", "symbols=[A]", "start=2024-01-01", "source.fine.vendor=masive"),
            "did you mean 'massive'?",
        ),
        (("source=fine", "symbols=[A]", "start=2024-01-01", "source.fine.calendar=NYS"), "did you mean"),
        (("wach", "source=fine"), "did you mean watch?"),
        (("watch", "source=fine", "symbols=[A]", "start=2024-01-01", "end=2024-02-01"), "leave it out"),
        (("inventory",), "holds nothing"),
        (("curate",), "holds nothing"),
    ],
)
def test_what_a_user_can_mend_is_code_2_and_one_sentence(conf, tmp_path, capsys, words, told):
    assert ingest(conf, tmp_path, *words) == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert told in errors[0]


def test_symbols_come_from_a_file_one_a_line(conf, tmp_path):
    (tmp_path / "low_price.txt").write_text("symbol,price\nAAA, 3.10\n# a comment\n\nBBB\nAAA\n")
    words = (f"symbols=@{tmp_path}/low_price", "start=2024-01-01", "end=2024-01-03", "bar=1h")
    assert ingest(conf, tmp_path, "source=fine", *words) == 0
    assert [series.symbol for series in Lake(f"{tmp_path}/lake").series()] == ["AAA", "BBB"]


def test_the_inventory_is_a_table_a_file_and_a_page_that_needs_nothing_else(conf, tmp_path, capsys):
    ingest(conf, tmp_path, "source=fine", *REQUEST)
    capsys.readouterr()
    assert ingest(conf, tmp_path, "inventory", "verify=true") == 0
    assert "1,440" in capsys.readouterr().out
    facts = json.loads((tmp_path / "runs" / "inventory" / "inventory.json").read_text())
    assert [(one["symbol"], one["rows"], one["missing"]) for one in facts["series"]] == [
        ("AAA", 1440, 0),
        ("BBB", 1440, 0),
    ]
    page = (tmp_path / "runs" / "inventory" / "inventory.html").read_text()
    assert "AAA" in page
    assert not re.search(r"""(src|href)=["']?http""", page)


def test_the_inventory_finds_a_file_that_was_changed(conf, tmp_path, capsys):
    ingest(conf, tmp_path, "source=fine", *REQUEST)
    (path, *_) = sorted((tmp_path / "lake" / "raw").rglob("*.parquet"))
    content = bytearray(path.read_bytes())
    content[150] ^= 0xFF
    path.write_bytes(bytes(content))
    assert ingest(conf, tmp_path, "inventory", "verify=true") == 1
    assert "is not what was written there" in capsys.readouterr().out


def test_curate_makes_what_was_left_uncurated(conf, tmp_path, capsys):
    ingest(conf, tmp_path, "source=fine", "curate=false", *REQUEST)
    assert not (tmp_path / "lake" / "curated").exists()
    assert ingest(conf, tmp_path, "curate", "symbols=[AAA]") == 0
    assert "2 months of 1 series" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("symbol", "sample", "bar", "seconds", "calendar"),
    [
        ("EOS", "crypto_30min", "30m", 1800, "24/7"),
        pytest.param("SPY", "spy_1min", "1m", 60, "NYSE", marks=pytest.mark.slow),
    ],
)
def test_the_bundled_bars_reconcile_to_the_last_row_and_give_the_panel_of_the_samples(
    tmp_path, symbol, sample, bar, seconds, calendar
):
    place = f"{tmp_path}/lake"
    of_sample = (f"source.local.options.sample={sample}", f"source.local.calendar={calendar}", f"bar={bar}")
    request = ("source=local", f"symbols=[{symbol}]", "start=2017-01-01", "end=2021-01-01", "env_file=none")
    assert main([*request, *of_sample, f"lake={place}"]) == 0
    rows = sample_rows(f"{sample}/{symbol}.parquet")
    series = Series(source="local", bar_seconds=seconds, adjustment="raw", symbol=symbol)
    assert sum(part.rows for part in Lake(place).parts(series)) == len(rows)
    pd.testing.assert_frame_equal(
        Lake(place).read(series).rows[list(rows.columns)], rows, check_freq=False, check_names=False
    )
    for start, stop in ((None, None), ("2018-03-01", "2018-12-01")):
        window = {"symbols": (symbol,), "start_utc": start, "stop_utc": stop}
        source = LakeConfig(
            lake=place, source_name="local", bar=bar, made_from=None, adjustment="raw",
            calendar=None, as_of=None, **window,
        )  # fmt: skip
        expected = load(SamplesConfig(sample=sample, **window)).panel
        assert load(source).panel.fingerprint == expected.fingerprint


def test_keys_of_an_env_file_are_read_and_the_environment_counts_first(tmp_path, monkeypatch):
    monkeypatch.setenv("FIRST_API_KEY", "environment")
    for name in ("SECOND_API_KEY", "THIRD_SECRET", "EMPTY_KEY"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / ".env").write_text(
        "# keys\nFIRST_API_KEY=file\nexport SECOND_API_KEY = 'two words'\nTHIRD_SECRET=\"x#y\"  # mine\nEMPTY_KEY=\n"
    )
    assert load_keys(str(tmp_path / ".env"))
    found = [os.environ.pop(name, None) for name in ("SECOND_API_KEY", "THIRD_SECRET", "EMPTY_KEY")]
    assert found == ["two words", "x#y", None]
    assert os.environ["FIRST_API_KEY"] == "environment"
    assert not load_keys(str(tmp_path / "none"))


def test_a_line_of_an_env_file_that_is_none_is_told_by_its_number_and_not_its_text(conf, tmp_path, capsys):
    (tmp_path / ".env").write_text("A_KEY=fine123\nsecretwithoutaname\n")
    assert ingest(conf, tmp_path, "source=fine", *REQUEST) == 2
    os.environ.pop("A_KEY", None)
    told = capsys.readouterr()
    assert "line 2" in told.err
    assert "secretwithoutaname" not in told.err + told.out


def test_no_key_is_told_written_or_kept(conf, tmp_path, capsys, monkeypatch, caplog):
    secret = "sk-0123456789abcdef"
    monkeypatch.setenv("MADE_API_KEY", secret)
    entry = {**ENTRY, "options": {"name": f"https://host/?apiKey={secret}&x", "fault": "down"}}
    # A client that quotes its whole address, as requests and urllib3 do.
    (conf / "source" / "chatty.yaml").write_text(yaml.safe_dump({"chatty": entry}))
    quick = ("pacing.first_wait_s=0.001", "pacing.longest_wait_s=0.002", "pacing.tries=2")
    assert ingest(conf, tmp_path, "source=chatty", *quick, *REQUEST) == 1
    assert ingest(conf, tmp_path, "source=fine", *REQUEST) == 0
    told = capsys.readouterr()
    assert "[key]" in told.out
    assert secret not in told.out + told.err + caplog.text
    for path in (*(tmp_path / "lake").rglob("*"), *(tmp_path / "runs").rglob("*")):
        assert not path.is_file() or secret.encode() not in path.read_bytes()
    assert without_keys(f"a {secret} b") == "a [key] b"


def test_prices_of_the_lake_are_those_that_the_vendor_sent(conf, tmp_path):
    from made_vendor import law

    ingest(conf, tmp_path, "source=fine", *REQUEST)
    series = Series(source="fine", bar_seconds=3600, adjustment="raw", symbol="BBB")
    start, stop = (pd.Timestamp(day, tz="UTC") for day in ("2024-01-01", "2024-03-01"))
    sent = law("BBB", start, stop, 3600)
    np.testing.assert_array_equal(Lake(f"{tmp_path}/lake").read(series).rows["close"], sent["close"])


@pytest.mark.ray
def test_ray_tasks_bring_what_threads_bring(tmp_path, capsys):
    request = (
        "source=local",
        "symbols=[EOS,LTC]",
        "start=2019-06-01",
        "end=2019-09-01",
        "env_file=none",
        "bar=30m",
    )
    crypto = ("source.local.options.sample=crypto_30min", "source.local.calendar=24/7")
    for execution in ("threads", "ray"):
        words = (f"lake={tmp_path}/{execution}", f"execution={execution}", "cluster.num_cpus=2")
        assert main([*request, *crypto, *words]) == 0
    names = [
        sorted(
            _named(path.relative_to(tmp_path / execution))
            for path in (tmp_path / execution).rglob("*.parquet")
        )
        for execution in ("threads", "ray")
    ]
    assert names[0] == names[1]  # names hold the contents
    assert len(names[0]) == 2 * 2 * 3


def _named(path):
    """A file of the lake by what it holds: a curated one's last part is the digest of its bytes, times of ingest among
    them."""
    return str(path).rsplit("_", 1)[0] if path.parts[0] == "curated" else str(path)
