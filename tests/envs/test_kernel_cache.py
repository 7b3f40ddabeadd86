"""Compiled kernels on disk are of the sources as they are now, or there are none."""

from __future__ import annotations

import os
from pathlib import Path

import numba
import pytest

from envs.kernel.jit import cached, compiled, is_cached
from envs.kernel.lanes import _has_avx
from envs.kernel.step import step_rows


def twice(x):
    return 2 * x


@pytest.fixture
def sources(tmp_path, monkeypatch):
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path / "cache"))
    called = tmp_path / "called.py"
    called.write_text("FACTOR = 2")
    return [Path(__file__), called]


def test_other_sources_have_a_cache_of_their_own_whatever_their_dates_say(sources):
    # Numba itself looks at the entry point's file alone. Were its CACHE_DIR renamed, there would be no cache here.
    dates = sources[1].stat()
    before = cached(twice, numba.njit, sources).stats.cache_path
    assert before is not None
    sources[1].write_text("FACTOR = 3")
    os.utime(sources[1], ns=(dates.st_atime_ns, dates.st_mtime_ns))
    assert cached(twice, numba.njit, sources).stats.cache_path != before
    sources[1].write_text("FACTOR = 2")
    assert cached(twice, numba.njit, sources).stats.cache_path == before


def test_a_function_that_was_compiled_here_is_known_until_its_sources_change(sources):
    first = cached(twice, numba.njit, sources)
    assert not is_cached(first)
    first(2)
    assert is_cached(first)
    sources[1].write_text("FACTOR = 4")
    assert not is_cached(cached(twice, numba.njit, sources))


def test_where_no_folder_of_ours_can_be_written_nothing_is_cached(sources, tmp_path):
    (tmp_path / "cache").write_text("a file where the folder would be")
    dispatcher = cached(twice, numba.njit, sources)
    assert dispatcher.stats.cache_path is None
    assert not is_cached(dispatcher)
    assert str(tmp_path / "cache") == numba.config.CACHE_DIR


def test_the_kernel_is_cached_under_the_digest_of_all_its_files():
    assert compiled(twice).stats.cache_path is not None
    folders = [part for part in Path(step_rows.stats.cache_path).parts if part.startswith("kernels-")]
    assert len(folders) == 1


def test_a_processor_with_avx_is_known_as_one():
    features = numba.core.registry.cpu_target.target_context.codegen().magic_tuple()[2].split(",")
    assert all(feature[0] in "+-" for feature in features if feature)
    assert _has_avx() == ("+avx" in features)
