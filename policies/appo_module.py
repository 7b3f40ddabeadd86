"""Our network as stock RLlib's APPO wants it: with a slowly following copy beside it (Luo et al. 2020, IMPACT)."""

from __future__ import annotations

from typing import Any

from ray.rllib.core.columns import Columns
from ray.rllib.core.learner.utils import make_target_network
from ray.rllib.core.rl_module.apis.target_network_api import (
    TARGET_NETWORK_ACTION_DIST_INPUTS,
    TargetNetworkAPI,
)

from policies.module import PortfolioModule


class TargetPortfolioModule(PortfolioModule, TargetNetworkAPI):
    """For RLlib's own env runners and connectors; ``model_config`` as for `PortfolioModule`, and ``max_seq_len``."""

    def make_target_networks(self) -> None:
        self.target_network = make_target_network(self.network)

    def get_target_network_pairs(self) -> list[tuple[Any, Any]]:
        return [(self.network, self.target_network)]

    def forward_target(self, batch: dict[str, Any]) -> dict[str, Any]:
        own = self.network
        self.network = self.target_network
        try:
            return {TARGET_NETWORK_ACTION_DIST_INPUTS: self._forward(batch)[Columns.ACTION_DIST_INPUTS]}
        finally:
            self.network = own

    def get_non_inference_attributes(self) -> list[str]:
        return ["target_network"]
