"""What carries memory from bar to bar in the policy network: nothing, an LSTM, a GRU, or windowed attention.

All have one form. ``input_units`` is the width of what they take in, ``state_units`` the width of each part of
their state (R, width), all zeros at the start of an episode; ``step`` advances by one bar and ``sequence`` over
many with resets inside, and both give the same numbers.

Shapes: L time, R rows (sequences or envs x assets), H units.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn

from policies.compiled.activations import has_kernels, tanh_
from policies.compiled.sequence import compiled_lstm
from policies.compiled.dense import dense
from policies.recurrent_cells import gru_sequence, gru_step, lstm_sequence, lstm_step
from policies.compiled.small_products import COLUMNS

State = dict[str, Tensor]


def forget_biases(units: int, longest_bars: int) -> Tensor:
    """Biases (units,) of a gate that keeps the state: unit k forgets by a factor e in about T_k bars, T_k even in
    1 .. ``longest_bars`` - 1 (chrono initialisation, Tallec and Ollivier 2018, with even instead of random times).

    With the usual bias of 1 a state halves every other bar, and what paid 8 bars ago leaves hardly a gradient.
    """
    return torch.linspace(1.0, longest_bars - 1.0, units).log()


class CoreInputs(NamedTuple):
    """What goes into a core over a sequence, not yet multiplied: some cores do that step by step, in the cache.

    Attributes
    ----------
    asset : (L, B, A, M), embedded assets.
    layer : from M to the core's ``input_units``.
    common : (L, B, input_units), added to all assets of a sequence; None for nothing.
    """

    asset: Tensor
    layer: nn.Linear
    common: Tensor | None

    def multiplied(self) -> Tensor:
        """The inputs (L, R, input_units)."""
        inputs = dense([self.asset], [self.layer.weight], self.layer.bias)
        if self.common is not None:
            inputs = inputs.add_(self.common.unsqueeze(-2))  # in place: it is the largest array
        return inputs.flatten(1, 2)


class MemoryCore(Protocol):
    """Structural type of the cores below and of ``WindowAttention``; all are ``torch.nn.Module``."""

    input_units: int
    state_units: dict[str, int]

    def initialise(self, input_bias: Tensor) -> None:
        """Set what orthogonal weights and zero biases do not suit; ``input_bias`` (input_units,) feeds it."""

    def step(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        """Outputs (R, H) for ``inputs`` (R, input_units), and the state after."""

    def sequence(self, inputs: CoreInputs, state: State, keep: Tensor) -> tuple[Tensor, State]:
        """Outputs (L, R, H); ``keep`` (L, R, 1) is 0.0 at episode starts."""


class NoMemory(nn.Module):
    """A plain layer: what a policy that sees only the last bar can do."""

    def __init__(self, units: int) -> None:
        super().__init__()
        self.input_units = units
        self.state_units: dict[str, int] = {}

    def initialise(self, input_bias: Tensor) -> None:
        pass

    def step(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        return tanh_(inputs), {}

    def sequence(self, inputs: CoreInputs, state: State, keep: Tensor) -> tuple[Tensor, State]:
        return tanh_(inputs.multiplied()), {}


class LstmMemory(nn.Module):
    """Long short-term memory; see :func:`policies.recurrent_cells.lstm_sequence`."""

    def __init__(self, units: int, initial_memory_bars: int) -> None:
        super().__init__()
        self.input_units = 4 * units
        self.initial_memory_bars = initial_memory_bars
        self.state_units = {"hidden": units, "cell": units}
        self.recurrent = nn.Linear(units, 4 * units, bias=False)

    def initialise(self, input_bias: Tensor) -> None:
        """Spread what the units remember; a unit takes in as much as it lets go."""
        units = self.recurrent.in_features
        biases = forget_biases(units, self.initial_memory_bars)
        input_bias[:units] = -biases
        input_bias[units : 2 * units] = biases

    def step(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        hidden, cell = lstm_step(inputs, self.recurrent.weight, state["hidden"], state["cell"])
        return hidden, {"hidden": hidden, "cell": cell}

    def sequence(self, inputs: CoreInputs, state: State, keep: Tensor) -> tuple[Tensor, State]:
        weight, hidden, cell = self.recurrent.weight, state["hidden"].contiguous(), state["cell"].contiguous()
        asset = inputs.asset.flatten(1, 2)
        whole = asset.shape[-1] % COLUMNS == 0 and weight.shape[1] % COLUMNS == 0
        if whole and has_kernels(asset, weight, hidden, cell, keep):
            common = asset.new_empty(len(asset), 0, len(weight)) if inputs.common is None else inputs.common
            layer = inputs.layer
            outputs, hidden, cell = compiled_lstm(
                asset, common.contiguous(), layer.weight, layer.bias, weight, hidden, cell, keep.squeeze(-1)
            )
        else:
            outputs, hidden, cell = lstm_sequence(inputs.multiplied(), weight, hidden, cell, keep)
        return outputs, {"hidden": hidden, "cell": cell}


class GruMemory(nn.Module):
    """Gated recurrent unit; see :func:`policies.recurrent_cells.gru_step`."""

    def __init__(self, units: int, initial_memory_bars: int) -> None:
        super().__init__()
        self.input_units = 3 * units
        self.initial_memory_bars = initial_memory_bars
        self.state_units = {"hidden": units}
        self.recurrent = nn.Linear(units, 3 * units)

    def initialise(self, input_bias: Tensor) -> None:
        """Spread what the units remember: the update gate keeps the state."""
        units = self.recurrent.in_features
        input_bias[units : 2 * units] = forget_biases(units, self.initial_memory_bars)

    def step(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        hidden = gru_step(inputs, self.recurrent.weight, self.recurrent.bias, state["hidden"])
        return hidden, {"hidden": hidden}

    def sequence(self, inputs: CoreInputs, state: State, keep: Tensor) -> tuple[Tensor, State]:
        outputs, hidden = gru_sequence(
            inputs.multiplied(), self.recurrent.weight, self.recurrent.bias, state["hidden"], keep
        )
        return outputs, {"hidden": hidden}
