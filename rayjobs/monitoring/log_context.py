"""Which run, trial and fold a log line belongs to: ``[run 20261121T071500Z-ab12cd fold 2]`` before each message.

A process works on one fold or trial at a time, so the context is the process's.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

NAMES = ("run", "trial", "fold")
PACKAGES = ("data", "envs", "policies", "evaluation", "rayjobs")
_context: dict[str, str] = {}


def log_as(**names: object) -> None:
    """Set what lines of this process are about; None takes a name away, others stay as they were.

    Also lets our packages' lines of a Ray worker reach its standard error, which Ray keeps and a job's log shows.
    """
    for name, value in names.items():
        assert name in NAMES, name
        _context.pop(name, None)
        if value is not None:
            _context[name] = str(value)
    if logging.getLogRecordFactory() is not _record:
        global _make
        _make = logging.getLogRecordFactory()
        logging.setLogRecordFactory(_record)
    root = logging.getLogger()
    if not root.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        root.addHandler(handler)
    for package in PACKAGES:
        if not logging.getLogger(package).isEnabledFor(logging.INFO):
            logging.getLogger(package).setLevel(logging.INFO)


_make: Callable[..., logging.LogRecord] = logging.LogRecord


def _record(*arguments: object, **options: object) -> logging.LogRecord:
    record = _make(*arguments, **options)
    if _context and record.name.split(".")[0] in PACKAGES:
        where = " ".join(f"{name} {_context[name]}" for name in NAMES if name in _context)
        record.msg = f"[{where}] ".replace("%", "%%" if record.args else "%") + str(record.msg)
    return record
