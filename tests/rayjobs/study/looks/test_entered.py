"""A job in the ledger: what counts as another look, how it ends, what the gate is told, what runs show without it."""

from __future__ import annotations

import json
import shutil
import sqlite3
from copy import deepcopy
from functools import lru_cache
from types import SimpleNamespace

import numpy as np
import pytest
import yaml

from data.coverage.coverage import Coverage
from data.sources import describe, load
from evaluation.ledger.ledger import Ledger
from evaluation.statistics.trial_count import number_of_choices, whole_number
from evaluation.windows.splits import Fold
from rayjobs.config.compose import compose
from rayjobs.config.typed_config import ConfigError
from rayjobs.storage.ledger_place import hidden, open_ledger, without_password
from rayjobs.study.config import build_train_config
from rayjobs.study.looks.counted import features_read
from rayjobs.study.looks.entered import code_version, identity, trained_look
from rayjobs.study.looks.on_disk import note_look, runs_below
from rayjobs.study.study import Study

pytestmark = pytest.mark.runs

START, STOP = 400, 1000
SMALL = ("data=noise", "data.num_bars=1200", "data.num_assets=2")

composed = lru_cache(lambda overrides: compose("train", [*SMALL, *overrides]))
bars_of = lru_cache(lambda config: load(config).panel)


class Setting:
    """A study on a small market, with a run directory of its own below a folder."""

    def __init__(self, folder, *overrides: str, commit: str = "c0", run: str = "r1", panel=None) -> None:
        self.values = deepcopy(composed(overrides))
        self.values["run"]["directory"] = f"{folder}/runs"
        self.values["ledger"] = f"{folder}/{self.values['ledger']}"
        self.config = build_train_config(self.values)
        self.panel = bars_of(self.config.data) if panel is None else panel
        self.study = Study(config=self.config, panel=self.panel, features=None, oracle_direction=None)
        self.ledger = open_ledger(self.config.ledger)
        self.run = folder / "runs" / self.config.run.experiment / run
        self.run.mkdir(parents=True, exist_ok=True)
        provenance = {"git_commit": commit, "git_dirty": False, "ledger": self.ledger.head().to_json()}
        (self.run / "config.yaml").write_text(yaml.safe_dump({**self.values, "provenance": provenance}))

    def look(self, bars: slice = slice(START, STOP)):
        fold = Fold(index=0, train=slice(0, bars.start), test=bars)
        return trained_look(self.study, self.values, [fold], self.run, self.ledger)

    def result(self, net_return, start: int = START):
        bar = np.arange(start, start + len(net_return))
        year = self.panel.periods_per_year
        return SimpleNamespace(
            net_return=np.asarray(net_return), bar=bar, panel=self.panel, periods_per_year=year, folds=()
        )


def noise(seed: int, mean: float = 0.0, size: int = STOP - START):
    return np.random.default_rng(seed).normal(mean, 0.01, size)


RUNS = iter(range(10_000))


def enter(
    folder, *overrides: str, returns=None, bars: slice = slice(START, STOP), run: str | None = None, **options
):
    """Run a job that earns `returns` and leaves them in its directory; what was counted."""
    setting = Setting(folder, *overrides, run=run or f"2030010{next(RUNS):05d}", **options)
    returns = noise(1, size=bars.stop - bars.start) if returns is None else returns
    with setting.look(bars) as look:
        found = look.finish({}, setting.result(returns, bars.start))
    _write_returns(setting, returns, bars)
    return found


def _write_returns(setting, returns, bars) -> None:
    import pandas as pd

    place = setting.run / "walk_forward"
    place.mkdir(exist_ok=True)
    labels = pd.DatetimeIndex(setting.panel.bar_utc[bars.start : bars.start + len(returns)], tz="UTC")
    pd.DataFrame({"bar_utc": labels, "net_return": returns}).to_parquet(place / "returns.parquet")


def test_the_same_job_again_is_the_same_look_and_gives_the_same_evidence(tmp_path):
    first, again = enter(tmp_path), enter(tmp_path)
    assert first.looks == again.looks
    assert again.looks.sentence == "1 look at these bars (1 training)"
    np.testing.assert_array_equal(first.rivals_TN, again.rivals_TN)


