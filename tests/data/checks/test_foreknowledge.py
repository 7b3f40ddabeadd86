"""Foreknowledge: a column that ranks the next bar's return too well is named, and no honest one is."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from data.checks import foreknowledge
from data.checks.foreknowledge import foreknown_columns, warn_of_foreknowledge
from data.checks.foreknown import EVERY_SYMBOL
from data.checks.later_returns import suspected
from data.known_columns import ColumnStatement
from data.schema import Panel
from data.sources import FilesConfig, load
from data.synthetic import NoiseConfig, make_market


def bars(seed: int, num_bars: int = 1200, num_assets: int = 3) -> Panel:
    law = NoiseConfig(
        seed=seed,
        num_bars=num_bars,
        num_assets=num_assets,
        bar_seconds=86400,
        start_utc="2015-01-01",
        volatility=0.01,
        noise_features=1,
        cost_bps=2.0,
    )
    return make_market(law).panel


def with_column(panel: Panel, values: np.ndarray) -> Panel:
    return replace(panel, exogenous={**panel.exogenous, "score": values})


def ahead(panel: Panel) -> np.ndarray:
    return np.vstack([panel.close[1:] / panel.close[:-1] - 1.0, np.full((1, panel.num_assets), np.nan)])


def mixed(panel: Panel, share: float, seed: int = 0) -> np.ndarray:
    """A column whose correlation with the next return is about `share`."""
    noise = np.random.default_rng(seed).normal(0.0, 0.01, panel.close.shape)
    return share * ahead(panel) + np.sqrt(1.0 - share**2) * noise


@pytest.mark.parametrize("share", [1.0, 0.8, -0.8])
def test_a_column_that_holds_the_next_return_is_named_for_every_symbol(share):
    panel = bars(1)
    found = foreknown_columns(with_column(panel, mixed(panel, share)))
    assert [(one.column, one.symbol) for one in found] == [("score", name) for name in panel.symbols]
    assert "known at the close?" in str(found[0])


def test_a_column_that_is_foreknown_for_one_symbol_only_is_found():
    panel = bars(2)
    values = np.random.default_rng(0).normal(size=panel.close.shape)
    values[:, 1] = mixed(panel, 0.9)[:, 1]
    assert [one.symbol for one in foreknown_columns(with_column(panel, values))] == [panel.symbols[1]]


def test_a_column_that_begins_late_is_asked_from_where_it_begins():
    panel = bars(1)
    values = mixed(panel, 0.8)
    values[: panel.num_bars // 3] = np.nan
    assert {one.column for one in foreknown_columns(with_column(panel, values))} == {"score"}
    assert foreknown_columns(with_column(panel, np.full(panel.close.shape, np.nan))) == ()


def test_short_histories_of_many_symbols_are_found_together():
    panel = bars(
        3, num_bars=240, num_assets=20
    )  # 60 bars a part: |t| of one symbol is about 60**0.5 * 0.6 = 4.6
    found = foreknown_columns(with_column(panel, mixed(panel, 0.6)))
    assert [(one.column, one.symbol) for one in found] == [("score", EVERY_SYMBOL)]


@pytest.mark.parametrize("of", ["close", "high", "low"])
def test_a_price_of_the_next_bar_is_found_though_its_level_ranks_nothing(of):
    panel = bars(4)
    prices = getattr(panel, of)
    found = foreknown_columns(with_column(panel, np.vstack([prices[1:], prices[-1:]])))
    assert {one.column for one in found} == {"score"}


@pytest.mark.parametrize("bars_ahead", [2, 3])
def test_a_return_further_ahead_is_found_and_called_so(bars_ahead):
    panel = bars(9)
    values = np.vstack([ahead(panel)[bars_ahead - 1 :], np.full((bars_ahead - 1, 3), np.nan)])
    found = foreknown_columns(with_column(panel, values))
    assert {one.bars_ahead for one in found} == {bars_ahead}
    assert f"the return {bars_ahead} bars ahead" in str(found[0])


def test_a_volume_that_carries_the_next_return_is_found():
    panel = bars(10)
    found = foreknown_columns(replace(panel, volume=1e6 * (1.0 + np.nan_to_num(ahead(panel)))))
    assert {one.column for one in found} == {"volume"}


def test_many_equal_and_missing_values_do_not_hide_it_and_do_not_make_it_up():
    panel = bars(5, num_bars=4000)
    signs = np.sign(ahead(panel)) * (
        np.random.default_rng(1).random(panel.close.shape) < 0.3
    )  # 70 % of it are zeros
    assert foreknown_columns(with_column(panel, np.where(signs == 0.0, 0.0, signs)))
    assert foreknown_columns(with_column(panel, np.where(signs == 0.0, np.nan, signs)))
    rare = np.zeros(panel.close.shape)
    rare[::500] = 1.0
    constant = np.full(panel.close.shape, 7.0)
    unknown = np.full(panel.close.shape, np.nan)
    for values in (rare, constant, unknown):
        assert not foreknown_columns(with_column(panel, values))


def test_what_is_honest_is_not_named():
    panel = bars(6)
    close = panel.close
    before = np.vstack([np.zeros((1, 3)), np.diff(np.log(close), axis=0)])
    for values in (
        before,
        np.vstack([close[:1], close[:-1]]),
        close,
        panel.volume,
        np.cumsum(before, axis=0),
    ):
        assert not foreknown_columns(with_column(panel, values))


def test_noise_raises_no_false_alarm():
    assert sum(len(foreknown_columns(bars(seed, num_bars=400, num_assets=2))) for seed in range(8)) == 0


def test_a_common_factor_of_many_symbols_is_one_look_and_not_twenty():
    # One column for all symbols, which all earn the same: t of a symbol is 3 to 5, and so is that of all of them.
    panel = bars(7, num_bars=2000, num_assets=1)
    same = {
        name: getattr(panel, name).repeat(20, axis=1) for name in ("open", "high", "low", "close", "volume")
    }
    many = replace(
        panel,
        symbols=tuple(f"S{i}" for i in range(20)),
        tradable=panel.tradable.repeat(20, axis=1),
        **same,
        exogenous={"score": mixed(panel, 0.2).repeat(20, axis=1)},
    )
    parts = [slice(k * 500, (k + 1) * 500) for k in range(4)]
    assert not suspected("score", many.exogenous["score"], many, parts)


def test_loading_says_it_and_a_stated_delay_ends_it(tmp_path, caplog):
    panel = with_column(bars(8, num_assets=1), mixed(bars(8, num_assets=1), 0.9))
    table = pd.DataFrame(
        {name: getattr(panel, name)[:, 0] for name in ("open", "high", "low", "close", "volume")}
    )
    table["timestamp"] = panel.bar_utc
    table.assign(vendor_score=panel.exogenous["score"][:, 0]).to_csv(tmp_path / "X.csv", index=False)
    config = FilesConfig(
        path=str(tmp_path),
        symbols=(),
        calendar="24/7",
        bar_seconds=86400,
        timezone="UTC",
        start_utc=None,
        stop_utc=None,
    )
    with caplog.at_level(logging.WARNING):
        as_read = load(config).panel
    assert "column 'vendor_score' (X) ranks the next bar's return" in caplog.text
    assert "data.columns.vendor_score.known_after: 1 bar" in caplog.text
    caplog.clear()
    late = {"vendor_score": ColumnStatement(known_after="1 bar")}
    with caplog.at_level(logging.WARNING):
        moved = load(replace(config, columns=late)).panel
    assert caplog.text == ""
    np.testing.assert_array_equal(moved.exogenous["vendor_score"][1:], as_read.exogenous["vendor_score"][:-1])


def test_bars_are_asked_once_and_what_they_say_is_said_each_time(monkeypatch, caplog):
    looked_at = []
    monkeypatch.setattr(foreknowledge, "_FOUND", {})
    monkeypatch.setattr(
        foreknowledge, "foreknown_columns", lambda p, s: looked_at.append((p, s)) or foreknown_columns(p, s)
    )
    panel = bars(seed=4)
    told = with_column(panel, ahead(panel))
    for asked, count in ((told, 1), (with_column(panel, ahead(panel)), 1), (panel, 2), (told, 2)):
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            warn_of_foreknowledge(asked, {})
        assert len(looked_at) == count
        assert ("column 'score'" in caplog.text) is (asked is not panel)
    warn_of_foreknowledge(told, {"score": ColumnStatement(known_after="0 bars")})
    assert len(looked_at) == 3
    foreknowledge._FOUND.update({(str(n), frozenset()): () for n in range(foreknowledge.MOST_KEPT)})
    warn_of_foreknowledge(bars(seed=5), {})  # of a few bars, for which there is room only without the oldest
    assert len(foreknowledge._FOUND) == foreknowledge.MOST_KEPT


@pytest.mark.parametrize("bars_ahead", [20, 48])
def test_a_label_of_many_bars_is_found_by_its_change_though_it_says_little_of_the_next_bar(bars_ahead):
    # Its rank correlation with the next return is 1 / sqrt(20) at most, a third of that under the slow noise.
    panel = bars(seed=8, num_bars=4000)
    close = np.log(panel.close)
    label = np.zeros(close.shape)
    label[:-bars_ahead] = close[bars_ahead:] - close[:-bars_ahead]
    noise = (
        pd.DataFrame(np.random.default_rng(0).normal(size=close.shape)).ewm(halflife=200).mean().to_numpy()
    )
    values = label / label.std() + 2.0 * noise / noise.std()
    found = foreknown_columns(with_column(panel, values))
    assert {one.bars_ahead for one in found} == {bars_ahead}
    assert "the change of column 'score' (SYN0) ranks the return" in str(found[0])


def test_trailing_returns_and_slow_levels_are_not_named_at_any_lead():
    for seed in range(4):
        panel = bars(seed=seed, num_bars=2000)
        close = np.log(panel.close)
        past = np.full(close.shape, np.nan)
        past[48:] = close[48:] - close[:-48]
        slow = pd.DataFrame(close).ewm(halflife=100).mean().to_numpy()
        columns = {"past": past, "level": close, "slow": slow, "price": panel.close}
        assert not foreknown_columns(replace(panel, exogenous=columns))
