"""A supervised policy acts row by row, says its positions in the env's scheme, and survives its export to the bit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from fitted_world import BARRIERS, fitted, observations, settings, world
from test_fitting import MODELS, needs

from policies.contract import CONTRACT_FILE, facts_hash
from policies.exports import load_export
from policies.protocol import Policy
from policies.supervised.policy import SupervisedPolicy

DECIDE = """
import sys
import numpy as np
from pathlib import Path
from policies.supervised.policy import SupervisedPolicy
folder = Path(sys.argv[1])
seen = np.load(folder / "seen.npy")
for place in sorted(path for path in folder.iterdir() if path.is_dir()):
    policy = SupervisedPolicy.load(place)
    state, actions = policy.initial_state(2), []
    for rows in np.split(seen, len(seen) // 2):
        action, state = policy.act(rows, state)
        actions.append(action)
    np.save(place / "actions.npy", np.stack(actions))
"""


@pytest.fixture(scope="module")
def market():
    return world()


def decisions(policy: SupervisedPolicy, seen: np.ndarray) -> np.ndarray:
    state, actions = policy.initial_state(2), []
    for rows in np.split(seen, len(seen) // 2):
        action, state = policy.act(rows, state)
        actions.append(action)
    return np.stack(actions)


def test_an_export_decides_in_a_fresh_process_as_it_did_here(market, tmp_path):
    seen = observations(market, slice(700, 760))
    np.save(tmp_path / "seen.npy", seen)
    expected = {}
    models = [model for model in MODELS if model != "xgboost" or _has_xgboost()]
    for model in models:
        chosen = settings(model, hold_bars=3, scope="pooled" if model == "lightgbm_rank" else "symbol")
        policy = fitted(market, chosen)
        policy.save(tmp_path / model)
        expected[model] = decisions(policy, seen)
    command = [sys.executable, "-c", DECIDE, str(tmp_path)]
    path = os.pathsep.join(sys.path)
    subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": path}, cwd=Path(__file__).parents[3])
    for model, actions in expected.items():
        found = np.load(tmp_path / model / "actions.npy")
        assert found.tobytes() == actions.tobytes(), model
        assert np.abs(found).max() > 0.0, model


def _has_xgboost() -> bool:
    try:
        import xgboost  # noqa: F401
    except ImportError:
        return False
    return True


@pytest.mark.parametrize("model", MODELS)
def test_a_row_is_decided_by_itself_alone(model, market):
    needs(model)
    policy, seen = fitted(market, settings(model)), observations(market, slice(700, 733))
    together, _ = policy.act(seen, policy.initial_state(len(seen)))
    alone = np.concatenate([policy.act(row[None], policy.initial_state(1))[0] for row in seen])
    turned, _ = policy.act(seen[::-1].copy(), policy.initial_state(len(seen)))
    assert together.tobytes() == alone.tobytes() == turned[::-1].tobytes()


def test_only_features_clock_and_what_can_be_traded_are_read(market):
    policy, seen = fitted(market, settings("logistic")), observations(market, slice(700, 720))
    other = seen.copy()
    account = policy.contract.layout.slices["account"]
    other[:, account] = 0.7
    np.testing.assert_array_equal(policy.act(seen, None)[0], policy.act(other, None)[0])


def test_each_scheme_is_told_the_same_sides(market):
    seen = observations(market, slice(700, 800))
    weights = fitted(market, settings("logistic")).act(seen, None)[0]
    side = np.sign(weights)
    assert set(np.unique(side)) == {-1.0, 0.0, 1.0}
    assert set(np.unique(np.abs(weights))) == {0.0, 0.25}
    np.testing.assert_array_equal(
        fitted(market, settings("logistic"), "direction").act(seen, None)[0], side + 1
    )
    orders = fitted(market, settings("logistic"), "orders").act(seen, None)[0]
    np.testing.assert_array_equal(orders, np.select([side > 0, side < 0], [1, 2], 3))
    sized = fitted(market, settings("logistic"), "direction_size").act(seen, None)[0]
    np.testing.assert_array_equal(sized[..., 0], side + 1)
    np.testing.assert_array_equal(sized[..., 1], np.abs(side))


def test_no_short_is_asked_for_where_none_is_allowed(market):
    policy = fitted(market, settings("logistic", BARRIERS, threshold=0.5), allow_short=False)
    actions = policy.act(observations(market, slice(700, 900)), None)[0]
    assert actions.min() == 0.0 < actions.max()


def test_a_supervised_policy_keeps_the_protocol_and_its_hashes(market, tmp_path):
    policy = fitted(market, settings("logistic", rule="share"))
    assert isinstance(policy, Policy)
    policy.save(tmp_path)
    again = load_export(tmp_path, layout=market.layout, feature_hash="test")
    assert isinstance(again, SupervisedPolicy)
    assert (again.policy_hash, again.contract_hash) == (policy.policy_hash, policy.contract_hash)
    assert again.contract == policy.contract
    assert again.models.bound == policy.models.bound > 0.5


def test_what_was_changed_in_an_export_is_refused(market, tmp_path):
    fitted(market, settings("lightgbm")).save(tmp_path)
    with pytest.raises(ValueError, match="trained on features defined otherwise"):
        load_export(tmp_path, feature_hash="other")
    text = (tmp_path / "long.lightgbm.txt").read_text()
    (tmp_path / "long.lightgbm.txt").write_text(text.replace("leaf_value=", "leaf_value=9", 1))
    with pytest.raises(ValueError, match="do not match their recorded hash"):
        load_export(tmp_path)
    (tmp_path / "long.lightgbm.txt").unlink()
    with pytest.raises(ValueError, match="do not match their recorded hash"):
        load_export(tmp_path)
    contract = json.loads((tmp_path / CONTRACT_FILE).read_text())
    contract["settings"]["position"]["threshold"] = 0.9
    (tmp_path / CONTRACT_FILE).write_text(json.dumps(contract))
    with pytest.raises(ValueError, match="is damaged"):
        load_export(tmp_path)


def test_an_export_names_no_file_outside_of_its_folder(market, tmp_path):
    fitted(market, settings("logistic")).save(tmp_path / "policy")
    place = tmp_path / "policy" / CONTRACT_FILE
    contract = json.loads(place.read_text())
    contract.pop("contract_hash")
    contract["models"]["fitted"][0]["side"] = "../elsewhere"
    (tmp_path / "elsewhere.json").write_text("{}")
    place.write_text(json.dumps(contract | {"contract_hash": facts_hash(contract)}))
    with pytest.raises(ValueError, match="is damaged"):
        load_export(tmp_path / "policy")


def test_an_observation_of_another_size_is_refused(market):
    with pytest.raises(ValueError, match="give it the observations of an env with the same symbols"):
        fitted(market, settings("ridge")).act(np.zeros((2, 3), dtype=np.float32), None)
