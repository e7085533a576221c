"""Studies of pictures that stay in their files: the same as in memory, and nothing lost where a picture is damaged."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

import nas_sens as ns
from nas_sens.core.errors import InvalidInputError
from nas_sens.data.cache_folder import VARIABLE
from nas_sens.storage.study_storage import StudyStorage
from tests.picture_folder import SIZE, make_folder
from tests.tiny_study import comparable, tiny, url


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    return make_folder(tmp_path_factory.mktemp("pictures"))


def search(folder: Path, pictures: Path, how: str, *, top_k: int = 1) -> ns.SearchResult:
    spec = tiny(
        data=ns.DataSpec(name=f"folder:{pictures}", image_size=SIZE, load=how, workers=0),
        score=ns.ScoreSpec(n_inputs=4, seeds=1, metrics="none"), search=ns.SearchSpec(n_candidates=3),
        select=ns.SelectSpec(rule="pareto", top_k=top_k, control=0),
        train=ns.TrainSpec(epochs=2, seeds=1, batch_size=8),
    )  # fmt: skip
    return ns.search(spec, storage=url(folder))


@pytest.mark.parametrize(("begun", "goes_on"), [("memory", "stream"), ("stream", "memory"), ("stream", "stream")])
def test_a_study_goes_on_the_other_way(pictures, tmp_path, begun, goes_on):
    (tmp_path / "whole").mkdir()
    undisturbed = search(tmp_path / "whole", pictures, "memory", top_k=2)
    search(tmp_path, pictures, begun)
    assert comparable(search(tmp_path, pictures, goes_on, top_k=2)) == comparable(undisturbed)


def test_a_study_does_not_go_on_with_another_picture(tmp_path):
    make_folder(tmp_path / "p")
    search(tmp_path, tmp_path / "p", "stream")
    Image.new("RGB", (20, 20), "red").save(tmp_path / "p" / "cat" / "0.png")
    for how in ("stream", "memory"):
        with pytest.raises(InvalidInputError, match="the data of study 'tiny' changed"):
            search(tmp_path, tmp_path / "p", how)


def test_a_damaged_picture_is_named_and_nothing_is_lost(tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, str(tmp_path / "own cache"))
    make_folder(tmp_path / "p")
    picture = tmp_path / "p" / "dog" / "3.png"
    whole = picture.read_bytes()
    picture.write_bytes(whole[:120])
    with pytest.raises(
        InvalidInputError, match=r"dog/3.png cannot be read as an image .*; repair or remove it"
    ) as caught:
        search(tmp_path, tmp_path / "p", "stream")
    assert "\n" not in str(caught.value)
    database = StudyStorage(url(tmp_path))
    assert len(database.scored("tiny")) == 3
    assert not database.trained("tiny"), "the network is not to blame, and waits"
    told = subprocess.run(
        [sys.executable, "-m", "nas_sens", "train", "tiny", "--storage", url(tmp_path)], capture_output=True, text=True
    )
    assert (told.returncode, told.stderr.count("Traceback")) == (2, 0)
    assert "dog/3.png cannot be read as an image" in told.stderr.splitlines()[-1]
    assert not list((tmp_path / "own cache" / "pixels").glob("*.part"))
    picture.unlink()
    with pytest.raises(InvalidInputError, match="the data of study 'tiny' changed"):
        search(tmp_path, tmp_path / "p", "stream")


def test_processes_of_a_study_decode_into_one_cache(pictures, tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, str(tmp_path / "own cache"))
    search(tmp_path, pictures, "stream")
    written = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "own cache" / "pixels").iterdir()}
    assert len(written) == 3
    shown = subprocess.run(
        [sys.executable, "-m", "nas_sens", "cache"], capture_output=True, text=True, check=True
    ).stdout
    assert f"{tmp_path / 'own cache'}: 4 files" in shown
    cleared = subprocess.run(
        [sys.executable, "-m", "nas_sens", "cache", "--clear"], capture_output=True, text=True, check=True
    ).stdout
    assert "4 files" in cleared
    assert not list((tmp_path / "own cache" / "pixels").iterdir())
