"""Bars at known instants, to be written as makers write them and read back to the last digit."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from data.sources import FilesConfig, load

DEFAULTS = {
    "symbols": (),
    "calendar": "24/7",
    "bar_seconds": 1800,
    "timezone": None,
    "start_utc": None,
    "stop_utc": None,
    "labels": None,
}


def made_bars(utc, seed=1, around=100.0, decimals=2):
    """Bars with prices of so many decimals at these UTC instants."""
    rng = np.random.default_rng(seed)
    close = np.round(around * np.exp(np.cumsum(0.003 * rng.standard_normal(len(utc)))), decimals)
    opened = np.concatenate([[around], close[:-1]])
    unit = 10.0**-decimals
    high = np.maximum(opened, close) + np.round(unit * rng.integers(0, 30, len(utc)), decimals)
    low = np.minimum(opened, close) - np.round(unit * rng.integers(0, 30, len(utc)), decimals)
    prices = {"open": opened, "high": high, "low": low, "close": close}
    return pd.DataFrame(
        {"utc": pd.DatetimeIndex(utc)}
        | {name: np.round(values, decimals) for name, values in prices.items()}
        | {"volume": rng.integers(1000, 9_000_000, len(utc)).astype(float)}
    )


@pytest.fixture(scope="session")
def half_hours():
    """60 half hours of 24/7 from 2024-01-14, so that days beyond the 12th are among them."""
    return made_bars(pd.date_range("2024-01-14", periods=60, freq="30min"))


@pytest.fixture(scope="session")
def new_york_minutes():
    """Regular minutes of two sessions of New York, 2024-03-08 (UTC-5) and 2024-03-11 (UTC-4)."""
    days = [("2024-03-08 14:30", "2024-03-08 20:59"), ("2024-03-11 13:30", "2024-03-11 19:59")]
    utc = np.concatenate([pd.date_range(*day, freq="min").to_numpy() for day in days])
    return made_bars(utc)


@pytest.fixture(scope="session")
def new_york_days():
    """The sessions of January 2024, by date; the 15th is a holiday."""
    dates = [d for d in pd.bdate_range("2024-01-02", "2024-01-31") if d != pd.Timestamp("2024-01-15")]
    return made_bars(dates)


@pytest.fixture
def read_back(tmp_path):
    """Return read(files, **config): name -> text or bytes, written into a folder and loaded."""

    def read(files, path=None, **changes):
        for name, content in files.items():
            file = tmp_path / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content if isinstance(content, bytes) else content.encode())
        return load(FilesConfig(**(DEFAULTS | {"path": str(path or tmp_path)} | changes)))

    return read


@pytest.fixture(scope="session")
def assert_same():
    """Return check(panel, bars, asset=0, utc=None): every instant and every value."""

    def check(panel, bars, asset=0, utc=None):
        expected = bars["utc"] if utc is None else utc
        here = np.isfinite(panel.close[:, asset])
        np.testing.assert_array_equal(
            panel.bar_utc[here], pd.DatetimeIndex(expected).to_numpy("datetime64[ns]")
        )
        for name in ("open", "high", "low", "close", "volume"):
            np.testing.assert_allclose(getattr(panel, name)[here, asset], bars[name], rtol=1e-12)

    return check
