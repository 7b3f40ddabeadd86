"""The compiled interpreter of a plan: step after step, on the newest bars of series that lie in one piece of memory.

Axes: T time, A asset; a series of a few bars is flat, bar after bar, `stride` = A numbers each.
"""

from __future__ import annotations

import numpy as np

from data.features.kernels import compiled, inner
from data.features.plan import codes
from data.features.price_gaps import open_gaps
from data.features.regime import filtered
from data.features.sessions import READ, walk_opening, walk_sessions
from data.features.window_extremes import (
    added_deviations,
    counted_below,
    highest_ages,
    highest_values,
    newest_events,
)
from data.features.window_moments import BANDS, COUNT, merge_windows, without_too_few
from data.features.window_sums import copied, decayed_sums, known_sums, number_unknown, split_by_knowledge
from data.features.windows import means_in_order

# Columns of the table of steps: code, first output, three inputs and how many bars earlier, two numbers, real, state.
CODE, OUT, INPUT, WHOLE, REAL, STATE = 0, 1, 2, 8, 10, 11
COLUMNS = 12
OUTPUTS = 8
"""The most that a step has."""
WORK_BANDS = BANDS + 4
"""Rows of work that a step may need, each as long as what it reads."""


@inner
def _of_one(code, out, x):  # type: ignore[no-untyped-def]
    size = len(out)
    if code == codes.COPY:
        for i in range(size):
            out[i] = x[i]
    elif code == codes.NEGATIVE:
        for i in range(size):
            out[i] = -x[i]
    elif code == codes.ABSOLUTE:
        for i in range(size):
            out[i] = abs(x[i])
    elif code == codes.SIGN:
        for i in range(size):
            # NaN stays NaN.
            out[i] = 1.0 if x[i] > 0.0 else (-1.0 if x[i] < 0.0 else x[i] + 0.0)
    elif code == codes.ROOT:
        for i in range(size):
            out[i] = np.sqrt(x[i])
    elif code == codes.IS_NAN:
        for i in range(size):
            out[i] = 1.0 if x[i] != x[i] else 0.0
    elif code == codes.NOT:
        for i in range(size):
            out[i] = 1.0 - x[i]
    else:  # SQUARE
        for i in range(size):
            out[i] = x[i] * x[i]


@inner
def _of_two(code, out, x, y):  # type: ignore[no-untyped-def]
    size = len(out)
    if code == codes.ADD:
        for i in range(size):
            out[i] = x[i] + y[i]
    elif code == codes.SUBTRACT:
        for i in range(size):
            out[i] = x[i] - y[i]
    elif code == codes.MULTIPLY or code == codes.AND:
        for i in range(size):
            out[i] = x[i] * y[i]
    elif code == codes.DIVIDE:
        for i in range(size):
            out[i] = x[i] / y[i]
    elif code == codes.LARGER or code == codes.OR:
        for i in range(size):
            out[i] = x[i] if x[i] >= y[i] or x[i] != x[i] else y[i]
    elif code == codes.SMALLER:
        for i in range(size):
            out[i] = x[i] if x[i] <= y[i] or x[i] != x[i] else y[i]
    elif code == codes.LARGER_KNOWN:
        for i in range(size):
            out[i] = x[i] if x[i] >= y[i] or y[i] != y[i] else y[i]
    else:  # SMALLER_KNOWN
        for i in range(size):
            out[i] = x[i] if x[i] <= y[i] or y[i] != y[i] else y[i]


@inner
def _comparison(code, out, x, y):  # type: ignore[no-untyped-def]
    size = len(out)
    if code == codes.LESS:
        for i in range(size):
            out[i] = 1.0 if x[i] < y[i] else 0.0
    elif code == codes.LESS_EQUAL:
        for i in range(size):
            out[i] = 1.0 if x[i] <= y[i] else 0.0
    elif code == codes.GREATER:
        for i in range(size):
            out[i] = 1.0 if x[i] > y[i] else 0.0
    elif code == codes.GREATER_EQUAL:
        for i in range(size):
            out[i] = 1.0 if x[i] >= y[i] else 0.0
    elif code == codes.EQUAL:
        for i in range(size):
            out[i] = 1.0 if x[i] == y[i] else 0.0
    else:  # NOT_EQUAL
        for i in range(size):
            out[i] = 1.0 if x[i] != y[i] else 0.0


@inner
def _of_three(code, out, x, y, z, still):  # type: ignore[no-untyped-def]
    if code == codes.WHERE:
        for i in range(len(out)):
            out[i] = y[i] if x[i] != 0.0 else z[i]
    else:  # QUOTIENT
        for i in range(len(out)):
            flat = y[i] == 0.0
            ratio = x[i] / (1.0 if flat else y[i])
            out[i] = (still if x[i] == x[i] else np.nan) if flat else ratio


