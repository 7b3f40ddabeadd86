"""Fused pointwise arithmetic of the network on a CPU, in single precision: LSTM gates, tanh and draws, one pass each.

Between two matrix products torch makes a pass over memory per operation, and its tanh takes eight times as long as
this one. Products are `policies.compiled.small_products`' or torch's. A value that is not a number stays one.

Shapes: L time, R rows (sequences x assets), H hidden units; gates lie in the order i, f, o, g.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numba
import numpy as np

FloatArray = Any  # numpy float32, C-contiguous; Numba compiles for whatever it is given

_F = np.float32
# One file, so that Numba's cache on disk notices every change. Without `error_model` a division does not vectorise.
entry = partial(numba.njit, nogil=True, error_model="numpy", fastmath={"contract"}, _nrt=False, cache=True)
inner = partial(numba.njit, nogil=True, error_model="numpy", fastmath={"contract"}, _nrt=False)


@inner
def copy_row(values, out):  # type: ignore[no-untyped-def]
    """Write values (N,) to out (N,)."""
    for n in range(out.shape[0]):
        out[n] = values[n]


@inner
def add_row(values, out):  # type: ignore[no-untyped-def]
    """Add values (N,) to out (N,)."""
    for n in range(out.shape[0]):
        out[n] += values[n]


@inner
def fill_rows(row, out):  # type: ignore[no-untyped-def]
    """Write row (N,) to all rows of out (R, N)."""
    for r in range(out.shape[0]):
        copy_row(row, out[r])


@inner
def scale_row(values, factor, out):  # type: ignore[no-untyped-def]
    """Write values (N,) times the factor to out (N,)."""
    for n in range(out.shape[0]):
        out[n] = values[n] * factor


@inner
def scale_inplace(row, factor):  # type: ignore[no-untyped-def]
    """Multiply row (N,) by the factor."""
    for n in range(row.shape[0]):
        row[n] *= factor


@inner
def clear_rows(rows):  # type: ignore[no-untyped-def]
    """Write zeros to rows (R, N)."""
    for r in range(rows.shape[0]):
        row = rows[r]
        for n in range(row.shape[0]):
            row[n] = _F(0.0)


@inner
def mean_of_rows(rows, out):  # type: ignore[no-untyped-def]
    """Write to out (N,) the mean over the rows (A, N)."""
    copy_row(rows[0], out)
    for a in range(1, rows.shape[0]):
        add_row(rows[a], out)
    if rows.shape[0] > 1:
        scale_inplace(out, _F(1.0) / _F(rows.shape[0]))


@inner
def mean_of_groups(rows, out):  # type: ignore[no-untyped-def]
    """Write to out (R, N) the means over the rows (R A, N) of each."""
    size = rows.shape[0] // out.shape[0]
    for r in range(out.shape[0]):
        mean_of_rows(rows[r * size : (r + 1) * size], out[r])


@inner
def _tanh(x):  # type: ignore[no-untyped-def]
    """Rational function of degree 13 over 6 on [-7.9, 7.9], beyond which tanh is 1 in float32 (as in Eigen)."""
    x = _F(7.90531110763549805) if x > _F(7.90531110763549805) else x
    x = _F(-7.90531110763549805) if x < _F(-7.90531110763549805) else x
    y = x * x
    p = _F(-2.76076847742355e-16)
    p = p * y + _F(2.00018790482477e-13)
    p = p * y + _F(-8.60467152213735e-11)
    p = p * y + _F(5.12229709037114e-08)
    p = p * y + _F(1.48572235717979e-05)
    p = p * y + _F(6.37261928875436e-04)
    p = p * y + _F(4.89352455891786e-03)
    q = _F(1.19825839466702e-06)
    q = q * y + _F(1.18534705686654e-04)
    q = q * y + _F(2.26843463243900e-03)
    q = q * y + _F(4.89352518554385e-03)
    return x * p / q


@inner
def _sigmoid(x):  # type: ignore[no-untyped-def]
    return _F(0.5) + _F(0.5) * _tanh(_F(0.5) * x)


@entry
def tanh_inplace(values: FloatArray) -> None:
    """Replace values (N,) by their tanh; right to 3e-7."""
    for n in range(values.shape[0]):
        values[n] = _tanh(values[n])


@entry
def tanh_slope(outputs: FloatArray, grad_outputs: FloatArray, grad: FloatArray) -> None:
    """Write to grad (N,) what grad_outputs (N,) is before a tanh with these outputs (N,)."""
    for n in range(outputs.shape[0]):
        grad[n] = grad_outputs[n] * (_F(1.0) - outputs[n] * outputs[n])


@inner
def _activate(gates):  # type: ignore[no-untyped-def]
    sigmoids, candidate = gates[: 3 * (gates.shape[0] // 4)], gates[3 * (gates.shape[0] // 4) :]
    for u in range(sigmoids.shape[0]):
        sigmoids[u] = _sigmoid(sigmoids[u])
    for u in range(candidate.shape[0]):
        candidate[u] = _tanh(candidate[u])


@inner
def _advance_row(i, f, o, g, cell, kept, cell_after, output):  # type: ignore[no-untyped-def]
    # Short loops: the compiler vectorises none that needs many checks for overlap.
    for u in range(i.shape[0]):
        cell_after[u] = f[u] * (cell[u] * kept) + i[u] * g[u]
    for u in range(i.shape[0]):
        output[u] = o[u] * _tanh(cell_after[u])


@inner
def _advance(gates, cell, kept, cell_after, output):  # type: ignore[no-untyped-def]
    units = cell.shape[0]
    _activate(gates)
    _advance_row(
        gates[:units],
        gates[units : 2 * units],
        gates[2 * units : 3 * units],
        gates[3 * units :],
        cell,
        kept,
        cell_after,
        output,
    )


@entry
def lstm_advance(gates: FloatArray, cell: FloatArray, cell_after: FloatArray, output: FloatArray) -> None:
    """One step, for acting: gates (R, 4H) are activated in place; cell_after and output (R, H) are written."""
    for r in range(cell.shape[0]):
        _advance(gates[r], cell[r], _F(1.0), cell_after[r], output[r])


@inner
def _advance_gru_row(r, z, n, r_back, z_back, n_back, hidden, output):  # type: ignore[no-untyped-def]
    for u in range(r.shape[0]):
        r[u] = _sigmoid(r[u] + r_back[u])
    for u in range(r.shape[0]):
        z[u] = _sigmoid(z[u] + z_back[u])
    for u in range(r.shape[0]):
        n[u] = _tanh(n[u] + r[u] * n_back[u])
    for u in range(r.shape[0]):
        output[u] = n[u] + z[u] * (hidden[u] - n[u])


@inner
def gru_advance(gates: FloatArray, recurrent: FloatArray, hidden: FloatArray, output: FloatArray) -> None:
    """One step, for acting: output (R, H); gates (R, 3H, in the order reset, update, candidate) are used up.

    gates come from the inputs, recurrent (R, 3H) from hidden (R, H): the reset gate multiplies the latter's candidate.
    """
    units = hidden.shape[1]
    for r in range(hidden.shape[0]):
        row, back = gates[r], recurrent[r]
        _advance_gru_row(
            row[:units],
            row[units : 2 * units],
            row[2 * units :],
            back[:units],
            back[units : 2 * units],
            back[2 * units :],
            hidden[r],
            output[r],
        )


@inner
def lstm_forward(gates, cell, keep, cell_after, outputs):  # type: ignore[no-untyped-def]
    """One step of sequences: activate gates (R, 4H) in place, write cell_after and outputs (R, H).

    cell (R, H) is that after the step before, which rows forget where keep (R,) is 0.0.
    """
    for r in range(gates.shape[0]):
        _advance(gates[r], cell[r], keep[r], cell_after[r], outputs[r])


@inner
def _slopes_row(i, f, o, g, cell, kept, squashed, grad_output, hidden, through):  # type: ignore[no-untyped-def]
    """Gates (H,) are replaced by their gradients, ``hidden`` and ``through`` are those of output and cell.

    cell is that before the step, squashed the tanh of that after it; hidden is added to grad_output.
    """
    one = _F(1.0)
    for u in range(i.shape[0]):
        hidden[u] += grad_output[u]
    for u in range(i.shape[0]):
        through[u] += hidden[u] * o[u] * (one - squashed[u] * squashed[u])
    for u in range(i.shape[0]):
        o[u] = hidden[u] * squashed[u] * (o[u] * (one - o[u]))
    for u in range(i.shape[0]):
        gate, candidate = i[u], g[u]
        i[u] = through[u] * candidate * (gate * (one - gate))
        g[u] = through[u] * gate * (one - candidate * candidate)
    for u in range(i.shape[0]):
        gate, grad = f[u], through[u]
        f[u] = grad * (cell[u] * kept) * (gate * (one - gate))
        through[u] = grad * gate * kept


@inner
def lstm_backward(  # type: ignore[no-untyped-def]
    gates, cell, keep, cell_after, grad_outputs, grad_hidden, grad_cell, squashed
) -> None:
    """One step of the backward pass, from the last step to the first; replaces gates (R, 4H) by their gradient.

    cell, keep, cell_after are those of `lstm_forward`. grad_outputs (R, H) and grad_hidden (R, H), which comes from the
    next step, add up; grad_cell (R, H) is replaced by that of the step before, cleared. squashed (H,) is room: the tanh
    of a cell is taken again, which costs less than to keep it.
    """
    units = cell.shape[1]
    for r in range(gates.shape[0]):
        row = gates[r]
        for u in range(units):
            squashed[u] = _tanh(cell_after[r, u])
        _slopes_row(
            row[:units],
            row[units : 2 * units],
            row[2 * units : 3 * units],
            row[3 * units :],
            cell[r],
            keep[r],
            squashed,
            grad_outputs[r],
            grad_hidden[r],
            grad_cell[r],
        )


@entry
def draw_choices(scores: FloatArray, uniforms: FloatArray, room: FloatArray, choices: Any) -> None:
    """Write to choices (R,) int64 draws from categoricals with scores (R, N), by inverting the distribution function.

    uniforms (R,) lie in [0, 1); room (N,). A choice whose probability is exactly 0.0 is never drawn.
    """
    for r in range(scores.shape[0]):
        highest, total = scores[r, 0], 0.0
        for n in range(1, scores.shape[1]):
            highest = max(highest, scores[r, n])
        for n in range(scores.shape[1]):
            room[n] = np.exp(scores[r, n] - highest)
            total += room[n]
        # In double precision the product is below the total whatever the draw.
        target, passed, choice = np.float64(uniforms[r]) * total, 0.0, 0
        for n in range(scores.shape[1] - 1):
            passed += room[n]
            choice += target >= passed
        choices[r] = choice
