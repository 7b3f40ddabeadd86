"""Stand-in markets: bars drawn from published stylised facts, in place of recorded ones that a user has yet to get.

- `law` : what is drawn: symbols, factors, tails, hours; every number comes from the YAML, with its source.
- `hours` : the bars of a real calendar, and how variance and volume lie over the day.
- `shocks` : returns of the factors: Student t, GARCH over sessions, bursts inside them.
- `ticks` : prices on a tick grid that are still a martingale, with highs and lows of a Brownian path.
- `market` : the panel.

What holds by construction: without `drift` and `edge` the expected price of every later bar is the price now, given
everything before it. Nothing can be earned, with or without stops, and every cost is a loss.
"""

from data.stand_in.law import PREFIX, ActiveHours, DayShape, SpreadEdge, StandInConfig, SymbolLaw
from data.stand_in.market import make_stand_in

__all__ = [
    "PREFIX",
    "ActiveHours",
    "DayShape",
    "SpreadEdge",
    "StandInConfig",
    "SymbolLaw",
    "make_stand_in",
]
