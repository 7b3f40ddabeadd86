"""``daily.json``: what is held and wanted at the last close, as a desk takes it, checked against a JSON schema.

A policy gives targets and no forecasts: `expected_alpha_bps` and `conf` are null, and stay in the page because who
reads it expects them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from envs.barriers import BarrierConfig
from envs.kernel import columns as c
from evaluation.files import write_json
from rayjobs.trading.session import Session

NUMBER = {"type": ["number", "null"]}
DAILY_SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Positions that a policy wants, and their risk",
    "type": "object",
    "additionalProperties": False,
    "required": ["asof", "policy", "positions", "risk"],
    "properties": {
        "asof": {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$"},
        "policy": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
        "positions": {
            "type": "array",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": [
                    "symbol",
                    "target_w",
                    "horizon",
                    "expected_alpha_bps",
                    "conf",
                    "tp_bps",
                    "sl_bps",
                ],
                "properties": {
                    "symbol": {"type": "string"},
                    "target_w": {"type": "number"},
                    "held_w": {"type": "number"},
                    "horizon": {"type": ["integer", "null"], "minimum": 1},
                    "expected_alpha_bps": NUMBER,
                    "conf": {"type": ["number", "null"], "minimum": 0, "maximum": 1},
                    "tp_bps": {"type": ["number", "null"], "exclusiveMinimum": 0},
                    "sl_bps": {"type": ["number", "null"], "exclusiveMinimum": 0},
                },
            },
        },
        "risk": {
            "type": "object",
            "additionalProperties": False,
            "required": ["equity", "gross", "net", "drawdown"],
            "properties": {
                "equity": {"type": "number"},
                "gross": {"type": "number", "minimum": 0},
                "net": {"type": "number"},
                "drawdown": {"type": "number", "minimum": 0},
            },
        },
    },
}
"""`horizon` is in bars, weights are fractions of equity, `tp_bps` and `sl_bps` distances from the entry price."""


def daily_page(session: Session) -> dict[str, Any]:
    """The page at the close that the account stands at."""
    stand = session.stand
    env, market = stand.account.env, stand.market.market
    bar, equity = stand.account.bar, stand.account.equity
    position = env.rows.position[0]
    worth = market.mark[bar] * env.instrument[:, c.MULTIPLIER] / equity
    wanted, held = position[:, c.TARGET] * worth, position[:, c.UNITS] * worth
    target_bps, stop_bps = _barriers_bps(stand.config.barriers)
    horizon = None if stand.config.barriers is None else stand.config.barriers.time_limit_bars
    peak = float(env.rows.account[0, c.PEAK])
    return {
        "asof": f"{session.loop.feed.now():%Y-%m-%dT%H:%M:%SZ}",
        "policy": stand.policy.policy_hash,
        "positions": [
            {
                "symbol": symbol,
                "target_w": float(wanted[a]),
                "held_w": float(held[a]),
                "horizon": horizon,
                "expected_alpha_bps": None,
                "conf": None,
                "tp_bps": target_bps,
                "sl_bps": stop_bps,
            }
            for a, symbol in enumerate(market.symbols)
        ],
        "risk": {
            "equity": equity,
            "gross": float(np.abs(held).sum()),
            "net": float(held.sum()),
            "drawdown": max(1.0 - equity / peak, 0.0) if peak > 0.0 else 0.0,
        },
    }


def _barriers_bps(barriers: BarrierConfig | None) -> tuple[float | None, float | None]:
    """Distances that are known in advance: those in per cent of the entry price."""
    if barriers is None or barriers.unit != "percent":
        return None, None
    found = (barriers.profit_target, barriers.stop_loss)
    return tuple(None if part is None else 100.0 * part for part in found)  # type: ignore[return-value]


def write_daily_page(session: Session, directory: Path) -> Path:
    """Check the page against its schema, write it, and return its path."""
    import jsonschema

    path, page = directory / "daily.json", daily_page(session)
    jsonschema.validate(page, DAILY_SCHEMA)
    write_json(path, page)
    return path
