"""Peers that no package index offers come from their repository, at one commit."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from rayjobs.bench.env_peers import PEERS, Peer, peer_row


def git(folder, *arguments):
    identity = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
    done = subprocess.run(
        ["git", "-C", str(folder), *identity, *arguments], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path):
    """A repository of two commits; the first one steps 7 envs a second, the second one 8."""
    folder = tmp_path / "repository"
    folder.mkdir()
    git(folder, "init", "--quiet")
    for rate in (7, 8):
        (folder / "tiny_env.py").write_text(f"RATE = {rate}\n")
        git(folder, "add", "tiny_env.py")
        git(folder, "commit", "--quiet", "-m", str(rate))
    return folder


@pytest.fixture
def peer(repository, tmp_path):
    worker = tmp_path / "worker.py"
    worker.write_text("import json, tiny_env\nprint(json.dumps({'steps_per_second': tiny_env.RATE}))\n")
    commit = git(repository, "rev-parse", "HEAD~1")
    return Peer(name="tiny", requirements=(f"{repository}@{commit}",), worker=str(worker), work="nothing")


def test_a_repository_is_checked_out_at_its_commit(peer, tmp_path):
    row = peer_row(peer, tmp_path / "cache", 0.1)
    assert row["value"] == 7.0
    assert row["name"] == f"tiny {peer.requirements[0].split('@')[1][:7]}"


def test_a_folder_at_the_commit_is_used_without_its_repository(peer, repository, tmp_path):
    peer_row(peer, tmp_path / "cache", 0.1)
    shutil.rmtree(repository)
    assert peer_row(peer, tmp_path / "cache", 0.1)["value"] == 7.0


def test_a_repository_that_cannot_be_reached_is_a_row_with_the_reason(peer, repository, tmp_path):
    shutil.rmtree(repository)
    row = peer_row(peer, tmp_path / "cache", 0.1)
    assert row["value"] is None
    assert "repository" in row["settings"]["reason"]


def test_every_peer_is_pinned():
    assert [peer.version for peer in PEERS] == ["0.1.0", "0.3.7", "1e1aa38"]
