"""The index of settings: read once as runs appear, never older than their files, made again where it is lost."""

from __future__ import annotations

import os
import sqlite3
import threading
import time

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from rayjobs.config.compose import compose
from rayjobs.pages import settings_sections
from rayjobs.pages.catalogue import Catalogue
from rayjobs.pages.listing import Question, listed
from rayjobs.pages.notes import Notes
from rayjobs.pages.secrets import without_secrets
from rayjobs.pages.settings_index import SettingsIndex
from rayjobs.pages.settings_sections import SeenParts, leaves, read_sections
from rayjobs.pages.settings_store import INDEX_FILE

WORDS = st.text("ab _-:#&*|>\"'\n{[,%!é\t", max_size=12)
SCALARS = st.one_of(WORDS, st.integers(), st.floats(), st.booleans(), st.none(), st.dates())
NAMES = st.text("ab_1", min_size=1, max_size=4).filter(lambda name: not name[0].isdigit()) | WORDS
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)


def written(run, text):
    run.mkdir(parents=True, exist_ok=True)
    (run / "config.yaml").write_text(text, encoding="utf-8")
    return run


def merged(sections):
    return {key: value for section in sections for key, value in section.settings.items()}


def whole(text):
    """What the file says, parsed at once."""
    values = yaml.safe_load(text)
    values.pop("provenance")
    return without_secrets(dict(leaves(values)))


@settings(max_examples=150, deadline=None)
@given(values=st.dictionaries(NAMES, VALUES, max_size=5), unicode=st.booleans())
def test_read_in_parts_a_configuration_says_what_it_says_whole(tmp_path_factory, values, unicode):
    text = yaml.safe_dump({**values, "provenance": {"a": 1}}, sort_keys=False, allow_unicode=unicode)
    run = written(tmp_path_factory.mktemp("run"), text)
    assert repr(merged(read_sections(run, SeenParts()))) == repr(whole(text))  # so that nan is nan


@pytest.mark.parametrize(
    "text",
    [
        "a: &x {b: 1}\nc: *x\nprovenance: {}\n",
        "a:\n  <<: &y {b: 2}\n  c: 3\nd:\n  <<: *y\nprovenance: {}\n",
        'a: "one\ntwo: three"\nprovenance: {}\n',
        "a:\n  b: |\n    one\n\n    two\n  c: 1\n# words\nd: [1,\n2]\nprovenance: {}\n",
        "a:\n  b: 1\n  # words\n  c: 2\n\n\nprovenance:\n  x: 1\n",
        "a:\n  b: 1\n  b: 2\nprovenance: {}\n",
        "a: 1\na: 2\nprovenance: {}\n",
        "{a: {b: 1}, provenance: {}}\n",
        "? a\n: 1\nprovenance: {}\n",
        "a:\n- b: 1\n  c: 2\n- 3\nprovenance: {}\n",
        "a:\n    b: 1\n    c:\n      - 1\nprovenance: {}\n",
        "provenance: {}\n'a b':\n  c: 1\n",
        "on: 1\nyes:\n  no: 2\nprovenance: {}\n",
        "--- # words\na: 1\nprovenance: {}\n",
    ],
)
def test_what_a_person_may_have_written_is_read_as_yaml_has_it(tmp_path, text):
    assert merged(read_sections(written(tmp_path / "run", text), SeenParts())) == whole(text)


@pytest.mark.parametrize("text", ["{[", "a: 1\n", "a: *nothing\nprovenance: {}\n", "- 1\n", "", "\x00"])
def test_what_is_no_configuration_has_no_settings(tmp_path, text):
    assert read_sections(written(tmp_path / "run", text), SeenParts()) == ()


def test_of_a_real_configuration_parts_that_were_seen_are_not_parsed_again(tmp_path, monkeypatch):
    values = compose("train", ["+experiment=crypto_portfolio"])
    parsed = []
    load = yaml.load
    monkeypatch.setattr(
        settings_sections.yaml, "load", lambda text, Loader: parsed.append(text) or load(text, Loader)
    )
    seen = SeenParts()
    for number in range(3):
        values["algo"]["gamma"] = 0.9 + number / 100
        text = yaml.safe_dump({**values, "provenance": {"run_id": number}}, sort_keys=False)
        expected = whole(text)
        parsed.clear()
        assert merged(read_sections(written(tmp_path / str(number), text), seen)) == expected
        assert number == 0 or parsed == [f"  gamma: {values['algo']['gamma']}\n"]


def config_of(run, **values):
    return written(run, yaml.safe_dump({**values, "provenance": {}}))


