"""A feature that lacks dates, sectors or a column is told of when its study is loaded."""

from __future__ import annotations

from rayjobs.config.compose import compose
from rayjobs.study.config import build_train_config
from rayjobs.study.lacking_facts import lacking_notes
from rayjobs.study.load import load_study

SMALL = (
    "+experiment=noise",
    "data.num_bars=2000",
    "walk_forward.train_bars=900",
    "walk_forward.test_bars=400",
)
EARNINGS = "+features.specs.since={name: time_since_earnings, params: {days: 90, events: {SYN0: '2018-01-05T21:15Z'}}}"


def test_each_lack_is_a_loud_line_of_its_own(caplog):
    asked = (EARNINGS, "+features.specs.sector={name: sector, params: {sectors: {SYN0: a}}}")
    config = build_train_config(compose("train", [*SMALL, *asked]))
    with caplog.at_level("WARNING"):
        study, _, _ = load_study(config)
    names = study.panel.symbols
    told = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert any(
        f"time_since_earnings_90: its dates do not name {', '.join(names[1:6])}" in one for one in told
    )
    assert any(f"feature sector: no sector is given for {', '.join(names[1:6])}" in one for one in told)
    specs = config.features.enabled
    assert len(lacking_notes(specs, study.panel, None)) == 2
    assert lacking_notes(specs[:1], study.panel) == ()
