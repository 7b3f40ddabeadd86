"""`local`: bundled samples, or files of one's own, as a vendor: so that they lie in a lake beside what others sent."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import pandas as pd

from data.calendars import check_calendar
from data.errors import DataError
from data.lake.bar_names import bar_name
from data.lake.spans import Span, months
from data.sources.files import FilesConfig, rows_of_files
from data.sources.samples import SAMPLES, checksums, sample_rows
from data.vendors.definition import AnswerRefused, BarRequest, Budget, Delivery


class LocalBars:
    """Bars that are on this machine already.

    Parameters
    ----------
    sample : name of a bundled sample, a key of `data.sources.samples.SAMPLES`; None where `path` is given.
    path, labels, timezone : of one's own files, as `data.sources.files.FilesConfig` takes them.
    calendar : of the files.
    """

    name = "local"
    budget = Budget(calls_per_minute=None, calls_per_day=None, at_a_time=2)

    def __init__(
        self, *, sample: str | None, path: str | None, labels: str, timezone: str, calendar: str
    ) -> None:
        if (sample is None) == (path is None):
            raise DataError(
                "source local reads either source.local.options.sample or source.local.options.path; give one of them."
            )
        if sample is not None and sample not in SAMPLES:
            raise DataError(f"Sample {sample!r} is not bundled; choose from {', '.join(SAMPLES)}.")
        check_calendar(calendar)
        self._sample, self._path = sample, path
        self._labels, self._timezone, self._calendar = labels, timezone, calendar
        self._read: dict[int, dict[str, pd.DataFrame]] = {}

    def pieces(self, request: BarRequest) -> Sequence[BarRequest]:
        """A piece for each month."""
        if self._sample is not None and request.bar_seconds != SAMPLES[self._sample].bar_seconds:
            has = bar_name(SAMPLES[self._sample].bar_seconds)
            raise AnswerRefused(
                f"sample {self._sample} has bars of {has}, not of {bar_name(request.bar_seconds)}; set bar={has}."
            )
        if request.adjustment != "raw":
            raise AnswerRefused(f"source local has prices as they are, not adjustment={request.adjustment}.")
        return [
            BarRequest(
                symbol=request.symbol,
                bar_seconds=request.bar_seconds,
                start_utc=share.start_utc,
                stop_utc=share.stop_utc,
                adjustment=request.adjustment,
            )
            for _, share in months(Span.between(request.start_utc, request.stop_utc))
        ]

    def fetch(self, piece: BarRequest) -> Delivery:
        """The rows of a piece; what comes after the last row of the file is not answered for."""
        rows, uri = self._rows(piece.symbol, piece.bar_seconds)
        labels = rows.index.tz_localize("UTC")
        window = (labels >= piece.start_utc) & (labels < piece.stop_utc)
        over = labels[-1] + pd.Timedelta(seconds=piece.bar_seconds)
        return Delivery(rows=rows[window], source_uri=uri, calls=1, complete_to_utc=min(over, piece.stop_utc))

    def _rows(self, symbol: str, bar_seconds: int) -> tuple[pd.DataFrame, str]:
        if self._sample is not None:
            known = SAMPLES[self._sample].symbols
            if symbol not in known:
                raise AnswerRefused(f"sample {self._sample} has no {symbol}; it has {', '.join(known)}.")
            name = f"{self._sample}/{symbol}.parquet"
            return sample_rows(name), f"local:samples/{name}#sha256={checksums()[name]}"
        if bar_seconds not in self._read:
            self._read[bar_seconds] = self._files(bar_seconds)
        of_symbol = self._read[bar_seconds]
        if symbol not in of_symbol or not len(of_symbol[symbol]):
            raise AnswerRefused(f"{self._place} has no bars of {symbol}; it has {', '.join(of_symbol)}.")
        return of_symbol[symbol], f"local:{self._place}"

    def _files(self, bar_seconds: int) -> dict[str, pd.DataFrame]:
        config = FilesConfig(
            path=str(self._place),
            symbols=(),
            calendar=self._calendar,
            bar_seconds=bar_seconds,
            labels=self._labels,
            timezone=self._timezone,
            start_utc=None,
            stop_utc=None,
        )
        try:
            return rows_of_files(config)[0]
        except DataError as error:
            raise AnswerRefused(str(error)) from error

    @cached_property
    def _place(self) -> Path:
        assert self._path is not None
        return Path(self._path).expanduser().absolute()
