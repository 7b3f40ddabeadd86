"""One key of the configuration that varies in a search, and how."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import optuna

Scalar = str | float | int | bool | None


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """One key that varies.

    Parameters
    ----------
    key : dotted key of the configuration, such as ``algo.kl_stop``.
    kind : uniform and log_uniform draw a number, integer a whole number, categorical one of ``choices``.
    low, high : bounds, both included.
    step : distance between two values of uniform or integer; None for any.
    log : integer only: draw on a logarithmic scale.
    choices : values of categorical.
    when : other parameter -> its values for which this one exists; empty for always.
    """

    key: str
    kind: Literal["uniform", "log_uniform", "integer", "categorical"]
    low: float | None = None
    high: float | None = None
    step: float | None = None
    log: bool = False
    choices: tuple[Scalar, ...] = ()
    when: Mapping[str, tuple[Scalar, ...]] | None = None

    def __post_init__(self) -> None:
        if self.kind == "categorical":
            self._check_choices()
        else:
            self._check_bounds()

    def _check_choices(self) -> None:
        if not self.choices:
            raise ValueError(f"{self.key}: a categorical needs choices, a list of at least one value")
        if len(set(map(repr, self.choices))) < len(self.choices):
            raise ValueError(f"{self.key}: choices {list(self.choices)} names a value twice")

    def _check_bounds(self) -> None:
        if self.choices:
            raise ValueError(f"{self.key}: {self.kind} takes low and high, not choices")
        if self.low is None or self.high is None:
            raise ValueError(f"{self.key}: {self.kind} needs low and high")
        if not self.low < self.high:
            raise ValueError(
                f"{self.key}: low is {self.low:g} and high is {self.high:g}; low must be below high"
            )
        if (self.kind == "log_uniform" or self.log) and self.low <= 0:
            raise ValueError(f"{self.key}: low is {self.low:g}; a logarithmic scale needs it above 0")
        if self.kind == "integer" and any(
            x is not None and x != int(x) for x in (self.low, self.high, self.step)
        ):
            raise ValueError(f"{self.key}: integer takes whole numbers for low, high and step")
        if self.step is not None and (self.kind == "log_uniform" or self.log or self.step <= 0):
            raise ValueError(f"{self.key}: step is {self.step:g}; it must be positive, and on a linear scale")

    @property
    def bounds(self) -> tuple[float, float]:
        """Lowest and highest value; not of a categorical."""
        assert self.low is not None
        assert self.high is not None
        return self.low, self.high

    def suggest(self, trial: optuna.trial.Trial, label: str) -> Any:
        """Let Optuna's sampler choose a value."""
        if self.kind == "categorical":
            return trial.suggest_categorical(label, self.choices)
        low, high = self.bounds
        if self.kind == "integer":
            step = 1 if self.log else int(self.step or 1)
            return trial.suggest_int(label, int(low), int(high), log=self.log, step=step)
        return trial.suggest_float(label, low, high, log=self.kind == "log_uniform", step=self.step)

    @property
    def num_values(self) -> int | None:
        """How many values there are; None for a continuum."""
        if self.kind == "categorical":
            return len(self.choices)
        low, high = self.bounds
        if self.kind == "integer" or self.step is not None:
            return int((high - low) / (self.step or 1) + 1e-9) + 1
        return None

    def grid(self, points: int) -> list[Any]:
        """All values, or ``points`` of them spread evenly over the scale where there are more."""
        if self.kind == "categorical":
            return list(self.choices)
        low, high = self.bounds
        count, step = self.num_values, self.step or 1
        if count is not None and count <= points:
            values = [low + step * i for i in range(count)]
        elif self.kind == "log_uniform" or self.log:
            values = np.geomspace(low, high, points).tolist()
        else:
            values = np.linspace(low, high, points).tolist()
            if count is not None:
                values = [low + step * round((value - low) / step) for value in values]
        kept = [min(max(value, low), high) for value in values]
        if self.kind == "integer":
            return list(dict.fromkeys(round(value) for value in kept))
        return list(dict.fromkeys(kept))

    def extremes(self) -> list[Any]:
        """Values that together show whether the configuration takes all: the bounds, or every choice."""
        return list(self.choices) if self.kind == "categorical" else self.grid(2)

    def describe(self) -> str:
        """Range in words."""
        if self.kind == "categorical":
            return ", ".join("null" if choice is None else str(choice) for choice in self.choices)
        return f"{self.low:g} to {self.high:g}" + (f" by {self.step:g}" if self.step else "")
