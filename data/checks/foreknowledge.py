"""Foreknowledge: inputs that rank later returns better than anything that is known at the close can.

For each input and symbol, and for all symbols together, the rank correlation with the return of the next bar is
measured in each of several parts of the bars. A t statistic beyond 10 in every part is no edge that a market leaves
lying about: the input was written after the fact, or labelled a bar early. It is found and said; nothing is changed.
The same is asked of every lead up to a fifth of a part: the change of a label of the next 48 bars ranks the return 48
bars ahead, although the next bar's return is but a small part of it. What spreads over many bars (a regime that was
named afterwards) is asked for in `checks.hindsight`, what one symbol says of another in `checks.leading_symbols`,
what changes seldom in `checks.told_steps`, how large returns will be in `checks.told_sizes`, what symbols earn beside
each other in `checks.relative_order`, and who may be held when in `checks.membership`.

Axes: T time, A asset.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from functools import cached_property

import numpy as np

from data.array_types import FloatArray
from data.checks.foreknown import Foreknown
from data.checks.hindsight import Followers, told_afterwards
from data.checks.later_returns import MAX_BARS_AHEAD, parts_of, suspected, suspected_far, suspected_together
from data.checks.lead_correlations import RankedSeries
from data.checks.leading_symbols import MOST_SYMBOLS, OTHERS, leading_inputs
from data.checks.membership import foreknown_members
from data.checks.ordered_values import ORDERED, in_order_of_returns
from data.checks.relative_order import RelativeReturns, relative_order
from data.checks.standing_order import standing_order
from data.checks.told_sizes import Sizes, told_sizes
from data.checks.told_steps import told_steps
from data.checks.unforeseen_returns import log_returns, unforeseen_returns
from data.known_columns import ColumnStatement
from data.schema import BAR_COLUMNS, FURTHER_PRICES, Panel
from data.universe import MEMBER

LOG = logging.getLogger(__name__)
BEYOND_A_BOUNCE = 2
"""Least lead at which high, low and open are asked: a close near the low is followed by a higher one at once."""
DEVIATIONS = (20, 100)
"""Bars before, from whose mean an input is also taken, which rids it of slow noise."""
TO_THE_CLOSE = "the distance to the close"
"""Of a positive input, in logs."""
TOGETHER = ("", "the change")
"""Forms that are asked for the returns of several bars together: the change of a price tells what lags it."""
MOST_KEPT = 32
_FOUND: dict[tuple[str, frozenset[tuple[str, ColumnStatement]]], tuple[Foreknown, ...]] = {}
"""Fingerprint of bars and what is stated of their columns -> what was found in them by `warn_of_foreknowledge`."""


def foreknown_columns(
    panel: Panel, statements: Mapping[str, ColumnStatement] | None = None
) -> tuple[Foreknown, ...]:
    """Suspects among the exogenous columns, volume, high, low and open of a panel; stated ones are left out.

    A column is looked at as it is, by its change, over the close (a forecast of the next price gives itself away by
    the distance to this one), and with its values, unknown among them, in the order of what followed them elsewhere.
    It is asked for the next bar first, and for the few after it.
    """
    return (
        *foreknown_values(panel, {**panel.exogenous, "volume": panel.volume}, statements),
        *foreknown_wicks(panel, statements),
        *foreknown_members(panel, statements),
    )


def foreknown_wicks(
    panel: Panel, statements: Mapping[str, ColumnStatement] | None = None
) -> tuple[Foreknown, ...]:
    """Suspects among high, low and open: how far they lie from the close, from each other, and from the last close."""
    panel = panel.positive()
    closes, high, low = np.log(panel.close), np.log(panel.high), np.log(panel.low)
    before = np.vstack([np.full((1, panel.num_assets), np.nan), closes[:-1]])
    wicks = {
        "high": {TO_THE_CLOSE: high - closes, "the distance to the low": high - low},
        "low": {TO_THE_CLOSE: low - closes},
        "open": {"the distance to the close before": np.log(panel.open) - before},
    }
    asked = _Asked(panel, least_bars_ahead=BEYOND_A_BOUNCE)
    return tuple(
        found
        for name, forms in wicks.items()
        if not statements or name not in statements
        for found in asked.suspects(name, forms)
    )


def foreknown_values(
    panel: Panel,
    inputs: Mapping[str, FloatArray],
    statements: Mapping[str, ColumnStatement] | None = None,
    *,
    least_bars_ahead: int = 1,
    causal: bool = False,
    levels: Collection[str] | None = None,
) -> tuple[Foreknown, ...]:
    """Suspects among (T, A) inputs by name, stated ones left out; see `foreknown_columns`.

    Parameters
    ----------
    least_bars_ahead : leads below it are not looked at.
    causal : they are computed from bars that are asked themselves, so that they are asked as they are, of their own
        symbol alone, and of single bars from the fourth on.
    levels : names of those that are seen as they are, so that symbols can be compared by them (`standing_order`); None
        for all but volumes and prices, which are adjusted for splits to come while features take ratios of them.
    """
    asked = _Asked(panel, least_bars_ahead=least_bars_ahead, in_pairs=not causal, levels=levels)
    return tuple(
        found
        for name, values in inputs.items()
        if not statements or name not in statements
        for found in asked.suspects(name, {"": values} if causal else asked.forms(values))
    )


class _Asked:
    """A panel whose returns inputs are asked about; what all inputs share is computed once."""

    def __init__(
        self,
        panel: Panel,
        *,
        least_bars_ahead: int,
        in_pairs: bool = True,
        levels: Collection[str] | None = None,
    ) -> None:
        self.panel, self.least_bars_ahead, self.in_pairs = panel, least_bars_ahead, in_pairs
        self.levels = levels
        self.unforeseen = unforeseen = unforeseen_returns(log_returns(panel))
        self.followers = Followers.of(unforeseen, panel.symbols)
        self.relative = RelativeReturns.of(panel)
        self.others: Followers | None = None
        if in_pairs and panel.num_assets > MOST_SYMBOLS:
            ranked = RankedSeries.of(unforeseen)
            means = [ranked.mean_of_others(a) for a in range(panel.num_assets)]
            mean = np.concatenate([np.where(one.known > 0.0, one.values, np.nan) for one in means], axis=1)
            self.others = Followers.of(mean, [OTHERS] * panel.num_assets)

    @cached_property
    def sizes(self) -> Sizes:
        """What inputs are asked about the size of what comes."""
        return Sizes.of(self.panel)

    def forms(self, values: FloatArray) -> dict[str, FloatArray]:
        """An input as it is, and what a policy may make of it."""
        forms, parts = _forms(values, self.panel), parts_of(values)
        if parts:
            forms[ORDERED] = in_order_of_returns(values, self.unforeseen, parts, self.least_bars_ahead)
        return forms

    def _is_level(self, name: str) -> bool:
        if self.levels is not None:
            return self.in_pairs and name in self.levels
        return self.in_pairs and name not in (*BAR_COLUMNS, *FURTHER_PRICES)

    def suspects(self, name: str, forms: Mapping[str, FloatArray]) -> Sequence[Foreknown]:
        """Of one input, by the first question that it fails."""
        parts = parts_of(next(iter(forms.values())))
        if not parts:
            return []
        panel, first = self.panel, self.least_bars_ahead
        leads = range(first, MAX_BARS_AHEAD + 1) if self.in_pairs else ()
        near = ((form, bars) for form in forms for bars in leads)
        answers = (
            *(
                lambda form=form, bars=bars: suspected(
                    name, forms[form], panel, parts, form=form, bars_ahead=bars
                )
                for form, bars in near
            ),
            *(
                lambda form=form, values=values: suspected_far(name, values, panel, parts, form)
                for form, values in forms.items()
            ),
            *(
                lambda form=form: suspected_together(name, forms[form], panel, parts, first, form)
                for form in TOGETHER
                if form in forms
            ),
            lambda: self._told_afterwards(name, forms),
            lambda: leading_inputs(name, forms, panel) if self.in_pairs else (),
            lambda: told_steps(name, next(iter(forms.values())), panel) if self.in_pairs else (),
            lambda: standing_order(name, next(iter(forms.values())), panel) if self._is_level(name) else (),
            lambda: self._ordered_beside_each_other(name, forms),
            lambda: told_sizes(name, next(iter(forms.values())), self.sizes) if self.in_pairs else (),
        )
        return next((found for answer in answers if (found := answer())), ())

    def _ordered_beside_each_other(self, name: str, forms: Mapping[str, FloatArray]) -> list[Foreknown]:
        """By what symbols earn beside each other. Levels that nobody sees are not asked: of prices their change and the
        distance to the close are, of volumes the change alone, as over a price they are a level like before.
        """
        if not self.in_pairs:
            return []
        unseen = () if self._is_level(name) else ("", TO_THE_CLOSE) if name == "volume" else ("",)
        asked = {form: values for form, values in forms.items() if form not in unseen}
        return relative_order(name, asked, self.relative)

    def _told_afterwards(self, name: str, forms: Mapping[str, FloatArray]) -> list[Foreknown]:
        symbols = self.panel.symbols
        deviations = (
            {}
            if not self.in_pairs
            else {
                f"the distance to the mean of {bars} bars": _deviation(next(iter(forms.values())), bars)
                for bars in DEVIATIONS
            }
        )
        found = told_afterwards(
            name,
            {**forms, **deviations},
            symbols,
            self.followers,
            least_bars_ahead=self.least_bars_ahead,
            in_pairs=self.in_pairs and self.others is None,
        )
        if not found and self.others is not None:
            found = told_afterwards(
                name, forms, symbols, self.others, least_bars_ahead=self.least_bars_ahead, in_pairs=False
            )
        return found


def _deviation(values: FloatArray, bars: int) -> FloatArray:
    """(T, A) values less the mean of the `bars` before, NaN where one of them is unknown."""
    out = np.full(values.shape, np.nan)
    if len(values) > bars:
        total = np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(np.nan_to_num(values), axis=0)])
        missing = np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(~np.isfinite(values), axis=0)])
        mean = (total[bars:-1] - total[: -bars - 1]) / bars
        out[bars:] = np.where(missing[bars:-1] == missing[: -bars - 1], values[bars:] - mean, np.nan)
    return out


def warn_of_foreknowledge(panel: Panel, statements: Mapping[str, ColumnStatement]) -> None:
    """Log a line for each suspect; how to state when a column is known is said once.

    Bars that this process was asked about before are not looked at again; what was found is said each time.
    """
    asked = (panel.fingerprint, frozenset(statements.items()))
    if asked not in _FOUND:
        while len(_FOUND) >= MOST_KEPT:
            _FOUND.pop(next(iter(_FOUND)))  # the oldest
        _FOUND[asked] = foreknown_columns(panel, statements)
    found = _FOUND[asked]
    for suspect in found:
        LOG.warning("%s", suspect)
    movable = [suspect.column for suspect in found if suspect.column != MEMBER]
    if movable:
        LOG.warning(
            "state when it is known in the data config, such as data.columns.%s.known_after: 1 bar (or released_in: 45 "
            "days, where it is dated by the period that it tells of)",
            movable[0],
        )


def _forms(values: FloatArray, panel: Panel) -> dict[str, FloatArray]:
    change = np.full(values.shape, np.nan)
    change[1:] = np.diff(values, axis=0)
    forms = {"": values, "the change": change}
    known = values[np.isfinite(values)]
    if known.size and (known > 0.0).all():
        forms[TO_THE_CLOSE] = np.log(values) - np.log(panel.positive().close)
    return forms
