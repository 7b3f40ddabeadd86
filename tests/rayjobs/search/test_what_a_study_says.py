"""What a person reads of a study: what each number is, who is compared with whom, how the study stands."""

from __future__ import annotations

import os
import re

import numpy as np
import pytest
from made_study import GONE, MadeTrial, make_study
from optuna.trial import TrialState
from practice_setup import practice_search, practice_space

from rayjobs import api
from rayjobs.compare import main as compare
from rayjobs.config.exit_codes import ExitCode
from rayjobs.search.page.sealed_holdout import sealed_because
from rayjobs.search.page.study_charts import best_share, parallel_coordinates, parameter_axis, score_axis
from rayjobs.search.page.study_page import write_study_page
from rayjobs.search.page.study_view import study_status, trained_furthest, view_study
from rayjobs.search.proposal.studies import GENERATION, MEMBER, PARENT
from rayjobs.search.space.parameter import Parameter
from rayjobs.search.sweep.config import SweepConfig

FIRST, SECOND = "20260101T000000Z-aaaaaa", "20260102T000000Z-bbbbbb"
RISES = ((0.1, 0.0), (0.0, 0.1))


def complete(score, returns=RISES):
    return MadeTrial(scores=(score, score, score), returns=returns)


def test_the_ranking_has_the_drawdown_of_the_chained_curve_beside_means_over_folds(tmp_path):
    # Each fold falls by a fifth from its own start; chained, 1 -> 0.8 -> 0.64: a fall of 36 %.
    made = make_study(tmp_path, FIRST, [complete(1.0, ((-0.2, 0.0), (-0.2, 0.0)))])
    row = view_study(made).trials.iloc[0]
    assert row["chained_drawdown"] == pytest.approx(-0.36)
    assert row["chained_return"] == pytest.approx(0.8 * 0.8 - 1.0)
    assert row["max_drawdown"] == pytest.approx(-0.1)  # the mean of what the folds say
    page = write_study_page(view_study(made), tmp_path / "page.html").read_text()
    assert "<th>chained drawdown</th>" in page
    assert "<th>max drawdown</th>" not in page
    assert "one equity curve through all folds" in page


def test_only_trials_that_were_trained_equally_far_are_the_best_fifth(tmp_path):
    pruned = MadeTrial(scores=(9.0,), returns=RISES, state=TrialState.PRUNED)
    view = view_study(make_study(tmp_path, FIRST, [complete(1.0), pruned, complete(2.0)]))
    among = trained_furthest(view.trials)
    assert view.trials["trial"][among].tolist() == [2, 0]
    score = view.trials["score"].to_numpy(dtype=float)
    assert view.trials["trial"][best_share(score, among)].tolist() == [2]
    assert "trial 1: 9.000 at 12% of the training" in write_study_page(view, tmp_path / "p.html").read_text()


def test_members_of_a_population_are_compared_in_their_last_generation(tmp_path):
    def member(number, generation, parent, score):
        facts = {GENERATION: generation, MEMBER: number, PARENT: parent, "env_steps": 1000 * (generation + 1)}
        scores = (score,) if generation == 0 else (score, score)
        return MadeTrial(scores=scores, returns=RISES, attributes=facts)

    made = make_study(
        tmp_path, FIRST, [member(0, 0, -1, 9.0), member(1, 0, -1, 1.0), member(0, 1, 0, 2.0), member(1, 1, 0, 3.0)],
        "search=pbt", "search.scheduler.population=2", "search.scheduler.rungs=[0.5]",
    )  # fmt: skip
    view = view_study(made)
    assert view.trials["trial"][trained_furthest(view.trials)].tolist() == [3, 2]
    # What a parent was trained for counts once: 1,000 of each of the first two, 1,000 more of each heir.
    assert view.trials["own_env_steps"].tolist() == [1000] * 4
    assert view.trials["env_steps"].sum() == 6000


def test_trials_of_all_generations_and_no_more_than_a_grid_has_are_announced():
    def total(sampler, scheduler, **changes):
        search = practice_search(sampler=sampler, scheduler=scheduler, **changes)
        return SweepConfig(values={}, train=None, search=search, space=practice_space()).total_trials

    members, generations = practice_search().scheduler.population, 3  # rungs at an eighth and a half; the end
    assert total("random", "pbt", num_trials=7) == members * generations
    assert total("grid", "none", num_trials=9) == practice_search().sampler.grid_points  # one parameter
    assert total("grid", "none", num_trials=2) == total("tpe", "asha", num_trials=2) == 2


@pytest.mark.parametrize(
    ("status", "pid", "said"),
    [("running", GONE, "killed"), ("running", os.getppid(), "running"), ("interrupted", GONE, "interrupted")],
)
def test_a_study_whose_process_is_gone_is_not_running(tmp_path, status, pid, said):
    lost = MadeTrial(scores=(1.0,), returns=RISES, state=TrialState.RUNNING)
    made = make_study(tmp_path, FIRST, [complete(1.0), lost], status=status, pid=pid)
    assert study_status(made) == said
    view = view_study(made)
    assert view.trials["state"].tolist() == ["complete", "running" if said == "running" else "stopped"]
    page = write_study_page(view, tmp_path / "page.html").read_text()
    assert ('<div class="word">Running' in page) is (said == "running")
    assert (f"python -m rayjobs.sweep resume={made}" in page) is (said != "running")


