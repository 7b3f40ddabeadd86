"""What a file is of: its name against the symbol that its rows name."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from data.errors import DataError

QUOTES = ("USD", "USDT", "USDC", "BUSD", "FDUSD", "EUR", "GBP", "JPY", "BTC", "ETH", "PERP", "SPOT")
"""Currencies (and kinds of contract) that one name of a pair may leave out: BTC is BTCUSDT."""
_CONTRACT = re.compile(r"[FGHJKMNQUVXZ]\d{1,2}")
"""Month and year of a future: ESH4 is of ES."""


def require_one_symbol(
    table: pd.DataFrame, stem: str, path: Path, instrument: str | None = None
) -> pd.DataFrame:
    """Return the rows of a file of one symbol without its column `symbol`, if there is one.

    Parameters
    ----------
    stem : name of the file, without suffix. instrument : what it is a part of, if it is one.

    Raises
    ------
    DataError
        If the column names several symbols, or one that the file's name contradicts.
    """
    if "symbol" not in table.columns:
        return table
    symbols = list(table["symbol"].unique())
    if len(symbols) > 1:
        raise DataError(
            f"{path} is one of several files but holds the symbols {', '.join(symbols[:5])}"
            f"{', ...' if len(symbols) > 5 else ''}; give one file per symbol, or one long file as data.path."
        )
    if not (consistent(stem, symbols[0]) or (instrument and consistent(instrument, symbols[0]))):
        raise DataError(
            f"{path} is named after {stem!r} but its column symbol says {symbols[0]!r} in every row; rename the file "
            "or correct the column."
        )
    return table.drop(columns="symbol")


def consistent(stem: str, symbol: str) -> bool:
    """True if a file's name and a symbol may mean one asset: equal, a pair and its base, a future and its contract,
    or a name in which the symbol stands between separators (`binance_BTC_1h`)."""
    name, said = _plain(stem), _plain(symbol)
    if name == said:
        return True
    short, long = sorted((name, said), key=len)
    rest = long.removeprefix(short)
    if rest != long and (rest in QUOTES or _CONTRACT.fullmatch(rest)):
        return True
    words = {_plain(word) for word in re.split(r"[-_. ]+", stem)}
    return said in words or _holds(stem, symbol)


def _holds(stem: str, symbol: str) -> bool:
    """True if the symbol, separators included, stands in the name between separators: BRK.B in BRK.B_daily."""
    return re.search(rf"(^|[-_. ]){re.escape(symbol)}($|[-_. ])", stem, re.IGNORECASE) is not None


def _plain(name: str) -> str:
    return re.sub(r"[\W_]", "", name).upper()
