"""What a policy thought and where its exits rested: what was recorded, run again and derived by hand, or refused."""

from __future__ import annotations

import shutil

import numpy as np
import pandas as pd
import pytest
import yaml
from safetensors.torch import load_file, save_file
from small_run import OVERRIDES, make_run

from data.sources import load
from rayjobs.config.exit_codes import ExitCode
from rayjobs.evaluate import main as evaluate
from rayjobs.replay.decisions_again import decided_again
from rayjobs.replay.finished_run import first_path, open_run
from rayjobs.study.config_groups import build_source

pytestmark = [pytest.mark.runs, pytest.mark.usefixtures("leak_check_aside")]
BARRIERS = ("env=triple_barrier", "env.barriers.stop_loss=0.3", "env.barriers.profit_target=0.5",
            "env.barriers.trailing_stop=0.4", "env.barriers.time_limit_bars=6")  # fmt: skip


def thoughts_of(run):
    found = open_run(run)
    return decided_again(found, range(len(first_path(found.folds_table))))


def table(run, name):
    return pd.read_parquet(run / "walk_forward" / f"{name}.parquet")


def naive(times):
    return pd.to_datetime(times, utc=True).dt.tz_localize(None)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("plain"))


@pytest.fixture(scope="module")
def barriers(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("barriers"), *BARRIERS)


def test_of_directions_the_likeliest_is_what_was_decided_at_every_bar(plain):
    decisions = table(plain, "decisions")
    decisions["at"] = naive(decisions["decided_utc"])
    for one in thoughts_of(plain):
        assert one.names == ("short", "flat", "long")
        assert one.exact
        np.testing.assert_allclose(one.parameters.sum(axis=-1), 1.0, atol=1e-5)
        wanted = decisions[decisions["fold"] == one.fold].pivot(index="at", columns="symbol", values="target")
        assert (
            wanted.index.to_numpy("datetime64[ns]").tolist()
            == one.decided_utc.astype("datetime64[ns]").tolist()
        )
        assert list(wanted.columns) == list(one.symbols)
        assert (np.sign(wanted.to_numpy()) == one.parameters.argmax(axis=-1) - 1).mean() > 0.95
        assert np.isfinite(one.value).all()
        assert np.isnan(one.stop).all()
        assert np.isnan(one.profit).all()
        assert np.isnat(one.closes_utc).all()


@pytest.mark.parametrize(
    ("overrides", "names"),
    [
        (("env=direction_size",), ("short", "flat", "long", "size, mean", "size, deviation")),
        (("env=weights",), ("weight, 16 %", "weight, median", "weight, 84 %")),
        (("env=weights", "env.action.allow_short=false", "policy.weights_distribution=dirichlet"),
         ("weight, mean", "weight, deviation", "cash, mean")),
        (("env.action.scheme=orders", "policy=gru", "policy.core_units=8"), ("hold", "buy", "sell", "close")),
        (("policy=attention",), ("short", "flat", "long")),
        (("policy=multi_agent", "data.num_assets=3"), ("short", "flat", "long")),
        (("policy=ridge",), ("long, strength", "short, strength", "long, expected return", "short, expected return")),
        (("policy=momentum_sign",), ()),
        (("env.episode.warmup_bars=20", "data.test_symbols=[SYN1]", "features.standardise=pooled",
          "policy.symbol_embedding=false"),
         ("short", "flat", "long")),
        (("walk_forward=cpcv", "walk_forward.groups=4"), ("short", "flat", "long")),
    ],
)  # fmt: skip
def test_every_make_of_policy_is_run_again_to_what_was_recorded(tmp_path, overrides, names):
    base = [one for one in OVERRIDES if overrides[0] != "walk_forward=cpcv" or "walk_forward" not in one]
    found = thoughts_of(make_run(tmp_path, *overrides, base=tuple(base)))
    assert len(found) >= 2
    for one in found:
        assert one.names == names
        assert one.exact
        assert one.parameters.shape == (len(one.decided_utc), len(one.symbols), len(names))
        assert not np.isnan(one.parameters).all() or not names


