"""Whether the machine code that an audit runs was compiled by the audit itself, from the sources as they are.

Numba keeps what it compiled on disk and trusts it: whoever writes other machine code there under the right name changes
what every later job computes, and no source differs. So an audit lets Numba begin with an empty folder of its own.
"""

from __future__ import annotations

import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from evaluation.audit.findings import Check, Section

LOG = logging.getLogger(__name__)
KERNELS = Section(name="kernels")
COMPILED = "compiled code"
PACKAGES = ("data", "envs", "evaluation", "policies", "rayjobs")
VARIABLE = "NUMBA_CACHE_DIR"


@contextmanager
def compiled_afresh() -> Iterator[Path | None]:
    """Let Numba keep compiled code in an empty folder that only this process knows, and remove it at the end.

    Yields
    ------
    The folder, for `check_kernels`. None in a process that has loaded Numba before: it reads the setting when it is
    imported, and a function the folder when it is defined, so that nothing can be changed any more.
    """
    if "numba" in sys.modules:
        yield None
        return
    before = os.environ.get(VARIABLE)
    with tempfile.TemporaryDirectory(prefix="rayfold-kernels-") as folder:
        LOG.info("compiling every kernel anew, which takes about 45 s of one core")
        os.environ[VARIABLE] = folder
        try:
            yield Path(folder)
        finally:
            if before is None:
                os.environ.pop(VARIABLE, None)
            else:
                os.environ[VARIABLE] = before


def check_kernels(private: Path | None) -> list[Check]:
    """Where the compiled functions of this process may have come from; to be asked after they were used.

    Parameters
    ----------
    private : what `compiled_afresh` yielded.
    """
    from numba.core.dispatcher import Dispatcher

    if private is None:
        return [
            KERNELS.warns(
                COMPILED,
                "was taken from Numba's cache where it held any, for this process had loaded Numba before the audit "
                "began; python -m rayjobs.audit run=DIR compiles everything anew",
            )
        ]
    used, elsewhere = set(), set()
    for module in list(sys.modules.values()):
        if getattr(module, "__name__", "").partition(".")[0] not in PACKAGES:
            continue
        for name, value in list(vars(module).items()):
            if isinstance(value, Dispatcher) and value.signatures:
                place = value.stats.cache_path
                used.add(id(value))
                if place is not None and not Path(place).is_relative_to(private):
                    elsewhere.add(f"{module.__name__}.{name}")
    named = ", ".join(sorted(elsewhere)[:3])
    return [
        KERNELS.judges(
            COMPILED,
            not elsewhere,
            f"{len(used)} compiled functions were compiled by this audit from their sources, none taken from a cache",
            f"{named} may have come from a cache on disk, though this audit was to compile everything anew",
        )
    ]
