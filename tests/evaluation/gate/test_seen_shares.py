"""How loudly a record says that it is not out of sample."""

from __future__ import annotations

import numpy as np
import pytest

from evaluation.gate.seen_shares import SeenShares, record_title, record_warning
from policies.origin import EARLIER, SEEN, UNSEEN


def labels(unseen: int, earlier: int = 0, seen: int = 0) -> np.ndarray:
    return np.repeat([UNSEEN, EARLIER, SEEN], [unseen, earlier, seen]).astype(np.int8)


@pytest.mark.parametrize(
    ("exposure", "title"),
    [
        (labels(10), "out of sample"),
        (labels(0, seen=10), "IN SAMPLE (100 % of the bars)"),
        (labels(9999, seen=1), "IN SAMPLE (1 % of the bars)"),  # never 0 % for a bar that was seen
        (labels(1, seen=9999), "IN SAMPLE (99 % of the bars)"),
        (labels(5, earlier=5), "WITH HINDSIGHT (50 %)"),
        (labels(0, earlier=3, seen=7), "IN SAMPLE (70 % of the bars) and WITH HINDSIGHT (30 %)"),
        (None, "NOT KNOWN TO BE OUT OF SAMPLE"),
    ],
)
def test_the_title_of_a_record_says_how_much_of_it_was_seen(exposure, title):
    assert record_title(exposure) == title


def test_only_a_record_out_of_sample_carries_no_warning():
    assert record_warning(labels(10)) == ""
    assert "1 of the 10 scored bars are in sample" in record_warning(labels(9, seen=1))
    assert "does not say what it has seen" in record_warning(None)


def test_shares_add_up():
    shares = SeenShares.of(labels(600, earlier=100, seen=300))
    assert (shares.in_sample, shares.hindsight, shares.total) == (0.3, 0.1, 0.4)
