"""A sketch of one symbol's prices, by which its bars are known again in other data: closes, and shapes of bars.

Closes lie at instants that every bar length shares (the ends of sessions; whole multiples of a step, which hang on no
calendar), so that returns between them can be compared with those of another bar length, vendor or unit of price.
Shapes of bars do not depend on time: by them bars are known again that were given other dates.

Axes: N bars of one symbol.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from data.array_types import FloatArray
from data.equal_runs import run_ends
from data.schema import Panel

Marks = Mapping[int, float]

MAX_MARKS = 512
"""Closes that are kept of a symbol, at most."""
INSTANT_STEPS = (60, 300, 900, 1800, 3600)
"""Seconds between instants of which closes are kept; each divides the next, so that two series have some in common."""
MIN_COMMON_RETURNS = 8
"""Returns in common from which prices, and not names, tell whether two symbols are one instrument."""
SURE_COMMON_RETURNS = 30
"""Returns in common from which prices can tell apart two symbols of one name."""
TOLERANCE = 0.2
"""Two returns agree when they differ by less than this share of the median absolute return."""
MIN_AGREEMENT = 0.8
"""Share of returns that agree, from which two symbols are one instrument; independent ones agree in about a tenth."""
BARS_OF_A_SHAPE = 4
"""Bars in a row whose shape is hashed."""
SKETCH_SIZE = 256
"""Shapes that are kept of a symbol: those with the smallest hashes, a random sample that two data sets share."""
MIN_SHAPES = 20
"""Shapes that a stretch must have in common with a sketch, as far apart as there."""
MOVED_SHARE = 0.2
"""Share of a stretch's shapes that are in a sketch, from which its bars are those of the sketch at other dates."""
TIMES_CHANCE = 4.0
"""Times that what is known again must be above what repeats by chance, where it does not lie as far apart as there."""
LONGEST_GAP = 20.0
"""Medians of the gaps between what is known again, beyond which a stretch ends."""
LEAST_GROUP = 3
"""What is known again in a stretch, below which it is chance."""
SAME_CORRELATION = 0.98
"""Correlation, of either sign, from which two series are one: 1/p, a power of p, two funds of one index."""


def plain_name(symbol: str) -> str:
    """A symbol without separators, case and quote currency: BTC, btc-usd and BTC/USDT are one name."""
    letters = re.sub(r"[^A-Z0-9]", "", symbol.upper())
    return re.sub(r"(?<=.)(USDT|USDC|USD)$", "", letters)


def returns_agree(ours: FloatArray, theirs: FloatArray) -> bool:
    """Whether two series of returns (N,) over the same spans are those of one instrument."""
    size = float(np.median(np.abs(np.concatenate([ours, theirs]))))
    if size == 0.0:  # prices that hardly ever move tell nothing
        return False
    return float(np.mean(np.abs(ours - theirs) <= TOLERANCE * size)) >= MIN_AGREEMENT


def move_as_one(ours: FloatArray, theirs: FloatArray) -> bool:
    """Whether one series of returns (N,) is the other at another leverage, short or long."""
    return len(ours) >= SURE_COMMON_RETURNS and abs(correlation(ours, theirs)) >= SAME_CORRELATION


def correlation(ours: FloatArray, theirs: FloatArray) -> float:
    """Pearson's, 0 where one of them never moves."""
    if ours.std() == 0.0 or theirs.std() == 0.0:
        return 0.0
    return float(np.corrcoef(ours, theirs)[0, 1])


def common_returns(ours: Marks, theirs: Marks) -> tuple[FloatArray, FloatArray]:
    """Log returns between the instants that both have a mark at."""
    common = sorted(ours.keys() & theirs.keys())
    if len(common) < 2:
        return np.zeros(0), np.zeros(0)
    return (
        np.diff(np.log([ours[key] for key in common])),
        np.diff(np.log([theirs[key] for key in common])),
    )


def bar_shapes(panel: Panel, bars: slice, asset: int) -> NDArray[np.int64]:
    """(N,) a hash in [0, 2^53) of the shape of each bar and the three before it; -1 where there is none.

    The shape is how far open, high and low lie from the close: it does not change with time, name or unit of price. A
    bar that is unknown, or whose prices are all equal, has none. Bars of few ticks look alike; four in a row seldom.
    """
    close = panel.close[bars, asset]
    with np.errstate(invalid="ignore", divide="ignore"):
        ratios = [np.log(getattr(panel, name)[bars, asset] / close) for name in ("open", "high", "low")]
    known = np.all(np.isfinite(ratios), axis=0) & (ratios[1] > ratios[2])
    single = np.zeros(len(close), dtype=np.uint64)
    for ratio in ratios:
        single = _mixed(single ^ np.rint(np.where(known, ratio, 0.0) * 1e8).astype(np.int64).view(np.uint64))
    digest, whole = np.zeros(len(close), dtype=np.uint64), np.ones(len(close), dtype=np.bool_)
    for back in range(BARS_OF_A_SHAPE):
        digest = _mixed(digest ^ np.roll(single, back))
        whole &= np.roll(known, back)
    whole[: BARS_OF_A_SHAPE - 1] = False
    return np.where(whole, (digest >> np.uint64(11)).astype(np.int64), -1)


