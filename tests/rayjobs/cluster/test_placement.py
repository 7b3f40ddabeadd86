"""What a training asks of the cluster, where it goes, and what a dry run says does not fit."""

from __future__ import annotations

import numpy as np
import pytest

from rayjobs.cluster.node_types import NodeType, types_of
from rayjobs.cluster.placement import Demand, Node, Room
from rayjobs.config.typed_config import ConfigError

GB = 1024**3
ONE_PROCESS = Demand(num_env_runners=0, num_learners=0, learner_gpus=0)
WITH_RUNNERS = Demand(num_env_runners=3, num_learners=0, learner_gpus=0)
ON_GPUS = Demand(num_env_runners=1, num_learners=2, learner_gpus=1)


def nodes(*cpus: int, gpus: int = 0) -> list[Node]:
    return [Node(cpus=c, gpus=gpus, store_bytes=GB) for c in cpus]


@pytest.mark.parametrize(
    ("demand", "cluster", "strategy", "side_by_side"),
    [
        (ONE_PROCESS, nodes(2, 1), "SPREAD", 3),
        (
            WITH_RUNNERS,
            nodes(8, 4),
            "STRICT_PACK",
            3,
        ),  # 4 CPUs each: two on the first node, one on the second
        (WITH_RUNNERS, nodes(6, 6), "STRICT_PACK", 2),  # 2 CPUs of each node are left over
        (WITH_RUNNERS, nodes(1, 1, 1, 1), "PACK", 1),  # no node is large enough: over several
        (WITH_RUNNERS, nodes(1, 1), "PACK", 0),
        (ON_GPUS, nodes(64, gpus=4), "STRICT_PACK", 2),  # 2 GPUs each
        (ON_GPUS, nodes(64), "PACK", 0),
    ],
)
def test_a_training_goes_to_one_node_where_one_is_large_enough(demand, cluster, strategy, side_by_side):
    assert demand.strategy(cluster) == strategy
    assert demand.fits(cluster) == side_by_side


def test_each_process_is_a_bundle_and_only_learners_get_gpus():
    assert WITH_RUNNERS.bundles == [{"CPU": 1}] * 4
    assert ON_GPUS.bundles == [{"CPU": 1}, {"CPU": 1, "GPU": 1}, {"CPU": 1, "GPU": 1}, {"CPU": 1}]


@pytest.mark.parametrize(
    ("demand", "message"),
    [
        (WITH_RUNNERS, "a fold needs 4 CPUs .* but the cluster has 2;"),
        (ON_GPUS, "4 CPUs .* and 2 GPUs but .* 0 GPUs"),
    ],
)
def test_no_room_for_one_is_one_sentence(demand, message):
    with pytest.raises(ValueError, match=message):
        demand.require_room(nodes(1, 1), "a fold")


def make_plan(**changes):
    from rayjobs.study.dry_run import Plan

    facts = {
        "what": "fold",
        "count": 5,
        "demand": WITH_RUNNERS,
        "shared_bytes": GB // 4,
        "own_bytes": GB // 4,
    }
    return Plan(**facts | changes)


def test_a_plan_counts_rounds_and_bytes():
    rows = {row["asked for"]: row[""] for row in make_plan().rows(nodes(8))}
    assert rows["folds"] == 5
    assert rows["side by side"] == 2
    assert rows["rounds"] == 3  # 2 + 2 + 1
    assert rows["object store of each node, shared"] == "256.0 MB"


