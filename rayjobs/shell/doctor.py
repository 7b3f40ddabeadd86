"""`rayfold doctor`: what of this machine could spoil a run, a line each, with a cure."""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import pkgutil
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from packaging.requirements import Requirement

import data.vendors
from rayjobs.cluster.session import usable_cpus
from rayjobs.config.exit_codes import ExitCode
from rayjobs.config.typed_config import ConfigError

State = Literal["ok", "warning", "fault"]
GIB = 2**30
LEAST_MEMORY_GIB, LEAST_DISK_GIB = 4.0, 5.0
"""What the bundled experiments need on two cores, with room for Ray's object store and its spilling."""
PORTS = {8265: "Ray's dashboard and job submission", 8050: "rayfold dashboard"}
TOGETHER = (("ib_insync", "ib_async"), ("polygon-api-client", "massive"))
"""Packages that share a module, or a purpose, and must not both be installed."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One line: what was looked at, how it is, what was seen, and what helps ("" where nothing needs to)."""

    name: str
    state: State
    seen: str
    cure: str = ""


def doctor(words: Sequence[str]) -> ExitCode:
    """Print a line for each thing that was looked at; FAILED if one of them will stop a run.

    Raises
    ------
    ConfigError
        For any word.
    """
    if words:
        raise ConfigError(f"doctor takes no words; got {words[0]}")
    from rayjobs.monitoring.result_tables import print_table

    findings = [finding for look in LOOKS for finding in look()]
    print_table("This machine", [asdict(finding) for finding in findings])
    return ExitCode.FAILED if any(finding.state == "fault" for finding in findings) else ExitCode.DONE


def _python() -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    good = (3, 11) <= sys.version_info[:2] <= (3, 13)
    yield Finding(
        name="python", state="ok" if good else "fault", seen=f"{version} in {sys.prefix}",
        cure="" if good else "install Python 3.11, 3.12 or 3.13 and run `make setup PYTHON=...`",
    )  # fmt: skip
    if sys.prefix == sys.base_prefix:
        yield Finding(
            name="environment", state="warning", seen="no virtual environment",
            cure="make one (`make setup`): other projects may change the packages",
        )  # fmt: skip


def _packages() -> Iterator[Finding]:
    """What this release needs, beside what is installed."""
    wanted = [Requirement(text) for text in importlib.metadata.requires("rayfold") or []]
    needed = [one for one in wanted if one.marker is None or one.marker.evaluate({"extra": ""})]
    wrong = []
    for one in needed:
        try:
            installed = importlib.metadata.version(one.name)
        except importlib.metadata.PackageNotFoundError:
            wrong.append(f"{one.name} is missing")
            continue
        if not one.specifier.contains(installed, prereleases=True):
            wrong.append(f"{one.name} {installed} is not {one.specifier}")
    versions = ", ".join(
        f"{name} {importlib.metadata.version(name)}" for name in ("ray", "torch", "numpy", "pandas")
    )
    yield Finding(
        name="packages", state="fault" if wrong else "ok", seen="; ".join(wrong) or versions,
        cure="install what the lock says: pip install -c requirements.lock -e ." if wrong else "",
    )  # fmt: skip
    for pair in TOGETHER:
        if all(_installed(name) for name in pair):
            yield Finding(
                name="packages", state="fault", seen=f"{pair[0]} and {pair[1]} are both installed",
                cure=f"they do not go together; keep one: pip uninstall {pair[0]}",
            )  # fmt: skip


def _installed(name: str) -> bool:
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _processor() -> Iterator[Finding]:
    usable = usable_cpus()
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    yield Finding(
        name="cores", state="warning" if load > 2 * usable else "ok",
        seen=f"{usable} usable of {os.cpu_count()}, load {load:.1f}",
        cure="other programs are at work; timings will be poor" if load > 2 * usable else "",
    )  # fmt: skip
    threads = os.environ.get("OMP_NUM_THREADS")
    yield Finding(
        name="threads", state="ok" if threads == "1" else "warning",
        seen=f"OMP_NUM_THREADS is {threads or 'not set'}",
        cure="" if threads == "1" else "export OMP_NUM_THREADS=1: Ray starts the processes, threads slow each other",
    )  # fmt: skip


