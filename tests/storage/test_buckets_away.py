"""Buckets that do not answer or cannot be used: one line, and no training is lost."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import nas_sens as ns
from nas_sens.pipeline.prepare import prepare
from nas_sens.storage import artifact_buckets
from nas_sens.storage.artifact_check import check_writable
from nas_sens.storage.artifact_patience import Patience
from nas_sens.storage.artifacts import Artifacts
from nas_sens.storage.study_storage import StudyStorage
from nas_sens.training import train
from nas_sens.training.checkpoint import Checkpoint
from tests.storage.loopback import free_port
from tests.storage.s3_server import BUCKET, NO_AWS
from tests.tiny_study import tiny, url

PLACE = f"s3://{BUCKET}/some/nets"
ONE = tiny(train=ns.TrainSpec(epochs=2, seeds=1))
BRIEF = Patience(max_retries=2, min_delay=0.05, max_delay=0.1)


@pytest.fixture
def away(monkeypatch: pytest.MonkeyPatch) -> None:
    """No server where the environment says that one is."""
    pytest.importorskip("boto3", reason="no boto3 (pip install nas-sens[s3])")
    keys = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}
    for key, value in {**keys, **NO_AWS, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{free_port()}"}.items():
        monkeypatch.setenv(key, value)


def test_without_an_answer_a_search_does_not_begin(away: None, tmp_path: Path) -> None:
    with pytest.raises(ns.StorageError, match="check the network") as error:
        ns.search(ONE, storage=url(tmp_path), artifacts=PLACE)
    assert "\n" not in str(error.value)
    assert not StudyStorage(url(tmp_path)).study_names()


def test_a_service_that_stays_away_is_one_line_and_stores_no_reference(away: None, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    artifacts = Artifacts(PLACE, patience=BRIEF)
    for ask in (lambda: artifacts.write({"a": tmp_path / "file"}), lambda: artifacts.get("a")):
        with pytest.raises(ns.StorageError, match=r"127\.0\.0\.1") as error:
            ask()
        assert "\n" not in str(error.value)


def test_a_checkpoint_is_not_waited_for(away: None, tmp_path: Path) -> None:
    class Empty(Artifacts):
        def get(self, name: str) -> None:
            return None

    prepared = prepare(ONE)
    network = ns.FCSpec(depth=1, width=4)
    checkpoint = Checkpoint(Empty(PLACE), "checkpoints/a", seconds=0)
    outcomes = [train(network, prepared.splits, ONE.train, seed=1, checkpoint=c) for c in (checkpoint, None)]
    assert "127.0.0.1" in checkpoint.problem
    assert outcomes[0].curves == outcomes[1].curves


@pytest.mark.parametrize("scheme", ["s3", "gs"])
def test_without_credentials_a_search_does_not_begin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    library = pytest.importorskip({"s3": "boto3", "gs": "google.cloud.storage"}[scheme])
    if scheme == "s3":
        monkeypatch.setattr(library, "DEFAULT_SESSION", None)  # which keeps the credentials of other tests
    for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "STORAGE_EMULATOR_HOST"):
        monkeypatch.delenv(key, raising=False)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))
    for key, value in NO_AWS.items():
        monkeypatch.setenv(key, value)
    with pytest.raises(ns.InvalidInputError, match=f"{scheme}://{BUCKET}") as error:
        ns.search(ONE, storage=url(tmp_path), artifacts=f"{scheme}://{BUCKET}")
    assert "\n" not in str(error.value)
    assert {"s3": "set AWS_ACCESS_KEY_ID", "gs": "set GOOGLE_APPLICATION_CREDENTIALS"}[scheme] in str(error.value)


@pytest.mark.parametrize(("scheme", "module", "extra"), [("s3", "boto3", "s3"), ("gs", "google.cloud", "gcs")])
def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch, scheme: str, module: str, extra: str) -> None:
    for name in [n for n in sys.modules if n == module or n.startswith(f"{module}.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setitem(sys.modules, "google.api_core" if scheme == "gs" else "botocore", None)
    with pytest.raises(ns.InvalidInputError, match=rf"pip install 'nas-sens\[{extra}\]'") as error:
        check_writable(Artifacts(f"{scheme}://{BUCKET}"))
    assert "\n" not in str(error.value)


def test_a_training_outlives_an_outage_of_two_minutes() -> None:
    for patience in artifact_buckets._PATIENCE.values():
        waits = [
            min(patience.min_delay * patience.multiplier**i, patience.max_delay)
            for i in range(patience.max_retries - 1)
        ]
        own = 120 * patience.max_retries if patience.max_retries == 2 else 0  # Google's library waits itself
        assert 120 < sum(waits) + own < 300
