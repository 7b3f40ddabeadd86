"""Which symbols of a study have prices that look as if nobody traded at them, unless the user states that they did."""

from __future__ import annotations

from data.checks.followed_returns import FollowedReturns, followed_returns
from data.checks.followed_together import followed_together
from data.known_columns import OPEN, statements_of
from evaluation.report.data_notes import DataNote
from rayjobs.study.least_costs import is_synthetic
from rayjobs.study.study import Study


def untraded_prices(study: Study) -> tuple[FollowedReturns, ...]:
    """Symbols whose returns follow their own past, or all of them another's.

    None of prices of which ``data.columns.NAME.traded`` is stated, or where a law says all.
    """
    if is_synthetic(study.config):
        return ()
    stated = {name for name, one in statements_of(study.config.data).items() if one.traded}
    each = followed_returns(study.panel)
    together = None if any(one.price == OPEN for one in each) else followed_together(study.panel)
    return tuple(one for one in (*each, *([] if together is None else [together])) if one.price not in stated)


def untraded_notes(study: Study) -> tuple[DataNote, ...]:
    """A loud line for each of them."""
    return tuple(DataNote(text=str(one).rstrip("?"), loud=True) for one in untraded_prices(study))
