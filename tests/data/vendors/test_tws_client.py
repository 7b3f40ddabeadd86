"""Which client library is used, and where it may be called from."""

import asyncio
import importlib.util
import shutil
import sys
from pathlib import Path

import ib_insync
import pytest
from tws.clients import event_loop

from data.vendors import tws_client
from data.vendors.definition import VendorError
from data.vendors.tws_client import TwsAddress, TwsConnection, client_library


def address(tws):
    return TwsAddress(host="127.0.0.1", port=tws.port, client_id=5, connect_timeout_s=2.0)


@pytest.fixture
def installed(monkeypatch):
    """Return say(*names): let only these libraries seem to be installed."""
    real = importlib.util.find_spec

    def say(*names):
        def find(name, *args):
            if name in tws_client.LIBRARIES and name not in names:
                return None
            return real(name, *args)

        monkeypatch.setattr(importlib.util, "find_spec", find)

    return say


@pytest.fixture
def renamed(tmp_path, monkeypatch):
    """The installed client under the name of its continuation, which has the same names in it."""
    shutil.copytree(Path(ib_insync.__file__).parent, tmp_path / "ib_async")
    for file in (tmp_path / "ib_async").glob("*.py"):
        file.write_text(file.read_text().replace("ib_insync", "ib_async"))
    monkeypatch.syspath_prepend(tmp_path)
    yield
    for name in [name for name in sys.modules if name.split(".")[0] == "ib_async"]:
        del sys.modules[name]


def test_the_continuation_serves_where_it_alone_is_installed(tws, installed, renamed):
    installed("ib_async")
    with event_loop():
        connection = TwsConnection(address(tws))
        assert type(connection.ib).__module__ == "ib_async.ib"
        asked = client_library().Stock("SPY", "SMART", "USD")
        (details,) = connection.ask(lambda ib: ib.reqContractDetailsAsync(asked), 2.0)
        assert details.contract.conId == 756733
        connection.close()


@pytest.mark.parametrize(("names", "words"), [((), "neither"), (("ib_insync", "ib_async"), "both")])
def test_none_or_two_libraries_are_an_error_that_says_what_to_do(installed, renamed, names, words):
    installed(*names)
    with pytest.raises(VendorError, match=f"{words}.*exactly one"):
        client_library()


def test_a_call_from_a_coroutine_is_refused_with_the_reason(tws):
    async def call():
        TwsConnection(address(tws))

    with pytest.raises(RuntimeError, match="running event loop"):
        asyncio.run(call())


def test_a_thread_without_a_loop_gets_one(tws):
    from concurrent.futures import ThreadPoolExecutor

    def ask():
        connection = TwsConnection(address(tws))
        now = connection.ask(lambda ib: ib.reqCurrentTimeAsync(), 2.0)
        connection.close()
        asyncio.get_event_loop_policy().get_event_loop().close()
        return now.year

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(ask).result(10) == 2024


def test_a_connection_is_used_by_the_thread_that_opened_it(tws):
    from concurrent.futures import ThreadPoolExecutor

    with event_loop(), ThreadPoolExecutor(1) as pool:
        connection = TwsConnection(address(tws))
        asked = pool.submit(connection.ask, lambda ib: ib.reqCurrentTimeAsync(), 2.0)
        with pytest.raises(RuntimeError, match="another thread"):
            asked.result(10)
        connection.close()
