"""Stand-in markets: real sessions, the stylised facts they claim, and nothing to earn."""

from dataclasses import replace

import numpy as np
import pytest
from stand_in_law import FLAT, LAW, PLAIN, PUBLISHED, A, law

from data.calendars import bar_grid, periods_per_year
from data.sources import describe, load
from data.stand_in import ActiveHours, SpreadEdge, make_stand_in
from data.stand_in.hours import trading_hours
from data.stand_in.shocks import session_variance, stationary_ar1
from data.stand_in.ticks import tick_prices, walk_ticks


@pytest.fixture(scope="module")
def panel():
    return make_stand_in(law())


@pytest.fixture(scope="module")
def plain():
    return make_stand_in(law(**PLAIN))


def inside(panel):
    """(T, A) log returns from open to close of each bar."""
    return np.log(panel.close / panel.open)


def nights(panel):
    """(S - 1, A) log returns from each session's last close to the next one's first open."""
    first = np.flatnonzero(np.diff(panel.session)) + 1
    return np.log(panel.open[first] / panel.close[first - 1])


def autocorrelation(values, lag):
    centred = values - values.mean()
    return float((centred[:-lag] * centred[lag:]).mean() / (centred**2).mean())


def test_the_same_seed_gives_the_same_market_and_another_seed_another(panel):
    assert make_stand_in(law()).fingerprint == panel.fingerprint
    assert make_stand_in(law(seed=2)).fingerprint != panel.fingerprint


def test_more_bars_or_another_symbol_change_nothing_that_was_there(panel):
    longer = make_stand_in(law(num_bars=21_000, symbols={"C": A, **LAW["symbols"]}))
    np.testing.assert_array_equal(longer.close[:20_000, 1:], panel.close)
    np.testing.assert_array_equal(longer.volume[:20_000, 1:], panel.volume)


def test_its_symbols_say_that_they_are_made_and_its_line_that_it_is_drawn(panel):
    assert panel.symbols == ("SYN_A", "SYN_B")
    assert describe(law()).startswith("synthetic: stand_in, seed=1, start_utc=2018-01-02, symbols=A B, law=")
    assert describe(law()) != describe(law(drift=0.01))
    assert load(law(num_bars=500)).oracle_direction is None


@pytest.mark.parametrize(
    ("calendar", "bar_seconds"),
    [("NYSE", 60), ("NYSE", 86_400), ("CME Globex Equity", 300), ("24/7", 900)],
)
def test_its_bars_are_those_that_the_calendar_expects(calendar, bar_seconds):
    drawn = make_stand_in(law(calendar=calendar, bar_seconds=bar_seconds, num_bars=600))
    grid = bar_grid(calendar, bar_seconds, "2018-01-02", "2021-01-01")
    np.testing.assert_array_equal(drawn.bar_utc, grid.bar_utc[:600])
    np.testing.assert_array_equal(drawn.session, grid.session[:600])


def test_prices_are_positive_whole_ticks_and_bars_are_consistent(panel):
    for values in (panel.open, panel.high, panel.low, panel.close):
        assert (values > 0.0).all()
        np.testing.assert_array_equal(values, np.round(values, 2))
    assert (panel.volume >= 1.0).all()
    same_session = np.diff(panel.session) == 0
    np.testing.assert_array_equal(panel.open[1:][same_session], panel.close[:-1][same_session])


def test_plain_returns_have_the_volatility_and_the_correlation_of_their_factors(plain):
    moves = inside(plain)
    # 4 / 5 of a day's variance falls into 78 equal bars, and 252 days or so make a year.
    expected = np.array([0.3, 0.4]) * np.sqrt(0.8 / 78 / periods_per_year("NYSE", 86_400))
    # A standard deviation of n normal draws has a relative standard error of 1 / sqrt(2 n) = 0.5 %; half-days: less.
    np.testing.assert_allclose(moves.std(axis=0), expected, rtol=0.02)
    shared = 1.0 * 1.5 * 0.16**2 + 1.0 * 1.0 * 0.2**2
    assert np.corrcoef(moves.T)[0, 1] == pytest.approx(shared / (0.3 * 0.4), abs=4.0 / np.sqrt(len(moves)))


