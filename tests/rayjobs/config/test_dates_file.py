"""A configuration may name a file of dates; the dates are what it holds from then on."""

from __future__ import annotations

import pytest

from rayjobs.config.compose import compose, compose_command_line
from rayjobs.config.typed_config import ConfigError
from rayjobs.study.config import build_train_config

FILE = """# decisions
date,place
2018-01-31T19:00Z,Washington
"2018-03-21 18:00",Washington   # no zone: UTC

2018-05-02T14:00-04:00
"""


def fomc(path) -> str:
    return f'+features.specs.fomc={{name: time_to_event, params: {{dates: "${{dates_in:{path}}}", hours: 48.0}}}}'


def test_the_dates_of_a_file_are_written_out_as_it_has_them(tmp_path):
    (tmp_path / "fomc.csv").write_text(FILE)
    values = compose("train", ["+experiment=planted_signal", fomc(tmp_path / "fomc.csv")])
    spec = build_train_config(values).features.specs["fomc"]
    assert spec.params["dates"] == ["2018-01-31T19:00Z", "2018-03-21 18:00", "2018-05-02T14:00-04:00"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (None, "cannot be read"),
        ("# none\ndate\n", "holds no date; write one on each line"),
        ("2018-01-31\nyesterweek\n", "line 2: 'yesterweek' is not a date or time"),
    ],
)
def test_a_file_that_holds_no_dates_is_told_in_one_sentence_with_its_key(tmp_path, text, sentence):
    if text is not None:
        (tmp_path / "fomc.csv").write_text(text)
    with pytest.raises(ConfigError, match=rf"features\.specs\.fomc\.params\.dates: .*{sentence}"):
        compose_command_line("train", ["+experiment=planted_signal", fomc(tmp_path / "fomc.csv")])
