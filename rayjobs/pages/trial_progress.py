"""How far a sweep is: its trials, counted in Optuna's database without Optuna, which the server does not import.

A study that is kept elsewhere than in its folder (``search.storage``) is not counted here; the page *Study* shows it.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

STUDY_DATABASE = "study.db"
ENDED, REPEAT, SECONDS = ("COMPLETE", "PRUNED", "FAIL"), "retry_of", "seconds"
"""States of a trial that has ended; what marks one that repeats a failed one, and what says how long it took."""
_BY_STATE = """
SELECT state, EXISTS (SELECT 1 FROM trial_user_attributes a WHERE a.trial_id = t.trial_id AND a.key = ?) AS again,
       COUNT(*)
FROM trials t GROUP BY state, again
"""
# The order of the join is held: of each trial one entry is looked up, and its long ones (folds) are not read.
_MEAN_SECONDS = """
SELECT AVG(CAST(a.value_json AS REAL))
FROM trials t CROSS JOIN trial_user_attributes a ON a.trial_id = t.trial_id AND a.key = ?
WHERE t.state IN (?, ?, ?) AND CAST(a.value_json AS REAL) > 0
"""


@dataclass(frozen=True, kw_only=True)
class TrialCounts:
    """Trials of one study by how they stand; a failed trial's repeats are no trials of their own.

    Attributes
    ----------
    known : trials that were begun or are queued. begun : of them those that were begun.
    ended : that came to their end; one that failed and is being tried again did not.
    running : trials at work, repeats among them. again : repeats that wait.
    mean_seconds : of what has ended, from start to end; None where nothing has.
    """

    known: int
    begun: int
    ended: int
    running: int
    again: int
    mean_seconds: float | None


def sweep_progress(run: Path, settings: Mapping[str, Any]) -> dict[str, float]:
    """``trials_ended``, ``num_trials``, ``progress`` (0-1) and ``seconds_left`` of a sweep; what is unknown is absent.

    Parameters
    ----------
    settings : of the run by dotted key.
    """
    counts = count_trials(run / STUDY_DATABASE)
    total = trials_in_all(settings, 0 if counts is None else counts.known)
    if counts is None or total is None:
        return {}
    ended = min(counts.ended, total)
    found = {"trials_ended": float(ended), "num_trials": float(total), "progress": ended / total}
    if counts.mean_seconds is None or not counts.running:
        return found
    # What runs is taken to be half done; what waits is begun as what runs ends.
    waiting = max(0, total - counts.begun) + counts.again + 0.5 * counts.running
    return found | {"seconds_left": counts.mean_seconds * waiting / counts.running}


def trials_in_all(settings: Mapping[str, Any], known: int) -> int | None:
    """Trials that a sweep will have run at its end, by its settings; None where they do not say.

    Parameters
    ----------
    known : trials in its database; a grid, which is queued whole at its start, has no more than these.
    """
    number, kind = settings.get("search.num_trials"), settings.get("search.scheduler.kind")
    if kind == "pbt":
        population = settings.get("search.scheduler.population")
        try:
            rungs = len(json.loads(str(settings.get("search.scheduler.rungs"))))
        except (ValueError, TypeError):
            return None
        number = population * (rungs + 1) if isinstance(population, int) else None
    elif settings.get("search.sampler.kind") == "grid" and isinstance(number, int):
        number = min(number, known)
    return number if isinstance(number, int) and number > 0 else None


def count_trials(database: Path) -> TrialCounts | None:
    """The trials of a study's database, read beside the sweep that writes it; None without one."""
    found = _asked(database, (_BY_STATE, (REPEAT,)), (_MEAN_SECONDS, (SECONDS, *ENDED)))
    if found is None:
        return None
    by_state, ((mean_seconds,),) = found
    own: dict[str, int] = {str(state): int(count) for state, again, count in by_state if not again}
    repeats: dict[str, int] = {str(state): int(count) for state, again, count in by_state if again}
    open_again = sum(count for state, count in repeats.items() if state not in ENDED)
    return TrialCounts(
        known=sum(own.values()),
        begun=sum(count for state, count in own.items() if state != "WAITING"),
        ended=max(0, sum(own.get(state, 0) for state in ENDED) - open_again),
        running=own.get("RUNNING", 0) + repeats.get("RUNNING", 0),
        again=repeats.get("WAITING", 0),
        mean_seconds=mean_seconds,
    )


def trial_states(database: Path) -> dict[str, int]:
    """State -> number of trials in Optuna's database, read beside the sweep that writes it; empty without one."""
    found = _asked(database, ("SELECT state, COUNT(*) FROM trials GROUP BY state", ()))
    return {} if found is None else {str(state).lower(): int(count) for state, count in found[0]}


def _asked(database: Path, *questions: tuple[str, tuple[str, ...]]) -> list[list[tuple[Any, ...]]] | None:
    """Rows of each question; None where there is no database, or none that can be read at this moment."""
    if not database.is_file():
        return None
    try:
        # Quoted by pathlib: a question mark in the name of a folder would end the path.
        with closing(
            sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True, timeout=1.0)
        ) as opened:
            return [opened.execute(question, given).fetchall() for question, given in questions]
    except sqlite3.Error:
        return None  # it is being made, or held for the moment: the next look finds it