@pytest.mark.parametrize(
    "changed",
    [
        ["trainer.total_env_steps=1000"],
        ["algo.gamma=0.9"],
        ["seed=1"],
        ["policy=gru"],
        ["scoring.cost_factor=0.5"],
        ["walk_forward.only_fold=0"],
    ],
)
def test_anything_else_that_is_tried_on_the_same_bars_is_another_look(tmp_path, changed):
    enter(tmp_path)
    found = enter(tmp_path, *changed, returns=noise(2)).looks
    assert (found.total, found.effective) == (2, 2)


def test_other_code_is_another_look(tmp_path):
    enter(tmp_path)
    assert enter(tmp_path, commit="c1", returns=noise(2)).looks.total == 2


@pytest.mark.parametrize(
    "changed",
    [
        ["tracking=tensorboard"],
        ["walk_forward.fold_order=[1,0]"],
        ["gate.enforce=true"],
        ["trainer.num_seeds=3"],
        ["scoring.placebo_runs=2"],
        ["run.experiment=another_name"],
    ],
)
def test_looking_at_the_same_thing_differently_is_no_other_look(tmp_path, changed):
    enter(tmp_path)
    assert enter(tmp_path, *changed).looks.total == 1


def test_a_near_copy_counts_but_not_twice(tmp_path):
    enter(tmp_path)
    found = enter(tmp_path, "algo.gamma=0.9", returns=noise(1) + 1e-4 * noise(2)).looks
    assert (found.total, found.effective) == (2, 1)
    assert found.sentence == "2 looks at these bars (2 trainings; 1 effective)"


def test_kinds_are_told_apart(tmp_path):
    enter(tmp_path)
    enter(tmp_path, "policy=flip", returns=noise(2))
    found = enter(tmp_path, "walk_forward.only_fold=0", returns=noise(3)).looks
    assert dict(found.kinds) == {"training": 1, "single fold": 1, "scripted policy": 1}


# Bars that were looked at before are known again.


def shifted(panel, drop: int = 0, symbols=None):
    """The same bars without the first ones, with symbols left out, put in another order or named anew."""
    from dataclasses import replace

    panel = panel.slice_bars(drop, panel.num_bars)
    if symbols is None:
        return panel
    order = [panel.symbols.index(old) for old, _ in symbols]
    columns = {
        name: getattr(panel, name)[:, order]
        for name in ("open", "high", "low", "close", "volume", "tradable")
    }
    exogenous = {name: values[:, order] for name, values in panel.exogenous.items()}
    return replace(panel, symbols=tuple(new for _, new in symbols), exogenous=exogenous, **columns)


def two_symbols(tmp_path):
    setting = Setting(tmp_path)
    return setting.panel, setting.panel.symbols


@pytest.mark.parametrize(
    "case", ["one bar later", "another order", "a subset", "other names", "part of the bars"]
)
def test_the_same_bars_are_the_same_whatever_they_are_called(tmp_path, case):
    panel, (first, second) = two_symbols(tmp_path)
    other = {
        "one bar later": lambda: shifted(panel, 1),
        "another order": lambda: shifted(panel, 0, [(second, second), (first, first)]),
        "a subset": lambda: shifted(panel, 0, [(second, second)]),
        "other names": lambda: shifted(panel, 0, [(first, "XX"), (second, "YY")]),
        "part of the bars": lambda: shifted(panel, 0),
    }[case]()
    assert case == "part of the bars" or other.fingerprint != panel.fingerprint
    enter(tmp_path)
    bars = slice(900, 1100) if case == "part of the bars" else slice(START, STOP)
    found = enter(
        tmp_path, "algo.gamma=0.9", panel=other, returns=noise(5, size=bars.stop - bars.start), bars=bars
    )
    assert found.looks.total == 2


def test_bars_after_the_ones_that_were_looked_at_are_fresh(tmp_path):
    enter(tmp_path, bars=slice(400, 700))
    assert enter(tmp_path, "algo.gamma=0.9", bars=slice(700, 1000)).looks.total == 1
    assert enter(tmp_path, "algo.gamma=0.8", bars=slice(699, 1000)).looks.total == 3


