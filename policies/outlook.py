"""What a policy thought when it decided: the parameters of its distribution, asset by asset, and what it expected.

Axes: E env row, A asset, K parameter.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CHOICES: Mapping[str, tuple[str, ...]] = {
    "direction": ("short", "flat", "long"),
    "orders": ("hold", "buy", "sell", "close"),
    "direction_size": ("short", "flat", "long"),
}
"""Action scheme -> what its choices are called, in their order (`envs.actions`)."""


@dataclass(frozen=True, kw_only=True)
class Outlook:
    """What a policy thought of one moment.

    Attributes
    ----------
    names : of the K parameters: probabilities by what is chosen, or those of what is continuous.
    parameters : (E, A, K); nan where one is not defined.
    value : (E,) discounted sum of the rewards to come that the value head expects, in units of the training's reward;
        nan of a policy without one.
    """

    names: tuple[str, ...]
    parameters: NDArray[np.float32]
    value: NDArray[np.float32]

    @classmethod
    def of(
        cls, parameters: Mapping[str, NDArray[np.float32]], value: NDArray[np.float32], scheme: str
    ) -> Outlook:
        """From parameters (E, A) by name, of which whole numbers name choices of an action scheme."""
        choices = CHOICES.get(scheme, ())

        def name(given: str) -> str:
            if not given.isdigit():
                return given
            return choices[int(given)] if int(given) < len(choices) else f"choice {given}"

        told = [np.asarray(one, np.float32) for one in parameters.values()]
        return cls(
            names=tuple(name(given) for given in parameters),
            parameters=np.stack(told, axis=-1) if told else np.zeros((len(value), 0, 0), np.float32),
            value=np.asarray(value, np.float32),
        )
