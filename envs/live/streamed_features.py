"""Standardised features of bars as they close, from a stream that never looks at more bars than its features do."""

from __future__ import annotations

from collections import deque
from dataclasses import replace

import numpy as np

from data.features.compute import FeatureSet
from data.features.standardiser import Standardiser
from data.features.stream import ClosedBar, FeatureStream
from data.schema import Panel
from envs.live.growing_market import refuse_whole_past


class StreamedFeatures:
    """`envs.live.growing_market.LiveFeatures` by `data.features.stream.FeatureStream`.

    Parameters
    ----------
    stream : that has seen every bar before the first one that will be handed in.
    form : features of those bars, not standardised. standardiser : of the policy's contract.

    Raises
    ------
    ValueError
        If the policy's features are standardised by each symbol's whole past, which no stream holds.
    """

    lookback_bars = 0

    def __init__(self, stream: FeatureStream, form: FeatureSet, standardiser: Standardiser) -> None:
        refuse_whole_past(standardiser)
        self._stream, self._standardiser = stream, standardiser
        self._form = replace(form, asset=form.asset[:0], clock=form.clock[:0])
        # What a hidden Markov model filters it filters from a window of rows; others need the newest alone.
        rows = 1 + max((model.window_bars for model in standardiser.models.values()), default=0)
        self._asset_rows = deque(form.asset[-rows:], maxlen=rows)

    def of_last_bar(self, panel: Panel) -> FeatureSet:
        """Features of the panel's last bar, standardised; each bar is handed in once, in order."""
        row = self._stream.push(ClosedBar.of(panel, panel.num_bars - 1))
        self._asset_rows.append(row.asset)
        clock = np.repeat(row.clock[None], len(self._asset_rows), axis=0)
        ready = self._standardiser.transform(
            replace(self._form, asset=np.stack(self._asset_rows), clock=clock)
        )
        return replace(ready, asset=ready.asset[-1:], clock=ready.clock[-1:])
