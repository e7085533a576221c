"""What a study keeps of its last run: when, where, and what its best network is made of."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import nas_sens as ns
from nas_sens.core.errors import StorageError
from nas_sens.report import answer
from nas_sens.results.search_result import read_result
from nas_sens.storage.study_storage import StudyStorage
from tests.tiny_study import tiny, url


def test_the_best_network_is_drawn_and_nothing_changes_until_more_is_trained(tmp_path: Path) -> None:
    spec = tiny(train=ns.TrainSpec(epochs=1))
    first = ns.search(spec, storage=url(tmp_path), device="cpu")
    kept = first.protocol["last_run"]
    assert (kept["digest"], kept["device"], kept["n_trained"]) == (first.best.digest, "cpu", 3)
    assert sum(n for _, _, n in kept["outline"]) == first.best.params
    assert kept["version"] == ns.__version__
    parts = ns.load_data(spec.data)
    assert (kept["n_val"], kept["n_test"]) == (len(parts.y_val), len(parts.y_test))
    again = ns.search(spec, storage=url(tmp_path), device="cpu")
    assert again.protocol["last_run"] == kept
    drawn = answer(first.name, first.protocol, first.candidates, first.trials).hero.drawing
    assert sum(block.params * block.times for block in drawn) == first.best.params
    more = ns.search(replace(spec, select=replace(spec.select, top_k=3)), storage=url(tmp_path), device="cpu")
    assert (more.protocol["last_run"]["n_trained"], more.protocol["last_run"]["digest"]) == (4, more.best.digest)


@pytest.mark.parametrize(
    "altered", [{"outline": [["Linear", "x", 3]]}, {"outline": 3}, {"finished": 5}, {"n_test": "9"}]
)
def test_what_somebody_altered_is_told(tmp_path: Path, altered: dict[str, object]) -> None:
    storage = StudyStorage(url(tmp_path))
    study = '{"name": "s", "data": {"name": "digits"}, "select": {}, "train": {}}'
    storage.create("s", {"study": study, "space_digest": "0", "last_run": altered}, objective="val_error")
    with pytest.raises(StorageError, match="last_run of study 's' must be what nas_sens writes"):
        read_result(storage, "s")
