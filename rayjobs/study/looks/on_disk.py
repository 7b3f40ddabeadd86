"""What runs on the disk show of themselves, for the case that the ledger does not know of them.

Every job that looks at bars leaves ``look.json`` (which look, which ledger, where its chain ended) and
``scored_bars.json`` (the coverage) in its directory before it shows anything. Runs of earlier releases have neither:
theirs is read from their results.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from data.coverage.coverage import Coverage, SymbolCoverage
from evaluation.ledger.ledger import Head
from evaluation.ledger.records import KINDS, Look, LookKind, Record, record_hashes
from evaluation.ledger.return_sketch import Sketch
from evaluation.statistics.metrics import sharpe_ratio
from rayjobs.storage.run_directory import write_atomically

LOOK_FILE, BARS_FILE = "look.json", "scored_bars.json"
SCREENING_FILE = "screening.csv"
WINNER = "winner"
TRADING = "trading"
"""Key of the configuration of a trading run."""
DEEPEST = 4
"""Levels of folders below a root of runs at which one may lie: experiment, folder of its kind, run, and one more."""
PARTS = (
    "backtest", "checkpoints", "placebo", "tensorboard", "trials", "walk_forward", "wandb", "__pycache__",
)  # fmt: skip
"""Folders of a run, or of Python, in which no other run is looked for. Every other folder is looked into, hidden ones
and those of other names too."""


@dataclass(frozen=True, kw_only=True)
class RunOnDisk:
    """A run directory that looked at bars.

    Attributes
    ----------
    run : its id, as the ledger has it.
    heads : where the ledger's chain ended when it began, and when it was judged.
    features : of which it showed a result each (a screening).
    """

    path: Path
    run: str
    kind: LookKind
    study: str
    data_fingerprint: str
    heads: tuple[Head, ...]
    features: tuple[str, ...] = ()

    @property
    def is_sweep(self) -> bool:
        return self.kind == "sweep trial"

    def num_looks(self) -> int:
        """Looks that it shows: one and those of other seeds, or the trials of a sweep."""
        if not self.is_sweep:
            return 1 + len(list(self.path.glob("seed_*")))
        table = self.path / "trials.csv"
        listed = 0
        if table.is_file():
            trials = pd.read_csv(table, usecols=lambda name: name in ("trial", "repeat_of"))
            listed = int(trials["repeat_of"].isna().sum()) if "repeat_of" in trials else len(trials)
        return max(listed, len(_trial_files(self.path)))

    def records(self) -> list[Record | None]:
        """What each of its looks earned; None for one that left no returns."""
        records = _trial_records(self.path) if self.is_sweep else [_record(self.path)]
        return records + [None] * (self.num_looks() - len(records))

    def coverage(self) -> Coverage | None:
        """The bars that it scored; of a run of an earlier release by names and instants alone."""
        try:
            return Coverage.from_json(json.loads((self.path / BARS_FILE).read_text()))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return _coverage_of_results(self.path)

    def looks(self, name: str) -> tuple[list[Look], dict[str, Sketch]]:
        """Its looks, as many as it shows, and the sketches of those that left returns.

        Parameters
        ----------
        name : under which the coverage is known.
        """
        looks, sketches = [], {}
        for number, record in enumerate(self.records()):
            sketch = None if record is None else Sketch.of(record)
            key = f"{self.run} {number}" if sketch is not None else ""
            if sketch is not None:
                sketches[key] = sketch
            looks.append(self._look(name, key, record))
        return looks, sketches

    def _look(self, name: str, key: str, record: Record | None) -> Look:
        sharpe = float("nan") if record is None else sharpe_ratio(record.net_return)
        returns, instants = ("", "") if record is None else record_hashes(record)
        return Look(
            number=0,
            kind=self.kind,
            study=self.study,
            data_fingerprint=self.data_fingerprint,
            runs=(self.run,),
            coverages=(name,),
            status="running" if record is None else "finished",
            sharpe=sharpe if np.isfinite(sharpe) else None,
            num_bars=0 if record is None else len(record.net_return),
            bar_seconds=0 if record is None else record.bar_seconds,
            returns=returns,
            instants=instants,
            sketch=key,
            features=self.features,
        )


def note_look(
    path: Path,
    *,
    kind: LookKind,
    study: str,
    data_fingerprint: str,
    coverage: Coverage | None,
    head: Head,
    features: Sequence[str] = (),
) -> None:
    """Leave in a run directory that it is about to look at bars.

    Parameters
    ----------
    features : names of those that it shows a result of each.
    """
    if coverage is not None:
        write_atomically(path / BARS_FILE, json.dumps(coverage.to_json()) + "\n")
    earlier = _noted(path).get("ledger", [])[:1]  # of a job that goes on
    facts = {
        "kind": kind,
        "study": study,
        "data_fingerprint": data_fingerprint,
        "ledger": [*earlier, head.to_json()],
        **({"features": list(features)} if features else {}),
    }
    write_atomically(path / LOOK_FILE, json.dumps(facts, indent=2) + "\n")


def _noted(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads((path / LOOK_FILE).read_text()))
    except (OSError, ValueError):
        return {}


def note_head(path: Path, head: Head) -> None:
    """Add where the ledger's chain ended when the run was judged."""
    facts = _noted(path)
    facts["ledger"] = [*facts.get("ledger", [])[:1], head.to_json()]
    write_atomically(path / LOOK_FILE, json.dumps(facts, indent=2) + "\n")