@pytest.mark.parametrize(
    ("shown", "looks"),
    [
        (("scoring.in_sample=true",), 2),
        (("scoring.in_sample=false", "trainer.validation_fraction=0.6"), 2),
        (("scoring.in_sample=true", "policy=flip"), 2),
        (("scoring.in_sample=false", "trainer.validation_fraction=0"), 1),
        (("scoring.in_sample=false", "policy=flip"), 1),
    ],
)
def test_bars_on_which_a_score_in_sample_or_on_validation_was_shown_were_looked_at(tmp_path, shown, looks):
    enter(tmp_path, *shown, bars=slice(900, 1000))
    found = enter(tmp_path, "algo.gamma=0.9", bars=slice(400, 800), returns=noise(2, size=400))
    assert found.looks.effective == looks


def test_the_best_window_of_a_look_is_deflated_for_all_that_it_showed(tmp_path):
    enter(tmp_path, "scoring.in_sample=false", bars=slice(400, 1000))
    found = enter(tmp_path, "data.num_bars=700", bars=slice(400, 550), returns=noise(2, size=150))
    assert found.looks.kinds == {"training": 2}
    assert found.looks.effective == 1 + 4
    assert "1 look showed 4 windows as long as the judged bars" in found.looks.notes[0]
    longer = enter(tmp_path, "algo.gamma=0.9", bars=slice(400, 1100), returns=noise(3, size=700))
    assert longer.looks.effective == 3  # shorter looks are one each


def test_another_market_begins_a_count_of_its_own(tmp_path):
    enter(tmp_path)
    assert enter(tmp_path, "data.seed=77").looks.total == 1


# How a job ends.


def test_failed_looks_count_and_keep_their_error(tmp_path):
    setting = Setting(tmp_path, "algo.gamma=0.5")
    with pytest.raises(RuntimeError), setting.look():
        raise RuntimeError("the loss is nan")
    assert setting.ledger.count("train").failed == 1
    assert enter(tmp_path).looks.total == 2


def test_an_interrupted_look_counts(tmp_path):
    setting = Setting(tmp_path, "algo.gamma=0.5")
    with pytest.raises(KeyboardInterrupt), setting.look():
        raise KeyboardInterrupt
    assert enter(tmp_path).looks.total == 2


def test_a_failed_look_that_is_run_again_and_finishes_is_one(tmp_path):
    setting = Setting(tmp_path)
    with pytest.raises(RuntimeError), setting.look():
        raise RuntimeError("out of memory")
    assert enter(tmp_path).looks.total == 1


def test_an_error_after_the_look_is_finished_does_not_undo_it(tmp_path):
    setting = Setting(tmp_path)
    with pytest.raises(OSError), setting.look() as look:
        look.finish({}, setting.result(noise(1)))
        raise OSError("the disk is full")
    assert setting.ledger.count("train").finished == 1


# What the gate is told.


def test_the_spread_is_that_of_different_trained_looks_on_the_same_bars(tmp_path):
    enter(tmp_path, returns=noise(1, 0.002))
    enter(tmp_path, "policy=flip", returns=noise(9, -0.05))  # a script is counted but is no rival
    enter(
        tmp_path, "algo.gamma=0.8", returns=noise(4, size=50), bars=slice(400, 450)
    )  # few bars: counted only
    found = enter(tmp_path, "algo.gamma=0.9", returns=noise(2, 0.001))
    assert found.looks.total == 4
    np.testing.assert_array_equal(found.rivals_TN, np.column_stack([noise(2, 0.001), noise(1, 0.002)]))
    sharpes = [returns.mean() / returns.std(ddof=1) for returns in found.rivals_TN.T]
    floor = 1 / (STOP - START - 1)
    assert found.looks.sharpe_variance == pytest.approx(max(np.var(sharpes, ddof=1), floor))


# The ledger is gone, another one, younger, cut or edited: the runs speak.


def test_deleting_the_run_directories_does_not_reset_the_count(tmp_path):
    enter(tmp_path)
    shutil.rmtree(tmp_path / "runs" / "train")
    assert enter(tmp_path, "algo.gamma=0.9", returns=noise(2)).looks.total == 2


