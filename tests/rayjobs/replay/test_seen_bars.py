"""Bars that a policy has seen are known again however they come, are labelled one by one, and are never approved."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from small_run import make_run

from data.sources import load
from data.sources.samples import SamplesConfig
from policies.contract import facts_hash
from policies.exported_policy import TrainedPolicy
from rayjobs.config.exit_codes import ExitCode
from rayjobs.evaluate import main

pytestmark = [pytest.mark.runs, pytest.mark.usefixtures("leak_check_aside")]
BASE = (
    "+experiment=crypto_portfolio", "data.symbols=[BTC,ETH]", "data.start_utc=2018-02-01", "data.stop_utc=2018-04-12",
    "walk_forward.train_bars=1200", "walk_forward.test_bars=800", "env.episode.bars=48", "policy.core_units=4",
    "policy.encoder_units=4", "scoring.placebo_strategies=0", "gate.min_trades=5",
)  # fmt: skip
"""Two folds: 1,200 bars of training (25 days from 1 February and from 17 February), a gap of 49, 800 of test."""
LENIENT = ("gate.enforced=[num_trades]", "gate.min_trades=0")
"""Everything but what always decides is switched off."""


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    return make_run(tmp_path_factory.mktemp("runs"), base=BASE)


@pytest.fixture(scope="module")
def folds(finished) -> pd.DataFrame:
    return pd.read_csv(finished / "walk_forward" / "folds.csv").set_index("fold")


def scored(run: Path, root: Path, *arguments: str) -> tuple[pd.DataFrame, dict]:
    """returns.parquet and verdict.json of a new evaluation."""
    assert main([f"run={run}", f"directory={root}", *arguments]) is ExitCode.DONE
    directory = max((root / "evaluations").iterdir())
    verdict = json.loads((directory / "verdict.json").read_text())
    return pd.read_parquet(directory / "walk_forward" / "returns.parquet"), verdict


def refused_as_seen(verdict: dict) -> bool:
    row = next(row for row in verdict["criteria"] if row["name"] == "unseen")
    return verdict["pass"] is False and row["pass"] is False and row["enforced"]


def whole(start: str, stop: str, fold: int) -> tuple[str, ...]:
    return ("windows=whole", f"fold={fold}", f"data.start_utc={start}", f"data.stop_utc={stop}", *LENIENT)


def written(path: Path, start: str, stop: str, change=lambda table: table, **names: str) -> Path:
    """One CSV per symbol, of bundled bars: name -> the symbol whose bars it holds."""
    for name, symbol in names.items():
        panel = load(
            SamplesConfig(sample="crypto_30min", symbols=(symbol,), start_utc=start, stop_utc=stop)
        ).panel
        columns = {c: getattr(panel, c)[:, 0] for c in ("open", "high", "low", "close", "volume")}
        table = pd.DataFrame({"timestamp": panel.bar_utc, **columns}).dropna()
        path.mkdir(exist_ok=True)
        change(table).to_csv(path / f"{name}.csv", index=False)
    return path


def test_a_run_on_its_own_test_windows_has_seen_none_of_them(finished, folds, tmp_path):
    returns, verdict = scored(finished, tmp_path, *LENIENT)
    assert not returns["in_sample"].any()
    assert not returns["hindsight"].any()
    assert verdict["pass"] is True
    assert (folds["in_sample_share"] == 0.0).all()
    assert (folds["hindsight_share"] == 0.0).all()


def test_a_window_inside_the_training_window_is_in_sample_and_refused_whatever_is_enforced(
    finished, tmp_path, capsys
):
    returns, verdict = scored(finished, tmp_path, *whole("2018-02-20", "2018-03-05", 1))
    assert returns["in_sample"].all()
    assert len(returns) == 13 * 48
    assert refused_as_seen(verdict)
    assert verdict["headline"].startswith("Refused: 624 of the 624 scored bars are in sample")
    out, err = capsys.readouterr()
    assert "IN SAMPLE (100 % of the bars), net of costs" in out
    assert "Out of sample" not in out
    assert "624 of the 624 scored bars are in sample" in err
    report = (max((tmp_path / "evaluations").iterdir()) / "report.html").read_text()
    assert "IN SAMPLE (100 % of the bars)" in report


def test_bars_are_labelled_one_by_one_where_a_window_overlaps(finished, folds, tmp_path):
    first, last = folds.loc[0, "train_first_utc"], folds.loc[0, "train_last_utc"]
    returns, verdict = scored(finished, tmp_path, *whole("2018-01-20", "2018-03-10", 0))
    labels = returns["bar_utc"]
    inside = (labels >= pd.Timestamp(first)) & (labels <= pd.Timestamp(last))
    assert returns["in_sample"].tolist() == inside.tolist()
    assert returns["hindsight"].tolist() == (labels < pd.Timestamp(first)).tolist()
    assert refused_as_seen(verdict)
    assert "lie before bars that the policy was trained or selected on" in verdict["headline"]


def test_a_single_seen_bar_refuses(finished, folds, tmp_path):
    last = pd.Timestamp(folds.loc[0, "train_last_utc"])
    returns, verdict = scored(finished, tmp_path / "a", *whole(f"{last:%Y-%m-%dT%H:%M}Z", "2018-03-10", 0))
    assert returns["in_sample"].sum() == 1
    assert refused_as_seen(verdict)
    after = last + pd.Timedelta(minutes=30)
    returns, verdict = scored(finished, tmp_path / "b", *whole(f"{after:%Y-%m-%dT%H:%M}Z", "2018-03-10", 0))
    assert not returns["in_sample"].any()
    assert verdict["pass"] is True


def test_earlier_bars_than_those_that_were_seen_are_hindsight_and_refused(finished, tmp_path):
    returns, verdict = scored(finished, tmp_path, *whole("2017-11-01", "2017-11-20", 0))
    assert returns["hindsight"].all()
    assert refused_as_seen(verdict)


def test_a_window_of_later_bars_is_scored_as_in_the_walk_forward_to_the_bit(finished, folds, tmp_path):
    # Warm-up bars come from before data.start_utc, so that the first bar asked for is the first one scored.
    fold = folds.loc[0]
    stop = pd.Timestamp(fold["test_last_utc"]) + pd.Timedelta(minutes=30)
    returns, verdict = scored(
        finished, tmp_path, *whole(fold["test_first_utc"], f"{stop:%Y-%m-%dT%H:%M}Z", 0)
    )
    own = pd.read_parquet(finished / "walk_forward" / "returns.parquet").query("fold == 0")
    pd.testing.assert_frame_equal(returns, own.reset_index(drop=True))
    assert verdict["pass"] is True


def test_whole_windows_work_at_their_defaults_and_fit_the_supervised_baselines_on_the_bars_before(
    finished, tmp_path
):
    returns, _ = scored(
        finished, tmp_path, "windows=whole", "data.start_utc=2018-06-01", "data.stop_utc=2018-07-01"
    )
    assert returns["bar_utc"].iloc[0] == pd.Timestamp("2018-06-01", tz="UTC")
    assert len(returns) == 30 * 48
    assert not returns["in_sample"].any()
    summary = json.loads(
        (max((tmp_path / "evaluations").iterdir()) / "backtest" / "summary.json").read_text()
    )
    assert {"ridge", "logistic"} <= set(summary["baselines"])


def test_where_no_earlier_bars_exist_scoring_starts_after_the_lookback(finished, tmp_path, capsys):
    bars = written(tmp_path / "bars", "2018-08-01", "2018-09-01", BTC="BTC", ETH="ETH")
    returns, _ = scored(finished, tmp_path, "data=files", f"data.path={bars}", "windows=whole")
    assert returns["bar_utc"].iloc[0] > pd.Timestamp(
        "2018-08-08", tz="UTC"
    )  # a week of returns is the longest window
    assert not returns["in_sample"].any()
    err = capsys.readouterr().err
    assert "fill the features' lookback and are not scored" in err
    assert "the baselines ridge, logistic are left out" in err


def with_other_prices(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(**{name: 0.01 * table[name] for name in ("open", "high", "low", "close")})


def shifted(by: str):
    return lambda table: table.assign(timestamp=table["timestamp"] + pd.Timedelta(by))


@pytest.mark.parametrize(
    ("names", "change"),
    [
        ({"BTC": "BTC", "ETH": "ETH"}, lambda table: table),
        ({"BTC": "ETH", "ETH": "BTC"}, lambda table: table),
        ({"BTC": "BTC", "ETH": "EOS"}, lambda table: table),
        ({"BTC": "BTC", "ETH": "ETH"}, with_other_prices),
        ({"BTC": "BTC", "ETH": "ETH"}, lambda table: table.assign(volume=1.0)),
        ({"BTC": "BTC", "ETH": "ETH"}, shifted("30min")),
        ({"BTC": "BTC", "ETH": "ETH"}, shifted("-2h")),
        ({"BTC": "BTC", "ETH": "ETH"}, shifted("364D")),
    ],
    ids=[
        "a copy",
        "names exchanged",
        "one of two",
        "another unit",
        "other volumes",
        "a bar later",
        "another clock",
        "a year later",
    ],
)
def test_copies_of_seen_bars_in_files_are_known_again(finished, tmp_path, names, change):
    bars = written(tmp_path / "bars", "2018-02-10", "2018-03-10", change, **names)
    files = ["data=files", f"data.path={bars}", "windows=whole", "fold=1", *LENIENT]
    returns, verdict = scored(finished, tmp_path, *files)
    assert returns["in_sample"].mean() > 0.9  # 17 February to 14 March were seen
    assert refused_as_seen(verdict)


def mirrored(table: pd.DataFrame) -> pd.DataFrame:
    """Another instrument: every return with the other sign."""
    return table.assign(
        open=1 / table["open"], high=1 / table["low"], low=1 / table["high"], close=1 / table["close"]
    )


def test_other_prices_under_the_same_names_and_times_are_no_way_out(finished, tmp_path):
    bars = written(tmp_path / "bars", "2018-02-10", "2018-03-10", mirrored, BTC="BTC", ETH="ETH")
    returns, verdict = scored(
        finished, tmp_path, "data=files", f"data.path={bars}", "windows=whole", "fold=1", *LENIENT
    )
    assert (returns["in_sample"] | returns["hindsight"]).all()
    assert refused_as_seen(verdict)


def test_a_script_has_seen_nothing_wherever_it_is_scored(tmp_path):
    run = make_run(tmp_path, "policy=flip", base=BASE)
    bars = written(tmp_path / "bars", "2018-02-10", "2018-03-10", BTC="BTC", ETH="ETH")
    for data in (
        ["data.start_utc=2018-02-10", "data.stop_utc=2018-03-10"],
        ["data=files", f"data.path={bars}"],
    ):
        returns, verdict = scored(run, tmp_path, "windows=whole", *data, *LENIENT)
        assert not (returns["in_sample"] | returns["hindsight"]).any()
        assert verdict["pass"] is True


@pytest.mark.parametrize(
    "symbols", ["[ETH,BTC]", "[LTC,XRP]", "[BTC]", "[BTC,ETH,LTC]"], ids=["order", "others", "fewer", "more"]
)
def test_other_symbols_are_refused_and_both_lists_are_named(finished, capsys, symbols):
    assert main([f"run={finished}", f"data.symbols={symbols}"]) is ExitCode.BAD_INPUT
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error")]
    given = symbols.strip("[]").replace(",", ", ")
    assert f"was trained on the symbols BTC, ETH, in this order, and is given {given};" in line


def test_renamed_symbols_are_refused_and_both_lists_are_named(finished, tmp_path, capsys):
    bars = written(tmp_path / "bars", "2018-08-01", "2018-09-01", AAA="BTC", BBB="ETH")
    assert main([f"run={finished}", "data=files", f"data.path={bars}", "windows=whole"]) is ExitCode.BAD_INPUT
    assert (
        "was trained on the symbols BTC, ETH, in this order, and is given AAA, BBB;"
        in capsys.readouterr().err
    )


def test_bars_of_another_length_are_refused_and_both_lengths_are_named(finished, tmp_path, capsys):
    bars = written(tmp_path / "bars", "2018-08-01", "2018-10-01", lambda t: t[::2], BTC="BTC", ETH="ETH")
    changes = ["data=files", f"data.path={bars}", "data.bar_seconds=3600", "windows=whole"]
    assert main([f"run={finished}", *changes]) is ExitCode.BAD_INPUT
    assert "was trained on bars of 30 minutes and is given bars of 1 hour;" in capsys.readouterr().err


def tampered(finished: Path, root: Path, change) -> Path:
    """A copy of the run whose contract of fold 1 was changed and signed anew."""
    run = Path(shutil.copytree(finished, root / finished.name))
    path = run / "checkpoints" / "fold_01" / "best" / "policy.json"
    facts = json.loads(path.read_text())
    facts.pop("contract_hash")
    change(facts)
    path.write_text(json.dumps(facts | {"contract_hash": facts_hash(facts)}))
    return run


def forgotten(facts: dict) -> None:
    facts["origin"]["seen"] = facts["origin"]["seen"][:1]


def unknown(facts: dict) -> None:
    facts["origin"] = None


def other_statistics(facts: dict) -> None:
    facts["standardiser"]["mean"][0][0] += 0.5


def other_symbols(facts: dict) -> None:
    facts["origin"]["symbols"] = ["LTC", "XRP"]


@pytest.mark.parametrize("change", [forgotten, unknown, other_statistics, other_symbols])
def test_a_contract_that_was_changed_and_signed_anew_is_refused(finished, tmp_path, capsys, change):
    run = tampered(finished, tmp_path, change)
    assert main([f"run={run}"]) is ExitCode.BAD_INPUT
    assert "does not hold the contract that was scored" in capsys.readouterr().err


def test_a_standardiser_or_a_policy_of_another_run_is_refused(finished, tmp_path, capsys):
    other = make_run(tmp_path / "other", "data.start_utc=2018-03-01", "data.stop_utc=2018-05-10", base=BASE)
    place = Path("checkpoints") / "fold_01" / "best"
    statistics = json.loads((other / place / "policy.json").read_text())["standardiser"]
    run = tampered(finished, tmp_path, lambda facts: facts.update(standardiser=statistics))
    assert main([f"run={run}"]) is ExitCode.BAD_INPUT
    assert "does not hold the contract that was scored" in capsys.readouterr().err
    shutil.copytree(
        other / place, run / place, dirs_exist_ok=True
    )  # trained on later data, the same random weights
    assert main([f"run={run}"]) is ExitCode.BAD_INPUT
    assert "does not hold the contract that was scored" in capsys.readouterr().err


def test_a_policy_whose_contract_does_not_say_what_it_has_seen_cannot_be_approved(finished, tmp_path):
    run = tampered(finished, tmp_path, unknown)
    policy = TrainedPolicy.load(run / "checkpoints" / "fold_01" / "best")
    table = pd.read_csv(run / "walk_forward" / "folds.csv")
    table.loc[table["fold"] == 1, "contract_hash"] = policy.contract_hash
    table.to_csv(run / "walk_forward" / "folds.csv", index=False)
    _, verdict = scored(run, tmp_path, "gate.enforced=[num_trades,unseen]", "gate.min_trades=0")
    assert verdict["pass"] is False
    assert "was not measured" in verdict["headline"]


def test_equal_trainings_of_two_runs_have_equal_contracts_but_for_the_runs_id(finished, tmp_path):
    again = make_run(tmp_path, base=BASE)
    place = Path("checkpoints") / "fold_00" / "best"
    ours, theirs = (TrainedPolicy.load(run / place) for run in (finished, again))
    assert ours.contract_hash == theirs.contract_hash
    assert ours.contract.origin.run_id == finished.name
    assert theirs.contract.origin.run_id == again.name
    assert (again / "walk_forward/folds.csv").read_bytes() == (
        finished / "walk_forward/folds.csv"
    ).read_bytes()


def test_the_contract_names_what_it_was_made_of(finished, folds):
    origin = TrainedPolicy.load(finished / "checkpoints" / "fold_01" / "best").contract.origin
    assert origin.symbols == ("BTC", "ETH")
    assert origin.bar_seconds == 1800
    assert origin.source == "samples: crypto_30min"
    spans = {entry.role: entry.coverage.span for entry in origin.seen}
    assert list(spans) == ["standardiser", "training", "validation"]
    first, last = (
        pd.Timestamp(folds.loc[1, f"train_{end}_utc"]).tz_localize(None) for end in ("first", "last")
    )
    assert spans["standardiser"] == (np.datetime64(first), np.datetime64(last + pd.Timedelta(minutes=30)))
    assert spans["training"][1] < spans["validation"][0]  # the gap lies between
    assert spans["validation"][1] == spans["standardiser"][1]
