"""Plain mappings become dataclasses, and a mistake is told with its key and what was expected."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from rayjobs.config.typed_config import ConfigError, build_dataclass, nearest


@dataclass(frozen=True, kw_only=True)
class Sizing:
    rule: Literal["fixed", "kelly"]
    fraction: float
    cap: float | None

    def __post_init__(self) -> None:
        if self.fraction < 0:
            raise ValueError(f"fraction is {self.fraction}; it must be 0 or more")


@dataclass(frozen=True, kw_only=True)
class Env:
    sizing: Sizing
    num_envs: int
    symbols: tuple[str, ...]
    span: tuple[int, float]
    allow_short: bool
    fees_bps: Mapping[str, float]
    path: Path | None
    barriers: Sizing | None


@dataclass(frozen=True, kw_only=True)
class Volatility:
    bars: int


@dataclass(frozen=True, kw_only=True)
class Momentum:
    fast_bars: int
    slow_bars: int


@dataclass(frozen=True, kw_only=True)
class Feature:
    params: Volatility | Momentum


def env(**changes):
    sizing = {"rule": "fixed", "fraction": 1, "cap": None} | changes.pop("sizing", {})
    values = {
        "sizing": sizing,
        "num_envs": 4,
        "symbols": ["BTC", "ETH"],
        "span": [1, 2],
        "allow_short": True,
        "fees_bps": {"BTC": 2},
        "path": None,
        "barriers": None,
    }
    return values | changes


def test_a_mapping_becomes_nested_frozen_dataclasses():
    built = build_dataclass(
        Env, env(path="lake/bars", barriers={"rule": "kelly", "fraction": 0.5, "cap": 2}), "env"
    )
    assert built.sizing == Sizing(rule="fixed", fraction=1.0, cap=None)
    assert isinstance(built.sizing.fraction, float)
    assert built.symbols == ("BTC", "ETH")
    assert built.span == (1, 2.0)
    assert built.fees_bps == {"BTC": 2.0}
    assert built.path == Path("lake/bars")
    assert built.barriers == Sizing(rule="kelly", fraction=0.5, cap=2.0)


def test_a_whole_float_is_a_whole_number_because_yaml_reads_1e6_as_a_float():
    assert build_dataclass(Env, env(num_envs=1e6)).num_envs == 1_000_000


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sizing": {"fractoin": 2}}, "env.sizing.fractoin: unknown key; did you mean fraction?"),
        ({"zzzzzz": 2}, "env.zzzzzz: unknown key; known: allow_short, barriers, fees_bps"),
        ({"sizing": {"fraction": "abc"}}, "env.sizing.fraction is 'abc'; it must be a number"),
        ({"sizing": {"fraction": True}}, "env.sizing.fraction is True; it must be a number"),
        ({"sizing": {"fraction": float("nan")}}, "env.sizing.fraction is nan; it must be a number"),
        ({"sizing": {"cap": "x"}}, "env.sizing.cap is 'x'; it must be a number"),
        (
            {"sizing": {"rule": "kely"}},
            "env.sizing.rule is 'kely'; it must be one of fixed, kelly (did you mean kelly?)",
        ),
        ({"sizing": {"fraction": -1}}, "env.sizing: fraction is -1.0; it must be 0 or more"),
        ({"num_envs": 1.5}, "env.num_envs is 1.5; it must be a whole number"),
        ({"num_envs": None}, "env.num_envs is None; it must be a whole number"),
        ({"symbols": "BTC"}, "env.symbols is 'BTC'; it must be a list of text values"),
        ({"symbols": ["BTC", 3]}, "env.symbols[1] is 3; it must be a text"),
        ({"span": [1]}, "env.span has 1 values; it must have 2"),
        ({"allow_short": "yes"}, "env.allow_short is 'yes'; it must be true or false"),
        ({"fees_bps": {"BTC": "x"}}, "env.fees_bps.BTC is 'x'; it must be a number"),
        ({"sizing": {"rule": ["fixed"]}}, "env.sizing.rule is ['fixed']; it must be one of fixed, kelly"),
    ],
)
def test_a_mistake_is_told_with_its_path_and_what_is_expected(changes, message):
    with pytest.raises(ConfigError) as caught:
        build_dataclass(Env, env(**changes), "env")
    assert str(caught.value).startswith(message)


def test_a_missing_key_is_named_with_its_type():
    values = env()
    del values["sizing"]["rule"]
    with pytest.raises(ConfigError, match=r"^env\.sizing\.rule: missing; give it as one of fixed, kelly$"):
        build_dataclass(Env, values, "env")


def test_a_value_where_a_group_belongs_is_refused():
    with pytest.raises(ConfigError, match="^env.sizing is 3; it must be a group of keys$"):
        build_dataclass(Env, env() | {"sizing": 3}, "env")


def test_a_union_of_dataclasses_takes_the_one_with_these_keys_and_complains_about_the_likeliest():
    assert build_dataclass(Feature, {"params": {"bars": 3}}).params == Volatility(bars=3)
    assert build_dataclass(Feature, {"params": {"fast_bars": 3, "slow_bars": 9}}).params == Momentum(
        fast_bars=3, slow_bars=9
    )
    with pytest.raises(ConfigError, match=r"^params\.slow_bar: unknown key; did you mean slow_bars\?$"):
        build_dataclass(Feature, {"params": {"fast_bars": 3, "slow_bar": 9}})


@pytest.mark.parametrize(
    ("typed", "expected"), [("crypt_portfolio", "crypto_portfolio"), ("SPY_1M", "spy_1m"), ("qqq", None)]
)
def test_the_nearest_name_ignores_case_and_gives_up_on_strangers(typed, expected):
    assert nearest(typed, ["crypto_portfolio", "spy_1m", "planted_signal"]) == expected
