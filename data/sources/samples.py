"""Real bars bundled with the package: no key, no network."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import pandas as pd

from data.alignment import AlignedBars, align
from data.errors import DataError, nearest_name
from data.sources.left_out import left_out_remark
from data.sources.recorded import RecordedBars

SAMPLES_DIR = Path(__file__).parent.parent / "samples"


@dataclass(frozen=True, kw_only=True)
class Sample:
    """What a bundled sample holds: its symbols, calendar and bar length."""

    symbols: tuple[str, ...]
    calendar: str
    bar_seconds: int


SAMPLES: Mapping[str, Sample] = {
    "crypto_30min": Sample(symbols=("BTC", "ETH", "LTC", "XRP", "EOS"), calendar="24/7", bar_seconds=1800),
    "spy_1min": Sample(symbols=("SPY",), calendar="NYSE", bar_seconds=60),
}


@dataclass(frozen=True, kw_only=True)
class SamplesConfig(RecordedBars):
    """Which bundled bars.

    Parameters
    ----------
    sample : name of the sample, a key of `SAMPLES`.
    symbols, start_utc, stop_utc, columns : see `RecordedBars`.
    """

    sample: str

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.sample not in SAMPLES:
            raise DataError(
                f"Sample {self.sample!r} is not bundled{nearest_name(self.sample, list(SAMPLES))}; "
                f"choose from {', '.join(SAMPLES)}."
            )
        known = SAMPLES[self.sample].symbols
        for symbol in self.symbols:
            if symbol not in known:
                raise DataError(
                    f"Symbol {symbol!r} is not in sample {self.sample!r}{nearest_name(symbol, known)}; "
                    f"it has {', '.join(known)}."
                )

    def read(self) -> AlignedBars:
        return load_samples(self)

    @property
    def place(self) -> str:
        return self.sample


def load_samples(config: SamplesConfig) -> AlignedBars:
    """Read a bundled sample, check its checksum, and align it."""
    sample = SAMPLES[config.sample]
    symbols = config.symbols or sample.symbols
    bars = {symbol: sample_rows(f"{config.sample}/{symbol}.parquet") for symbol in symbols}
    aligned = align(
        bars,
        calendar=sample.calendar,
        bar_seconds=sample.bar_seconds,
        start_utc=config.start_utc,
        stop_utc=config.stop_utc,
        repairs=config.repair,
    )
    others = {
        symbol: partial(_last_row, f"{config.sample}/{symbol}.parquet")
        for symbol in sample.symbols
        if symbol not in symbols
    }
    newest = max(rows.index.max().to_datetime64() for rows in bars.values())
    remarks = left_out_remark(symbols, others, newest, start_utc=config.start_utc, stop_utc=config.stop_utc)
    return aligned._replace(hygiene=replace(aligned.hygiene, remarks=(*remarks, *aligned.hygiene.remarks)))


def _last_row(name: str) -> np.datetime64:
    return sample_rows(name).index.max().to_datetime64()


@lru_cache(maxsize=1)
def checksums() -> Mapping[str, str]:
    """Return file name -> SHA-256 as written in samples/SHA256SUMS."""
    lines = (SAMPLES_DIR / "SHA256SUMS").read_text().splitlines()
    return {name: digest for digest, name in (line.split(maxsplit=1) for line in lines if line.strip())}


def sample_rows(name: str) -> pd.DataFrame:
    path = SAMPLES_DIR / name
    if not path.exists():
        raise DataError(f"The bundled sample {path} is missing; install the package again.")
    if hashlib.sha256(path.read_bytes()).hexdigest() != checksums()[name]:
        raise DataError(
            f"The bundled sample {path} was changed (its SHA-256 differs); restore it from the repository."
        )
    return pd.read_parquet(path).set_index("timestamp_utc")
