"""The lake: bars as vendors delivered them, immutable and with their origin, and what is made from them.

    raw/source=massive/bar=1m/adjustment=raw/symbol=SPY/month=2024-01/START_STOP_ROWS_HASH.parquet      deliveries
    curated/source=massive/bar=1m/adjustment=raw/symbol=SPY/month=2024-01/COUNT_HASHES.parquet            made from them
    reference/source=massive/kind=listings/as_of=2024-01-02/HASH.parquet                                tables

Two rules carry everything else. A part of `raw` is written in one step, is never changed, and says by its name which
window it answers for: so what was fetched, and up to where, is what lies there, and no second record can disagree.
A part of `curated` is named after the parts that it was made from: so it is either right or not used.
"""

from data.lake.bar_names import bar_name, bar_seconds_of
from data.lake.lake import Lake
from data.lake.series import Series
from data.lake.spans import Span

__all__ = ["Lake", "Series", "Span", "bar_name", "bar_seconds_of"]
