"""PufferLib's recurrent PPO beside ours: its sources and what they need in a folder and a process of their own.

PyPI has it as sources alone, whose build fetches game libraries and compiles its games. Only its trainer is taken out
of them, with the advantage function in C++ that it cannot do without.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
import urllib.request
from dataclasses import asdict
from pathlib import Path

from rayjobs.bench.train_workload import TrainWorkload

NAME = "PufferLib 3.0.0 PuffeRL"
SOURCES = (
    "https://files.pythonhosted.org/packages/7c/e1/5292f9b69c6263707b40ba04a87e6b9bcc177281d31092f77afd90c412f1/"
    "pufferlib-3.0.0.tar.gz"
)
SHA256 = "7df3a3e3f5f894d78d2a1f5374097890aec01473183e748abefe4f3faa10eaa9"
NEEDED = (
    "pyro-ppl==1.9.1", "pyro-api==0.1.2", "opt_einsum==3.4.0", "rich-argparse==1.7.1",
    "gym==0.23.0", "gym-notices==0.0.8",
)  # fmt: skip
"""What its trainer imports and we have not; pyro for its hyperparameter search."""
DOWNLOAD_SECONDS, BUILD_SECONDS = 300, 900
CLOSE_SECONDS = 10.0
"""Time that the process has to end before it is killed."""
WORKER = Path(__file__).parent / "peers" / "pufferlib_worker.py"
BUILD = """
import pathlib, sys
from torch.utils.cpp_extension import load
folder = pathlib.Path(sys.argv[1])
load("_C", [str(folder / "extensions/pufferlib.cpp")], build_directory=str(folder), is_python_module=False)
"""


class PufferLib:
    """One batch per call, in a process that waits for the next.

    Parameters
    ----------
    folder : where it lies, and is put when it does not.

    Raises
    ------
    OSError, subprocess.SubprocessError, ValueError
        If it cannot be had here.
    """

    def __init__(self, workload: TrainWorkload, folder: Path) -> None:
        install(folder)
        paths = os.pathsep.join([*(path for path in sys.path if path), str(folder.resolve())])
        self._process = subprocess.Popen(
            [
                sys.executable,
                str(WORKER),
                json.dumps(asdict(workload)),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
            cwd=folder,  # the package links its resources into the working directory
        )

    def iterate(self) -> tuple[float, float]:
        return self._ask("train")

    def sample_only(self) -> tuple[float, float]:
        return self._ask("sample")

    def close(self) -> None:
        """End the process, and return when it has ended."""
        with self._process as process:  # closes the pipes
            process.terminate()
            try:
                process.wait(CLOSE_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()

    def _ask(self, what: str) -> tuple[float, float]:
        """CPU and wall seconds of one batch."""
        process = self._process
        if process.stdin is None or process.stdout is None:
            raise ValueError("the process of PufferLib was started without pipes")
        print(what, file=process.stdin, flush=True)
        answer = process.stdout.readline()
        if not answer:
            raise ValueError(f"the process of PufferLib ended with exit code {process.wait()}")
        spent = json.loads(answer)
        return spent["cpu"], spent["wall"]


def install(folder: Path) -> None:
    """Put its trainer and what that needs into ``folder``; nothing where it is already.

    Raises
    ------
    ValueError
        If what was downloaded is not the file that was measured before.
    """
    package = folder / "pufferlib"
    if (package / "_C.so").is_file():
        return
    folder.mkdir(parents=True, exist_ok=True)
    with urllib.request.urlopen(SOURCES, timeout=DOWNLOAD_SECONDS) as response:
        content = response.read()
    if hashlib.sha256(content).hexdigest() != SHA256:
        raise ValueError(f"{SOURCES} is not the file with SHA-256 {SHA256}")
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        for member in archive.getmembers():
            inside = Path(member.name).parts[1:]
            flat = len(inside) == 2 and inside[1].endswith(".py")
            if inside[:1] == ("pufferlib",) and (flat or inside[1:] == ("extensions", "pufferlib.cpp")):
                member.name = str(Path(*inside))
                archive.extract(member, folder, filter="data")
    (package / "environments").mkdir(exist_ok=True)
    (package / "environments" / "__init__.py").touch()
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder)]
    subprocess.run([*command, *NEEDED], check=True, capture_output=True, text=True, timeout=DOWNLOAD_SECONDS)
    build = [sys.executable, "-c", BUILD, str(package)]
    subprocess.run(build, check=True, capture_output=True, text=True, timeout=BUILD_SECONDS)
