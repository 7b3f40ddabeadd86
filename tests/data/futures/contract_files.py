"""Files of dated contracts, small enough to follow by hand."""

from __future__ import annotations

import pandas as pd

from data.futures.roll_decisions import FuturesConfig, RollConfig
from data.sources import FilesConfig, load


def futures(rule="volume", *, days=3, delay=1, adjust="difference", expiries=None):
    roll = RollConfig(rule=rule, days=days, delay_sessions=delay, adjust=adjust)
    return FuturesConfig(roll=roll, expiries=expiries or {})


def contract(first, opens, volumes, **columns):
    """Daily bars from `first` on: close one above the open, high two above, low one below."""
    opens = pd.Series(opens, dtype=float)
    return pd.DataFrame(
        {
            "timestamp": pd.date_range(first, periods=len(opens), freq="D").strftime("%Y-%m-%d"),
            "open": opens,
            "high": opens + 2.0,
            "low": opens - 1.0,
            "close": opens + 1.0,
            "volume": volumes,
            **columns,
        }
    )


def written(folder, **contracts):
    folder.mkdir(exist_ok=True)
    for symbol, rows in contracts.items():
        rows.to_csv(folder / f"{symbol}.csv", index=False)
    return folder


def config_of(folder, how, *, symbols=("ES",), **changes):
    given = {
        "path": str(folder),
        "symbols": symbols,
        "calendar": "24/7",
        "bar_seconds": 86_400,
        "timezone": None,
        "labels": None,
        "start_utc": None,
        "stop_utc": None,
        "futures": how,
    }
    return FilesConfig(**{**given, **changes})


def read(folder, how, **changes):
    return load(config_of(folder, how, **changes))


def march_and_june(folder):
    """ESH4 until it ends on Friday 2024-03-15, ESM4 sixty points above it; more of June is traded from the 8th on."""
    march = contract("2024-03-01", [5100 + 2 * k for k in range(15)], [1000] * 7 + [400] * 8)
    june = contract("2024-03-03", [5160 + 2 * k for k in range(2, 20)], [100] * 5 + [900] * 13)
    return written(folder, ESH4=march, ESM4=june)