def test_a_store_that_is_too_small_is_named_with_what_it_would_need():
    plan = make_plan(own_bytes=GB // 2)
    assert make_plan().misfits(nodes(8)) == []  # 0.25 GB shared and twice 0.25 GB
    (sentence,) = plan.misfits(nodes(8))  # 0.25 GB shared and twice 0.5 GB
    assert "needs 1,280.0 MB of object store but has 1,024.0 MB" in sentence


def test_everything_that_does_not_fit_is_told():
    assert len(make_plan(own_bytes=GB).misfits(nodes(1, 1))) == 2


def test_bytes_are_those_of_all_arrays():
    from dataclasses import dataclass

    from rayjobs.study.dry_run import array_bytes

    @dataclass
    class Arrays:
        bars: np.ndarray
        more: dict
        name: str

    found = Arrays(np.zeros((10, 2)), {"x": np.zeros(5, np.float32)}, "y")
    assert array_bytes(found) == 10 * 2 * 8 + 5 * 4


@pytest.mark.ray
def test_a_dry_run_starts_nothing_and_writes_nothing(tmp_path, capsys):
    from rayjobs.entry import run_entry_point
    from rayjobs.sweep import sweep
    from rayjobs.train import train

    small = [
        "+experiment=planted_signal",
        "cluster.dry_run=true",
        "cluster.num_cpus=2",
        f"run.directory={tmp_path}",
    ]
    assert run_entry_point(train, "train", small) == 0
    assert run_entry_point(sweep, "sweep", [*small, "search.num_trials=7"]) == 0
    shown = capsys.readouterr().out
    assert "Dry run: nothing was started" in shown
    assert "trials" in shown
    assert run_entry_point(train, "train", [*small, "algo.num_env_runners=4"]) == 2
    assert "a fold needs 5 CPUs" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.ray
def test_a_fragment_is_as_large_as_a_dry_run_says(tmp_path):
    import ray

    from rayjobs.cluster.session import ray_session
    from rayjobs.cluster.settings import ClusterConfig
    from rayjobs.config.compose import compose
    from rayjobs.study.config import build_train_config
    from rayjobs.study.dry_run import array_bytes, fragment_bytes
    from rayjobs.study.fold import training_spec
    from rayjobs.study.fold_market import fold_market
    from rayjobs.study.load import load_study
    from rayjobs.training.policy_training import build_algorithm

    small = ["+experiment=planted_signal", "algo.num_envs=16", "algo.minibatch_steps=256"]
    with ray_session(ClusterConfig.here(num_cpus=1, object_store_mb=100)):
        for core in ("lstm", "gru", "mlp", "attention"):
            config = build_train_config(compose("train", [*small, f"policy={core}"]))
            study, _, folds = load_study(config)
            market, contract = fold_market(study, folds[0])
            spec = training_spec(config, folds[0], ray.put(market), contract, tmp_path / core)
            algorithm = build_algorithm(spec)
            fragment = algorithm.env_runner.sample(cost_scale=1.0)
            algorithm.stop()
            assert fragment_bytes(study, contract) == pytest.approx(array_bytes(fragment), rel=0.01), core


def test_node_types_are_those_of_the_autoscalers_file_with_the_head_once():
    config = {
        "max_workers": 8,
        "head_node_type": "head",
        "available_node_types": {
            "head": {"resources": {"CPU": 8}, "max_workers": 8},
            "runner": {"resources": {"CPU": 16}, "max_workers": 20},
            "learner": {"resources": {"CPU": 16, "GPU": 1}, "max_workers": 1},
            "unknown": {"resources": {}},
        },
    }
    assert types_of(config) == (
        NodeType(cpus=8),
        NodeType(cpus=16, count=8),
        NodeType(cpus=16, gpus=1, count=1),
    )


def test_what_could_be_started_is_waited_for_and_nothing_else():
    room = Room(living=tuple(nodes(2)), possible=(*nodes(2), *nodes(16, gpus=2)))
    assert room.require(ONE_PROCESS, "a fold") == 2
    assert room.require(WITH_RUNNERS, "a fold") == 0
    assert room.strategy(ON_GPUS) == "STRICT_PACK"
    assert room.require(ON_GPUS, "a fold") == 0
    too_many = Demand(num_env_runners=0, num_learners=3, learner_gpus=1)
    with pytest.raises(ConfigError, match="4 CPUs .* and 3 GPUs but the cluster has 18 and 2 GPUs"):
        room.require(too_many, "a fold")
