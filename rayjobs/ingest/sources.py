"""The vendors of a run, made from the configuration in the process that asks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from importlib import import_module
from typing import Any, cast

import data.vendors
from data.own_objects import import_named
from data.vendors.definition import Budget, KeyRefused, Vendor
from data.vendors.local import LocalBars
from rayjobs.config.typed_config import ConfigError, did_you_mean
from rayjobs.ingest.settings import SourceSettings

CLOSED = {
    "iex": "IEX Cloud closed on 2024-08-31; alpaca (feed iex, or sip), massive and yahoo have bars of US stocks",
}
"""Vendors that people still look for."""


def known_vendors() -> dict[str, Any]:
    """Name -> what makes a vendor of it."""
    return {"ibkr": _ibkr, **getattr(data.vendors, "VENDORS", {}), "local": LocalBars}


def _ibkr(**options: Any) -> Any:
    """Interactive Brokers, whose settings are an object of their own."""
    adapter = import_module("data.vendors.ibkr")
    return adapter.Ibkr(adapter.IbkrConfig(**options))


def make_vendor(settings: SourceSettings) -> Vendor:
    """The vendor that a configuration names.

    Raises
    ------
    ConfigError
        If there is no such vendor, or it does not take these options.
    data.vendors.definition.KeyRefused
        If it needs a key that the environment does not have.
    """
    name, known = settings.vendor, known_vendors()
    try:
        if ":" in name:
            factory = import_named(name, "vendor")
        elif name in CLOSED:
            raise ConfigError(f"vendor is {name!r}: {CLOSED[name]}")
        elif name not in known:
            raise ConfigError(
                f"vendor is {name!r}; {did_you_mean(name, list(known))}, or one of your own as package.module:NAME"
            )
        else:
            factory = known[name]
    except ConfigError:
        raise
    except ValueError as error:
        raise ConfigError(str(error)) from error
    try:
        made = factory(**settings.options)
    except TypeError as error:
        raise ConfigError(
            f"vendor {name} does not take the options {dict(settings.options)}: {error}"
        ) from error
    except ImportError as error:
        raise ConfigError(
            f"vendor {name} needs its client ({error}): pip install 'rayfold[vendors]'"
        ) from error
    except KeyRefused:
        raise
    except ValueError as error:
        raise ConfigError(f"vendor {name}: {error}") from error
    if not isinstance(made, Vendor):
        raise ConfigError(f"vendor {name!r} is no vendor; it needs name, budget, pieces and fetch")
    return made


def budget_of(vendor: Vendor, settings: SourceSettings) -> Budget:
    """The vendor's own budget, with what the configuration says otherwise."""
    stated = {
        name: getattr(settings, name)
        for name in ("calls_per_minute", "calls_per_day", "at_a_time")
        if getattr(settings, name) is not None
    }
    return replace(vendor.budget, **stated)


@lru_cache(maxsize=16)
def _kept(vendor: str, options: str) -> Vendor:
    plain = cast(Mapping[str, Any], json.loads(options))
    blank = SourceSettings(
        vendor=vendor,
        calendar="24/7",
        options=plain,
        calls_per_minute=None,
        calls_per_day=None,
        at_a_time=None,
        settle_s=0.0,
    )
    return make_vendor(blank)


def vendor_of_process(settings: SourceSettings) -> Vendor:
    """The vendor of this process: made once, so that clients and what they hold are used again."""
    return _kept(settings.vendor, json.dumps(dict(settings.options), sort_keys=True))
