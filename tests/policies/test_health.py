"""Healthy ranges of an update."""

from __future__ import annotations

import pytest

from policies.health import health_flags

GOOD = {"approx_kl": 0.005, "clip_fraction": 0.05, "explained_variance": 0.5, "progress": 0.5}


@pytest.mark.parametrize(
    ("changes", "flags"),
    [
        ({}, ()),
        ({"approx_kl": 0.002}, ("KL low",)),
        ({"approx_kl": 0.011, "clip_fraction": 0.09}, ("KL high", "clip high")),
        ({"clip_fraction": 0.02}, ("clip low",)),
        ({"explained_variance": -0.1}, ("value poor",)),
        ({"explained_variance": -0.1, "progress": 0.1}, ()),
        ({"approx_kl": float("nan")}, ()),
    ],
)
def test_what_lies_outside_its_range_is_named(changes, flags):
    assert health_flags(**GOOD | changes) == flags