def drop_ledger(folder) -> None:
    for path in (folder / "runs").glob("ledger.sqlite*"):
        path.unlink()


def test_deleting_the_ledger_does_not_reset_the_count_and_is_said(tmp_path):
    for k in range(3):
        enter(tmp_path, f"algo.gamma=0.{k + 1}", returns=noise(k))
    drop_ledger(tmp_path)
    found = enter(tmp_path, "algo.gamma=0.9", returns=noise(9)).looks
    assert (found.total, found.effective) == (4, 4)
    (note,) = found.notes
    assert "lacks 3 looks that runs on the disk show" in note
    assert "recorded in another one" in note


@pytest.mark.parametrize(
    "hidden", [".{run}", ".trash/{run}", "evals/{run}", "old/deep/{run}", "old/.deep/{run}", ".{run}/winner"]
)
def test_a_run_that_was_hidden_renamed_or_moved_away_counts_without_its_ledger(tmp_path, hidden):
    enter(tmp_path, run="20300101T000000Z-000001")
    folder = tmp_path / "runs" / "default"
    (run,) = folder.parent.glob("*/2030*")
    place = run.parent / hidden.format(run=run.name)
    place.parent.mkdir(parents=True, exist_ok=True)
    run.rename(place)
    drop_ledger(tmp_path)
    assert enter(tmp_path, "algo.gamma=0.9", returns=noise(9)).looks.total == 2


@pytest.mark.parametrize("part", ["checkpoints", "wandb", "seed_1"])
def test_the_parts_of_a_run_are_no_runs_of_their_own(tmp_path, part):
    enter(tmp_path, run="20300101T000000Z-000001")
    (run,) = (tmp_path / "runs").glob("*/2030*")
    shutil.copytree(run, tmp_path / "copy")
    shutil.copytree(tmp_path / "copy", run / part / "inside")
    assert [one.path for one in runs_below([tmp_path / "runs"])] == [run]


def test_another_ledger_counts_what_the_runs_show_and_copies_among_them_once(tmp_path):
    enter(tmp_path)
    enter(tmp_path)  # the very same job again
    found = enter(tmp_path, "algo.gamma=0.9", "ledger=mine.sqlite", returns=noise(2)).looks
    assert found.total == 2


def test_a_ledger_put_back_from_before_counts_what_runs_show_since(tmp_path):
    enter(tmp_path, returns=noise(1))
    for path in sorted((tmp_path / "runs").glob("ledger.sqlite*")):
        shutil.copy(path, tmp_path / f"kept_{path.name}")
    enter(tmp_path, "algo.gamma=0.2", returns=noise(2))
    drop_ledger(tmp_path)
    for path in tmp_path.glob("kept_*"):
        shutil.copy(path, tmp_path / "runs" / path.name.removeprefix("kept_"))
    found = enter(tmp_path, "algo.gamma=0.9", returns=noise(3)).looks
    assert found.total == 3
    assert "chain of hashes is shorter than theirs" in found.notes[0]


def test_an_edited_entry_is_said_and_the_runs_are_counted(tmp_path):
    enter(tmp_path, returns=noise(1))
    enter(tmp_path, "algo.gamma=0.2", returns=noise(2))
    with sqlite3.connect(tmp_path / "runs" / "ledger.sqlite") as connection:
        connection.execute("UPDATE ledger_event SET facts = replace(facts, '\"coverage\"', '\"nothing\"')")
        connection.execute("DELETE FROM ledger_content")
    found = enter(tmp_path, "algo.gamma=0.9", returns=noise(3)).looks
    assert found.total == 3
    assert "was changed after it was written" in found.notes[0]


def test_bars_taken_out_of_the_ledger_make_their_looks_count_everywhere(tmp_path):
    enter(tmp_path, returns=noise(1))
    shutil.rmtree(tmp_path / "runs" / "train")
    with sqlite3.connect(tmp_path / "runs" / "ledger.sqlite") as connection:
        connection.execute("DELETE FROM ledger_content")
    found = enter(tmp_path, "algo.gamma=0.9", returns=noise(3, size=200), bars=slice(1000, 1200)).looks
    assert found.total == 2
    assert "lacks the bars of some looks" in found.notes[0]


