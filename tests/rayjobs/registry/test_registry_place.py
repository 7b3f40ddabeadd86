"""Where a registry lies: beside the ledger's file, on its server, or where it is told."""

from __future__ import annotations

import pytest

from evaluation.ledger.store import Store
from rayjobs.config.typed_config import ConfigError
from rayjobs.registry.registry import Registry, parse_reference, registry_place
from rayjobs.registry.stages import LADDER, above, below
from rayjobs.registry.versions import PolicyFacts


def facts(fold=0):
    return PolicyFacts(
        run="/runs/small/a", run_id="a", fold=fold, manifest="m", files="f", policy_hash="p", contract_hash="c",
        config_hash="g", data_fingerprint="d", code_commit="", passed=True, headline="Approved", lowered=(),
        synthetic=False, ledger="ledger.sqlite",
    )  # fmt: skip


def test_it_lies_beside_the_ledger_or_on_its_server_or_where_it_is_told(tmp_path):
    assert registry_place(None, "runs/ledger.sqlite") == "runs/registry.sqlite"
    assert registry_place(None, "postgresql://me@host/db") == "postgresql://me@host/db"
    assert registry_place("mine.sqlite", "runs/ledger.sqlite") == "mine.sqlite"
    with pytest.raises(ConfigError, match="where no registry can"):
        registry_place(None, "s3://bucket/runs/ledger.sqlite")
    with pytest.raises(ConfigError, match="there is no registry"):
        Registry.existing(str(tmp_path / "none.sqlite"))
    (tmp_path / "text.sqlite").write_text("no database at all, but some text\n" * 50)
    with pytest.raises(ConfigError, match="is not a ledger"):
        Registry(str(tmp_path / "text.sqlite"))


def test_stages_are_a_ladder():
    assert [above(stage) for stage in LADDER] == ["shadow", "paper", "champion", None]
    assert [below(stage) for stage in LADDER] == [None, "candidate", "shadow", "paper"]
    assert above("retired") is below("retired") is None


def test_a_stage_with_two_versions_asks_which(tmp_path):
    registry = Registry(str(tmp_path / "registry.sqlite"))
    for fold in (0, 1):
        registry.register("small", facts(fold), "drill")
    with pytest.raises(ConfigError, match=r"names 2 versions; say which: small@1 .*small@2"):
        registry.version("small@candidate")
    assert registry.version("small@2").facts.fold == 1


def test_what_was_retired_is_registered_anew(tmp_path):
    registry = Registry(str(tmp_path / "registry.sqlite"))
    first = registry.register("small", facts(), "drill")
    assert registry.register("small", facts(), "drill").number == 1
    registry.move(first, "retire", "retired", why="drill")
    assert registry.register("small", facts(), "drill").number == 2


@pytest.mark.parametrize("name", ["", "a b", "a/b", "a@b", "-x", "x" * 65])
def test_a_name_that_no_reference_could_hold_is_refused(tmp_path, name):
    registry = Registry(str(tmp_path / "registry.sqlite"))
    with pytest.raises(ConfigError, match="name is"):
        registry.register(name, facts(), "drill")


@pytest.mark.parametrize("reference", ["small", "@3", "small@", "small@best"])
def test_a_reference_that_is_none_is_refused(reference):
    with pytest.raises(ConfigError):
        parse_reference(reference)


@pytest.mark.slow
def test_a_registry_shares_a_server_with_the_ledger_and_not_its_chain(postgres):
    ledger = Store(postgres)
    before = ledger.head().events
    registry = Registry(registry_place(None, postgres))
    number = len(registry.versions()) + 1
    version = registry.register(f"server{number}", facts(), "drill")
    assert version.stage == "candidate"
    assert registry.move(version, "promote", "shadow", why="drill").stage == "shadow"
    assert ledger.head().events == before
    assert "://" in registry.place
    assert Store(postgres).chain().broken_at is None
