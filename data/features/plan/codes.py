"""What a step of a plan does: numbers that the compiled interpreter tells apart, by how many series a step reads."""

from __future__ import annotations

# One series in, one out.
COPY, NEGATIVE, ABSOLUTE, SIGN, ROOT, IS_NAN, NOT, SQUARE = range(8)
# Two series in, one out.
ADD, SUBTRACT, MULTIPLY, DIVIDE, LARGER, SMALLER, LARGER_KNOWN, SMALLER_KNOWN = range(20, 28)
LESS, LESS_EQUAL, GREATER, GREATER_EQUAL, EQUAL, NOT_EQUAL, AND, OR = range(28, 36)
# Three series in, or two and a number.
WHERE, QUOTIENT = range(50, 52)
# Trailing windows.
SUM, MEAN, MEAN_IN_ORDER, MOMENTS, COMOMENTS, HIGHEST, AGE, SHARE_BELOW, DEVIATION, EVENTS, GAPS, FILTERED = (
    range(60, 72)
)
# Across the assets of a bar.
ROW_SUM, RANK, PICK = range(80, 83)
# Since the session's first bar: these remember.
SESSION, OPENING = range(90, 92)
# A function of NumPy or SciPy that rounds as its own library does; called from outside of the interpreter.
CALL = 100
# Write a series into the block of outputs.
OUTPUT = 101

LAST_OF_ONE, LAST_OF_TWO, LAST_OF_THREE, LAST_WINDOW, LAST_ACROSS = 19, 49, 59, 79, 89
