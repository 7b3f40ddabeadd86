"""Where configurations lie: Rayfold's own, and those of a project, a folder of one's own outside this package.

``rayfold.yaml`` in the current directory marks it, and says where its configurations lie::

    conf: conf   # folder with experiment/NAME.yaml and other groups, beside those of Rayfold
"""

from __future__ import annotations

from pathlib import Path

import yaml

from rayjobs.config.typed_config import ConfigError

CONF = Path(__file__).resolve().parents[2] / "conf"
"""Rayfold's own configurations."""
MARK = "rayfold.yaml"


def project_conf(directory: Path | None = None) -> Path | None:
    """Folder of configurations of the project in a directory, the current one when None; None outside a project.

    Raises
    ------
    ConfigError
        If the mark cannot be read, or names no folder.
    """
    mark = (directory or Path.cwd()) / MARK
    if not mark.is_file():
        return None
    try:
        facts = yaml.safe_load(mark.read_text()) or {}
    except yaml.YAMLError as error:
        raise ConfigError(f"{mark} cannot be read: {' '.join(str(error).split())}") from error
    if not isinstance(facts, dict) or set(facts) != {"conf"} or not isinstance(facts["conf"], str):
        raise ConfigError(
            f"{mark} must hold one line, conf: FOLDER, the folder of the project's configurations"
        )
    conf = (mark.parent / facts["conf"]).resolve()
    if not conf.is_dir():
        raise ConfigError(f"{mark} names the folder {facts['conf']}, which is not there")
    return conf
