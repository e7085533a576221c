"""Where artifacts lie: what is taken for a place, what a study remembers, and when it may be another one."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from optuna.artifacts.exceptions import ArtifactNotFound

import nas_sens as ns
from nas_sens.dashboard.artifacts_of_all import ArtifactsOfAll
from nas_sens.pipeline.declare import declare
from nas_sens.pipeline.search import open_study
from nas_sens.storage.artifact_places import ATTRIBUTE, place_of, to_remember
from nas_sens.storage.artifacts import Artifacts
from nas_sens.storage.study_storage import StudyStorage
from tests.tiny_study import tiny, url

ONE = {"select": ns.SelectSpec(rule="pareto", top_k=1, control=0), "train": ns.TrainSpec(epochs=1, seeds=1)}


def test_what_is_a_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert place_of("some/../nets") == str(tmp_path / "nets")
    assert place_of(Path("~/nets")) == str(Path.home() / "nets")
    for given in ("s3://b/x/y", "s3://b/x/y/", Path("s3://b/x/y")):
        assert place_of(given) == "s3://b/x/y"
    assert place_of("gs://b") == "gs://b"
    (tmp_path / "file").touch()
    for wrong in ("file", "s3://", "ftp://host/x", "https://b.s3.amazonaws.com/x"):
        with pytest.raises(ns.InvalidInputError) as error:
            place_of(wrong)
        assert "\n" not in str(error.value)
        assert wrong in str(error.value)


def test_a_study_remembers_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ns.search(tiny(**ONE), storage=url(tmp_path), artifacts="nets")
    assert StudyStorage(url(tmp_path)).attributes("tiny")[ATTRIBUTE] == str(tmp_path / "nets")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert ns.load_model(url(tmp_path), "tiny") is not None
    ns.search(tiny(**ONE), storage=url(tmp_path), top_k=2)
    assert len(list((tmp_path / "nets").iterdir())) == 2 * 5
    assert not (tmp_path / "a_artifacts").exists()


def test_the_default_moves_with_the_database(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    ns.search(tiny(**ONE), storage=url(tmp_path / "one"))
    assert ATTRIBUTE not in StudyStorage(url(tmp_path / "one")).attributes("tiny")
    shutil.move(tmp_path / "one", tmp_path / "two")
    assert ns.load_model(url(tmp_path / "two"), "tiny") is not None


def test_another_place_is_refused_once_something_lies_in_the_first(tmp_path: Path) -> None:
    spec = declare(tiny(**ONE))
    for place in ("one", "two"):  # nothing is stored yet
        open_study(spec, storage=url(tmp_path), artifacts=tmp_path / place)
        assert StudyStorage(url(tmp_path)).attributes("tiny")[ATTRIBUTE] == str(tmp_path / place)
    ns.search(tiny(**ONE), storage=url(tmp_path))
    with pytest.raises(ns.InvalidInputError, match=r"lie in .*two, but --artifacts is .*three") as error:
        open_study(spec, storage=url(tmp_path), artifacts=tmp_path / "three")
    assert "\n" not in str(error.value)
    shutil.move(tmp_path / "two", tmp_path / "three")
    open_study(spec, storage=url(tmp_path), artifacts=tmp_path / "three")
    assert StudyStorage(url(tmp_path)).attributes("tiny")[ATTRIBUTE] == str(tmp_path / "three")
    shutil.move(tmp_path / "three", tmp_path / "a_artifacts")
    open_study(spec, storage=url(tmp_path), artifacts=tmp_path / "a_artifacts")
    assert StudyStorage(url(tmp_path)).attributes("tiny")[ATTRIBUTE] is None
    assert ns.load_model(url(tmp_path), "tiny") is not None


def test_reading_elsewhere_changes_nothing(tmp_path: Path) -> None:
    ns.search(tiny(**ONE), storage=url(tmp_path), artifacts=tmp_path / "nets")
    shutil.copytree(tmp_path / "nets", tmp_path / "copy")
    shutil.rmtree(tmp_path / "nets")
    with pytest.raises(ns.StorageError, match=r"not in .*nets; name the right place with --artifacts"):
        ns.load_model(url(tmp_path), "tiny")
    assert ns.load_model(url(tmp_path), "tiny", artifacts=tmp_path / "copy") is not None
    assert StudyStorage(url(tmp_path)).attributes("tiny")[ATTRIBUTE] == str(tmp_path / "nets")


def test_on_a_server_the_default_is_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    server = {"url": "postgresql://u:p@host/db", "given": None, "has_all": lambda _: True}
    assert to_remember("a", stored=None, **server) == {ATTRIBUTE: str(tmp_path / "nas_sens_artifacts")}
    assert to_remember("a", stored={ATTRIBUTE: str(tmp_path / "x")}, **server) == {}


def test_a_folder_that_cannot_be_written_is_told_before_the_search(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ns.InvalidInputError, match="must be one that can be written") as error:
        ns.search(tiny(**ONE), storage=url(tmp_path), artifacts=tmp_path / "file" / "nets")
    assert "\n" not in str(error.value)
    assert not StudyStorage(url(tmp_path)).exists("tiny")


def test_the_dashboard_finds_artifacts_of_all_studies(tmp_path: Path) -> None:
    places = {"default": None, "given": tmp_path / "nets"}
    for name, place in places.items():
        ns.search(replace(tiny(**ONE), name=name), storage=url(tmp_path), artifacts=place)
    store = ArtifactsOfAll(StudyStorage(url(tmp_path)))
    for folder in (tmp_path / "a_artifacts", tmp_path / "nets"):
        for path in folder.iterdir():
            with store.open_reader(path.name) as file:
                assert file.read() == path.read_bytes()
    with pytest.raises(ArtifactNotFound):
        store.open_reader("none")
    for change in (lambda: store.remove(path.name), lambda: store.write("x", path.open("rb"))):
        with pytest.raises(ns.StorageError, match="dashboard"):
            change()
    assert path.exists()


def test_files_by_name(tmp_path: Path) -> None:
    artifacts = Artifacts(tmp_path / "nets")
    assert artifacts.get("sub/a") is None
    for content in (b"one", b"two"):
        artifacts.put("sub/a", lambda file, content=content: file.write(content))
        with artifacts.get("sub/a") as file:
            assert file.read() == content
    assert [p.name for p in (tmp_path / "nets" / "sub").iterdir()] == ["a"]
    artifacts.remove("sub/a")
    artifacts.remove("sub/a")
    assert list((tmp_path / "nets").iterdir()) == []
