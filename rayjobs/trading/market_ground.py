"""The market that a trading run stands on: bars that have closed, the calendar of those to come, the account's window.

Recorded bars are cut from the run's data; live ones are asked for, from the data of the run as they grow or from a
vendor. Both end in the same growing market with the same streamed features.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import numpy as np

from data.calendars import ALWAYS_OPEN, BarGrid, bar_grid
from data.checks.hygiene import HygieneReport
from data.features import Standardiser
from data.features.stream import FeatureStream
from data.futures.contract_series import ContractSeries
from data.schema import Panel
from data.sources import Dataset, RecordedBars, load
from envs.config import PortfolioEnvConfig
from envs.live.account import LiveAccount
from envs.live.bar_feed import BarFeed, HistoryFeed, LiveFeed, aware, close_instants
from envs.live.growing_market import GrowingMarket
from envs.live.streamed_features import StreamedFeatures
from envs.rules import context_in_use
from evaluation.scoring.rollout import evaluation_config
from policies.exports import ExportedPolicy
from rayjobs.config.typed_config import ConfigError
from rayjobs.study.assumed_yields import assumed_yields
from rayjobs.study.config import TrainConfig
from rayjobs.study.lacking_facts import lacking_notes
from rayjobs.study.study import Study
from rayjobs.trading.candidate import Candidate
from rayjobs.trading.settings import FeedSettings

LOG = logging.getLogger(__name__)
Read = Callable[[np.datetime64], Panel | None]
Series = tuple[ContractSeries, ...]
YEAR_DAYS = 365


@dataclass(frozen=True, kw_only=True)
class Ground:
    """What account and loop are built on.

    Parameters
    ----------
    history : bars that have closed before the first decision's bar.
    to_come : those after it, by the calendar, up to the end of a session: what is observed of a bar's place in its
        session must not depend on where trading ends.
    start_bar, stop_bar : window of bars whose return the account may earn.
    bars_per_session : as the backtest's market has it.
    feed : hands over the bars to come. late : the last bar of the history closed too long ago to enter anything on it.
    recorded : all bars of a replay, before, in and after its window; None where live ones come.
    series : the dated contracts behind the bars, as they were read last.
    """

    history: Panel
    to_come: BarGrid
    start_bar: int
    stop_bar: int
    bars_per_session: float
    feed: BarFeed
    late: bool = False
    recorded: Panel | None = None
    series: Callable[[], Series] = tuple


def recorded_ground(
    candidate: Candidate, config: TrainConfig, settings: FeedSettings, known: int | None
) -> Ground:
    """Recorded bars of the run's data: the test window of the fold, or the window that is asked for.

    known : bars that a saved run has seen already; None begins.
    """
    dataset = load(config.data)
    panel = dataset.panel
    misfit = candidate.policy_origin().misfit(panel.symbols, panel.bar_seconds)
    if misfit:
        raise ConfigError(f"the policy of fold {candidate.fold} {misfit}")
    start, stop = _window(candidate, panel, settings)
    seen = start if known is None else known
    feed = HistoryFeed(panel, seen, stop, speed=settings.speed)
    return Ground(
        history=panel.slice_bars(0, seen),
        to_come=whole_sessions(panel, seen, stop),
        start_bar=start,
        stop_bar=stop,
        bars_per_session=_median_session(panel.session),
        feed=feed,
        recorded=panel,
        series=lambda: dataset.hygiene.contracts,
    )


def whole_sessions(panel: Panel, start: int, stop: int) -> BarGrid:
    """The bars of a panel from `start` to the end of the session that bar `stop` - 1 belongs to."""
    end = int(np.searchsorted(panel.session, panel.session[stop - 1], side="right"))
    return BarGrid(bar_utc=panel.bar_utc[start:end], session=panel.session[start:end])


def _window(candidate: Candidate, panel: Panel, settings: FeedSettings) -> tuple[int, int]:
    if settings.start_utc is None:
        (fold,) = (one for one in candidate.run.folds(panel) if one.index == candidate.fold)
        stop = fold.test.stop if settings.stop_utc is None else _before(panel, settings.stop_utc)
        start = fold.test.start
    else:
        start = int(np.searchsorted(panel.bar_utc, np.datetime64(settings.start_utc.rstrip("Z"), "ns")))
        stop = panel.num_bars if settings.stop_utc is None else _before(panel, settings.stop_utc)
    if not 1 <= start < stop:
        raise ConfigError(
            f"feed.start_utc and feed.stop_utc leave no bar of the data, which run from {panel.bar_utc[0]} to "
            f"{panel.bar_utc[-1]}"
        )
    return start, stop


def _before(panel: Panel, stop_utc: str) -> int:
    return int(np.searchsorted(panel.bar_utc, np.datetime64(stop_utc.rstrip("Z"), "ns")))


def live_ground(
    like: Panel,
    read: Read,
    settings: FeedSettings,
    *,
    start_bar: int | None,
    known: int | None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    series: Callable[[], Series] = tuple,
) -> Ground:
    """Bars as they close, after those of a panel that are there already.

    Parameters
    ----------
    like : every bar that is there, from the one on that the run began with.
    start_bar, known : of a saved run; None begins now.
    series : the dated contracts behind the bars, as `read` found them last.
    """
    seen = like.num_bars if known is None else known
    history = like.slice_bars(0, seen)
    after = history.bar_utc[-1] + np.timedelta64(1, "ns")
    end = np.datetime64(now().replace(tzinfo=None), "ns") + np.timedelta64(
        int(settings.room_days * 86_400), "s"
    )
    grid = bar_grid(like.calendar, like.bar_seconds, after, end)
    # The last session may be cut short here, and the one before it ends the room: nothing is closed in what is fed.
    room, fed = (int(np.searchsorted(grid.session, session)) for session in _last_two(grid, settings, like))
    to_come = BarGrid(bar_utc=grid.bar_utc[:room], session=grid.session[:room])
    fed_grid = BarGrid(bar_utc=grid.bar_utc[:fed], session=grid.session[:fed])
    feed = LiveFeed(read, fed_grid, like, settings.rules, now)
    last = BarGrid(bar_utc=history.bar_utc[-1:], session=history.session[-1:])
    closed = aware(close_instants(last, like.calendar, like.bar_seconds)[0])
    return Ground(
        history=history,
        to_come=to_come,
        start_bar=seen if start_bar is None else start_bar,
        stop_bar=seen + room,
        bars_per_session=_usual_session(like),
        feed=feed,
        late=now() - closed > timedelta(seconds=settings.late_after_s),
        series=series,
    )


def _last_two(grid: BarGrid, settings: FeedSettings, like: Panel) -> tuple[int, int]:
    """The last session of a grid and the one before it."""
    sessions = np.unique(grid.session)
    if len(sessions) < 3:
        raise ConfigError(
            f"feed.room_days is {settings.room_days:g}, in which {like.calendar} has {len(sessions)} sessions, "
            "and three are needed; raise it"
        )
    return int(sessions[-1]), int(sessions[-2])


class Rereading:
    """Bars of the run's data, read again each time: a lake that is watched, a file that grows.

    Raises
    ------
    ConfigError
        If the market is made, and so does not grow.
    """

    def __init__(self, config: TrainConfig) -> None:
        if not isinstance(config.data, RecordedBars):
            raise ConfigError(
                "live bars cannot come from a made market; choose data that grow (data=lake ...) or a vendor "
                "(source=...)"
            )
        self._data, self._series = config.data, ()

    _series: Series

    def __call__(self, label: np.datetime64 | None = None) -> Panel:
        """Every bar that is there by now."""
        dataset = load(self._data)
        self._series = dataset.hygiene.contracts
        return dataset.panel

    def series(self) -> Series:
        """The dated contracts behind the bars that were read last."""
        return self._series


def refuse_unprepared(config: TrainConfig) -> None:
    """Refuse bars straight from a vendor where those of the run were prepared as no loop prepares them.

    Raises
    ------
    ConfigError
        With the key.
    """
    data = config.data
    futures = getattr(data, "futures", None)
    prepared = {
        "data.futures.roll.rule": futures is not None and futures.joins,
        "data.universe": getattr(data, "universe", None) is not None,
    }
    for key, used in prepared.items():
        if used:
            raise ConfigError(
                f"the policy's run has {key}, and bars straight from a vendor know nothing of it: keep a lake up to "
                "date (python -m rayjobs.ingest watch) and trade its bars, with data=lake and source=null"
            )


def _median_session(session: np.ndarray) -> float:
    return float(np.median(np.unique(session, return_counts=True)[1]))


def _usual_session(panel: Panel) -> float:
    """Median number of bars of a session, over the year before the panel's last bar by the calendar."""
    last = panel.bar_utc[-1]
    year = bar_grid(panel.calendar, panel.bar_seconds, last - np.timedelta64(YEAR_DAYS, "D"), last)
    if panel.calendar == ALWAYS_OPEN and panel.bar_seconds >= 86_400:
        return 1.0
    return _median_session(year.session)