def test_settings_are_kept_below_the_root_and_read_again_once_their_file_changes(tmp_path, monkeypatch):
    run = config_of(tmp_path / "a", algo={"gamma": 0.9, "api_key": "hush"})
    assert SettingsIndex(tmp_path).of("a", run) == {"algo.gamma": 0.9, "algo.api_key": "(hidden)"}
    assert b"hush" not in (tmp_path / INDEX_FILE).read_bytes()
    again = SettingsIndex(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr("rayjobs.pages.settings_index.read_sections", None)  # nothing is read anew
        assert again.column("algo.gamma", {"a": run}) == {"a": 0.9}
    known = (run / "config.yaml").stat()
    config_of(tmp_path / "a", algo={"gamma": 0.8})  # of another size
    assert again.column("algo.gamma", {"a": run}) == {"a": 0.8}
    config_of(tmp_path / "a", algo={"gamma": 0.7})  # of the same size, its time set back
    os.utime(run / "config.yaml", ns=(known.st_atime_ns, known.st_mtime_ns))
    assert again.column("algo.gamma", {"a": run}) == {"a": 0.7}
    (run / "config.yaml").unlink()
    assert again.of("a", run) == {}


def truncated(file):
    file.write_bytes(file.read_bytes()[:5000])


def of_another_release(file):
    database = sqlite3.connect(file)
    database.execute("PRAGMA user_version = 1")
    database.close()


@pytest.mark.parametrize(
    "harm",
    [lambda file: file.unlink(), lambda file: file.write_text("no database"), truncated, of_another_release],
)
def test_an_index_that_is_lost_damaged_or_of_another_release_is_made_again(tmp_path, harm):
    runs = {f"{n}": config_of(tmp_path / f"{n}", algo={"gamma": n, "words": "x" * 400}) for n in range(40)}
    assert len(SettingsIndex(tmp_path).column("algo.gamma", runs)) == 40
    harm(tmp_path / INDEX_FILE)
    assert SettingsIndex(tmp_path).column("algo.gamma", runs) == {f"{n}": n for n in range(40)}
    assert SettingsIndex(tmp_path).column("algo.gamma", runs) == {f"{n}": n for n in range(40)}
    assert (tmp_path / INDEX_FILE).read_bytes()[:6] == b"SQLite"


def test_where_nothing_can_be_written_below_the_root_the_index_lies_in_the_cache(tmp_path):
    root, spare = tmp_path / "runs", tmp_path / "cache"
    run = config_of(root / "a", algo={"gamma": 0.9})
    (root / ".index").write_text("in the way")
    assert SettingsIndex(root, spare).of("a", run) == {"algo.gamma": 0.9}
    assert len(list(spare.glob("*.sqlite"))) == 1
    spare_is_gone = tmp_path / "file"
    spare_is_gone.write_text("")
    assert SettingsIndex(root, spare_is_gone).of("a", run) == {"algo.gamma": 0.9}  # in memory alone


def test_two_dashboards_of_one_root_write_one_index(tmp_path):
    runs = {f"{n}": config_of(tmp_path / f"{n}", algo={"gamma": n}) for n in range(30)}
    found = []
    indexes = [SettingsIndex(tmp_path) for _ in range(4)]
    threads = [
        threading.Thread(target=lambda i=i: found.append(i.column("algo.gamma", runs))) for i in indexes
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [{f"{n}": n for n in range(30)}] * 4
    assert SettingsIndex(tmp_path).column("algo.gamma", runs) == found[0]


def test_a_dashboard_that_is_ended_leaves_off_reading(tmp_path):
    runs = {"a": config_of(tmp_path / "a", algo={"gamma": 1})}
    stopped = threading.Event()
    stopped.set()
    SettingsIndex(tmp_path).read(runs, stopped)
    assert not (tmp_path / INDEX_FILE).exists()


@pytest.mark.slow
def test_a_filter_over_the_settings_of_two_thousand_runs_takes_less_than_two_seconds_of_a_cold_start(
    tmp_path,
):
    values = compose("train", ["+experiment=crypto_portfolio"])
    values["algo"] |= {"gamma": 0.123456, "gae_lambda": 0.654321}
    text = yaml.safe_dump({**values, "provenance": {"run_id": "x"}}, sort_keys=False)
    for number in range(2000):
        run = tmp_path / "e" / f"20260101T{number:06d}Z-{number:06x}"
        own = text.replace("0.123456", f"{0.9 + number / 1e5:.5f}").replace(
            "0.654321", f"0.{number % 7 + 91}"
        )
        written(run, own.replace("\nseed: ", f"\nseed: {number} #"))
        (run / "status.json").write_text('{"status": "done", "started_utc": "2026-01-01T00:00:00Z"}')
    took = []
    for _ in range(2):  # without an index, and with it
        catalogue = Catalogue(tmp_path)
        catalogue.refresh()
        began = time.process_time()
        found = listed(catalogue, Notes(tmp_path), Question(filter="algo.gamma >= 0.91 and seed < 1500"))
        took.append(time.process_time() - began)
        assert found["found"] == 500  # from 1,000 on, below 1,500
    assert max(took) < 2.0, took
