"""The user's files for tests of the sources: tables of bars in a wanted shape, written and loaded."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from data.sources import FilesConfig, load


def _random_bars(num_rows, seed=1):
    rng = np.random.default_rng(seed)
    close = 100.0 * np.exp(np.cumsum(0.002 * rng.standard_normal(num_rows)))
    opened = np.concatenate([[100.0], close[:-1]])
    return {
        "open": opened,
        "high": np.maximum(opened, close) * 1.001,
        "low": np.minimum(opened, close) * 0.999,
        "close": close,
        "volume": np.round(1000.0 + 100.0 * rng.random(num_rows), 3),
    }


@pytest.fixture(scope="session")
def bars_at():
    """Return make(times, seed) -> a table of random bars with these texts, numbers or times as `timestamp`."""

    def make(times, seed=1):
        return pd.DataFrame({"timestamp": list(times), **_random_bars(len(times), seed)})

    return make


@pytest.fixture(scope="session")
def every():
    """Return make(start, step, num_rows) -> ISO texts, `step` such as 30min."""

    def make(start, step, num_rows):
        return pd.date_range(start, periods=num_rows, freq=step).strftime("%Y-%m-%d %H:%M:%S").tolist()

    return make


@pytest.fixture
def load_tables(tmp_path):
    """Return load(tables, **config): a table, or file name -> table, written as CSV and loaded at the defaults."""

    def load_them(tables, **changes):
        tables = {"BTC.csv": tables} if isinstance(tables, pd.DataFrame) else tables
        for name, table in tables.items():
            if isinstance(table, str):
                (tmp_path / name).write_text(table)
            else:
                table.to_csv(tmp_path / name, index=False)
        defaults = {
            "path": str(tmp_path),
            "symbols": (),
            "calendar": "24/7",
            "bar_seconds": 1800,
            "timezone": "UTC",
            "start_utc": None,
            "stop_utc": None,
            "labels": "open",
        }
        return load(FilesConfig(**(defaults | changes)))

    return load_them
