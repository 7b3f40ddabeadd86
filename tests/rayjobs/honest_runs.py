"""Honest runs of the bundled experiments on short stretches of their bars, judged in a second or two, without Ray.

A study is an experiment with bars, windows, costs and env that a seed draws. Its policies are scripts, networks with
random weights, and networks that were taught the sign of a forecast: a ridge regression of the next bar's return,
fitted on the fold's training window. None of them knows anything that it should not, so that a criterion which asks
about the run rather than its success (what was seen, charged, leaked, or too good) must hold. Stand-in markets, which
are exempt from plausibility, may be judged `as_recorded`: their bars are drawn from facts of recorded ones.

False alarms, but for the leak check's: PYTHONPATH=. python tests/rayjobs/honest_runs.py [STUDIES] [EXPERIMENT ...]
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from unittest.mock import patch

import numpy as np
from rich.console import Console
from rich.table import Table
from small_run import scripted, untrained
from taught_run import taught

from envs.checks.leaks import LeakReport
from evaluation.gate.evidence import GateEvidence, SupportingEvidence
from evaluation.gate.verdict import Criterion, judge
from evaluation.statistics.metrics import sharpe_ratio
from rayjobs.config.compose import compose
from rayjobs.study.config import TRAIN_KEYS, build_train_config
from rayjobs.study.evidence import chained, completed
from rayjobs.study.fold import FoldOutcome
from rayjobs.study.fold_market import fold_market
from rayjobs.study.load import load_study
from rayjobs.study.study import Study

STAND_INS = {
    "mes_intraday": 390, "mnq_5m": 276, "us_stocks_core": 390, "us_stocks_low_price": 78, "bybit_perps": 96,
    "equities_cross_section": 1, "amd_nvda": 390,
}  # fmt: skip
"""Experiments on drawn bars that stand in for recorded ones -> bars of a session. The two that set what belongs to one
kind of policy alone, `gld_execution` and `amd_nvda_trees`, take no other policy."""
EXPERIMENTS = (
    "crypto_portfolio", "spy_intraday", "planted_signal", "planted_memory", "noise", *STAND_INS, "planted_symbols"
)  # fmt: skip
ABOUT_THE_RUN = ("unseen", "full_costs", "plausibility", "leak_check")
"""Criteria that an honest run does not fail, whatever it earns."""
OF_THE_CALENDAR = ("train", "validation", "test")
"""Keys of windows that are counted in periods or given by dates."""
SCRIPTS = ("buy_and_hold", "equal_weight", "flip", "momentum_sign")
TRAINED = ("untrained", "fitted")
LESS = (
    "scoring.supervised=[]", "scoring.placebo_strategies=0", "scoring.in_sample=false", "policy.encoder_units=8",
    "policy.core_units=8",
)  # fmt: skip
CRYPTO_COSTS = (
    (), ("costs.slippage=fixed_bps", "costs.slippage_value=2"), ("costs=market_impact",), ("costs.latency_bars=1",),
    ("instruments=crypto_perpetual",),
)  # fmt: skip
SPY_COSTS = ((), ("costs.slippage_value=0.7",), ("costs.latency_bars=1",))
FLAT_COSTS = ((), ("costs.fee_bps=0.5", "costs.half_spread_bps=0.5"), ("costs.latency_bars=1",))
ENVS = (
    (), (), ("env=triple_barrier",), ("env=weights",), ("env=direction_size",), ("env=atr_barriers",),
    ("env=volatility_target",),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class HonestRun:
    """What the gate says of one run. `sharpe` is annual, `years` the length of its record."""

    experiment: str
    overrides: tuple[str, ...]
    policy: str
    sharpe: float
    years: float
    criteria: Mapping[str, Criterion]

    @property
    def alarms(self) -> dict[str, str]:
        """Name -> sentence of the criteria about the run that do not hold."""
        return {name: self.criteria[name].reason for name in ABOUT_THE_RUN if not self.criteria[name].passed}


@contextmanager
def as_recorded() -> Iterator[None]:
    """Judge stand-in markets as if their bars were recorded: nothing is exempt."""
    with ExitStack() as stack:
        for module in (
            "evidence",
            "foreknown_inputs",
            "least_costs",
            "lowered_settings",
            "scored_fold",
            "study",
            "untraded_prices",
        ):
            stack.enter_context(patch(f"rayjobs.study.{module}.is_synthetic", lambda config: False))
        yield


def drawn(experiment: str, seed: int) -> tuple[str, ...]:
    """Overrides of a study: bars, windows, costs and env."""
    random = np.random.default_rng([EXPERIMENTS.index(experiment), seed])
    if experiment in STAND_INS:
        return _drawn_stand_in(experiment, seed, random)

    def one_of(options: Sequence) -> tuple[str, ...]:
        return tuple(options[random.integers(len(options))])

    env = one_of(ENVS)
    if experiment == "spy_intraday":
        sessions, first = int(random.choice([3, 5, 10])), int(random.integers(0, 640))
        start = np.busday_offset("2017-01-03", first, roll="forward")
        bars = (
            f"data.start_utc={start}",
            f"data.stop_utc={start + (40 + 3 * sessions)}",
            f"walk_forward.train_bars={390 * 15}",
            f"walk_forward.test_bars={390 * sessions}",
            "env.episode.bars=390",
        )
        return (*bars, *one_of(SPY_COSTS), *env)
    days, train = int(random.choice([7, 14, 30])), 1500
    windows = (
        f"walk_forward.train_bars={train}",
        f"walk_forward.test_bars={48 * days}",
        "env.episode.bars=48",
    )
    needed = train + 2 * 48 * days + 120
    if experiment == "crypto_portfolio":
        start = np.datetime64("2017-10-01") + int(random.integers(0, 730 - needed // 48 - 2))
        return (
            f"data.start_utc={start}",
            f"data.stop_utc={start + (needed // 48 + 1)}",
            *windows,
            *one_of(CRYPTO_COSTS),
            *env,
        )
    return (f"data.seed={seed + 10}", f"data.num_bars={needed}", *windows, *one_of(FLAT_COSTS), *env)


def _drawn_stand_in(experiment: str, seed: int, random: np.random.Generator) -> tuple[str, ...]:
    session = STAND_INS[experiment]
    train = max(1500, 5 * session) if session > 1 else 750
    test = session * int(random.choice([4, 6, 10]) if session > 1 else random.choice([63, 126, 252]))
    latency = f"costs.latency_bars={int(random.integers(2))}"
    return (
        f"data.seed={seed + 10}", f"data.num_bars={train + 2 * test + 900}", "walk_forward=rolling",
        f"walk_forward.train_bars={train}", f"walk_forward.test_bars={test}", "env.episode.bars=48", latency,
    )  # fmt: skip


def fitted(study: Study, fold, run: Path) -> FoldOutcome:
    """A network that holds the sign of a forecast, fitted on the training window."""
    market, _ = fold_market(study, fold)
    bars = np.arange(market.first_bar, fold.train.stop - 1)
    close = study.panel.close
    following = np.nan_to_num(close[bars + 1] / close[bars] - 1.0)
    rows = market.features[bars].reshape(-1, market.features.shape[2]).astype(np.float64)
    penalty = 1e-3 * len(rows) * np.eye(rows.shape[1])
    weight = np.linalg.solve(rows.T @ rows + penalty, rows.T @ following.ravel())
    return taught(study, fold, run, dict(zip(market.asset_names, weight.tolist())))


def study_runs(
    experiment: str, overrides: Sequence[str], policies: Sequence[str], root: Path, *, leaks: bool = True
) -> Iterator[HonestRun]:
    """Each of the policies on one study.

    Parameters
    ----------
    root : where policies are written. leaks : run the leak check; else it is taken to be clean.
    """
    base = [f"+experiment={experiment}", *LESS, *overrides]
    known = None if leaks else LeakReport(cut_bars=(), bars_compared=0, findings=())
    loaded = None  # the same for every policy, but for symbols held out, whose study has a configuration of its own
    for policy in policies:
        chosen = [f"policy={policy}"] if policy not in TRAINED else ["policy=mlp"]
        values = {k: v for k, v in compose("train", [*base, *chosen]).items() if k in TRAIN_KEYS}
        if values["walk_forward"]["unit"] == "bars":  # an experiment's own windows may be counted otherwise
            windows = values["walk_forward"].items()
            values["walk_forward"] = {key: value for key, value in windows if key not in OF_THE_CALENDAR}
        config = build_train_config(values)
        if policy == "fitted" and (config.env.action.scheme != "direction" or config.test_symbols):
            continue  # a side is all that it was taught, of the symbols that it was fitted on
        if loaded is None or config.test_symbols:
            loaded = load_study(config)
        study, folds = replace(loaded[0], config=config), loaded[2]
        score = {"untrained": untrained, "fitted": fitted}.get(policy, scripted)
        result = chained(study, [score(study, fold, root) for fold in folds])
        evidence = completed(study, result, SupportingEvidence(leak_check=known))
        known = evidence.leak_check  # the same for every policy of the study
        verdict = judge(study.config.gate, GateEvidence.of(result, evidence))
        periods = result.periods_per_year
        yield HonestRun(
            experiment=experiment,
            overrides=tuple(overrides),
            policy=policy,
            sharpe=sharpe_ratio(result.net_return, periods_per_year=periods),
            years=len(result.net_return) / periods,
            criteria={c.name: c for c in verdict.criteria},
        )


def false_alarms(experiment: str, studies: int, root: Path, *, leaks: int = 0) -> tuple[int, Counter[str]]:
    """Honest runs of an experiment, and how many of them each criterion about the run accuses; says each as it comes.

    Parameters
    ----------
    studies : drawn, with up to six policies each. leaks : of these, how many have a real leak check.
    """
    count, alarms = 0, Counter[str]()
    with as_recorded() if experiment in STAND_INS else ExitStack():
        for seed in range(studies):
            overrides = drawn(experiment, seed)
            policies = [*SCRIPTS, *TRAINED]
            for run in study_runs(experiment, overrides, policies, root / f"{seed}", leaks=seed < leaks):
                count += 1
                alarms.update(run.alarms)
                for name, reason in run.alarms.items():
                    CONSOLE.print(f"{experiment} {seed} {run.policy} {name}: {reason}", markup=False)
    return count, alarms


CONSOLE = Console(width=200)


def main(words: Sequence[str]) -> None:
    """Print the numbers of all experiments, or of those named; the leak check, which takes longest, is left out."""
    studies, names = int(words[0]) if words else 7, [name for name in ABOUT_THE_RUN if name != "leak_check"]
    table = Table("experiment", "runs", *names, "seconds")
    for experiment in words[1:] or EXPERIMENTS:
        started = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="rayfold-honest-") as root:
            count, alarms = false_alarms(experiment, studies, Path(root))
        row = [experiment, f"{count}", *(f"{alarms[name]}" for name in names)]
        CONSOLE.print(*row, f"{time.monotonic() - started:.0f} s")
        table.add_row(*row, f"{time.monotonic() - started:.0f}")
    CONSOLE.print(table)


if __name__ == "__main__":
    main(sys.argv[1:])
