"""Standardised features of bars as they close, from a stream that never looks at more bars than its features do."""

from __future__ import annotations

from dataclasses import replace

from data.features.compute import FeatureSet
from data.features.standardiser import Standardiser
from data.features.stream import ClosedBar, FeatureStream
from data.schema import Panel


class StreamedFeatures:
    """`envs.live.growing_market.LiveFeatures` by `data.features.stream.FeatureStream`.

    Parameters
    ----------
    stream : that has seen every bar before the first one that will be handed in.
    form : features of those bars, for names and hash. standardiser : of the policy's contract.
    """

    lookback_bars = 0

    def __init__(self, stream: FeatureStream, form: FeatureSet, standardiser: Standardiser) -> None:
        self._stream, self._standardiser = stream, standardiser
        self._form = replace(form, asset=form.asset[:0], clock=form.clock[:0])

    def of_last_bar(self, panel: Panel) -> FeatureSet:
        """Features of the panel's last bar, standardised; each bar is handed in once, in order."""
        row = self._stream.push(ClosedBar.of(panel, panel.num_bars - 1))
        raw = replace(self._form, asset=row.asset[None], clock=row.clock[None])
        return self._standardiser.transform(raw)
