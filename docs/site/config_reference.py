"""Every key of ``conf/`` as a page: default, what it is (the YAML's own comment), and the class that reads it.

Run: python docs/site/config_reference.py > page.md
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from rayjobs.schemas.yaml_comments import head_of, keys_of  # noqa: E402

CONF = ROOT / "conf"
READ_IN = {
    "data": "the source's dataclass in data/sources, data/synthetic.py or data/stand_in",
    "instruments": "InstrumentsConfig, rayjobs/study/instruments_config.py",
    "features": "FeaturesConfig, rayjobs/study/features_config.py",
    "context": "ContextConfig, envs/context.py",
    "env": "PortfolioEnvConfig, envs/config.py",
    "costs": "CostConfig, envs/costs.py",
    "reward": "RewardConfig, envs/rewards.py",
    "risk": "RiskConfig, envs/risk.py",
    "policy": "NetworkConfig, policies/networks.py",
    "algo": "PPOSettings, policies/settings.py",
    "search": "SearchConfig, rayjobs/search/plan/settings.py",
    "walk_forward": "the windows of evaluation/windows",
    "gate": "GateConfig, evaluation/gate/config.py",
    "cluster": "ClusterConfig, rayjobs/cluster/settings.py",
    "tracking": "TrackingConfig, rayjobs/monitoring/tracking.py",
}
"""Group -> what its keys become; a group that is not named here is read by the command of its name."""


def page() -> str:
    """The whole page."""
    parts = [
        "# Every setting\n\nFrom `conf/`, whose comments these are; `KEY=VALUE` on a command line changes one.\n"
    ]
    for path in sorted(CONF.glob("*.yaml")):
        if path.stem != "hydra_setup":
            parts.append(_section(f"The command `{path.stem}`", path, f"rayjobs/{path.stem}", 2, ""))
    for folder in sorted(path for path in CONF.iterdir() if path.is_dir()):
        becomes = READ_IN.get(folder.name)
        parts.append(f"## The group `{folder.name}`\n" + (f"\nRead by {becomes}.\n" if becomes else ""))
        for path in sorted(folder.rglob("*.yaml")):
            choice = path.relative_to(folder).with_suffix("").as_posix()
            head = (
                f"`{folder.name}={choice}`"
                if folder.name not in ("experiment", "debug")
                else f"`+{folder.name}={choice}`"
            )
            parts.append(_section(head, path, "", 3, f"{folder.name}."))
    return "\n".join(parts)


def _section(title: str, path: Path, reader: str, level: int, prefix: str) -> str:
    text = path.read_text()
    whole = "@package _global_" in text
    rows = [
        f"| `{'' if whole else prefix}{key.name}` | `{_cell(key.value)}` | {_cell(key.comment)} |"
        for key in keys_of(text)
    ]
    table = "\n".join(["| key | default | |", "|---|---|---|", *rows]) if rows else ""
    return f"{'#' * level} {title}\n\n{head_of(text)}\n\n{table}\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("`", "'")


if __name__ == "__main__":
    sys.stdout.write(page())
