"""Attention over the last W bars of the same episode, per asset, with its cache as recurrent state.

Shapes: L time, R rows (sequences x assets), H units, N heads, W window, P = W - 1 cached bars. A query sees
itself and at most P earlier bars; none from before the last reset.

The cache holds keys and values as they were computed when the bar was seen. In the learner the cache of a
sequence's start is data, like an LSTM's stored state: gradients do not flow into it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from policies.arithmetic import CoreInputs, TorchArithmetic
from policies.memory_cores import State


@dataclass(frozen=True, kw_only=True)
class AttentionConfig:
    """What the core ``attention`` looks back on.

    Parameters
    ----------
    window_bars : bars that a decision sees, the current one included; at least 1.
    heads : attention heads; divides ``core_units``.
    """

    window_bars: int
    heads: int

    def __post_init__(self) -> None:
        for name in ("window_bars", "heads"):
            if getattr(self, name) < 1:
                raise ValueError(f"policy.attention.{name} is {getattr(self, name)}; it must be at least 1")

    def check_fits(self, core_units: int) -> None:
        """Raise ValueError where the heads do not divide the core's units."""
        if core_units % self.heads:
            raise ValueError(
                f"policy.core_units ({core_units}) is not a multiple of policy.attention.heads "
                f"({self.heads}); change one of them"
            )


class WindowAttention(nn.Module):
    """One pre-norm transformer block (Xiong et al. 2020) with a learnt bias per head and age of a bar.

    Parameters
    ----------
    units : H. heads : N, divides H. window_bars : W, at least 1.
    """

    def __init__(self, units: int, heads: int, window_bars: int, arithmetic: TorchArithmetic) -> None:
        super().__init__()
        self._arithmetic = arithmetic
        self.input_units = units
        self.heads, self.window = heads, window_bars
        past = window_bars - 1
        self.state_units = {"keys": past * units, "values": past * units, "bars_seen": 1} if past else {}
        self.norm = nn.LayerNorm(units)
        self.project = nn.Linear(units, 3 * units)
        self.mix_heads = nn.Linear(units, units)
        self.feed_norm = nn.LayerNorm(units)
        self.feed_in = nn.Linear(units, 2 * units)
        self.feed_out = nn.Linear(2 * units, units)
        self.age_bias = nn.Parameter(torch.zeros(heads, window_bars))

    def initialise(self, input_bias: Tensor) -> None:
        """No preference for any age at first."""
        nn.init.zeros_(self.age_bias)
        for norm in (self.norm, self.feed_norm):
            nn.init.ones_(norm.weight)

    def step(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        """Advance by one bar: ``inputs`` (R, H); the state's rows are (R, P * H) and ``bars_seen`` (R, 1)."""
        rows, past = inputs.shape[0], self.window - 1
        query, key, value = self._project(inputs)
        if not past:
            return self._block(inputs, value), {}
        keys = torch.cat([state["keys"], key], dim=1)
        values = torch.cat([state["values"], value], dim=1)
        shape = (rows, self.window, self.heads, -1)
        scores = torch.einsum("rnd,rwnd->rnw", query.view(rows, self.heads, -1), keys.view(shape))
        age = torch.arange(past, -1, -1, device=inputs.device)
        scores = scores + self.age_bias[:, age]
        weights = scores.masked_fill((age > state["bars_seen"]).unsqueeze(1), -math.inf).softmax(-1)
        mixed = torch.einsum("rnw,rwnd->rnd", weights, values.view(shape)).reshape(rows, -1)
        units = inputs.shape[1]
        after = {
            "keys": keys[:, units:],
            "values": values[:, units:],
            "bars_seen": (state["bars_seen"] + 1.0).clamp(max=past),
        }
        return self._block(inputs, mixed), after

    def sequence(self, core_inputs: CoreInputs, state: State, keep: Tensor) -> tuple[Tensor, State]:
        """Outputs (L, R, H); ``keep`` (L, R, 1) is 0.0 where an episode starts at that step."""
        inputs = self._arithmetic.core_inputs(core_inputs)
        length, rows, units = inputs.shape
        past = self.window - 1
        query, key, value = self._project(inputs)
        if not past:
            return self._block(inputs, value), {}
        keys = torch.cat([state["keys"].view(rows, past, units).transpose(0, 1), key])
        values = torch.cat([state["values"].view(rows, past, units).transpose(0, 1), value])
        age, seen = self._visible(length, state["bars_seen"], keep)
        scores = torch.einsum("trnd,srnd->rnts", self._heads(query), self._heads(keys))
        scores = scores + self.age_bias[:, age.clamp(0, past)]
        weights = scores.masked_fill(~seen.unsqueeze(1), -math.inf).softmax(-1)
        mixed = torch.einsum("rnts,srnd->trnd", weights, self._heads(values)).flatten(-2)
        bars_seen = self._bars_seen(state["bars_seen"], keep)
        after = {
            "keys": keys[length:].transpose(0, 1).flatten(1),
            "values": values[length:].transpose(0, 1).flatten(1),
            "bars_seen": bars_seen,
        }
        return self._block(inputs, mixed), after

    def _visible(self, length: int, bars_seen: Tensor, keep: Tensor) -> tuple[Tensor, Tensor]:
        """Age (L, P + L) of each cached or new bar at each query, and whether it is seen (R, L, P + L)."""
        past = self.window - 1
        device = keep.device
        place = torch.arange(past + length, device=device)
        age = torch.arange(past, past + length, device=device).unsqueeze(1) - place
        in_window = (age >= 0) & (age <= past)
        episode = (1.0 - keep).cumsum(0).squeeze(-1).t()  # (R, L): resets so far
        same_episode = episode.unsqueeze(2) == episode.unsqueeze(1)
        cached = (torch.arange(past, 0, -1, device=device) <= bars_seen).unsqueeze(1)  # (R, 1, P)
        before_reset = (episode == 0.0).unsqueeze(2)
        return age, in_window & torch.cat([cached & before_reset, same_episode], dim=2)

    def _bars_seen(self, before: Tensor, keep: Tensor) -> Tensor:
        """Bars (R, 1) of the current episode in the cache after the last step."""
        length = keep.shape[0]
        step = torch.arange(1, length + 1, device=keep.device, dtype=keep.dtype).view(-1, 1, 1)
        last_reset = ((1.0 - keep) * step).amax(0)  # 1 + index of the last reset; 0 if there is none
        seen = torch.where(last_reset > 0.0, length + 1.0 - last_reset, before + length)
        return seen.clamp(max=self.window - 1)

    def _project(self, inputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        query, key, value = self.project(self.norm(inputs)).chunk(3, dim=-1)
        return query * (self.heads / query.shape[-1]) ** 0.5, key, value

    def _heads(self, units: Tensor) -> Tensor:
        return units.unflatten(-1, (self.heads, -1))

    def _block(self, inputs: Tensor, mixed: Tensor) -> Tensor:
        attended = inputs + self.mix_heads(mixed)
        fed = self.feed_out(torch.relu(self.feed_in(self.feed_norm(attended))))
        return torch.tanh(attended + fed)