@dataclass(frozen=True, kw_only=True)
class Stand:
    """A policy with the account and the market that it trades on."""

    policy: ExportedPolicy
    account: LiveAccount
    market: GrowingMarket
    config: PortfolioEnvConfig

    def second_account(self, ground: Ground) -> LiveAccount:
        """Another account of the same market, for what the first one would have been given elsewhere."""
        return LiveAccount(
            self.market, self.config, start_bar=ground.start_bar, seed=0, stop_bar=ground.stop_bar
        )


def build_stand(
    candidate: Candidate, config: TrainConfig, ground: Ground, *, warmup_bars: int | None
) -> Stand:
    """Load the policy, and lay out market and account as the backtest of the run did.

    Raises
    ------
    ValueError
        If the policy was made for other symbols, bars, features or code, or the history is too short.
    """
    history = ground.history
    unknown = list(assumed_yields(config, history))
    if unknown:
        LOG.warning(
            "the bars have no column of dividends, so that the account is paid none and its shorts owe none, of %s%s",
            ", ".join(unknown[:5]),
            " and more" if len(unknown) > 5 else "",
        )
    dataset = Dataset(panel=history, hygiene=HygieneReport(rows=(), findings=()), oracle_direction=None)
    study = Study.of(config, dataset)
    for note in lacking_notes(config.features.enabled, history):
        LOG.warning("%s", note.text)
    policy = candidate.open(study)
    standardiser = Standardiser.from_dict(policy.contract.standardiser or {})
    specs, instruments = config.features.enabled, config.instruments.for_symbols(history.symbols)
    stream = StreamedFeatures(FeatureStream.after(specs, history), study.features, standardiser)
    market = GrowingMarket(
        history,
        standardiser.transform(study.features),
        ground.to_come,
        instruments,
        context_in_use(config.context, config.env, history, instruments),
        stream,
        bars_per_session=ground.bars_per_session,
    )
    scored = evaluation_config(config.env)
    if warmup_bars is not None:
        scored = replace(scored, episode=replace(scored.episode, warmup_bars=warmup_bars))
    account = LiveAccount(market, scored, start_bar=ground.start_bar, seed=0, stop_bar=ground.stop_bar)
    return Stand(policy=policy, account=account, market=market, config=scored)