def test_a_folder_of_studies_is_read_from_python_as_the_newest(tmp_path):
    older, newer = (make_study(tmp_path, name, [complete(1.0)]) for name in (FIRST, SECOND))
    assert api.load(newer.parent).path == newer
    assert api.load(older).path == older


def test_a_sweep_that_is_just_ending_is_not_called_running(tmp_path):
    made = make_study(tmp_path, FIRST, [complete(-1.0)], status="running", pid=os.getpid())
    page = write_study_page(view_study(made, "done"), tmp_path / "page.html").read_text()
    assert '<div class="word">Not judged' in page


@pytest.mark.parametrize(
    ("scores", "setting", "told"),
    [
        ([-1.0], "auto", "scores -1.00 on the validation folds, a loss"),
        ([2.0], "false", "search.open_holdout is false. To judge it all the same"),
        ([], "auto", "No trial was trained to its end"),
        ([2.0], "auto", "ended before its winner met it"),
    ],
)
def test_a_holdout_that_stayed_sealed_is_told_by_the_cause_that_holds(tmp_path, scores, setting, told):
    made = make_study(tmp_path, FIRST, [complete(one) for one in scores], f"search.open_holdout={setting}")
    sentence = sealed_because(view_study(made, "done"))
    assert told in sentence
    assert (f"resume={made} search.open_holdout=true" in sentence) == ("all the same" in sentence)


def test_lines_stop_where_a_parameter_is_absent():
    def number(name, value):
        return parameter_axis(name, Parameter(key="a.b", kind="uniform", low=0.0, high=1.0), [value])

    axes = [number("a", 0.2), number("b", 0.4), number("c", None), score_axis("score", np.array([1.0]))]
    svg = parallel_coordinates(axes, np.array([1.0]), np.array([True]), ["one"])
    (line,) = re.findall(r'<polyline[^>]*points="([^"]*)"', svg)
    assert len(line.split()) == 2  # from a to b
    assert svg.count("<circle") == 1  # the score, alone beyond the gap


def front_of(page):
    return page.split("Sharpe against max drawdown")[1].split("</svg>")[0]


def test_of_three_objectives_no_line_is_drawn_through_the_front(tmp_path):
    def trial(*values):
        return MadeTrial(scores=values[:1], returns=RISES, values=values)

    trials = [trial(1.0, -0.3, 5.0), trial(2.0, -0.1, 9.0), trial(3.0, -0.2, 7.0)]
    three = make_study(tmp_path, FIRST, trials, "search=nsga2")
    page = write_study_page(view_study(three), tmp_path / "three.html").read_text()
    assert (
        "3 of 3 complete trials are not beaten by another in all respects, which are sharpe, max drawdown, "
        "annual turnover." in page
    )
    assert "<polyline" not in front_of(page)
    two = make_study(
        tmp_path, SECOND, [trial(1.0, -0.1), trial(2.0, -0.2)], "search=nsga2",
        "search.objective.metrics=[sharpe,max_drawdown]",
    )  # fmt: skip
    page = write_study_page(view_study(two), tmp_path / "two.html").read_text()
    assert front_of(page).count("<polyline") == 1


def test_studies_are_compared_in_one_table_with_the_settings_that_differ(tmp_path, capsys):
    pruned = MadeTrial(scores=(9.0,), returns=RISES, state=TrialState.PRUNED)
    first = make_study(tmp_path, FIRST, [complete(1.0), pruned])
    second = make_study(tmp_path, SECOND, [complete(2.5)], "algo.gamma=0.9", status="running")
    page = tmp_path / "both.html"
    assert (
        compare(
            [
                str(first),
                str(second),
                "sort=-score",
                f"output={page}",
                "columns=[study,status,score,complete,pruned]",
            ]
        )
        == ExitCode.DONE
    )
    said = capsys.readouterr().out
    assert said.count("2 of 2 studies") == 1
    rows = [line for line in said.splitlines() if "Z-" in line and "│" in line]
    cells = [[cell.strip() for cell in row.strip("│").split("│")] for row in rows[:2]]
    assert cells == [[SECOND, "killed", "+2.500", "1", "0"], [FIRST, "done", "+1.000", "1", "1"]]
    assert re.search(r"algo.gamma +│ 0.9 +│ 0.97", said)
    text = page.read_text()
    assert "2 studies compared" in text
    assert text.count("<polyline") >= 2
    assert compare([str(first), str(second), "sort=scor"]) == ExitCode.BAD_INPUT
    assert "did you mean score?" in capsys.readouterr().err
