"""Panels for the tests of data: random but seeded, with missing and untradable bars."""

import numpy as np
import pytest

from data.schema import Panel


@pytest.fixture(scope="session")
def random_panel():
    """Return make(seed, num_bars, num_assets, missing=share) -> Panel of 30-minute bars, 24/7."""

    def make(seed, num_bars, num_assets=2, missing=0.0):
        rng = np.random.default_rng(seed)
        shape = (num_bars, num_assets)
        close = 100.0 * np.exp(np.cumsum(0.01 * rng.standard_normal(shape), axis=0))
        opened = close * np.exp(0.003 * rng.standard_normal(shape))
        high = np.maximum(opened, close) * np.exp(0.003 * np.abs(rng.standard_normal(shape)))
        low = np.minimum(opened, close) * np.exp(-0.003 * np.abs(rng.standard_normal(shape)))
        absent = rng.random(shape) < missing
        volume = np.where(absent, 0.0, np.floor(rng.exponential(50.0, shape)))
        for prices in (opened, high, low, close):
            prices[absent] = np.nan
        times = np.datetime64("2020-01-01T00:00", "ns") + np.arange(num_bars) * np.timedelta64(1800, "s")
        return Panel(
            symbols=tuple("ABCDEFGH"[:num_assets]),
            bar_utc=times,
            open=opened,
            high=high,
            low=low,
            close=close,
            volume=volume,
            tradable=~absent & (volume > 0.0),
            session=times.astype("datetime64[D]").astype(np.int32),
            calendar="24/7",
            bar_seconds=1800,
            exogenous={"signal": np.sign(rng.standard_normal(shape)), "rate": rng.standard_normal(shape)},
        )

    return make
