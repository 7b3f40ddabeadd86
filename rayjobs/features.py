"""Features: list the library, build it to Parquet, plot one beside the price, check one for foresight.

Run: python -m rayjobs.features list
     python -m rayjobs.features list subject=technical find=volume
A feature of your own: python -m rayjobs.features check my_features:GAP 'params={window_bars: 20}'
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rayjobs.config.arguments import command_line, is_flag, is_override, split
from rayjobs.config.exit_codes import ExitCode
from rayjobs.config.typed_config import ConfigError, convert, did_you_mean
from rayjobs.entry import reading_input, run_entry_point

OWN = ("subject", "find", "name", "params", "symbol", "bars", "directory")
"""Settings of this command itself; the others are an experiment's."""
WHAT_IT_IS = ("name", "subject", "meaning", "parameters")
"""Columns of a feature that stand in the first table; its meaning takes what room there is."""
HOW_TO_LIST = (
    "subject=technical shows those of one subject, and find=volume those with that word in them: what each is, its "
    "parameters and lookback, its unit and range, when it is NaN, and where it comes from."
)


def list_features(values: dict[str, Any], words: Sequence[str]) -> ExitCode:
    """Print the names of the library by subject, or a table of those that a subject or words leave."""
    from rayjobs.config.terminal import speech
    from rayjobs.monitoring.result_tables import print_prose, print_table
    from rayjobs.study.feature_library import library_rows, subject_rows

    if words:
        raise ConfigError(
            f"list was given {words[0]!r}; it takes key=value alone, such as find={words[0]} or subject=technical"
        )
    subject = convert(str | None, values["subject"], "subject")
    find = None if values["find"] is None else str(values["find"])
    rows = library_rows(subject, find)
    if subject is None and find is None and not speech().as_json:  # a script is told all at once
        print_table(f"{len(rows)} features", subject_rows(rows))
        print_prose(HOW_TO_LIST)
        return ExitCode.DONE
    shown = [key for key in rows[0] if subject is None or key != "subject"]
    title = f"{len(rows)} features" if len(rows) != 1 else "1 feature"
    title += f" of {subject}" if subject is not None else ""
    title += f" with {find}" if find is not None else ""
    if len(rows) == 1 or speech().as_json:
        print_table(title, rows, columns=dict.fromkeys(shown, ""))
        return ExitCode.DONE
    beyond = [key for key in shown if key not in WHAT_IT_IS]
    print_table(title, rows, columns=dict.fromkeys([key for key in shown if key in WHAT_IT_IS], ""))
    print_table(
        "What they read, and what their values are", rows, columns=dict.fromkeys(["name", *beyond], "")
    )
    return ExitCode.DONE


def build_features(values: dict[str, Any], words: Sequence[str]) -> ExitCode:
    """Write the features of the data to Parquet, and print what is known of each."""
    from rayjobs.monitoring.result_tables import print_paths, print_table
    from rayjobs.study.config import build_train_config
    from rayjobs.study.feature_files import share_rows, write_features

    _no_words("build", words)
    config = build_train_config(_experiment(values))
    with reading_input():
        panel, features = _computed(config)
        paths = write_features(panel, features, config.features.enabled, _folder(values))
    columns = {"feature": "", "known": ".1%", "nan": ".1%", "clipped": ".2%", "constant": "", "mean": ".4g"}
    rows = share_rows(panel, features, config.features.clip)
    print_table(
        f"{panel.num_bars:,} bars of {', '.join(panel.symbols)}", rows, columns=columns | {"std": ".4g"}
    )
    print_paths(paths)
    return ExitCode.DONE


def plot_feature(values: dict[str, Any], words: Sequence[str]) -> ExitCode:
    """Write a page that shows one feature beside the price, and a PNG."""
    from data.sources import load
    from evaluation.report.feature_image import write_feature_image
    from evaluation.report.feature_page import write_feature_page
    from evaluation.report.feature_view import feature_view
    from rayjobs.monitoring.result_tables import print_paths
    from rayjobs.study.config import build_train_config
    from rayjobs.study.feature_library import asked_feature

    _no_words("plot", words)
    config = build_train_config(_experiment(values))
    name = convert(str | None, values["name"], "name")
    if name is None:
        raise ConfigError("name: missing; give it as name=rsi, or name=package.module:NAME")
    with reading_input():
        spec = asked_feature(name, values["params"])
        panel = load(config.data).panel
        symbol = convert(str | None, values["symbol"], "symbol") or panel.symbols[0]
        panel.select([symbol])  # says which symbol is meant
        bars = convert(int, values["bars"], "bars")
        view = feature_view(panel, spec, symbol=symbol, bars=bars)
    folder = _folder(values)
    print_paths([write_feature_page(folder, view), write_feature_image(folder, view)])
    return ExitCode.DONE


def check_feature(values: dict[str, Any], words: Sequence[str]) -> ExitCode:
    """Redraw the future of the data at thousands of bars, and name the bar that the feature peeked at."""
    from data.sources import load
    from rayjobs.monitoring.result_tables import print_sentence
    from rayjobs.study.config import build_train_config
    from rayjobs.study.feature_library import asked_feature
    from rayjobs.study.leak_check import single_feature_report

    if len(words) != 1:
        raise ConfigError(f"check was given {list(words)}; name one feature: check package.module:NAME")
    config = build_train_config(_experiment(values))
    with reading_input():
        spec = asked_feature(words[0], values["params"])
        panel = load(config.data).panel
        report = single_feature_report(spec, panel, seed=config.seed)
    print_sentence(f"{words[0]}: {f'no leak: {report.coverage}' if report.clean else report}")
    return ExitCode.DONE if report.clean and report.sufficient else ExitCode.FAILED


COMMANDS: dict[str, Callable[[dict[str, Any], Sequence[str]], ExitCode]] = {
    "list": list_features,
    "build": build_features,
    "plot": plot_feature,
    "check": check_feature,
}


def _experiment(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key not in OWN}


def _computed(config: Any) -> tuple[Any, Any]:
    from data.features import compute_features
    from data.sources import load
    from rayjobs.study.feature_files import with_models

    panel = load(config.data).panel
    return panel, with_models(compute_features(panel, config.features.enabled))


def _folder(values: dict[str, Any]) -> Path:
    folder = Path(convert(str, values["directory"], "directory")).expanduser()
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _no_words(command: str, words: Sequence[str]) -> None:
    if words:
        raise ConfigError(f"{command} was given {words[0]!r}; it takes key=value alone")


def run(values: dict[str, Any], words: Sequence[str]) -> ExitCode:
    """Run the command that the first word names; ``values`` is the resolved ``conf/features.yaml``."""
    if not words:
        raise ConfigError(f"name what to do: python -m rayjobs.features {' | '.join(COMMANDS)}")
    if words[0] not in COMMANDS:
        raise ConfigError(f"{words[0]!r} is no command; {did_you_mean(words[0], list(COMMANDS))}")
    return COMMANDS[words[0]](values, words[1:])


def main(argv: Sequence[str] | None = None) -> ExitCode:
    """The entry point: words first, which Hydra does not know, then overrides."""
    given = command_line(argv)
    flagged = {given[i + 1] for i, a in enumerate(given[:-1]) if is_flag(a) and "=" not in a}
    words, others = split(given, lambda a: not is_flag(a) and not is_override(a) and a not in flagged)
    return run_entry_point(partial(run, words=words), "features", others)


if __name__ == "__main__":
    sys.exit(main())