def test_the_night_has_its_share_of_a_days_variance(plain):
    gap, day = nights(plain), inside(plain)
    share = (gap**2).mean(axis=0) / ((gap**2).mean(axis=0) + 78 * (day**2).mean(axis=0))
    # The variance of 256 normal gaps has a relative standard error of sqrt(2 / 256) = 9 %, its share of a fifth 7 %.
    np.testing.assert_allclose(share, 0.2, rtol=0.25)


def test_a_market_that_never_closes_has_no_gap():
    always = make_stand_in(law(calendar="24/7", overnight_share=0.0, num_bars=3000))
    np.testing.assert_array_equal(always.open[1:], always.close[:-1])


def test_student_tails_are_there_and_go_when_asked(panel, plain):
    def kurtosis(moves):
        return (moves**4).mean(axis=0) / (moves**2).mean(axis=0) ** 2

    # Normal: 3, standard error sqrt(24 / 20,000) = 0.035. A sum of factors with 4 degrees of freedom: far above.
    np.testing.assert_allclose(kurtosis(inside(plain)), 3.0, atol=0.2)
    assert (kurtosis(inside(panel)) > 6.0).all()


def test_the_middle_of_one_factors_draws_is_that_of_student_t():
    # One symbol that is the market alone; 8 degrees of freedom: kurtosis 3 (v - 2) / (v - 4) = 4.5.
    alone = replace(A, beta=1.0, volatility=0.3, group=None, group_beta=0.0, tick=1e-6)
    drawn = make_stand_in(
        law(**PLAIN | {"degrees_of_freedom": 8.0}, symbols={"A": alone}, groups={}, market_volatility=0.3)
    )
    move = inside(drawn)[:, 0] / inside(drawn)[:, 0].std()
    # Quantile of |t(8)| at one half: 0.706, in units of its standard deviation sqrt(8 / 6): 0.612 (normal: 0.674).
    assert np.median(np.abs(move)) == pytest.approx(0.612, abs=0.015)


def test_size_clusters_and_sign_does_not(panel, plain):
    noise = 4.0 / np.sqrt(panel.num_bars)
    for asset in range(2):
        move = inside(panel)[:, asset]
        # By rank, as the autocorrelation of products is not finite for four degrees of freedom.
        size = np.argsort(np.argsort(np.abs(move))).astype(float)
        assert autocorrelation(size, 1) > 0.05
        assert autocorrelation(size, 78) > noise
        assert abs(autocorrelation(np.sign(move), 1)) < noise
        assert abs(autocorrelation(np.abs(inside(plain)[:, asset]), 1)) < noise


def test_the_days_shape_is_the_published_one():
    # Normal draws without clusters leave the shape alone; 256 days by bar of the day.
    shaped = make_stand_in(law(**PLAIN | {"volatility_shape": PUBLISHED, "volume_shape": PUBLISHED}))
    hours = trading_hours(law())
    full = np.bincount(hours.place)[hours.place] == 78
    moves = inside(shaped)[full].reshape(-1, 78, 2)
    x = (np.arange(78) + 0.5) / 78
    level = 0.88929198 + 0.75 * np.exp(-10.0 * x) + 0.25 * np.exp(-10.0 * (1.0 - x))
    found = np.sqrt((moves**2).mean(axis=(0, 2)))
    # 2 x 250 draws a bar: standard error of a deviation 1 / sqrt(1,000) = 3 %, more as the two are not independent.
    np.testing.assert_allclose(found / found.mean(), level / level.mean(), rtol=0.2)
    volume = shaped.volume[full].reshape(-1, 78, 2).mean(axis=(0, 2))
    np.testing.assert_allclose(volume / volume.mean(), level / level.mean(), rtol=0.1)


