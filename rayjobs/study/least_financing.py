"""The least that holding must cost, whatever the settings say: borrow of shorts and funding, by kind and by hours.

A listed future is short for nothing, a perpetual pays funding instead of a borrow fee, and everything else is borrowed
from somebody. What trades on Saturdays is no stock and no listed future: it is crypto, and borrowed as such unless
funding is charged. Rates are those of `envs.instruments.CATALOGUE`, the cheapest that is usual for a kind.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data.charged_columns import FUNDING_RATE
from data.traded_prices import last_traded
from envs.context import elapsed_years
from envs.costs import COST_NAMES
from envs.instruments import CATALOGUE, Instrument
from envs.recording import Recording
from rayjobs.study.least_costs import SATURDAY_SHARE, saturday_share
from rayjobs.study.study import Study

TOLERANCE = 0.01
"""Part of the least borrow that may be missing from what was charged: splits, and marks that are carried on."""
INTEREST = 0.05
"""Per year, on cash that is borrowed for longs: about what large brokers asked in 2024."""
INTEREST_SHARE = 0.1
"""Share of the gain from which on interest that was not charged is no by-product."""
NAMED = 3
"""Symbols that are named one by one."""


@dataclass(frozen=True, kw_only=True)
class Holding:
    """How one symbol was held by the scored policy.

    Attributes
    ----------
    symbol, kind : its name, and what it is said to be.
    ours : what it is charged by; around_the_clock : it trades on Saturdays.
    short, long : whether it was ever held so.
    short_years : notional of the shorts times the years that they were held, account currency.
    """

    symbol: str
    kind: str
    ours: Instrument
    around_the_clock: bool
    short: bool
    long: bool
    short_years: float

    @property
    def usual(self) -> Instrument:
        """What the symbol's kind is in the catalogue."""
        return CATALOGUE[self.kind]

    @property
    def least_borrow(self) -> float:
        """Per year, on the notional of a short."""
        if self.usual.funding_hours > 0.0:
            return 0.0
        crypto = CATALOGUE["crypto_spot"].borrow_rate if self.around_the_clock else 0.0
        return max(self.usual.borrow_rate, crypto)


def holdings(study: Study, recordings: Sequence[Recording]) -> list[Holding]:
    """Every symbol that was held, in the panel's order."""
    panel, config = study.panel, study.config
    instruments = config.instruments.for_symbols(panel.symbols)
    around_the_clock = saturday_share(panel) >= SATURDAY_SHARE
    short, long = (np.zeros(panel.num_assets, dtype=bool) for _ in range(2))
    short_years, mark, years = np.zeros(panel.num_assets), last_traded(panel), elapsed_years(panel)
    for one in recordings:
        columns = np.asarray(one.symbols)
        short[columns] |= (one.units < 0.0).any(axis=0)
        long[columns] |= (one.units > 0.0).any(axis=0)
        # Held from one close into the next bar, at the mark of that close.
        held = np.maximum(-one.units[:-1], 0.0) * np.asarray(one.multiplier)
        notional = np.where(held > 0.0, held * mark[one.bar[:-1]][:, columns], 0.0)
        np.add.at(short_years, columns, (notional * years[one.bar[1:], None]).sum(axis=0))
    return [
        Holding(
            symbol=symbol,
            kind=config.instruments.kind_of(symbol),
            ours=instruments[symbol],
            around_the_clock=bool(around_the_clock[s]),
            short=bool(short[s]),
            long=bool(long[s]),
            short_years=float(short_years[s]),
        )
        for s, symbol in enumerate(panel.symbols)
        if short[s] or long[s]
    ]


def lacking_financing(study: Study, recordings: Sequence[Recording]) -> list[str]:
    """Phrases on positions that were held for less than the least, symbol by symbol and in all."""
    held = holdings(study, recordings)
    found = [*_few(_borrow_by_symbol(study, held)), *_few(_funding_by_symbol(study, held))]
    return [*(found or _borrow_in_all(held, recordings)), *_borrowed_cash(study, recordings)]


