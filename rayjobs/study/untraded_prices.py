"""Which symbols of a study have prices that look as if nobody traded at them, unless the user states that they did."""

from __future__ import annotations

from data.checks.followed_returns import FollowedReturns, followed_returns
from data.known_columns import statements_of
from evaluation.report.data_notes import DataNote
from rayjobs.study.least_costs import is_synthetic
from rayjobs.study.study import Study


def untraded_prices(study: Study) -> tuple[FollowedReturns, ...]:
    """Symbols whose returns follow their own past; none of prices of which ``data.columns.NAME.traded`` is stated, or
    where a law says all."""
    if is_synthetic(study.config):
        return ()
    stated = {name for name, one in statements_of(study.config.data).items() if one.traded}
    return tuple(one for one in followed_returns(study.panel) if one.price not in stated)


def untraded_notes(study: Study) -> tuple[DataNote, ...]:
    """A loud line for each of them."""
    return tuple(DataNote(text=str(one).rstrip("?"), loud=True) for one in untraded_prices(study))