def run_id(path: Path) -> str:
    """As the ledger has it: a winner is told from the sweep that it lies in."""
    return f"{path.parent.name}/{WINNER}" if path.name == WINNER else path.name


def runs_below(roots: Iterable[Path]) -> list[RunOnDisk]:
    """Every run that looked at bars, below these roots of runs, oldest first."""
    found: dict[Path, RunOnDisk] = {}
    for root in roots:
        for path in _run_directories(root):
            key = path.resolve()
            if key not in found and (run := read_run(path)) is not None:
                found[key] = run
    return sorted(found.values(), key=lambda run: run.run)


def _run_directories(root: Path, levels: int = DEEPEST) -> Iterable[Path]:
    """Every folder below a root that may be a run's, whatever it is called."""
    for path in _folders(root):
        yield path
        if levels > 1:
            yield from _run_directories(path, levels - 1)


def _folders(path: Path) -> list[Path]:
    try:
        with os.scandir(path) as entries:
            return sorted(
                Path(e.path) for e in entries if e.name not in PARTS and not _is_seed(e.name) and e.is_dir()
            )
    except OSError:
        return []


def _is_seed(name: str) -> bool:
    """Whether a folder holds the policies of a run's further seed."""
    return name.startswith("seed_") and name[len("seed_") :].isdigit()


