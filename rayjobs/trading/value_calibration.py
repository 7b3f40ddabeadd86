"""What a policy's value head expected of the traded bars against what came of them, by day and over all."""

from __future__ import annotations

from dataclasses import asdict, fields

import pandas as pd

from evaluation.statistics.value_calibration import (
    ValueCalibration,
    horizon,
    n_step_returns,
    value_calibration,
)

ALL = "all"
"""In the column `date`, of the row over every day."""


def calibration_table(expected: pd.DataFrame, discount: float) -> pd.DataFrame:
    """A row over all bars, then one per UTC day.

    Parameters
    ----------
    expected : columns bar_utc, value (at the close before the bar), reward (of the bar).

    Returns
    -------
    Columns date, and those of `ValueCalibration`; NaN where too few returns are known yet: each needs the bars after it
    over which its discount runs out.
    """
    steps = horizon(discount)
    returns = n_step_returns(expected["reward"], expected["value"], discount, steps)
    values, days = expected["value"].to_numpy(), expected["bar_utc"].dt.strftime("%Y-%m-%d")
    rows = [{"date": ALL, **asdict(value_calibration(values, returns))}]
    for day in dict.fromkeys(days):
        of_day = (days == day).to_numpy()
        rows.append({"date": day, **asdict(value_calibration(values[of_day], returns[of_day]))})
    return pd.DataFrame(rows, columns=["date", *(field.name for field in fields(ValueCalibration))])
