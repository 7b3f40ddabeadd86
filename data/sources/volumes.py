"""Which column is the volume, in units of the asset: by its name, of several currencies the asset's own, or a sum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import pandas as pd

from data.array_types import FloatArray
from data.errors import DataError
from data.sources.bar_file import BarFile
from data.sources.dialects.definition import plain
from data.sources.dialects.roles import Roles

QUOTES = (
    "usd", "usdt", "usdc", "busd", "fdusd", "tusd", "dai", "eur", "gbp", "jpy", "chf", "aud", "cad", "try", "krw",
    "quote", "currency",
)  # fmt: skip
"""Endings of a volume in money."""


class Volume(NamedTuple):
    """The volume (N,), None if no column holds it; the positions that it is of; and what to say of the choice."""

    values: FloatArray | None
    of: tuple[int, ...]
    facts: tuple[str, ...]


def volume_of(
    roles: Roles,
    written: Sequence[str],
    values: Mapping[int, FloatArray],
    symbols: pd.Series | None,
    file: BarFile,
) -> Volume:
    """Find the volume.

    Raises
    ------
    DataError
        If several columns may be it.
    """
    of = roles.of
    if "up_volume" in of and "down_volume" in of and "volume" not in of:
        up, down = of["up_volume"], of["down_volume"]
        return Volume(
            values[up] + values[down], (up, down), (f"volume is {written[up]!r} plus {written[down]!r}",)
        )
    ticks = of.get("tick_volume")
    if "volume" in of:
        at = of["volume"]
        if ticks is not None and not values[at].any() and values[ticks].any():
            said = f"volume is {written[ticks]!r}, a count of ticks, as {written[at]!r} is 0 in every row"
            return Volume(values[ticks], (ticks, at), (said,))
        return Volume(values[at], (at,), ())
    if ticks is not None:
        return Volume(values[ticks], (ticks,), (f"volume is {written[ticks]!r}, a count of ticks",))
    if not roles.volumes:
        return Volume(None, (), ())
    at = _base_volume(roles.volumes, written, symbols, file)
    return Volume(values[at], (at,), (f"volume is {written[at]!r}",))


def _base_volume(
    candidates: Sequence[int], written: Sequence[str], symbols: pd.Series | None, file: BarFile
) -> int:
    """Return which of the columns Volume BTC, Volume USD, ... counts the asset itself."""
    endings = {at: plain(written[at]).removeprefix("volume_") for at in candidates}
    name = str(symbols.iloc[0]) if symbols is not None else file.stem
    of_asset = [at for at, ending in endings.items() if name.lower().startswith(ending)]
    if len(of_asset) == 1:
        return of_asset[0]
    others = [at for at, ending in endings.items() if ending not in QUOTES]
    if len(others) == 1:
        return others[0]
    raise DataError(
        f"{file} has no column 'volume' but {' and '.join(repr(written[at]) for at in candidates)}; call "
        "the one in units "
        "of the asset volume."
    )
