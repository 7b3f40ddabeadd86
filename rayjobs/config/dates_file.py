"""Dates from a file in a configuration: ``dates: ${dates_in:fomc.csv}`` stands for the list that the file holds.

The list, and not the name of the file, is what a run records and what a feature's hash is made of, so that a file that
changes later changes no run.
"""

from __future__ import annotations

from pathlib import Path

from omegaconf import OmegaConf

from data.errors import DataError
from rayjobs.config.typed_config import ConfigError

RESOLVER = "dates_in"
HEADINGS = ("date", "time", "utc")
"""What may stand above the first column."""


def know_dates_in() -> None:
    """Let configurations say ``${dates_in:FILE}``."""
    if not OmegaConf.has_resolver(RESOLVER):
        OmegaConf.register_new_resolver(RESOLVER, dates_in)


def dates_in(file: str) -> list[str]:
    """The dates of a file, as it writes them: the first column of each line; lines of nothing or after # are not read.

    Parameters
    ----------
    file : text or CSV, relative to the current directory or absolute; times without a zone are UTC.

    Raises
    ------
    ConfigError
        If the file cannot be read, holds no date, or a line that is none.
    """
    from data.schema import (
        utc_instant,
    )  # with pandas, which a server that reads configurations must not import

    try:
        lines = Path(file).expanduser().read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"${{{RESOLVER}:{file}}} cannot be read: {error}") from error
    found: list[str] = []
    for number, line in enumerate(lines, start=1):
        text = line.split("#")[0].replace(";", ",").split(",")[0].strip().strip('"')
        if not text or (not found and text.lower() in HEADINGS):
            continue
        try:
            utc_instant(text)
        except DataError as error:
            raise ConfigError(f"{file}, line {number}: {error}") from error
        found.append(text)
    if not found:
        raise ConfigError(f"{file} holds no date; write one on each line, as 2018-01-31T19:00Z")
    return found
