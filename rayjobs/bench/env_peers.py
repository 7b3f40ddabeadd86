"""Other projects' envs, each installed into a folder of its own and run in a process of its own.

Only the peer and what it compiles against go into that folder, in front of our own packages, so that its pins
cannot touch ours. A peer that cannot be had is a row without a value and with the reason.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

WORKERS = Path(__file__).parent / "peers"
INSTALL_SECONDS, RUN_SECONDS = 600, 300


@dataclass(frozen=True, kw_only=True)
class Peer:
    """A peer: its name, what to install (without dependencies), its worker script, and what it does.

    One requirement `URL@commit` is a git repository that holds the package itself; others go to pip.
    """

    name: str
    requirements: tuple[str, ...]
    worker: str
    work: str

    @property
    def version(self) -> str:
        """The one that is installed: the first requirement pins the peer itself."""
        url, at, commit = self.requirements[0].partition("@")
        return commit[:7] if at else url.split("==")[1]


PEERS = (
    Peer(
        name="TorchTrade",
        requirements=(
            "torchtrade==0.1.0",
            "torchrl>=0.13.2,<0.14",
            "tensordict>=0.13,<0.14",
            "pyvers",
            "orjson",
            "ta",
        ),
        worker="torchtrade_worker.py",
        work="VectorizedSequentialTradingEnv: 1 asset, 1,024 envs, 10 x 5 market window, leverage 2, fee, slippage",
    ),
    Peer(
        name="FinRL",
        requirements=("finrl==0.3.7",),
        worker="finrl_worker.py",
        work="StockTradingEnv: 30 assets, 1 env, 8 indicators each, buy and sell cost",
    ),
    Peer(
        name="mbt_gym",
        requirements=("https://github.com/JJJerome/mbt_gym@1e1aa38ca35c4fa472777e3574f9c907f89bb5b0",),
        worker="mbt_gym_worker.py",
        work="TradingEnvironment: 1 simulated asset, 1,024 traders, speed of trading, temporary and permanent impact",
    ),
)


def peer_rows(cache_dir: str, seconds: float) -> list[dict[str, Any]]:
    """Install and run every peer; one row each."""
    return [peer_row(peer, Path(cache_dir) / peer.name.lower(), seconds) for peer in PEERS]


def _row(name: str, value: float | None, settings: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "value": value, "unit": "env steps/s", "ratio_to": None, "settings": settings}


def peer_row(peer: Peer, folder: Path, seconds: float) -> dict[str, Any]:
    """Install `peer` into `folder` and run its worker; without a value and with the reason when that fails."""
    name = f"{peer.name} {peer.version}"
    settings = {"peer": peer.name, "version": peer.version, "work": peer.work, "threads": 1}
    try:
        _install(peer, folder)
        value = _run(peer, folder, seconds)
    except (subprocess.SubprocessError, OSError, ValueError, KeyError) as error:
        detail = getattr(error, "stderr", None) or str(error)
        return _row(name, None, {**settings, "reason": detail.strip().splitlines()[-1][:300]})
    return _row(name, value, settings)


def _git(*arguments: str) -> str:
    result = subprocess.run(
        ["git", *arguments],
        check=True,
        capture_output=True,
        text=True,
        timeout=INSTALL_SECONDS,
        env={**os.environ, "GIT_TERMINAL_PROMPT": "0"},
    )
    return result.stdout.strip()


def _clone(requirement: str, folder: Path) -> None:
    """Check the commit out of `URL@commit`; a folder that is at this commit already is used as it is."""
    url, _, commit = requirement.partition("@")
    if not (folder / ".git").is_dir():
        _git("clone", "--quiet", url, str(folder))
    elif _git("-C", str(folder), "rev-parse", "HEAD") == commit:
        return
    _git("-C", str(folder), "checkout", "--quiet", commit)


def _install(peer: Peer, folder: Path) -> None:
    if "@" in peer.requirements[0]:
        _clone(peer.requirements[0], folder)
        return
    done = folder / "installed.json"
    if done.is_file() and json.loads(done.read_text()) == list(peer.requirements):
        return
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--upgrade",
        "--target",
        str(folder),
    ]
    subprocess.run(
        [*command, *peer.requirements], check=True, capture_output=True, text=True, timeout=INSTALL_SECONDS
    )
    done.write_text(json.dumps(list(peer.requirements)))


def _run(peer: Peer, folder: Path, seconds: float) -> float:
    paths = os.pathsep.join([str(folder.resolve()), *(path for path in sys.path if path)])
    environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg"}
    result = subprocess.run(
        [sys.executable, str(WORKERS / peer.worker), str(seconds)],
        check=True,
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS,
        env=environment,
    )
    return float(json.loads(result.stdout.strip().splitlines()[-1])["steps_per_second"])
