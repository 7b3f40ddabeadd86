"""A hand-written recurrent PPO loop in plain PyTorch, in the manner of CleanRL: what our trainer is measured against.

It knows that all envs start together and that episodes are a multiple of a sequence, so that a state is cleared only
between sequences and ``torch.nn.LSTM`` runs over whole ones. A trainer for any env cannot assume that.

Shapes: L fragment steps, E envs, K sequence length, Q = L / K, N = Q x E sequences, D observation, A assets, H units.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from rayjobs.bench.train_workload import TrainWorkload, bench_env

State = tuple[Tensor, Tensor]


class RecurrentNetwork(nn.Module):
    """The layers of `policies.networks` on a flat observation: encoder, LSTM, scores and value from both."""

    def __init__(self, inputs: int, units: int, num_assets: int) -> None:
        super().__init__()
        self.num_assets = num_assets
        self.encoder = nn.Sequential(nn.Linear(inputs, units), nn.Tanh())
        self.lstm = nn.LSTM(units, units)
        self.scores = nn.Linear(2 * units, num_assets * 3)
        self.value = nn.Sequential(nn.Linear(2 * units, 64), nn.Tanh(), nn.Linear(64, 1))

    def forward(self, observation: Tensor, state: State) -> tuple[Tensor, Tensor, State]:
        """Run over sequences.

        Parameters
        ----------
        observation : (K, B, D).
        state : hidden and cell, (1, B, H) each.

        Returns
        -------
        log-probabilities (K, B, A, 3), values (K, B), state.
        """
        first = self.encoder(observation)
        hidden, state = self.lstm(first, state)
        both = torch.cat([hidden, first], dim=-1)
        scores = self.scores(both).unflatten(-1, (self.num_assets, 3))
        values = self.value(both).squeeze(-1)
        return torch.log_softmax(scores, dim=-1), values, state


class PlainLoop:
    """Call `iterate` for one batch: sample, GAE, epochs of minibatches of whole sequences.

    Parameters
    ----------
    device : of the network and the batch; the env steps on the CPU.
    bfloat16 : let torch take products in bfloat16, on a GPU alone.
    """

    def __init__(self, workload: TrainWorkload, device: str = "cpu", *, bfloat16: bool = False) -> None:
        self.workload, self.device = workload, torch.device(device)
        self._bfloat16 = bfloat16 and self.device.type == "cuda"
        torch.manual_seed(0)
        self.env = bench_env(workload, workload.num_envs)
        self.observation = self.env.reset(seed=0)[0].copy()
        network = RecurrentNetwork(self.env.layout.size, workload.units, workload.num_assets)
        self.network = network.to(self.device)
        self.optimizer = torch.optim.Adam(
            self.network.parameters(), lr=workload.learning_rate, eps=1e-5, fused=True
        )
        zeros = torch.zeros(1, workload.num_envs, workload.units, device=self.device)
        self.state: State = (zeros, zeros.clone())

    def iterate(self) -> None:
        self.update(*self.sample())

    @torch.inference_mode()
    def sample(self) -> tuple[dict[str, Tensor], list[State]]:
        work, env = self.workload, self.env
        length, num_envs = work.fragment_bars, work.num_envs
        here = self.device
        observations = torch.empty(length, num_envs, self.observation.shape[1], device=here)
        actions = torch.empty(length, num_envs, work.num_assets, dtype=torch.int64, device=here)
        log_probs, values, rewards, ended = (torch.empty(length, num_envs, device=here) for _ in range(4))
        final_values = torch.zeros(length, num_envs, device=here)
        states: list[State] = []
        for t in range(length):
            if t % work.sequence_bars == 0:
                states.append(self.state)
            observations[t] = torch.from_numpy(self.observation)
            log_probability, value, self.state = self.network(observations[t : t + 1], self.state)
            thresholds = log_probability[0, ..., :2].exp().cumsum(-1)
            actions[t] = (torch.rand(num_envs, work.num_assets, 1, device=here) >= thresholds).sum(-1)
            log_probs[t] = log_probability[0].gather(-1, actions[t].unsqueeze(-1)).squeeze(-1).sum(-1)
            values[t] = value[0]
            self.observation, reward, terminated, truncated, infos = env.step(actions[t].cpu().numpy())
            rewards[t] = torch.from_numpy(reward)
            over = torch.from_numpy(terminated | truncated).to(here)
            ended[t] = over
            if bool(over.any()):
                final = torch.from_numpy(infos["final_obs"][None]).to(here)
                bootstrap = self.network(final, self.state)[1][0]
                final_values[t] = torch.where(torch.from_numpy(truncated).to(here), bootstrap, 0.0)
                keep = (~over)[None, :, None]
                self.state = (self.state[0] * keep, self.state[1] * keep)
        after = self.network(torch.from_numpy(self.observation[None]).to(here), self.state)[1][0]
        advantages = self._advantages(rewards, values, after, ended, final_values)
        batch = {
            "observations": observations,
            "actions": actions,
            "log_probs": log_probs,
            "targets": advantages + values,
            "advantages": (advantages - advantages.mean()) / (advantages.std() + 1e-8),
        }
        return {name: self._fold(column) for name, column in batch.items()}, states

    def _advantages(
        self, rewards: Tensor, values: Tensor, after: Tensor, ended: Tensor, final_values: Tensor
    ) -> Tensor:
        work = self.workload
        advantages = torch.zeros_like(rewards)
        ahead = torch.zeros_like(rewards[0])
        for t in reversed(range(len(rewards))):
            going = 1.0 - ended[t]
            following = after if t == len(rewards) - 1 else values[t + 1]
            delta = rewards[t] + work.gamma * (following * going + final_values[t]) - values[t]
            ahead = delta + work.gamma * work.gae_lambda * going * ahead
            advantages[t] = ahead
        return advantages

    def _fold(self, column: Tensor) -> Tensor:
        """(L, E, ...) -> (K, N, ...), sequences in the order piece, env."""
        pieces = column.unflatten(0, (-1, self.workload.sequence_bars))
        return pieces.transpose(0, 1).flatten(1, 2).clone()

    def update(self, batch: dict[str, Tensor], states: list[State]) -> None:
        work = self.workload
        hidden = torch.cat([state[0] for state in states], dim=1).clone()
        cell = torch.cat([state[1] for state in states], dim=1).clone()
        num_sequences = hidden.shape[1]
        for _ in range(work.epochs):
            order = torch.from_numpy(np.random.permutation(num_sequences)).to(self.device)  # noqa: NPY002
            for rows in order.split(work.minibatch_sequences):
                picked = {name: column[:, rows] for name, column in batch.items()}
                with torch.autocast("cuda", dtype=torch.bfloat16, enabled=self._bfloat16):
                    loss = self._loss(picked, (hidden[:, rows], cell[:, rows]))
                self.optimizer.zero_grad(set_to_none=True)
                loss.backward()
                nn.utils.clip_grad_norm_(self.network.parameters(), work.max_grad_norm)
                self.optimizer.step()

    def _loss(self, batch: dict[str, Tensor], state: State) -> Tensor:
        work = self.workload
        log_probability, values, _ = self.network(batch["observations"], state)
        logp = log_probability.gather(-1, batch["actions"].unsqueeze(-1)).squeeze(-1).sum(-1)
        ratio = (logp - batch["log_probs"]).exp()
        advantages = batch["advantages"]
        gain = torch.minimum(
            advantages * ratio, advantages * ratio.clamp(1.0 - work.clip, 1.0 + work.clip)
        ).mean()
        entropy = -(log_probability.exp() * log_probability).sum((-2, -1)).mean()
        value_loss = (values - batch["targets"]).square().mean()
        return -gain + work.value_weight * value_loss - work.entropy_weight * entropy
