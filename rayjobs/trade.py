"""Trade a policy bar by bar: replayed from history, on paper, in shadow, or through a broker.

Run: python -m rayjobs.trade policy=runs/crypto_portfolio broker=replay
Live: python -m rayjobs.trade policy=NAME@champion broker=paper source=massive
After a stop: python -m rayjobs.trade resume=runs/crypto_portfolio/trading/RUN_ID
Everything flat, now: python -m rayjobs.trade kill [runs/crypto_portfolio/trading/RUN_ID]
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rayjobs.config.arguments import command_line, given_value, is_override, root_of, split
from rayjobs.config.exit_codes import ExitCode, JobOutcome
from rayjobs.config.run_overrides import changed_values
from rayjobs.entry import reading_input, run_entry_point, run_words

if TYPE_CHECKING:
    from policies.origin import Origin
    from rayjobs.trading.loop import Tick
    from rayjobs.trading.session import Session
    from rayjobs.trading.settings import TradeSettings
    from rayjobs.trading.trading_run import Latencies
    from rayjobs.trading.vendor_bars import VendorBars

CHANGEABLE = ("data",)
"""Groups of the run's configuration that may be others than in training: where bars come from, and nothing else."""
KILL = "kill"
"""First word of the command that throws the kill switch."""


def trade(values: dict[str, Any], changes: Sequence[str], policy: str | None) -> JobOutcome:
    """Find the policy, ask whether it may trade, and trade; ``values`` is ``conf/trade.yaml``."""
    from rayjobs.config.typed_config import ConfigError
    from rayjobs.storage.run_directory import RunDirectory
    from rayjobs.trading.candidate import find_candidate, require_leave
    from rayjobs.trading.session import open_session
    from rayjobs.trading.settings import build_trade_settings
    from rayjobs.trading.trading_run import (
        Latencies,
        TradingPlan,
        resumed_plan,
        stopped_by_sigterm,
        trading_directory,
    )

    if policy is not None:
        values = {**values, "policy": policy}
    settings = build_trade_settings(values)
    with reading_input():
        if settings.resume is not None:
            if changes or settings.policy is not None:
                raise ConfigError("resume goes on with the policy and the data of its run; name neither")
            directory = RunDirectory.resume(Path(settings.resume))
            plan = resumed_plan(directory, values)
        else:
            candidate = find_candidate(located(settings), settings.fold)
            plan = TradingPlan(
                candidate=candidate, values=changed_values(candidate.run.values, changes), settings=settings
            )
        require_leave(plan.candidate, plan.settings.broker, real_money=plan.settings.real_money)
        if settings.resume is None:
            directory = trading_directory(plan, values)
    latencies = Latencies()
    with directory as run, stopped_by_sigterm():
        bars = None if plan.settings.source is None else partial(vendor_bars, plan.settings)
        begin = partial(open_session, plan.candidate, plan.values, plan.settings, run.path, bars)
        while trade_on(begin, run.path, plan.settings.broker, latencies):
            pass
    return JobOutcome(code=ExitCode.DONE, directory=run.path)


def trade_on(
    begin: Callable[[], AbstractContextManager[Session]], directory: Path, mode: str, latencies: Latencies
) -> bool:
    """Trade until the run is over, or the room that was laid out for live bars is used up: then True."""
    from rayjobs.config.typed_config import ConfigError
    from rayjobs.monitoring.trading_snapshot import files_to_remove, stop_asked
    from rayjobs.trading.replay_progress import ReplayProgress
    from rayjobs.trading.snapshots import Snapshots
    from rayjobs.trading.trading_run import report_trading

    if asked := stop_asked(directory):
        raise ConfigError(
            f"{directory} was asked to stop: the kill switch is thrown ({asked}); when all is understood, remove "
            f"{files_to_remove(directory)}"
        )
    with ExitStack() as stack:
        with reading_input():
            session = stack.enter_context(begin())
        stack.callback(report_trading, session, directory, latencies)
        snapshots, progress = Snapshots(session, directory, mode, latencies), ReplayProgress(session.ground)

        def told(tick: Tick) -> None:
            snapshots.add(tick)
            progress.add(tick)

        session.run(told)
        if session.loop.end == "stopped":
            raise KeyboardInterrupt
        return session.goes_on


def located(settings: TradeSettings) -> str:
    """Where the policy lies: a path as it was given, or the export of a version of the registry that may trade there.

    Raises
    ------
    ConfigError
        If the registry has no such version, or its stage or its files do not allow it.
    """
    from rayjobs.registry.registry import registry_place
    from rayjobs.registry.resolving import resolve

    policy = str(settings.policy)
    if "@" not in policy or Path(policy).exists():
        return policy
    place = registry_place(settings.registry, settings.ledger)
    found = resolve(policy, place, settings.broker, real_money=settings.real_money)
    return str(found.export)


def vendor_bars(settings: TradeSettings, origin: Origin) -> VendorBars:
    """The vendor that the command line chose, for the bars that a policy was trained on.

    Raises
    ------
    ConfigError
        If there is no such vendor, or it does not take its options.
    """
    from rayjobs.config.typed_config import build_dataclass
    from rayjobs.ingest.keys import load_keys
    from rayjobs.ingest.settings import SourceSettings
    from rayjobs.ingest.sources import make_vendor
    from rayjobs.trading.vendor_bars import VendorBars

    ((name, values),) = (settings.source or {}).items()
    source = build_dataclass(SourceSettings, values, f"source.{name}")
    load_keys(settings.env_file)
    return VendorBars(
        vendor=make_vendor(source),
        calendar=source.calendar,
        symbols=origin.symbols,
        bar_seconds=origin.bar_seconds,
        adjustment=settings.feed.adjustment,
        history_days=settings.feed.history_days,
    )


def main(argv: Sequence[str] | None = None) -> ExitCode:
    """The entry point."""
    if KILL in command_line(argv)[:1]:
        from rayjobs.guarding import kill

        return run_words(kill.main, "trade", command_line(argv)[1:], help_text=kill.__doc__)
    changes, own = split(command_line(argv), lambda a: is_override(a) and root_of(a) in CHANGEABLE)
    # To Hydra `policy` is the group of networks; here it names what trades.
    named, own = split(own, lambda a: a.startswith("policy="))
    policy = given_value(named[-1]) or None if named else None
    return run_entry_point(partial(trade, changes=changes, policy=policy), "trade", own)


if __name__ == "__main__":
    sys.exit(main())
