"""PufferLib's recurrent PPO on our env in a process of its own. Run by rayjobs.bench.train_pufferlib.

Answers each line on its standard input: "train" does one batch, "sample" only samples one. The answer is a line of JSON
with the CPU and wall seconds that it took.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
import warnings

import torch

from rayjobs.bench.train_workload import TrainWorkload, bench_env

shutil.which = lambda *_, **__: None  # it takes any nvcc for a sign that its own part was built for a GPU

import pufferlib  # noqa: E402
import pufferlib.models  # noqa: E402
from pufferlib import pufferl  # noqa: E402

warnings.resetwarnings()  # it turns some into errors, for our packages too
warnings.simplefilter("ignore")


class NativeEnv(pufferlib.PufferEnv):
    """`PortfolioVectorEnv` as a native env of PufferLib: each of its envs is an agent, and it resets itself."""

    def __init__(self, workload: TrainWorkload) -> None:
        self._env = bench_env(workload, workload.num_envs)
        self.single_observation_space = self._env.single_observation_space
        self.single_action_space = self._env.single_action_space
        self.num_agents = self.agents_per_batch = workload.num_envs
        super().__init__()

    def reset(self, seed=None):
        self.observations[:] = self._env.reset(seed=seed)[0]
        return self.observations, []

    def step(self, actions):
        observation, reward, terminated, truncated, _ = self._env.step(actions)
        self.observations[:] = observation
        self.rewards[:], self.terminals[:], self.truncations[:] = reward, terminated, truncated
        return self.observations, self.rewards, self.terminals, self.truncations, []

    def close(self):
        self._env.close()


class Trainer(pufferl.PuffeRL):
    """Without its table in the terminal: it would cost the peer time that ours does not spend."""

    def print_dashboard(self, *_, **__):
        pass


def build(workload: TrainWorkload) -> Trainer:
    """The sizes of `TrainWorkload`; what it does not name as PufferLib's own configuration has it."""
    env = NativeEnv(workload)
    policy = pufferlib.models.Default(env, hidden_size=workload.units)
    policy = pufferlib.models.LSTMWrapper(env, policy, workload.units, workload.units)
    config = {
        "env": "portfolio", "device": "cpu", "cpu_offload": False, "precision": "float32", "compile": False,
        "seed": 0, "torch_deterministic": True, "use_rnn": True, "optimizer": "adam", "anneal_lr": False,
        "adam_beta1": 0.9, "adam_beta2": 0.999, "adam_eps": 1e-5, "total_timesteps": 10**9,
        "learning_rate": workload.learning_rate, "gamma": workload.gamma, "gae_lambda": workload.gae_lambda,
        "update_epochs": workload.epochs, "clip_coef": workload.clip, "vf_coef": workload.value_weight,
        "vf_clip_coef": 0.2, "max_grad_norm": workload.max_grad_norm, "ent_coef": workload.entropy_weight,
        "batch_size": workload.batch_steps, "minibatch_size": workload.minibatch_steps,
        "max_minibatch_size": workload.minibatch_steps, "bptt_horizon": workload.sequence_bars,
        "vtrace_rho_clip": 1.0, "vtrace_c_clip": 1.0, "prio_alpha": 0.8, "prio_beta0": 0.2,
        "checkpoint_interval": 10**9, "data_dir": "unused",
    }  # fmt: skip
    return Trainer(config, env, policy)


def main() -> None:
    torch.set_num_threads(1)
    answers, sys.stdout = sys.stdout, sys.stderr  # it prints
    trainer = build(TrainWorkload(**json.loads(sys.argv[1])))
    try:
        for line in sys.stdin:
            began, clock = time.process_time(), time.perf_counter()
            trainer.evaluate()
            if line.strip() == "train":
                trainer.train()
            spent = {"cpu": time.process_time() - began, "wall": time.perf_counter() - clock}
            print(json.dumps(spent), file=answers, flush=True)
    finally:
        trainer.utilization.stop()  # a thread that would go on when whoever asks has ended


if __name__ == "__main__":
    main()
