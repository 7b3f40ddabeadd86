"""`python -m rayjobs.features`: list, build, plot and check, as a user types them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from data.features.library import FEATURES
from rayjobs.config.exit_codes import ExitCode
from rayjobs.features import main
from rayjobs.study.feature_library import library_page

SMALL = ("data=noise", "data.num_bars=1500", "data.num_assets=2")
OWN = """
import numpy as np

from data.features import Feature


def behind(panel, *, window_bars):
    return panel.close / np.roll(panel.close, -window_bars, axis=0)


LATE = Feature(name="late", kind="asset", function=behind, lookback_bars=lambda params: 0)
"""


def test_the_page_of_the_documentation_is_up_to_date():
    page = Path(__file__).resolve().parents[2] / "docs" / "features.md"
    assert page.read_text() == library_page(), "python -m rayjobs.study.feature_library > docs/features.md"


def test_list_names_what_is_known_of_a_feature(capsys):
    assert main(["list", "subject=price_structure"]) is ExitCode.DONE
    told = " ".join(capsys.readouterr().out.split())
    assert "9 features of price_structure" in told
    assert "fair_value_gap" in told
    assert "strength_bars=3" in told


@pytest.mark.parametrize("width", [80, 100, 140])
def test_list_names_every_feature_on_one_screen(width, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", str(width))
    assert main(["list"]) is ExitCode.DONE
    text = capsys.readouterr().out
    assert f"{len(FEATURES)} features" in text
    told = set(re.findall(r"\w+", text))
    assert set(FEATURES) | {feature.subject for feature in FEATURES.values()} <= told
    assert "find=volume" in text
    lines = text.splitlines()
    assert max(map(len, lines)) <= width
    assert len(lines) <= {80: 60, 100: 50, 140: 40}[width]


def test_list_finds_words_anywhere_in_what_is_known_of_a_feature(capsys):
    assert main(["list", "find=Order Flow", "--json"]) is ExitCode.DONE
    (table,) = json.loads(capsys.readouterr().out)["tables"]
    assert table["rows"]
    for row in table["rows"]:
        text = " ".join(map(str, row.values())).lower().replace("_", " ")
        assert "order" in text
        assert "flow" in text
    assert main(["list", "find=volume", "subject=technical", "--json"]) is ExitCode.DONE
    within = json.loads(capsys.readouterr().out)["tables"][0]
    assert "with volume" in within["title"]
    assert "subject" not in within["rows"][0]


def test_a_script_is_told_of_every_feature_all_that_is_known(capsys):
    assert main(["list", "--json"]) is ExitCode.DONE
    rows = json.loads(capsys.readouterr().out)["tables"][0]["rows"]
    assert len(rows) == len(FEATURES)
    known = {"name", "subject", "meaning", "parameters", "lookback", "unit", "range", "NaN", "source"}
    assert all(set(row) == known for row in rows)


def test_build_writes_what_is_computed_and_says_how_much_is_known(tmp_path, capsys):
    assert main(["build", *SMALL, "features=regime", f"directory={tmp_path}"]) is ExitCode.DONE
    tables = sorted(tmp_path.glob("*.parquet"))
    assert len(tables) == 2
    table = pd.read_parquet(tables[0])
    assert str(table.index.tz) == "UTC"
    assert table.index.name == "bar_utc"
    described = json.loads((tmp_path / "features.json").read_text())
    assert described["lookback_bars"] == 270
    assert np.isnan(table["efficiency_ratio_30"].iloc[:30]).all()
    assert np.isfinite(table.iloc[270:]).all(axis=None)
    told = capsys.readouterr().out
    assert "volatility_rank_240_30_tercile" in told
    assert "100.0%" in told


@pytest.mark.parametrize("name", ["macd", "day_of_week"])
def test_plot_writes_one_page_without_scripts(tmp_path, name):
    assert main(["plot", f"name={name}", *SMALL, "bars=200", f"directory={tmp_path}"]) is ExitCode.DONE
    (page,) = tmp_path.glob("*.html")
    text = page.read_text()
    assert text.count("<svg") == {"macd": 4, "day_of_week": 3}[name]
    assert "<script" not in text
    assert "known at 100.0% of 200 bars" in text


def test_plot_draws_a_png_without_a_screen(tmp_path, monkeypatch):
    from matplotlib import image

    monkeypatch.delenv("DISPLAY", raising=False)
    assert main(["plot", "name=macd", *SMALL, "bars=200", f"directory={tmp_path}"]) is ExitCode.DONE
    (path,) = tmp_path.glob("*.png")
    height, width = image.imread(path).shape[:2]
    # 11 inches of 120 dots; the price, three outputs, and what stands above and below.
    assert (height, width) == (round(120 * (2.6 + 3 * 1.8 + 0.8)), 1320)


def test_check_names_a_feature_of_ones_own_and_the_bar_that_it_peeked_at(tmp_path, monkeypatch, capsys):
    (tmp_path / "late_features.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(tmp_path))
    words = ["check", "late_features:LATE", "params={window_bars: 2}", *SMALL]
    assert main(words) is ExitCode.FAILED
    told = capsys.readouterr().out
    assert "feature 'late_2' moved" in told
    assert "reads up to 2 bar(s) ahead" in told
    assert "the prices of bar" in told
    assert main(["check", "vpin", *SMALL]) is ExitCode.DONE
    assert "vpin: no leak: features at" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "name what to do: python -m rayjobs.features list | build | plot | check"),
        (["lst"], "'lst' is no command; did you mean list?"),
        (["list", "subject=regimes"], "subject is 'regimes'; did you mean regime?"),
        (["list", "rsi"], "list was given 'rsi'; it takes key=value alone, such as find=rsi"),
        (["list", "find=nonsense"], "find is 'nonsense', and no feature has that in its name"),
        (["list", "find=rsi", "subject=events"], "no feature of events has that in its name"),
        (["plot", *SMALL], "name: missing; give it as name=rsi, or name=package.module:NAME"),
        (["plot", "name=rsii", *SMALL], "Feature 'rsii' is not known (did you mean 'rsi'?)"),
        (["plot", "name=rsi", "symbol=X", *SMALL], "Symbol 'X' is not in the data"),
        (["plot", "name=rsi", "bars=1", *SMALL], "bars is 1; a plot needs 2 or more"),
        (["check", *SMALL], "name one feature: check package.module:NAME"),
        (["check", "rsi", "params={bars: 3}", *SMALL], "Feature 'rsi' has no parameter 'bars'"),
        (["build", "features=intermarket", *SMALL], "The reference 'SPY' is no symbol and no column"),
    ],
)
def test_what_cannot_be_meant_is_one_sentence_and_code_2(words, sentence, tmp_path, capsys):
    # Whatever a command writes, it writes into a folder that is thrown away.
    given = [*words, *([f"directory={tmp_path}"] if words else [])]
    assert main(given) is ExitCode.BAD_INPUT
    (line,) = capsys.readouterr().err.splitlines()
    assert sentence in line
