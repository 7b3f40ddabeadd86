"""Bring bars into a lake, keep it up to date, and say what it holds.

Run: python -m rayjobs.ingest source=massive 'symbols=[SPY,AAPL]' start=2024-01-01 end=2024-09-30 bar=1m
     python -m rayjobs.ingest inventory
     python -m rayjobs.ingest curate
     python -m rayjobs.ingest watch source=massive 'symbols=[SPY,AAPL]' start=2024-01-01 bar=1m
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from data.lake import Lake, Series
from rayjobs.config.arguments import command_line, is_flag, is_override
from rayjobs.config.exit_codes import ExitCode
from rayjobs.config.typed_config import ConfigError, convert, did_you_mean
from rayjobs.entry import reading_input, run_entry_point
from rayjobs.ingest.keys import load_keys
from rayjobs.ingest.settings import IngestSettings, build_ingest_settings
from rayjobs.monitoring.result_tables import print_paths, print_sentence, print_table


def ingest(settings: IngestSettings) -> ExitCode:
    """Fetch what is missing once; the same command goes on where one was stopped."""
    from rayjobs.ingest.rounds import Ingest
    from rayjobs.ingest.summary import print_summary

    settings.require_request()
    with ExitStack() as stack:
        _ray_where_wanted(settings, stack)
        stack.enter_context(reading_input())
        work = Ingest(settings)
        symbols = work.symbols()
        print_sentence(f"{len(symbols):,} symbols, into the lake {work.lake}")
        done = work.round(symbols)
    print_summary(settings, work.lake, done)
    return ExitCode.DONE if done.whole else ExitCode.FAILED


def watch(settings: IngestSettings) -> ExitCode:
    """Keep the lake up to date until it is stopped."""
    from rayjobs.ingest.rounds import Ingest
    from rayjobs.ingest.watch import watch as keep_watch

    settings.require_request()
    if settings.stop_utc is not None:
        raise ConfigError("end: watch goes on to the present; leave it out")
    with ExitStack() as stack:
        _ray_where_wanted(settings, stack)
        work = Ingest(settings)
        print_sentence(f"watching: the lake {work.lake} is kept up to date; stop it with Ctrl-C")
        keep_watch(settings, work)
    return ExitCode.DONE


def curate(settings: IngestSettings) -> ExitCode:
    """Make curated months of all that was delivered; source, bar and symbols narrow it."""
    from rayjobs.ingest.rounds import curate_all

    lake = Lake(settings.lake)
    with reading_input():
        wanted = _wanted(settings, lake)
        made = curate_all(lake, wanted)
    print_sentence(f"{made:,} months of {len(wanted):,} series were curated in the lake {lake}")
    return ExitCode.DONE


def inventory(settings: IngestSettings, verify: bool) -> ExitCode:
    """Say what the lake holds; source, bar and symbols narrow it. Code 1 if a file is not what was written."""
    from rayjobs.ingest.inventory import listing_remarks, take_inventory, write_inventory
    from rayjobs.ingest.summary import holding_rows

    lake = Lake(settings.lake)
    with reading_input():
        wanted, listings = _wanted(settings, lake), settings.listings_from
        found, troubles = take_inventory(lake, wanted, verify=verify, listings_from=listings)
        remarks = listing_remarks(lake, wanted, found, listings)
        folder = Path(settings.directory).expanduser() / "inventory"
        paths = write_inventory(lake, found, troubles, folder, remarks)
    print_table(f"The lake {lake}", holding_rows(found))
    for trouble in (*remarks, *troubles):
        print_sentence(trouble)
    print_paths(paths)
    return ExitCode.FAILED if troubles else ExitCode.DONE


def _wanted(settings: IngestSettings, lake: Lake) -> list[Series]:
    """The series of the lake that the command line names; all of them where it names none."""
    from rayjobs.ingest.symbols import named_symbols

    symbols = named_symbols(settings.symbols)
    wanted = [
        series
        for series in lake.series()
        if (not settings.sources or series.source in settings.sources)
        and (not symbols or series.symbol in symbols)
    ]
    if not wanted:
        raise ConfigError(f"the lake {lake} holds nothing of what was asked for; ingest it first")
    return wanted


def _ray_where_wanted(settings: IngestSettings, stack: ExitStack) -> None:
    if settings.execution == "ray":
        from rayjobs.cluster.session import ray_session

        stack.enter_context(ray_session(settings.cluster))


COMMANDS: dict[str, Callable[[IngestSettings], ExitCode]] = {"watch": watch, "curate": curate}


def run(values: dict[str, Any], command: str | None) -> ExitCode:
    """Build the settings and do what the first word says; ``values`` is the resolved ``conf/ingest.yaml``."""
    settings = build_ingest_settings(values)
    load_keys(settings.env_file)
    if command is None:
        return ingest(settings)
    if command == "inventory":
        return inventory(settings, convert(bool, values["verify"], "verify"))
    return COMMANDS[command](settings)


def main(argv: Sequence[str] | None = None) -> ExitCode:
    """The entry point; a first word without ``=`` says what is done instead of fetching."""
    arguments = command_line(argv)
    word = arguments[0] if arguments and not is_flag(arguments[0]) and not is_override(arguments[0]) else None
    known = ("inventory", *COMMANDS)
    if word is not None and word not in known:
        return run_entry_point(partial(_refuse, word, known), "ingest", arguments[1:])
    return run_entry_point(partial(run, command=word), "ingest", arguments[0 if word is None else 1 :])


def _refuse(word: str, known: Sequence[str], values: dict[str, Any]) -> ExitCode:
    raise ConfigError(
        f"{word!r} is nothing that ingest does; {did_you_mean(word, list(known))}, or leave it out to fetch"
    )


if __name__ == "__main__":
    sys.exit(main())
