"""Ray actors that run trials one after another: started once, since starting one costs more than a short trial."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Sequence
from typing import Any

import ray

from rayjobs.cluster.placement import Demand, Reservation
from rayjobs.monitoring.log_context import log_as
from rayjobs.search.plan.objective import FoldScore
from rayjobs.search.trial.order import TrialOrder, TrialProgram

MakeProgram = Callable[[Any], TrialProgram]


@ray.remote(max_restarts=0, max_task_retries=0)
class TrialWorker:
    """Holds one program in a process of its own, so that a crash takes one trial with it and no more."""

    def __init__(self, make_program: MakeProgram, shared: Any) -> None:
        logging.getLogger().setLevel(
            logging.ERROR
        )  # the driver reports; workers are read only when they fail
        self._program = make_program(shared)

    def advance(self, order: TrialOrder, fraction: float) -> list[FoldScore]:
        """See `TrialProgram.advance`."""
        log_as(trial=order.trial)
        return list(self._program.advance(order, fraction))

    def drop(self) -> None:
        """Forget the present trial."""
        self._program.drop()


class WorkerPool:
    """Up to ``size`` workers, started when first needed; a context manager that ends them.

    Parameters
    ----------
    make_program : builds the program in the worker, from ``shared``.
    shared : reference to what all workers read, in the object store.
    size : workers at most.
    num_cpus : of one worker's own process.
    demand : what a worker asks for together with the actors that it starts; None where it starts none.
    """

    def __init__(
        self,
        make_program: MakeProgram,
        shared: ray.ObjectRef,
        size: int,
        num_cpus: float = 1,
        demand: Demand | None = None,
    ) -> None:
        self._make_program, self._shared = make_program, shared
        self._size, self._num_cpus, self._demand = size, num_cpus, demand or Demand.one_process()
        self._places: dict[Any, Reservation] = {}
        self._idle: list[Any] = []
        self._all: list[Any] = []

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(self, *exception: object) -> None:
        for worker in list(self._all):
            self.discard(worker)

    @property
    def size(self) -> int:
        return self._size

    @property
    def num_free(self) -> int:
        """Workers that could be taken now."""
        return len(self._idle) + self._size - len(self._all)

    def take(self, count: int) -> list[Any]:
        """``count`` workers, at most `num_free`."""
        assert count <= self.num_free
        while len(self._idle) < count:
            place = Reservation(self._demand)
            worker = TrialWorker.options(**place.options | {"num_cpus": self._num_cpus}).remote(
                self._make_program, self._shared
            )
            self._places[worker] = place
            self._all.append(worker)
            self._idle.append(worker)
        taken, self._idle = self._idle[:count], self._idle[count:]
        return taken

    def give_back(self, workers: Sequence[Any]) -> None:
        """Workers that can run another trial."""
        self._idle.extend(worker for worker in workers if worker in self._all)

    def discard(self, worker: Any) -> None:
        """End a worker, or forget one that died; another takes its place when needed."""
        if worker in self._all:
            self._all.remove(worker)
        self._idle = [idle for idle in self._idle if idle is not worker]
        with contextlib.suppress(Exception):  # it may be gone
            ray.kill(worker)
        if place := self._places.pop(worker, None):
            place.release()
