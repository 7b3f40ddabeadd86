"""The oracle's market context: ATR, volatility, average daily volume, funding and splits, computed the slow way."""

from __future__ import annotations

import math

import numpy as np


class Context:
    """ATR, volatility, average daily volume, funding and split factor of every bar, computed the slow way."""

    def __init__(self, panel, instruments, config):
        mark = panel.last_close()
        sessions = np.unique(panel.session, return_counts=True)[1]
        per_session = float(np.median(sessions))
        T, A = mark.shape
        self.atr, self.sigma, self.adv = np.zeros((T, A)), np.zeros((T, A)), np.zeros((T, A))
        self.funding, self.split = np.zeros((T, A)), np.ones((T, A))
        for a in range(A):
            ranges, returns = [], []
            for t in range(T):
                now = mark[t, a] if np.isfinite(mark[t, a]) else 0.0
                high = panel.high[t, a] if np.isfinite(panel.high[t, a]) else now
                low = panel.low[t, a] if np.isfinite(panel.low[t, a]) else now
                before = now if t == 0 else (mark[t - 1, a] if np.isfinite(mark[t - 1, a]) else 0.0)
                ranges.append(max(high, before) - min(low, before))
                returns.append(math.log(now / before) if t > 0 and now > 0 and before > 0 else 0.0)
                last = returns[max(0, t + 1 - config.volatility_bars) :]
                mean = sum(last) / len(last)
                self.sigma[t, a] = math.sqrt(max(sum(r * r for r in last) / len(last) - mean * mean, 0.0))
                self.atr[t, a] = np.mean(ranges[max(0, t + 1 - config.atr_bars) :])
                volumes = panel.volume[max(0, t + 1 - config.adv_bars) : t + 1, a]
                self.adv[t, a] = float(np.mean(volumes)) * per_session
            self._financing(panel, instruments[panel.symbols[a]], a)

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
