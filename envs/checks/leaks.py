"""Leak check: change every bar after t and demand that nothing up to t moves, to the bit.

It rebuilds the whole chain from raw bars (features, normaliser, market, env) on a panel that is the same up to bar t
and different after it, replays the same actions, and compares features, observations, the policy's actions, fills
and rewards. It also demands that what is decided at close t is filled at a price that was not known at close t.

An env is run again for each cut, so there are few cuts. The arrays that it reads, features among them, are cheaper:
they are compared at thousands (`envs.checks.prefixes`), so that a peek on few bars is found, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.schema import Panel
from envs.checks.computed import Subject
from envs.checks.findings import LeakFinding, LeakReport
from envs.checks.poison import poison_after
from envs.checks.prefixes import compare_prefixes
from envs.checks.trajectory import ActionFunction, Trajectory, projection_policy, run_trajectory
from envs.kernel import columns as c
from envs.market import Market

EnvFactory = Callable[[Panel], Any]
MARKET_SECONDS = 30.0
"""CPU time after which no further cuts of the market's arrays are made; an env of few bars needs a fraction of it."""

__all__ = ["LeakError", "LeakFinding", "LeakReport", "find_leaks", "leak_check"]


class LeakError(AssertionError):
    """Something known at bar t depends on bars after t; the message names the culprit."""


def leak_check(
    env_factory: EnvFactory,
    panel: Panel,
    *,
    policy: ActionFunction | None = None,
    num_cuts: int = 3,
    num_steps: int = 400,
    seed: int = 0,
    market_seconds: float = MARKET_SECONDS,
) -> LeakReport:
    """Raise LeakError if anything up to bar t depends on bars after t; else return the report.

    Parameters
    ----------
    env_factory : panel -> vector env, rebuilding everything from raw bars (features, normaliser, market, env). The env
        has `current_bar` (E,); with `last_fills()` fills are checked too, with `market` features by name.
    panel : the market.
    policy : (E, D) observation -> actions; default a random projection that reads every entry.
    num_cuts : cut bars, spread over the trajectory; up to two more are put at missing bars.
    num_steps : steps of the trajectory.
    market_seconds : CPU time for cuts of the arrays of `env.market`, thousands for a small env; 0 leaves them out.
    """
    report = find_leaks(
        env_factory,
        panel,
        policy=policy,
        num_cuts=num_cuts,
        num_steps=num_steps,
        seed=seed,
        market_seconds=market_seconds,
    )
    if not report.clean:
        raise LeakError(str(report))
    return report


def find_leaks(
    env_factory: EnvFactory,
    panel: Panel,
    *,
    policy: ActionFunction | None = None,
    num_cuts: int = 3,
    num_steps: int = 400,
    seed: int = 0,
    market_seconds: float = MARKET_SECONDS,
) -> LeakReport:
    """As `leak_check`, but return the report in any case."""
    env = env_factory(panel)
    policy = policy or projection_policy(env, seed)
    base = run_trajectory(env, num_steps, policy=policy)
    cuts = cut_bars(panel, base, num_cuts)
    findings: list[LeakFinding] = []
    compared = 0
    for cut in cuts:
        poisoned_env = env_factory(poison_after(panel, cut, seed))
        other = run_trajectory(poisoned_env, num_steps, actions=base.actions)
        found = [*market_findings(env, poisoned_env, cut), *observation_findings(env, base, other, cut)]
        found += action_findings(base, other, policy, cut)
        found += fill_findings(base, other, cut)
        found += reward_findings(base, other, cut)
        findings += found
        compared += int((base.bar <= cut).sum())
    report = LeakReport(cut_bars=tuple(cuts), bars_compared=compared, findings=root_causes(findings))
    if findings or market_seconds <= 0.0 or not hasattr(env, "market"):
        return report
    compared_market = compare_prefixes(
        env_subject(env_factory, env.market, fixed_bars=int(base.bar.min()) + 1),
        panel,
        seed=seed,
        max_seconds=market_seconds,
    )
    samplings = () if compared_market.sampling is None else (compared_market.sampling,)
    return replace(
        report, findings=compared_market.findings, notes=compared_market.notes, samplings=samplings
    )


