"""What must be touched to extend the platform: each function returns a sentence for every file that was forgotten."""

from __future__ import annotations

import inspect
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import fields
from importlib import import_module
from pathlib import Path
from typing import Any

import yaml
from pages import ROOT
from torch import nn

from data.features.compute import FEATURES
from data.sources import CONFIGS, RECORDED, RecordedBars
from data.vendors import VENDORS
from envs.actions import ACTION_SCHEMES
from envs.kernel import columns
from envs.kernel.reward import TERMS
from envs.rewards import RewardConfig
from evaluation.gate.config import GateConfig
from evaluation.gate.criteria import CRITERIA
from evaluation.gate.standard import STRICTER
from policies.arithmetic import TorchArithmetic
from policies.cores import CORES
from policies.networks import NetworkConfig
from rayjobs.bench.numpy_env.account import TERM_SIGNS

CONF = ROOT / "conf"
REWARD_CONSTANTS = {"scale", "differential_sharpe_rate", "edge_minutes", "edge_factor", "function"}
"""Fields of `RewardConfig` that are no weight of a term."""


def keys_of(path: Path) -> set[str]:
    return set(yaml.safe_load(path.read_text()))


def values_in(folder: Path, *keys: str) -> set[Any]:
    """The values at a dotted key in all files of a folder of `conf`."""
    found = set()
    for path in folder.glob("*.yaml"):
        value: Any = yaml.safe_load(path.read_text())
        for key in keys:
            value = value.get(key) if isinstance(value, Mapping) else None
        found.add(value)
    return found


def missing(names: Iterable[str], known: Collection[str], sentence: str) -> list[str]:
    return [sentence.format(name=name) for name in names if name not in known]


def of_reward_terms(
    terms: Collection[str] = TERMS,
    weights: Collection[str] = {field.name for field in fields(RewardConfig)} - REWARD_CONSTANTS,
    defaults: Collection[str] = keys_of(CONF / "reward" / "log_equity.yaml") - REWARD_CONSTANTS,
    in_numpy: Collection[str] = TERM_SIGNS,
) -> list[str]:
    everywhere = sorted({*terms, *weights, *defaults, *in_numpy})
    return [
        *missing(
            everywhere, terms, "envs/kernel/reward.py: TERMS has no function for the reward term {name}"
        ),
        *missing(everywhere, weights, "envs/rewards.py: RewardConfig has no weight {name}"),
        *missing(everywhere, defaults, "conf/reward/log_equity.yaml: no default for the weight {name}"),
        *missing(everywhere, in_numpy, "rayjobs/bench/numpy_env/account.py: TERM_SIGNS has no {name}"),
    ]


def core_classes() -> dict[str, str]:
    """Name of each class in `policies` that has the form of a memory core -> its file."""
    found = {}
    for path in sorted((ROOT / "policies").glob("*.py")):
        if "def sequence(" not in path.read_text():
            continue
        module = import_module(f"policies.{path.stem}")
        for name, kind in inspect.getmembers(module, inspect.isclass):
            own = kind.__module__ == module.__name__ and issubclass(kind, nn.Module)
            if own and all(hasattr(kind, method) for method in ("initialise", "step", "sequence")):
                found[name] = f"policies/{path.name}"
    return found


def built_by(cores: Mapping[str, Any], config: NetworkConfig) -> set[str]:
    """Names of the classes that the entries build."""
    return {type(core.build(config, TorchArithmetic())).__name__ for core in cores.values()}


def of_cores(
    config: NetworkConfig,
    classes: Mapping[str, str] | None = None,
    cores: Mapping[str, Any] = CORES,
    files: Collection[Any] = values_in(CONF / "policy", "core"),
) -> list[str]:
    """``config`` : one with the settings of every core, so that each can be built."""
    classes = core_classes() if classes is None else classes
    built = built_by(cores, config)
    with_settings = [name for name, core in cores.items() if core.settings is not None]
    own = {field.name for field in fields(NetworkConfig)}
    return [
        *(f"policies/cores.py: CORES builds no {n} of {classes[n]}" for n in classes if n not in built),
        *missing(cores, files, "conf/policy/{name}.yaml: no file has core: {name}"),
        *missing(sorted(f for f in files if f), cores, "policies/cores.py: CORES has no {name}"),
        *missing(with_settings, own, "policies/networks.py: NetworkConfig has no field {name}"),
    ]