@inner
def _in_window(code, out, x, stride, bars, real, work):  # type: ignore[no-untyped-def]
    """Windows of one series with one output; x : with the (bars - 1) * stride numbers before."""
    if code == codes.SUM or code == codes.MEAN:
        known_sums(x, stride, bars, real[0], real[1], code == codes.MEAN, work, out)
    elif code == codes.MEAN_IN_ORDER:
        means_in_order(x, stride, bars, work, out)
    elif code == codes.FILTERED:
        filtered(x, stride, bars, real[0], work, out)
    elif number_unknown(x) == 0:
        if code == codes.HIGHEST:
            highest_values(x, stride, bars, work, out)
        else:
            highest_ages(x, stride, bars, work, out)
    else:
        size = len(x)
        filled, known, count = work[:size], work[size : 2 * size], work[2 * size : 2 * size + len(out)]
        split_by_knowledge(x, filled, known)
        for i in range(size):
            filled[i] = x[i] if known[i] > 0.0 else -np.inf
        decayed_sums(known, stride, bars, 1.0, work[3 * size :], count)
        if code == codes.HIGHEST:
            highest_values(filled, stride, bars, work[3 * size :], out)
        else:
            highest_ages(filled, stride, bars, work[3 * size :], out)
        without_too_few(out, count, bars)


@inner
def _against_centre(code, out, x, centre, stride, bars, work):  # type: ignore[no-untyped-def]
    if code == codes.SHARE_BELOW:
        counted_below(x, centre, stride, bars, work, out)
    else:
        added_deviations(x, centre, stride, bars, out)
    if number_unknown(x) == 0:
        for i in range(len(out)):
            out[i] /= bars
        return
    size = len(x)
    known, count = work[size : 2 * size], work[2 * size : 2 * size + len(out)]
    split_by_knowledge(x, work[:size], known)
    decayed_sums(known, stride, bars, 1.0, work[3 * size :], count)
    for i in range(len(out)):
        out[i] /= max(count[i], 1.0)
    without_too_few(out, count, bars)


