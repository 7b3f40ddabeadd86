"""Durations, pacing and error codes of Interactive Brokers, each against an independent statement of the rule."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.vendors.definition import (
    AnswerRefused,
    KeyRefused,
    MalformedAnswer,
    RateLimited,
    TemporarilyUnavailable,
)
from data.vendors.ibkr_contracts import ContractTerms, terms_of
from data.vendors.ibkr_rules import (
    BAR_NAMES,
    HistoryPacing,
    duration,
    error_of,
    longest_duration_s,
    piece_length_s,
)


@pytest.mark.parametrize(
    ("span", "bar_seconds", "written"),
    [
        ("1h", 60, "3600 S"),
        ("24h", 60, "86400 S"),
        ("25h", 300, "3 D"),  # two days begun, and one more
        ("6D", 300, "7 D"),
        ("1h", 86_400, "2 D"),
        ("364D", 86_400, "365 D"),
        ("365D", 86_400, "2 Y"),
        ("1094D", 86_400, "3 Y"),
    ],
)
def test_durations_reach_back_over_the_span_in_the_unit_that_tws_demands(span, bar_seconds, written):
    assert duration(pd.Timedelta(span), bar_seconds) == written


@pytest.mark.parametrize("bar_seconds", BAR_NAMES)
def test_a_piece_fits_into_the_longest_duration_and_yields_a_few_thousand_bars_at_most(bar_seconds):
    piece = piece_length_s(bar_seconds)
    number, unit = duration(pd.Timedelta(seconds=piece), bar_seconds).split()
    assert int(number) * {"S": 1, "D": 86_400}[unit] <= longest_duration_s(bar_seconds)
    assert piece % bar_seconds == 0
    assert piece / bar_seconds <= 6 * 86_400 / 180


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.floats(0.0, 20.0), st.sampled_from("AB"), st.sampled_from("xyz")), max_size=90))
def test_whoever_waits_as_told_never_violates_the_pacing(steps):
    now = [0.0]
    pacing = HistoryPacing(lambda: now[0])
    sent = []
    for pause, contract, request in steps:
        now[0] += pause
        wait = pacing.wait_s(contract, (contract, request))
        now[0] += wait
        if wait:
            now[0] += 1e-6
        assert pacing.wait_s(contract, (contract, request)) == 0.0
        pacing.sent(contract, (contract, request))
        sent.append((now[0], contract, (contract, request)))
    at = np.array([when for when, *_ in sent])
    for n, (when, contract, request) in enumerate(sent):
        before = sent[:n]
        assert not any(of == request and when - then < 15.0 for then, _, of in before)
        assert sum(of == contract and when - then < 2.0 for then, of, _ in before) < 5
        assert (when - at[:n] < 600.0).sum() < 60


def test_the_two_seconds_of_a_contract_bind_whether_or_not_requests_differ():
    now = [0.0]
    pacing = HistoryPacing(lambda: now[0])
    for n in range(5):
        assert pacing.wait_s("SPY", n) == 0.0
        pacing.sent("SPY", n)
        now[0] += 0.1
    # The first was at 0.0 and it is 0.5: five lie within two seconds until 2.0.
    assert pacing.wait_s("SPY", 5) == pytest.approx(1.5)
    assert pacing.wait_s("AAPL", 5) == 0.0


@pytest.mark.parametrize(
    ("code", "text", "kind"),
    [
        (
            162,
            "Historical Market Data Service error message:HMDS query returned no data: SPY@SMART Trades",
            None,
        ),
        (
            162,
            "Historical Market Data Service error message:Historical data request pacing violation",
            RateLimited,
        ),
        (
            162,
            "Historical Market Data Service error message:No market data permissions for CME FUT",
            KeyRefused,
        ),
        (162, "Historical Market Data Service error message:invalid step: 1", AnswerRefused),
        (
            162,
            "Historical Market Data Service error message:API historical data query cancelled: 28",
            TemporarilyUnavailable,
        ),
        (162, "...:Trading TWS session is connected from a different IP address", TemporarilyUnavailable),
        (162, "Mensaje de error de los servicios de datos de mercado históricos: sin datos", MalformedAnswer),
        (100, "Max rate of messages per second has been exceeded", RateLimited),
        (200, "No security definition has been found for the request", AnswerRefused),
        (321, "Error validating request", AnswerRefused),
        (10_339, "Setting end date/time for continuous future security type is not allowed.", AnswerRefused),
        (354, "Requested market data is not subscribed.", KeyRefused),
        (366, "No historical data query found for ticker id:3", TemporarilyUnavailable),
        (504, "Not connected", TemporarilyUnavailable),
        (99_999, "something new", MalformedAnswer),
    ],
)
def test_each_code_has_its_kind_and_an_unknown_one_is_never_taken_for_no_bars(code, text, kind):
    error = error_of(code, text, "SPY 1 min")
    if kind is None:
        assert error is None
    else:
        assert type(error) is kind
        assert text in str(error)


STOCK = ContractTerms(sec_type="STK", exchange="SMART", currency="USD", calendar="NYSE")


def test_a_class_of_shares_is_written_with_a_space():
    assert terms_of("BRK.B", {}, STOCK).fields()["symbol"] == "BRK B"


def test_a_dated_future_takes_the_terms_of_its_root():
    root = ContractTerms(
        sec_type="CONTFUT", exchange="CME", currency="USD", calendar="CME Globex Equity", multiplier="5"
    )
    terms = terms_of("MES:20240621", {"MES": root}, STOCK)
    assert (terms.sec_type, terms.expiry, terms.symbol, terms.multiplier) == ("FUT", "20240621", "MES", "5")
    assert terms.fields()["includeExpired"] is True
