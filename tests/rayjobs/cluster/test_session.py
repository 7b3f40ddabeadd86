"""Ray is started for the job and stopped with it; a runtime that was there already is left alone."""

from __future__ import annotations

import dataclasses
import os

import pytest

from rayjobs.cluster.session import RayNotStarted, ray_session, usable_cpus
from rayjobs.cluster.settings import ClusterConfig
from rayjobs.config.typed_config import ConfigError

LOCAL = ClusterConfig.here(num_cpus=1, object_store_mb=100)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_cpus": 0}, "cluster.num_cpus is 0; it must be at least 1"),
        ({"num_gpus": -1}, "cluster.num_gpus is -1; it must be 0 or more"),
        ({"object_store_mb": 5}, "cluster.object_store_mb is 5; it must be at least 100"),
        ({"address": "auto", "num_cpus": 2}, "a running cluster has its own resources"),
    ],
)
def test_resources_that_cannot_be_had_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(ClusterConfig.here(num_cpus=None, object_store_mb=None, num_gpus=None), **changes)


def test_usable_cpus_are_those_of_this_process():
    assert 1 <= usable_cpus() <= (os.cpu_count() or 1)


@pytest.mark.ray
def test_a_local_session_ends_with_its_block_and_its_workers_have_one_thread_each():
    import ray

    with ray_session(LOCAL):
        threads = ray.get(ray.remote(lambda: os.environ.get("OMP_NUM_THREADS")).remote())
        assert threads == "1"
        with ray_session(LOCAL):
            pass
        assert ray.is_initialized()
    assert not ray.is_initialized()


def test_a_machine_too_busy_for_ray_to_start_is_told_with_what_to_do(monkeypatch):
    def init(**_: object) -> None:
        raise Exception(
            "The current node timed out during startup. This could happen because some of the raylet ..."
        )

    monkeypatch.setattr("ray.init", init)
    with (
        pytest.raises(RayNotStarted, match=r"within its 30 s; .*Start the job again once"),
        ray_session(LOCAL),
    ):
        pass


def test_any_other_failure_of_rays_start_stays_what_it_is(monkeypatch):
    def init(**_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("ray.init", init)
    with pytest.raises(OSError, match="no space left"), ray_session(LOCAL):
        pass


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1"])
def test_an_address_that_does_not_answer_is_one_sentence_at_once(address):
    nothing = ClusterConfig.here(num_cpus=None, object_store_mb=None, num_gpus=None)
    config = dataclasses.replace(nothing, address=address)
    with (
        pytest.raises(ConfigError, match=f"no Ray cluster answers at cluster.address={address}"),
        ray_session(config),
    ):
        pass
