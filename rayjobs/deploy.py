"""The registry of policies: register what was trained, and decide which version may trade where.

Run: python -m rayjobs.deploy register runs/crypto_portfolio name=crypto
Then: python -m rayjobs.deploy list, and show | promote | demote | retire | retrain | watch NAME@N
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from rayjobs.config.arguments import command_line, given_value, is_flag, is_override, root_of, split
from rayjobs.config.exit_codes import ExitCode
from rayjobs.config.typed_config import ConfigError, did_you_mean
from rayjobs.entry import reading_input, run_entry_point

if TYPE_CHECKING:
    from rayjobs.registry.settings import DeploySettings

PLAIN = ("policy", "reason", "shadow_run", "champion_run")
"""Keys whose value is taken as it was typed: paths and sentences, in which Hydra would see a grammar."""
CHANGEABLE = ("data", "walk_forward", "trainer", "cluster", "run", "seed")
"""What a retraining may have otherwise than the version that it repeats."""


def register_policy(settings: DeploySettings, words: Sequence[str], changes: Sequence[str]) -> ExitCode:
    """Take in a policy as a candidate."""
    from rayjobs.monitoring.result_tables import print_sentence
    from rayjobs.registry.registration import register
    from rayjobs.registry.registry import Registry

    if words:
        settings = replace(settings, policy=_one("register", words))
    with reading_input():
        version = register(Registry(settings.place), settings)
    print_sentence(f"{version.reference} is {version.stage}: {version.facts.headline}")
    return ExitCode.DONE


def list_versions(settings: DeploySettings, words: Sequence[str], changes: Sequence[str]) -> ExitCode:
    """Print every version, or those of one name."""
    from rayjobs.monitoring.result_tables import print_sentence, print_table
    from rayjobs.registry.pages import version_rows
    from rayjobs.registry.registry import Registry

    name = _one("list", words) if words else settings.name
    with reading_input():
        found = Registry.existing(settings.place).versions().values()
    rows = version_rows(version for version in found if name in (None, version.name))
    if rows:
        print_table(f"{len(rows)} versions", rows)
    else:
        print_sentence(f"no version {'' if name is None else f'of {name} '}in {settings.place}")
    return ExitCode.DONE


def show_version(settings: DeploySettings, words: Sequence[str], changes: Sequence[str]) -> ExitCode:
    """Print all that is known of a version, and hold its files to it."""
    from rayjobs.monitoring.result_tables import print_sentence, print_table
    from rayjobs.registry.pages import fact_rows, history_rows
    from rayjobs.registry.registry import Registry
    from rayjobs.registry.vouching import verify

    with reading_input():
        registry = Registry.existing(settings.place)
        version = registry.version(_one("show", words))
        print_table(version.reference, fact_rows(version, registry.now()))
        print_table("History", history_rows(version))
        verify(version, registry, needs_verdict=False)
    print_sentence("every file is what was registered, and the ledger holds their seal")
    return ExitCode.DONE


def _move(command: str, settings: DeploySettings, words: Sequence[str], changes: Sequence[str]) -> ExitCode:
    """Promote, demote or retire a version, and say where it stands."""
    from rayjobs.monitoring.result_tables import print_sentence
    from rayjobs.registry.promotion import demote, promote, retire
    from rayjobs.registry.registry import Registry

    moves = {"promote": promote, "demote": demote, "retire": retire}
    with reading_input():
        registry = Registry.existing(settings.place)
        version = moves[command](registry, _one(command, words), settings)
    print_sentence(f"{version.reference} is {version.stage} now: {version.history[-1].why}")
    return ExitCode.DONE


def watch_version(settings: DeploySettings, words: Sequence[str], changes: Sequence[str]) -> ExitCode:
    """Hold a version's live record to its backtest; a champion that trips a wire goes to shadow."""
    from rayjobs.monitoring.alerts import Alerts
    from rayjobs.monitoring.result_tables import print_sentence, print_table
    from rayjobs.registry.registry import Registry
    from rayjobs.registry.tripwires import wire_rows, wires

    with reading_input():
        registry = Registry.existing(settings.place)
        version = registry.version(_one("watch", words))
        found = wires(version, settings.tripwires, settings.shadow_run)
    print_table(f"Tripwires of {version.reference}", wire_rows(found))
    tripped = [wire for wire in found if wire.tripped]
    if not tripped:
        print_sentence(f"{version.reference} stays {version.stage}")
        return ExitCode.DONE
    why = "; ".join(f"{wire.wire} {wire.what}: {wire.words}" for wire in tripped[:3])
    if settings.tripwires.demote and version.stage == "champion":
        version = registry.move(
            version, "demote", "shadow", why=why, who="tripwire", evidence={"wires": wire_rows(tripped)}
        )
    alerts = Alerts(settings.alerts, version.reference)
    alerts("tripwire", f"{version.reference} is {version.stage} now: {why}")
    alerts.close()
    print_sentence(f"{version.reference} is {version.stage} now: {len(tripped)} wires tripped")
    return ExitCode.FAILED


