"""Every configuration and experiment composes and builds; a typo is one sentence that names the nearest known word."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from copy import deepcopy
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from data.sources import load
from rayjobs.config import compose as compose_module
from rayjobs.config.compose import CONF, compose, compose_command_line
from rayjobs.config.exit_codes import ExitCode
from rayjobs.config.typed_config import ConfigError
from rayjobs.entry import reading_input, run_entry_point
from rayjobs.storage.run_directory import JobFailed
from rayjobs.study.config import build_train_config

FILES = sorted(path.relative_to(CONF) for path in CONF.rglob("*.yaml"))
EXPERIMENTS = sorted(path.stem for path in FILES if path.parent == Path("experiment"))
DEBUG = sorted(path.stem for path in FILES if path.parent == Path("debug"))
TRAIN_GROUPS = ("data", "features", "instruments", "env", "costs", "context", "reward", "risk", "policy", "algo",
                "walk_forward", "gate", "cluster", "tracking")  # fmt: skip
CHOICES = {group: sorted(path.stem for path in FILES if path.parent == Path(group)) for group in TRAIN_GROUPS}


ASKED = {
    "data=files": ("data.path=bars.csv",),
    "data=lake": ("data.source_name=massive",),
    "data=stand_in": (
        "data.symbols={A: {price: 50, tick: 0.01, volatility: 0.3, beta: 1.0, group: null, group_beta: 0, "
        "daily_volume: 1e6}}",
    ),
    "walk_forward=dates": (
        "walk_forward.train=[2018-01-01,2018-12-31]",
        "walk_forward.test=[2019-01-01,2019-03-31]",
    ),
}
"""Choice -> the keys that only a user can fill."""


@lru_cache
def composed(*overrides: str) -> dict[str, Any]:
    """`conf/train.yaml` with overrides, composed once; copy before changing it."""
    return compose("train", overrides)


def changed(key: str, value: Any) -> dict[str, Any]:
    """The default configuration with one dotted key set."""
    values = deepcopy(composed())
    *groups, last = key.split(".")
    place = values
    for group in groups:
        place = place[group]
    place[last] = value
    return values


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_experiment_builds_names_its_own_runs_and_has_folds_that_fit_its_data(experiment):
    config = build_train_config(composed(f"+experiment={experiment}"))
    assert config.run.experiment == experiment
    panel = load(config.data).panel
    assert config.walk_forward.folds_in(panel)
    assert set(config.instruments.for_symbols(panel.symbols)) == set(panel.symbols)


@pytest.mark.parametrize("turn", range(max(map(len, CHOICES.values()))))
def test_every_choice_of_every_group_builds(turn):
    # One choice of each group at a time: turn 0 takes all first ones, turn 1 all second ones, ...
    overrides = [f"{group}={choices[turn % len(choices)]}" for group, choices in CHOICES.items()]
    values = composed(*overrides, *(key for choice in overrides for key in ASKED.get(choice, ())))
    config = build_train_config(values)
    assert config.env.action.scheme == values["env"]["action"]["scheme"]
    assert config.policy.core == values["policy"]["core"]


@pytest.mark.parametrize("debug", DEBUG)
def test_every_debug_variant_builds_on_top_of_an_experiment(debug):
    config = build_train_config(composed("+experiment=crypto_portfolio", f"+debug={debug}"))
    assert config.run.experiment == "crypto_portfolio"


@pytest.mark.parametrize("path", FILES, ids=str)
def test_every_file_opens_with_its_purpose_and_its_command(path):
    lines = (CONF / path).read_text().splitlines()
    comments = [line for line in lines[:6] if line.startswith("#")]
    assert len(comments[0]) > 2
    if path.stem != "hydra_setup":
        assert any(re.match(r"# (Run|Use): python -m rayjobs\.", line) for line in comments)


@pytest.mark.parametrize("path", [path for path in FILES if path.stem != "hydra_setup"], ids=str)
def test_every_value_has_its_unit_or_choices_in_a_comment(path):
    uncommented = []
    for line in (CONF / path).read_text().splitlines():
        match = re.match(r"\s*([a-z_]+):\s*[^\s#{]", line)
        if match and "#" not in line and match.group(1) not in ("specs", "experiment"):
            uncommented.append(line.strip())
    assert not uncommented


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_an_experiment_holds_differences_only(experiment):
    own = yaml.safe_load((CONF / "experiment" / f"{experiment}.yaml").read_text())
    chosen = [
        f"{entry.removeprefix('override /')}={name}"
        for item in own.pop("defaults")
        for entry, name in item.items()
    ]
    asked = [key for choice in chosen for key in ASKED.get(choice, ())]
    for key, value, before in leaf_groups(own, composed(*chosen, *asked)):
        assert value != {name: before.get(name) for name in value}, (
            f"{experiment}: {key} repeats its defaults"
        )


def leaf_groups(
    own: dict[str, Any], base: dict[str, Any], path: str = ""
) -> Iterator[tuple[str, dict, dict]]:
    """The groups of plain values that a file sets, with what they change."""
    plain_values = {name: value for name, value in own.items() if not isinstance(value, dict)}
    if plain_values:
        yield path, plain_values, base
    for name in set(own) - set(plain_values):
        yield from leaf_groups(own[name], base.get(name) or {}, f"{path}.{name}")


def test_overrides_change_single_keys():
    values = compose_command_line("train", ["+experiment=noise", "trainer.total_env_steps=2e5", "seed=3"])
    config = build_train_config(values)
    assert (config.trainer.total_env_steps, config.seed) == (200_000, 3)


def test_a_feature_can_be_switched_off_and_an_instrument_changed_on_the_command_line():
    values = compose_command_line(
        "train",
        ["features.specs.rsi=null", "+instruments.symbols.BTC={kind: crypto_perpetual, taker_fee_bps: 3}"],
    )
    config = build_train_config(values)
    assert "rsi" not in {spec.name for spec in config.features.enabled}
    instruments = config.instruments.for_symbols(("BTC", "ETH"))
    assert (instruments["BTC"].taker_fee_bps, instruments["BTC"].funding_hours) == (3.0, 8.0)
    assert instruments["ETH"].funding_hours == 0.0
    with pytest.raises(
        ConfigError, match=r"instruments\.symbols\.BTC: the data have no such symbol; did you mean BTCUSD\?"
    ):
        config.instruments.for_symbols(("BTCUSD",))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["+experiment=crypt_portfolio"], "there is no experiment 'crypt_portfolio'; did you mean crypto_portfolio?"),
        (["experiment=noise"], "experiment is not chosen by default; write +experiment=noise"),
        (["policy=lsmt"], "there is no policy 'lsmt'; did you mean lstm? known: attention, buy_and_hold"),
        (["polcy=lstm"], "polcy: unknown key; did you mean policy?"),
        (["+polcy=lstm"], "polcy: unknown key; did you mean policy?"),
        (["trainer.total_env_step=3"], "trainer.total_env_step: unknown key; did you mean trainer.total_env_steps?"),
        (["+experiment=noise", "algo.gama=0.9"], "algo.gama: unknown key; did you mean algo.gamma?"),
        (["seed==3"], "the override 'seed==3' was not understood; write key=value"),
        (["=3"], "the override '=3' was not understood; write key=value"),
        (["policy=3"], "policy is chosen by one name, not by 3; known: attention, buy_and_hold"),
        (["+experiment=null"], "experiment is chosen by one name, not by null; known: amd_nvda, amd_nvda_trees"),
        (["seed=3", "algo={gamma:0.9}"], "algo is chosen by one name, not by {gamma:0.9}; known: a2c, ppo"),
        (["policy=[lstm,mlp]"], "policy is chosen by one name, not by [lstm,mlp]; known: attention, buy_and_hold"),
        (["~policy=4"], "policy is chosen by one name, not by 4; known: attention, buy_and_hold"),
        (["+nowhere=1"], "nowhere: unknown key; known: alerts, algo, broker, cluster"),
        (["seed"], "the override 'seed' was not understood; write key=value"),
        (["seed=1,2"], "seed=1,2 gives several values; for a list write 'seed=[1,2]'"),
        (["--multirun", "seed=1,2"], "--multirun is not supported; use python -m rayjobs.sweep"),
        (["data=files"], "data.path: missing; give it as data.path=VALUE"),
        (["seed=${nowhere}"], "seed refers to something that does not exist"),
    ],
)  # fmt: skip
def test_a_mistake_on_the_command_line_is_one_sentence(arguments, sentence):
    with pytest.raises(ConfigError) as caught:
        compose_command_line("train", arguments)
    assert str(caught.value).startswith(sentence)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "run:\n  experiment: a\nrun:\n  experiment: b\n",
            r"mine\.yaml, line 3, column 1: found duplicate key run",
        ),
        ("run: {experiment: [a\n", r"mine\.yaml, line 2, column 1: expected ',' or '\]'"),
    ],
)
def test_a_file_that_is_no_yaml_is_named_with_its_line(text, sentence, tmp_path, monkeypatch):
    copy = tmp_path / "conf"
    shutil.copytree(CONF, copy)
    (copy / "experiment" / "mine.yaml").write_text(text)
    monkeypatch.setattr(compose_module, "CONF", copy)
    with pytest.raises(ConfigError, match=sentence):
        compose_command_line("train", ["+experiment=mine"])


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("seed", "abc", "seed is 'abc'; it must be a whole number"),
        ("seed", -1, "seed is -1; it must be 0 or more"),
        ("polcy", {}, "polcy: unknown key; did you mean policy?"),
        ("trainer", 3, "trainer is 3; it must be a group of keys"),
        ("algo.gama", 0.9, "algo.gama: unknown key; did you mean gamma?"),
        ("algo.gamma", "abc", "algo.gamma is 'abc'; it must be a number"),
        ("algo.num_envs", 0, "algo.num_envs is 0; it must be at least 1"),
        ("data.source", "sample", "data.source is 'sample'; it must be one of samples, files"),
        ("data.symbols", ["BTC", "ETHH"], "data: Symbol 'ETHH' is not in sample"),
        ("features.specs.rsi.name", "rssi", "features.specs.rsi: "),
        ("features.clip", 0, "features.clip is 0.0; it must be above 0"),
        ("instruments.kind", "crypto_spott", "instruments: instrument kind 'crypto_spott' is not known"),
        ("env.costs", {}, "env.costs: costs is a group of its own; write costs.KEY=VALUE"),
        ("env.action.scheme", "direktion", "env.action.scheme is 'direktion'; it must be one of direction, orders"),
        ("gate.enforce", "maybe", "gate.enforce is 'maybe'; it must be true or false"),
        ("run.experiment", "a/b", "run: experiment is 'a/b'"),
        ("cluster.num_cpus", 0, "cluster.num_cpus is 0; it must be at least 1"),
    ],
)  # fmt: skip
def test_a_value_that_cannot_be_used_is_one_sentence(key, value, sentence):
    with pytest.raises(ConfigError) as caught:
        build_train_config(changed(key, value))
    assert str(caught.value).startswith(sentence)
    assert "\n" not in str(caught.value)


def test_a_key_that_was_deleted_is_named():
    values = deepcopy(composed())
    del values["seed"]
    with pytest.raises(ConfigError, match="^seed: missing from the configuration$"):
        build_train_config(values)


def test_nothing_is_left_in_the_current_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert compose_command_line("train", ["+experiment=noise"]) is not None
    assert list(tmp_path.iterdir()) == []


def test_hydras_own_settings_are_not_taken_for_unknown_keys_of_the_job():
    assert compose_command_line("train", ["++hydra.verbose=true", "seed=3"])["seed"] == 3
    with pytest.raises(ConfigError, match="unknown key"):
        compose_command_line("train", ["++verbose.x=true"])


def test_showing_the_configuration_runs_nothing(capsys):
    def job(config):
        raise AssertionError("the job must not run")

    assert run_entry_point(job, "train", ["+experiment=noise", "--cfg", "job"]) == ExitCode.DONE
    shown = yaml.safe_load(capsys.readouterr().out)
    assert shown["run"]["experiment"] == "noise"
    assert run_entry_point(job, "train", ["--help"]) == ExitCode.DONE
    assert "python -m rayjobs.train +experiment=crypto_portfolio" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("raised", "code", "words"),
    [
        (None, ExitCode.DONE, ""),
        (
            ConfigError("the fold is longer than the data"),
            ExitCode.BAD_INPUT,
            "error: the fold is longer than the data",
        ),
        (
            JobFailed("RuntimeError: lost", Path("runs/x"), Path("runs/x/error.log")),
            ExitCode.FAILED,
            "traceback in runs/x/error.log",
        ),
        (ZeroDivisionError("division by zero"), ExitCode.FAILED, "Traceback"),
        (KeyboardInterrupt(), ExitCode.INTERRUPTED, "interrupted"),
    ],
)
def test_each_end_of_a_job_has_its_exit_code_and_its_words(raised, code, words, capsys):
    def job(config):
        if raised is not None:
            raise raised

    assert run_entry_point(job, "train", []) == code
    said = capsys.readouterr().err
    assert words in said
    assert ("Traceback" in said) == isinstance(raised, ZeroDivisionError)


def test_the_gates_no_is_handed_on():
    assert run_entry_point(lambda config: ExitCode.GATE_SAID_NO, "train", []) == 3


def test_a_value_error_is_the_users_only_where_input_is_read(tmp_path):
    with pytest.raises(ConfigError, match="window outside the data"), reading_input():
        raise ValueError("window outside the data")
    with pytest.raises(ConfigError, match=r"bars\.csv: No such file or directory"), reading_input():
        (tmp_path / "bars.csv").read_text()
    with pytest.raises(TypeError), reading_input():
        raise TypeError("ours")


def test_a_gate_that_enforces_what_is_no_criterion_is_refused_before_anything_starts():
    with pytest.raises(ConfigError, match="gate.enforced names 'sharp'; known criteria are"):
        build_train_config(compose("train", ["+experiment=noise", "gate.enforced=[sharp]"]))
