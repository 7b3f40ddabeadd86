"""A study whose feature peeks on one bar in 97, or in 1,000, is refused; three cuts would have passed it."""

from __future__ import annotations

import numpy as np
import pytest
from loaded_study import SMALL, study_of

from data.features import compute
from data.features.definition import Feature
from rayjobs.study.leak_check import leak_report


def rare_peek(panel, every):
    out = np.zeros(panel.close.shape)
    rows = np.arange(5, panel.num_bars - 1, every)
    out[rows] = np.sign(panel.close[rows + 1] - panel.close[rows])
    return out


@pytest.mark.parametrize("every", [97, 1000])
def test_a_feature_that_peeks_on_few_bars_is_named(monkeypatch, every):
    feature = Feature(name="rare", kind="asset", function=rare_peek)
    monkeypatch.setattr(compute, "FEATURES", {**compute.FEATURES, "rare": feature})
    study = study_of(
        "+experiment=planted_signal",
        "data.num_bars=9000",
        *SMALL,
        f"+features.specs.rare={{name: rare, params: {{every: {every}}}}}",
    )
    report = leak_report(study)
    assert {(finding.kind, finding.culprit) for finding in report.findings} == {("feature", f"rare_{every}")}
    assert "it reads up to 1 bar(s) ahead" in str(report)
    assert "the prices of bar" in str(report)
