"""Schemas take every file of `conf/`, refuse what the commands refuse, and say of each key what its comment says."""

from __future__ import annotations

import json
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from omegaconf import OmegaConf

from rayjobs.config.compose import compose
from rayjobs.config.exit_codes import ExitCode
from rayjobs.config.project import CONF
from rayjobs.config.typed_config import ConfigError
from rayjobs.schema import main
from rayjobs.schemas.files import file_schemas
from rayjobs.schemas.yaml_comments import choices, keys_of
from rayjobs.study.config import build_train_config

FILES = sorted(path.relative_to(CONF).as_posix() for path in CONF.rglob("*.yaml"))


@cache
def schemas() -> dict[str, dict[str, Any]]:
    return file_schemas([CONF])


def schema_of(file: str) -> dict[str, Any]:
    folder = file.rpartition("/")[0]
    return schemas()[f"{folder}/*.yaml" if folder else file]


def faults(file: str, content: Any) -> list[str]:
    return [error.message for error in Draft202012Validator(schema_of(file)).iter_errors(content)]


def read(text: str) -> Any:
    return OmegaConf.to_container(OmegaConf.create(text), resolve=False)


def test_each_is_a_valid_schema():
    assert len(schemas()) > 30
    for schema in schemas().values():
        Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize("file", [file for file in FILES if file != "hydra_setup.yaml"])
def test_every_file_of_ours_meets_its_schema(file):
    assert faults(file, read((CONF / file).read_text())) == []


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("experiment/mine.yaml", "trainer: {total_env_step: 1000}"),  # a key that does not exist
        ("experiment/mine.yaml", "trainers: {total_env_steps: 1000}"),
        ("experiment/mine.yaml", "trainer: {total_env_steps: many}"),
        ("experiment/mine.yaml", "trainer: {total_env_steps: 0.5}"),
        ("experiment/mine.yaml", "trainer: {freeze: decoder}"),
        ("experiment/mine.yaml", "env: {action: {scheme: directions}}"),
        ("experiment/mine.yaml", "env: {sizing: {rule: kelly}}"),
        ("experiment/mine.yaml", "env: {barriers: {unit: percents, stop_loss: 1.0}}"),
        ("experiment/mine.yaml", "env: {costs: {fee_bps: 1.0}}"),  # a group of its own
        ("experiment/mine.yaml", "features: {specs: {one: {name: rsy, params: {}}}}"),
        ("experiment/mine.yaml", "features: {standardise: by_symbols}"),
        ("experiment/mine.yaml", "policy: {core: lsmt}"),
        ("experiment/mine.yaml", "policy: {model: lightgbn}"),
        ("experiment/mine.yaml", "gate: {enforce: maybe}"),
        ("experiment/mine.yaml", "gate: {min_sharpe: high}"),
        ("experiment/mine.yaml", "defaults: [{override /data: crypto_3m}]"),
        ("experiment/mine.yaml", "defaults: [{override /date: crypto_30m}]"),
        ("experiment/mine.yaml", "search: {sampler: {kind: tpi}}"),
        ("experiment/mine.yaml", "instruments: {symbols: {BTC: {taker_fee: 1.0}}}"),
        ("data/mine.yaml", "source: files\nsample: spy_1min"),  # of another source
        ("data/mine.yaml", "source: filez"),
        ("data/mine.yaml", "num_bars: few"),
        ("data/repair/mine.yaml", "duplicates: keep_last"),
        ("walk_forward/mine.yaml", "unit: dates\ntrain_bars: 100"),
        ("walk_forward/mine.yaml", "unit: bar"),
        ("positions/mine.yaml", "rule: thresholds"),
        ("search/space/mine.yaml", "stop: {key: algo.kl_stop, kind: loguniform, low: 0.1, high: 1}"),
        ("source/mine.yaml", "mine: {vendor: local, calender: NYSE}"),
        ("broker/mine.yaml", "kind: paper\nhost: 127.0.0.1"),
        ("guard/mine.yaml", "max_drawdawn: 0.1"),
        ("alerts/mine.yaml", "smtp_port: mail"),
        ("dashboard.yaml", "port: http"),
        ("evaluate.yaml", "windows: all"),
        ("bench.yaml", "train: {rounds: many}"),
    ],
)
def test_what_is_wrong_is_refused(file, text):
    assert faults(file, read(text))


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("experiment/mine.yaml", "trainer: {total_env_steps: 1e6, start_from: runs/a}\nseed: ${oc.env:SEED}"),
        ("experiment/mine.yaml", "data: {num_bars: 2000}\nenv: {barriers: null, factory: 'my_envs:make'}"),
        (
            "experiment/mine.yaml",
            "features: {specs: {mine: {name: 'my.features:GAP', params: {n: 3}}, rsi: null}}",
        ),
        ("experiment/mine.yaml", "defaults: [{override /policy: gru}, {optional debug: smoke}]"),
        ("experiment/mine.yaml", "defaults: [{override /search/space: [kl_and_lr, network]}]"),
        ("data/mine.yaml", "source: 'my.bars:Mine'\nanything: [1, 2]"),
        ("data/mine.yaml", "defaults: [stand_in, _self_]\nsource: stand_in\nnum_bars: 10"),
        ("data/mine.yaml", "source: files\npath: ???\ncontext_symbols: {VIX: {path: vix.csv}}"),
        ("walk_forward/mine.yaml", "unit: bars\ntrain_bars: 100\nonly_fold: 2"),
        (
            "source/mine.yaml",
            "mine: {vendor: 'my.vendor:Mine', calendar: NYSE, options: {a: 1}, settle_s: 1}",
        ),
    ],
)
def test_what_a_user_may_write_is_taken(file, text):
    assert faults(file, read(text)) == []


