"""The keys `context_symbols` and `context_max_age_seconds` of the group ``data``: symbols that are read, not traded.

    data.context_symbols=[SPY, QQQ]                                   # of the same source
    data.context_symbols={VIX: {path: vix.csv, bar_seconds: 86400}}   # of another file, calendar, bar length or source

What a symbol does not state it has from the group, if its source is the same kind, and otherwise from that source's
own file in ``conf/data``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from omegaconf import OmegaConf

from data.context_symbols import ContextSymbol
from data.sources import RecordedBars, config_class
from data.stand_in import PREFIX, StandInConfig
from rayjobs.config.compose import CONF
from rayjobs.config.typed_config import ConfigError, build_dataclass, convert

Values = Mapping[str, Any]
SYMBOLS, AGE = "context_symbols", "context_max_age_seconds"
OF_THE_TRADED = ("symbols", "start_utc", "stop_utc", "columns", "edge", "universe")
"""Keys that a context symbol never takes over from the group."""


@dataclass(frozen=True)
class SplitGroup:
    """The group ``data`` of the traded symbols alone, and the context symbols by the name that features use."""

    traded: dict[str, Any]
    context: dict[str, ContextSymbol]


def split_context(group: Values) -> SplitGroup:
    """Take the context symbols out of the group ``data``; configurations that are older than them have none.

    Raises
    ------
    ConfigError
        If a symbol is stated in a way that cannot be, or the source has no context symbols.
    """
    traded = dict(group)
    asked, age = traded.pop(SYMBOLS, None) or {}, traded.pop(AGE, None)
    if not isinstance(asked, Mapping):
        names = convert(tuple[str, ...], asked, f"data.{SYMBOLS}")
        if len(set(names)) != len(names):
            raise ConfigError(f"data.{SYMBOLS} is {list(names)}; name each symbol once")
        asked = dict.fromkeys(names)
    if not asked:
        return SplitGroup(traded, {})
    kind = convert(str, traded.get("source"), "data.source")
    if not issubclass(config_class(kind), RecordedBars | StandInConfig):
        raise ConfigError(
            f"data.{SYMBOLS} names {', '.join(asked)}, but data.source={kind} has no symbols beside those it trades; "
            "use files, samples, lake or stand_in"
        )
    context = {}
    for name, facts in asked.items():
        found = _one(str(name), facts, traded, age)
        context[found[0]] = found[1]
    if kind == "stand_in":
        own = {str(name).removeprefix(PREFIX) for name in asked}
        traded["symbols"] = {name: law for name, law in traded["symbols"].items() if name not in own}
    return SplitGroup(traded, context)


def _one(name: str, stated: Any, group: Values, age: Any) -> tuple[str, ContextSymbol]:
    """A context symbol, and the name that features use."""
    path = f"data.{SYMBOLS}.{name}"
    if stated is not None and not isinstance(stated, Mapping):
        raise ConfigError(
            f"{path} is {stated!r}; give its bars as a group, such as {{path: {name}.csv, bar_seconds: 86400}}, or null"
        )
    facts = dict(stated or {})
    kind = convert(str, facts.pop("source", group["source"]), f"{path}.source")
    symbol = convert(str, facts.pop("symbol", name), f"{path}.symbol")
    seconds = convert(int, facts.pop("max_age_seconds", age), f"{path}.max_age_seconds")
    if kind == group["source"]:
        base = {key: value for key, value in group.items() if key not in OF_THE_TRADED}
    else:
        base = _shipped(kind)
    try:
        cls = config_class(kind)
    except ValueError as error:
        raise ConfigError(f"{path}: {error}") from error
    base |= {"edge": None} if cls is StandInConfig else {"start_utc": None, "stop_utc": None}
    if cls is StandInConfig:
        symbol = symbol.removeprefix(PREFIX)
        base |= _drawn(symbol, facts, group, path)
        name = symbol = f"{PREFIX}{symbol}"
    else:
        base["symbols"] = [symbol]
    values = {key: value for key, value in {**base, **facts}.items() if key != "source"}
    bars = build_dataclass(cls, values, path)
    return name, ContextSymbol(bars=bars, symbol=symbol, max_age_seconds=seconds)


def _drawn(symbol: str, facts: Values, group: Values, path: str) -> dict[str, Any]:
    """Law and first bar of a symbol of a stand-in market: as drawn with the traded ones, unless it states its own."""
    base = {"start_utc": group["start_utc"]} if group["source"] == "stand_in" else {}
    if "symbols" in facts:
        return base
    laws = group.get("symbols") if group["source"] == "stand_in" else None
    if not isinstance(laws, Mapping) or symbol not in laws:
        raise ConfigError(
            f"{path}: data.symbols has no law of {symbol}; add it there, or state one as "
            f"{path}.symbols={{{symbol}: ...}}"
        )
    return base | {"symbols": {symbol: laws[symbol]}}


def _shipped(kind: str) -> dict[str, Any]:
    """What ``conf/data`` states of a kind of source; nothing for one without a file of its name."""
    file = CONF / "data" / f"{kind}.yaml"
    if ":" in kind or not file.is_file():
        return {}
    held = OmegaConf.to_container(OmegaConf.create(file.read_text()), resolve=True)
    assert isinstance(held, dict)
    own = {str(key): value for key, value in held.items() if value != "???"}
    return {key: value for key, value in own.items() if key not in ("defaults", SYMBOLS, AGE)}
