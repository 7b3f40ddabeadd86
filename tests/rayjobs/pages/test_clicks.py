"""The pages in a real browser: filter, sort, choose, brush, open a trial, stop in two steps; nothing hostile runs."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from aiohttp.test_utils import TestServer
from browser import CHROMIUM, browser_page
from made_runs import make_run, write_live
from made_study import MadeTrial, make_study
from optuna.trial import TrialState

from rayjobs.pages.guard import Guard
from rayjobs.pages.server import make_application

sys.path.insert(0, str(Path(__file__).parents[1]))
from small_run import make_run as make_scored_run

pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")]
TOKEN = "a-token-of-the-tests"
BRUSH = """(() => {
  const axis = document.querySelector('#parallel rect.hit[data-axis=score]');
  axis.setPointerCapture = () => {};
  const box = axis.getBoundingClientRect();
  const send = (kind, share) => axis.dispatchEvent(new PointerEvent(kind,
    { clientX: box.left + 5, clientY: box.top + share * box.height, pointerId: 1, bubbles: true }));
  send('pointerdown', 0.0); send('pointermove', 0.5); send('pointerup', 0.5);
})()"""


def clicked(root, walk):
    """Serve a root and walk through it in a browser; no script of a page may have failed."""

    async def go():
        guard = Guard("127.0.0.1", token=TOKEN)
        server = TestServer(make_application(root, guard, lake=str(root / "lake")))
        async with server, browser_page() as page:
            await walk(page, f"http://127.0.0.1:{server.port}")
            bad = [error for error in page.errors if "Failed to load resource" not in error]
            assert bad == []

    asyncio.run(go())


def test_runs_are_filtered_sorted_chosen_and_compared(tmp_path):
    random = np.random.default_rng(0)
    for number in range(3):
        make_run(tmp_path, f"e/2026010{number + 1}T000000Z-{number}", sharpe=float(number),
                 returns=random.normal(1e-4, 1e-3, 200))  # fmt: skip
    make_run(tmp_path, "<img src=x onerror=document.title='broken'>/20260104T000000Z-x")
    rows = "[...document.querySelectorAll('#table tbody tr')].map(row => row.cells[1].textContent.slice(-1))"

    async def walk(page, address):
        await page.open(f"{address}/runs#token={TOKEN}")
        await page.until(f"{rows}.length === 4")
        assert await page.run("document.title") == "Runs"  # the hostile name is text
        await page.run(
            "[...document.querySelectorAll('#table th')].find(t => t.textContent === 'sharpe').click()"
        )
        await page.until(f"{rows}.slice(0, 3).join('') === '2x1' || {rows}[0] === '2'")
        await page.run("document.getElementById('filter').value = 'sharpe > 0.5 and e/'")
        await page.run("document.getElementById('ask').requestSubmit()")
        await page.until(f"{rows}.join('') === '21'")
        await page.run("document.querySelectorAll('#table input').forEach(box => box.click())")
        await page.run("document.getElementById('compare').click()")
        await page.until("document.querySelector('#pairs tbody tr')", 120)
        assert "200" in await page.run("document.querySelector('#pairs tbody tr').textContent")
        await page.until("document.querySelector('#equity canvas')")

    clicked(tmp_path, walk)


ALIVE = {"status": "running", "pid": os.getpid()}
OVERFLOW = "(box => box.scrollWidth - box.clientWidth)(document.querySelector('#table').parentElement)"


def test_the_list_of_runs_fits_1300_pixels_and_tells_how_far_a_training_and_a_sweep_are(tmp_path):
    row = {"fold": 0, "iteration": 3, "env_steps": 400, "env_steps_per_second": 5.0, "entropy": 10.9876,
           "approx_kl": 0.0123, "clip_fraction": 0.1234, "explained_variance": -0.4321,
           "validation_sharpe": -0.01234}  # fmt: skip
    write_live(make_run(tmp_path, "crypto_portfolio/20260103T000000Z-bbbbbb", **ALIVE), row)
    make_run(tmp_path, "crypto_portfolio/20260102T000000Z-cccccc", sharpe=-11.234)
    made = {"scores": [0.1], "returns": [[0.0] * 4]}
    trials = [MadeTrial(**made, attributes={"seconds": 60.0}) for _ in range(3)]
    trials.append(MadeTrial(**made, state=TrialState.RUNNING))
    make_study(tmp_path, "20260101T000000Z-aaaaaa", trials, "search.num_trials=8", **ALIVE)

    async def walk(page, address):
        for width, beyond in ((1600, 0), (1300, 0), (700, 1)):
            await page.call("Emulation.setDeviceMetricsOverride", width=width, height=900,
                            deviceScaleFactor=1, mobile=False)  # fmt: skip
            await page.open(f"{address}/runs")
            await page.until("document.querySelectorAll('#table tbody tr').length === 3")
            assert (await page.run(OVERFLOW) > 0) == bool(beyond), width
        # Where it does not fit, its box says so.
        await page.until("document.querySelector('.scroll').classList.contains('onwards')")
        told = await page.run("document.querySelector('#table').textContent")
        # 3 of 8 ended, 4 wait and one is half done: 4.5 times a minute.
        for words in ("38 %3 of 8 trials4 min left", "40 %", "2 min left", "val. Sharpe a bar"):
            assert words in told, told

    clicked(tmp_path, walk)


def test_a_lone_point_of_a_curve_has_an_axis_that_names_it_and_no_other_number(tmp_path):
    run = make_run(tmp_path, "e/20260101T000000Z-aaaaaa", **ALIVE)
    point = {"fold": 0, "iteration": 1, "env_steps": 40_960, "entropy": 1.5, "clip_fraction": 0.0,
             "validation_sharpe": 0.01234}  # fmt: skip
    write_live(run, point)
    scale = "(u => [u.scales.x.min, u.scales.x.max, u.axes[0]._splits.join(), u.axes[0]._values.join()])"
    entropy = "charts.get('entropy').chart"

    async def walk(page, address):
        await page.open(f"{address}/run?id=e/20260101T000000Z-aaaaaa")
        await page.until("document.querySelectorAll('#charts canvas').length === 3")
        assert await page.run(f"{scale}({entropy})") == [40_959, 40_961, "40960", "40,960"]
        levels = "(u => [u.scales.y.min, u.scales.y.max])(charts.get('{}').chart)"
        low, high = await page.run(levels.format("entropy"))
        assert (low, high) == (pytest.approx(1.35), pytest.approx(1.65))
        assert await page.run(levels.format("clip_fraction")) == [-1, 1]
        tiles = await page.run("document.getElementById('tiles').textContent")
        assert "Validation Sharpe ratio0.01234per bar, not annualised" in tiles
        write_live(run, point, {**point, "iteration": 2, "env_steps": 81_920, "entropy": 1.0})
        await page.until(f"{entropy}.data[0].length === 2", 20)
        assert (await page.run(f"{scale}({entropy})"))[:2] == [40_960, 81_920]

    clicked(tmp_path, walk)


def test_a_study_is_brushed_and_a_trial_opened(tmp_path):
    random = np.random.default_rng(0)
    trials = [
        MadeTrial(scores=[score], returns=[random.normal(0, 1e-3, 60)] * 2) for score in random.normal(size=8)
    ]
    trials.append(MadeTrial(scores=[0.1], returns=[[0.0] * 60] * 2, state=TrialState.RUNNING))
    make_study(tmp_path, "20260101T000000Z-aaaaaa", trials, "search.scheduler.kind=none")

    async def walk(page, address):
        await page.open(f"{address}/study?id=planted_signal/sweeps/20260101T000000Z-aaaaaa")
        await page.until("document.querySelectorAll('#trials tbody tr').length === 9", 120)
        await page.run(BRUSH)
        kept = await page.until("document.querySelectorAll('#trials tbody tr').length")
        assert 1 <= kept < 9
        await page.run("document.querySelector('#trials tbody input').click()")
        await page.until("document.querySelector('#equity canvas')")
        await page.run("document.querySelector('#trials tbody tr td:nth-child(3)').click()")
        await page.until("document.querySelector('#trialbody table tbody tr')")
        assert "algo." in await page.run("document.querySelector('#trialbody').textContent")
        tried = await page.run(
            "document.querySelector('#trialbody table tbody tr td:nth-child(2)').textContent"
        )
        assert 0.005 <= float(tried) <= 0.1  # the KL stop of that trial, not rounded as its number would be
        await page.until("!document.getElementById('beliefcard').hidden", 120)

    clicked(tmp_path, walk)


def test_a_running_job_is_seen_to_move_and_the_kill_switch_takes_two_steps(tmp_path):
    run = make_run(tmp_path, "e/trading/20260101T000000Z-aaaaaa", status="running", pid=os.getpid())
    (run / "trading_snapshot.json").write_text(json.dumps({"mode": "paper", "equity": 5.0}))
    trains = make_run(tmp_path, "e/20260101T000000Z-bbbbbb", status="running", pid=os.getpid())

    async def walk(page, address):
        await page.open(f"{address}/run?id=e/20260101T000000Z-bbbbbb")
        await page.until("!document.getElementById('stop').disabled")
        write_live(
            trains,
            *({"fold": 0, "iteration": i, "env_steps": 100 * i, "entropy": i / 3} for i in range(1, 6)),
        )
        await page.until("document.getElementById('tiles').textContent.includes('50.0 %')", 20)
        await page.until("document.querySelector('#charts canvas')")
        await page.open(f"{address}/live#token={TOKEN}")
        button = "[...document.querySelectorAll('button')].find(one => one.textContent === '{}').click()"
        await page.until("document.querySelector('input.confirm')")
        await page.run(button.format("Kill switch"))
        await page.run(button.format("Stop trading now"))
        await page.until("document.body.textContent.includes('nothing was stopped')")
        assert not (run / "KILL").exists()
        await page.run(
            "document.querySelector('input.confirm').value = 'STOP'; document.activeElement.blur()"
        )
        await page.run(button.format("Stop trading now"))
        await page.until("document.body.textContent.includes('asked to stop')")
        assert (run / "KILL").exists()

    clicked(tmp_path, walk)


HOVER = """(() => {
  const over = document.querySelector('#candles .u-over'), box = over.getBoundingClientRect();
  const place = { clientX: box.left + box.width / 2, clientY: box.top + 50, bubbles: true };
  over.dispatchEvent(new MouseEvent('mousemove', place));
})()"""


def test_the_market_shows_what_the_policy_thought_under_the_pointer_and_in_the_panel_of_a_bar(tmp_path):
    run = make_scored_run(tmp_path, "env=triple_barrier", "env.barriers.stop_loss=0.3")
    name = run.relative_to(tmp_path).as_posix()

    async def walk(page, address):
        await page.open(f"{address}/market?id={name}")
        told = "document.getElementById('thinking').textContent"
        await page.until(f"{told}.includes('bit for bit')", 300)
        await page.run("document.querySelector('#candles').scrollIntoView()")
        await page.run(HOVER)
        readout = await page.until(
            "(text => text.includes('short ') && text)(document.querySelector('#candles .readout').textContent)"
        )
        assert "flat " in readout
        assert "long " in readout
        assert "value " in readout
        await page.run("choose(thoughts.stop.findIndex(one => one !== null))")
        await page.until("document.querySelectorAll('#bar tr.thought').length >= 6")
        panel = await page.run("document.querySelector('#bar .thoughts').textContent")
        for word in (
            "long, probability",
            "value, rewards to come",
            "stop rests at",
            "target rests at",
            "time limit",
        ):
            assert word in panel
        assert await page.run("document.querySelectorAll('#thoughts canvas, #values canvas').length") == 2
        (run / "checkpoints").rename(run / "elsewhere")
        os.utime(run / "status.json")  # as another run of that name
        await page.run("load()")
        await page.until(f"{told}.includes('not shown')", 300)
        assert "is not an exported policy" in await page.run(told)
        assert await page.run("document.querySelectorAll('#bar tr.thought').length") == 0

    clicked(tmp_path, walk)
