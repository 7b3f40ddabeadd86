"""Cheats of many kinds are found on few bars; honest features of many kinds pass; what cannot be checked is told."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
from random_markets import random_panel

from data.schema import Panel
from envs.checks.computed import Subject
from envs.checks.prefixes import compare_prefixes
from envs.checks.redraw import DOWN, GONE, UP, VARIANTS, Redraw
from envs.checks.sampling import Sampling, detectable_bars, needed_rows, required_bars

PANEL = random_panel(8, num_bars=1500, num_assets=3)
RARE = np.random.default_rng(3).uniform(size=PANEL.num_bars) < 1 / 200


def result(function, lookback=1, panel=PANEL, **options):
    def computed(bars):
        values = np.array(function(bars), dtype=np.float32)
        values[:lookback] = np.nan
        return values[..., None]

    subject = Subject(
        label="x", kinds=("feature",), names=("x",), lookback_bars=lookback, compute=computed, **options
    )
    return compare_prefixes(subject, panel, seed=1)


def ahead(values, bars=1):
    out = np.full(values.shape, np.nan)
    out[:-bars] = values[bars:]
    return out


def change(panel, bars=1):
    close = panel.last_close()
    return np.vstack([np.full((bars, close.shape[1]), np.nan), close[bars:] / close[:-bars] - 1.0])


PEEKS = {
    "next return": lambda p: ahead(p.last_close()) / p.last_close() - 1.0,
    "its sign": lambda p: np.sign(ahead(p.last_close()) - p.last_close()),
    "whether it rises": lambda p: ahead(p.last_close()) > p.last_close(),
    "only what is favourable": lambda p: np.maximum(ahead(p.last_close()) / p.last_close() - 1.0, 0.0),
    "range": lambda p: ahead(p.high / p.low),
    "colour of the candle": lambda p: ahead(p.close - p.open) > 0.0,
    "volume": lambda p: ahead(p.volume),
    "more volume": lambda p: ahead(p.volume) > p.volume,
    "tradable mask": lambda p: ahead(p.tradable.astype(float)),
    "missing bars": lambda p: np.isfinite(ahead(p.close)),
    "one symbol": lambda p: np.where(np.arange(3) == 2, ahead(p.last_close()), 0.0),
    "five bars on": lambda p: ahead(p.last_close(), 5),
    "fifty bars on": lambda p: ahead(p.last_close(), 50),
    "four hundred bars on": lambda p: ahead(p.last_close(), 400),
    "mean of the next twenty": lambda p: ahead(
        pd.DataFrame(p.last_close()[::-1]).rolling(20).mean()[::-1].to_numpy()
    ),
}


@pytest.mark.parametrize("peek", PEEKS)
def test_a_peek_on_one_bar_in_two_hundred_is_found_and_named(peek):
    def cheating(panel):
        seen = np.nan_to_num(np.asarray(PEEKS[peek](panel), dtype=float), nan=-1.0)
        return np.where(RARE[: panel.num_bars, None], seen, change(panel))

    (finding,) = result(cheating).findings
    assert (finding.kind, finding.culprit) == ("feature", "x")
    assert RARE[finding.last_bar]


@pytest.mark.parametrize(
    "cheating",
    [
        lambda p: (p.last_close() - np.nanmean(p.close, axis=0)) / np.nanstd(p.close, axis=0),
        lambda p: pd.DataFrame(p.last_close()).rank(pct=True).to_numpy(),
        lambda p: pd.DataFrame(p.last_close()[::-1]).ewm(span=20).mean()[::-1].to_numpy(),
        lambda p: change(p) + np.arange(p.num_bars)[::-1, None],
        lambda p: change(p) * 0.0 + np.append(np.diff(p.session), 0)[:, None],
    ],
    ids=["normaliser", "rank", "backward filter", "bars until the end", "last bar of the session"],
)
def test_statistics_of_the_whole_sample_and_of_the_grid_are_found(cheating):
    assert [finding.kind for finding in result(cheating).findings] == ["feature"]


HONEST = {
    "change": (change, 1),
    "rolling deviation": (lambda p: pd.DataFrame(p.last_close()).rolling(9).std().to_numpy(), 9),
    "rank among assets": (lambda p: np.argsort(np.argsort(change(p, 3), axis=1), axis=1), 3),
    "exponential mean": (lambda p: pd.DataFrame(p.last_close()).ewm(span=3).mean().to_numpy(), 80),
    "sum of all volume": (lambda p: np.cumsum(p.volume, axis=0), 0),
    "expanding rank": (lambda p: p.last_close() / np.fmax.accumulate(p.high, axis=0), 0),
}


@pytest.mark.parametrize("name", HONEST)
def test_honest_features_pass_however_they_remember(name):
    compared = result(*HONEST[name], panel=PANEL.slice_bars(0, 700))
    assert not compared.findings
    assert compared.sampling.sufficient


def test_a_lookback_that_is_declared_too_short_is_told_and_is_no_leak():
    compared = result(lambda p: change(p, 20), 1)
    assert not compared.findings
    # 20, or a few more where the bar 20 back is missing and the last known one is older.
    assert re.match(r"'x' reads 2\d bars back or more, but declares 1", compared.notes[0])
    assert compared.sampling.sufficient


def test_a_rare_peek_behind_a_false_lookback_is_found():
    def cheating(panel):
        return np.where(RARE[: panel.num_bars, None], np.nan_to_num(ahead(panel.close)), change(panel, 20))

    assert "up to 1 bar(s) ahead" in str(result(cheating, 1).findings[0])


def test_a_random_feature_is_told_as_such_and_not_as_a_leak():
    (finding,) = result(lambda p: np.random.default_rng().normal(size=p.close.shape)).findings
    assert not finding.is_leak
    assert "cannot be checked: computed again from the same bars it differs" in str(finding)


def test_a_feature_that_peeked_only_in_what_is_trained_on_is_told():
    honest = np.array(change(PANEL), dtype=np.float32)[..., None]
    honest[:1] = np.nan
    used = honest.copy()
    used[700] += 1.0
    (finding,) = result(change, used=used).findings
    assert "differs from what it was trained on" in str(finding)


def test_a_feature_that_reads_no_bar_is_called_out():
    fixed = np.random.default_rng(0).normal(size=PANEL.close.shape)
    compared = result(lambda p: fixed[: p.num_bars])
    assert not compared.findings
    assert "does not depend on any bar" in compared.notes[0]


def test_a_feature_that_is_too_slow_is_not_taken_for_checked():
    subject = Subject(
        label="x", kinds=("feature",), names=("x",), lookback_bars=1, compute=lambda p: change(p)[..., None]
    )
    compared = compare_prefixes(subject, PANEL, max_seconds=0.0)
    assert "is too slow" in compared.notes[0]
    assert not compared.sampling.sufficient


@pytest.mark.parametrize("variant", VARIANTS)
def test_redrawn_bars_are_valid_and_all_differ_and_are_put_back(variant):
    redraw = Redraw(PANEL, 5)
    with redraw.after(99, variant) as panel:
        later = Panel(
            **{
                name: getattr(panel, name)
                for name in (
                    "symbols",
                    "bar_utc",
                    "open",
                    "high",
                    "low",
                    "close",
                    "volume",
                    "tradable",
                    "session",
                    "calendar",
                    "bar_seconds",
                    "exogenous",
                )
            }
        ).slice_bars(100, 1500)
        own = PANEL.slice_bars(100, 1500)
        known = np.isfinite(own.close)
        assert not (later.close[known] == own.close[known]).any()
        assert np.isfinite(later.close[known]).all() == (variant != GONE)
    assert redraw.view().fingerprint == PANEL.fingerprint


def test_up_and_down_are_the_reverse_of_each_other():
    redraw = Redraw(PANEL, 5)
    known = np.isfinite(PANEL.close)
    moves = {}
    for variant in (UP, DOWN):
        with redraw.after(-1, variant) as panel:
            moves[variant] = np.log(panel.close / PANEL.close)[known]
    np.testing.assert_allclose(moves[UP], -moves[DOWN], rtol=1e-9)
    assert (moves[UP] > np.log(2.0)).all()


def test_the_number_of_cuts_is_that_of_a_hand_count():
    # One bar in 1,000 of 35,000 is 35 bars: 1 - 0.005^(1/35) = 14.05 % of all bars miss all of them in 1 of 200 checks.
    assert required_bars(35_000) == 35
    assert needed_rows(35_000) == 4_917
    # Half of the bars tested: 7 peeks are missed with probability 1/128, 6 with 1/64.
    assert detectable_bars(0.5, 1000) == 7
    assert detectable_bars(1.0, 1000) == 1
    assert not Sampling(name="x", num_rows=35_000, tested_rows=300, computations=9).sufficient
