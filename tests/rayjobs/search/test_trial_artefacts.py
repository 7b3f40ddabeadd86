"""What optuna-dashboard shows of a study: its trials with their parameters, and each one's page and equity."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from made_study import MadeTrial, make_study
from optuna.artifacts import get_all_artifact_meta
from optuna.trial import TrialState

from rayjobs.search.page.study_view import view_study
from rayjobs.search.page.trial_page import equity_picture, trial_page
from rayjobs.search.plan.objective import FoldScore
from rayjobs.search.sweep.trial_artefacts import ARTEFACTS, TrialArtefacts
from rayjobs.search.trial.record import TrialRecord

NAME = "20260101T000000Z-aaaaaa"
BARS = np.datetime64("2024-01-01", "ns") + np.arange(4) * np.timedelta64(1800, "s")


def record(number=0, returns=((0.1, 0.0), (0.0, 0.1))):
    scores = tuple(
        FoldScore(
            fold=fold,
            seed=0,
            env_steps=500,
            net_return=np.array(bars),
            metrics={"sharpe": 1.0},
            seconds=(2.0, 0.5),
        )
        for fold, bars in enumerate(returns)
    )
    return TrialRecord(
        number=number, state="complete", params={"kl_stop": 0.03}, overrides={"algo.kl_stop": 0.03}, values=(1.5,),
        scores=scores, env_steps=1000, seconds=3.0, error=None, repeat_of=None, repeated=False,
    )  # fmt: skip


@pytest.fixture
def study(tmp_path):
    under_way = MadeTrial(scores=(1.0,), returns=((0.1, 0.0), (0.0, 0.1)), state=TrialState.RUNNING)
    directory = make_study(tmp_path, NAME, [under_way])
    return directory, view_study(directory).study


def test_a_trials_page_stands_alone_and_its_picture_is_a_picture():
    page = trial_page(record(), BARS, NAME)
    assert "algo.kl_stop" in page
    assert "+1.500" in page
    assert "<svg" in page
    picture = ElementTree.fromstring(equity_picture(record(), BARS))
    assert picture.tag == "{http://www.w3.org/2000/svg}svg"
    assert equity_picture(record(returns=()), BARS) == ""


def test_both_are_attached_once_however_often_a_trial_ends(study):
    directory, optuna_study = study
    for _ in range(2):  # a killed driver's successor tells it again
        TrialArtefacts(optuna_study, directory, BARS).trial_ended(record())
    trial = optuna_study.get_trials()[0]
    attached = get_all_artifact_meta(trial, storage=optuna_study._storage)
    assert sorted(meta.filename for meta in attached) == ["equity.svg", "report.html"]
    stored = [(directory / ARTEFACTS / meta.artifact_id).read_text() for meta in attached]
    assert all("<svg" in text for text in stored)


@pytest.mark.slow
def test_the_dashboard_shows_trials_parameters_and_artefacts(study):
    directory, optuna_study = study
    TrialArtefacts(optuna_study, directory, BARS).trial_ended(record())
    optuna_study.tell(0, 1.5)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        str(Path(sys.executable).parent / "optuna-dashboard"), f"sqlite:///{directory / 'study.db'}",
        "--artifact-dir", str(directory / ARTEFACTS), "--host", "127.0.0.1", "--port", str(port),
    ]  # fmt: skip
    dashboard = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def asked(path):
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.read()

    try:
        (summary,) = json.loads(waited(asked, "/api/studies"))["study_summaries"]
        assert summary["study_name"] == NAME
        (trial,) = json.loads(asked(f"/api/studies/{summary['study_id']}"))["trials"]
        assert (trial["state"], trial["values"]) == ("Complete", [1.5])
        assert {param["name"] for param in trial["params"]} == set(optuna_study.get_trials()[0].params)
        artefacts = {one["filename"]: one for one in trial["artifacts"]}
        assert artefacts["equity.svg"]["mimetype"] == "image/svg+xml"
        place = (
            f"/artifacts/{summary['study_id']}/{trial['trial_id']}/{artefacts['report.html']['artifact_id']}"
        )
        assert b"Trial 0" in asked(place)
    finally:
        dashboard.terminate()
        dashboard.wait(timeout=30)


def waited(asked, path):
    deadline = time.monotonic() + 60
    while True:
        try:
            return asked(path)
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.2)
