import pytest

from rayjobs.storage.run_directory import RunConfig, RunDirectory
from rayjobs.storage.started_run import StartedRun


def test_a_process_knows_what_its_run_was_started_with_as_another_reads_it(tmp_path):
    place = RunConfig(experiment="x", directory=str(tmp_path))
    run = RunDirectory.create(place, {"seed": 3, "algo": {"lr": 1e-3}}, seed=3, data_fingerprint="f00d")
    (run.path / "config.yaml").rename(run.path / "elsewhere.yaml")
    known = run.started
    (run.path / "elsewhere.yaml").rename(run.path / "config.yaml")
    assert known == StartedRun.read(run.path) == RunDirectory(run.path).started
    known.config()["algo"]["lr"] = 1.0
    assert known.values["algo"]["lr"] == 1e-3


@pytest.mark.parametrize(
    ("text", "said"),
    [("seed: 3\n", "no provenance"), ("- 1\n", "not what a run"), ("a: [\n", "not what a run")],
)
def test_a_file_that_is_no_start_of_a_run_is_refused_by_name(tmp_path, text, said):
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(ValueError, match=said) as refused:
        StartedRun.read(tmp_path)
    assert str(tmp_path / "config.yaml") in str(refused.value)
