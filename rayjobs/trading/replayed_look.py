"""A replay as a look of the ledger: what a policy earns on recorded bars is counted before any of it is shown.

Whoever replays twenty policies on bars that no job has scored, and has the best of them judged there, has chosen it on
these bars. So the loop enters a re-scoring with the bars of its window into the ledger of the policy's run before its
first decision, and leaves ``look.json`` and ``scored_bars.json`` in its directory, for the case that the ledger is
gone. Live bars are no look: they close one by one, and nobody chose the policy by them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from data.coverage.coverage import Coverage
from data.sources import describe
from evaluation.ledger.ledger import Ledger, LookEntry
from evaluation.scoring.walk_forward import WalkForwardResult
from evaluation.statistics.metrics import sharpe_ratio
from rayjobs.replay.run_seal import existing_ledger
from rayjobs.storage.ledger_place import open_ledger
from rayjobs.storage.started_run import StartedRun
from rayjobs.study.config import TrainConfig
from rayjobs.study.looks.entered import code_version, enter_shown, identity, record_of
from rayjobs.trading.market_ground import Ground
from rayjobs.trading.settings import IbkrSettings, TradeSettings


@dataclass(frozen=True, kw_only=True)
class ReplayedLook:
    """The entry of one replay. ledger, number : where it stands."""

    ledger: Ledger
    number: int

    def finish(self, result: WalkForwardResult) -> None:
        """Write what was earned over the whole window; a replay that was stopped stays open, and counts."""
        record = record_of(result)
        score = sharpe_ratio(record.net_return, periods_per_year=result.periods_per_year)
        self.ledger.finish(self.number, score=score, record=record)


def enter_replay(
    config: TrainConfig,
    values: Mapping[str, Any],
    settings: TradeSettings,
    ground: Ground,
    policy_hash: str,
    run: Path,
    directory: Path,
) -> ReplayedLook | None:
    """Enter a trading run on recorded bars; None for one on live bars. Gone on with, it is the same look.

    Parameters
    ----------
    config, values : of the policy's run, perhaps with other data: its ledger is the one that counts.
    run : directory of that run, which may have been moved together with its ledger.
    directory : of the trading run.

    Raises
    ------
    ConfigError
        If the ledger cannot be used: what is not counted is not shown.
    """
    panel = ground.recorded
    if panel is None:
        return None
    window = slice(ground.start_bar, ground.stop_bar)
    labels = panel.bar_utc[window].astype("datetime64[s]")
    broker = settings.broker_settings
    entry = LookEntry(
        kind="re-scoring",
        study=config.run.experiment,
        identity={
            **identity(config, values),
            "job": "trade",
            "policy": policy_hash,
            "window": [str(labels[0]), str(labels[-1])],
            "broker": settings.broker if isinstance(broker, IbkrSettings) else asdict(broker),
            "warmup_bars": settings.warmup_bars,
        },
        seed=config.seed,
        data_fingerprint=panel.fingerprint,
        code_commit=code_version(StartedRun.read(directory).provenance),
        coverage=Coverage.of(panel, window, source=describe(config.data)),
    )
    ledger = existing_ledger(config.ledger, run) or open_ledger(config.ledger)
    return ReplayedLook(ledger=ledger, number=enter_shown(ledger, entry, directory))
