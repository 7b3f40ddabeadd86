"""Labels by configuration: what either side of a decision at the close of t earns, and how much a label counts.

The kinds of labels are those of `data.labels`. Without a primary rule a model learns which side to take; with one it
learns whether to take that rule's side (meta-labels; Lopez de Prado 2018, Advances in Financial Machine Learning,
section 3.6). Labels that share bars say the same thing twice: their weight is their mean uniqueness (ibid., sections
4.3 and 4.4).

Axes: T time, A asset, N bars of a window.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from data.array_types import BoolArray, FloatArray
from data.errors import nearest_name
from data.features.compute import FeatureSet
from data.features.series import mean_square
from data.labels import UNKNOWN, horizon_returns, triple_barrier_labels
from data.schema import Panel


@dataclass(frozen=True, kw_only=True)
class LabelConfig:
    """Which labels a model learns from.

    Parameters
    ----------
    kind : "horizon" holds each side for `horizon_bars`; "triple_barrier" until its target, its stop or that limit.
    horizon_bars : bars held, or at most held, after t.
    profit_target, stop_loss : distances of the barriers from the entry, volatilities over the horizon; None: none.
    volatility_bars : of the volatility: root mean square of one-bar log returns up to t, times sqrt(horizon_bars).
    weights : "uniqueness" weighs a label by how little it shares its bars with others; "equal" does not.
    primary : name of the feature's output whose sign is the side taken; None leaves the side to the model.
    oppose : take the other side than that sign.
    """

    kind: Literal["horizon", "triple_barrier"]
    horizon_bars: int
    profit_target: float | None
    stop_loss: float | None
    volatility_bars: int | None
    weights: Literal["uniqueness", "equal"]
    primary: str | None
    oppose: bool

    def __post_init__(self) -> None:
        if self.horizon_bars < 1:
            raise ValueError(f"labels.horizon_bars is {self.horizon_bars}; it must be at least 1 bar")
        for name in ("profit_target", "stop_loss"):
            distance = getattr(self, name)
            if distance is not None and not 0.0 < distance < np.inf:
                raise ValueError(
                    f"labels.{name} is {distance}; it must be above 0 volatilities, or null for none"
                )
        barriers = (self.profit_target, self.stop_loss, self.volatility_bars)
        if self.kind == "horizon":
            if barriers != (None, None, None):
                raise ValueError(
                    "labels.profit_target, stop_loss and volatility_bars are of labels=triple_barrier; "
                    "choose that group, or leave them at null"
                )
        elif self.volatility_bars is None or self.volatility_bars < 2:
            raise ValueError(f"labels.volatility_bars is {self.volatility_bars}; it must be at least 2 bars")
        elif self.profit_target is None and self.stop_loss is None:
            raise ValueError(
                "labels.profit_target and labels.stop_loss are both null; set one, or choose labels=horizon"
            )
        if self.oppose and self.primary is None:
            raise ValueError(
                "labels.oppose is true without labels.primary, whose side it would turn; name one"
            )

    def __str__(self) -> str:
        """In words, for reports, of labels net of costs."""
        return self.in_words("net return")

    def in_words(self, earned: str) -> str:
        """In words, for reports.

        Parameters
        ----------
        earned : what of a position is told, "net return" or "return before costs".
        """
        bars = f"{self.horizon_bars} bar{'s' if self.horizon_bars > 1 else ''} from the next open"
        text = f"{earned} over {bars}"
        if self.kind == "triple_barrier":
            barriers = {"target": self.profit_target, "stop": self.stop_loss}
            told = [
                f"a {name} of {distance:g}" for name, distance in barriers.items() if distance is not None
            ]
            text = f"{earned} until {' or '.join(told)} volatilities of {self.volatility_bars} bars, at most {bars}"
        if self.primary is None:
            return text
        return f"{text}, of the {'opposite' if self.oppose else 'sign'} of {self.primary}"


@dataclass(frozen=True, kw_only=True, eq=False)
class Labels:
    """What a decision at the close of each bar goes on to earn.

    Parameters
    ----------
    config : which labels these are.
    long, short : (T, A) simple return of either side, net of costs; NaN where not known.
    end_bar : (T, A) int64 last bar that was read, of both sides the later.
    primary : (T, A) -1, 0 or 1, side of the primary rule, NaN where not known; None without a rule.
    """

    config: LabelConfig
    long: FloatArray
    short: FloatArray
    end_bar: NDArray[np.int64]
    primary: FloatArray | None

    @property
    def known(self) -> BoolArray:
        """(T, A) True where there is a label; with a primary rule, only where it takes a side."""
        known = np.isfinite(self.long) & np.isfinite(self.short)
        return known if self.primary is None else known & (np.abs(self.primary) == 1.0)

    @property
    def net_return(self) -> FloatArray:
        """(T, A) what is to be predicted, NaN where there is no label.

        Without a primary rule: net return of the better side, signed by that side, 0 where neither pays. With one: what
        its side earns, net.
        """
        if self.primary is None:
            better = np.where(self.long >= self.short, self.long, -self.short)
            value = np.where(np.maximum(self.long, self.short) > 0.0, better, 0.0)
        else:
            value = np.where(self.primary > 0.0, self.long, self.short)
        return np.where(self.known, value, np.nan)

    @property
    def choice(self) -> NDArray[np.int8]:
        """(T, A) the sign of `net_return` as a class: without a primary rule 1 long, -1 short, 0 neither; with one 1
        where its side pays and 0 where it does not; `data.labels.UNKNOWN` where there is no label.
        """
        value = np.nan_to_num(self.net_return)
        classes = np.sign(value) if self.primary is None else value > 0.0
        return np.where(self.known, classes, UNKNOWN).astype(np.int8)

    def of_side(self, side: str) -> BoolArray:
        """(T, A) True where this side, long or short, has a label; with a primary rule, only where it is taken."""
        if self.primary is None:
            return self.known
        return self.known & (self.primary == (1.0 if side == "long" else -1.0))

    def sample_weights(self, bars: slice) -> FloatArray:
        """Return (N, A) weights of the labels of a window for a fit; 0 where there is none.

        The last `horizon_bars` rows are not used, whose labels may read bars after the window: of them quick touches
        alone would be left. The weights of the others have a mean of 1.

        Raises
        ------
        ValueError
            If the window is empty or reaches outside of the bars.
        """
        num_bars = len(self.long)
        if bars.step not in (None, 1) or not 0 <= bars.start < bars.stop <= num_bars:
            raise ValueError(
                f"the window {bars} is not a part of the {num_bars} bars; give start < stop inside"
            )
        used = self.known[bars]
        used[max(len(used) - self.config.horizon_bars, 0) :] = False
        if self.config.weights == "equal" or not used.any():
            return used.astype(np.float64)
        weights = uniqueness(used, self.end_bar[bars] - bars.start)
        return weights / weights[used].mean()


def uniqueness(used: BoolArray, end_bar: NDArray[np.int64]) -> FloatArray:
    """Return (N, A) the mean uniqueness of each label; 0 where `used` is False.

    The label of bar t reads bars t + 1 to `end_bar[t]`. With c labels of the asset reading a bar, each has 1/c of it; a
    label's uniqueness is the mean of that over its bars.

    Parameters
    ----------
    used : (N, A). end_bar : (N, A) of the same window's bars, after t and below N where used.
    """
    num_bars, num_assets = used.shape
    row, asset = np.nonzero(used)
    last = end_bar[row, asset]
    change = np.zeros((num_bars + 1, num_assets), dtype=np.int64)
    np.add.at(change, (row + 1, asset), 1)
    np.add.at(change, (last + 1, asset), -1)
    number = np.cumsum(change[:num_bars], axis=0)
    share = np.divide(1.0, number, out=np.zeros(number.shape), where=number > 0)
    total = np.concatenate([np.zeros((1, num_assets)), np.cumsum(share, axis=0)])
    result = np.zeros(used.shape)
    result[row, asset] = (total[last + 1, asset] - total[row + 1, asset]) / (last - row)
    return result


def make_labels(
    panel: Panel, config: LabelConfig, *, cost_bps: ArrayLike, features: FeatureSet | None = None
) -> Labels:
    """Return the labels of every bar of a panel.

    Parameters
    ----------
    cost_bps : cost of one side, basis points of the notional traded on it; broadcast to (T, A), NaN = no label.
    features : of the panel, as computed (not standardised); needed for a primary rule only.

    Raises
    ------
    ValueError
        If the horizon does not fit into the bars, a cost is negative, or the primary rule's feature is not there.
    """
    sides, ends = [], []
    for direction in (1, -1):
        found = _one_side(panel, config, cost_bps, direction)
        sides.append(found[0])
        ends.append(found[1])
    return Labels(
        config=config,
        long=sides[0],
        short=sides[1],
        end_bar=np.maximum(*ends),
        primary=primary_side(config, features),
    )


def primary_side(config: LabelConfig, features: FeatureSet | None) -> FloatArray | None:
    """Return (T, A) the side that the primary rule takes at the close of each bar, None without a rule.

    Raises
    ------
    ValueError
        If no feature of assets gives an output of that name; the message names the nearest one.
    """
    if config.primary is None:
        return None
    place = primary_place(config.primary, () if features is None else features.asset_names)
    assert features is not None
    if config.primary in features.filtered:
        raise ValueError(
            f"labels.primary is {config.primary}, a probability that a model gives, which is never below 0; name a "
            "feature whose sign is a side"
        )
    values = features.asset[:, :, place].astype(np.float64)
    return -np.sign(values) if config.oppose else np.sign(values)


def primary_place(primary: str, names: Sequence[str]) -> int:
    """Return where a primary rule's output stands among those of asset features.

    Raises
    ------
    ValueError
        If there is none of that name; the message names the nearest one.
    """
    if primary not in names:
        raise ValueError(
            f"labels.primary is {primary!r}, which no feature of assets in features.specs gives"
            f"{nearest_name(primary, list(names))}; name one of {', '.join(names) or 'them'}"
        )
    return list(names).index(primary)


def _one_side(
    panel: Panel, config: LabelConfig, cost_bps: ArrayLike, direction: int
) -> tuple[FloatArray, NDArray[np.int64]]:
    """(T, A) net return and last bar read of one side."""
    if config.kind == "horizon":
        found = horizon_returns(
            panel, horizon_bars=config.horizon_bars, cost_bps=cost_bps, direction=direction
        )
        return found.net_return, np.repeat(found.end_bar[:, None], panel.num_assets, axis=1)
    volatility = barrier_volatility(panel, config)
    distances = {
        name: np.where(np.isnan(volatility), np.nan, np.inf) if multiple is None else multiple * volatility
        for name, multiple in (("profit_target", config.profit_target), ("stop_loss", config.stop_loss))
    }
    touched = triple_barrier_labels(
        panel, horizon_bars=config.horizon_bars, cost_bps=cost_bps, direction=direction, **distances
    )
    return touched.net_return, touched.end_bar


def barrier_volatility(panel: Panel, config: LabelConfig) -> FloatArray:
    """Return (T, A) the volatility over the horizon that is known at the close of t, fraction of the price.

    NaN before `volatility_bars` returns, with fewer than half of them known, and where the price never moved.
    """
    assert config.volatility_bars is not None
    with np.errstate(invalid="ignore", divide="ignore"):
        volatility = np.sqrt(mean_square(panel, config.volatility_bars) * config.horizon_bars)
    volatility[: config.volatility_bars] = np.nan
    return np.where(volatility > 0.0, volatility, np.nan)
