"""The arithmetic limit of suite `train`: nothing but the network's matrix products, one by one in their own shapes.

A forward pass per sampled step; per epoch a forward pass, the gradients of the weights and, except before the first
layer, of the inputs. No activation, no loss, no env, no optimiser. A trainer can only come near to its speed.
"""

from __future__ import annotations

import torch
from torch import Tensor

from rayjobs.bench.train_workload import TrainWorkload

Product = tuple[Tensor, Tensor, Tensor]


class MatrixProducts:
    """Call `iterate` for the products of one training iteration.

    Parameters
    ----------
    workload : sizes.
    inputs : D, width of the observation.
    """

    def __init__(self, workload: TrainWorkload, inputs: int) -> None:
        work, units = workload, workload.units
        num_minibatches = work.epochs * (work.batch_steps // work.minibatch_steps)
        layers = [
            (inputs, units),
            (units, 4 * units),
            (2 * units, 3 * work.num_assets),
            (2 * units, 64),
            (64, 1),
        ]
        recurrent = (units, 4 * units)
        self._sampling = [_forward(work.num_envs, *layer) for layer in (*layers, recurrent)]
        self._sampling_times = work.fragment_bars
        steps, sequences = work.minibatch_steps, work.minibatch_sequences
        self._whole = [_forward(steps, *layer) for layer in layers]
        self._whole += [_inputs_gradient(steps, *layer) for layer in layers[1:]]
        self._whole += [_weights_gradient(steps, *layer) for layer in (*layers, recurrent)]
        self._whole_times = num_minibatches
        self._stepwise = [_forward(sequences, *recurrent), _inputs_gradient(sequences, *recurrent)]
        self._stepwise_times = num_minibatches * work.sequence_bars

    def iterate(self) -> None:
        self.sample()
        _repeat(self._whole, self._whole_times)
        _repeat(self._stepwise, self._stepwise_times)

    def sample(self) -> None:
        """The products of sampling alone."""
        _repeat(self._sampling, self._sampling_times)

    @property
    def operations(self) -> int:
        """Multiplications and additions of one iteration."""
        groups = (
            (self._sampling, self._sampling_times),
            (self._whole, self._whole_times),
            (self._stepwise, self._stepwise_times),
        )
        return sum(
            2 * times * left.shape[0] * left.shape[1] * right.shape[1]
            for products, times in groups
            for left, right, _ in products
        )


def _repeat(products: list[Product], times: int) -> None:
    for _ in range(times):
        for left, right, out in products:
            torch.mm(left, right, out=out)


def _forward(rows: int, inputs: int, outputs: int) -> Product:
    """(rows, inputs) by the transpose of weights (outputs, inputs), as a linear layer keeps them."""
    return torch.randn(rows, inputs), torch.randn(outputs, inputs).t(), torch.empty(rows, outputs)


def _inputs_gradient(rows: int, inputs: int, outputs: int) -> Product:
    return torch.randn(rows, outputs), torch.randn(outputs, inputs), torch.empty(rows, inputs)


def _weights_gradient(rows: int, inputs: int, outputs: int) -> Product:
    return torch.randn(rows, outputs).t(), torch.randn(rows, inputs), torch.empty(outputs, inputs)
