"""Looks are counted by kind and by what they earned on the judged bars; windows and folds are looks of their own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from data.coverage.coverage import Coverage
from evaluation.ledger.judged_bars import overlaps
from evaluation.ledger.look_clusters import cluster_looks
from evaluation.ledger.looks import Looks, count_looks, sharpe_variance, without_repetitions
from evaluation.ledger.records import Look, Record, record_hashes
from evaluation.ledger.return_sketch import Sketch
from evaluation.statistics.metrics import sharpe_ratio
from evaluation.statistics.trial_count import effective_number

HOUR = 3600


def record(returns, first=0, bar_seconds=HOUR):
    labels = np.datetime64("2024-01-01", "s") + (first + np.arange(len(returns))) * np.timedelta64(
        bar_seconds, "s"
    )
    return Record.of(returns, labels, bar_seconds)


def noise(seed, size=1000):
    return np.random.default_rng(seed).normal(0.0, 0.01, size)


def look(kind, one: Record | None, number=1):
    if one is None:
        return Look(
            number=number, kind=kind, study="s", data_fingerprint="d", runs=(), coverages=(), status="failed"
        )
    returns, instants = record_hashes(one)
    sharpe = sharpe_ratio(one.net_return)
    return Look(
        number=number,
        kind=kind,
        study="s",
        data_fingerprint="d",
        runs=(),
        coverages=(),
        status="finished",
        sharpe=sharpe if np.isfinite(sharpe) else None,
        num_bars=len(one.net_return),
        bar_seconds=one.bar_seconds,
        returns=returns,
        instants=instants,
        sketch=returns + instants,
    )


def counted(*given):
    """Count looks given as (kind, record); the last one is judged."""
    looks = [look(kind, one, number) for number, (kind, one) in enumerate(given)]
    records = {look(kind, one).returns: one.net_return for kind, one in given if one is not None}
    sketches = {look(kind, one).sketch: Sketch.of(one) for kind, one in given if one is not None}
    own = given[-1][1]
    returns, instants = record_hashes(own)
    return count_looks(
        looks,
        own,
        sketches,
        lambda wanted: {name: records[name] for name in wanted},
        own_returns=returns,
        own_instants=instants,
    )


def test_the_sentence_says_how_many_of_which_kind():
    looks = Looks(
        kinds={"training": 9, "sweep trial": 24, "re-scoring": 3, "screening": 1},
        effective=31,
        sharpe_variance=None,
    )
    assert looks.sentence == (
        "37 looks at these bars (24 sweep trials, 9 trainings, 3 re-scorings, 1 screening; 31 effective)"
    )
    assert Looks.from_json(looks.to_json()) == looks


def test_looks_without_returns_count_one_each():
    found = counted(("sweep trial", None), ("screening", None), ("training", record(noise(1)))).looks
    assert (found.total, found.effective) == (3, 3)


def test_a_rescoring_that_earns_the_same_is_the_same_look():
    again = counted(("training", record(noise(1))), ("re-scoring", record(noise(1)))).looks
    assert dict(again.kinds) == {"training": 1}


def test_two_trials_that_earn_the_same_count_twice_but_are_one_effective_look():
    found = counted(("sweep trial", record(noise(1))), ("sweep trial", record(noise(1)))).looks
    assert (found.total, found.effective) == (2, 1)
    flat = record(np.zeros(1000))
    found = counted(("sweep trial", flat), ("sweep trial", flat), ("training", record(noise(2)))).looks
    assert (found.total, found.effective) == (3, 2)


def test_the_same_policy_under_other_costs_is_nearly_the_same_look():
    base = noise(1)
    dearer = base - 1e-4 * np.abs(noise(3)) / 0.01
    found = counted(("training", record(base)), ("re-scoring", record(dearer))).looks
    assert (found.total, found.effective) == (2, 1)


def test_starting_one_bar_later_is_nearly_the_same_look():
    found = counted(("training", record(noise(1))), ("training", record(noise(1)[1:], first=1))).looks
    assert (found.total, found.effective) == (2, 1)


def test_single_folds_and_windows_of_one_policy_are_looks_of_their_own():
    # The best of ten windows was chosen, although each agrees with the whole wherever they meet.
    whole = noise(1)
    windows = [
        ("re-scoring", record(whole[k : k + 300], first=k)) for k in range(0, 1000, 100) if k + 300 <= 1000
    ]
    found = counted(*windows, ("training", record(whole))).looks
    assert found.effective == found.total == 9


def test_looks_at_other_bar_lengths_are_compared_by_longer_sums():
    half_hours = noise(1, 4000)
    hours = half_hours.reshape(-1, 2).sum(axis=1)
    fine, coarse = record(half_hours, bar_seconds=1800), record(hours)
    leader, correlation = cluster_looks([Sketch.of(fine), Sketch.of(coarse)])
    assert effective_number(leader, correlation) < 2
    leader, _ = cluster_looks([Sketch.of(fine), Sketch.of(record(noise(2, 2000)))])
    assert leader.tolist() == [0, 1]


def test_a_sketch_has_few_buckets_and_keeps_every_return():
    one = record(noise(1, 50_000), bar_seconds=60)
    sketch = Sketch.of(one)
    assert len(sketch.sums) <= 2048
    assert np.nansum(sketch.sums.astype(np.float64)) == pytest.approx(one.net_return.sum(), abs=1e-4)
    coarser = sketch.at(sketch.level + 3)
    assert np.nansum(coarser.sums) == pytest.approx(np.nansum(sketch.sums), abs=1e-4)
    back = Sketch.from_bytes(sketch.to_bytes())
    assert (back.level, back.first) == (sketch.level, sketch.first)
    np.testing.assert_array_equal(back.sums, sketch.sums)


def test_the_variance_is_never_below_that_of_no_skill():
    assert sharpe_variance([0.1, 0.1, 0.1], 101) == 1 / 100
    assert sharpe_variance([0.0, 1.0, None, float("nan")], 101) == 0.5
    assert sharpe_variance([0.1], 101) is None


def test_copies_of_a_look_do_not_narrow_the_variance():
    best, other = record(noise(1) + 0.005), record(noise(2))
    few = counted(("training", other), ("training", best)).looks
    many = counted(("training", other), *[("training", best)] * 20).looks
    assert many.sharpe_variance == few.sharpe_variance > 1 / 999


def test_rivals_are_different_looks_on_the_very_same_bars():
    script = ("scripted policy", record(noise(5)))
    other = ("training", record(noise(2)[:500]))
    found = counted(("training", record(noise(1))), script, other, ("training", record(noise(3))))
    np.testing.assert_array_equal(found.rivals_TN, np.column_stack([noise(3), noise(1)]))


def test_repetitions_are_left_out_whatever_their_order():
    one = record(noise(1))
    looks = [look("re-scoring", one), look("training", one), look("comparison", one)]
    assert [kept.kind for kept in without_repetitions(looks)] == ["training"]


def test_a_coverage_overlaps_exactly_where_it_covers_a_bar(noise_world):
    panel, judged = noise_world.panel, slice(900, 1300)
    coverages = {
        f"{start} {stop}": Coverage.of(panel, slice(start, stop), source="")
        for start in range(0, 1900, 90)
        for stop in (start + 30, start + 95, start + 700)
        if stop <= panel.num_bars
    }
    part = panel.slice_bars(judged.start, judged.stop)
    expected = {name for name, coverage in coverages.items() if coverage.covered(part, source="").any()}
    assert overlaps(coverages, panel, judged, source="") == expected
    assert 0 < len(expected) < len(coverages)


@pytest.mark.slow
def test_ten_thousand_looks_are_counted_in_seconds():
    import time

    given = [("sweep trial", record(noise(seed, 500))) for seed in range(10_000)]
    started = time.process_time()
    assert counted(*given).looks.effective == 10_000
    assert time.process_time() - started < 20.0


def overlays(seed: int, number: int, bars: int = 1000) -> tuple[np.ndarray, np.ndarray]:
    """A market with a premium, and (N, T) records that hold it but for some 2 % of the bars, in blocks of three."""
    drawn = np.random.default_rng(seed)
    market = drawn.standard_t(5, bars) * 0.008 + 7e-4
    out = drawn.random((number, bars)) < 0.007
    out = out | np.roll(out, 1, axis=1) | np.roll(out, 2, axis=1)
    return market, np.where(out, 0.0, market)


def test_looks_that_hold_one_market_are_one_by_their_returns_and_many_by_what_they_lead_it():
    _, many = overlays(0, 30)
    found = counted(*(("training", record(one)) for one in many)).looks
    assert found.effective <= 3
    assert 25 <= found.in_lead <= 30
    assert Looks.from_json(found.to_json()) == found


def test_one_look_at_other_costs_leads_by_no_luck_of_its_own():
    base, size = noise(1), np.abs(noise(3))
    looks = [
        ("training", record(base)),
        *(("re-scoring", record(base - k * 0.003 * size)) for k in (1, 2, 3)),
    ]
    assert counted(*looks).looks.in_lead == 2  # the look, and the way in which costs part it from itself
    assert counted(("training", record(noise(1))), ("training", record(noise(2)))).looks.in_lead == 1
    assert counted(("training", record(base)), ("training", record(base))).looks.in_lead == 1


@pytest.mark.parametrize("later", [1, 24])
def test_looks_that_each_start_a_little_later_are_as_many_in_the_lead(later):
    _, many = overlays(1, 20, 1400)
    looks = [
        ("training", record(one[k * later : 1000 + k * later], first=k * later))
        for k, one in enumerate(many[:16])
    ]
    found = counted(*looks, ("training", record(many[-1][:1000]))).looks
    assert 14 <= found.in_lead <= 17  # whether or not they overlap enough to be one look by their returns


def test_a_look_at_other_dates_alone_is_none_in_the_lead():
    _, many = overlays(2, 2, 2000)
    early, late = (("training", record(many[k][k * 1000 : (k + 1) * 1000], first=k * 1000)) for k in (0, 1))
    assert counted(early, late).looks.in_lead == 1


def shown(of_look: int, of_judged: int, same_bars: bool = False):
    """Count a look at 100 symbols beside a judged record at 100, of which each traded so many.

    same_bars : they are one and the same coverage, of which a job says nothing, as nobody chose among bars.
    """
    looks, sketches, records = [], {}, {}
    for number, symbols in ((0, of_look), (1, of_judged)):
        one = replace(record(noise(number)), symbols=symbols)
        entered = replace(look("training", one, number), coverages=("wide",), symbols=symbols)
        looks.append(entered)
        sketches[entered.sketch], records[entered.returns] = Sketch.of(one), one.net_return
    returns, instants = record_hashes(record(noise(1)))
    return count_looks(
        looks,
        replace(record(noise(1)), symbols=of_judged),
        sketches,
        lambda wanted: {name: records[name] for name in wanted},
        own_returns=returns,
        own_instants=instants,
        symbols={} if same_bars else {"wide": 100},
        num_symbols=100,
    ).looks


def test_symbols_that_are_judged_but_cannot_be_traded_are_as_good_as_left_out():
    # 30 of 100 are traded, whatever switches the others off: 30 x 1.16 / sqrt(30) = 6.3 standard deviations.
    found = shown(100, 30)
    assert found.effective > 1_000_000
    assert "1 look showed 100 symbols, of which the 30 that are traded could be the best" in found.notes[0]
    assert shown(100, 30, same_bars=True) == found
    assert (shown(100, 100).effective, shown(100, 100).notes) == (2, ())
    assert shown(100, 100, same_bars=True).effective == shown(30, 100, same_bars=True).effective == 2
    assert shown(0, 0).effective == shown(0, 30).effective == 2  # nobody knows what the look traded
    assert shown(30, 30).effective == 2  # the same thirty, each time
