"""What every entry point has in common: a Hydra application with plain words and agreed exit codes.

An entry point is a function from the composed configuration, a plain nested dict, to an exit code, or to a
`JobOutcome` where it leaves a run directory::

    def run_training(config: dict[str, Any]) -> JobOutcome: ...

    if __name__ == "__main__":
        sys.exit(run_entry_point(run_training, "train"))

Inside a job, wrap what reads the user's input in `reading_input`. How a command speaks, in words, not at all or in one
JSON object, is `rayjobs.config.terminal`'s.
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
from rayjobs.config.exit_codes import ExitCode, JobOutcome
from rayjobs.config.terminal import HOW_TO_SPEAK, Speech, error_console, speaking, write_text
from rayjobs.config.typed_config import ConfigError
from rayjobs.storage.left_results import left_results
from rayjobs.storage.run_directory import JobFailed, original

RESUME = "resume"
"""Key of jobs that can go on in a directory of theirs."""

Ended = ExitCode | JobOutcome | None
"""How a job ended that did not raise; None counts as done."""
Job = Callable[[dict[str, Any]], Ended]


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
    with speaking(config_name, command_line(argv)) as speech:
        console = _console(speech)
        resumes = False

        def run() -> Ended:
            nonlocal resumes
            from rayjobs.config.compose import (
                compose_command_line,
            )  # Hydra: not for commands that have words alone

            config = compose_command_line(config_name, speech.words)
            if config is None:  # --help, --cfg and the like have printed what was asked for
                return ExitCode.DONE
            resumes = RESUME in config
            return job(config)

        try:
            return _told(console, speech, run)
        except JobFailed as error:
            where = "" if error.log is None else f"; traceback in {error.log}"
            _fail(console, speech, f"the job failed: {one_line(error)}{where}", ExitCode.FAILED)
            speech.directory = error.directory
            if resumes:
                hint = f"python -m rayjobs.{config_name} {RESUME}={error.directory}"
                console.print(
                    f"what was done so far is kept; once the cause is mended, go on with: {hint}",
                    markup=False,
                )
            return ExitCode.FAILED


def run_words(
    command: Callable[[Sequence[str]], ExitCode],
    name: str,
    words: Sequence[str],
    *,
    help_text: str | None = None,
) -> ExitCode:
    """Run a command that has words and no configuration; it ends as `run_entry_point` does.

    Parameters
    ----------
    help_text : what ``--help`` prints; None leaves that word to the command.
    """

    def run() -> ExitCode:
        if help_text is not None and {"-h", "--help"} & {*speech.words}:
            write_text(f"{help_text.strip()}\n{HOW_TO_SPEAK}\n")
            return ExitCode.DONE
        return command(speech.words)

    with speaking(name, words) as speech:
        return _told(_console(speech), speech, run)


def _told(console: Console, speech: Speech, run: Callable[[], Ended]) -> ExitCode:
    """Run, and turn what it raises into a sentence and an exit code; a job that has a directory tells of it itself."""
    try:
        return _ended(speech, run())
    except KeyboardInterrupt:
        sentence = "interrupted; what the run directory holds so far stays there"
        console.print(sentence, markup=False)
        speech.error, speech.code = sentence, ExitCode.INTERRUPTED
        return ExitCode.INTERRUPTED
    except (ConfigError, DataError) as error:
        return _fail(console, speech, one_line(original(error)), ExitCode.BAD_INPUT)
    except JobFailed:
        raise
    except Exception as error:
        console.print(traceback.format_exc(), markup=False)
        sentence = f"the job failed before it had a run directory: {one_line(error)}"
        return _fail(console, speech, sentence, ExitCode.FAILED)


def _ended(speech: Speech, ended: Ended) -> ExitCode:
    """Note how a job ended, and for an object what its directory holds."""
    outcome = ended if isinstance(ended, JobOutcome) else JobOutcome(code=ended or ExitCode.DONE)
    speech.code, speech.directory = outcome.code, outcome.directory or speech.directory
    if speech.as_json and outcome.directory is not None:
        speech.verdict, speech.numbers = left_results(outcome.directory)
    return outcome.code


def _fail(console: Console, speech: Speech, sentence: str, code: ExitCode) -> ExitCode:
    console.print(f"error: {sentence}", markup=False)
    speech.error, speech.code = sentence, code
    return code


def _console(speech: Speech) -> Console:
    """Where sentences and log lines go, with logging set up for it."""
    console = error_console()
    _set_up_logging(console, quiet=speech.quiet)
    return console


def _set_up_logging(console: Console, *, quiet: bool) -> None:
    """Our packages' log lines from INFO, everyone else's from WARNING, on stderr; of both only errors where quiet."""
    if console.is_terminal:
        handler: logging.Handler = RichHandler(console=console, show_path=False, log_time_format="[%X]")
    else:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    root.handlers[:] = [h for h in root.handlers if type(h) not in (logging.StreamHandler, RichHandler)] + [
        handler
    ]
    root.setLevel(logging.ERROR if quiet else logging.WARNING)
    for package in ("data", "envs", "policies", "evaluation", "rayjobs"):
        logging.getLogger(package).setLevel(logging.ERROR if quiet else logging.INFO)
