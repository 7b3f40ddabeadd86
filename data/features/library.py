"""All built-in features by name, and the features of a user's own by theirs."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from data.errors import nearest_name
from data.features.calendar_dates import DATE_FEATURES
from data.features.clocks import CLOCK_FEATURES
from data.features.definition import Feature
from data.features.higher_time_frame import higher_time_frame_of
from data.features.identity import IDENTITY_FEATURES
from data.features.intermarket import INTERMARKET_FEATURES
from data.features.microstructure import MICROSTRUCTURE_FEATURES
from data.features.money_flow import MONEY_FLOW_FEATURES
from data.features.price_structure import STRUCTURE_FEATURES
from data.features.prices import ASSET_FEATURES
from data.features.regime import REGIME_FEATURES
from data.features.symbol_events import SYMBOL_EVENT_FEATURES
from data.features.technical import TECHNICAL_FEATURES
from data.features.volatility_state import VOLATILITY_FEATURES
from data.features.volume_price import VOLUME_PRICE_FEATURES
from data.own_objects import import_named


def find_feature(name: str, features: Mapping[str, Feature]) -> Feature:
    """Return the feature of this name among `features`, or the user's at `package.module:NAME`.

    Raises
    ------
    ValueError
        If there is none; the message names the nearest built-in one.
    """
    if name in features:
        return features[name]
    if ":" not in name:
        raise ValueError(
            f"Feature {name!r} is not known{nearest_name(name, list(features))}; "
            f"choose from {', '.join(features)}, or give your own as package.module:NAME."
        )
    found = import_named(name, "Feature")
    if not isinstance(found, Feature):
        raise ValueError(f"{name!r} is a {type(found).__name__}; it must be a data.features.Feature.")
    return found


def check_params(feature: Feature, params: Mapping[str, Any]) -> None:
    """Raise ValueError if a parameter is unknown, missing or wrong, or a number of bars is not whole and above 0."""
    wanted = [p for p in inspect.signature(feature.function).parameters if p != "panel"]
    for key in params:
        if key not in wanted:
            raise ValueError(
                f"Feature {feature.name!r} has no parameter {key!r}{nearest_name(key, wanted)}; "
                f"it has {', '.join(wanted) or 'none'}."
            )
    for key in wanted:
        if key not in params:
            raise ValueError(f"Feature {feature.name!r} needs the parameter {key!r}; add it under params.")
        value = params[key]
        if key.endswith("_bars") and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
            raise ValueError(
                f"Feature {feature.name!r}: {key} is {value!r}; it must be a whole number of bars, 1 or more."
            )
    try:
        feature.check(params)
    except ValueError as error:
        raise ValueError(f"Feature {feature.name!r}: {error}") from error


def _wrappable(name: str) -> Feature:
    return find_feature(name, FEATURES)


FEATURES: Mapping[str, Feature] = MappingProxyType(
    {
        feature.name: feature
        for feature in (
            *ASSET_FEATURES,
            *TECHNICAL_FEATURES,
            *MONEY_FLOW_FEATURES,
            *MICROSTRUCTURE_FEATURES,
            *VOLUME_PRICE_FEATURES,
            *STRUCTURE_FEATURES,
            *VOLATILITY_FEATURES,
            *REGIME_FEATURES,
            *INTERMARKET_FEATURES,
            higher_time_frame_of(_wrappable, check_params),
            *CLOCK_FEATURES,
            *DATE_FEATURES,
            *SYMBOL_EVENT_FEATURES,
            *IDENTITY_FEATURES,
        )
    }
)
"""Name -> feature, subject after subject."""
