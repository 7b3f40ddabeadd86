"""Convert the raw CSV files of the bundled samples to canonical Parquet.

Run: python data/samples/convert.py SOURCE_DIRECTORY   (writes beside itself; done once, kept for provenance)

No bar is repaired, dropped or added. Columns are renamed, times become UTC, and SPY's wrong offsets are
corrected: that file writes -05:00 all year, but its clock times are New York's (09:30 is the first and, by
volume, the opening minute in summer too), so its clock times are kept and read as New York time.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import pandas as pd

HERE = Path(__file__).parent
COLUMNS = ["open", "high", "low", "close", "volume"]
CRYPTO = ("BTC", "ETH", "LTC", "XRP", "EOS")


def convert_crypto(source: Path, symbol: str) -> pd.DataFrame:
    """Return the bars of one crypto pair; the source's times are UTC and label the opening of the bar."""
    raw = pd.read_csv(source / f"{symbol}.csv.gz")
    bars = raw.rename(columns={f"{symbol}.{name}": name for name in COLUMNS})
    bars["timestamp_utc"] = pd.to_datetime(bars["Date"])
    return bars[["timestamp_utc", *COLUMNS]]


def convert_spy(source: Path) -> pd.DataFrame:
    """Return the bars of SPY, with clock times read as New York time."""
    bars = pd.read_csv(source / "SPY_1min_2017_2019.csv.gz")
    wall_clock = pd.to_datetime(bars["timestamp"].str.slice(0, 19)).dt.tz_localize("America/New_York")
    bars["timestamp_utc"] = wall_clock.dt.tz_convert("UTC").dt.tz_localize(None)
    return bars[["timestamp_utc", *COLUMNS]]


def write(bars: pd.DataFrame, name: str, dictionary: list[str]) -> str:
    """Write one Parquet file and return its line for SHA256SUMS.

    The encodings halve the size: prices on a coarse tick repeat and go to a dictionary, other numbers are
    split into byte streams.
    """
    path = HERE / name
    path.parent.mkdir(exist_ok=True)
    bars = bars.astype({"timestamp_utc": "datetime64[ns]", **dict.fromkeys(COLUMNS, "float64")})
    encoding = {name: "BYTE_STREAM_SPLIT" for name in COLUMNS if name not in dictionary}
    bars.to_parquet(
        path,
        index=False,
        compression="zstd",
        compression_level=19,
        row_group_size=len(bars),
        use_dictionary=dictionary,
        column_encoding={"timestamp_utc": "DELTA_BINARY_PACKED", **encoding},
    )
    return f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {name}\n"


def main(source: Path) -> None:
    """Convert every file of the source directory."""
    lines = [write(convert_crypto(source, symbol), f"crypto_30min/{symbol}.parquet", []) for symbol in CRYPTO]
    lines.append(write(convert_spy(source), "spy_1min/SPY.parquet", COLUMNS[:4]))
    (HERE / "SHA256SUMS").write_text("".join(lines))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
