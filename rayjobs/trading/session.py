"""A trading run from its settings to its end: built anew, or carried on from its record after a stop or a kill."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from data.schema import Panel
from envs.kernel import columns as c
from envs.live.bar_feed import LiveFeed
from envs.live.broker import Broker
from envs.live.contract_opens import contract_opens
from envs.live.desk import DeskRules, OrderDesk
from envs.live.guard_check import OrderCheck
from envs.live.guard_folder import FOLDER, GuardFolder
from envs.live.guard_view import LoopView
from envs.live.journal import Journal
from envs.live.order_venue import OrderVenue, ScriptedVenue
from envs.live.paper import PaperVenue, Venue
from envs.live.paper_guard import PaperGuard
from envs.live.scripted_exchange import ExchangeScript, ScriptedExchange
from envs.live.simulated_twin import SimulatedTwin
from envs.live.traded_contracts import TradedContracts, venue_symbols
from envs.live.unsendable import refuse_rolls, refuse_unsendable
from policies.exported_policy import TrainedPolicy
from policies.origin import Origin
from rayjobs.config.typed_config import ConfigError
from rayjobs.guarding.process import guard_beside, guard_settings
from rayjobs.study.config import TrainConfig, build_train_config
from rayjobs.trading.candidate import Candidate
from rayjobs.trading.loop import Tick, TradingLoop
from rayjobs.trading.market_ground import (
    Ground,
    Read,
    Rereading,
    Series,
    Stand,
    build_stand,
    live_ground,
    recorded_ground,
    refuse_unprepared,
)
from rayjobs.trading.replayed_look import ReplayedLook, enter_replay
from rayjobs.trading.settings import IbkrSettings, ReplayBroker, SimulatedBroker, TradeSettings
from rayjobs.trading.trading_record import RECORD_FILE, TradingRecord
from rayjobs.trading.vendor_bars import VendorBars

LOG = logging.getLogger(__name__)
JOURNAL_FILE, EXCHANGE_FILE = "journal.sqlite", "exchange.json"
CANCEL_WAIT_S = 5.0
"""How long a venue may take to confirm a cancel before its symbol is left alone for a bar."""
AT_ONCE = DeskRules(settle_s=0.0, resend_within_s=1e9, ask_again_s=0.0, retry_s=1.0, longest_retry_s=1.0)
"""Of a desk whose venue lives in this process."""
FIRST_UTC, START_BAR = "history_first_utc", "start_bar"


@dataclass(frozen=True, kw_only=True)
class Begun:
    """Where the record of a trading run stands; nothing of a new one.

    Attributes
    ----------
    known : bars that its market had seen. first_utc : label of the first of them. start_bar : first that was traded.
    """

    known: int | None = None
    first_utc: str | None = None
    start_bar: int | None = None

    @classmethod
    def read(cls, path: Path) -> Begun:
        """Of a record that is there."""
        with TradingRecord(path) as record:
            state, start = record.state(), record.fact(START_BAR)
            return cls(
                known=None if state is None else int(state["known"]),
                first_utc=record.fact(FIRST_UTC),
                start_bar=None if start is None else int(start),
            )


@dataclass(frozen=True, kw_only=True)
class Session:
    """A loop that was started, and what it stands on.

    discount : of the rewards that the policy's value head expects; None where it has none that says anything.
    look : at recorded bars, as the ledger counts it; None on live ones.
    """

    loop: TradingLoop
    stand: Stand
    ground: Ground
    record: TradingRecord
    discount: float | None = None
    look: ReplayedLook | None = None

    @property
    def goes_on(self) -> bool:
        """Whether only the room for live bars is used up."""
        return self.loop.end == "no more bars" and isinstance(self.ground.feed, LiveFeed)

    def run(self, on_tick: Callable[[Tick], None]) -> None:
        """Trade until the bars end, the account is ruined, or an error or Ctrl-C ends it."""
        while (tick := self.loop.step()) is not None:
            on_tick(tick)


@contextmanager
def open_session(
    candidate: Candidate,
    values: Mapping[str, Any],
    settings: TradeSettings,
    directory: Path,
    vendor_bars: Callable[[Origin], VendorBars] | None = None,
) -> Iterator[Session]:
    """Build the loop of a run directory, new or saved, and start it.

    Parameters
    ----------
    values : configuration of the policy's run, perhaps with other data.
    vendor_bars : makes what live bars of a policy's symbols come from; None reads the data again at each close.

    Raises
    ------
    ValueError
        If the policy, the bars or the venue cannot be used.
    """
    config = build_train_config(values)
    path = directory / RECORD_FILE
    begun = Begun.read(path) if path.exists() else Begun()
    with ExitStack() as stack:
        ground = _ground(candidate, config, settings, begun, vendor_bars, stack)
        stand = build_stand(candidate, config, ground, warmup_bars=settings.warmup_bars)
        digest = stand.policy.policy_hash
        look = enter_replay(config, values, settings, ground, digest, candidate.run.path, directory)
        record = stack.enter_context(TradingRecord(path))
        record.note(FIRST_UTC, str(ground.history.bar_utc[0]))
        record.note(START_BAR, str(ground.start_bar))
        venue = stack.enter_context(_venue(settings, directory, ground, stand))
        discount = _discount(config, stand)
        loop = TradingLoop(
            policy=stand.policy,
            account=stand.account,
            market=stand.market,
            feed=ground.feed,
            venue=venue,
            record=record,
            cost_scale=_cost_scale(config, settings),
            twin=None if isinstance(venue, PaperVenue) else SimulatedTwin(stand.second_account(ground)),
            expects=discount is not None,
        )
        loop.start(late=ground.late)
        yield Session(loop=loop, stand=stand, ground=ground, record=record, discount=discount, look=look)


def _discount(config: TrainConfig, stand: Stand) -> float | None:
    """Of a network whose value head was trained on the very rewards that the account counts."""
    algo = config.algo
    trained = isinstance(stand.policy, TrainedPolicy) and algo.value_coefficient is not None
    return algo.gamma if trained and not algo.scale_rewards else None


def _cost_scale(config: TrainConfig, settings: TradeSettings) -> float:
    broker = settings.broker_settings
    factor = None if isinstance(broker, IbkrSettings) else broker.cost_factor
    return config.scoring.cost_factor if factor is None else factor


def _ground(
    candidate: Candidate,
    config: TrainConfig,
    settings: TradeSettings,
    begun: Begun,
    vendor_bars: Callable[[Origin], VendorBars] | None,
    stack: ExitStack,
) -> Ground:
    if settings.feed_kind == "history":
        ground = recorded_ground(candidate, config, settings.feed, begun.known)
    else:
        like, read, series = _live_bars(candidate, config, vendor_bars, begun.first_utc, stack)
        start, known = begun.start_bar, begun.known
        ground = live_ground(like, read, settings.feed, start_bar=start, known=known, series=series)
    first = str(ground.history.bar_utc[0])
    if begun.first_utc not in (None, first):
        raise ConfigError(
            f"this run began with bars from {begun.first_utc} on, and the data now begin at {first}; give it the same "
            "bars"
        )
    return ground


def _live_bars(
    candidate: Candidate,
    config: TrainConfig,
    vendor_bars: Callable[[Origin], VendorBars] | None,
    first_utc: str | None,
    stack: ExitStack,
) -> tuple[Panel, Read, Callable[[], Series]]:
    """The bars that are there, what asks for later ones, and the dated contracts behind them."""
    if vendor_bars is None:
        read = Rereading(config)
        return read(), read, read.series
    refuse_unprepared(config)
    bars = vendor_bars(candidate.policy_origin())
    stack.callback(bars.close)
    return bars.history(first_utc), bars.since, tuple


@contextmanager
def _venue(
    settings: TradeSettings,
    directory: Path,
    ground: Ground,
    stand: Stand,
) -> Iterator[Venue]:
    broker = settings.broker_settings
    script = broker.script if isinstance(broker, ReplayBroker) else None
    if isinstance(broker, SimulatedBroker) or (isinstance(broker, ReplayBroker) and script is None):
        guard = _paper_guard(settings, directory, ground, stand) if settings.guards_simulation else None
        yield PaperVenue(stand.account, guard)
        return
    refuse_unsendable(stand.config, resting=script is None)
    rules = broker.connection if isinstance(broker, IbkrSettings) else broker
    refuse_rolls(ground.history, rules, ground.series())
    symbols, name = ground.history.symbols, f"{directory.name}"
    with Journal(directory / JOURNAL_FILE, f"{settings.broker}/{name}") as journal:
        if script is not None:
            exchange = _exchange(script, stand, ground, directory / EXCHANGE_FILE)
            desk = OrderDesk(exchange, journal, AT_ONCE, ground.feed.now)
            contracts = TradedContracts(stand.account, symbols, ground.series)
            how: dict[str, Any] = {"contracts": contracts, "rolls": rules}
            yield ScriptedVenue(exchange, desk, stand.account, symbols, name, **how)
            return
        assert isinstance(broker, IbkrSettings)
        at_venue = _at_venue(ground)
        contracts = TradedContracts(stand.account, symbols, ground.series, at_venue)
        how = {"contracts": contracts, "rolls": rules, "cancel_wait_s": CANCEL_WAIT_S}
        told = guard_settings(broker.connection, settings.guard, settings.alerts, at_venue, name)
        with guard_beside(directory, told) as folder:
            line = _ibkr(broker, at_venue)
            try:
                desk = _guarded_desk(line, journal, broker, settings, ground, stand, folder, contracts)
                yield OrderVenue(desk, stand.account, symbols, name, **how)
            finally:
                line.close()


def _at_venue(ground: Ground) -> tuple[str, ...]:
    """What a broker must know: the symbols, and of a series every contract that is still traded."""
    now = np.datetime64(ground.feed.now().replace(tzinfo=None), "ns")
    return venue_symbols(ground.history.symbols, ground.series(), now)


def _paper_guard(settings: TradeSettings, directory: Path, ground: Ground, stand: Stand) -> PaperGuard:
    """The guard's limits for simulated fills; a day is a session of the bars."""
    sessions = np.concatenate([ground.history.session, ground.to_come.session])

    def today() -> datetime:
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=int(sessions[stand.account.bar]))

    return PaperGuard(
        settings.guard,
        stand.account,
        ground.history.symbols,
        GuardFolder(directory / FOLDER),
        directory.name,
        today=today,
        now=ground.feed.now,
    )


