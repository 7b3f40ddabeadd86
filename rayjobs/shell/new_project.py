"""`rayfold new NAME`: a project of one's own, with a feature, an experiment and a test that pass as they stand."""

from __future__ import annotations

import keyword
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from rayjobs.config.exit_codes import ExitCode
from rayjobs.config.project import MARK
from rayjobs.config.typed_config import ConfigError
from rayjobs.monitoring.result_tables import print_sentence

TAKEN = ("conf", "data", "envs", "evaluation", "policies", "rayjobs", "tests", "rayfold")
"""Names that a package of this one, or a folder of the project, has already."""

FILES: Mapping[str, str] = {
    MARK: """\
# This folder is a project of Rayfold: commands that are run here know its configurations too.
conf: conf
""",
    "README.md": """\
# NAME

A project that uses Rayfold as a library. Commands are run in this folder.

    rayfold train +experiment=NAME +debug=smoke     # the whole job in a minute; nothing is learnt
    rayfold train +experiment=NAME
    rayfold features check NAME.features:GAP        # does the feature look ahead?
    python -m pytest

`NAME/features.py` holds features, `conf/experiment/NAME.yaml` says what is trained; every file in `conf/` stands
beside those of Rayfold in a group of the same name (`conf/data/mine.yaml` is `data=mine`). Results lie in `runs/`.
""",
    ".gitignore": "runs/\n.rayfold/\n.env\n__pycache__/\n",
    "pyproject.toml": """\
[project]
name = "NAME"
version = "0.1.0"
dependencies = ["rayfold"]

[tool.pytest.ini_options]
testpaths = ["tests"]
pythonpath = ["."]
""",
    "conf/experiment/NAME.yaml": """\
# @package _global_
# Bundled crypto bars, with a feature of this project beside the usual ones.
# Run: rayfold train +experiment=NAME
defaults:
  - override /data: crypto_30m          # data=files data.path=bars.csv reads your own
  - override /features: intraday_30m

run:
  experiment: NAME

features:
  specs:
    gap: {name: "NAME.features:GAP", params: {}}
""",
    "NAME/__init__.py": '"""Features and experiments of this project."""\n',
    "NAME/features.py": '''\
"""Features of this project: functions of the panel with a declared lookback."""

from __future__ import annotations

import numpy as np

from data.features import Feature


def gap(panel):
    """(T, A) log(open[t] / close[t-1]), known at the close of bar t; NaN where one of the two is not known."""
    out = np.full(panel.close.shape, np.nan)
    out[1:] = np.log(panel.open[1:] / panel.close[:-1])
    return out


GAP = Feature(name="gap", kind="asset", function=gap, lookback_bars=lambda params: 1)
''',
    "tests/test_features.py": '''\
"""The project's feature by hand, and its experiment composed."""

from __future__ import annotations

import numpy as np

from data.features import FeatureSpec, compute_features
from rayjobs import api


def test_the_gap_is_the_step_from_close_to_open():
    panel = api.load_panel("data=noise", "data.num_bars=50")
    features = compute_features(panel, [FeatureSpec(name="NAME.features:GAP", params={})])
    expected = np.log(panel.open[1:] / panel.close[:-1])
    np.testing.assert_allclose(features.asset[1:, :, 0], expected, atol=1e-6)


def test_a_backtest_sees_it():
    panel = api.load_panel("data=noise", "data.num_bars=900")
    still = api.backtest(lambda seen: np.zeros((1, panel.num_assets)), panel, "+experiment=NAME", "env=weights")
    assert "gap@0" in still.observation_names
''',
}
"""File -> content, NAME standing for the project's."""


def new_project(words: Sequence[str]) -> ExitCode:
    """Write the project into a new folder.

    Raises
    ------
    ConfigError
        If the name cannot be a package's, is taken, or the folder is there already.
    """
    if len(words) != 1:
        raise ConfigError("new takes one word, the project's name: rayfold new my_project")
    folder = Path(words[0]).expanduser()
    name = folder.name
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or keyword.iskeyword(name):
        raise ConfigError(
            f"{name!r} cannot be a package's name; write small letters, digits and _: my_project"
        )
    if name in TAKEN or name in sys.stdlib_module_names:
        raise ConfigError(
            f"the name {name} is taken by a package that Rayfold or Python brings; choose another"
        )
    if folder.exists():
        raise ConfigError(f"{folder} is there already; choose another name, or remove it")
    for file, content in FILES.items():
        path = folder / file.replace("NAME", name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content.replace("NAME", name))
    print_sentence(f"{folder} is written; go on with:\n\n    cd {folder}\n    python -m pytest")
    print_sentence(f"    rayfold train +experiment={name} +debug=smoke")
    return ExitCode.DONE
