"""Weights that did not come out of what their training told the ledger are doubted; honest ones never are."""

from __future__ import annotations

from dataclasses import replace

import pytest

from evaluation.ledger.ledger import Ledger, LookEntry
from evaluation.ledger.trained_weights import WeightsNote, doubts

ENTRY = LookEntry(
    kind="training", study="s", identity={"a": 1}, seed=2, data_fingerprint="d", code_commit="c", run="A"
)
BASE = WeightsNote(
    kind="policy", fold=0, seed=2, digest="P", after="", repeatable=True, arithmetic="torch 2, AVX512"
)


@pytest.fixture
def ledger(tmp_path):
    return Ledger(tmp_path / "ledger.sqlite")


def checkpoint(digest: str, after: str = "", **others) -> WeightsNote:
    return replace(BASE, kind="checkpoint", digest=digest, after=after, **others)


def found(ledger: Ledger, run: str) -> tuple[str, ...]:
    return doubts(ledger.state().chain.events, run)


STRAYED = "the training of fold 0, seed 2 went on from files that the ledger does not hold of this run"
OTHER = "the same configuration, data, code and seed gave other weights before (fold 0, seed 2)"


def test_trainings_that_run_through_go_on_or_are_repeated_are_not_doubted(ledger):
    for note in (checkpoint("c1"), checkpoint("c2"), checkpoint("c3", "c2"), replace(BASE, after="c3")):
        ledger.note_weights(note, ENTRY, "A")
    assert found(ledger, "A") == ()
    ledger.note_weights(checkpoint("x"), ENTRY, "B")
    ledger.note_weights(replace(BASE), ENTRY, "B")
    assert found(ledger, "B") == ()
    assert found(ledger, "of an earlier release") == ()


@pytest.mark.parametrize(
    "before",
    [
        [],
        [checkpoint("c1")],
        [checkpoint("c3", "planted")],  # told, but by a training that went on from a file that nobody told of
        [checkpoint("c3", seed=3)],
        [checkpoint("c3", fold=1)],
        [replace(BASE, digest="c3")],
    ],
)
def test_a_line_of_checkpoints_that_leaves_what_was_told_is_named(ledger, before):
    for note in before:
        ledger.note_weights(note, ENTRY, "A")
    ledger.note_weights(replace(BASE, after="c3"), ENTRY, "A")
    assert STRAYED in found(ledger, "A")


def test_a_copy_under_another_id_and_a_configuration_that_was_changed_on_the_way_are_named(ledger):
    ledger.note_weights(checkpoint("c1"), ENTRY, "A")
    ledger.note_weights(replace(BASE, after="c1"), ENTRY, "copy")
    assert found(ledger, "copy") == (STRAYED,)
    ledger.note_weights(replace(BASE, after="c1"), replace(ENTRY, identity={"a": 2}), "A")
    assert found(ledger, "A") == (STRAYED,)


def test_other_weights_of_the_same_training_are_a_contradiction_whatever_the_run(ledger):
    ledger.note_weights(BASE, ENTRY, "A")
    ledger.note_weights(replace(BASE, digest="Q"), ENTRY, "B")
    assert found(ledger, "B") == (OTHER,)


@pytest.mark.parametrize(
    ("note", "entry"),
    [
        (replace(BASE, digest="Q", repeatable=False), ENTRY),  # nudged, or with remote samplers
        (replace(BASE, digest="Q", arithmetic="torch 2, AVX2"), ENTRY),
        (replace(BASE, digest="Q", seed=3), ENTRY),
        (replace(BASE, digest="Q", fold=1), ENTRY),
        (replace(BASE, digest="Q"), replace(ENTRY, code_commit="another")),
        (replace(BASE, digest="Q"), replace(ENTRY, data_fingerprint="another")),
    ],
)
def test_trainings_that_may_give_other_weights_contradict_nothing(ledger, note, entry):
    ledger.note_weights(BASE, ENTRY, "A")
    ledger.note_weights(note, entry, "B")
    assert found(ledger, "B") == ()


def test_many_folds_make_one_short_phrase(ledger):
    for fold in range(5):
        ledger.note_weights(replace(BASE, fold=fold, after="nowhere"), ENTRY, "A")
    assert found(ledger, "A")[0].startswith(
        "the training of fold 0, seed 2 and fold 1, seed 2 and fold 2, seed 2 and 2 more went on"
    )