def test_a_sweep_on_the_disk_counts_as_many_trials_as_it_shows(tmp_path):
    setting = Setting(tmp_path)
    sweep = tmp_path / "runs" / "train" / "sweeps" / "20260101T000000Z-aaaaaa"
    (sweep / "trials").mkdir(parents=True)
    bars = slice(START, STOP)
    np.save(sweep / "trials" / "bar_utc.npy", setting.panel.bar_utc[bars])
    for number in range(3):
        np.save(sweep / "trials" / f"{number:05d}.npy", noise(20 + number))
    rows = ["trial,repeat_of", "0,", "1,", "2,", "3,", "4,3"]  # the fourth failed, and was tried again
    (sweep / "trials.csv").write_text("\n".join(rows) + "\n")
    note_look(
        sweep,
        kind="sweep trial",
        study="train/x",
        data_fingerprint=setting.panel.fingerprint,
        coverage=Coverage.of(setting.panel, bars, source=describe(setting.config.data)),
        head=setting.ledger.head(),
    )
    found = enter(tmp_path).looks
    assert dict(found.kinds) == {"training": 1, "sweep trial": 4}
    assert found.effective == 5
    assert "it is younger than they are" in found.notes[0]
    other = enter(tmp_path, "algo.gamma=0.9", bars=slice(1000, 1100)).looks
    assert (other.total, other.notes) == (1, ())


@pytest.mark.parametrize("left", ["look.json", "screening.csv"])
def test_a_screening_on_the_disk_counts_for_the_features_that_it_showed(tmp_path, left):
    setting = Setting(tmp_path)
    shown = ("one", "two", "three", features_read(setting.study)[0])
    screening = tmp_path / "runs" / "train" / "screenings" / "20260101T000000Z-aaaaaa"
    screening.mkdir(parents=True)
    note_look(
        screening,
        kind="screening",
        study="train",
        data_fingerprint=setting.panel.fingerprint,
        coverage=Coverage.of(setting.panel, slice(0, STOP), source=describe(setting.config.data)),
        head=setting.ledger.head(),
        features=shown,
    )
    if left == "screening.csv":
        (screening / "look.json").unlink()
        (screening / left).write_text("\n".join(["feature,rank", *(f"{name},1" for name in shown)]) + "\n")
    found = enter(tmp_path).looks
    assert dict(found.kinds) == {"training": 1, "screening": 1}
    assert found.effective == whole_number(1.0 + number_of_choices(4, 1)) > 3
    assert any("showed 4 features, of which the one that is read could be the best" in n for n in found.notes)
    script = enter(tmp_path, "policy=flip", returns=noise(2)).looks  # it reads no feature, and chose none
    assert (script.total, script.effective) == (3, 3)


def test_a_run_of_an_earlier_release_is_known_by_its_results(tmp_path):
    import pandas as pd

    enter(tmp_path, run="20260101T000000Z-aaaaaa")
    run = tmp_path / "runs" / "train" / "20260101T000000Z-aaaaaa"
    for name in ("look.json", "scored_bars.json"):
        (run / name).unlink()
    symbols = Setting(tmp_path).panel.symbols
    pd.DataFrame({"symbol": symbols}).to_parquet(run / "walk_forward" / "decisions.parquet")
    drop_ledger(tmp_path)
    found = enter(tmp_path, "algo.gamma=0.9", returns=noise(2)).looks
    assert (found.total, found.effective) == (2, 2)


@pytest.mark.parametrize("damaged", ["scored_bars.json", "walk_forward/returns.parquet", "look.json"])
def test_a_run_on_the_disk_that_was_damaged_counts_and_stops_nobody(tmp_path, damaged):
    enter(tmp_path, run="20300101a", returns=noise(1))
    drop_ledger(tmp_path)
    path = tmp_path / "runs" / "train" / "20300101a" / damaged
    if path.suffix == ".parquet":
        import pandas as pd

        pd.read_parquet(path).assign(net_return=np.nan).to_parquet(path)
    else:
        path.write_text("[]")
    found = enter(tmp_path, "algo.gamma=0.9", returns=noise(9)).looks
    assert found.total == 2


