"""The length of the bars that a run's policies were trained on, against that of the bars they are to be scored on."""

from __future__ import annotations

from data.schema import Panel
from data.sources import SamplesConfig
from data.sources.samples import SAMPLES
from rayjobs.build import build_source
from rayjobs.finished_run import FinishedRun
from rayjobs.typed_config import ConfigError


def trained_bar_seconds(run: FinishedRun) -> int:
    """Return the length, seconds, of the bars that a run was trained on, as its configuration has it."""
    source = build_source(run.values)
    if isinstance(source, SamplesConfig):
        return SAMPLES[source.sample].bar_seconds
    return source.bar_seconds


def require_trained_bar_length(run: FinishedRun, panel: Panel) -> None:
    """Refuse to score a run's policies on bars of another length: their features would mean something else.

    Raises
    ------
    ConfigError
        If the panel's bars are longer or shorter than those of the run.
    """
    trained = trained_bar_seconds(run)
    if trained != panel.bar_seconds:
        raise ConfigError(
            f"the policies of {run.path} were trained on bars of {trained} s, but these bars are {panel.bar_seconds} s "
            f"long; give bars of {trained} s, or train on these"
        )
