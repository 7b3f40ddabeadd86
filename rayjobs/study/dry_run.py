"""What a job would ask of the cluster, and what of it does not fit: ``cluster.dry_run=true``."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from evaluation.windows.splits import Fold
from policies.contract import Contract
from policies.exported_policy import PolicyContract
from rayjobs.cluster.placement import Demand, Node, Room
from rayjobs.config.exit_codes import ExitCode
from rayjobs.config.typed_config import ConfigError
from rayjobs.monitoring.result_tables import print_table
from rayjobs.study.fold_market import fold_market
from rayjobs.study.fold_tasks import demand_of
from rayjobs.study.study import Study

MB = 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a job asks for.

    Parameters
    ----------
    what : what is counted, ``fold`` or ``trial``.
    count : of those in all.
    demand : of each.
    shared_bytes : in the object store of every node that works, once: bars, features, and markets that all share.
    own_bytes : in the object store for each that runs: its market, and one fragment per env runner.
    """

    what: str
    count: int
    demand: Demand
    shared_bytes: int
    own_bytes: int

    def rows(self, nodes: Sequence[Node]) -> list[dict[str, object]]:
        """The table: what is asked for, and how it lies on these nodes."""
        demand, room = self.demand, self.demand.fits(nodes)
        side_by_side = min(room, self.count)
        rounds = -(-self.count // room) if room else "-"
        facts: dict[str, object] = {
            f"{self.what}s": self.count,
            f"CPUs of a {self.what}": f"{demand.cpus} (1 + {demand.num_env_runners} env runners + "
            f"{demand.num_learners} learners)",
            f"GPUs of a {self.what}": demand.gpus,
            "placement": demand.strategy(nodes),
            "cluster": f"{len(nodes)} nodes, {sum(n.cpus for n in nodes)} CPUs, {sum(n.gpus for n in nodes)} GPUs",
            "side by side": side_by_side,
            "rounds": rounds,
            "object store of each node, shared": f"{self.shared_bytes / MB:,.1f} MB",
            f"object store for each running {self.what}": f"{self.own_bytes / MB:,.1f} MB",
        }
        return [{"asked for": name, "": value} for name, value in facts.items()]

    def misfits(self, nodes: Sequence[Node], possible: Sequence[Node] = ()) -> list[str]:
        """A sentence for each thing that does not fit; none when the job can run.

        Parameters
        ----------
        possible : nodes that the cluster could have, if it can start any.
        """
        found = []
        try:
            if not self.demand.fits(possible):
                self.demand.require_room(nodes, f"a {self.what}")
        except ValueError as error:
            found.append(str(error))
        for node in nodes:
            running = node.cpus // self.demand.cpus if self.demand.strategy(nodes) != "PACK" else 1
            needed = self.shared_bytes + max(running, 1) * self.own_bytes
            if node.cpus and needed > node.store_bytes:
                found.append(
                    f"a node with {node.cpus} CPUs needs {needed / MB:,.1f} MB of object store but has "
                    f"{node.store_bytes / MB:,.1f} MB; raise cluster.object_store_mb or that of `ray start`"
                )
        return list(dict.fromkeys(found))


def fragment_bytes(study: Study, contract: Contract) -> int:
    """Bytes of what one env runner hands over in one iteration: see `policies.fragment.Fragment`; 0 without any.

    Per env step of A assets and D observed numbers: observation 4 D, actions 8 A, scores 4 x 3 A, five float32 or bool
    columns 17; and per sequence the recurrent state of each asset.
    """
    if not isinstance(contract, PolicyContract):
        return 0
    algo, assets = study.config.algo, contract.layout.num_assets
    network = contract.actions.network(contract.layout, contract.network)
    states = sum(part.numel() * part.element_size() for part in network.initial_state(1).values())
    per_step = 4 * contract.layout.size + 20 * assets + 17 + states / algo.sequence_bars
    return int(algo.num_envs * algo.fragment_bars * per_step)


def folds_plan(study: Study, folds: Sequence[Fold]) -> Plan:
    """The plan of a training job: every fold, for every seed."""
    market, contract = fold_market(study, folds[0])
    runners = study.config.algo.num_env_runners
    return Plan(
        what="fold",
        count=len(folds) * (1 if study.config.script else study.config.trainer.num_seeds),
        demand=demand_of(study),
        shared_bytes=array_bytes(study.panel) + array_bytes(study.features),
        own_bytes=array_bytes(market) + runners * fragment_bytes(study, contract),
    )


def trials_plan(study: Study, folds: Sequence[Fold], num_trials: int) -> Plan:
    """The plan of a sweep; its trials share one market per validation fold."""
    market, contract = fold_market(study, folds[0])
    runners = study.config.algo.num_env_runners
    return Plan(
        what="trial",
        count=num_trials,
        demand=demand_of(study),
        shared_bytes=array_bytes(study.panel)
        + array_bytes(study.features)
        + len(folds) * array_bytes(market),
        own_bytes=runners * fragment_bytes(study, contract),
    )


def print_plan(job: Plan, room: Room) -> ExitCode:
    """Show it.

    Raises
    ------
    ConfigError
        If something does not fit, with the first reason; the others stand in the table.
    """
    nodes = room.living
    misfits = job.misfits(nodes, room.possible)
    rows = job.rows(nodes)
    if job.demand.fits(room.possible) > job.demand.fits(nodes):
        rows.append(
            {"asked for": "side by side once the cluster has grown", "": job.demand.fits(room.possible)}
        )
    rows += [{"asked for": "does not fit", "": sentence} for sentence in misfits]
    print_table("Dry run: nothing was started", rows)
    if misfits:
        raise ConfigError(misfits[0])
    return ExitCode.DONE


def array_bytes(value: object) -> int:
    """Bytes of the arrays in a dataclass of arrays, or of mappings of arrays."""
    if isinstance(value, np.ndarray):
        return value.nbytes
    if isinstance(value, Mapping):
        return sum(array_bytes(one) for one in value.values())
    if dataclasses.is_dataclass(value):
        return sum(array_bytes(getattr(value, field.name)) for field in dataclasses.fields(value))
    return 0