def read_run(path: Path) -> RunOnDisk | None:
    """A run directory, if it looked at bars."""
    try:
        facts = json.loads((path / LOOK_FILE).read_text())
        return RunOnDisk(
            path=path,
            run=run_id(path),
            kind=facts["kind"] if facts["kind"] in KINDS else "training",
            study=str(facts["study"]),
            data_fingerprint=str(facts["data_fingerprint"]),
            heads=tuple(Head.from_json(one) for one in facts["ledger"]),
            features=tuple(str(name) for name in facts.get("features", ())) or _screened(path),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return _read_earlier(path)


def _screened(path: Path) -> tuple[str, ...]:
    """Features of a screening's table; none where there is no such table."""
    try:
        table = pd.read_csv(path / SCREENING_FILE, usecols=["feature"])
    except (OSError, ValueError):
        return ()
    return tuple(table["feature"].astype(str))


def _read_earlier(path: Path) -> RunOnDisk | None:
    """A run that left no ``look.json``: an earlier release's, or one whose file was taken away."""
    has_trials, replayed, screened = bool(_trial_files(path)), _is_replay(path), _screened(path)
    if (
        not has_trials
        and not replayed
        and not screened
        and not (path / "walk_forward" / "returns.parquet").is_file()
    ):
        return None
    provenance = _provenance(path)
    head = provenance.get("ledger")
    kind: LookKind = "sweep trial" if has_trials else "training"
    if path.name == WINNER:
        kind = "holdout opening"
    elif screened:
        kind = "screening"
    elif replayed or path.parent.name == "evaluations":
        kind = "re-scoring"
    return RunOnDisk(
        path=path,
        run=run_id(path),
        kind=kind,
        study=path.parent.name,
        data_fingerprint=str(provenance.get("data_fingerprint")),
        heads=(Head.from_json(head),) if isinstance(head, Mapping) and "head" in head else (),
        features=screened,
    )


def _is_replay(path: Path) -> bool:
    """Whether a trading run showed what a policy earns on recorded bars; what live bars earn is no look."""
    if not (path / "returns.parquet").is_file():
        return False
    try:
        asked = yaml.load(
            (path / "config.yaml").read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        )[TRADING]
        kind, broker = asked["feed"]["kind"], asked["broker"]["kind"]
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError):
        return False
    return bool(kind == "history" or (kind is None and broker == "replay"))


def _provenance(path: Path) -> Mapping[str, Any]:
    """The last part of ``config.yaml``; the rest is not parsed, so that thousands of runs are read quickly."""
    try:
        text = (path / "config.yaml").read_text()
        tail = text[text.rindex("\nprovenance:") :]
        return dict(yaml.load(tail, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))["provenance"])
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError):
        return {}


def _record(path: Path) -> Record | None:
    traded = path / "returns.parquet"
    try:
        place = traded if traded.is_file() else path / "walk_forward" / "returns.parquet"
        table = pd.read_parquet(place, columns=["bar_utc", "net_return"])
        labels = table["bar_utc"].dt.tz_localize(None).to_numpy()
        return Record.of(table["net_return"].to_numpy(), labels, _bar_seconds(path, labels))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _trial_files(path: Path) -> list[Path]:
    return sorted((path / "trials").glob("[0-9]*.npy"))


def _trial_records(path: Path) -> list[Record | None]:
    try:
        labels = np.load(path / "trials" / "bar_utc.npy")
    except (OSError, ValueError):
        return [None for _ in _trial_files(path)]
    seconds = _bar_seconds(path, labels)
    records: list[Record | None] = []
    for file in _trial_files(path):
        try:
            records.append(Record.of(np.load(file), labels, seconds))
        except (OSError, ValueError):
            records.append(None)
    return records


def _bar_seconds(path: Path, labels: np.ndarray) -> int:
    """As its coverage says, else the commonest step."""
    try:
        return int(json.loads((path / BARS_FILE).read_text())["bar_seconds"])
    except (OSError, ValueError, KeyError, TypeError):
        steps = np.diff(labels.astype("datetime64[s]").astype(np.int64))
        return int(np.bincount(steps).argmax()) if len(steps) and steps.max() < 10**7 else 60


def _coverage_of_results(path: Path) -> Coverage | None:
    try:
        decided = path / "decisions.parquet"
        place = decided if decided.is_file() else path / "walk_forward" / "decisions.parquet"
        decisions = pd.read_parquet(place, columns=["symbol"])
        record = _record(path)
    except (OSError, ValueError, KeyError):
        return None
    if record is None or record.bar_utc is None:
        return None
    last = record.bar_utc[-1] + np.timedelta64(record.bar_seconds, "s")
    symbols = tuple(
        SymbolCoverage(
            symbol=str(name),
            first_utc=record.bar_utc[0],
            last_utc=last,
            session_marks={},
            instant_marks={},
            shapes={},
        )
        for name in sorted(decisions["symbol"].astype(str).unique())
    )
    return Coverage(source="", bar_seconds=record.bar_seconds, symbols=symbols)
