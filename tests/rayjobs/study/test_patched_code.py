"""Code of one's own that takes part is named, and what it replaces in Rayfold is found, however it does so."""

from __future__ import annotations

import builtins
import functools
import gc
import json

import pytest
from small_run import OVERRIDES, make_run

import evaluation.gate.verdict
import evaluation.scoring.fold_scoring
import evaluation.statistics.metrics
from envs import costs
from envs.instruments import MINIMUM_COST_BPS
from evaluation.gate.criteria import CRITERIA
from evaluation.ledger.looks import Looks
from evaluation.scoring.charged_costs import ChargedCost
from evaluation.scoring.walk_forward import WalkForwardResult
from rayjobs.config.compose import compose
from rayjobs.study.config import TRAIN_KEYS, build_train_config
from rayjobs.study.patched_code import patched_names, patched_phrase, takes_own_code

OWN = "+features.specs.own={name: 'own_features:DATES', params: {}}"


def test_what_lies_in_the_files_is_not_called_patched():
    assert patched_names() == []
    assert patched_phrase() == []
    # What a process that scored a fold found counts as well.
    (phrase,) = patched_phrase(["envs.a", "envs.b", "envs.a", "envs.c", "envs.d"])
    assert phrase == "parts of Rayfold are not those of its files: envs.a, envs.b, envs.c and 1 more"


@pytest.mark.parametrize(
    ("override", "own"),
    [
        ("seed=1", False),
        (OWN, True),
        ("env.factory=own_code:TwiceAsLong", True),
        ("reward.function=own_code:calm", True),
    ],
)
def test_a_job_knows_whether_code_of_ones_own_takes_part(override, own):
    values = {k: v for k, v in compose("train", [*OVERRIDES, override]).items() if k in TRAIN_KEYS}
    assert takes_own_code(build_train_config(values)) is own


def negative(*_: object, **__: object) -> float:
    return -1.0


@functools.wraps(evaluation.statistics.metrics.sharpe_ratio)
def dressed(*_: object, **__: object) -> float:
    return 9.0


class Opaque:
    def __call__(self, *_: object, **__: object) -> float:
        return 9.0


METRICS, SCORING = evaluation.statistics.metrics, evaluation.scoring.fold_scoring


@pytest.mark.parametrize(
    ("owner", "name", "value", "found"),
    [
        (METRICS, "sharpe_ratio", negative, "evaluation.statistics.metrics.sharpe_ratio"),
        (METRICS, "sharpe_ratio", dressed, "evaluation.statistics.metrics.sharpe_ratio"),
        (METRICS, "sharpe_ratio", Opaque(), "evaluation.statistics.metrics.sharpe_ratio"),
        (
            METRICS,
            "sharpe_ratio",
            functools.partial(negative, 1),
            "evaluation.statistics.metrics.sharpe_ratio",
        ),
        (SCORING, "record_rows", negative, "evaluation.scoring.fold_scoring.record_rows"),
        (
            WalkForwardResult,
            "net_return",
            property(negative),
            "evaluation.scoring.walk_forward.WalkForwardResult.net_return",
        ),
        (WalkForwardResult, "__getattribute__", negative, "WalkForwardResult.__getattribute__"),
        (ChargedCost, "share", property(negative), "evaluation.scoring.charged_costs.ChargedCost.share"),
        (ChargedCost, "__init__", negative, "evaluation.scoring.charged_costs.ChargedCost.__init__"),
        (Looks, "from_json", classmethod(negative), "evaluation.ledger.looks.Looks.from_json"),
        (evaluation.gate.verdict, "judge", negative, "evaluation.gate.verdict.judge"),
        (evaluation.gate.verdict, "Verdict", dict, "evaluation.gate.verdict.Verdict"),
        (evaluation.gate.verdict, "sorted", negative, "evaluation.gate.verdict.sorted"),
        (costs, "SLIPPAGE_KINDS", ("none",), "envs.costs.SLIPPAGE_KINDS"),
    ],
)
def test_whatever_is_replaced_is_named(monkeypatch, owner, name, value, found):
    assert hasattr(owner, name) or hasattr(builtins, name)
    monkeypatch.setattr(owner, name, value, raising=False)
    assert any(one.endswith(found) for one in patched_names())
    monkeypatch.undo()
    assert patched_names() == []


def test_code_and_defaults_that_are_exchanged_in_place_are_named(monkeypatch):
    monkeypatch.setattr(METRICS.sharpe_ratio, "__code__", negative.__code__)
    assert any(one.endswith("metrics.sharpe_ratio") for one in patched_names())
    monkeypatch.undo()
    assert patched_names() == []
    monkeypatch.setattr(evaluation.gate.verdict.judge, "__kwdefaults__", {"lowered": ("x",), "remarks": ()})
    assert patched_names() == ["evaluation.gate.verdict.judge"]


def test_a_run_names_code_of_ones_own_in_its_headline_and_what_it_replaced(tmp_path, monkeypatch):
    honest = make_run(tmp_path / "honest", "policy=momentum_sign", OWN)
    verdict = json.loads((honest / "verdict.json").read_text())
    assert "Code of your own took part: own_features:DATES (sha256 " in verdict["headline"]
    assert not any("parts of Rayfold" in phrase for phrase in verdict["lowered"])
    assert "Code of your own took part" in (honest / "report.html").read_text()
    true = WalkForwardResult.__dict__["net_return"]
    turned = property(lambda self: -(true.func(self) if hasattr(true, "func") else true.fget(self)))
    monkeypatch.setattr(WalkForwardResult, "net_return", turned)
    patched = make_run(tmp_path / "patched", "policy=momentum_sign", OWN)
    lowered = json.loads((patched / "verdict.json").read_text())["lowered"]
    phrase = "parts of Rayfold are not those of its files: "
    assert f"{phrase}evaluation.scoring.walk_forward.WalkForwardResult.net_return" in lowered


def test_what_a_table_holds_is_compared(monkeypatch):
    label, _, *others = CRITERIA["sharpe"]
    monkeypatch.setitem(CRITERIA, "sharpe", (label, negative, *others))
    assert patched_names() == ["evaluation.gate.criteria.CRITERIA"]


def test_what_lies_behind_a_read_only_mapping_is_compared(monkeypatch):
    (behind,) = gc.get_referents(MINIMUM_COST_BPS)
    monkeypatch.setitem(behind, "us_stock", 0.0)
    assert [name.rpartition(".")[2] for name in patched_names()] == ["MINIMUM_COST_BPS"]
