"""A sealed run whose policy reads prices alone, so that bars of a real venue are enough for it."""

from __future__ import annotations

from pathlib import Path

from sealed_run import make_sealed_run

PRICES_ALONE = (
    "+experiment=noise", "data.num_bars=1400", "data.num_assets=2", "data.noise_features=1", "data.bar_seconds=5",
    "features.specs.columns=null", "+features.specs.r1={name: log_return, params: {horizon_bars: 1}}",
    "+features.specs.r5={name: log_return, params: {horizon_bars: 5}}",
    "+features.specs.rsi={name: rsi, params: {window_bars: 14}}", "walk_forward.train_bars=500",
    "walk_forward.test_bars=300", "env.episode.bars=48", "env.sizing.fraction=0.3", "policy=mlp",
    "policy.encoder_units=4", "policy.core_units=4", "scoring.supervised=[]", "scoring.placebo_strategies=0",
    "gate.enforced=[num_trades]", "gate.min_trades=1",
)  # fmt: skip


def make_priced_run(root: Path, *overrides: str) -> Path:
    """Write the run below ``root``: two symbols, bars of five seconds, a gate that passes it."""
    return make_sealed_run(root, *overrides, base=PRICES_ALONE)


def at_tws(port: int) -> tuple[str, ...]:
    """The words of a command line that trades at the double of TWS, and takes its bars from it."""
    return (
        "broker=ibkr", f"broker.port={port}", "broker.calendar='24/7'", "broker.heartbeat_s=2",
        "broker.connect_timeout_s=2", "broker.answer_timeout_s=3", "broker.account=DU1234567",
        "broker.desk.settle_s=0.2", "broker.desk.retry_s=0.2", "broker.desk.longest_retry_s=0.5",
        "guard.max_order_notional=1e9", "guard.max_orders_per_minute=1000", "guard.max_drawdown=0.9",
        "guard.max_daily_loss=0.9", "guard.max_var=null", "guard.watch_s=0.2",
    )  # fmt: skip


def live_bars(port: int) -> tuple[str, ...]:
    """The words that let bars come from the double as they close."""
    return (
        "source=ibkr", f"source.ibkr.options.port={port}", "source.ibkr.calendar='24/7'",
        "source.ibkr.options.connect_timeout_s=2", "source.ibkr.options.answer_timeout_s=3",
        "feed.adjustment=splits", "feed.history_days=0.02", "feed.settle_s=0.2", "feed.poll_s=0.25",
        "feed.missing_after_s=25", "feed.late_after_s=12", "feed.room_days=4",
    )  # fmt: skip
