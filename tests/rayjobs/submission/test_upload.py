"""What a job takes with it: the working tree without what git ignores, and no more than allowed."""

from __future__ import annotations

from pathlib import Path

import pytest

from rayjobs.config.typed_config import ConfigError
from rayjobs.submission.upload import check_upload, files_to_upload

pytest.importorskip("ray")
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def tree(tmp_path):
    (tmp_path / ".gitignore").write_text("/runs/\n*.bin\n")
    sizes = {
        "rayjobs/train.py": 10,
        "data/big.parquet": 3 * 1024 * 1024,
        "data/small.parquet": 1024 * 1024,
        "runs/a/progress.csv": 9 * 1024 * 1024,
        "weights.bin": 9 * 1024 * 1024,
        "tests/test_x.py": 10,
        ".venv/lib/x.py": 9 * 1024 * 1024,
        ".git/objects/x": 9 * 1024 * 1024,
    }
    for name, size in sizes.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x" * size)
    return tmp_path


def test_what_git_ignores_is_not_sent_nor_are_tests_and_git_itself(tree):
    names = [str(file.path) for file in files_to_upload(tree)]
    assert names == [".gitignore", "data/big.parquet", "data/small.parquet", "rayjobs/train.py"]


def test_rays_own_archive_holds_the_files_that_were_counted(tree, tmp_path_factory):
    import zipfile

    from ray._private.runtime_env.packaging import create_package

    from rayjobs.submission.upload import EXCLUDES

    archive = tmp_path_factory.mktemp("archive") / "tree.zip"
    create_package(str(tree), archive, include_gitignore=True, excludes=list(EXCLUDES))
    packed = sorted(name for name in zipfile.ZipFile(archive).namelist() if not name.endswith("/"))
    assert packed == [str(file.path) for file in files_to_upload(tree)]


def test_an_upload_within_the_limit_is_measured(tree):
    assert check_upload(tree, 5.0) == pytest.approx(4.0, abs=0.001)  # 3 MB + 1 MB and a few bytes


def test_an_over_large_upload_is_refused_with_the_largest_files_first(tree):
    with pytest.raises(
        ConfigError, match=r"4\.0 MB.*max_upload_mb=2; largest: data/big\.parquet \(3\.0 MB\), data/sm"
    ):
        check_upload(tree, 2.0)


def test_a_folder_without_rayfold_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="holds no rayjobs/"):
        check_upload(tmp_path, 100.0)


def test_this_repository_is_sent_with_its_packages_and_configuration():
    names = {str(file.path) for file in files_to_upload(ROOT)}
    assert {"rayjobs/train.py", "data/schema.py", "conf/train.yaml", "envs/portfolio.py"} <= names
    assert not any(name.startswith(("tests/", ".git/", ".venv/", "runs/")) for name in names)
