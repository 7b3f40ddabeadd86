"""What carries memory from bar to bar in the policy network: nothing, an LSTM, a GRU, or windowed attention.

All have one form. ``input_units`` is the width of what they take in, ``state_units`` the width of each part of
their state (R, width), all zeros at the start of an episode; ``step`` advances by one bar and ``sequence`` over
many with resets inside, and both give the same numbers.

Shapes: L time, R rows (sequences or envs x assets), H units.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn

from policies.arithmetic import CoreInputs, TorchArithmetic
from policies.recurrent_cells import gru_sequence, gru_step

State = dict[str, Tensor]


def forget_biases(units: int, longest_bars: int) -> Tensor:
    """Biases (units,) of a gate that keeps the state: unit k forgets by a factor e in about T_k bars, T_k even in
    1 .. ``longest_bars`` - 1 (chrono initialisation, Tallec and Ollivier 2018, with even instead of random times).

    With the usual bias of 1 a state halves every other bar, and what paid 8 bars ago leaves hardly a gradient.
    """
    return torch.linspace(1.0, longest_bars - 1.0, units).log()


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

    def __init__(self, units: int, arithmetic: TorchArithmetic) -> None:
        super().__init__()
        self._arithmetic = arithmetic
        self.input_units = units
        self.state_units: dict[str, int] = {}

    def initialise(self, input_bias: Tensor) -> None:
        pass

    def step(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        return self._arithmetic.tanh_(inputs), {}

    def sequence(self, inputs: CoreInputs, state: State, keep: Tensor) -> tuple[Tensor, State]:
        return self._arithmetic.tanh_(self._arithmetic.core_inputs(inputs)), {}


class LstmMemory(nn.Module):
    """Long short-term memory; see :func:`policies.recurrent_cells.lstm_sequence`."""

    def __init__(self, units: int, initial_memory_bars: int, arithmetic: TorchArithmetic) -> None:
        super().__init__()
        self._arithmetic = arithmetic
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
        hidden, cell = self._arithmetic.lstm_step(
            inputs, self.recurrent.weight, state["hidden"], state["cell"]
        )
        return hidden, {"hidden": hidden, "cell": cell}

    def sequence(self, inputs: CoreInputs, state: State, keep: Tensor) -> tuple[Tensor, State]:
        hidden, cell = state["hidden"].contiguous(), state["cell"].contiguous()
        outputs, hidden, cell = self._arithmetic.lstm_sequence(
            inputs, self.recurrent.weight, hidden, cell, keep
        )
        return outputs, {"hidden": hidden, "cell": cell}


class GruMemory(nn.Module):
    """Gated recurrent unit; see :func:`policies.recurrent_cells.gru_step`."""

    def __init__(self, units: int, initial_memory_bars: int, arithmetic: TorchArithmetic) -> None:
        super().__init__()
        self._arithmetic = arithmetic
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
            self._arithmetic.core_inputs(inputs),
            self.recurrent.weight,
            self.recurrent.bias,
            state["hidden"],
            keep,
        )
        return outputs, {"hidden": hidden}