def _narrowed(schema: dict[str, Any], path: str = "") -> list[tuple[str, list[Any]]]:
    found = []
    for name, child in schema.get("properties", {}).items():
        where = f"{path}.{name}" if path else name
        for branch in (child, *child.get("anyOf", ())):
            if "enum" in branch:
                found.append((where, branch["enum"]))
            found += _narrowed(branch, where)
    return found


def test_no_choice_is_refused_that_training_would_take():
    # A text whose choices come from a comment must be one that the code checks too: a name beside them is refused.
    keys = {key for key, _ in _narrowed({"properties": schemas()["train.yaml"]["properties"]})}
    keys -= {"defaults"}
    values, taken = compose("train", ["policy=ridge"]), []
    for key in sorted(keys):
        changed = deepcopy(values)
        place = changed
        *parents, last = key.split(".")
        for name in parents:
            place = place.get(name) if isinstance(place, dict) else None
            if not isinstance(place, dict):
                break
        if not isinstance(place, dict) or last not in place:
            continue  # a key of another choice of its group
        taken.append(key)
        place[last] = "no_such_choice"
        with pytest.raises(ConfigError):
            build_train_config(changed)
    assert len(taken) > 20


def test_a_key_says_what_its_comment_says_with_its_default():
    steps = schemas()["train.yaml"]["properties"]["trainer"]["properties"]["total_env_steps"]
    assert steps["description"].startswith("env steps (one decision of one portfolio)")
    assert steps["default"] == 400_000
    fraction = schemas()["env/*.yaml"]["properties"]["sizing"]["properties"]["fraction"]
    assert fraction["description"] == "fixed_fraction: fraction of equity per entry"
    assert fraction["default"] == 0.2
    described = [
        key.name
        for key in keys_of((CONF / "train.yaml").read_text())
        if key.comment and "description" not in _leaf(schemas()["train.yaml"], key.name)
    ]
    assert described == []


def _leaf(schema: dict[str, Any], dotted: str) -> dict[str, Any]:
    for name in dotted.split("."):
        schema = next(
            branch["properties"][name]
            for branch in (schema, *schema.get("anyOf", ()))
            if name in branch.get("properties", {})
        )
    return schema


@pytest.mark.parametrize(
    ("comment", "expected"),
    [
        ("direction (short, flat, long) | orders (hold, buy) | weights", ("direction", "orders", "weights")),
        ("of those weights: none | encoder (of assets) stays as it is", ("none", "encoder")),
        ("folds = each policy on its own | whole = one policy on all", ("folds", "whole")),
        (
            "spy_1min | crypto_30min (with calendar 24/7); null where path is given",
            ("spy_1min", "crypto_30min"),
        ),
        ("length of a bar, seconds", ()),
        ("a group such as {delay_bars: 1}; |x| at most", ()),
    ],
)
def test_choices_are_read_from_a_comment(comment, expected):
    assert choices(comment) == expected


def test_the_command_writes_one_file_each_and_what_the_editor_is_told(tmp_path, monkeypatch, capsys):
    own = tmp_path / "conf" / "data"
    own.mkdir(parents=True)
    (tmp_path / "rayfold.yaml").write_text("conf: conf\n")
    (own / "my_bars.yaml").write_text("source: files\npath: bars\n")
    monkeypatch.chdir(tmp_path)
    assert main(["--json"]) is ExitCode.DONE
    told = json.loads(capsys.readouterr().out)
    settings = json.loads(Path(told["paths"][-1]).read_text())
    assert settings["yaml.yamlVersion"] == "1.1"
    assert settings["yaml.schemas"]["./.rayfold/schemas/experiment.json"] == "./conf/experiment/*.yaml"
    assert all(Path(path).is_file() for path in settings["yaml.schemas"])
    experiment = json.loads(Path(".rayfold/schemas/experiment.json").read_text())
    chosen = yaml.safe_load("defaults: [{override /data: my_bars}, {override /data: crypto_30m}]")
    assert list(Draft202012Validator(experiment).iter_errors(chosen)) == []
    assert main(["one", "two"]) is ExitCode.BAD_INPUT
