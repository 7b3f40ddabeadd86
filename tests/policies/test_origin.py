"""What a policy has seen: which bars are in sample, which are hindsight, and when time means nothing."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from data.coverage.coverage import Coverage
from data.schema import Panel
from policies.origin import EARLIER, SEEN, UNSEEN, Origin, SeenBars, duration

HOUR = 3600


def panel_of(seed: int, num_bars: int = 2400, symbols=("BTC", "ETH"), start="2020-01-01") -> Panel:
    random = np.random.default_rng(seed)
    close = 100.0 * np.exp(np.cumsum(0.01 * random.standard_normal((num_bars, len(symbols))), axis=0))
    bar_utc = np.datetime64(start, "ns") + np.arange(num_bars) * np.timedelta64(HOUR, "s")
    return Panel(
        symbols=symbols,
        bar_utc=bar_utc,
        open=close,
        high=close,
        low=close,
        close=close,
        volume=np.ones_like(close),
        tradable=np.ones(close.shape, dtype=bool),
        session=bar_utc.astype("datetime64[D]").astype(np.int32),
        calendar="24/7",
        bar_seconds=HOUR,
    )


def origin_of(panel: Panel, source: str, **bars: slice) -> Origin:
    return Origin(
        run_id="20260101T000000Z-aaaaaa",
        source=source,
        data_fingerprint=panel.fingerprint,
        symbols=panel.symbols,
        bar_seconds=panel.bar_seconds,
        seen=tuple(
            SeenBars(role=role, coverage=Coverage.of(panel, part, source=source))
            for role, part in bars.items()
        ),
    )


REAL = panel_of(1)
ORIGIN = origin_of(REAL, "files: a", training=slice(480, 1200), validation=slice(1248, 1440))


def runs(labels: np.ndarray) -> list[tuple[int, int]]:
    """(label, how many bars) of each stretch of equal labels."""
    edges = np.flatnonzero(np.diff(labels, prepend=-1))
    return [(int(labels[at]), int(n)) for at, n in zip(edges, np.diff(np.append(edges, len(labels))))]


def test_bars_are_seen_earlier_or_unseen_one_by_one():
    labels = ORIGIN.exposure(REAL, source="files: a")
    assert runs(labels) == [(EARLIER, 480), (SEEN, 720), (EARLIER, 48), (SEEN, 192), (UNSEEN, 960)]


@pytest.mark.parametrize(
    "other",
    [REAL.select(["ETH"]), REAL.select(["ETH", "BTC"]), replace(REAL, symbols=("X", "Y"))],
    ids=["one of its symbols", "another order", "other names"],
)
def test_a_bar_is_seen_where_one_symbol_was_seen_under_any_name_or_order(other):
    assert (ORIGIN.exposure(other, source="files: b") == ORIGIN.exposure(REAL, source="files: a")).all()


def test_one_seen_symbol_among_unseen_ones_suffices():
    stranger = panel_of(2, symbols=("LTC", "XRP"))
    columns = {
        name: np.column_stack([getattr(stranger, name)[:, 0], getattr(REAL, name)[:, 1]])
        for name in ("open", "high", "low", "close", "volume", "tradable")
    }
    mixed = replace(stranger, **columns)
    assert (ORIGIN.exposure(mixed, source="files: b") == SEEN).sum() == 720 + 192


def test_other_instruments_of_the_same_time_are_hindsight_and_later_ones_are_not():
    stranger = panel_of(2, symbols=("LTC", "XRP"))
    assert runs(ORIGIN.exposure(stranger, source="files: b")) == [(EARLIER, 1440), (UNSEEN, 960)]


def test_between_two_synthetic_markets_or_a_synthetic_and_a_real_one_time_means_nothing():
    drawn = panel_of(3, symbols=("SYN0", "SYN1"))
    made = origin_of(drawn, "synthetic: noise, seed=3", training=slice(480, 1200))
    other = panel_of(4, symbols=("SYN0", "SYN1"))
    assert (made.exposure(other, source="synthetic: noise, seed=4") == UNSEEN).all()
    assert (made.exposure(panel_of(2, symbols=("LTC", "XRP")), source="files: b") == UNSEEN).all()
    assert (ORIGIN.exposure(other, source="synthetic: noise, seed=4") == UNSEEN).all()
    assert runs(made.exposure(drawn, source="synthetic: noise, seed=3"))[:2] == [(EARLIER, 480), (SEEN, 720)]


def test_a_synthetic_market_written_to_files_or_drawn_longer_is_the_same_market():
    drawn = panel_of(3, symbols=("SYN0", "SYN1"))
    made = origin_of(drawn, "synthetic: noise, num_bars=2400, seed=3", training=slice(480, 1200))
    for source in ("files: exported", "synthetic: noise, num_bars=2500, seed=3"):
        assert runs(made.exposure(drawn, source=source)) == [(EARLIER, 480), (SEEN, 720), (UNSEEN, 1200)]


def test_one_seed_drawn_under_other_dates_is_no_other_market():
    drawn = panel_of(3, symbols=("SYN0", "SYN1"))
    made = origin_of(drawn, "synthetic: noise, seed=3, start_utc=2020-01-01", training=slice(480, 1200))
    later = replace(drawn, bar_utc=drawn.bar_utc + np.timedelta64(12_345, "h"))
    assert (made.exposure(later, source="synthetic: noise, seed=3, start_utc=2021-05-29") != UNSEEN).all()
    other = panel_of(4, symbols=("SYN0", "SYN1"), start="2021-05-29")
    assert (made.exposure(other, source="synthetic: noise, seed=4, start_utc=2021-05-29") == UNSEEN).all()


@pytest.mark.parametrize("days", [1, 28, 364, -90])
def test_copies_under_other_dates_are_seen(days):
    moved = replace(
        REAL, bar_utc=REAL.bar_utc + np.timedelta64(days, "D"), session=(REAL.session + days).astype(np.int32)
    )
    labels = ORIGIN.exposure(moved, source="files: b")
    assert (labels[480:1200] == SEEN).all()


def test_what_was_seen_survives_being_written_down():
    assert Origin.from_json(json.loads(json.dumps(ORIGIN.to_json()))) == ORIGIN


def test_an_unknown_role_is_refused():
    with pytest.raises(
        ValueError, match="the role of seen bars is 'looked_at'; it must be one of training, "
    ):
        SeenBars(role="looked_at", coverage=ORIGIN.seen[0].coverage)


def test_a_digest_depends_on_the_bars_and_on_nothing_else():
    assert replace(ORIGIN, run_id="20270101T000000Z-bbbbbb").digest == ORIGIN.digest
    stopped = (*ORIGIN.seen, SeenBars(role="early_stopping", coverage=ORIGIN.seen[1].coverage))
    assert replace(ORIGIN, seen=stopped).digest == ORIGIN.digest
    later = origin_of(REAL, "files: a", training=slice(481, 1201), validation=slice(1248, 1440))
    assert later.digest != ORIGIN.digest


@pytest.mark.parametrize(
    ("symbols", "seconds", "sentence"),
    [
        (("BTC", "ETH"), HOUR, None),
        (("ETH", "BTC"), HOUR, "was trained on the symbols BTC, ETH, in this order, and is given ETH, BTC;"),
        (("BTC",), HOUR, "and is given BTC;"),
        (("BTC", "ETH"), 86_400, "was trained on bars of 1 hour and is given bars of 1 day;"),
    ],
)
def test_other_symbols_and_bar_lengths_do_not_fit(symbols, seconds, sentence):
    found = ORIGIN.misfit(symbols, seconds)
    assert found is None if sentence is None else sentence in found


def test_a_duration_is_told_in_its_largest_whole_unit():
    assert [duration(s) for s in (60, 1800, 5400, 86_400, 45)] == [
        "1 minute",
        "30 minutes",
        "90 minutes",
        "1 day",
        "45 seconds",
    ]
