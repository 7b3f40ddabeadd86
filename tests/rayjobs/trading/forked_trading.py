"""The command `rayjobs.trade` started in a fraction of a second: a process that has all of it in memory, and forks.

Started as `python forked_trading.py RUN`. Each line that it reads is JSON: the words of the command, the file that it
says things to, and at which call of journal, record or broker it kills itself, before or after that call; null never.
It answers with the process's number, and when that has ended with how.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
import traceback
from typing import Any

POINTS = {
    "envs.live.journal:Journal": ("plan", "update", "book", "note", "begin"),
    "envs.live.ibkr:IbkrBroker": ("reserve", "submit", "cancel", "snapshot"),
    "rayjobs.trading.trading_record:TradingRecord": ("write",),
}
"""What is counted: each writes, sends, or asks for what was sent."""


WARM_BARS = "feed.stop_utc=2020-01-13"
"""Of the runs whose test window begins some days into a market of half hours from 2020-01-01 on."""


def die_at(number: int, when: str) -> None:
    """Kill this process with SIGKILL at the how-manieth call of a point, before or after it has done its work."""
    from data.own_objects import import_named

    left = [number]

    def counted(work: Any) -> Any:
        def point(*arguments: Any, **named: Any) -> Any:
            left[0] -= 1
            last = left[0] == 0
            if last and when == "before":
                os.kill(os.getpid(), signal.SIGKILL)
            result = work(*arguments, **named)
            if last:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return point

    for place, names in POINTS.items():
        owner = import_named(place, "point")
        for name in names:
            setattr(owner, name, counted(getattr(owner, name)))


def child(asked: dict[str, Any]) -> None:
    """Become the command."""
    from rayjobs.trade import main

    stream = os.open(asked["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for number in (1, 2):
        os.dup2(stream, number)
    sys.stdin.close()
    code = 70
    try:
        if asked["die_at"] is not None:
            die_at(asked["die_at"], asked["when"])
        code = int(main(asked["words"]))
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def main(run: str) -> None:
    """Warm up by a replay of some bars, then fork for each line."""
    import envs.live.ibkr
    from data.vendors.tws_client import client_library
    from rayjobs.trade import main as trade

    client_library().client.Client.MaxRequests = 0
    assert envs.live.ibkr
    with tempfile.TemporaryDirectory() as place:
        script = (
            "broker.script={delay_bars: 0, partial_share: 0, reject_share: 0, half_spread_bps: 1, commission_bps: 1, "
            "seed: 0}"
        )
        kept, null = os.dup(1), os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        code = trade([f"policy={run}", "fold=0", "broker=replay", script, WARM_BARS, f"directory={place}"])
        sys.stdout.flush()
        os.dup2(kept, 1)
        assert code == 0, code
    _answer("ready")
    for line in sys.stdin:
        asked = json.loads(line)
        pid = os.fork()
        if pid == 0:
            child(asked)
        _answer(pid)
        _, status = os.waitpid(pid, 0)
        _answer(os.waitstatus_to_exitcode(status))


def _answer(words: object) -> None:
    sys.stdout.write(f"{words}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1])
