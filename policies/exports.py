"""Exported policies of every make: a folder says itself which it holds."""

from __future__ import annotations

from pathlib import Path

from envs.observations import ObservationLayout
from policies.contract import CONTRACT_FILE, read_contract
from policies.exported_policy import TrainedPolicy
from policies.supervised.policy import KIND, SupervisedPolicy

ExportedPolicy = TrainedPolicy | SupervisedPolicy


def load_export(
    directory: Path, *, layout: ObservationLayout | None = None, feature_hash: str | None = None
) -> ExportedPolicy:
    """Read a policy; runs no code from its files.

    Parameters
    ----------
    directory : where it was saved. layout, feature_hash : of the env it is to act in; None skips the check.

    Raises
    ------
    ValueError
        If a file is missing or damaged, or the policy was trained on other observations.
    """
    place = directory / CONTRACT_FILE
    supervised = place.is_file() and read_contract(place).get("kind") == KIND
    kind = SupervisedPolicy if supervised else TrainedPolicy
    return kind.load(directory, layout=layout, feature_hash=feature_hash)
