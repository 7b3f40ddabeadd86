"""Settings that do not fit the bars are one sentence (exit code 2), said before anything is started or written."""

from __future__ import annotations

import pytest

from rayjobs.config.compose import compose
from rayjobs.config.typed_config import ConfigError
from rayjobs.entry import reading_input
from rayjobs.study.config import build_train_config
from rayjobs.study.load import load_study


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (
            ["env.episode.num_assets=9", "policy.symbol_embedding=false"],
            "num_assets is 9 but there are 4 symbols to train on",
        ),
        (["walk_forward.train_bars=100_000"], "one fold needs 119049 bars"),
        (["walk_forward.only_fold=3"], "there is no fold 3"),
        (["walk_forward.fold_order=[0,0]"], "names a fold twice"),
        (["walk_forward.step_bars=100"], "overlap; a bar may be scored once only"),
        (["env.episode.bars=50_000"], "but an episode is 50000 bars long"),
        (["+policy.script=flop"], "did you mean flip?"),
        (["scoring.supervised=[rigde]"], "known models are ridge, logistic, boosting"),
        (["algo.num_envs=0"], "algo.num_envs is 0"),
        (
            ["env.action.scheme=weights", "policy.action_masks=true"],
            "policy.action_masks is true, but the actions",
        ),
    ],
)
def test_a_setting_that_does_not_fit_is_told_in_one_sentence(overrides, sentence):
    with pytest.raises(ConfigError, match="^[^\n]+$") as caught, reading_input():
        load_study(build_train_config(compose("train", ["+experiment=planted_signal", *overrides])))
    assert sentence in str(caught.value)
