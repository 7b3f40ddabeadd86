"""The memory cores that `policy.core` may name: one table. The cores themselves: `policies.memory_cores` and others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from policies.arithmetic import TorchArithmetic
from policies.memory_cores import GruMemory, LstmMemory, MemoryCore, NoMemory
from policies.window_attention import AttentionConfig, WindowAttention


class CoreSizes(Protocol):
    """What a core is built from: the fields of `policies.networks.NetworkConfig` that cores read."""

    @property
    def core_units(self) -> int: ...

    @property
    def initial_memory_bars(self) -> int: ...

    @property
    def attention(self) -> AttentionConfig | None: ...


@dataclass(frozen=True, kw_only=True)
class Core:
    """One entry of `CORES`.

    Parameters
    ----------
    build : from the network's config and its arithmetic to the core.
    settings : dataclass of what this core alone needs, which stands in the field of `NetworkConfig` that has the core's
        name; None where the sizes suffice.
    """

    build: Callable[[CoreSizes, TorchArithmetic], MemoryCore]
    settings: type[Any] | None = None


def _attention(config: CoreSizes, arithmetic: TorchArithmetic) -> WindowAttention:
    assert config.attention is not None
    heads, window_bars = config.attention.heads, config.attention.window_bars
    return WindowAttention(config.core_units, heads, window_bars, arithmetic)


CORES: Mapping[str, Core] = {
    "mlp": Core(build=lambda config, arithmetic: NoMemory(config.core_units, arithmetic)),
    "lstm": Core(
        build=lambda config, arithmetic: LstmMemory(config.core_units, config.initial_memory_bars, arithmetic)
    ),
    "gru": Core(
        build=lambda config, arithmetic: GruMemory(config.core_units, config.initial_memory_bars, arithmetic)
    ),
    "attention": Core(build=_attention, settings=AttentionConfig),
}
"""Name in `policy.core` -> how the core is built."""
