"""What jobs leave, as objects: a run, a study, a report, a policy. They show themselves in notebooks.

Files are read when they are asked for, from the directory alone.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rayjobs.config.typed_config import ConfigError
from rayjobs.replay.finished_run import FinishedRun, open_run
from rayjobs.replay.run_seal import unvouched
from rayjobs.storage.run_directory import RunDirectory

if TYPE_CHECKING:
    from policies.protocol import State
    from rayjobs.search.page.study_view import StudyView

REPORT = "report.html"
SHOWN = {
    "sharpe": "{:+.2f}", "total_return": "{:+.2%}", "max_drawdown": "{:.2%}", "num_trades": "{:,}", "dsr": "{:.3f}",
}  # fmt: skip
"""Numbers that a notebook shows of a result, and their form."""


class Report:
    """A page on disk; in a notebook it is shown where it stands."""

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise ConfigError(f"{path}: there is no such page; the job that writes it has not ended")
        self.path = path

    def __fspath__(self) -> str:
        return str(self.path)

    def __repr__(self) -> str:
        return f"Report({str(self.path)!r})"

    def _repr_html_(self) -> str:
        page = escape(self.path.read_text(), quote=True)
        return f'<iframe srcdoc="{page}" sandbox="allow-scripts" width="100%" height="700" style="border:0"></iframe>'


class Run:
    """A finished run or evaluation.

    Attributes
    ----------
    path : its directory. name : of the directory.
    config : the resolved configuration, nested.
    summary : content of ``backtest/summary.json``. verdict : of ``verdict.json``.
    doubt : why these files may not be what the job wrote, in a sentence; None where the ledger vouches for them.
    approved : whether the gate passed it, and nothing is in doubt.
    returns : ``walk_forward/returns.parquet``: fold, net return and equity of each scored bar, by its UTC label.
    trades, decisions, fills, folds, history : tables of the same names.

    Raises
    ------
    ConfigError
        If the directory holds no finished run.
    """

    def __init__(self, path: str | Path) -> None:
        self._finished: FinishedRun = open_run(path)
        self.path = self._finished.path
        if self.doubt is not None:
            warnings.warn(self.doubt, stacklevel=2)

    @cached_property
    def doubt(self) -> str | None:
        return unvouched(self.path, (str(self.config["ledger"]),))

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def config(self) -> Mapping[str, Any]:
        return self._finished.values

    @property
    def summary(self) -> Mapping[str, Any]:
        return self._finished.summary

    @cached_property
    def verdict(self) -> Mapping[str, Any] | None:
        path = self.path / "verdict.json"
        return json.loads(path.read_text()) if path.is_file() else None

    @property
    def approved(self) -> bool:
        return bool(self.verdict and self.verdict["pass"]) and self.doubt is None

    @cached_property
    def returns(self) -> pd.DataFrame:
        return self._parquet("returns").set_index("bar_utc")

    @cached_property
    def decisions(self) -> pd.DataFrame:
        return self._parquet("decisions")

    @cached_property
    def fills(self) -> pd.DataFrame:
        return self._parquet("fills")

    @property
    def folds(self) -> pd.DataFrame:
        return self._finished.folds_table

    @cached_property
    def trades(self) -> pd.DataFrame:
        return pd.read_csv(
            self.path / "backtest" / "trades.csv",
            parse_dates=["entry_time", "exit_time"],
            dtype={"ticker": str},
        )

    @cached_property
    def history(self) -> pd.DataFrame:
        return pd.read_csv(self.path / "backtest" / "portfolio_history.csv", parse_dates=["bar_utc"])

    def equity(self) -> pd.Series:
        """Growth of 1 over all test windows, chained; by the UTC label of each bar, at its close."""
        return self.returns["equity"]

    def report(self) -> Report:
        """The page that the job wrote."""
        return Report(self.path / REPORT)

    def policy(self, fold: int = -1) -> RunPolicy:
        """The policy of a fold, from its export; the last fold's is trained on the newest bars.

        Raises
        ------
        ConfigError
            If the run has no such fold, or scored a script, which has no export.
        """
        indices = self._finished.fold_indices
        if fold != -1 and fold not in indices:
            raise ConfigError(f"fold is {fold}; {self.path} has folds {', '.join(map(str, indices))}")
        return RunPolicy(self._finished, indices[-1] if fold == -1 else fold)

    def _parquet(self, name: str) -> pd.DataFrame:
        return pd.read_parquet(self.path / "walk_forward" / f"{name}.parquet")

    def __repr__(self) -> str:
        judged = "not judged" if self.verdict is None else "approved" if self.approved else "refused"
        return f"Run({str(self.path)!r}, {judged}{', in doubt' if self.doubt else ''})"

    def _repr_html_(self) -> str:
        sentence = "" if self.verdict is None else str(self.verdict["headline"])
        if self.doubt is not None:
            sentence = f"In doubt: {self.doubt}. {sentence}"
        return numbers_table(f"{self.name}", self.summary, sentence)


class Study:
    """A sweep, running or ended.

    Attributes
    ----------
    path : its directory. name : of the directory.
    trials : a row per trial, best first. best : parameters of the best one.
    winner : the run that was judged on the holdout; None where none was.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not (self.path / "config.yaml").is_file() or "search" not in RunDirectory(self.path).config():
            raise ConfigError(f"{path}: there is no study in this directory")

    @property
    def name(self) -> str:
        return self.path.name

    @cached_property
    def _view(self) -> StudyView:
        from rayjobs.search.page.study_view import view_study

        return view_study(self.path)

    @property
    def status(self) -> str:
        """running, killed, interrupted, failed or done."""
        return self._view.status

    @property
    def trials(self) -> pd.DataFrame:
        return self._view.trials

    @property
    def best(self) -> dict[str, Any]:
        complete = [trial for trial in self._view.study.get_trials(deepcopy=False) if trial.values]
        if not complete:
            raise ConfigError(f"{self.path}: no trial of this study is complete yet")
        first = int(self.trials.iloc[0]["trial"])
        return dict(next(trial for trial in complete if trial.number == first).params)

    @property
    def winner(self) -> Run | None:
        path = self.path / "winner"
        return Run(path) if (path / "backtest" / "summary.json").is_file() else None

    def report(self) -> Report:
        """The page of the study."""
        return Report(self.path / REPORT)

    def __repr__(self) -> str:
        return f"Study({str(self.path)!r}, {self.status}, {len(self.trials)} trials)"

    def _repr_html_(self) -> str:
        return str(self.trials.head(20).to_html(index=False, escape=True))


