"""Copies under other dates are found, and no other bars are taken for copies."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from data.coverage.coverage import Coverage
from data.coverage.shifted_copies import (
    laid_anew,
    noisy_shift_between,
    places_of_returns,
    session_closes,
    shift_between,
    shifted_copies,
)
from data.sources.samples import SamplesConfig, load_samples

CRYPTO = load_samples(
    SamplesConfig(
        sample="crypto_30min", symbols=("BTC", "ETH", "LTC", "XRP", "EOS"), start_utc=None, stop_utc=None
    )
).panel


def closes(values, first: int = 0, step: int = 1) -> dict[int, float]:
    return {first + step * i: float(value) for i, value in enumerate(values)}


WALK = 100.0 * np.exp(np.cumsum(0.01 * np.random.default_rng(1).standard_normal(600)))


@pytest.mark.parametrize("days", [1, -1, 7, 5000])
@pytest.mark.parametrize("scale", [1.0, 0.01])
def test_a_shift_by_whole_days_is_found_in_any_unit_of_price(days, scale):
    assert shift_between(closes(WALK), closes(scale * WALK, first=days)) == days


def test_a_part_of_the_bars_and_thinned_ones_are_found_too():
    assert shift_between(closes(WALK), closes(WALK[200:230], first=1200)) == 1000
    assert shift_between(closes(WALK[::4], step=4), closes(WALK, first=31)) == 31


def test_where_nothing_was_moved_nothing_is_found():
    assert shift_between(closes(WALK), closes(WALK)) is None
    other = 100.0 * np.exp(np.cumsum(0.01 * np.random.default_rng(2).standard_normal(600)))
    assert shift_between(closes(WALK), closes(other, first=50)) is None
    assert shift_between(closes(WALK), closes(WALK[:6], first=1000)) is None  # too few to tell


def test_prices_that_hardly_move_are_not_taken_for_copies():
    random = np.random.default_rng(3)
    peg = [1.0 + 1e-4 * random.integers(-1, 2, 700) for _ in range(2)]
    assert shift_between(closes(peg[0]), closes(peg[1], first=40)) is None
    assert shift_between(closes(np.ones(50)), closes(np.ones(50), first=9)) is None


def test_later_bars_of_real_instruments_are_no_copies_of_their_earlier_ones():
    for start in range(0, CRYPTO.num_bars - 8000, 4000):
        seen = Coverage.of(CRYPTO, slice(start, start + 4000), source="samples: crypto_30min")
        rest = CRYPTO.slice_bars(start + 4000, CRYPTO.num_bars)
        assert not shifted_copies(seen, rest).any()


def test_sessions_in_another_order_are_found_by_their_returns_and_others_are_not():
    # Pieces of five sessions in another order: four of five returns are those that were seen.
    pieces = np.diff(np.log(WALK))[:595].reshape(-1, 5)[np.random.default_rng(4).permutation(119)]
    laid = closes(100.0 * np.exp(np.cumsum(pieces.ravel())), first=9000)
    assert laid_anew(closes(WALK), places_of_returns(laid, {1})) == [(9000, 9594)]
    for seed in range(5):
        other = closes(
            100.0 * np.exp(np.cumsum(0.01 * np.random.default_rng(seed + 50).standard_normal(600)))
        )
        assert laid_anew(closes(WALK), places_of_returns(other, {1})) == []
    ticks = [
        closes(2.0 + 0.01 * np.cumsum(np.random.default_rng(s).integers(-2, 3, 600)) % 1.0) for s in (1, 2)
    ]
    assert laid_anew(ticks[0], places_of_returns(ticks[1], {1})) == []


def test_the_last_close_of_each_session_is_taken():
    day = CRYPTO.slice_bars(0, 96)
    found = session_closes(day, 0)
    assert list(found.values()) == [day.close[47, 0], day.close[95, 0]]


@pytest.mark.parametrize("days", [-1, 7, 364])
@pytest.mark.parametrize("bars", [20, 600])
def test_a_copy_whose_prices_were_changed_a_little_too_is_found(days, bars):
    noise = np.exp(2e-4 * np.random.default_rng(4).standard_normal(600))  # a fiftieth of a day's move
    assert shift_between(closes(WALK), closes(WALK * noise, first=days)) is None
    assert noisy_shift_between(closes(WALK), closes((WALK * noise)[:bars], first=days)) == days


def test_a_little_noise_makes_no_copies_of_other_prices():
    for seed in range(100):
        other = 100.0 * np.exp(np.cumsum(0.01 * np.random.default_rng(seed + 10).standard_normal(400)))
        assert noisy_shift_between(closes(WALK), closes(other, first=50)) is None
    assert noisy_shift_between(closes(WALK), closes(WALK)) is None
    assert noisy_shift_between(closes(WALK[:10]), closes(WALK, first=1)) is None
    random = np.random.default_rng(3)
    peg = [1.0 + 1e-4 * random.integers(-1, 2, 700) for _ in range(2)]
    assert noisy_shift_between(closes(peg[0]), closes(peg[1], first=40)) is None
    assert noisy_shift_between(closes(np.ones(50)), closes(np.ones(50), first=9)) is None


def test_bars_of_a_year_ago_under_new_dates_with_a_little_noise_had_been_seen():
    seen = Coverage.of(CRYPTO, slice(0, 4000), source="samples: crypto_30min")
    noise = np.exp(1e-5 * np.random.default_rng(5).standard_normal(CRYPTO.close.shape))
    changed = {name: getattr(CRYPTO, name) * noise for name in ("open", "high", "low", "close")}
    later = np.timedelta64(728, "D")
    moved = replace(CRYPTO, bar_utc=CRYPTO.bar_utc + later, session=CRYPTO.session + 728, **changed)
    found = shifted_copies(seen, moved)
    assert found[:4000].mean() > 0.99
    assert not found[4000:].any()
