"""The vendors of a run, made from the configuration in the process that asks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any, cast

from data.own_objects import import_named
from data.vendors import vendor_factory
from data.vendors.definition import Budget, KeyRefused, Vendor
from data.vendors.local import LocalBars
from rayjobs.config.typed_config import ConfigError
from rayjobs.ingest.settings import SourceSettings


def make_vendor(settings: SourceSettings) -> Vendor:
    """The vendor that a configuration names.

    Raises
    ------
    ConfigError
        If there is no such vendor, or it does not take these options.
    data.vendors.definition.KeyRefused
        If it needs a key that the environment does not have.
    """
    name = settings.vendor
    try:
        if ":" in name:
            factory = import_named(name, "vendor")
        else:
            factory = LocalBars if name == "local" else vendor_factory(name)
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
