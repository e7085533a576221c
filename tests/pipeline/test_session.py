"""An open study: what is recorded of how it was begun, and what is told when it goes on in another way."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import nas_sens as ns
from nas_sens.core.progress import SilentProgress
from nas_sens.pipeline.declare import declare
from nas_sens.pipeline.search import open_study
from nas_sens.storage.study_storage import StudyStorage
from tests.tiny_study import tiny, url


class Told(SilentProgress):
    def __init__(self) -> None:
        self.texts: list[str] = []

    def message(self, text: str) -> None:
        self.texts.append(text)


@pytest.fixture
def threads():
    """Set the number of threads for a while."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def test_another_number_of_threads_is_told_and_not_refused(tmp_path: Path, threads) -> None:
    threads(1)
    told = Told()
    open_study(tiny(), storage=url(tmp_path), progress=told)
    open_study(tiny(), storage=url(tmp_path), progress=told)
    assert all(text.startswith("data digits: ") for text in told.texts)
    threads(2)
    open_study(tiny(), storage=url(tmp_path), progress=told)
    (text,) = (t for t in told.texts if not t.startswith("data digits: "))
    assert "begun with 1 threads and goes on with 2" in text
    assert "OMP_NUM_THREADS=1" in text
    assert StudyStorage(url(tmp_path)).attributes("tiny")["n_threads"] == 1, "what it was begun with stays"


def test_a_declaration_is_checked_without_data_or_database(tmp_path: Path) -> None:
    wrong = {
        "figure 1 has no quantity 'depht'; did you mean 'depth'?": {
            "figures": (ns.FigureSpec(kind="scatter", x="depht", y="val_loss"),)
        },
        "racing = true in \\[score\\] needs a sampler that does not learn": {
            "score": ns.ScoreSpec(racing=True),
            "search": ns.SearchSpec(sampler="tpe"),
        },
        "needs trained networks": {
            "train": ns.TrainSpec(table="none.csv"),
            "select": ns.SelectSpec(final="predicted_loss"),
        },
    }
    for text, changes in wrong.items():
        spec = tiny(data=ns.DataSpec(name="npz:not_there.npz"), **changes)
        with pytest.raises(ns.InvalidInputError, match=text):
            declare(spec)
    with pytest.raises(ns.InvalidInputError, match="not_there"):
        open_study(declare(tiny(data=ns.DataSpec(name="npz:not_there.npz"))), storage=url(tmp_path))
    assert not list(tmp_path.iterdir()), "nothing is written before all is checked"
