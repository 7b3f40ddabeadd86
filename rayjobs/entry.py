"""What every entry point has in common: a Hydra application with plain words and agreed exit codes.

An entry point is a function from the composed configuration, a plain nested dict, to an exit code::

    def train(config: dict[str, Any]) -> ExitCode: ...

    if __name__ == "__main__":
        sys.exit(run_entry_point(train, "train"))

Inside a job, wrap what reads the user's input in `reading_input`.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.logging import RichHandler

from data.errors import DataError, one_line
from rayjobs.config.arguments import command_line
from rayjobs.config.compose import compose_command_line
from rayjobs.config.exit_codes import ExitCode
from rayjobs.config.typed_config import ConfigError
from rayjobs.storage.run_directory import JobFailed, original

RESUME = "resume"
"""Key of jobs that can go on in a directory of theirs."""

Job = Callable[[dict[str, Any]], "ExitCode | None"]


@contextmanager
def reading_input() -> Iterator[None]:
    """Turn any ValueError or OSError of the block into a `ConfigError`: what the block reads, the user gave."""
    try:
        yield
    except ConfigError:
        raise
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConfigError(f"{error.filename}: {reason}" if error.filename else reason) from error
    except ValueError as error:
        raise ConfigError(str(original(error))) from error


def run_entry_point(job: Job, config_name: str, argv: Sequence[str] | None = None) -> ExitCode:
    """Compose the configuration from the command line, run the job, and say how it ended.

    Parameters
    ----------
    job : receives the resolved configuration; None counts as done.
    config_name : root of the configuration, ``conf/<config_name>.yaml``.
    argv : command line without the program name; that of this process when None.

    Returns
    -------
    The exit code. Never raises for a failed job: bad input is one sentence on stderr (2), any other exception is
    a traceback in the run directory and a sentence that names it (1).
    """
    console = _console()
    arguments = command_line(argv)
    resumes = False

    def run() -> ExitCode | None:
        nonlocal resumes
        config = compose_command_line(config_name, arguments)
        if config is None:  # --help, --cfg and the like have printed what was asked for
            return ExitCode.DONE
        resumes = RESUME in config
        return job(config)

    try:
        return _told(console, run)
    except JobFailed as error:
        where = "" if error.log is None else f"; traceback in {error.log}"
        console.print(f"error: the job failed: {one_line(error)}{where}", markup=False)
        if resumes:
            hint = f"python -m rayjobs.{config_name} {RESUME}={error.directory}"
            console.print(
                f"what was done so far is kept; once the cause is mended, go on with: {hint}", markup=False
            )
        return ExitCode.FAILED


def run_words(command: Callable[[Sequence[str]], ExitCode], words: Sequence[str]) -> ExitCode:
    """Run a command that has words and no configuration; it ends as `run_entry_point` does."""
    return _told(_console(), lambda: command(words))


def _told(console: Console, run: Callable[[], ExitCode | None]) -> ExitCode:
    """Run, and turn what it raises into a sentence and an exit code; a job that has a directory tells of it itself."""
    try:
        code = run()
        return ExitCode.DONE if code is None else code
    except KeyboardInterrupt:
        console.print("interrupted; what the run directory holds so far stays there", markup=False)
        return ExitCode.INTERRUPTED
    except (ConfigError, DataError) as error:
        console.print(f"error: {one_line(original(error))}", markup=False)
        return ExitCode.BAD_INPUT
    except JobFailed:
        raise
    except Exception as error:
        console.print(traceback.format_exc(), markup=False)
        console.print(f"error: the job failed before it had a run directory: {one_line(error)}", markup=False)
        return ExitCode.FAILED


def _console() -> Console:
    """Where sentences and log lines go, with logging set up for it."""
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    _set_up_logging(console)
    return console


def _set_up_logging(console: Console) -> None:
    """Our packages' log lines from INFO, everyone else's from WARNING, on stderr."""
    if console.is_terminal:
        handler: logging.Handler = RichHandler(console=console, show_path=False, log_time_format="[%X]")
    else:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    root.handlers[:] = [h for h in root.handlers if type(h) not in (logging.StreamHandler, RichHandler)] + [
        handler
    ]
    root.setLevel(logging.WARNING)
    for package in ("data", "envs", "policies", "evaluation", "rayjobs"):
        logging.getLogger(package).setLevel(logging.INFO)
