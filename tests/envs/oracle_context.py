"""The oracle's market context: ATR, volatility, average daily volume, funding and splits, computed the slow way."""

from __future__ import annotations

import math
from functools import partial

import numpy as np


class Context:
    """ATR, volatility, average daily volume, funding and split factor of every bar, computed the slow way."""

    def __init__(self, panel, instruments, config):
        sessions = np.unique(panel.session, return_counts=True)[1]
        per_session = float(np.median(sessions))
        T, A = panel.close.shape
        self.atr, self.sigma, self.adv = np.zeros((T, A)), np.zeros((T, A)), np.zeros((T, A))
        self.funding, self.split, self.tail = np.zeros((T, A)), np.ones((T, A)), np.zeros((T, A))
        self.dividend = np.nan_to_num(panel.exogenous.get("dividend", np.zeros((T, A))))
        short = config.until_full == "shorter_window"
        for a in range(A):
            close, ranges, returns, changes, volumes, bars, adv = None, [], [], [], [], 0, float("nan")
            scale, offset = (
                panel.exogenous[name][:, a] if name in panel.exogenous else [default] * T
                for name, default in (("price_scale", 1.0), ("price_offset", 0.0))
            )
            for t in range(T):
                if self._is_bar(panel, t, a, close):
                    bars += 1
                    if close is not None:  # in prices of the contract of bar t

                        def traded(price, t=t, scale=scale, offset=offset):
                            return price * scale[t] + offset[t]

                        before, now = traded(close), traded(panel.close[t, a])
                        highest, lowest = traded(panel.high[t, a]), traded(panel.low[t, a])
                        ranges.append(max(highest, before) - min(lowest, before))
                        known = before > 0 and now > 0
                        returns.append(math.log(now / before) if known else float("nan"))
                        changes.append((now - before) / abs(before) if before else float("nan"))
                    close = panel.close[t, a]
                if close is not None:
                    volumes.append(panel.volume[t, a])
                self.atr[t, a] = self._last(np.mean, ranges, config.atr_bars, 1 if short else config.atr_bars)
                least = 2 if short else config.volatility_bars
                self.sigma[t, a] = self._last(np.std, returns, config.volatility_bars, least)
                least = 2 if short else config.tail_bars
                self.tail[t, a] = self._last(partial(self.worst, config), changes, config.tail_bars, least)
                if bars >= (1 if short else config.adv_bars):
                    adv = float(np.mean(volumes[-config.adv_bars :])) or adv
                self.adv[t, a] = adv * per_session
            self._financing(panel, instruments[panel.symbols[a]], a)

    @staticmethod
    def _is_bar(panel, t, a, close):
        """Known prices, not four copies of the last close without volume."""
        prices = [getattr(panel, name)[t, a] for name in ("open", "high", "low", "close")]
        return bool(np.isfinite(prices).all()) and (set(prices) != {close} or panel.volume[t, a] > 0)

    @staticmethod
    def worst(config, changes):
        """Loss in the tail of the long or of the short, whichever is larger; unknown where a change is."""
        if any(math.isnan(x) for x in changes):
            return float("nan")
        tails = []
        for losses in ([-x for x in changes], changes):
            ranked = sorted(losses, reverse=True)
            tail = ranked[: math.floor((1 - config.tail_level) * len(ranked) + 1e-9) + 1]
            tails.append(tail[-1] if config.tail == "var" else sum(tail) / len(tail))
        return max(tails)

    @staticmethod
    def _last(measure, values, window, least):
        return float(measure(values[-window:])) if len(values) >= least else float("nan")

    def _financing(self, panel, instrument, a):
        column = panel.exogenous.get("funding_rate")
        split = panel.exogenous.get("split_factor")
        hour = np.timedelta64(3600, "s")
        for t in range(panel.num_bars):
            if split is not None:
                self.split[t, a] = split[t, a]
            if t == 0 or instrument.funding_hours <= 0:
                continue
            begin = (panel.bar_utc[t - 1] - np.datetime64(0, "ns")) / hour
            end = (panel.bar_utc[t] - np.datetime64(0, "ns")) / hour
            crossed = sum(
                1
                for k in range(int(begin) + 1, int(end) + 1)
                if k % instrument.funding_hours == 0 and k <= end
            )
            rate = instrument.funding_rate
            if column is not None and np.isfinite(column[t - 1, a]):
                rate = column[t - 1, a]
            self.funding[t, a] = crossed * rate
