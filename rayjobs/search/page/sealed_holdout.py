"""Why the holdout of a sweep that is done stayed sealed, in words, and the command that opens it all the same."""

from __future__ import annotations

import shlex
from pathlib import Path

from rayjobs.search.page.study_view import StudyView

SEALED = "The holdout stayed sealed."


def sealed_because(view: StudyView) -> str:
    """The one cause that holds for this study, and what to do.

    Parameters
    ----------
    view : a study that is done and has no verdict.
    """
    best = view.trials.iloc[0] if len(view.trials) else None
    if best is None or best["state"] != "complete":
        return "No trial was trained to its end, so that none could meet it."
    if view.search.opens_holdout_for(float(best["score"])):
        return "The sweep ended before its winner met it."
    why = (
        f"The best trial scores {best['score']:.2f} on the validation folds, a loss: sealed bars are not spent on it."
        if view.search.open_holdout == "auto"
        else "search.open_holdout is false."
    )
    return f"{why} To judge it all the same: {opening_command(view.directory)}"


def opening_command(directory: Path) -> str:
    """The command that judges the winner of a study that is done on its sealed holdout."""
    return f"python -m rayjobs.sweep {shlex.quote(f'resume={directory}')} search.open_holdout=true"
