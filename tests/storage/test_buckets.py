"""Artifacts in buckets, on real servers of this machine: what is kept, and what outlives an outage."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from optuna.artifacts.exceptions import ArtifactNotFound

import nas_sens as ns
from nas_sens.cli.main import main
from nas_sens.dashboard.artifacts_of_all import ArtifactsOfAll
from nas_sens.pipeline import training_job
from nas_sens.storage.artifact_check import check_writable
from nas_sens.storage.artifacts import Artifacts
from nas_sens.storage.study_storage import StudyStorage
from nas_sens.training.training_run import TrainingRun
from tests.storage.gcs_server import gcs_server
from tests.storage.s3_server import BUCKET, S3Server, s3_server
from tests.tiny_study import comparable, tiny, url

PLACE = f"s3://{BUCKET}/some/nets"
SPEC = tiny(train=ns.TrainSpec(epochs=4, seeds=2, checkpoint_seconds=0.0))
ONE = tiny(train=ns.TrainSpec(epochs=2, seeds=1), select=ns.SelectSpec(rule="pareto", top_k=2, control=0))


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with s3_server() as running:
        yield running


@pytest.fixture
def s3(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    for key, value in server.environment().items():
        monkeypatch.setenv(key, value)
    return server


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    with pytest.raises(SystemExit) as ended:
        main([str(a) for a in arguments])
    return int(ended.value.code or 0), capsys.readouterr().err


def test_files_come_back_from_under_the_prefix(s3: S3Server) -> None:
    artifacts = Artifacts(PLACE)
    check_writable(artifacts)
    before = s3.objects()
    for content in (b"one", b"two"):
        artifacts.put("checkpoints/a", lambda file, content=content: file.write(content))
    assert set(s3.objects()) - set(before) == {"some/nets/checkpoints/a"}
    with artifacts.get("checkpoints/a") as file:
        assert file.read() == b"two"
    assert artifacts.get("checkpoints/b") is None
    with pytest.raises(ArtifactNotFound, match="not in s3://"):
        artifacts.store.open_reader("checkpoints/b")
    began = time.monotonic()
    artifacts.remove("checkpoints/a")
    assert time.monotonic() - began < 1, "Optuna's own goes on after it has succeeded"
    assert s3.objects() == before


@pytest.mark.slow
def test_a_study_with_a_bucket_is_as_with_a_folder(
    s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = set(s3.objects())
    result = ns.search(SPEC, storage=url(tmp_path), artifacts=PLACE)
    assert comparable(result) == comparable(ns.search(SPEC, storage=url(tmp_path, "b")))
    keys = set(s3.objects()) - before
    assert len(keys) == 3 * len(result.trials), "configuration, weights and log; no checkpoint is left"
    assert all(key.startswith("some/nets/") for key in keys)
    assert not (tmp_path / "a_artifacts").exists()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert run(capsys, "export", "tiny", "--storage", url(tmp_path), "-o", "net") == (0, "")
    here = json.loads(Path("net/config.json").read_text())
    assert ns.load_model("net") is not None
    assert here["model_args"] == json.loads(exported(tmp_path, "b").read_text())["model_args"]
    assert run(capsys, "train", "tiny", "--storage", url(tmp_path), "--top-k", 3, "-q")[0] == 0
    assert len(set(s3.objects()) - before) == 3 * 4
    store = ArtifactsOfAll(StudyStorage(url(tmp_path)))
    for key in keys:
        with store.open_reader(key.rpartition("/")[2]) as file:
            assert file.read()


def exported(folder: Path, name: str) -> Path:
    ns.export_model(url(folder, name), "tiny", folder / f"net_{name}")
    return folder / f"net_{name}" / "config.json"


@pytest.mark.slow
def test_a_killed_training_goes_on_on_another_machine(
    s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = ns.search(SPEC, storage=url(tmp_path, "whole"))
    epochs: list[int] = []
    original = TrainingRun.train_epoch

    def counted(self: TrainingRun) -> None:
        epochs.append(self.n_done)
        if len(epochs) == 7:  # in the third epoch of the second seed
            raise KeyboardInterrupt
        original(self)

    monkeypatch.setattr(TrainingRun, "train_epoch", counted)
    for machine in ("one", "two"):
        (tmp_path / machine).mkdir()
    monkeypatch.chdir(tmp_path / "one")
    with pytest.raises(KeyboardInterrupt):
        ns.search(SPEC, storage=url(tmp_path), artifacts=PLACE)
    monkeypatch.chdir(tmp_path / "two")
    result = ns.search(SPEC, storage=url(tmp_path))
    assert epochs[:9] == [0, 1, 2, 3, 0, 1, 2, 2, 3]
    assert comparable(result) == comparable(whole)
    assert list((tmp_path / "one").iterdir()) == list((tmp_path / "two").iterdir()) == []
    assert not [key for key in s3.objects() if "checkpoints" in key]


@pytest.mark.slow
def test_a_training_that_ends_while_the_service_is_away_is_stored(
    s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    original = training_job.train
    restarts: list[threading.Timer] = []

    def ends_in_an_outage(*args: object, **kwargs: object) -> object:
        outcome = original(*args, **kwargs)  # type: ignore[arg-type]
        if not restarts:
            s3.stop()
            restarts.append(threading.Timer(4.0, s3.start))
            restarts[0].start()
        return outcome

    monkeypatch.setattr(training_job, "train", ends_in_an_outage)
    try:
        result = ns.search(ONE, storage=url(tmp_path), artifacts=PLACE)
    finally:
        restarts[0].join()
    assert comparable(result) == comparable(ns.search(ONE, storage=url(tmp_path, "b")))
    assert all(ns.load_model(url(tmp_path), "tiny", rank=rank) is not None for rank in (1, 2))
    told = capfd.readouterr().err
    assert "trying again" in told
    assert "Traceback" not in told


def test_a_bucket_that_is_not_there_is_one_line(
    s3: S3Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "study.toml").write_text('name = "tiny"\nsearch_space = "fc"\n[data]\nname = "digits"\n')
    where = ("--storage", url(tmp_path), "--artifacts", "s3://no-such-bucket/x")
    code, err = run(capsys, "search", tmp_path / "study.toml", *where)
    assert (code, err.count("\n")) == (2, 1), err
    for part in ("s3://no-such-bucket/x", "NoSuchBucket", "give --artifacts a bucket that is there"):
        assert part in err
    assert not StudyStorage(url(tmp_path)).study_names()


@pytest.mark.slow
def test_the_same_on_google_cloud_storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with gcs_server() as address:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", address)
        result = ns.search(ONE, storage=url(tmp_path), artifacts=f"gs://{BUCKET}/some/nets")
        assert comparable(result) == comparable(ns.search(ONE, storage=url(tmp_path, "b")))
        assert ns.load_model(url(tmp_path), "tiny") is not None
        with pytest.raises(ns.InvalidInputError, match="gs://no-such-bucket: 404") as error:
            ns.search(replace(ONE, name="other"), storage=url(tmp_path), artifacts="gs://no-such-bucket")
        assert "\n" not in str(error.value)
