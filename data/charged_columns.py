"""Columns of the bars that the simulator charges and adjusts by, at the bar they stand in.

| column         | meaning                                                                                       |
|----------------|-----------------------------------------------------------------------------------------------|
| `funding_rate` | what is paid at each funding instant in (open, close] of the bar, of a notional; NaN: not said |
| `split_factor` | units of the panel's prices per unit that was traded, see `data.split_factors`                 |
| `dividend`     | cash per unit that was held into the bar, see `data.dividends`                                 |
| `roll_close`   | and what belongs to it, see `data.traded_prices`                                               |
| `in_universe`  | whether a symbol may be held then, see `data.universe`                                         |
"""

from __future__ import annotations

from data.dividends import DIVIDEND
from data.split_factors import SPLIT_FACTOR
from data.traded_prices import COLUMNS as ROLL_COLUMNS
from data.universe import MEMBER

FUNDING_RATE = "funding_rate"
CHARGED_BY = (FUNDING_RATE, SPLIT_FACTOR, DIVIDEND, *ROLL_COLUMNS, MEMBER)
