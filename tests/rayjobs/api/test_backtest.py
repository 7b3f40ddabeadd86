"""A backtest of anything: functions, arrays and objects give one result, that of the simulator, counted as a look."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from evaluation.ledger.ledger import Ledger
from policies.baselines import ScheduledPolicy
from rayjobs import api

MARKET = ("data=planted_signal", "data.num_bars=900", "data.num_assets=2")
WEIGHTS = ("env=weights",)


@pytest.fixture(scope="module")
def panel():
    return api.load_panel(*MARKET)


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


class Weights:
    """An object as Stable-Baselines3 has it, which counts its calls in its state."""

    def __init__(self, targets):
        self.targets = targets

    def predict(self, observation, state=None, deterministic=False):
        assert deterministic
        step = 0 if state is None else state
        return self.targets[[min(step, len(self.targets) - 1)]], step + 1


def test_function_array_and_object_of_the_same_targets_earn_the_same_to_the_bit(panel):
    random = np.random.default_rng(0)
    targets = random.uniform(-0.4, 0.4, size=(panel.num_bars, panel.num_assets))
    of_array = api.backtest(targets, panel, *WEIGHTS)
    first = panel.num_bars - len(of_array.returns) - 1
    actions = targets.astype(np.float32)

    def remembering(observation, step):
        step = first if step is None else step
        return actions[[min(step, len(actions) - 1)]], step + 1

    of_function = api.backtest(remembering, panel, *WEIGHTS)
    of_object = api.backtest(Weights(actions[first:]), panel, *WEIGHTS)
    policy = ScheduledPolicy(target_TA=targets, first_bar_E=np.array([first]), scheme="weights")
    of_policy = api.backtest(policy, panel, *WEIGHTS)
    for other in (of_function, of_object, of_policy):
        assert np.array_equal(other.returns["net_return"], of_array.returns["net_return"])
        assert other.trades.equals(of_array.trades)
    assert of_array.summary["num_trades"] > 100


def test_what_is_held_without_costs_earns_what_the_prices_did(panel):
    """Half of the equity buys one asset at the first open and keeps it: growth by hand from two prices."""
    free = ("costs.fee_bps=0", "costs.half_spread_bps=0", "costs.slippage_value=0")

    def buy_once(observation, bought):
        wish = [[np.nan, np.nan]] if bought else [[0.5, 0.0]]  # what is no number keeps what is held
        return np.array(wish, dtype=np.float32), True

    result = api.backtest(buy_once, panel, *WEIGHTS, *free)
    start = panel.num_bars - len(result.returns)
    grown = 1 + 0.5 * (panel.close[-1, 0] / panel.open[start, 0] - 1)
    assert result.summary["total_cost"] == 0.0
    assert result.equity().iloc[-1] == pytest.approx(grown, rel=1e-3)  # sized at the close before


def test_a_backtest_is_counted_once_however_often_it_is_run(panel, tmp_path):
    for weight in (0.1, 0.1, 0.2):
        api.backtest(lambda seen, w=weight: np.full((1, 2), w, dtype=np.float32), panel, *WEIGHTS)
    looks = Ledger(tmp_path / "runs" / "ledger.sqlite").state().looks
    assert [look.kind for look in looks] == ["scripted policy"] * 2


def test_start_and_stop_bound_what_is_scored_and_standardising_ends_before_it(panel):
    start, stop, late = (str(panel.bar_utc[k]) for k in (600, 800, 700))
    first = str(panel.bar_utc[400])
    hold = lambda seen: np.zeros((1, 2), dtype=np.float32)  # noqa: E731
    result = api.backtest(hold, panel, *WEIGHTS, start=start, stop=stop, standardise_on=(first, start))
    assert result.returns.index[0] == pd.Timestamp(start, tz="UTC")
    assert len(result.returns) == 200
    assert (result.returns["net_return"] == 0.0).all()
    with pytest.raises(api.ConfigError, match="inside the scored bars"):
        api.backtest(hold, panel, *WEIGHTS, start=start, stop=stop, standardise_on=(first, late))


@pytest.mark.parametrize(
    ("policy", "options", "words"),
    [
        (3.0, {}, "the policy is a float"),
        (np.zeros((3, 2)), {}, r"the targets are \(3, 2\)"),
        (lambda seen, memory: seen, {}, "must return actions and the next state"),
        (lambda seen: np.zeros((1, 7), dtype=np.float32), {}, "7"),
        (np.zeros((900, 2)), {"start": "2031-01-01"}, "no bar is left"),
        (np.zeros((900, 2)), {"start": "2000-01-01"}, "need .* bars before it"),
    ],
)
def test_what_cannot_be_run_is_one_sentence(panel, policy, options, words):
    with pytest.raises(ValueError, match=words):
        api.backtest(policy, panel, *WEIGHTS, **options)


def test_settings_in_the_place_of_bars_are_told_how_to_read_bars():
    with pytest.raises(api.ConfigError, match=r"panel is 'data=noise', a str; give bars: api.load_panel"):
        api.backtest(np.zeros((900, 2)), "data=noise", *WEIGHTS)


def test_unknown_settings_are_the_command_lines_sentence():
    with pytest.raises(api.ConfigError, match="did you mean"):
        api.load_panel("dat=noise")
    with pytest.raises(api.ConfigError, match="key=value"):
        api.load_panel("--help")


def test_neither_ray_nor_torch_is_loaded(tmp_path):
    code = (
        "import sys, numpy as np; from rayjobs import api; p = api.load_panel('data=noise', 'data.num_bars=800'); "
        "api.backtest(np.zeros((p.num_bars, p.num_assets)), p, 'env=weights'); "
        "print([m for m in ('ray', 'torch', 'wandb', 'optuna') if m in sys.modules])"
    )
    here = str(Path(__file__).parents[3])
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": here, "PATH": ""},
    )
    assert done.stdout.strip() == "[]", done.stderr[-500:]