@inner
def _moments(mem, places, x, y, stride, bars, step, work, size):  # type: ignore[no-untyped-def]
    """Moments of x, or of x and y, to the places of mem that are asked for (not -1)."""
    length, pair = len(x), len(y) > 0
    bands = work[: BANDS * length].reshape((BANDS, length))
    spare = work[BANDS * length :]
    known = spare[:0]
    some = number_unknown(x) + number_unknown(y) > 0
    if some:
        known, filled_x, filled_y = spare[:length], spare[length : 2 * length], spare[2 * length : 3 * length]
        for i in range(length):
            both = x[i] == x[i] and (not pair or y[i] == y[i])
            known[i] = 1.0 if both else 0.0
            filled_x[i] = x[i] if both else 0.0
            if pair:
                filled_y[i] = y[i] if both else 0.0
        x = filled_x
        y = filled_y if pair else y
    at, number = merge_windows(x, y, known, stride, bars, step, bands, size)
    count = bands[COUNT + at // 5 % 2][:size]
    for k in range(len(places)):
        if places[k] < 0:
            continue
        out = mem[places[k] : places[k] + size]
        if k > 0:
            copied(out, bands[at + (k - 1 if pair else 2 * (k - 1))])
        elif some:
            copied(out, count)
        else:
            for i in range(size):
                out[i] = number
        if some:
            without_too_few(out, count, bars)


@inner
def _across(code, out, x, stride, whole):  # type: ignore[no-untyped-def]
    for first in range(0, len(out), stride):
        if code == codes.PICK:
            number = x[first + whole]
            for a in range(stride):
                out[first + a] = number
        elif code == codes.ROW_SUM:
            total = x[first]
            for a in range(1, stride):
                total += x[first + a]
            for a in range(stride):
                out[first + a] = total
        else:  # RANK, from 1, ties in the middle of theirs
            row = x[first : first + stride]
            for a in range(stride):
                below, equal = 0, 0
                for b in range(len(row)):
                    below += 1 if row[b] < row[a] else 0
                    equal += 1 if row[b] == row[a] else 0
                out[first + a] = below + 0.5 * (1 + equal)


@inner
def _place(base, history, value, lag, position, stride):  # type: ignore[no-untyped-def]
    """Where the newest bars of a value begin, some bars earlier; a value without a past begins at its base."""
    if history[value] == 0:
        return base[value]
    return base[value] + (history[value] + position - lag) * stride


@inner
def _find_places(places, count, base, history, value, position, stride):  # type: ignore[no-untyped-def]
    """Where the newest bars of the outputs of a step begin; -1 of those that nobody reads."""
    for c in range(len(places)):
        places[c] = -1
        if c < count and base[value + c] >= 0:
            places[c] = _place(base, history, value + c, 0, position, stride)


@compiled
def run_steps(mem, work, state, table, real, base, history, position, rows, stride, places, block):  # type: ignore[no-untyped-def]
    """Do the steps of a table for `rows` bars.

    mem : all series. base : (V,) where a value's memory begins, -1 of one that nobody reads. history : (V,) bars of its
    past that are kept before the newest ones; position : bars computed since the past was moved to the front last.
    state : what sessions remember. places : (OUTPUTS + READ,) int64, work. block : (K, rows * A) or longer, of outputs.
    """
    size = rows * stride
    read = places[OUTPUTS:]
    for k in range(len(table)):
        row = table[k]
        code, value, bars, numbers = row[CODE], row[OUT], row[WHOLE], real[row[REAL] :]
        a = _place(base, history, row[INPUT], row[INPUT + 1], position, stride)
        x = mem[a : a + size]
        if code == codes.OUTPUT:
            _written(block[value], x)
        elif codes.SESSION <= code < codes.CALL:
            _find_places(
                places[:OUTPUTS],
                OUTPUTS if code == codes.SESSION else 2,
                base,
                history,
                value,
                position,
                stride,
            )
            for c in range(READ):
                read[c] = _place(base, history, row[INPUT] + c, 0, position, stride)
            if code == codes.SESSION:
                walk_sessions(mem, read, rows, stride, bars, state[row[STATE] :], places[:OUTPUTS])
            else:
                walk_opening(
                    mem, read, rows, stride, bars, row[WHOLE + 1], state[row[STATE] :], places[:OUTPUTS]
                )
        elif code <= codes.LAST_OF_THREE or code > codes.LAST_WINDOW:
            out = mem[_place(base, history, value, 0, position, stride) :][:size]
            b = _place(base, history, row[INPUT + 2], row[INPUT + 3], position, stride)
            c = _place(base, history, row[INPUT + 4], row[INPUT + 5], position, stride)
            y, z = mem[b : b + size], mem[c : c + size]
            if code <= codes.LAST_OF_ONE:
                _of_one(code, out, x)
            elif codes.LESS <= code <= codes.NOT_EQUAL:
                _comparison(code, out, x, y)
            elif code <= codes.LAST_OF_TWO:
                _of_two(code, out, x, y)
            elif code <= codes.LAST_OF_THREE:
                _of_three(code, out, x, y, z, numbers[0])
            else:
                _across(code, out, x, stride, bars)
        else:
            b = _place(base, history, row[INPUT + 2], row[INPUT + 3], position, stride)
            _find_places(
                places[:OUTPUTS], 6 if code == codes.COMOMENTS else 3, base, history, value, position, stride
            )
            _in_windows(mem, work, code, a, b, places, bars, numbers, size, stride)


@inner
def _in_windows(mem, work, code, a, b, places, bars, real, size, stride):  # type: ignore[no-untyped-def]
    early = (bars - 1) * stride
    # Nothing of mem is written where nobody asks for an output.
    one, two, three = max(places[0], 0), max(places[1], 0), max(places[2], 0)
    x, out = mem[a - early : a + size], mem[one : one + (size if places[0] >= 0 else 0)]
    second = mem[two : two + (size if places[1] >= 0 else 0)]
    third = mem[three : three + (size if places[2] >= 0 else 0)]
    if code == codes.MOMENTS:
        _moments(mem, places[:3], x, mem[:0], stride, bars, 0.0, work, size)
    elif code == codes.COMOMENTS:
        _moments(mem, places[:6], x, mem[b - early : b + size], stride, bars, real[0], work, size)
    elif code == codes.EVENTS:
        newest_events(x, stride, bars, out, second, third)
    elif code == codes.GAPS:
        early += 2 * stride  # the bars between which the oldest gap opened
        high, low = mem[a - early : a + size], mem[b - early : b + size]
        open_gaps(high, low, stride, bars, work, out, second)
    elif code == codes.SHARE_BELOW or code == codes.DEVIATION:
        _against_centre(code, out, x, mem[b : b + size], stride, bars, work)
    else:
        _in_window(code, out, x, stride, bars, real, work)


@inner
def _written(out, values):  # type: ignore[no-untyped-def]
    for i in range(len(values)):
        out[i] = values[i]


@compiled
def keep_the_past(mem, base, history, rows, stride):  # type: ignore[no-untyped-def]
    """Move the newest bars of every value, as many as are read later, to the front of its memory."""
    for value in range(len(base)):
        if history[value] > 0:
            keep = history[value] * stride
            part = mem[base[value] + rows * stride :]
            copied(mem[base[value] : base[value] + keep], part)
