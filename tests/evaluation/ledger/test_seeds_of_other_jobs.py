"""Seeds that other jobs trained are found under other names of the same configuration, and on other dates."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from evaluation.ledger.other_seeds import returns_in_common, same_trainings
from evaluation.ledger.records import Look, Record, packed_instants, unpacked_instants

LABELS = np.datetime64("2024-01-01T00:00:00", "s") + 3600 * np.arange(100)
OWN = Look(
    number=1, kind="training", study="s", data_fingerprint="d", runs=("A",), coverages=(), status="finished",
    returns="own", instants="all", key="key own", identity="own", seed=2,
)  # fmt: skip
LOSER = replace(OWN, number=2, runs=("B",), seed=3, returns="loss", key="key B3", identity="other")
WINNER = replace(OWN, number=3, runs=("B",), seed=2, returns="gain", key="key B2", identity="other")
RECORD = Record.of(np.full(60, 0.01), LABELS[:60], 3600)


def seeds(looks, **weights: str) -> list[int | None]:
    given = {key.replace("_", " "): frozenset({policy}) for key, policy in weights.items()}
    return [look.seed for look in same_trainings(looks, "A", given)]


def test_a_configuration_is_known_by_its_name_its_returns_or_its_weights():
    assert seeds([OWN, LOSER]) == []
    assert seeds([OWN, replace(LOSER, identity="own")]) == [3]
    assert seeds([OWN, replace(WINNER, returns="own"), LOSER]) == [3]
    # Other dates give other returns, but the first fold's policy is the same.
    assert seeds([OWN, WINNER, LOSER], key_own="P", key_B2="P") == [3]
    assert seeds([OWN, WINNER, LOSER], key_own="P", key_B2="Q") == []
    assert seeds([OWN, WINNER, replace(LOSER, kind="re-scoring")], key_own="P", key_B2="P") == []


def common(*looks: Look) -> dict[int, np.ndarray]:
    labels = {"all": LABELS, "late": LABELS[40:], "few": LABELS[35:], "first": LABELS[:60]}
    earned = {name: np.arange(len(labels[name]), dtype=float) for name in labels}
    return returns_in_common(looks, RECORD, lambda hashes: labels, lambda hashes: earned)


def test_other_seeds_are_judged_on_the_bars_in_common():
    longer = replace(LOSER, instants="all", returns="all")
    np.testing.assert_array_equal(common(longer)[3], np.arange(60.0))
    assert common(replace(LOSER, instants="late", returns="late")) == {}  # 20 of 60
    assert common(replace(LOSER, instants="few", returns="few")) == {}  # 25 of 60
    assert common(replace(LOSER, instants="gone", returns="gone")) == {}
    # Of looks with as many bars the latest counts.
    both = common(longer, replace(LOSER, instants="first", returns="first"))
    np.testing.assert_array_equal(both[3], np.arange(60.0))


def test_labels_come_back_from_the_ledger_as_they_were_written():
    np.testing.assert_array_equal(unpacked_instants(packed_instants(LABELS)), LABELS)
