"""Search spaces: which keys of the configuration vary, and how (``conf/search/space``)."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import optuna

from rayjobs.config.dotted_keys import value_at, with_values
from rayjobs.config.override_errors import flatten
from rayjobs.config.typed_config import ConfigError, did_you_mean
from rayjobs.search.space.parameter import Parameter

REFUSED = {
    "seed": "seeds are averaged, never chosen; see search.seeds",
    "run": "it is where results go",
    "data": "scores on other bars cannot be compared",
    "instruments": "a search may not choose its own costs",
    "costs": "a search may not choose its own costs; vary algo.cost_curriculum instead",
    "walk_forward": "scores on other bars cannot be compared",
    "scoring": "it does not change the policy",
    "gate": "a search may not choose its own gate",
    "cluster": "it does not change the policy",
    "tracking": "it does not change the policy",
    "search": "it is the search itself",
    "resume": "it is the search itself",
}
"""Roots of the configuration that no trial may change, and why."""


class Space:
    """Parameters by label; a parameter comes after those that its ``when`` names.

    Raises
    ------
    ConfigError
        No parameter, a ``when`` that names no other parameter or a value that it cannot have, or a circle of them.
    """

    def __init__(self, parameters: Mapping[str, Parameter | None]) -> None:
        given = {label: parameter for label, parameter in parameters.items() if parameter is not None}
        if not given:
            raise ConfigError("search.space is empty; choose one, such as search/space=kl_and_lr")
        for label, parameter in given.items():
            self._check_condition(label, parameter, given)
        self.parameters = _in_order(given)
        for label, parameter in self.parameters.items():
            for other, values in (parameter.when or {}).items():
                if given[other].num_values is None:
                    raise ConfigError(
                        f"search.space.{label}.when: {other} is any number from {given[other].describe()} and so "
                        f"hardly ever exactly {values[0]!r}; name a categorical or an integer parameter"
                    )

    @staticmethod
    def _check_condition(label: str, parameter: Parameter, given: Mapping[str, Parameter]) -> None:
        for other, values in (parameter.when or {}).items():
            if other not in given or other == label:
                known = [name for name in given if name != label]
                raise ConfigError(
                    f"search.space.{label}.when names {other!r}, which is no other parameter; "
                    f"{did_you_mean(other, known)}"
                )
            for value in values:
                if given[other].kind == "categorical" and value not in given[other].choices:
                    raise ConfigError(
                        f"search.space.{label}.when: {other} is never {value!r}; "
                        f"its choices are {given[other].describe()}"
                    )

    def check(self, values: Mapping[str, Any], build: Callable[[Mapping[str, Any]], Any]) -> None:
        """Every key is in the configuration, and takes the bounds or choices.

        Parameters
        ----------
        values : the configuration that trials start from.
        build : raises ConfigError for a configuration that is not valid.

        Raises
        ------
        ConfigError
            Naming the parameter, and for an unknown key the nearest one.
        """
        known = list(flatten(values))
        for label, parameter in self.parameters.items():
            where = f"search.space.{label}"
            root = parameter.key.split(".")[0]
            if root in REFUSED:
                raise ConfigError(f"{where}: {parameter.key} may not be searched: {REFUSED[root]}")
            if parameter.key not in known:
                leaves = [key for key in known if key.split(".")[0] not in REFUSED]
                hint = (
                    did_you_mean(parameter.key, leaves)
                    if "." in parameter.key
                    else did_you_mean(root, leaves)
                )
                raise ConfigError(f"{where}: {parameter.key} is not a key of the configuration; {hint}")
            if isinstance(value_at(values, parameter.key), Mapping):
                raise ConfigError(f"{where}: {parameter.key} is a group of keys; name one of them")
            for value in parameter.extremes():
                try:
                    build(with_values(values, {parameter.key: value}))
                except ConfigError as error:
                    if parameter.when is None:  # with `when` it need not fit the starting configuration
                        raise ConfigError(f"{where}: {error}") from error

    def suggest(self, trial: optuna.trial.Trial) -> dict[str, Any]:
        """Ask the sampler for a value of every parameter that exists."""
        chosen: dict[str, Any] = {}
        for label, parameter in self.parameters.items():
            if self._exists(parameter, chosen):
                chosen[label] = parameter.suggest(trial, label)
        return chosen

    @staticmethod
    def _exists(parameter: Parameter, chosen: Mapping[str, Any]) -> bool:
        return all(
            other in chosen and chosen[other] in values for other, values in (parameter.when or {}).items()
        )

    def overrides(self, chosen: Mapping[str, Any]) -> dict[str, Any]:
        """Dotted keys and their values."""
        return {self.parameters[label].key: value for label, value in chosen.items()}

    def grid(self, points: int) -> list[dict[str, Any]]:
        """Every combination of `Parameter.grid`; those that differ only in parameters that do not exist are one."""
        axes = [parameter.grid(points) for parameter in self.parameters.values()]
        found: dict[tuple[Any, ...], dict[str, Any]] = {}
        for combination in itertools.product(*axes):
            chosen: dict[str, Any] = {}
            for (label, parameter), value in zip(self.parameters.items(), combination):
                if self._exists(parameter, chosen):
                    chosen[label] = value
            found.setdefault(tuple((label, repr(value)) for label, value in chosen.items()), chosen)
        return list(found.values())

    def check_point(self, point: Mapping[str, Any], where: str) -> None:
        """A known configuration, by label, that is to be tried.

        Raises
        ------
        ConfigError
            For a label that is not in the space, or a value outside it.
        """
        for label, value in point.items():
            if label not in self.parameters:
                raise ConfigError(
                    f"{where}: {label} is no parameter of the space; {did_you_mean(label, list(self.parameters))}"
                )
            parameter = self.parameters[label]
            inside = (
                value in parameter.choices if parameter.kind == "categorical" else _between(value, parameter)
            )
            if not inside:
                raise ConfigError(f"{where}: {label} is {value!r}, outside {parameter.describe()}")

    def size(self) -> str:
        """How large the space is, in words."""
        counts = [parameter.num_values for parameter in self.parameters.values()]
        discrete = int(np.prod([count for count in counts if count is not None], dtype=object))
        continuous = counts.count(None)
        words = f"{len(counts)} parameter{'s' if len(counts) != 1 else ''}"
        if continuous:
            words += f", {continuous} of them continuous"
        if discrete > 1:
            words += f", {discrete:,} combinations" + (" of the others" if continuous else "")
        return words

    def rows(self) -> list[dict[str, str]]:
        """A row per parameter, for a table."""
        return [
            {
                "parameter": label,
                "key": parameter.key,
                "kind": parameter.kind,
                "range": parameter.describe(),
                "only when": "; ".join(
                    f"{other} is {' or '.join(map(str, values))}"
                    for other, values in (parameter.when or {}).items()
                ),
            }
            for label, parameter in self.parameters.items()
        ]


def _between(value: Any, parameter: Parameter) -> bool:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    low, high = parameter.bounds
    return number and low <= value <= high


def _in_order(given: Mapping[str, Parameter]) -> dict[str, Parameter]:
    ordered: dict[str, Parameter] = {}
    waiting: Sequence[str] = list(given)
    while waiting:
        ready = [label for label in waiting if set(given[label].when or {}) <= set(ordered)]
        if not ready:
            raise ConfigError(
                f"search.space: the conditions of {', '.join(waiting)} depend on each other in a circle"
            )
        ordered.update({label: given[label] for label in ready})
        waiting = [label for label in waiting if label not in ordered]
    return ordered