def test_a_run_notes_the_ledger_that_it_was_counted_in(tmp_path):
    enter(tmp_path, run="20300101000000")
    facts = json.loads((tmp_path / "runs" / "train" / "20300101000000" / "look.json").read_text())
    ledger = Ledger(tmp_path / "runs" / "ledger.sqlite")
    assert facts["ledger"][0] == {"id": ledger.id, "events": 0, "head": facts["ledger"][0]["head"]}
    assert facts["ledger"][1] == ledger.head().to_json()


# Where the ledger is.


def test_the_ledger_lies_where_the_configuration_says(tmp_path):
    enter(tmp_path, "ledger=elsewhere/count.sqlite")
    assert (tmp_path / "elsewhere" / "count.sqlite").exists()
    assert not (tmp_path / "runs" / "ledger.sqlite").exists()


def test_a_ledger_in_object_storage_lies_beside_its_runs():
    with pytest.raises(ConfigError, match="ledger=:memory: names no file"):
        open_ledger(":memory:")
    with pytest.raises(ConfigError, match="object storage keeps only the ledger beside its runs"):
        open_ledger("s3://bucket/ledger.sqlite", "runs")


def test_passwords_are_neither_written_nor_shown():
    place = "postgresql://me:geheim@db.example:5432/looks"
    assert "geheim" not in str(without_password({"ledger": place, "seed": 1}))
    assert hidden(f"ledger={place}") == "ledger=postgresql://me@db.example:5432/looks"
    assert hidden("data.path=a:b@c") == "data.path=a:b@c"
    study = "search.storage=mysql://me:geheim@db.example/studies"
    assert hidden(study) == "search.storage=mysql://me@db.example/studies"
    assert "geheim" not in str(without_password({"search": {"storage": study.partition("=")[2]}, "seed": 1}))
    with pytest.raises(ConfigError) as error:
        open_ledger("postgresql://me:geheim@127.0.0.1:1/looks")
    assert "geheim" not in str(error.value)


@pytest.mark.parametrize(
    "word",
    [
        "broker.account=DU1234567",
        "+broker.account='DU1234567'",
        "broker={kind: ibkr, account: DU1234567, port: 7497}",
    ],
)
def test_a_command_line_is_written_without_the_number_of_an_account(word):
    assert "DU1234567" not in hidden(word)
    assert hidden(word).count("...") == 1
    assert hidden("data.columns.account=x") == "data.columns.account=x"


def test_the_identity_holds_the_whole_configuration_but_what_changes_nothing(tmp_path):
    setting = Setting(tmp_path)
    kept = identity(setting.config, setting.values)["config"]
    assert {"data", "features", "env", "costs", "policy", "algo", "walk_forward", "trainer"} <= set(kept)
    assert not {"run", "seed", "gate", "tracking", "ledger"} & set(kept)
    assert "num_seeds" not in kept["trainer"]
    assert "total_env_steps" in kept["trainer"]


def test_changed_source_is_told_from_its_commit():
    assert code_version({"git_commit": "abc", "git_dirty": True}) == "abc-changed"
    assert code_version({"git_commit": "abc", "git_dirty": False}) == "abc"
    assert code_version({"git_commit": None, "git_dirty": None}) == "unknown"


def test_the_best_symbols_of_a_wider_look_were_chosen_from_all_of_them(tmp_path):
    wide = bars_of(build_train_config(deepcopy(composed(("data.num_assets=12",)))).data)
    enter(tmp_path, panel=wide)
    found = enter(tmp_path, "algo.gamma=0.9", panel=wide.select(wide.symbols[3:4]), returns=noise(2)).looks
    assert found.total == 2
    assert found.effective >= 12
    assert "showed 12 symbols, of which the one that is judged could be the best" in " ".join(found.notes)


def test_the_same_symbols_again_were_not_chosen(tmp_path):
    enter(tmp_path)
    found = enter(tmp_path, "algo.gamma=0.9", returns=noise(2)).looks
    assert found.effective == 2
    assert not any("symbols" in note for note in found.notes)
