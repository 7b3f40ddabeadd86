"""Attaches a page and a picture of its equity to every trial of the study, for optuna-dashboard."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.artifacts import FileSystemArtifactStore, get_all_artifact_meta, upload_artifact

from rayjobs.search.page.trial_page import equity_picture, trial_page
from rayjobs.search.trial.record import TrialRecord

ARTEFACTS = "artifacts"
"""Folder of a study: what ``optuna-dashboard --artifact-dir`` is given."""


class TrialArtefacts:
    """A `TrialObserver` that may be told the same twice; a trial that was not scored has none.

    Parameters
    ----------
    directory : of the study.
    bar_utc : (T,) labels of the validation bars.
    """

    def __init__(self, study: optuna.Study, directory: Path, bar_utc: NDArray[np.datetime64]) -> None:
        self._study, self._name, self._bar_utc = study, directory.name, bar_utc
        folder = directory.absolute() / ARTEFACTS
        folder.mkdir(exist_ok=True)
        self._store = FileSystemArtifactStore(str(folder))

    def trial_began(self, number: int, overrides: Mapping[str, Any], repeat_of: int | None) -> None:
        """Nothing to show yet."""

    def trial_ended(self, record: TrialRecord) -> None:
        """Attach what is not attached yet: a study takes nothing of a trial whose end it was told."""
        if not record.scores:
            return
        trial = self._study.get_trials(deepcopy=False)[record.number]
        known = {meta.filename for meta in get_all_artifact_meta(trial, storage=self._study._storage)}
        files = {
            "report.html": trial_page(record, self._bar_utc, self._name),
            "equity.svg": equity_picture(record, self._bar_utc),
        }
        with tempfile.TemporaryDirectory() as folder:
            for name, text in files.items():
                if text and name not in known:
                    path = Path(folder) / name
                    path.write_text(text, encoding="utf-8")
                    upload_artifact(
                        artifact_store=self._store,
                        file_path=str(path),
                        study_or_trial=trial,
                        storage=self._study._storage,
                    )
