"""A new user's path, as docs/data.md has it: a key in the environment, ingest, inventory, train, report."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from data.calendars import bar_grid
from rayjobs.config.exit_codes import ExitCode
from rayjobs.entry import run_entry_point
from rayjobs.ingest.__main__ import main as ingest
from rayjobs.train import train

sys.path.insert(0, str(Path(__file__).parents[1] / "data" / "vendors" / "web"))

from scripted_server import Answer, ScriptedServer

pytestmark = [pytest.mark.runs, pytest.mark.ray, pytest.mark.usefixtures("leak_check_aside")]

KEY = "key-of-a-new-user-7f3a"
GRID = bar_grid("NYSE", 1800, "2023-01-01", "2023-10-01")
SPLIT_DAY = "2023-06-12"


def bars_as_traded() -> pd.DataFrame:
    """Half hours of nine months at prices as traded, a quarter of what they were from the split on."""
    rng = np.random.default_rng(5)
    level = 300.0 * np.exp(np.cumsum(0.003 * rng.standard_normal(len(GRID.bar_utc))))
    split = GRID.session >= np.datetime64(SPLIT_DAY, "D").astype(int)
    close = np.round(np.where(split, level / 4.0, level), 4)
    opened = np.round(close * (1.0 + 0.0005 * rng.standard_normal(len(close))), 4)
    return pd.DataFrame(
        {
            "t": GRID.bar_utc.astype("datetime64[ms]").astype(np.int64),
            "o": opened, "h": np.maximum(opened, close) + 0.01, "l": np.minimum(opened, close) - 0.01, "c": close,
            "v": 1e6, "vw": close, "n": 3,
        }
    )  # fmt: skip


def answer(bars: pd.DataFrame):
    """What Massive answers to whoever has the key: bars of a window, one split, one dividend."""

    def say(seen) -> Answer:
        if KEY not in seen.headers.get("authorization", ""):
            return Answer(status=401, body={"status": "ERROR", "error": "Unknown API Key"})
        if seen.path == "/v3/reference/splits":
            rows = [{"ticker": "ABC", "execution_date": SPLIT_DAY, "split_from": 1, "split_to": 4}]
        elif seen.path == "/v3/reference/dividends":
            rows = [
                {"ticker": "ABC", "ex_dividend_date": "2023-08-14", "cash_amount": 0.5, "currency": "USD"}
            ]
        else:
            first, last = (int(word) for word in seen.path.split("/")[-2:])
            rows = bars[(bars["t"] >= first) & (bars["t"] <= last)].to_dict("records")
        return Answer(body={"status": "OK", "resultsCount": len(rows), "results": rows})

    return say


def test_four_commands_lead_from_a_key_to_a_report(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MASSIVE_API_KEY", KEY)
    monkeypatch.setenv("RAYFOLD_LAKE", str(tmp_path / "lake"))
    monkeypatch.chdir(tmp_path)
    with ScriptedServer() as server:
        server.answer = answer(bars_as_traded())
        words = [
            "source=massive", "symbols=[ABC]", "start=2023-01-01", "end=2023-10-01", "bar=30m", "actions=true",
            f"+source.massive.options.base_url={server.url}", "source.massive.calls_per_minute=100000",
        ]  # fmt: skip
        assert ingest(words) == ExitCode.DONE
        asked = len(server.seen)
        assert ingest(words) == ExitCode.DONE
        assert len(server.seen) == asked  # everything is there
    told = capsys.readouterr().out
    assert f"{len(GRID.bar_utc):,} new bars" in told
    assert "1 splits and 1 dividends" in told

    assert ingest(["inventory", "verify=true"]) == ExitCode.DONE
    (series,) = json.loads((tmp_path / "runs" / "inventory" / "inventory.json").read_text())["series"]
    assert (series["symbol"], series["rows"], series["missing"]) == ("ABC", len(GRID.bar_utc), 0)

    code = run_entry_point(
        train,
        "train",
        [
            "+experiment=spy_intraday", "data=lake", "data.source_name=massive", "data.symbols=[ABC]", "data.bar=30m",
            "data.prices=total_return", "instruments=us_stock", "policy=momentum_sign", "scoring.supervised=[]",
            "walk_forward.train_bars=800", "walk_forward.test_bars=300", "walk_forward.embargo_bars=13",
            "env.episode.bars=13", "trainer.total_env_steps=1024", "algo.num_envs=8", "algo.fragment_bars=32",
            "algo.minibatch_steps=128", "features=intraday_30m", "context=bars_30m",
        ],
    )  # fmt: skip
    assert code in (ExitCode.DONE, ExitCode.GATE_SAID_NO)
    (run,) = (tmp_path / "runs" / "spy_intraday").iterdir()
    page = (run / "report.html").read_text()
    assert "2023-06-12 4 for 1" in page
    assert "2023-08-14 0.5 paid" in page
    lineage = (run / "config.yaml").read_text()
    assert "massive sha256:" in lineage
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not [path for path in written if KEY.encode() in path.read_bytes()]