def _memory() -> Iterator[Finding]:
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIB
        free = _available_gib()
    except (ValueError, OSError):
        yield Finding(
            name="memory", state="warning", seen="this system does not say", cure="see that 4 GiB are free"
        )
        return
    cure = "" if free >= LEAST_MEMORY_GIB else "end what else is running"
    yield Finding(
        name="memory", state="ok" if free >= LEAST_MEMORY_GIB else "warning",
        seen=f"{total:.1f} GiB, {free:.1f} GiB available",
        cure=cure if total >= LEAST_MEMORY_GIB else "fewer envs: algo.num_envs=64 cluster.num_cpus=1",
    )  # fmt: skip
    shared = Path("/dev/shm")
    if shared.is_dir():
        room = shutil.disk_usage(shared).total / GIB
        yield Finding(
            name="shared memory", state="ok" if room >= 1.0 else "warning", seen=f"{room:.1f} GiB in /dev/shm",
            cure="" if room >= 1.0 else "Ray's object store lies there: docker run --shm-size=2g",
        )  # fmt: skip


def _available_gib() -> float:
    """Memory that a new program can have: what files lie in is given up for it."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 / GIB for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration, ValueError, IndexError):  # another system
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES") / GIB


def _gpu() -> Iterator[Finding]:
    if shutil.which("nvidia-smi") is None:
        yield Finding(name="GPU", state="ok", seen="none; training runs on the CPU")
        return
    import torch

    usable = torch.cuda.is_available()
    yield Finding(
        name="GPU", state="ok" if usable else "warning",
        seen=torch.cuda.get_device_name(0) if usable else "there, but this build of torch cannot use it",
        cure="" if usable else "install torch for CUDA: see pytorch.org, same version",
    )  # fmt: skip


def _disk() -> Iterator[Finding]:
    for name, place in (("disk for runs", Path("runs")), ("disk for Ray", Path("/tmp"))):
        existing = next(path for path in (place.absolute(), *place.absolute().parents) if path.exists())
        free = shutil.disk_usage(existing).free / GIB
        writable = os.access(existing, os.W_OK)
        state: State = "fault" if not writable else "warning" if free < LEAST_DISK_GIB else "ok"
        elsewhere = "give another place: run.directory=PATH"
        yield Finding(
            name=name, state=state, seen=f"{free:.0f} GiB free at {existing}" + ("" if writable else ", not writable"),
            cure={"ok": "", "warning": f"free some, or {elsewhere}", "fault": elsewhere}[state],
        )  # fmt: skip


def _ports() -> Iterator[Finding]:
    for port, purpose in PORTS.items():
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.settimeout(0.2)
            taken = probe.connect_ex(("127.0.0.1", port)) == 0
        yield Finding(
            name=f"port {port}", state="warning" if taken else "ok",
            seen=f"{'in use' if taken else 'free'} ({purpose})",
            cure="one may be running already; another takes the next free port or its own option" if taken else "",
        )  # fmt: skip


def _clock() -> Iterator[Finding]:
    synchronised = None
    if shutil.which("timedatectl"):
        command = ["timedatectl", "show", "-p", "NTPSynchronized", "--value"]
        asked = subprocess.run(command, capture_output=True, text=True, check=False, timeout=5)
        synchronised = {"yes": True, "no": False}.get(asked.stdout.strip())
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    told = {
        True: "synchronised",
        False: "not synchronised",
        None: "no service says whether it is synchronised",
    }
    yield Finding(
        name="clock", state="warning" if synchronised is False else "ok", seen=f"{now}, {told[synchronised]}",
        cure="switch NTP on: live bars are told late or early by it" if synchronised is False else "",
    )  # fmt: skip


def _keys() -> Iterator[Finding]:
    """Which vendors have a key; never any part of one."""
    known = [vendor for vendor, names in _key_variables() if any(os.environ.get(name) for name in names)]
    env_file = " (.env is read by ingest too)" if Path(".env").is_file() else ""
    yield Finding(
        name="keys", state="ok", seen=f"set for {', '.join(known)}{env_file}" if known else f"none set{env_file}",
        cure="" if known else "none is needed for bundled data; of vendors: see docs/vendors.md",
    )  # fmt: skip


def _key_variables() -> Iterator[tuple[str, Sequence[str]]]:
    """Each vendor, and the variables of the environment that its key is looked for in."""
    for found in pkgutil.iter_modules(data.vendors.__path__):
        module = importlib.import_module(f"{data.vendors.__name__}.{found.name}")
        names = getattr(module, "KEY_VARIABLES", None) or (getattr(module, "KEY_VARIABLE", ""),)
        if names != ("",):
            yield found.name.removesuffix("_account"), names
    yield "wandb", ("WANDB_API_KEY",)


LOOKS: Sequence[Callable[[], Iterator[Finding]]] = (
    _python, _packages, _processor, _memory, _gpu, _disk, _ports, _clock, _keys,
)  # fmt: skip