def cut_bars(panel: Panel, base: Trajectory, num_cuts: int) -> list[int]:
    """Bars to cut at: spread over the bars seen, plus up to two at which an asset's bar is missing."""
    low, high = int(base.bar.min()), int(base.bar.max())
    cuts = {int(bar) for bar in np.linspace(low, high - 1, num_cuts + 2)[1:-1]}
    missing = np.flatnonzero(~np.isfinite(panel.close).all(axis=1))
    missing = missing[(missing > low) & (missing < high)]
    if len(missing):
        cuts |= {int(missing[len(missing) // 3]), int(missing[-1])}
    return sorted(cuts)


def _hint(moved: NDArray[np.int64], first_compared: int, cut: int, panel_bars: int) -> str:
    if len(moved) > 0.9 * (cut - first_compared + 1) and cut - first_compared > 8:
        return "it moved at nearly every bar, as a statistic of the whole sample does (a normaliser's fit?)"
    reach = cut - int(moved.min()) + 1
    return f"it reads up to {reach} bar(s) ahead (a shift(-k), a centred window or a backward fill?)"


def _array_findings(
    kind: str, names: Iterable[str], before: NDArray, after: NDArray, cut: int, first: int
) -> list[LeakFinding]:
    """Compare (T, S, K) arrays up to and including bar `cut`, name by name of the last axis."""
    findings = []
    for column, name in enumerate(names):
        a, b = before[first : cut + 1, ..., column], after[first : cut + 1, ..., column]
        differs = (a != b) & ~(np.isnan(a) & np.isnan(b))
        moved = first + np.flatnonzero(differs.reshape(len(a), -1).any(axis=1))
        if len(moved):
            findings.append(
                LeakFinding(
                    kind=kind,
                    culprit=name,
                    cut_bar=cut,
                    first_bar=int(moved[0]),
                    last_bar=int(moved[-1]),
                    hint=_hint(moved, first, cut, len(before)),
                )
            )
    return findings


CONTEXT_NAMES = (
    "last mark",
    "last tradable",
    "funding",
    "split",
    "atr",
    "volatility",
    "adv",
    "tail",
    "in universe",
    "contract left",
    "dividend",
)
"""Columns of a bar after `BAR_NAMES`; from `c.OWN_BAR` on they are known with their own bar, others before it opens."""
BAR_NAMES = ("open", "high", "low", "mark", "volume", "tradable")


def market_arrays(market: Market) -> NDArray[np.float64]:
    """(T, S, K) all that is known of a market at the close of each bar: bars, features, clock, context."""
    bars = market.bars
    known = np.full((*bars.shape[:2], bars.shape[2] - c.LAST_MARK), np.nan)
    known[:-1] = bars[1:, :, c.LAST_MARK :]  # of bar t + 1, known before it opens
    known[..., c.OWN_BAR - c.LAST_MARK :] = bars[..., c.OWN_BAR :]
    known[known == c.NO_ROLL] = np.nan
    clock = np.broadcast_to(market.clock[:, None], (*bars.shape[:2], market.clock.shape[1]))
    return np.concatenate([market.features, clock, bars[..., : c.LAST_MARK], known], axis=2)


def market_columns(market: Market) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Kind and name of each column of `market_arrays`."""
    context = CONTEXT_NAMES[: market.bars.shape[2] - c.LAST_MARK]
    groups = {"feature": (*market.asset_names, *market.clock_names), "bars": BAR_NAMES, "context": context}
    pairs = [(kind, name) for kind, names in groups.items() for name in names]
    return tuple(kind for kind, _ in pairs), tuple(name for _, name in pairs)


def env_subject(env_factory: EnvFactory, market: Market, fixed_bars: int) -> Subject:
    """What an env reads, built from raw bars each time; bars before `fixed_bars` stay, for the normaliser."""
    kinds, names = market_columns(market)
    return Subject(
        label="market",
        kinds=kinds,
        names=names,
        lookback_bars=market.first_bar,
        fixed_bars=fixed_bars,
        compute=lambda panel: market_arrays(env_factory(panel).market),
        sessions=False,
        truncate=False,
        reads_bars=False,
    )


def market_findings(env: Any, poisoned: Any, cut: int) -> list[LeakFinding]:
    """Compare what the env was built from, when it shows it as `market` (see envs.market.Market)."""
    if not hasattr(env, "market"):
        return []
    a, b = env.market, poisoned.market
    findings = _array_findings("feature", a.asset_names, a.features, b.features, cut, a.first_bar)
    findings += _array_findings("feature", a.clock_names, a.clock, b.clock, cut, a.first_bar)
    findings += _array_findings("bars", BAR_NAMES, a.bars, b.bars, cut, 0)
    before = CONTEXT_NAMES[: min(a.bars.shape[2], c.OWN_BAR) - c.LAST_MARK]
    known = (
        bars[1:, :, c.LAST_MARK : c.OWN_BAR] for bars in (a.bars, b.bars)
    )  # row t: before bar t + 1 opens
    findings += _array_findings("context", before, *known, cut, 0)
    with_bar = CONTEXT_NAMES[len(before) :][: max(a.bars.shape[2] - c.OWN_BAR, 0)]
    own = (bars[..., c.OWN_BAR :] for bars in (a.bars, b.bars))
    findings += _array_findings("context", with_bar, *own, cut, 0)
    return findings


def observation_findings(env: Any, base: Trajectory, other: Trajectory, cut: int) -> list[LeakFinding]:
    """Compare observations whose last known bar is at most `cut`."""
    steps, rows = np.nonzero((base.bar <= cut) & _unbroken(base, cut))
    a, b = base.observation[steps, rows], other.observation[steps, rows]
    bars = base.bar[steps, rows]
    names = env.layout.names if hasattr(env, "layout") else [f"x{k}" for k in range(a.shape[1])]
    findings = []
    for column in np.flatnonzero((a != b).any(axis=0)):
        moved = np.unique(bars[a[:, column] != b[:, column]])
        findings.append(
            LeakFinding(
                kind="observation",
                culprit=str(names[column]),
                cut_bar=cut,
                first_bar=int(moved[0]),
                last_bar=int(moved[-1]),
                hint=_hint(moved, int(bars.min()), cut, len(bars)),
            )
        )
    return findings


def _unbroken(base: Trajectory, cut: int) -> NDArray[np.bool_]:
    """(N + 1, E) True until a row has seen a bar after `cut`: what follows (a new episode) carries its account over."""
    later = base.bar > cut
    return ~np.maximum.accumulate(later, axis=0)


def action_findings(
    base: Trajectory, other: Trajectory, policy: ActionFunction, cut: int
) -> list[LeakFinding]:
    """Ask the policy again with the observations of the poisoned run."""
    allowed = (base.bar <= cut) & _unbroken(base, cut)
    for step, action in enumerate(base.actions):
        again = np.asarray(policy(other.observation[step]))
        rows = allowed[step] & (again != action).reshape(len(action), -1).any(axis=1)
        if rows.any():
            bar = int(base.bar[step][rows].min())
            return [
                LeakFinding(
                    kind="action",
                    culprit="policy",
                    cut_bar=cut,
                    first_bar=bar,
                    last_bar=bar,
                    hint="the policy answers a changed observation, or keeps a state from elsewhere",
                )
            ]
    return []


def fill_findings(base: Trajectory, other: Trajectory, cut: int) -> list[LeakFinding]:
    """Fills up to `cut` must be the same; fills at the open of cut + 1 must be at a price that was not known."""
    findings = []
    allowed = (base.bar[1:] <= cut) & _unbroken(base, cut)[1:]
    for step, (a, b) in enumerate(zip(base.fills, other.fills, strict=True)):
        one = sorted((f.row, f.asset, f.units, f.price) for f in a if allowed[step, f.row])
        two = sorted((f.row, f.asset, f.units, f.price) for f in b if allowed[step, f.row])
        if one != two:
            bar = int(base.bar[step + 1][allowed[step]].max())
            hint = "size or price of a fill depends on bars after it"
            findings.append(_finding("fill", "fill", cut, bar, hint))
            break
        old = {(f.row, f.asset): f for f in a if f.at_open and base.bar[step, f.row] == cut}
        same = [f for f in b if f.at_open and f.filled_bar == cut + 1 and (f.row, f.asset) in old]
        if any(f.price == old[f.row, f.asset].price for f in same):
            hint = (
                "decided at this bar's close and filled at a price already known then; fill at the next open"
            )
            findings.append(_finding("fill", "fill at the decision bar", cut, cut, hint))
            break
    return findings


def reward_findings(base: Trajectory, other: Trajectory, cut: int) -> list[LeakFinding]:
    """Rewards and episode ends of bars up to `cut` must be the same bits."""
    allowed = (base.bar[:-1] < cut) & _unbroken(base, cut)[:-1]
    findings = []
    for name, a, b in (("reward", base.reward, other.reward), ("end", base.ended, other.ended)):
        steps, rows = np.nonzero((a != b) & allowed)
        if len(steps):
            bar = int((base.bar[:-1][steps, rows] + 1).min())
            hint = "the number paid for this bar depends on bars after it"
            findings.append(_finding("reward", name, cut, bar, hint))
    return findings


def _finding(kind: str, culprit: str, cut: int, bar: int, hint: str) -> LeakFinding:
    return LeakFinding(kind=kind, culprit=culprit, cut_bar=cut, first_bar=bar, last_bar=bar, hint=hint)


def root_causes(findings: Sequence[LeakFinding]) -> tuple[LeakFinding, ...]:
    """One finding per culprit, and no observation column that merely shows a feature already named."""
    named = {finding.culprit for finding in findings if finding.kind == "feature"}
    kept: dict[tuple[str, str], LeakFinding] = {}
    for finding in findings:
        if finding.kind == "observation" and finding.culprit.split("@")[0] in named:
            continue
        kept.setdefault((finding.kind, finding.culprit), finding)
    return tuple(kept.values())
