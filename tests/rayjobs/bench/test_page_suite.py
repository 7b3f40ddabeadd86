"""The suite `page`: how a slowdown is reckoned, and that two pages are asked for as a browser asks."""

from __future__ import annotations

import math
import subprocess
import sys
import time

import pytest

from rayjobs.bench.page_blocks import Blocks, cpu_seconds


def test_a_slowdown_is_the_mean_over_pairs_of_blocks_in_either_order():
    # 10 % and 21 % longer; as logarithms 9.531 and 19.062, of which the second is twice the first.
    blocks = Blocks(
        opened=[True, False, False, True],
        wall=[[1.0, 1.2], [1.0, 1.0], [2.0, 2.0], [2.42]],
        cpu=[[1.0], [1.0], [1.0], [1.0]],
        dashboard=[0.02, 0.0, 0.0, 0.04],
    )
    slower, error = blocks.slowdown(blocks.wall)
    once = 100.0 * math.log(1.1)
    assert slower == pytest.approx(1.5 * once)
    assert error == pytest.approx(once / 2)  # the standard deviation of x and 2x is x / sqrt(2)
    assert blocks.slowdown(blocks.cpu) == (0.0, 0.0)
    assert blocks.rate(100, opened=False) == pytest.approx(100 / 1.5)
    assert blocks.dashboard_share(opened=True) == pytest.approx(3.0)


def test_cpu_time_is_that_of_a_process_and_of_those_that_it_started():
    busy = "import time\nwhile time.process_time() < 0.3: pass\ninput()"
    program = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {busy!r}])"
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE) as process:
        began = time.monotonic()
        while cpu_seconds(process.pid) < 0.3 and time.monotonic() - began < 60:
            time.sleep(0.02)
        assert 0.3 <= cpu_seconds(process.pid) < 5.0
        process.communicate(b"\n")


@pytest.mark.slow
@pytest.mark.ray
def test_a_small_run_of_the_suite_has_a_number_in_every_row():
    from rayjobs.bench.page_suite import run

    rows = run({"units": 16, "pairs": 2, "block_seconds": 1.5, "runs": 3})
    assert len(rows) == 2 * 8
    assert all(math.isfinite(row["value"]) for row in rows)
    # Each opening asks for two pages with their scripts and data, and each iteration for more.
    assert rows[0]["settings"]["answers"] > 2 * (2 + 2 * 4 + 3 + 4)