def test_exits_rest_at_their_distance_from_the_entry_and_the_best_price_since_and_fill_there(barriers):
    panel = load(build_source(open_run(barriers).values)).panel
    trades = pd.read_csv(barriers / "backtest" / "trades.csv", dtype={"ticker": str})
    found = {one.fold: one for one in thoughts_of(barriers)}
    reasons = set()
    for trade in trades.to_dict("records"):
        entry, leave = (
            panel.bar_utc.searchsorted(np.datetime64(trade[k][:19])) for k in ("entry_time", "exit_time")
        )
        one, asset = found[trade["fold"]], panel.symbols.index(trade["ticker"])
        side = 1.0 if trade["direction"] == "long" else -1.0
        best = panel.high[:, asset] if side > 0 else panel.low[:, asset]
        for bar in range(entry, leave):  # at the close of each bar that it was held over
            at = one.decided_utc.searchsorted(panel.bar_utc[bar])
            price = trade["entry_price"]
            extreme = side * max(side * price, (side * best[entry : bar + 1]).max())
            stop = side * max(side * price * (1 - side * 0.003), side * extreme - 0.004 * price)
            tick = 0.01
            assert one.stop[at, asset] == pytest.approx(stop, abs=tick)
            assert one.trails[at, asset] == (
                side * extreme - 0.004 * price > side * price * (1 - side * 0.003)
            )
            assert one.profit[at, asset] == pytest.approx(price * (1 + side * 0.005), abs=tick)
            assert one.closes_utc[at, asset] == panel.bar_utc[entry + 6]
        if leave > entry:
            at = one.decided_utc.searchsorted(panel.bar_utc[leave - 1])
            opened = side * panel.open[leave, asset]
            rests = {"stop_loss": one.stop, "trailing_stop": one.stop, "profit_target": one.profit}
            if trade["exit_reason"] in rests:
                level = side * rests[trade["exit_reason"]][at, asset]
                passed = max(opened, level) if trade["exit_reason"] == "profit_target" else min(opened, level)
                assert side * trade["exit_price"] == pytest.approx(passed, rel=1e-6)
            if trade["exit_reason"] == "time_limit":
                assert one.closes_utc[at, asset] == panel.bar_utc[leave]
        reasons.add(trade["exit_reason"])
    assert {"stop_loss", "trailing_stop", "profit_target", "time_limit"} <= reasons


def test_what_is_not_held_has_no_exits(barriers):
    history = pd.read_csv(barriers / "backtest" / "portfolio_history.csv")
    history["at"] = naive(history["bar_utc"])
    for one in thoughts_of(barriers):
        rows = history[history["fold"] == one.fold].set_index("at").reindex(one.decided_utc)
        for asset, symbol in enumerate(one.symbols):
            flat = rows[f"exposure_{symbol}"].fillna(0.0).to_numpy() == 0.0
            assert (np.isnan(one.stop[:, asset]) == flat).all()
            assert (
                np.isnat(one.closes_utc[:, asset]) == flat
            ).mean() > 0.9  # the last ones end beyond the bars


def test_an_evaluation_is_run_again_under_its_own_costs_and_bars(plain, tmp_path):
    for number, arguments in enumerate(
        (["cost_factor=3"], ["extra_latency_bars=2"], ["data.seed=9", "windows=whole"])
    ):
        root = tmp_path / str(number)
        assert evaluate([f"run={plain}", f"directory={root}", *arguments]) is ExitCode.DONE
        (again,) = (root / "evaluations").iterdir()
        found = thoughts_of(again)
        assert found
        assert all(one.exact for one in found)


def changed_decision(run):
    path = run / "walk_forward" / "decisions.parquet"
    decisions = pd.read_parquet(path)
    decisions.loc[100, "target"] += 1.0
    decisions.to_parquet(path)


def changed_return(run):
    path = run / "walk_forward" / "returns.parquet"
    returns = pd.read_parquet(path)
    returns.loc[100, "net_return"] *= 1.0 + 1e-6
    returns.to_parquet(path)


def changed_weights(run):
    path = run / "checkpoints" / "fold_00" / "best" / "weights.safetensors"
    save_file({name: value * 1.01 for name, value in load_file(path).items()}, path)


def another_policy(run):
    place = run / "checkpoints" / "fold_00" / "best"
    shutil.rmtree(place)
    shutil.copytree(run / "checkpoints" / "fold_01" / "best", place)


def other_bars(run):
    path = run / "config.yaml"
    values = yaml.safe_load(path.read_text())
    values["data"]["seed"] += 1
    path.write_text(yaml.safe_dump(values, sort_keys=False))


def no_export(run):
    shutil.rmtree(run / "checkpoints")


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (changed_decision, "does not do what the run recorded: 1 of"),
        (changed_return, "does not do what the run recorded: 1 of"),
        (changed_weights, "do not match their recorded hash"),
        (another_policy, "does not hold what was scored: folds.csv records another policy hash"),
        (other_bars, "the bars that the configuration names today are not those of the run"),
        (no_export, "is not an exported policy"),
    ],
)
def test_what_is_not_what_was_recorded_is_refused_and_never_shown(plain, tmp_path, harm, words):
    run = tmp_path / plain.name
    shutil.copytree(plain, run)
    harm(run)
    with pytest.raises(ValueError, match=words):
        decided_again(open_run(run), [0])


def test_last_digits_that_differ_as_on_another_processor_are_shown_and_said(plain, tmp_path):
    run = tmp_path / plain.name
    shutil.copytree(plain, run)
    path = run / "walk_forward" / "returns.parquet"
    returns = pd.read_parquet(path)
    returns["net_return"] *= 1.0 + 1e-13
    returns.to_parquet(path)
    (found,) = decided_again(open_run(run), [0])
    assert not found.exact
