"""The guard as a process: it flattens beside a loop that is stopped, by file, signal and command."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from tws.listings import SPY

from envs.live.guard_folder import GUARD_STATE, GuardFolder
from envs.live.guard_limits import GuardLimits
from envs.live.ibkr_config import IbkrBrokerConfig
from rayjobs.config.exit_codes import ExitCode
from rayjobs.config.typed_config import ConfigError
from rayjobs.guarding.process import (
    FOLDER,
    GuardSettings,
    end_guard,
    guard_beside,
    guard_settings,
    living_guard,
)
from rayjobs.monitoring.alerts import AlertSettings
from rayjobs.trade import main as trade

ROOT = Path(__file__).parents[3]


def conf(name):
    return yaml.safe_load((ROOT / "conf" / name).read_text())


def settings(tws, **changes):
    broker = {k: v for k, v in conf("broker/ibkr.yaml").items() if k not in ("desk", "kind")}
    broker |= {"port": tws.port, "connect_timeout_s": 1.0, "answer_timeout_s": 1.0, "account": "DU1234567"}
    limits = GuardLimits(**{**conf("guard/default.yaml"), **changes})
    alerts = AlertSettings(**{**conf("alerts/log.yaml"), "mail_to": ()})
    return guard_settings(IbkrBrokerConfig(**broker), limits, alerts, ("SPY",), "drill")


def hold(tws, units):
    tws.do(lambda venue: venue.quote(SPY, 100.0, 100.02))
    tws.do(lambda venue: venue.account.book(SPY, units, 100.0, 0.0))


def held(tws):
    return tws.do(lambda venue: venue.account.units(SPY))


def seconds_until(condition, timeout_s):
    begun = time.monotonic()
    while not condition():
        assert time.monotonic() - begun < timeout_s, "it did not come about in time"
        time.sleep(0.01)
    return time.monotonic() - begun


def reached(folder):
    return lambda: (folder.read(GUARD_STATE) or {}).get("reached")


def test_settings_come_back_without_the_account_which_goes_another_way(tws, tmp_path):
    given = settings(tws)
    folder = GuardFolder(tmp_path / FOLDER)
    given.write(folder)
    assert "DU1234567" not in (folder.path / "settings.json").read_text()
    assert GuardSettings.read(folder, "DU1234567") == given
    assert given.broker.client_id == conf("broker/ibkr.yaml")["client_id"] + 1


def test_real_money_has_no_limit_switched_off(tws):
    given = settings(tws, max_var=None)
    live = IbkrBrokerConfig(**{**vars(given.broker), "live": True})
    with pytest.raises(ConfigError, match="guard.max_var is null"):
        guard_settings(live, given.limits, given.alerts, ("SPY",), "drill")


@pytest.mark.parametrize(
    ("words", "told"),
    [(["kill", "nowhere"], "no trading run with a guard"), (["kill"], "no trading run with a guard was found"),
     (["kill", "gard=x"], "takes directories")],
)  # fmt: skip
def test_a_kill_of_nothing_is_told(words, told, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert trade(words) is ExitCode.BAD_INPUT
    assert told in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("way", ["file", "signal", "command"])
def test_a_stopped_loop_is_flattened_within_two_seconds(tws, tmp_path, way):
    hold(tws, 5.0)
    stopped = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    os.kill(stopped.pid, signal.SIGSTOP)
    try:
        with guard_beside(tmp_path, settings(tws)) as folder:
            seconds_until(reached(folder), 30.0)
            if way == "file":
                (folder.path / "KILL").touch()
            elif way == "signal":
                os.kill(living_guard(folder), signal.SIGUSR1)
            else:
                subprocess.Popen(
                    [sys.executable, "-m", "rayjobs.trade", "kill", str(tmp_path)],
                    env={**os.environ, "PYTHONPATH": str(ROOT)},
                )
                seconds_until(lambda: folder.killed() is not None, 60.0)
            assert seconds_until(lambda: held(tws) == 0.0, 10.0) < 2.0
            seconds_until(lambda: folder.read(GUARD_STATE).get("flat") is True, 5.0)
        with pytest.raises(ConfigError, match="kill switch of .* is thrown"):
            guard_beside(tmp_path, settings(tws)).__enter__()
    finally:
        stopped.kill()
    written = b"".join(path.read_bytes() for path in folder.path.iterdir())
    assert b"DU1234567" not in written


@pytest.mark.slow
def test_a_kill_without_any_living_guard_starts_one_and_a_cut_network_is_waited_out(tws, tmp_path):
    hold(tws, -5.0)
    folder = GuardFolder(tmp_path / FOLDER)
    settings(tws).write(folder)
    tws.go_down()
    command = subprocess.Popen(
        [sys.executable, "-m", "rayjobs.trade", "kill", str(tmp_path), "reason=drill"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
    )
    seconds_until(lambda: living_guard(folder) is not None, 60.0)
    time.sleep(1.0)
    assert held(tws) == -5.0
    tws.come_up()
    seconds_until(lambda: held(tws) == 0.0, 10.0)
    told, _ = command.communicate(timeout=30.0)
    assert command.returncode == ExitCode.DONE
    assert b"is flat" in told
    seconds_until(lambda: living_guard(folder) is None, 10.0)
    assert folder.killed() == "drill"


@pytest.mark.slow
def test_a_guard_that_was_left_behind_is_ended(tws, tmp_path):
    hold(tws, 1.0)
    with guard_beside(tmp_path, settings(tws)) as folder:
        seconds_until(reached(folder), 30.0)
        end_guard(folder)
        assert living_guard(folder) is None
    assert held(tws) == 1.0