def _mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finaliser of splitmix64 (Steele, Lea and Flood 2014): every bit of the result depends on every bit given."""
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def sketched(shapes: NDArray[np.int64]) -> dict[int, int]:
    """The smallest hashes of `bar_shapes`, each with the place of its bar."""
    hashes, places = np.unique(shapes, return_index=True)
    kept = hashes >= 0
    return {int(key): int(at) for key, at in zip(hashes[kept][:SKETCH_SIZE], places[kept][:SKETCH_SIZE])}


def copied_stretches(shapes: NDArray[np.int64], sketch: Mapping[int, int]) -> list[slice]:
    """Stretches of bars whose shapes (N,) are in a sketch, if they are copies of its bars; none if not.

    They are when enough lie as far apart as in the sketch. Pieces that were laid anew do not: then shapes must repeat
    themselves so seldom that to be known again by chance is out of the question.
    """
    hashes = np.array(list(sketch), dtype=np.int64)
    if len(hashes) < MIN_SHAPES:
        return []
    # A sketch that is not full is of few bars: then all of their shapes are in it.
    limit = hashes.max() if len(hashes) == SKETCH_SIZE else np.iinfo(np.int64).max
    asked = np.flatnonzero((shapes >= 0) & (shapes <= limit))
    known = asked[np.isin(shapes[asked], hashes)]
    if len(known) < MIN_SHAPES:
        return []
    offset = known - np.array([sketch[int(key)] for key in shapes[known]], dtype=np.int64)
    values, counts = np.unique(offset, return_counts=True)
    in_step = known[offset == values[counts.argmax()]]
    repeats = 1.0 - len(np.unique(shapes[asked])) / len(asked)
    for candidates, share in ((known, max(MOVED_SHARE, TIMES_CHANCE * repeats)), (in_step, MOVED_SHARE)):
        groups = dense_groups(candidates)
        inside = sum(np.count_nonzero((asked >= group[0]) & (asked <= group[-1])) for group in groups)
        number = sum(map(len, groups))
        if number >= MIN_SHAPES and number >= share * inside:
            return [slice(int(group[0]), int(group[-1]) + 1) for group in groups]
    return []


def dense_groups(places: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Places (K,), sorted, cut where none is for long, without groups of a few: one known again by chance far away.

    Of places drawn at random a gap of `LONGEST_GAP` medians is one in a million.
    """
    if not len(places):
        return []
    gaps = np.diff(places)
    typical = float(np.median(gaps)) if len(gaps) else 1.0
    groups = np.split(places, np.flatnonzero(gaps > LONGEST_GAP * max(typical, 1.0)) + 1)
    return [group for group in groups if len(group) >= LEAST_GROUP]


def instant_marks(close_seconds: NDArray[np.int64], price: FloatArray, bar_seconds: int) -> Marks:
    """The closes at whole multiples of a step: seconds from 1970 -> close; they hang on no calendar.

    The step is the shortest that leaves few enough marks; of too many whole hours those with the smallest hashes are
    kept, a random sample that two series share however much of the day or of the year each of them has.
    """
    at = np.arange(len(close_seconds))
    for step in INSTANT_STEPS:
        whole = np.flatnonzero(close_seconds % step == 0)
        at = whole if len(whole) else at
        if step >= bar_seconds and len(at) <= MAX_MARKS:
            break
    order = np.argsort(_mixed(close_seconds[at].view(np.uint64)), kind="stable")[:MAX_MARKS]
    return {int(close_seconds[i]): rounded(price[i]) for i in np.sort(at[order])}


def session_marks(session: NDArray[np.int32], price: FloatArray) -> dict[int, float]:
    """Session -> its last close, of the (N,) bars that have one."""
    return {int(session[at]): float(price[at]) for at in run_ends(session)}


def thinned(marks: Marks) -> Marks:
    """Marks whose key is a multiple of the smallest power of two that leaves few enough: sets that nest."""
    step = 1
    while sum(key % step == 0 for key in marks) > MAX_MARKS:
        step *= 2
    return {key: value for key, value in marks.items() if key % step == 0}


def rounded(price: float) -> float:
    """To nine digits."""
    return float(f"{price:.9g}")
