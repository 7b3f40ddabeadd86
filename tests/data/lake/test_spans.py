"""Spans of time: what is left when others are taken away, against sets of whole instants."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from data.lake.spans import Span, inside, merged, months, without

spans = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)).map(lambda pair: Span(*pair)), max_size=8)


def instants(many) -> set[int]:
    return {moment for span in many for moment in range(span.start, span.stop)}


@settings(max_examples=40)
@given(spans)
def test_merged_spans_hold_the_same_instants_and_never_touch(many):
    joined = merged(many)
    assert instants(joined) == instants(many)
    assert all(one.stop < other.start for one, other in zip(joined, joined[1:]))


@settings(max_examples=40)
@given(spans, st.integers(0, 20), st.integers(1, 20))
def test_what_is_left_of_a_span_and_what_was_taken_are_the_whole(many, start, length):
    whole = Span(start, start + length)
    left = without(whole, many)
    assert instants(left) == instants([whole]) - instants(many)
    assert left == merged(left)


@settings(max_examples=40)
@given(spans)
def test_an_instant_is_inside_where_one_of_the_spans_holds_it(many):
    moments = np.arange(-1, 42)
    assert set(moments[inside(moments, many)]) == instants(many)


def test_a_span_is_cut_at_the_turn_of_each_month():
    start, stop = np.datetime64("2023-12-30T12:00", "ns"), np.datetime64("2024-02-01", "ns")
    shares = months(Span(int(start.astype(np.int64)), int(stop.astype(np.int64))))
    assert [month for month, _ in shares] == ["2023-12", "2024-01"]  # the stop itself is not in it
    assert shares[0][1].stop == shares[1][1].start == int(np.datetime64("2024-01-01", "ns").astype(np.int64))
