"""The command that trains one trial's configuration on all folds, as the study was begun."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from rayjobs.config.arguments import given_value, is_override, key_of
from rayjobs.config.compose import compose
from rayjobs.config.dotted_keys import with_values
from rayjobs.config.typed_config import ConfigError
from rayjobs.pages.secrets import without_secrets
from rayjobs.search.page.study_view import StudyView
from rayjobs.storage.run_directory import RunDirectory

_OF_A_SWEEP = ("search", "resume")
"""What a training has no setting for."""


def trial_command(view: StudyView, chosen: Mapping[str, Any]) -> str:
    """What was typed to begin the study, less its search, with the settings of one trial.

    Parameters
    ----------
    chosen : settings of the trial by dotted key.

    Returns
    -------
    str
        A command that composes today to the very settings of the trial. Where none is known (the study was begun from
        Python, or what is shipped has changed since) the settings alone, and where the others stand.
    """
    directory = RunDirectory(view.directory)
    typed = [word for word in directory.started.provenance.get("command", [])[1:] if _is_kept(word, chosen)]
    settings = [f"{key}={_text(value)}" for key, value in without_secrets(chosen).items()]
    if _means(typed + settings, _trained(directory.config(), chosen)):
        return _line([*typed, *settings])
    return (
        f"# what else the study was begun with stands in {view.directory / 'config.yaml'}\n"
        f"{_line([f'+experiment={view.experiment}', *settings])}"
    )


def _is_kept(word: str, chosen: Mapping[str, Any]) -> bool:
    key, typed = key_of(word), {key_of(word): given_value(word)}
    if not is_override(word) or without_secrets(typed) != typed:  # a secret is typed again by who knows it
        return False
    return key not in chosen and key.replace("/", ".").split(".")[0] not in _OF_A_SWEEP


def _trained(values: Mapping[str, Any], chosen: Mapping[str, Any]) -> dict[str, Any]:
    """What a training with the trial's settings is configured by."""
    return with_values(_without_search(values), chosen)


def _means(words: Sequence[str], wanted: Mapping[str, Any]) -> bool:
    try:
        return _without_search(compose("train", words)) == wanted
    except ConfigError:
        return False


def _without_search(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key not in _OF_A_SWEEP}


def _text(value: Any) -> str:
    """A value as Hydra reads it."""
    return value if isinstance(value, str) else json.dumps(value)


def _line(words: Sequence[str]) -> str:
    return f"python -m rayjobs.train {shlex.join(words)}"
