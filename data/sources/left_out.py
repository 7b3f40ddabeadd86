"""Symbols that a source holds and that the user did not choose: how many there are, and which of them end early."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

EARLY = np.timedelta64(7, "D")
"""How much sooner than the others a symbol's last row lies, beyond which it counts as ending early."""
MOST_READ = 200
"""Symbols left out whose last rows are looked up; of more only the number is told."""
SHOWN = 5

LastRow = Callable[[], np.datetime64]


def left_out_remark(
    chosen: Sequence[str],
    others: Mapping[str, LastRow],
    newest: np.datetime64,
    *,
    start_utc: str | None,
    stop_utc: str | None,
) -> list[str]:
    """A remark on a choice of symbols; none where all were chosen.

    Who picks, today, five of the twelve names that a source holds knows which of them lived: what was left out because
    it failed makes every long position look better than it was.

    Parameters
    ----------
    others : symbol left out -> a function that gives the instant of its last row.
    newest : last row of those chosen. start_utc, stop_utc : window of the study.
    """
    if not others:
        return []
    until = newest if stop_utc is None else min(newest, np.datetime64(stop_utc.removesuffix("Z"), "ns"))
    ended = {}
    for symbol, last_row in list(others.items())[:MOST_READ]:
        try:
            last = last_row()
        except ValueError:
            continue  # what cannot be read was not asked for
        began = start_utc is None or last >= np.datetime64(start_utc.removesuffix("Z"), "ns")
        if began and last < until - EARLY:
            ended[symbol] = last
    text = (
        f"data.symbols chooses {len(chosen):,} of {len(chosen) + len(others):,} symbols that the source holds"
    )
    if not ended:
        return [text]
    told = [f"{symbol} on {last.astype('datetime64[D]')!s}" for symbol, last in ended.items()]
    more = f" and {len(told) - SHOWN:,} more" if len(told) > SHOWN else ""
    return [
        f"{text}; of those left out {len(ended):,} end early ({', '.join(told[:SHOWN])}{more}): a choice made "
        "afterwards leaves out what failed"
    ]
