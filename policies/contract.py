"""What an exported policy needs to be given, whatever model it is, and the JSON file that says so.

The contract names every entry of the observation, the features behind them, the statistics they were standardised with,
and every bar that the policy has seen. Its file is checked against a recorded hash.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from envs.observations import ObservationLayout
from policies.origin import Origin

CONTRACT_FILE = "policy.json"
FORMAT_VERSION = 2


@dataclass(frozen=True, kw_only=True)
class Contract:
    """What a policy needs to be given, and what it gives back.

    Parameters
    ----------
    layout : names and places of the observation's entries.
    feature_hash : hash of the feature definitions that fill the market and clock blocks; "" for foreign envs.
    standardiser : statistics of the training window, as ``Standardiser.to_dict``; None for foreign envs.
    action_scheme : name of the action scheme, such as ``direction``; "" for foreign envs.
    origin : symbols, bars and run that the policy comes from; None when they are not known (foreign envs), and then
        nothing that is scored with it can be approved.
    """

    layout: ObservationLayout
    feature_hash: str
    standardiser: dict[str, Any] | None
    action_scheme: str
    origin: Origin | None = None

    def check_fits(self, layout: ObservationLayout | None, feature_hash: str | None) -> None:
        """Refuse an env with other observations than the policy was trained on; None skips a check.

        Raises
        ------
        ValueError
            If the entries or the features behind them differ.
        """
        if layout is not None and layout.schema_hash != self.layout.schema_hash:
            raise ValueError(_difference(self.layout, layout))
        if feature_hash is not None and feature_hash != self.feature_hash:
            raise ValueError(
                "the policy was trained on features defined otherwise (other definitions or parameters); "
                "use the features config of its run"
            )


def layout_facts(layout: ObservationLayout) -> dict[str, Any]:
    """A layout as JSON, with its hash for whoever reads it."""
    return asdict(layout) | {"schema_hash": layout.schema_hash}


def layout_of(facts: dict[str, Any]) -> ObservationLayout:
    """The layout that `layout_facts` wrote down."""
    fields = {key: value for key, value in facts.items() if key != "schema_hash"}
    return ObservationLayout(**fields | {"names": tuple(fields["names"])})


def contract_hash(facts: dict[str, Any]) -> str:
    """sha256 over a contract without the run's id, so that equal trainings have equal hashes."""
    if facts["origin"] is not None:
        facts = facts | {"origin": {**facts["origin"], "run_id": ""}}
    return facts_hash(facts)


def write_contract(directory: Path, facts: dict[str, Any]) -> None:
    """Write the contract with its hash: the whole file or none, so that a full disk leaves what was there before."""
    text = json.dumps(facts | {"contract_hash": facts_hash(facts)}, indent=2, allow_nan=False)
    contract = directory / CONTRACT_FILE
    partial(contract).write_text(text + "\n")
    os.replace(partial(contract), contract)


def read_contract(path: Path) -> dict[str, Any]:
    """The facts of a contract's file.

    Raises
    ------
    ValueError
        If it is damaged, or of another version.
    """
    damaged = damaged_file(path)
    try:
        facts = json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(damaged) from error
    if not isinstance(facts, dict):
        raise ValueError(damaged)
    if facts.get("format_version") != FORMAT_VERSION:
        raise ValueError(
            f"{path} has format version {facts.get('format_version')}, "
            f"this release reads {FORMAT_VERSION}; export the policy again, by training it: from version 2 on an "
            "export says which bars its policy has seen"
        )
    if facts.pop("contract_hash", None) != facts_hash(facts):
        raise ValueError(damaged)
    return facts


def damaged_file(path: Path) -> str:
    """What is said of a file that does not match its hash."""
    return f"{path} is damaged (it does not match its recorded hash); export the policy again"


def facts_hash(facts: dict[str, Any]) -> str:
    """sha256 over facts as JSON."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def partial(path: Path) -> Path:
    """Where a file is written before it takes its place."""
    return path.with_name(path.name + ".partial")


def _difference(trained: ObservationLayout, given: ObservationLayout) -> str:
    missing = sorted(set(trained.names) - set(given.names))
    extra = sorted(set(given.names) - set(trained.names))
    detail = (
        f"missing {missing[:5]}, not known to it {extra[:5]}"
        if missing or extra
        else "the order of entries differs"
    )
    return (
        f"the policy was trained on {len(trained.names)} observation entries and is given {len(given.names)}: "
        f"{detail}; use the env and features config of its run"
    )