def _borrow_by_symbol(study: Study, held: Sequence[Holding]) -> list[str]:
    found = []
    for one in held:
        paid = one.ours.borrow_rate if study.config.env.costs.borrow else 0.0
        if not one.short or paid >= one.least_borrow:
            continue
        why = "" if one.usual.borrow_rate > paid else f", for it is called {one.kind} but trades on Saturdays"
        found.append(
            f"shorts of {one.symbol} paid {paid:.2%} a year to borrow instead of {one.least_borrow:.2%}{why}"
        )
    return found


def _funding_by_symbol(study: Study, held: Sequence[Holding]) -> list[str]:
    """Perpetuals that are not funded, or at less than the usual rate where the data know none."""
    known = FUNDING_RATE in study.panel.exogenous
    charged = study.config.env.costs.funding
    found = []
    for one in held:
        usual, ours = one.usual, one.ours
        if not usual.funding_hours > 0.0:
            continue
        if not charged or not ours.funding_hours > 0.0:
            key = "costs.funding is off" if not charged else f"funding_hours is {ours.funding_hours:g}"
            found.append(f"{one.symbol} is a perpetual without funding: {key}")
            continue
        if known:
            if ours.funding_hours > usual.funding_hours:
                found.append(
                    f"{one.symbol} is funded every {ours.funding_hours:g} hours instead of {usual.funding_hours:g}"
                )
            continue
        a_day = [24.0 * i.funding_rate / i.funding_hours for i in (ours, usual)]
        if a_day[0] < a_day[1] * (1.0 - 1e-9):
            found.append(
                f"{one.symbol} is funded at {a_day[0]:.3%} a day instead of {a_day[1]:.3%}, for want of a column "
                f"{FUNDING_RATE}"
            )
    return found


def _borrow_in_all(held: Sequence[Holding], recordings: Sequence[Recording]) -> list[str]:
    """What all shorts were charged, from the recorded costs, against the least: holds whatever was set and how."""
    owed = sum(one.short_years * one.least_borrow for one in held)
    paid = sum(_paid(one.costs) for one in recordings)
    if paid >= owed * (1.0 - TOLERANCE):
        return []
    return [f"shorts were charged {paid:,.2f} to borrow instead of at least {owed:,.2f}"]


def _borrowed_cash(study: Study, recordings: Sequence[Recording]) -> list[str]:
    """Longs beyond the equity, for which the simulator charges no interest, where it would be much of the gain.

    What is sold short pays for longs; futures and perpetuals are bought on margin and borrow nothing.
    """
    kinds = [CATALOGUE[study.config.instruments.kind_of(symbol)] for symbol in study.panel.symbols]
    paid_in_full = np.array([kind.multiplier == 1.0 and not kind.funding_hours > 0.0 for kind in kinds])
    years = elapsed_years(study.panel)
    interest, gain, most = 0.0, 0.0, 0.0
    for one in recordings:
        net = one.exposure[:-1, paid_in_full[np.asarray(one.symbols)]].sum(axis=1)
        beyond = np.maximum(net - 1.0, 0.0)
        interest += float((beyond * one.equity[1:-1] * years[one.bar[1:]]).sum()) * INTEREST
        gain += float(one.equity[-1] - one.equity[0])
        most = max(most, float(beyond.max(initial=0.0)))
    if not gain > 0.0 or interest <= INTEREST_SHARE * gain:
        return []
    return [
        f"longs of up to {1.0 + most:.0%} of the equity paid no interest on what they borrowed; at {INTEREST:.0%} a "
        f"year it is {interest / gain:.0%} of the gain"
    ]


def _paid(costs: NDArray[np.float64]) -> float:
    return float(costs[:, COST_NAMES.index("borrow")].sum())


def _few(phrases: Sequence[str]) -> list[str]:
    """All of them, or the first few and how many more symbols there are."""
    if len(phrases) <= NAMED + 1:
        return list(phrases)
    return [*phrases[:NAMED], f"and so for {len(phrases) - NAMED} more symbols"]
