"""The baselines that are a policy's rivals under its own rules (flat, momentum, mean reversion, random), by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hand_account import KINDS, by_hand, in_lots, instruments_of, market_of, random_panel, venue_env
from scoring_settings import scoring_config

from evaluation.scoring.fold_scoring import score_fold
from evaluation.scoring.placebo_strategies import random_targets
from evaluation.windows.splits import Fold
from policies.baselines import Schedule, momentum_sign

START, STOP = 301, 500
FOLD = Fold(index=2, train=slice(0, 280), test=slice(START, STOP))
LOOKBACK, HOLD, SEED = 20, 3, 5


def following(panel, instruments, target, scheme, fraction=0.5, gross=1.0):
    """Wishes of a schedule under a scheme, entries of `fraction` of equity, all of them scaled under the gross cap."""

    def decide(t, equity, held):
        worth = [panel.close[t, a] * instruments[s].multiplier for a, s in enumerate(panel.symbols)]
        wishes = []
        for a in range(len(held)):
            side = np.sign(target[t, a])
            if scheme == "weights":
                wishes.append(float(np.float32(target[t, a])) * equity / worth[a])
            elif side == np.sign(held[a]):
                wishes.append(None)
            else:
                size = abs(float(np.float32(target[t, a]))) if scheme == "direction_size" else 1.0
                wishes.append(side * size * fraction * equity / worth[a])
        kept = sum(abs(h) * w for h, w, wish in zip(held, worth, wishes) if wish is None)
        wished = sum(abs(wish) * w for w, wish in zip(worth, wishes) if wish is not None)
        factor = (
            max(gross * equity - kept, 0.0) / wished if kept + wished > gross * equity and wished else 1.0
        )
        factor = factor if factor > 1e-9 else 0.0
        return [
            None if wish is None else in_lots(wish * factor, instruments[symbol])
            for wish, symbol in zip(wishes, panel.symbols)
        ]

    return decide


def signs(panel, direction):
    """Side by the return over the lookback, looked at anew every HOLD bars."""
    target = np.zeros(panel.close.shape)
    for t in range(panel.num_bars):
        seen = t - t % HOLD
        if seen >= LOOKBACK:
            target[t] = direction * np.sign(panel.close[seen] - panel.close[seen - LOOKBACK])
    return target


@pytest.mark.parametrize("scheme", ["direction", "orders", "direction_size", "weights"])
@pytest.mark.parametrize("kind", KINDS)
def test_rules_earn_what_an_account_kept_by_hand_earns_under_every_scheme(kind, scheme):
    panel = random_panel(kind)
    instruments, env, market = instruments_of(panel, kind), venue_env(scheme), market_of(panel, kind)
    scoring = scoring_config(
        momentum_bars=LOOKBACK, hold_bars=HOLD, stress_cost_factor=2.0, in_sample=False, placebo_strategies=0
    )
    policy = Schedule(target_TA=momentum_sign(panel))
    result = score_fold(FOLD, policy, panel, market, env, scoring, seed=SEED)
    drawn = random_targets(
        result.recording, panel.num_bars, scheme, np.random.default_rng([SEED, FOLD.index])
    )
    targets = {
        "flat": np.zeros(panel.close.shape),
        "momentum": signs(panel, 1.0),
        "mean_reversion": signs(panel, -1.0),
        "random": drawn,
    }
    for name, target in targets.items():
        for tracks, factor in ((result.baselines, 1.0), (result.stressed_baselines, 2.0)):
            decide = following(panel, instruments, target, scheme)
            returns, turnovers, _ = by_hand(panel, instruments, 2e7, START, STOP, decide, factor)
            np.testing.assert_allclose(tracks[name].net_return, returns, rtol=0, atol=1e-9, err_msg=name)
            np.testing.assert_allclose(tracks[name].turnover, turnovers, rtol=1e-9, atol=1e-9, err_msg=name)
