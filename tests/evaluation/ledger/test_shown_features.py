"""A screening counts as the best of the features that it showed, of which the judged policy reads some."""

from __future__ import annotations

import numpy as np
import pytest

from evaluation.ledger.ledger import Ledger, LookEntry
from evaluation.ledger.looks import count_looks
from evaluation.ledger.records import Look, Record, record_hashes
from evaluation.ledger.return_sketch import Sketch
from evaluation.ledger.shown_features import feature_choices
from evaluation.statistics.trial_count import number_of_choices

SHOWN = tuple(f"alt_{number}" for number in range(40))


def screening(*features: str, number: int = 1) -> Look:
    return Look(
        number=number,
        kind="screening",
        study="s",
        data_fingerprint="d",
        runs=(),
        coverages=(),
        status="running",
        features=features,
    )


def counted(read, *screenings: Look):
    """What is counted of these screenings for a training that reads such features."""
    labels = np.datetime64("2024-01-01", "s") + np.arange(500) * np.timedelta64(3600, "s")
    own = Record.of(np.random.default_rng(0).normal(0.0, 0.01, 500), labels, 3600)
    returns, instants = record_hashes(own)
    judged = Look(
        number=0,
        kind="training",
        study="s",
        data_fingerprint="d",
        runs=(),
        coverages=(),
        status="finished",
        sharpe=0.1,
        num_bars=500,
        bar_seconds=3600,
        returns=returns,
        instants=instants,
        sketch="own",
    )
    return count_looks(
        [judged, *screenings],
        own,
        {"own": Sketch.of(own)},
        lambda wanted: {},
        own_returns=returns,
        own_instants=instants,
        features=read,
    ).looks


def test_one_of_forty_features_that_were_shown_counts_as_about_forty_looks_beside_its_own():
    # The largest of forty normal numbers is expected at 2.16, as that of 37 by the approximation that counts looks.
    found = counted(SHOWN[:1], screening(*SHOWN))
    assert (found.total, found.effective) == (2, 38)
    (note,) = found.notes
    assert note == (
        "1 screening of these bars showed 40 features, of which the one that is read could be the best; it counts as "
        "37 looks."
    )


def test_ten_of_forty_count_as_the_looks_whose_best_lies_as_high_as_their_mean():
    # The ten largest of forty normal numbers have a mean of 1.24, and sqrt(10) of that is 3.9 standard deviations.
    found = counted(SHOWN[:10], screening(*SHOWN))
    drawn = np.sort(np.random.default_rng(1).standard_normal((4000, 40)), axis=1)[:, -10:].mean()
    assert np.sqrt(10) * drawn == pytest.approx(3.9, abs=0.05)
    assert found.effective == pytest.approx(number_of_choices(40, 10), rel=0.01)
    assert 5_000 < found.effective < 50_000


def test_who_reads_all_that_was_shown_or_reads_no_features_chose_none():
    assert counted(SHOWN, screening(*SHOWN)).effective == 2
    assert counted((*SHOWN, "more"), screening(*SHOWN)).effective == 2
    assert counted((), screening(*SHOWN)).effective == 2
    assert counted(SHOWN[:1], screening()).notes == ()


def test_features_under_new_names_count_as_one_chosen():
    assert feature_choices(screening(*SHOWN), ("other", "names")) == number_of_choices(40, 1) > 36.0


def test_two_screenings_add_up_and_the_sentence_tells_the_largest():
    found = counted(SHOWN[:1], screening(*SHOWN), screening(*SHOWN[:7], number=2))
    assert found.effective == pytest.approx(1 + number_of_choices(40, 1) + number_of_choices(7, 1), abs=1)
    assert found.notes[0].startswith("2 screenings of these bars showed up to 40 features")
    assert found.notes[0].endswith("they count as 37 looks each at most.")


def test_a_ledger_keeps_the_names_and_says_nothing_of_them_for_other_looks(tmp_path):
    ledger = Ledger(tmp_path / "ledger.sqlite")
    entry = {"study": "s", "seed": 0, "data_fingerprint": "d", "code_commit": "c"}
    ledger.enter(LookEntry(kind="screening", identity={"job": "screen"}, features=SHOWN, **entry))
    ledger.enter(LookEntry(kind="training", identity={"job": "train"}, **entry))
    assert [look.features for look in Ledger(tmp_path / "ledger.sqlite").state().looks] == [SHOWN, ()]
    facts = [event.facts for event in ledger.state().chain.events if event.what == "enter"]
    assert ["features" in one for one in facts] == [True, False]


def test_the_best_of_a_screening_on_noise_does_not_pass_a_deflation_for_what_was_shown():
    """Each feature is a record of its own; who takes the best K together is deflated for the screening."""
    from evaluation.statistics.significance import deflated_probability

    drawn, passed, undeflated = np.random.default_rng(2), 0, 0
    for _ in range(60):
        records = drawn.normal(0.0, 0.01, (1000, 40))
        best = np.argsort(records.mean(axis=0))[-10:]
        taken = records[:, best].mean(axis=1)
        looks = 1.0 + feature_choices(screening(*SHOWN), [SHOWN[k] for k in best])
        passed += deflated_probability(taken, looks, None) >= 0.95
        undeflated += deflated_probability(taken, 2.0, None) >= 0.95
    assert undeflated > 50
    assert passed <= 6  # one in twenty is what the confidence leaves to luck
