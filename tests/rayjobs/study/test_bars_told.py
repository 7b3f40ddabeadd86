"""What was read is told before a job trains on it, and at the top of its report; policies keep to their bars."""

from __future__ import annotations

import logging

import numpy as np
import pandas as pd
import pytest
from small_run import make_run

from rayjobs.config.compose import compose
from rayjobs.config.exit_codes import ExitCode
from rayjobs.config.typed_config import ConfigError
from rayjobs.entry import reading_input
from rayjobs.evaluate import main
from rayjobs.study.config import build_train_config
from rayjobs.study.load import load_study

SMALL = (
    "data=files", "+policy.script=flip", "features.specs.return_336=null", "features.specs.volatility_336=null",
    "walk_forward.train_bars=500", "walk_forward.test_bars=200", "env.episode.bars=48", "scoring.supervised=[]",
    "scoring.placebo_strategies=0",
)  # fmt: skip


def write_bars(folder, *, step="30min", num_rows=1000, split_at=None, symbol="XYZ"):
    rng = np.random.default_rng(4)
    close = 100.0 * np.exp(np.cumsum(0.002 * rng.standard_normal(num_rows)))
    opened = np.concatenate([[100.0], close[:-1]])
    table = pd.DataFrame(
        {
            "timestamp": pd.date_range("2024-01-01", periods=num_rows, freq=step).strftime(
                "%Y-%m-%d %H:%M:%S"
            ),
            "open": opened,
            "high": np.maximum(opened, close),
            "low": np.minimum(opened, close),
            "close": close,
            "volume": 1e5,
        }
    )
    if split_at is not None:
        table.loc[split_at:, ["open", "high", "low", "close"]] /= 4.0
    table.to_csv(folder / f"{symbol}.csv", index=False)
    return f"data.path={folder}"


def load_with(*overrides):
    with reading_input():
        return load_study(build_train_config(compose("train", [*SMALL, *overrides])))


def test_the_readmes_command_on_daily_bars_is_refused_with_what_to_set(tmp_path):
    given = write_bars(tmp_path, step="1D")
    with pytest.raises(
        ConfigError,
        match=r"86400 s \(one day\) apart, but data.bar_seconds is 1800; set data.bar_seconds=86400",
    ):
        load_with(given)


def test_a_split_is_said_before_training(tmp_path, caplog):
    with caplog.at_level(logging.INFO):
        load_with(write_bars(tmp_path, split_at=300))
    (warning,) = [r for r in caplog.records if r.levelname == "WARNING" and "data:" in r.getMessage()]
    assert "XYZ: jumps on 7 January 2024" in warning.getMessage()
    assert "4:1 split" in warning.getMessage()


def test_what_was_read_stands_above_the_numbers_of_the_report(tmp_path):
    bars = tmp_path / "bars"
    bars.mkdir()
    given = write_bars(bars, split_at=300)
    pd.read_csv(bars / "XYZ.csv").iloc[:850].to_csv(bars / "XYZ.csv", index=False)
    write_bars(bars, symbol="ABC")
    page = (make_run(tmp_path / "runs", given, base=SMALL) / "report.html").read_text()
    at = page.index("What should be known of the bars")
    assert at < page.index("Net Sharpe, annual")
    said = page[at : page.index("</section>", at)]
    assert "XYZ: ends on 18 January 2024 inside fold 1" in said
    assert "as where a 4:1 split is not adjusted for" in said
    assert 'class="loud"' in said


def test_an_evaluation_of_a_trained_policy_on_shorter_bars_ends_with_one_sentence(tmp_path, capsys):
    run = make_run(tmp_path)
    assert (
        main([f"run={run}", f"directory={tmp_path / 'again'}", "data.bar_seconds=900"]) is ExitCode.BAD_INPUT
    )
    said = " ".join(capsys.readouterr().err.split())
    assert "trained on bars of 30 minutes and is given bars of 15 minutes" in said
    assert not (tmp_path / "again").exists()


def warnings_of(caplog, *overrides):
    with caplog.at_level(logging.INFO):
        load_with(*overrides)
    return [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]


def test_a_choice_of_symbols_is_told_with_those_left_out_that_end_early(tmp_path, caplog):
    for symbol in ("AAA", "BBB", "CCC"):
        write_bars(tmp_path, symbol=symbol)
    given = write_bars(tmp_path, symbol="DEAD", num_rows=400)  # to 9 January; the others to 21 January
    told = warnings_of(caplog, given, "data.symbols=[AAA,BBB]")
    (line,) = [text for text in told if "data.symbols" in text]
    assert "chooses 2 of 4 symbols that the source holds" in line
    assert "1 end early (DEAD on 2024-01-09)" in line
    caplog.clear()
    told = warnings_of(caplog, given, "data.symbols=[AAA,BBB,CCC,DEAD]")
    assert not [text for text in told if "data.symbols" in text]


def test_a_choice_from_one_long_file_is_told_too(tmp_path, caplog):
    tables = []
    for symbol, rows in (("AAA", 1000), ("DEAD", 400)):
        write_bars(tmp_path, symbol=symbol, num_rows=rows)
        tables.append(pd.read_csv(tmp_path / f"{symbol}.csv").assign(symbol=symbol))
    pd.concat(tables).to_csv(tmp_path / "all.csv", index=False)
    told = warnings_of(caplog, f"data.path={tmp_path / 'all.csv'}", "data.symbols=[AAA]")
    assert any("chooses 1 of 2" in text and "DEAD on 2024-01-09" in text for text in told)


def test_a_halt_that_is_padded_with_copied_rows_is_told(tmp_path, caplog):
    given = write_bars(tmp_path)
    table = pd.read_csv(tmp_path / "XYZ.csv")
    columns = ["open", "high", "low", "close", "volume"]
    table.loc[401:449, columns] = table.loc[400, columns].to_numpy()
    table.to_csv(tmp_path / "XYZ.csv", index=False)
    told = warnings_of(caplog, given)
    assert any(
        "49 bars repeat the one before with its volume, from 9 January 2024 on" in text for text in told
    )


def test_a_delisting_that_bars_contradict_is_told(tmp_path, caplog):
    told = warnings_of(
        caplog, write_bars(tmp_path), "+instruments.symbols.XYZ.delisted_utc='2024-01-15T00:00:00Z'"
    )
    # 328 bars from 15 January 00:00 on: 1,000 rows of half hours less 14 days of 48.
    assert any(
        "is delisted by the configuration on 15 January 2024, but 328 tradable bars" in text for text in told
    )
    with pytest.raises(ConfigError, match="delisted_utc is 'soon'; write an instant"):
        load_with(write_bars(tmp_path), "+instruments.symbols.XYZ.delisted_utc=soon")
