"""A study is of its data, wherever they lie: the same data under another path go on, others are refused."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import nas_sens as ns
from nas_sens.data import load_data, without_path
from nas_sens.results.search_result import SearchResult
from nas_sens.storage.study_storage import StudyStorage
from tests.tiny_study import comparable, tiny, url


def write_folder(path: Path) -> str:
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (path / name).mkdir(parents=True)
        for i in range(30):
            Image.fromarray(rng.integers(0, 256, (5, 5), dtype=np.uint8)).save(path / name / f"{i}.png")
    return f"folder:{path}"


def write_npz(path: Path) -> str:
    rng = np.random.default_rng(0)
    np.savez(path, x=rng.normal(size=(60, 6)), y=rng.permutation([0, 1] * 30))
    return f"npz:{path}.npz"


def write_csv(path: Path) -> str:
    rng = np.random.default_rng(0)
    rows = [f"{a},{b},{'yes' if a > b else 'no'}" for a, b in rng.normal(size=(60, 2))]
    path.with_suffix(".csv").write_text("\n".join(["a,b,answer", *rows]))
    return f"csv:{path}.csv"


def search(folder: Path, data: str, **changes: object) -> SearchResult:
    target = "answer" if data.startswith("csv:") else None
    spec = tiny(data=ns.DataSpec(name=data, target=target), search=ns.SearchSpec(n_candidates=6), **changes)
    return ns.search(spec, storage=url(folder))


@pytest.mark.parametrize("write", [write_folder, write_npz, write_csv])
def test_the_same_data_under_another_path_go_on(tmp_path: Path, write) -> None:
    first, second = write(tmp_path / "one"), write(tmp_path / "two")
    (tmp_path / "whole").mkdir()
    undisturbed = search(tmp_path / "whole", first)
    search(tmp_path, first, select=ns.SelectSpec(rule="pareto", top_k=1, control=1))
    assert comparable(search(tmp_path, second)) == comparable(undisturbed)
    assert search(tmp_path, second).protocol["data"]["name"] == second, "where they lay last"


def test_other_data_are_refused_with_both_fingerprints(tmp_path: Path) -> None:
    first, second = write_folder(tmp_path / "one"), write_folder(tmp_path / "two")
    stored = load_data(ns.DataSpec(name=first)).fingerprint
    search(tmp_path, first)
    Image.new("L", (5, 5), 7).save(tmp_path / "two" / "cat" / "0.png")
    given = load_data(ns.DataSpec(name=second)).fingerprint
    with pytest.raises(ns.InvalidInputError, match=f"fingerprint {stored} stored, {given} given") as error:
        search(tmp_path, second)
    assert "\n" not in str(error.value)
    assert StudyStorage(url(tmp_path)).attributes("tiny")["data_fingerprint"] == stored


def test_another_kind_of_data_is_another_protocol(tmp_path: Path) -> None:
    search(tmp_path, write_folder(tmp_path / "one"))
    with pytest.raises(ns.InvalidInputError, match=r"data.name: 'folder:' stored, 'npz:' given"):
        search(tmp_path, write_npz(tmp_path / "two"))
    assert without_path("digits") == "digits"
    assert without_path("hf:a/b:c") == "hf:a/b:c"


def test_a_fingerprint_does_not_depend_on_what_the_file_system_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = ns.DataSpec(name=write_folder(tmp_path / "one"))
    expected = load_data(spec).fingerprint
    shutil.copytree(tmp_path / "one", tmp_path / "Two words" / "x")
    for i, path in enumerate(sorted((tmp_path / "Two words").rglob("*.png"), reverse=True)):
        os.utime(path, (i, i))
    for method in ("iterdir", "rglob"):
        original = getattr(Path, method)
        monkeypatch.setattr(Path, method, lambda *a, f=original: iter(sorted(f(*a), reverse=True)))
    assert load_data(replace(spec, name=f"folder:{tmp_path}/Two words/x")).fingerprint == expected
