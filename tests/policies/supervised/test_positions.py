"""Predictions become the sides and sizes that the rules say, worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from fitted_world import positions, settings
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from policies.supervised.positions import held, target_positions
from policies.supervised.settings import require_driven, require_symbols


def targets(long, short, *, bound=0.0, tradable=None, allow_short=True, edge=None, **config):
    strength = np.stack([np.atleast_2d(long), np.atleast_2d(short)], axis=-1).astype(float)
    tradable = np.ones(strength.shape[:2], dtype=bool) if tradable is None else np.atleast_2d(tradable)
    return target_positions(
        strength, strength if edge is None else edge, tradable, positions(**config), bound=bound,
        allow_short=allow_short,
    )[0].tolist()  # fmt: skip


def test_a_side_is_taken_from_its_threshold_on_at_the_fraction_of_equity():
    long = np.array([0.56, 0.559, 0.3, 0.44, 0.5])
    assert targets(long, 1.0 - long, bound=0.56) == [0.25, 0.0, -0.25, -0.25, 0.0]
    assert targets(long, 1.0 - long, bound=0.56, sides="long") == [0.25, 0.0, 0.0, 0.0, 0.0]
    assert targets(long, 1.0 - long, bound=0.56, sides="short") == [0.0, 0.0, -0.25, -0.25, 0.0]
    assert targets(long, 1.0 - long, bound=0.56, allow_short=False) == [0.25, 0.0, 0.0, 0.0, 0.0]
    assert targets(long, 1.0 - long, bound=0.56, sides="short", allow_short=False) == [0.0] * 5


def test_of_two_sides_that_both_pay_the_likelier_is_taken():
    assert targets([0.7, 0.6, 0.65], [0.6, 0.7, 0.65], bound=0.56) == [0.25, -0.25, 0.0]


def test_size_grows_with_the_edge_over_the_cost_up_to_its_cap():
    # Cost 4 bps; edges of 4, 8, 6 and 80 bps and -8: nothing, one, half a, capped, and one fraction short.
    edge = np.array([4e-4, 8e-4, 6e-4, 8e-3, -8e-4])
    found = targets(edge, -edge, rule="edge")
    assert found == pytest.approx([0.0, 0.25, 0.125, 0.5, -0.25])


def test_an_edge_that_is_net_of_its_cost_has_paid_it_already():
    # 4 bps of cost, 4, 2, 40 and -1 bps left over: one fraction, half of one, the cap, none.
    edge = np.array([[[4e-4, -1.0], [-1.0, 2e-4], [4e-3, -1.0], [-1e-4, -1.0]]])
    found = target_positions(
        edge, edge, np.ones((1, 4), dtype=bool), positions(rule="edge"), bound=0.0, allow_short=True, net=True
    )  # fmt: skip
    assert found[0].tolist() == pytest.approx([0.25, -0.125, 0.5, 0.0])


def test_where_no_side_may_be_taken_there_is_no_position():
    nothing = np.full((1, 3, 2), -np.inf)
    for rule in ("threshold", "share", "edge"):
        found = target_positions(
            nothing, nothing, np.ones((1, 3), dtype=bool), positions(rule=rule), bound=0.5, allow_short=True
        )  # fmt: skip
        assert found[0].tolist() == [0.0, 0.0, 0.0]


def test_the_best_and_the_worst_share_of_the_tradable_symbols_are_held():
    score = np.array([5.0, 1.0, 9.0, 2.0, 3.0, 4.0])
    zero = np.zeros(6)
    # A third of six symbols: two each way.
    assert targets(score, zero, rule="rank", share=0.34) == [0.25, -0.25, 0.25, -0.25, 0.0, 0.0]
    # The best of all does not trade: a third of five is one each way.
    known = [True, True, False, True, True, True]
    assert targets(score, zero, tradable=known, rule="rank", share=0.34) == [0.25, -0.25, 0.0, 0.0, 0.0, 0.0]
    assert targets(zero, zero, rule="rank", share=0.34) == [0.0] * 6
    assert targets(score, zero, tradable=[True] + [False] * 5, rule="rank", share=0.34) == [0.0] * 6


def test_a_side_is_kept_for_as_long_as_it_must_be():
    position, age, seen = np.zeros((1, 1)), np.zeros((1, 1), dtype=np.int64), []
    for wanted in (0.2, -0.2, 0.0, 0.1, -0.2, -0.2, 0.2):
        position, age = held(np.array([[wanted]]), position, age, 3)
        seen.append(float(position[0, 0]))
    # The first long is kept for three bars, with a smaller size where that is wanted; then the short, for three.
    assert seen == [0.2, 0.2, 0.2, 0.1, -0.2, -0.2, -0.2]


@given(
    arrays(np.float64, (3, 5), elements=st.floats(-2.0, 2.0)),
    arrays(np.bool_, (3, 5)),
    st.floats(0.01, 0.5),
    st.sampled_from(["both", "long", "short"]),
)
def test_a_ranking_never_holds_a_symbol_both_ways_and_no_long_is_worse_than_a_short(
    score, tradable, share, sides
):
    found = target_positions(
        np.stack([score, -score], axis=-1), np.zeros((3, 5, 2)), tradable,
        positions(rule="rank", share=share, sides=sides), bound=0.0, allow_short=True,
    )  # fmt: skip
    assert not found[~tradable].any()
    for row, values in zip(found, score):
        if (row > 0.0).any() and (row < 0.0).any():
            assert values[row > 0.0].min() >= values[row < 0.0].max()
        assert (row > 0.0).sum() <= max(1, int(share * 5))


@pytest.mark.parametrize(
    ("given_", "sentence"),
    [
        ({"threshold": 0.4}, r"threshold is 0.4; it must be a probability in \[0.5, 1\)"),
        ({"rule": "rank", "share": 0.6}, r"share is 0.6; under rule rank it must lie in \(0, 0.5\]"),
        ({"fraction": 0.6}, "fraction is 0.6 and position.max_fraction 0.5"),
        ({"rule": "edge", "round_trip_cost": 0.0}, "round_trip_cost is 0.0; rule edge measures"),
        ({"hold_bars": 0}, "hold_bars is 0; it must be at least 1 bar"),
    ],
)
def test_positions_that_mean_nothing_are_refused(given_, sentence):
    with pytest.raises(ValueError, match=sentence):
        positions(**given_)


def test_a_rule_that_its_model_cannot_feed_is_refused():
    with pytest.raises(ValueError, match="threshold, of a probability, but ridge gives none"):
        settings("ridge", rule="threshold")
    with pytest.raises(ValueError, match="lightgbm_rank orders the symbols of a bar"):
        settings("lightgbm_rank", rule="share")
    with pytest.raises(ValueError, match="rank, of the symbols of a bar, but the data have 1"):
        require_symbols(settings("lightgbm_rank"), 1)
    with pytest.raises(ValueError, match="long_flat, which a supervised policy cannot drive"):
        require_driven("long_flat")