def of_action_schemes(
    schemes: Mapping[str, Any] = ACTION_SCHEMES,
    files: Collection[Any] = values_in(CONF / "env", "action", "scheme"),
    orders: str = (ROOT / "envs" / "kernel" / "orders.py").read_text(),
) -> list[str]:
    codes = {name: getattr(columns, name.upper(), None) for name in schemes}
    return [
        *(
            f"envs/kernel/columns.py: {name.upper()} must be the code of the scheme {name}"
            for name, scheme in schemes.items()
            if codes[name] != scheme.code
        ),
        *(
            f"envs/kernel/orders.py: nothing is said of {name.upper()}"
            for name in schemes
            if name != "direction" and not re.search(rf"== {name.upper()}\b", orders)
        ),
        *missing(schemes, files, "conf/env/{name}.yaml: no file has action.scheme: {name}"),
        *missing(
            sorted(f for f in files if f), schemes, "envs/actions.py: ACTION_SCHEMES has no entry {name}"
        ),
    ]


def source_classes() -> dict[str, str]:
    """Name of each `RecordedBars` in `data.sources` -> its file."""
    found = {}
    for path in sorted((ROOT / "data" / "sources").glob("*.py")):
        if "(RecordedBars)" in path.read_text():
            module = import_module(f"data.sources.{path.stem}")
            for name, kind in inspect.getmembers(module, inspect.isclass):
                if kind.__module__ == module.__name__ and issubclass(kind, RecordedBars):
                    found[name] = f"data/sources/{path.name}"
    return found


def of_sources(
    classes: Mapping[str, str] | None = None,
    configs: Mapping[str, type[Any]] = CONFIGS,
    files: Collection[Any] = values_in(CONF / "data", "source"),
) -> list[str]:
    classes = source_classes() if classes is None else classes
    listed = {kind.__name__ for kind in RECORDED.values()}
    return [
        *(
            f"data/sources/__init__.py: RECORDED lacks {n} of {classes[n]}"
            for n in classes
            if n not in listed
        ),
        *missing(configs, files, "conf/data/{name}.yaml: no file has source: {name}"),
    ]


def vendor_classes() -> dict[str, str]:
    """Name of each class in `data.vendors` that is a vendor -> its file; bars at hand are no vendor of the table."""
    found = {}
    for path in sorted((ROOT / "data" / "vendors").glob("*.py")):
        if path.stem in ("definition", "local") or "def fetch(self" not in path.read_text():
            continue
        module = import_module(f"data.vendors.{path.stem}")
        for name, kind in inspect.getmembers(module, inspect.isclass):
            if kind.__module__ == module.__name__ and hasattr(kind, "fetch") and hasattr(kind, "pieces"):
                found[name] = f"data/vendors/{path.name}"
    return found


def of_vendors(classes: Mapping[str, str] | None = None, vendors: Mapping[str, Any] = VENDORS) -> list[str]:
    classes = vendor_classes() if classes is None else classes
    listed = {getattr(kind, "__self__", kind).__name__ for kind in vendors.values()}
    page = (ROOT / "docs" / "vendors.md").read_text()
    return [
        *(f"data/vendors/__init__.py: VENDORS lacks {n} of {classes[n]}" for n in classes if n not in listed),
        *(
            f"docs/vendors.md: the table lacks the vendor {name}"
            for name in vendors
            if f"| `{name}`" not in page
        ),
    ]


def of_criteria(
    criteria: Collection[str] = CRITERIA,
    thresholds: Collection[str] = {field.name for field in fields(GateConfig)} - {"enforced"},
    strict: Collection[str] = STRICTER,
) -> list[str]:
    path = CONF / "gate" / "default.yaml"
    shown = re.search(r"Shown only: ([\w, ]+)", path.read_text())
    assert shown is not None
    told = {*yaml.safe_load(path.read_text())["enforced"], *re.findall(r"\w+", shown[1])}
    return [
        *missing(
            criteria, told, "conf/gate/default.yaml: neither enforces {name} nor says that it is shown only"
        ),
        *missing(
            thresholds, strict, "evaluation/gate/standard.py: STRICTER does not say which {name} is stricter"
        ),
        *missing(strict, thresholds, "evaluation/gate/config.py: GateConfig has no threshold {name}"),
    ]


def of_features(features: Collection[str] = FEATURES) -> list[str]:
    text = (ROOT / "docs" / "features.md").read_text()
    return [
        f"docs/features.md: the table lacks the feature {name}"
        for name in features
        if f"| `{name}` |" not in text
    ]