def test_volume_goes_with_the_size_of_returns(panel, plain):
    for asset in range(2):
        moving = np.corrcoef(np.abs(inside(panel)[:, asset]), panel.volume[:, asset])[0, 1]
        assert moving > 0.2
        still = np.corrcoef(np.abs(inside(plain)[:, asset]), plain.volume[:, asset])[0, 1]
        assert abs(still) < 4.0 / np.sqrt(panel.num_bars)


def test_active_hours_are_busier_than_the_rest_of_the_session_in_summer_and_winter():
    hours = ActiveHours(open="09:30", close="16:00", timezone="America/New_York")
    drawn = trading_hours(
        law(
            calendar="CME Globex Equity",
            overnight_share=0.0,
            active_hours=hours,
            volatility_shape=FLAT,
            num_bars=40_000,
        )
    )
    busy = drawn.variance_share > drawn.variance_share.min()
    # 09:30 in New York is 13:30 UTC in summer, 14:30 in winter; half the level outside is a quarter of the variance.
    for day, first in (("2018-07-10", "13:30"), ("2018-02-06", "14:30")):
        of_day = drawn.bar_utc.astype("datetime64[D]") == np.datetime64(day)
        assert drawn.bar_utc[of_day & busy][0] == np.datetime64(f"{day}T{first}")
    assert drawn.variance_share.max() / drawn.variance_share.min() == pytest.approx(4.0)


def test_variance_follows_garch_by_hand():
    # h1 = 1; h2 = 0.1 + (0.2 x 4 + 0.7) x 1 = 1.6; h3 = 0.1 + (0.2 x 0 + 0.7) x 1.6 = 1.22.
    found = session_variance(np.array([2.0, 0.0, 9.9]), news=0.2, memory=0.7)
    np.testing.assert_allclose(found, [1.0, 1.6, 1.22])


def test_the_spread_is_a_stationary_ar1():
    drawn = stationary_ar1(np.random.default_rng(0), 100_000, kept=0.5, size=2.0)
    assert drawn.std() == pytest.approx(2.0, rel=0.02)
    assert autocorrelation(drawn, 1) == pytest.approx(0.5, abs=0.02)


def test_rounding_to_ticks_keeps_the_mean_and_reaches_as_far_as_a_brownian_motion():
    # From 50 ticks by +0.7 %: 50.35, so 51 with probability 0.35.
    count, rng = 40_000, np.random.default_rng(3)
    bars, one = np.empty((1, 4), dtype=np.int64), np.ones(1)
    draws, closes = rng.random((count, 1, 4)), []
    for draw in draws:
        assert walk_ticks(50, 0.0 * one, 0.007 * one, 0.0 * one, draw, bars) == 0
        closes.append(bars[0, 3])
    assert set(closes) == {50, 51}
    assert np.mean(closes) == pytest.approx(50.35, abs=4 * np.sqrt(0.35 * 0.65 / count))
    # From 1e6 to 1e6 ticks with a deviation of 1 %: P(max >= 1 %) = exp(-2) for the bridge.
    highs = []
    for draw in draws:
        walk_ticks(1_000_000, 0.0 * one, 0.0 * one, 1e-4 * one, draw, bars)
        highs.append(np.log(bars[0, 1] / 1e6))
    share = np.exp(-2.0)
    assert np.mean(np.array(highs) >= 0.01) == pytest.approx(
        share, abs=4 * np.sqrt(share * (1 - share) / count)
    )


def test_prices_of_ticks_are_the_decimals_that_a_venue_prints():
    np.testing.assert_array_equal(tick_prices(np.array([7, 29]), 0.01), [0.07, 0.29])
    np.testing.assert_array_equal(tick_prices(np.array([3]), 0.25), [0.75])
    np.testing.assert_array_equal(tick_prices(np.array([3]), 5.0), [15.0])