def retrain_version(settings: DeploySettings, words: Sequence[str], changes: Sequence[str]) -> ExitCode:
    """Train a version's configuration again, and register it where the gate passes it."""
    from rayjobs.monitoring.result_tables import print_sentence
    from rayjobs.registry.registry import Registry
    from rayjobs.registry.retraining import retrain
    from rayjobs.train import train

    registry = Registry.existing(settings.place)
    version = retrain(registry, _one("retrain", words), settings, changes, train)
    if version is None:
        print_sentence("the gate did not pass what was trained again, so nothing was registered")
        return ExitCode.GATE_SAID_NO
    print_sentence(f"{version.reference} is {version.stage}: {version.facts.headline}")
    return ExitCode.DONE


Command = Callable[["DeploySettings", Sequence[str], Sequence[str]], ExitCode]
COMMANDS: Mapping[str, Command] = {
    "register": register_policy,
    "list": list_versions,
    "show": show_version,
    "promote": partial(_move, "promote"),
    "demote": partial(_move, "demote"),
    "retire": partial(_move, "retire"),
    "retrain": retrain_version,
    "watch": watch_version,
}


def _one(command: str, words: Sequence[str]) -> str:
    if len(words) != 1:
        what = (
            "a run or an export" if command == "register" else "one version, such as NAME@3 or NAME@champion"
        )
        raise ConfigError(f"{command} was given {list(words)}; name {what}")
    return words[0]


def deploy(
    values: dict[str, Any], words: Sequence[str], plain: Mapping[str, str], changes: Sequence[str]
) -> ExitCode:
    """Run the command that the first word names; ``values`` is the resolved ``conf/deploy.yaml``."""
    if not words:
        raise ConfigError(f"name what to do: python -m rayjobs.deploy {' | '.join(COMMANDS)}")
    if words[0] not in COMMANDS:
        raise ConfigError(f"{words[0]!r} is no command; {did_you_mean(words[0], list(COMMANDS))}")
    if changes and words[0] != "retrain":
        raise ConfigError(f"{changes[0]} changes a configuration, which only retrain does")
    from rayjobs.registry.settings import build_deploy_settings

    return COMMANDS[words[0]](build_deploy_settings({**values, **plain}), words[1:], changes)


def main(argv: Sequence[str] | None = None) -> ExitCode:
    """The entry point: words first, which Hydra does not know, then overrides; `--force` is `force=true`."""
    given = ["force=true" if argument == "--force" else argument for argument in command_line(argv)]
    flagged = {given[i + 1] for i, a in enumerate(given[:-1]) if is_flag(a) and "=" not in a}
    plain, others = split(given, lambda a: a.partition("=")[0] in PLAIN and "=" in a)
    words, others = split(others, lambda a: not is_flag(a) and not is_override(a) and a not in flagged)
    changes, own = split(others, lambda a: is_override(a) and root_of(a) in CHANGEABLE)
    taken = {argument.partition("=")[0]: given_value(argument) or "" for argument in plain}
    texts = {key: value for key, value in taken.items() if value not in ("", "null")}
    return run_entry_point(partial(deploy, words=words, plain=texts, changes=changes), "deploy", own)


if __name__ == "__main__":
    sys.exit(main())
