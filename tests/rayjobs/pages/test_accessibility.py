"""axe-core (4.14.1, MPL 2.0, in the folder `axe`) finds no serious fault on any page: wide, narrow and dark.

It checks names and roles, labels, contrast as it is painted, headings, landmarks, tables, focus order. It looks at a
page as it stands once its data are there; what a person hears of charts beyond their names it cannot judge.
With RAYFOLD_PICTURES=FOLDER a picture of each page is left there.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import socket
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from aiohttp.test_utils import TestServer
from browser import CHROMIUM, browser_page
from made_runs import make_run, write_live
from made_study import MadeTrial, make_study
from optuna.trial import TrialState

from data.lake import Lake, Series
from data.vendors.definition import BarRequest, Delivery
from rayjobs.ingest.inventory import take_inventory, write_inventory
from rayjobs.pages.guard import Guard
from rayjobs.pages.server import make_application
from rayjobs.search.page.study_page import write_study_page
from rayjobs.search.page.study_view import view_study

sys.path.insert(0, str(Path(__file__).parents[1]))
from sealed_run import make_sealed_run

pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")]
AXE = (Path(__file__).parent / "axe" / "axe.min.js").read_text(encoding="utf-8")
ASKED = """axe.run(document, {resultTypes: ['violations']}).then(found => JSON.stringify(found.violations
  .filter(one => ['serious', 'critical'].includes(one.impact))
  .map(one => ({rule: one.id, impact: one.impact, nodes: one.nodes.slice(0, 5).map(node =>
    ({html: node.html.slice(0, 160), why: node.failureSummary.slice(0, 300)}))}))))"""
WAYS = {"wide": (1400, 900, "light"), "narrow": (390, 844, "light"), "dark": (1400, 900, "dark")}
STUDY = "planted_signal/sweeps/20260101T000000Z-aaaaaa"
TRAINS, FAILED = "e/20260101T000000Z-bbbbbb", "e/20260102T000000Z-cccccc"
TRADES = "e/trading/20260101T000000Z-dddddd"
ALIVE = {"status": "running", "pid": os.getpid(), "host": socket.gethostname()}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Runs of each kind: scored with a report, training, failed, a sweep, one that trades."""
    folder = tmp_path_factory.mktemp("runs")
    random = np.random.default_rng(0)
    make_sealed_run(folder)
    for number in range(3):
        make_run(folder, f"e/2026011{number}T000000Z-{number}", sharpe=float(number),
                 returns=random.normal(1e-4, 1e-3, 200))  # fmt: skip
    trains = make_run(folder, TRAINS, **ALIVE)
    write_live(trains, *({"fold": 0, "iteration": i, "env_steps": 100 * i, "entropy": i / 3,
                          "validation_sharpe": i / 5} for i in range(1, 6)))  # fmt: skip
    make_run(folder, FAILED, status="failed")
    trading = make_run(folder, TRADES, **ALIVE)
    snapshot = {
        "written_utc": "2026-01-01T00:00:00Z", "bar_utc": "2026-01-01T00:00:00Z", "mode": "paper", "equity": 101e3,
        "pnl_day": -5.0, "positions": {"BTC": 0.5}, "limits": {"daily_loss": 0.4, "gross": 0.97},
        "orders": [{"symbol": "BTC", "units": 0.1}], "latency_ms": {"p50": 3.0}, "drift": {"rsi": 0.3},
        "decisions": [{"bar_utc": "2026-01-01T00:00:00Z", "BTC": 0.5}],
    }  # fmt: skip
    (trading / "trading_snapshot.json").write_text(json.dumps(snapshot))
    trials = [
        MadeTrial(scores=[score], returns=[random.normal(0, 1e-3, 60)] * 2) for score in random.normal(size=8)
    ]
    trials.append(MadeTrial(scores=[0.1], returns=[[0.001] * 60] * 2, state=TrialState.PRUNED))
    failed = {"error": "ValueError: the loss is not finite"}
    trials.append(MadeTrial(scores=[], returns=[[0.0] * 60] * 2, state=TrialState.FAIL, attributes=failed))
    study = make_study(folder, STUDY.rpartition("/")[2], trials, "search.scheduler.kind=none")
    write_study_page(view_study(study), study / "report.html")
    fill_lake(folder / "lake")
    return folder


