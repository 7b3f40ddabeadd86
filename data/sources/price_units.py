"""Prices that a maker writes in small units, as whole numbers: billionths, or ten-thousandths of a dollar."""

from __future__ import annotations

import numpy as np
import pandas as pd

from data.array_types import FloatArray
from data.errors import DataError
from data.schema import PRICE_COLUMNS
from data.sources.bar_file import BarFile
from data.sources.dialects.definition import Dialect

LEAST_FIXED = 1e6
"""A whole price from this on is taken for billionths: 0.001 in such a file is 1,000,000."""
UNDEFINED = float(np.iinfo(np.int64).max)
"""How Databento writes a price that there is not."""


def scaled(rows: dict[str, pd.Series | FloatArray], dialect: Dialect | None, file: BarFile) -> list[str]:
    """Put prices that are written in small units into units, in place; say so."""
    if dialect is None or dialect.prices == "as written":
        return []
    prices = {name: np.asarray(rows[name], dtype=np.float64) for name in PRICE_COLUMNS}
    for name, column in prices.items():
        prices[name] = np.where(column == UNDEFINED, np.nan, column)
    largest = max(float(np.nanmax(column, initial=0.0)) for column in prices.values())
    whole = all((np.mod(column, 1.0) == 0.0)[np.isfinite(column)].all() for column in prices.values())
    if dialect.prices == "1e-4" and not whole:
        raise DataError(
            f"{file} is one of {dialect.name}, but its prices are not whole numbers; write them as "
            "1/10,000 of a dollar, or "
            "keep the file outside of such folders, under a header."
        )
    if not whole:
        return []
    if dialect.prices == "1e-9 if whole" and largest < LEAST_FIXED:
        raise DataError(
            f"{file}: prices such as {largest:.0f} may be meant as they are, or in billionths, as "
            f"{dialect.name} has whole "
            "prices; write them with decimals (pretty_px), or without a column ts_event."
        )
    if dialect.prices == "1e-4 if packed" and file.member is None:
        raise DataError(
            f"{file}: prices such as {largest:.0f} may be meant as they are, or in 1/10,000 of a dollar, "
            "as LEAN has those of "
            "stocks; keep it in LEAN's folders (equity/usa/...), or name its columns in a header and write the prices."
        )
    factor, unit = (1e9, "1/1,000,000,000") if "1e-9" in dialect.prices else (1e4, "1/10,000")
    for name, column in prices.items():
        rows[name] = column / factor
    return [f"prices in {unit}"]
