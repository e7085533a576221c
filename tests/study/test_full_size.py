"""The full size of a study, and search spaces that stand in its file."""

from __future__ import annotations

import pytest

from nas_sens.core.errors import InvalidInputError
from nas_sens.study.full_size import full_table
from nas_sens.study.load import from_dict, load_study
from nas_sens.study.resume import check_resumable

STUDY = """
name = "mine"
[search_space.fc]
depth = [1, 2]
width = 8
[data]
name = "digits"
train_samples = 50
[train]
epochs = 3
seeds = 1
"""
FULL = """
[full.search_space.fc]
depth = [1, 2, 3]
width = 80
[full.train]
epochs = 300
"""


def write(tmp_path, text):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    return path


def test_full_replaces_single_keys_of_tables_and_search_spaces_as_a_whole(tmp_path):
    path = write(tmp_path, STUDY + FULL)
    small, full = load_study(path), load_study(path, full=True)
    assert (small.name, full.name) == ("mine", "mine-full")
    assert (small.train.epochs, full.train.epochs) == (3, 300)
    assert full.train.seeds == 1
    assert full.data == small.data
    assert (small.search_space.cardinality, full.search_space.cardinality) == (2, 3)
    with pytest.raises(InvalidInputError, match="another search space"):
        check_resumable(small, full, is_trained=True, where="x")


def test_a_table_is_taken_in_the_order_full_then_study():
    table = {"name": "a", "train": {"epochs": 1, "seeds": 2}, "search_space": "fc"}
    full = {"train": {"epochs": 9}, "search_space": "cnn", "name": "b"}
    assert full_table(table, full, source="x") == {
        "name": "b",
        "train": {"epochs": 9, "seeds": 2},
        "search_space": "cnn",
    }
    assert table["train"]["epochs"] == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (STUDY + "[full.trian]\nepochs = 3", ["full.trian", "train"]),
        (STUDY + "[full.train]\nepoch = 3", ["full.train.epoch", "epochs"]),
        (STUDY + "[full]\nfigures = []", ["full.figures"]),
        (STUDY + "[full]\ntrain = 3", ["full.train", "table"]),
        ("full = 3\n" + STUDY, ["full must be a table"]),
        (STUDY.replace("depth = [1, 2]", "dept = 1") + FULL, ["mine.toml", "fc.dept", "depth"]),
        (STUDY.replace("[search_space.fc]", "[search_space.fcc]") + FULL, ["fcc"]),
    ],
)
@pytest.mark.parametrize("full", [False, True])
def test_what_is_wrong_in_full_is_told_in_one_line_whether_it_is_asked_for_or_not(tmp_path, text, words, full):
    message = _refusal(lambda: load_study(write(tmp_path, text), full=full))
    assert all(word in message for word in words), message
    assert "\n" not in message


def test_a_study_without_full_says_so(tmp_path):
    assert "no table [full]" in _refusal(lambda: load_study(write(tmp_path, STUDY), full=True))
    assert "no file" in _refusal(lambda: load_study(load_study(write(tmp_path, STUDY)), full=True))


def test_figures_may_change_when_a_study_is_resumed_and_are_stored(tmp_path):
    figure = '[[figures]]\nkind = "scatter"\nx = "depth"\ny = "test_loss"\n'
    without, with_one = load_study(write(tmp_path, STUDY)), load_study(write(tmp_path, STUDY + figure))
    check_resumable(without, with_one, is_trained=True, where="x")
    assert from_dict(with_one.to_dict()).figures == with_one.figures
    older = without.to_dict()
    del older["figures"]
    assert from_dict(older) == without


def _refusal(call) -> str:
    with pytest.raises(InvalidInputError) as caught:
        call()
    return str(caught.value)