def fill_lake(folder: Path) -> None:
    """Hourly bars of two symbols, with all that the data page tells of: a hole, a session without bars, defects."""
    lake, now = Lake(str(folder)), pd.Timestamp("2024-06-01", tz="UTC")
    for symbol in ("ABC", "A <b>long</b> name & more"):
        series = Series(source="made", bar_seconds=3600, adjustment="raw", symbol=symbol)
        for first, stop in (("2024-01-20", "2024-01-24"), ("2024-01-26", "2024-02-10")):
            start_utc, stop_utc = pd.Timestamp(first, tz="UTC"), pd.Timestamp(stop, tz="UTC")
            piece = BarRequest(symbol=symbol, bar_seconds=3600, start_utc=start_utc, stop_utc=stop_utc)
            labels = pd.date_range(first, stop, freq="h", tz="UTC", inclusive="left")
            labels = labels[labels.strftime("%Y-%m-%d") != "2024-01-29"]
            rows = pd.DataFrame(dict.fromkeys(("open", "high", "low", "close"), 100.0), index=labels)
            rows["volume"] = 5.0
            rows.iloc[3, 1] = 90.0  # the high does not bound the others
            rows.iloc[5, 4] = 0.0
            delivery = Delivery(rows=rows, source_uri="made:/bars", calls=1, complete_to_utc=None)
            lake.store(series, piece, delivery, now_utc=now, settle_seconds=0.0, calendar="24/7")
        lake.curate(series)
    write_inventory(lake, *take_inventory(lake, lake.series(), verify=True), folder.parent)


def scored(root: Path) -> str:
    return next((root / "small").glob("2*")).relative_to(root).as_posix()


def walked(root: Path) -> dict[str, tuple[str, str]]:
    """Page -> its address, and what is true once its data are there."""
    run = scored(root)
    return {
        "runs": ("/runs", "document.querySelectorAll('#table tbody tr').length > 4"),
        "run": (f"/run?id={run}", "document.querySelector('#tiles').textContent.length > 10"),
        "run_that_trains": (f"/run?id={TRAINS}", "document.querySelector('#charts canvas')"),
        "run_that_failed": (f"/run?id={FAILED}", "document.body.textContent.includes('failed')"),
        "study": (f"/study?id={STUDY}", "document.querySelectorAll('#trials tbody tr').length === 10"),
        "market": (
            f"/market?id={run}",
            "document.querySelector('#trades tbody tr') && (chosen !== null || void choose(5)) "
            "&& document.querySelector('#bar .thought')",
        ),
        "compare": ("/compare?ids=e/20260110T000000Z-0,e/20260111T000000Z-1", "document.querySelector('#pairs tr')"),
        "data": (
            "/data",
            "document.querySelectorAll('#series tbody tr').length === 2 && document.querySelector('#defects td') "
            "&& document.querySelector('#gaps b')",
        ),
        "live": ("/live", "document.querySelector('input.confirm')"),
        "report": (f"/file?id={run}&name=report.html", "document.readyState === 'complete'"),
        "study_report": (f"/file?id={STUDY}&name=report.html", "document.querySelectorAll('table').length > 2"),
        "inventory": ((root / "inventory.html").as_uri(), "document.querySelectorAll('table').length === 2"),
    }  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_no_page_has_a_serious_fault(root, way):
    width, height, scheme = WAYS[way]
    pictures = os.environ.get("RAYFOLD_PICTURES")

    async def walk():
        server = TestServer(make_application(root, Guard("127.0.0.1"), lake=str(root / "lake")))
        found = {}
        async with server, browser_page() as page:
            await page.call("Emulation.setDeviceMetricsOverride", width=width, height=height,
                            deviceScaleFactor=1, mobile=way == "narrow")  # fmt: skip
            await page.call(
                "Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}]
            )
            await page.call("Page.setBypassCSP", enabled=True)
            for name, (address, there) in walked(root).items():
                there_at = f"http://127.0.0.1:{server.port}" if address.startswith("/") else ""
                await page.open(f"{there_at}{address}")
                await page.until(there, 300)
                await asyncio.sleep(0.5)  # charts are drawn
                await page.run(f"{AXE}; true")
                faults = json.loads(await page.run(ASKED))
                beyond = await page.run(f"document.documentElement.scrollWidth - {width}")
                if beyond > 0:
                    faults.append({"rule": f"the page is {beyond} pixels wider than the screen"})
                if faults:
                    found[name] = faults
                if pictures:
                    shot = await page.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
                    Path(pictures, f"{name}_{way}.png").write_bytes(base64.b64decode(shot["data"]))
        return found

    found = asyncio.run(walk())
    assert found == {}, json.dumps(found, indent=1)