def test_nothing_is_earned_by_following_or_fading_the_last_bar_or_by_a_stop():
    many = make_stand_in(law(num_bars=78 * 700, symbols={"A": replace(A, price=500.0)}))
    opened, close, low = many.open[:, 0], many.close[:, 0], many.low[:, 0]
    later, before = close[1:] / opened[1:] - 1.0, np.sign(close[:-1] / opened[:-1] - 1.0)
    gain = before * later
    assert abs(gain.mean()) < 4.0 * gain.std() / np.sqrt(len(gain))
    # Long from the open, out at a stop 10 bps below where it is touched, else at the close.
    stop = np.floor(opened * 0.999 * 100) / 100
    out = np.where(low <= stop, stop, close) / opened - 1.0
    assert abs(out.mean()) < 4.0 * out.std() / np.sqrt(len(out))


def test_a_planted_spread_is_what_the_next_move_of_the_pair_reverts_by():
    edge = SpreadEdge(pair=("A", "B"), size=0.01, half_life_bars=10.0, shown=True)
    drawn = make_stand_in(law(edge=edge))
    spread = drawn.exogenous["spread"]
    np.testing.assert_array_equal(spread[:, 0], -spread[:, 1])
    assert spread[:, 0].std() == pytest.approx(0.01, rel=0.15)
    move = inside(drawn)
    ratio = move[1:, 0] - move[1:, 1]
    slope = np.polyfit(spread[:-1, 0], ratio, 1)[0]
    # A half-life of 10 bars takes 1 - 0.5^0.1 = 6.7 % of it a bar.
    assert slope == pytest.approx(-(1.0 - 0.5**0.1), abs=0.015)
    assert "spread" not in make_stand_in(law(edge=replace(edge, shown=False), num_bars=100)).exogenous


def test_funding_is_one_number_for_eight_hours_and_pays_neither_side():
    drawn = make_stand_in(
        law(calendar="24/7", bar_seconds=3600, num_bars=24 * 300, overnight_share=0.0, funding_sd=1e-4)
    )
    rate = drawn.exogenous["funding_rate"].reshape(900, 8, 2)
    assert (rate == rate[:, :1]).all()
    assert rate[:, 0].std() == pytest.approx(1e-4, rel=0.1)
    assert abs(rate[:, 0].mean()) < 4.0 * 1e-4 / np.sqrt(1800)


def test_drift_is_earned_by_holding():
    moves = [inside(make_stand_in(law(**PLAIN, drift=drift)))[:, 0] for drift in (0.0, 0.5)]
    a_year = periods_per_year("NYSE", 300)
    # The same draws, so that the difference is the drift of beta 1 alone, less what half-days lack.
    assert (moves[1] - moves[0]).mean() * a_year == pytest.approx(0.5, rel=0.03)


def test_a_price_that_falls_to_one_tick_is_refused():
    doomed = replace(A, price=0.2, volatility=3.0, beta=0.0, group=None, group_beta=0.0)
    with pytest.raises(ValueError, match="SYN_A fell to one tick"):
        make_stand_in(law(symbols={"A": doomed}))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"degrees_of_freedom": 2.0}, "degrees_of_freedom is 2.0; it must be above 2"),
        ({"garch_news": 0.2, "garch_memory": 0.8}, "add up to 1 or more"),
        ({"overnight_share": 1.0}, "overnight_share is 1"),
        ({"symbols": {}}, "symbols is empty"),
        ({"market_volatility": 0.5}, "above its own"),
        ({"groups": {}}, "groups has none"),
        ({"burst_size": -0.1}, "burst_size is -0.1"),
        ({"drift": float("nan")}, "drift is nan"),
        (
            {"edge": SpreadEdge(pair=("A", "A"), size=0.01, half_life_bars=1.0, shown=True)},
            r"name two of A, B",
        ),
        ({"calendar": "NYSEE"}, "is not known"),
        ({"bar_seconds": 7}, "must divide a day"),
        ({"num_bars": 1}, "at least 0 and 2 are needed"),
    ],
)
def test_a_law_that_cannot_be_is_one_sentence(changes, sentence):
    with pytest.raises(ValueError, match=sentence):
        law(**changes)


def test_half_of_a_symbols_group_is_refused():
    with pytest.raises(ValueError, match="give both, or null and 0"):
        replace(A, group=None)
    with pytest.raises(ValueError, match="below 20 ticks"):
        replace(A, price=0.19)
