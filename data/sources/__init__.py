"""Sources: from a config to a data set, whatever the bars come from.

| config                                                | where the bars come from                         |
|-------------------------------------------------------|--------------------------------------------------|
| SamplesConfig                                         | Parquet bundled with the package                 |
| FilesConfig                                           | the user's own CSV or Parquet                    |
| LakeConfig                                            | a lake of what vendors delivered                 |
| PlantedSignalConfig, PlantedMemoryConfig, NoiseConfig | drawn from a seed (`data.synthetic`)             |
| StandInConfig                                         | drawn from stylised facts (`data.stand_in`)      |
| a `RecordedBars` of your own                          | wherever its method `read` takes them from       |
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from inspect import isabstract

from data.checks.foreknowledge import warn_of_foreknowledge
from data.checks.hygiene import HygieneReport
from data.context_symbols import join
from data.coverage.coverage import SYNTHETIC
from data.dividends import require_dividends
from data.errors import DataError, nearest_name
from data.known_columns import delayed_columns
from data.own_objects import import_named
from data.schema import Panel
from data.sources.files import FilesConfig
from data.sources.lake import LakeConfig
from data.sources.recorded import RecordedBars
from data.sources.samples import SamplesConfig
from data.split_factors import with_split_factors
from data.stand_in import StandInConfig, make_stand_in
from data.synthetic import (
    Int8Array,
    NoiseConfig,
    PlantedMemoryConfig,
    PlantedSignalConfig,
    SyntheticConfig,
    make_market,
)
from data.universe import within_universe

SourceConfig = RecordedBars | SyntheticConfig | StandInConfig

RECORDED: Mapping[str, type[RecordedBars]] = {
    "samples": SamplesConfig,
    "files": FilesConfig,
    "lake": LakeConfig,
}
SYNTHETIC_LAWS: Mapping[str, type[SyntheticConfig]] = {
    "planted_signal": PlantedSignalConfig,
    "planted_memory": PlantedMemoryConfig,
    "noise": NoiseConfig,
}
CONFIGS: Mapping[str, type[SourceConfig]] = {**RECORDED, **SYNTHETIC_LAWS, "stand_in": StandInConfig}
"""What `data.source` may say, beside the ``package.module:NAME`` of a `RecordedBars` of one's own."""


def config_class(name: str) -> type[SourceConfig]:
    """The config of a source: a built-in one by its name, one of a user's own as ``package.module:NAME``.

    Raises
    ------
    ValueError
        If there is no such source, or it is no `RecordedBars`.
    """
    if ":" not in name:
        if name not in CONFIGS:
            raise ValueError(
                f"data.source is {name!r}; it must be one of {', '.join(CONFIGS)}"
                f"{nearest_name(name, list(CONFIGS))}, or a source of your own as package.module:NAME"
            )
        return CONFIGS[name]
    own = import_named(name, "data.source")
    if not (isinstance(own, type) and issubclass(own, RecordedBars)) or isabstract(own):
        raise ValueError(
            f"data.source {name!r} must be a class that derives from data.sources.RecordedBars and has its `read` and "
            "`place`"
        )
    return own


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Bars ready for use.

    Parameters
    ----------
    panel : the aligned bars.
    hygiene : what was wrong with the bars as read.
    oracle_direction : (T, A) int8, the best position decided at each close, where it is known (synthetic),
        else None.
    context : bars of the context symbols as they were read, a panel each; the panel has them as columns.
    """

    panel: Panel
    hygiene: HygieneReport
    oracle_direction: Int8Array | None
    context: tuple[Panel, ...] = ()


def describe(config: SourceConfig) -> str:
    """One line that says where the bars of a config come from; equal for equal files, samples or laws."""
    kind = type(config)
    # One of a user's own says so first: a name that begins like that of a made market must not pass for one.
    own = f"own {kind.__module__}:{kind.__qualname__}"
    name = next((name for name, known in CONFIGS.items() if known is kind), own)
    if isinstance(config, RecordedBars):
        return f"{name}: {config.place}"
    if isinstance(config, StandInConfig):
        return f"{SYNTHETIC}: {name}, {config.summary}"
    later = {"without_edge": (), "rules": 1}  # a law that has none of these is told as before they were
    facts = {key: value for key, value in vars(config).items() if key not in later or value != later[key]}
    law = ", ".join(f"{key}={value}" for key, value in sorted(facts.items()))
    return f"{SYNTHETIC}: {name}, {law}"


def load(config: SourceConfig) -> Dataset:
    """Read, check and align the bars of a config.

    Raises
    ------
    data.errors.DataError
        If the data cannot be used; one sentence says what was found and what to do.
    """
    panel, hygiene, oracle_direction = _bars(config)
    context: tuple[Panel, ...] = ()
    wanted = getattr(config, "context_symbols", {})
    if wanted:
        found = join(panel, hygiene, wanted, lambda source: _bars(source)[:2])
        panel, hygiene, context = found.panel, found.hygiene, found.context
    if isinstance(config, RecordedBars):
        require_dividends(panel)
        panel = with_split_factors(panel)
        panel = delayed_columns(panel, config.columns)
        warn_of_foreknowledge(panel.positive(), config.columns)
    return Dataset(panel=panel, hygiene=hygiene, oracle_direction=oracle_direction, context=context)


def _bars(config: SourceConfig) -> tuple[Panel, HygieneReport, Int8Array | None]:
    """The bars of a config alone, what was wrong with them, and the best direction where a law knows it."""
    if isinstance(config, RecordedBars):
        panel, hygiene = config.read()
        if hygiene.repairs != config.repair:
            raise DataError(
                f"data.repair asks for {config.repair}, but the source {type(config).__name__} did not do "
                "it; in its `read`, "
                "hand repairs=self.repair to data.alignment.align."
            )
        if config.universe is not None:
            panel, told = within_universe(panel, config.universe, config.symbols)
            hygiene = replace(hygiene, remarks=(*hygiene.remarks, *told))
        return panel, hygiene, None
    oracle_direction = None
    if isinstance(config, StandInConfig):
        panel = make_stand_in(config)
    else:
        market = make_market(config)
        panel, oracle_direction = market.panel, market.oracle_direction
    hygiene = HygieneReport(rows=tuple((symbol, panel.num_bars) for symbol in panel.symbols), findings=())
    return panel, hygiene, oracle_direction
