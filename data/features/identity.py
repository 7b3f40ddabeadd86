"""Which symbol it is, and of which sector: flags that tell the symbols apart, and an asset among those of its sector.

Sectors are facts of the user's, by symbol; a symbol without one is of none, which has a flag of its own.

Axes: T time, A asset, K sector.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from data.array_types import FloatArray
from data.features.definition import SHARE, SIGNED_SHARE, Feature, bars_of
from data.features.intermarket import FEW_ASSETS, demeaned, place_among, tradable_change
from data.features.series import of_assets
from data.schema import Panel

UNKNOWN = "unknown"
"""The flag of symbols without a sector."""


def symbol_identity(panel: Panel) -> FloatArray:
    """(T, A, A) which symbol it is: 1 in the output of its own name, 0 in those of the other symbols (one-hot)."""
    count = len(panel.symbols)
    return np.broadcast_to(np.eye(count), (len(panel.bar_utc), count, count))


def sector(panel: Panel, *, sectors: Mapping[str, str]) -> FloatArray:
    """(T, A, K) of which sector it is: 1 in the output of its sector, 0 in those of the others (one-hot); the output
    `unknown` is that of symbols without one.
    """
    names = (*_names(sectors), UNKNOWN)
    own = [names.index(sectors.get(symbol, UNKNOWN)) for symbol in panel.symbols]
    flags = np.eye(len(names))[own]
    return np.broadcast_to(flags, (len(panel.bar_utc), *flags.shape))


def sector_demeaned(panel: Panel, *, horizon_bars: int, sectors: Mapping[str, str]) -> FloatArray:
    """(T, A) log return of the asset less the mean of its sector's tradable assets at the bar; 0 if alone."""
    return _within_sectors(panel, horizon_bars, sectors, _less_mean)


def sector_rank(panel: Panel, *, horizon_bars: int, sectors: Mapping[str, str]) -> FloatArray:
    """(T, A) rank of the asset's log return among its sector's tradable assets at the bar, -1 lowest to 1 highest; 0 if
    alone.
    """
    return _within_sectors(panel, horizon_bars, sectors, place_among)


def _less_mean(returns: FloatArray) -> FloatArray:
    return demeaned(returns)[0]


def _within_sectors(
    panel: Panel,
    horizon_bars: int,
    sectors: Mapping[str, str],
    measure: Callable[[FloatArray], FloatArray],
) -> FloatArray:
    """(T, A) a measure of each asset's return among those of its sector; NaN for assets without one.

    Of few assets all take part, those of other sectors as not known, which a plan can do; of many the members alone,
    which is quicker. Sums then lack zeros and ranks those behind, so that both give the same bits.
    """
    returns = tradable_change(panel, horizon_bars)
    values: Any = np.nan + 0.0 * returns
    if len(panel.symbols) > FEW_ASSETS:
        returns, values = np.asarray(returns), np.asarray(values)
        for members in _members(panel.symbols, sectors):
            values[:, members] = measure(returns[:, members])
        return values
    for members in _members(panel.symbols, sectors):
        flags = of_assets(panel, tuple(place in members for place in range(len(panel.symbols))))
        values = np.where(flags, measure(np.where(flags, returns, np.nan)), values)
    return values


def _names(sectors: Mapping[str, str]) -> tuple[str, ...]:
    """The sectors that are named, whether the panel has symbols of them or not: outputs are the same on every panel."""
    return tuple(sorted(set(sectors.values())))


def _members(symbols: tuple[str, ...], sectors: Mapping[str, str]) -> list[list[int]]:
    """Places of the symbols of each sector."""
    found: dict[str, list[int]] = {}
    for place, symbol in enumerate(symbols):
        if symbol in sectors:
            found.setdefault(sectors[symbol], []).append(place)
    return list(found.values())


def _by_symbol(params: Mapping[str, Any]) -> None:
    sectors = params["sectors"]
    if not isinstance(sectors, Mapping):
        raise ValueError(
            f"sectors is {sectors!r}; give the sector of each symbol, {{AMD: technology}}, those of a file, "
            "${sectors_in:FILE}, or those of the instruments, ${instrument_sectors:}."
        )
    for symbol, name in sectors.items():
        if not isinstance(symbol, str) or not isinstance(name, str):
            raise ValueError(
                f"sectors says {name!r} of {symbol!r}; both must be text: write them in quotes, and leave out symbols "
                "without a sector."
            )
        if not name.strip() or name == UNKNOWN:
            raise ValueError(
                f"sectors.{symbol} is {name!r}; name its sector, or leave the symbol out: those without one are "
                f"{UNKNOWN!r}."
            )


def _without_sector(panel: Panel, params: Mapping[str, Any]) -> str:
    missing = [symbol for symbol in panel.symbols if symbol not in params["sectors"]]
    if not missing:
        return ""
    more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
    return (
        f"no sector is given for {', '.join(missing[:5])}{more} (instruments.symbols.{missing[0]}.sector), which count "
        "as without one"
    )


def _symbols(panel: Panel, params: Mapping[str, Any]) -> tuple[str, ...]:
    return panel.symbols


def _sector_outputs(panel: Panel, params: Mapping[str, Any]) -> tuple[str, ...]:
    return (*("_".join(name.split()) for name in _names(params["sectors"])), UNKNOWN)


def _stem(name: str, params: Mapping[str, Any]) -> str:
    return f"{name}_{params['horizon_bars']}" if "horizon_bars" in params else name


_flags = partial(
    Feature,
    kind="asset",
    subject="identity",
    by_blocks=True,
    reads_bars=False,
    unscaled=True,
    unit="flag",
    bounds=SHARE,
    unknown="never",
)
_in_sector = partial(
    Feature,
    kind="asset",
    subject="identity",
    by_blocks=True,
    across_assets=True,
    users_facts=True,
    lookback_bars=partial(bars_of, "horizon_bars", 0),
    check=_by_symbol,
    stem=_stem,
    lacks=_without_sector,
    unknown="at a bar that is not tradable, where the bar of the horizon is missing, and for a symbol without a sector",
    source="definition, with sectors of your own",
)

IDENTITY_FEATURES = (
    _flags(
        name="symbol_identity",
        function=symbol_identity,
        outputs=_symbols,
        across_assets=True,
        tells_symbols_apart=True,
        source="the data's symbols",
    ),
    _flags(
        name="sector",
        function=sector,
        outputs=_sector_outputs,
        users_facts=True,
        check=_by_symbol,
        stem=_stem,
        lacks=_without_sector,
        source="sectors of your own",
    ),
    _in_sector(name="sector_demeaned", function=sector_demeaned, unit="log return"),
    _in_sector(name="sector_rank", function=sector_rank, unit="rank", bounds=SIGNED_SHARE),
)
