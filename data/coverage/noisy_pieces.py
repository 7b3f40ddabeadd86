"""Sessions that were looked at and come again in pieces, laid anew and with prices that were changed a little as well.

No single return tells then, since none is the same to seven digits, and no shift by so many days, since each piece has
another. But within a piece neighbouring returns agree one after the other, each within a tolerance. By chance a return
agrees with another in about a hundredth at the narrow tolerance and a tenth at the wide one: a run of several hardly
ever does.

Axes: N seen returns, M given returns.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from data.array_types import FloatArray
from data.coverage.agreeing_runs import in_runs
from data.coverage.price_sketch import TIMES_CHANCE, Marks
from data.coverage.session_closes import Closes

TOLERANCES = (0.02, 0.2)
"""Shares of the median absolute return within which two agree: prices rounded to cents, and more."""
MOST_BY_CHANCE = 1e-3
"""Runs that may be expected by chance among all places: so long must a run be."""
LEAST_RUN = 3
LEAST_CHANCE, MOST_CHANCE = 1e-3, 0.5
"""Bounds of how often a run goes on by chance, which is measured."""
LEAST_RETURNS = 15
"""Returns in runs, from which they are copies."""


def noisy_pieces(seen: Marks, given: Marks) -> NDArray[np.int64]:
    """Given sessions that end or begin a return of a piece that was seen; empty where nothing was copied.

    Parameters
    ----------
    seen, given : session -> close. Of the seen ones, those neighbours count that lie as far apart as most; given
        sessions are compared as many sessions apart.

    Notes
    -----
    A run under no shift at all is the same session and no copy. At least `LEAST_RETURNS` seen returns must lie in runs,
    and `TIMES_CHANCE` as many as when the given ones are turned round in time, in which no copy is left.
    """
    return pieces_between(Closes.of(seen), Closes.of(given))


def pieces_between(seen: Closes, given: Closes) -> NDArray[np.int64]:
    """`noisy_pieces` of closes that are compared with many others."""
    keys, sessions = seen.sessions, given.sessions
    if len(keys) <= LEAST_RETURNS or len(sessions) <= LEAST_RETURNS:
        return np.zeros(0, dtype=np.int64)
    step, ours = seen.evenly_apart
    close = given.log_close
    if len(close) <= step:
        return np.zeros(0, dtype=np.int64)
    theirs = close[step:] - close[:-step]
    same = np.searchsorted(sessions, keys[:-1])
    same = np.where(sessions[np.minimum(same, len(sessions) - 1)] == keys[:-1], same, -1)
    best = np.zeros(0, dtype=np.int64)
    for share in TOLERANCES:
        if not _may_be_copied(ours, theirs, step, share, same):
            continue
        turned = _agreeing(ours, theirs[::-1], step, share, np.full(len(same), -1))
        found = _agreeing(ours, theirs, step, share, same)
        if not len(found.seen):
            continue
        chance = max(turned.going_on(), len(found.seen) / (len(ours) * len(theirs)), LEAST_CHANCE)
        least = _least_run(len(ours) * len(theirs), chance)
        runs, control = (one.longer_than(least) for one in (found, turned))
        if len(np.unique(runs.seen)) >= max(LEAST_RETURNS, TIMES_CHANCE * len(np.unique(control.seen))):
            places = np.unique(np.concatenate([runs.given + ahead for ahead in range(step + 1)]))
            best = sessions[places] if len(places) > len(best) else best
    return best


def _least_run(places: int, chance: float) -> int:
    """Length of a run that luck hardly has among so many places, where each goes on with this chance."""
    longest = np.log(MOST_BY_CHANCE / places) / np.log(min(chance, MOST_CHANCE))
    return max(LEAST_RUN, int(np.ceil(longest)))


def _may_be_copied(
    ours: FloatArray, theirs: FloatArray, step: int, share: float, same: NDArray[np.int64]
) -> bool:
    """Whether enough returns lie in runs of the least length that can be asked for; most series have none.

    The chance that a run goes on is no less than the share of pairs that agree, so that no shorter run is ever enough.
    """
    known, tolerance = _asked(ours, share)
    places = len(ours) * len(theirs)

    def least_of(number: int) -> int:
        if number < LEAST_RETURNS:
            return 0
        return _least_run(places, max(number / places, LEAST_CHANCE))

    runs = in_runs(np.where(known, ours, np.nan), theirs, step, tolerance, same, least_of)
    return int(np.count_nonzero(runs)) >= LEAST_RETURNS


def _asked(ours: FloatArray, share: float) -> tuple[NDArray[np.bool_], float]:
    """(N,) returns that are compared, for what hardly moves agrees with all that hardly move; and the tolerance."""
    size = float(np.nanmedian(np.abs(ours))) if np.isfinite(ours).any() else 0.0
    known = np.isfinite(ours) & (np.abs(ours) > share * size)
    return known & (size > 0.0) & (known.sum() >= LEAST_RETURNS), share * size


class _Agreeing(NamedTuple):
    """Places of seen and of given returns (K,) that agree, runs one after the other, and (K,) how long their run is."""

    seen: NDArray[np.int64]
    given: NDArray[np.int64]
    run: NDArray[np.int64]

    def going_on(self) -> float:
        """Share of agreeing pairs whose next one agrees as well."""
        return 1.0 - float((1.0 / self.run).sum()) / len(self.run) if len(self.run) else 0.0

    def longer_than(self, least: int) -> _Agreeing:
        kept = self.run >= least
        return _Agreeing(self.seen[kept], self.given[kept], self.run[kept])


def _agreeing(
    ours: FloatArray, theirs: FloatArray, step: int, share: float, same: NDArray[np.int64]
) -> _Agreeing:
    """All pairs within the tolerance that do not lie under no shift at all.

    Parameters
    ----------
    same : (N,) place of each seen session among the given ones, -1 where it is not among them.
    """
    known, tolerance = _asked(ours, share)
    nothing = np.zeros(0, dtype=np.int64)
    if not known.any():
        return _Agreeing(nothing, nothing, nothing)
    order = np.argsort(theirs, kind="stable")
    low = np.searchsorted(theirs[order], ours[known] - tolerance)
    high = np.searchsorted(theirs[order], ours[known] + tolerance)
    each = high - low
    mine = np.repeat(np.flatnonzero(known), each)
    within = np.arange(each.sum()) - np.repeat(np.cumsum(each) - each, each)
    place = order[np.repeat(low, each) + within]
    other = place != same[mine]
    mine, place = mine[other], place[other]
    sort = np.lexsort((mine, place - step * mine))
    mine, place = mine[sort], place[sort]
    diagonal = place - step * mine
    starts = np.flatnonzero(np.append(True, (np.diff(diagonal) != 0) | (np.diff(mine) != 1))[: len(mine)])
    lengths = np.diff(np.append(starts, len(mine)))
    return _Agreeing(mine, place, np.repeat(lengths, lengths))
