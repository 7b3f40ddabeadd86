"""Every key of ``conf/`` as a page: default, what it is (the YAML's own comment), and the class that reads it.

Run: python docs/site/config_reference.py > page.md
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
CONF = ROOT / "conf"
READ_IN = {
    "data": "the source's dataclass in data/sources, data/synthetic.py or data/stand_in",
    "instruments": "InstrumentsConfig, rayjobs/study/config.py",
    "features": "FeaturesConfig, rayjobs/study/config.py",
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


@dataclass(frozen=True, kw_only=True)
class Key:
    """One line of a file: dotted key, value as it is written, and what the comment says."""

    name: str
    value: str
    comment: str


def head_of(text: str) -> str:
    """The comment that a file begins with, as sentences; commands in it stay on lines of their own."""
    lines = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        words = line.lstrip("# ").rstrip()
        if words and not words.startswith("@package"):
            lines.append(words.replace("<", "&lt;"))
    return "  \n".join(lines)


def keys_of(text: str) -> Iterator[Key]:
    """Every leaf of a YAML text with its comment: of the same line, or of the lines just above it."""
    lines = text.splitlines()
    root = yaml.compose(text)
    if isinstance(root, yaml.MappingNode):
        yield from _leaves(root, lines, "")


def _leaves(node: yaml.MappingNode, lines: list[str], prefix: str) -> Iterator[Key]:
    for key, value in node.value:
        name = f"{prefix}{key.value}"
        if name.split(".")[0] in ("defaults", "hydra"):
            continue
        if isinstance(value, yaml.MappingNode) and value.value and not value.flow_style:
            yield from _leaves(value, lines, f"{name}.")
            continue
        yield Key(name=name, value=_written(value, lines), comment=_comment(key, value, lines))


def _written(value: yaml.Node, lines: list[str]) -> str:
    first, last = value.start_mark, value.end_mark
    if first.line == last.line:
        return lines[first.line][first.column : last.column].strip() or "null"
    return " ".join(line.split("#")[0].strip() for line in lines[first.line : last.line + 1]).strip()


def _comment(key: yaml.Node, value: yaml.Node, lines: list[str]) -> str:
    behind = key.end_mark if value.start_mark.line > key.end_mark.line else value.end_mark
    rest = lines[behind.line][behind.column :] if behind.line < len(lines) else ""
    if "#" in rest:
        return rest.split("#", 1)[1].strip()
    above = []
    for line in reversed(lines[: key.start_mark.line]):
        if not line.strip().startswith("#"):
            break
        above.append(line.strip().lstrip("# "))
    return " ".join(reversed(above))


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
