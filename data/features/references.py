"""What a feature reads beside its own asset: another symbol of the panel, or a column that was joined to it.

A reference named `SPY` is the close of the panel's symbol SPY. If the panel does not trade SPY, it is the column
`SPY.close` that `data.context_bars.join_context` puts beside the bars, or a column of that very name.

Axes: T time, A asset.
"""

from __future__ import annotations

import numpy as np

from data.array_types import FloatArray
from data.errors import DataError, nearest_name
from data.schema import Panel


def reference_close(panel: Panel, reference: str) -> FloatArray:
    """Return (T, 1) closes of a reference, NaN where it is not known.

    Raises
    ------
    DataError
        If the panel has neither the symbol nor the column; the message names the nearest one.
    """
    if reference in panel.symbols:
        at = panel.symbols.index(reference)
        return panel.close[:, at : at + 1]
    for name in (f"{reference}.close", reference):
        if name in panel.exogenous:
            column = panel.exogenous[name]
            # The same for every asset, so the first one's is it.
            return np.where(column[:, :1] > 0.0, column[:, :1], np.nan)
    known = [*panel.symbols, *panel.exogenous]
    raise DataError(
        f"The reference {reference!r} is no symbol and no column of the data{nearest_name(reference, known)}; "
        f"they have {', '.join(known)}. Name one of them, add the symbol to data.symbols "
        "or data.context_symbols, or switch the feature off."
    )
