import pytest

from rayjobs.config.arguments import given_value, is_override, key_of, root_of, split
from rayjobs.config.dotted_keys import set_value, value_at
from rayjobs.config.typed_config import ConfigError


@pytest.mark.parametrize(
    ("argument", "key", "root", "value"),
    [
        ("env.fee=2", "env.fee", "env", "2"),
        ("++data.columns.x.known_after=1h", "data.columns.x.known_after", "data", "1h"),
        ("+experiment@other=x=y", "experiment", "experiment", "x=y"),
        ("~tracking", "tracking", "tracking", None),
    ],
)
def test_an_override_names_its_key_whatever_hydra_is_told_to_do_with_it(argument, key, root, value):
    assert (key_of(argument), root_of(argument), given_value(argument)) == (key, root, value)
    assert is_override(argument)


def test_flags_and_paths_are_no_overrides_and_a_split_keeps_the_order():
    words = ["runs/a", "sort=dsr", "--cfg", "job", "seed=1"]
    assert split(words, is_override) == (["sort=dsr", "seed=1"], ["runs/a", "--cfg", "job"])


def test_a_dotted_key_that_is_not_there_is_refused_with_the_nearest_and_made_only_where_asked():
    values = {"env": {"costs": {"fee_bps": 5.0}}}
    assert value_at(values, "env.costs.fee_bps") == 5.0
    for change in (lambda: value_at(values, "env.cost.fee_bps"), lambda: set_value(values, "env.cost.x", 1)):
        with pytest.raises(ConfigError, match="did you mean costs"):
            change()
    set_value(values, "data.columns.x", 1, add=True)
    set_value(values, "env.costs.fee_bps", 1.0)
    assert values == {"env": {"costs": {"fee_bps": 1.0}}, "data": {"columns": {"x": 1}}}
