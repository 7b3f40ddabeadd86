"""Sources: from a config to a data set, whatever the bars come from.

| config                                                | where the bars come from                         |
|-------------------------------------------------------|--------------------------------------------------|
| SamplesConfig                                         | Parquet bundled with the package                 |
| FilesConfig                                           | the user's own CSV or Parquet                    |
| PlantedSignalConfig, PlantedMemoryConfig, NoiseConfig | drawn from a seed (`data.synthetic`)             |
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from data.coverage import SYNTHETIC
from data.foreknowledge import warn_of_foreknowledge
from data.hygiene import HygieneReport
from data.known_columns import delayed_columns
from data.schema import Panel
from data.sources.files import FilesConfig, load_files
from data.sources.samples import SamplesConfig, load_samples
from data.synthetic import (
    Int8Array,
    NoiseConfig,
    PlantedMemoryConfig,
    PlantedSignalConfig,
    SyntheticConfig,
    make_market,
)

SourceConfig = SamplesConfig | FilesConfig | SyntheticConfig

# What `source:` in conf/data may say.
CONFIGS: Mapping[str, type[SourceConfig]] = {
    "samples": SamplesConfig,
    "files": FilesConfig,
    "planted_signal": PlantedSignalConfig,
    "planted_memory": PlantedMemoryConfig,
    "noise": NoiseConfig,
}


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Bars ready for use.

    Parameters
    ----------
    panel : the aligned bars.
    hygiene : what was wrong with the bars as read.
    oracle_direction : (T, A) int8, the best position decided at each close, where it is known (synthetic),
        else None.
    """

    panel: Panel
    hygiene: HygieneReport
    oracle_direction: Int8Array | None


def describe(config: SourceConfig) -> str:
    """One line that says where the bars of a config come from; equal for equal files, samples or laws."""
    if isinstance(config, SamplesConfig):
        return f"samples: {config.sample}"
    if isinstance(config, FilesConfig):
        return f"files: {Path(config.path).expanduser().absolute()}"
    name = next(name for name, kind in CONFIGS.items() if type(config) is kind)
    law = ", ".join(f"{key}={value}" for key, value in sorted(vars(config).items()))
    return f"{SYNTHETIC}: {name}, {law}"


def load(config: SourceConfig) -> Dataset:
    """Read, check and align the bars of a config.

    Raises
    ------
    data.errors.DataError
        If the data cannot be used; one sentence says what was found and what to do.
    """
    if isinstance(config, SamplesConfig | FilesConfig):
        panel, hygiene = load_samples(config) if isinstance(config, SamplesConfig) else load_files(config)
        panel = delayed_columns(panel, config.columns)
        warn_of_foreknowledge(panel, config.columns)
        return Dataset(panel=panel, hygiene=hygiene, oracle_direction=None)
    market = make_market(config)
    rows = tuple((symbol, market.panel.num_bars) for symbol in market.panel.symbols)
    hygiene = HygieneReport(rows=rows, findings=())
    return Dataset(panel=market.panel, hygiene=hygiene, oracle_direction=market.oracle_direction)
