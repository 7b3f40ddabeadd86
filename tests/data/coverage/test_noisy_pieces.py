"""Pieces that were laid anew are known again though their prices were rounded; other sessions never are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from data.coverage.coverage import Coverage
from data.coverage.noisy_pieces import noisy_pieces
from data.coverage.price_sketch import dense_groups
from data.coverage.shifted_copies import laid_anew, places_of_returns, shifted_copies
from data.sources.samples import SamplesConfig, load_samples

CRYPTO = load_samples(
    SamplesConfig(sample="crypto_30min", symbols=("BTC", "ETH"), start_utc=None, stop_utc=None)
).panel


def walk(seed: int, sessions: int = 600) -> np.ndarray:
    return 100.0 * np.exp(np.cumsum(0.02 * np.random.default_rng(seed).standard_normal(sessions)))


def closes(values: np.ndarray, first: int = 0) -> dict[int, float]:
    return {first + i: float(value) for i, value in enumerate(values)}


def chopped(values: np.ndarray, every: int) -> np.ndarray:
    return values[np.arange(len(values)) % every != 0]


def test_pieces_of_nine_sessions_rounded_to_cents_are_known_again():
    given = np.round(chopped(walk(1), 10), 2)
    found = noisy_pieces(closes(walk(1)), closes(given, first=7000))
    assert len(found) > 0.9 * len(given)


def test_noise_of_a_hundredth_of_a_move_does_not_hide_them():
    given = chopped(walk(1), 20) * np.exp(2e-4 * np.random.default_rng(2).standard_normal(570))
    assert len(noisy_pieces(closes(walk(1)), closes(given, first=7000))) > 0.5 * len(given)


def test_sessions_that_were_thinned_are_compared_as_far_apart():
    seen = {day: price for day, price in closes(walk(3, 2048)).items() if day % 4 == 0}
    given = np.round(chopped(walk(3, 2048), 30), 2)
    assert len(noisy_pieces(seen, closes(given, first=9001))) > 0.5 * len(given)


def test_the_same_sessions_are_no_copies_of_themselves():
    assert not len(noisy_pieces(closes(walk(4)), closes(np.round(walk(4), 2))))


@pytest.mark.parametrize("made", ["walks", "whole prices", "waves", "few ticks"])
def test_other_prices_are_no_copies(made):
    for seed in range(10):
        random = np.random.default_rng(seed)
        ours, theirs = walk(50 + seed), walk(500 + seed, 1200)
        if made == "whole prices":
            ours, theirs = np.round(ours), np.round(theirs)
        elif made == "waves":
            size = np.exp(0.05 * np.cumsum(random.standard_normal(1800)))
            both = 100.0 * np.exp(np.cumsum(0.003 * size * random.standard_t(3, 1800)))
            ours, theirs = both[:600], both[600:]
        elif made == "few ticks":
            ours, theirs = (2.0 + 0.01 * np.cumsum(random.integers(-2, 3, n)) % 1.0 for n in (600, 1200))
        assert not len(noisy_pieces(closes(ours), closes(theirs, first=900)))


def test_bars_laid_anew_and_rounded_had_been_seen_and_those_after_them_not():
    seen = Coverage.of(CRYPTO, slice(0, 4800), source="samples: crypto_30min")
    day = np.arange(CRYPTO.num_bars) // 48
    kept = np.flatnonzero((day < 400) & ((day >= 100) | (day % 10 != 0)))
    moved = CRYPTO.session[0] + 2000 + np.arange(len(kept)) // 48
    panel = CRYPTO.slice_bars(0, len(kept))
    prices = {
        name: np.round(getattr(CRYPTO, name)[kept], 2) for name in ("open", "high", "low", "close", "volume")
    }
    by = np.timedelta64(2000, "D")
    panel = replace(
        panel,
        bar_utc=panel.bar_utc + by,
        session=moved.astype(np.int32),
        tradable=CRYPTO.tradable[kept],
        **prices,
    )
    found = shifted_copies(seen, panel)
    assert found[: 90 * 48].mean() > 0.9
    assert found[91 * 48 :].mean() < 0.05


def test_a_return_that_is_known_again_by_chance_long_after_a_copy_adds_nothing_to_it():
    seen = walk(5)
    later = walk(6, 900)
    later[600:602] *= (seen[11] / seen[10]) / (later[601] / later[600]) ** np.array([0.0, 1.0])
    later[601] = later[600] * seen[11] / seen[10]
    pieces = seen[np.random.default_rng(7).permutation(60).repeat(5) * 5 + np.tile(np.arange(5), 60)]
    given = closes(np.concatenate([pieces, later]), first=9000)
    assert laid_anew(closes(seen), places_of_returns(given, {1})) == [(9000, 9299)]
    assert [group.tolist() for group in dense_groups(np.array([1, 2, 3, 5, 90]))] == [[1, 2, 3, 5]]
