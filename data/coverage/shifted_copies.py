"""Bars that were looked at and come again under other dates: found by their returns from session to session.

Axes: T time (bars of a panel).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from math import log

import numpy as np
from numpy.typing import NDArray

from data.coverage.coverage import BoolArray, Coverage, bar_closes
from data.coverage.noisy_pieces import pieces_between
from data.coverage.price_sketch import (
    MIN_AGREEMENT,
    MIN_COMMON_RETURNS,
    MOVED_SHARE,
    TIMES_CHANCE,
    TOLERANCE,
    Marks,
    dense_groups,
    returns_agree,
    session_marks,
)
from data.coverage.session_closes import DECIMALS, Closes
from data.schema import Panel

Places = dict[tuple[int, float], list[int]]
BESIDE = tuple(sign * step * 10.0**-DECIMALS for sign in (-1, 1) for step in (3, 5, 8, 13, 21))
"""What returns are displaced by, to see how many would be known again by chance."""
MIN_NOISY_RETURNS = 15
"""Returns that must be comparable under a shift where they agree by tolerance alone."""


def shifted_copies(coverage: Coverage, panel: Panel) -> BoolArray:
    """(T,) True for the panel's bars that are copies of covered ones, moved by whole days.

    At least `MIN_COMMON_RETURNS` returns between sessions must agree, in as many different values: fewer sessions, or
    a shift by part of a day, cannot be told from other bars.
    """
    opens, closes = panel.bar_utc.astype("datetime64[s]"), bar_closes(panel)
    found = np.zeros(panel.num_bars, dtype=np.bool_)
    seen_marks = [Closes.of(one.session_marks) for one in coverage.symbols]
    gaps = {gap for marks in seen_marks for gap in np.unique(marks.gaps).tolist()}
    given_marks = [Closes.of(session_closes(panel, asset)) for asset in range(panel.num_assets)]
    given_codes = [given.codes(gaps) for given in given_marks]
    for one, seen in zip(coverage.symbols, seen_marks, strict=True):
        for given, codes in zip(given_marks, given_codes, strict=True):
            days, pieces = None, []
            if seen.number_among(codes) >= MIN_COMMON_RETURNS:  # without which none of the two finds anything
                at = places_of_returns(given.marks, gaps)
                days = shift_between(seen.marks, given.marks, at)
                pieces = laid_anew(seen.marks, at)
            if days is None:
                days = _noisy_shift(seen, given)
            if days is not None:
                by = np.timedelta64(days, "D")
                found |= (opens < one.last_utc + by) & (closes > one.first_utc + by)
            pieces = pieces or _stretches(pieces_between(seen, given))
            for first, last in pieces:
                found |= (panel.session >= first) & (panel.session <= last)
    return found


def session_closes(panel: Panel, asset: int) -> Marks:
    """Session -> last known close of that session."""
    known = np.flatnonzero(panel.close[:, asset] > 0.0)
    return session_marks(panel.session[known], panel.close[known, asset])


def places_of_returns(marks: Marks, gaps: Iterable[int]) -> Places:
    """Days between two sessions, and the return between them -> the first sessions of those that have it."""
    found: Places = {}
    for gap in gaps:
        for session, close in marks.items():
            if session + gap in marks:
                value = round(log(marks[session + gap] / close), DECIMALS)
                found.setdefault((gap, value), []).append(session)
    return found


def shift_between(seen: Marks, given: Marks, places: Places | None = None) -> int | None:
    """Days by which the given closes are the seen ones moved; None where no such number but 0 is found.

    Parameters
    ----------
    places : `places_of_returns` of the given closes, if it is at hand.
    """
    pairs = _pairs(seen)
    if places is None:
        places = places_of_returns(given, {b - a for a, b in pairs})
    votes: Counter[int] = Counter()
    for a, b in pairs:
        value = round(log(seen[b] / seen[a]), DECIMALS)
        votes.update(session - a for session in places.get((b - a, value), ()))
    del votes[0]
    for days, count in votes.most_common(1):
        if count >= MIN_COMMON_RETURNS and _holds(pairs, seen, given, days):
            return days
    return None


def laid_anew(seen: Marks, places: Places) -> list[tuple[int, int]]:
    """First and last given session of each stretch whose returns were seen, in whatever order; none if no copies.

    At least `MIN_NOISY_RETURNS` different returns must have been seen, `MOVED_SHARE` of those in the stretches, and
    `TIMES_CHANCE` times as many as if each were a little larger or smaller, or as repeat themselves.
    """
    pairs = _pairs(seen)
    ours = {(b - a, round(log(seen[b] / seen[a]), DECIMALS)) for a, b in pairs}
    asked = {key: at for key, at in places.items() if key[1] != 0.0}
    known = [key for key in asked if key in ours]
    if len(known) < MIN_NOISY_RETURNS:
        return []
    beside = [sum((gap, round(value + by, DECIMALS)) in ours for gap, value in asked) for by in BESIDE]
    repeats = sum(len(at) - 1 for at in asked.values()) / sum(len(at) for at in asked.values())
    ends = {session for key in known for start in asked[key] for session in (start, start + key[0])}
    stretches = _stretches(np.array(sorted(ends), dtype=np.int64))

    def within(session: int) -> bool:
        return any(first <= session <= last for first, last in stretches)

    inside = sum(within(session) for at in asked.values() for session in at)
    number = sum(any(map(within, asked[key])) for key in known)
    chance = max(float(np.mean(beside)), repeats * inside)
    enough = number >= max(MIN_NOISY_RETURNS, MOVED_SHARE * inside, TIMES_CHANCE * chance)
    return stretches if enough else []


def _stretches(sessions: NDArray[np.int64]) -> list[tuple[int, int]]:
    """First and last session of each dense group."""
    return [(int(group[0]), int(group[-1])) for group in dense_groups(sessions)]


def noisy_shift_between(seen: Marks, given: Marks) -> int | None:
    """As `shift_between`, for closes that were changed a little as well, so that no return is the same to seven digits.

    At least `MIN_NOISY_RETURNS` must be comparable under the shift, and `MIN_AGREEMENT` of them differ by less than
    `TOLERANCE` of the median absolute return, as for one instrument under two names. Independent returns do so in about
    a tenth: 12 in 15 by chance are one in 10^10.
    """
    return _noisy_shift(Closes.of(seen), Closes.of(given))


def _noisy_shift(seen: Closes, given: Closes) -> int | None:
    if len(seen.moved) < MIN_NOISY_RETURNS or len(given.sessions) < MIN_NOISY_RETURNS:
        return None
    tolerance = TOLERANCE * seen.typical
    log_close, first = given.by_day, int(given.sessions[0])
    shifts = []
    for gap in np.unique(seen.gaps).tolist():
        theirs = log_close[gap:] - log_close[:-gap] if gap < len(log_close) else np.zeros(0)
        at = np.flatnonzero(np.isfinite(theirs))
        at = at[np.argsort(theirs[at], kind="stable")]
        mine = np.flatnonzero(seen.gaps == gap)
        low = np.searchsorted(theirs[at], seen.moved[mine] - tolerance)
        each = np.searchsorted(theirs[at], seen.moved[mine] + tolerance) - low
        within = np.arange(each.sum()) - np.repeat(np.cumsum(each) - each, each)
        shifts.append(at[np.repeat(low, each) + within] + first - np.repeat(seen.starts[mine], each))
    votes = np.concatenate(shifts)
    votes = votes[votes != 0]
    if not len(votes):
        return None
    counts = np.bincount(votes - votes.min())
    if counts.max() < MIN_AGREEMENT * MIN_NOISY_RETURNS:
        return None
    days = int(counts.argmax() + votes.min())
    begin = seen.starts + days - first
    end = begin + seen.gaps
    inside = (begin >= 0) & (end < len(log_close))
    theirs = np.full(len(begin), np.nan)
    theirs[inside] = log_close[end[inside]] - log_close[begin[inside]]
    both = np.isfinite(theirs)
    return days if both.sum() >= MIN_NOISY_RETURNS and returns_agree(seen.moved[both], theirs[both]) else None


def _pairs(marks: Marks) -> list[tuple[int, int]]:
    """Neighbouring sessions between which the close moved."""
    keys = sorted(marks)
    return [(a, b) for a, b in zip(keys, keys[1:]) if marks[a] != marks[b]]


def _holds(pairs: list[tuple[int, int]], seen: Marks, given: Marks, days: int) -> bool:
    """Whether most returns that both have agree under this shift, in enough different values."""
    agreeing: set[float] = set()
    compared = agreed = 0
    for a, b in pairs:
        if a + days not in given or b + days not in given:
            continue
        ours, theirs = log(seen[b] / seen[a]), log(given[b + days] / given[a + days])
        compared += 1
        if abs(ours - theirs) <= 10.0**-DECIMALS:
            agreed += 1
            agreeing.add(round(ours, DECIMALS))
    return len(agreeing) >= MIN_COMMON_RETURNS and agreed >= MIN_AGREEMENT * compared