def _guarded_desk(
    line: Broker,
    journal: Journal,
    broker: IbkrSettings,
    settings: TradeSettings,
    ground: Ground,
    stand: Stand,
    folder: GuardFolder,
    contracts: TradedContracts,
) -> OrderDesk:
    """A desk that asks the guard's limits before each order."""
    view = LoopView(
        stand.account,
        lambda: desk.orders,
        ground.history.symbols,
        folder,
        zone=broker.connection.zone,
        var_bars=settings.guard.var_bars,
        now=ground.feed.now,
        contracts=contracts.names,
    )
    check = OrderCheck(settings.guard, view, folder, needs_guard=True)
    # A venue lives in the present, also where recorded bars are traded at it.
    desk = OrderDesk(line, journal, broker.desk, lambda: datetime.now(UTC), check)
    return desk


def _exchange(script: ExchangeScript, stand: Stand, ground: Ground, path: Path) -> ScriptedExchange:
    instrument = stand.account.env.instrument
    return ScriptedExchange(
        script,
        ground.history.symbols,
        instrument[:, c.LOT_STEP].tolist(),
        instrument[:, c.MULTIPLIER].tolist(),
        path,
        contract_opens(ground.history.symbols, ground.series),
    )


def _ibkr(settings: IbkrSettings, symbols: tuple[str, ...]) -> Broker:
    from envs.live.ibkr import IbkrBroker

    return IbkrBroker(settings.connection, symbols)