class RunPolicy:
    """A run's exported policy for one fold: a `policies.protocol.Policy` that also predicts row by row.

    Attributes
    ----------
    run : that it comes from. fold : index. contract : what it needs to be given, and which bars it has seen.
    """

    def __init__(self, run: FinishedRun, fold: int) -> None:
        from policies.exports import load_export

        self.run, self.fold = run, fold
        if not run.policy(fold).is_dir():
            raise ConfigError(f"{run.path} holds no exported policy of fold {fold}; a script has none")
        self._policy = load_export(run.policy(fold))
        self.contract = self._policy.contract
        self.masks_actions = self._policy.masks_actions
        self.policy_hash = self._policy.policy_hash

    def initial_state(self, num_envs: int) -> State:
        return self._policy.initial_state(num_envs)

    def act(
        self, observation: NDArray[np.float32], state: State, allowed: NDArray[np.bool_] | None = None
    ) -> tuple[NDArray[Any], State]:
        """See `TrainedPolicy.act`."""
        return self._act(observation, state, allowed)

    def _act(
        self, observation: NDArray[np.float32], state: State, allowed: NDArray[np.bool_] | None
    ) -> tuple[NDArray[Any], State]:
        masks = {} if allowed is None else {"allowed": allowed}
        return self._policy.act(observation, state, **masks)

    def predict(
        self,
        observation: NDArray[np.float32],
        state: State | None = None,
        allowed: NDArray[np.bool_] | None = None,
    ) -> tuple[NDArray[Any], State]:
        """Decide, without exploration.

        Parameters
        ----------
        observation : (D,) of one account, or (E, D) of several, as the contract's layout names the entries.
        state : what the last call returned; None at the first bar of an episode.
        allowed : as `TrainedPolicy.act` takes it; of one account without its first axis.

        Returns
        -------
        action : (A,) or (E, A), with a last axis for a size where the action scheme has one.
        state : to be given to the next call.
        """
        one = np.ndim(observation) == 1
        seen = np.atleast_2d(np.asarray(observation, dtype=np.float32))
        masks = None if allowed is None else np.asarray(allowed)[None] if one else np.asarray(allowed)
        before = self.initial_state(len(seen)) if state is None else state
        actions, after = self._act(seen, before, masks)
        return (actions[0] if one else actions), after

    def __repr__(self) -> str:
        return f"RunPolicy({str(self.run.path)!r}, fold={self.fold})"


def numbers_table(title: str, summary: Mapping[str, Any], sentence: str) -> str:
    """A small HTML table of a result's headline numbers."""
    rows = [
        f"<tr><td>{name.replace('_', ' ')}</td><td style='text-align:right'>{_shown(summary[name], form)}</td></tr>"
        for name, form in SHOWN.items()
        if name in summary
    ]
    return f"<b>{escape(title)}</b><br>{escape(sentence)}<table>{''.join(rows)}</table>"


def _shown(value: Any, form: str) -> str:
    return "" if value is None or value != value else escape(form.format(value))
