"""The text of a first study for data and a budget: its tables with comments, its sizes by what was measured."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..core.declarations import bundled_folder
from ..core.errors import InvalidInputError
from ..core.inputs import is_one_float
from ..data import DATASETS, DataSpec, Splits, load_data
from ..pipeline.budget import Sizes, sizes_for
from ..pipeline.first_look import look_at
from ..study.score_spec import ScoreSpec
from ..study.search_space import SearchSpace, load_space
from ..study.train_spec import TrainSpec

_SMALL = 40  # pixels up to which the spaces of small pictures are meant
_SIDE = 64  # pixels that larger pictures are resized to
_CHOSEN = 1.3  # how many times as long as the mean of the space the trainings take that a rule chooses


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What a first study is wanted for.

    Attributes:
        name: Its name.
        data: The data set.
        minutes: How long the search shall take.
        folder: Where its file will lie.
        search_space: A search space; None for one that goes with the data.
        target: Column to predict.
        image_size: Pixels to resize images to.
        root: Folder of downloaded data sets.
        download: Whether a data set may be downloaded.
        device: What it will run on.
    """

    name: str
    data: str
    minutes: float
    folder: Path
    search_space: str | None
    target: str | None
    image_size: int | None
    root: str
    download: bool
    device: str


def first_study(wanted: Wanted) -> tuple[str, Sizes]:
    """Return the text of a study's file, and its sizes.

    Raises:
        InvalidInputError: The data or the space cannot be used, or the time is too short.
    """
    data = DataSpec(name=wanted.data, target=wanted.target, image_size=wanted.image_size, root=wanted.root,
                    download=wanted.download)  # fmt: skip
    splits = load_data(data)
    if splits.has_only_probe:
        raise InvalidInputError(
            f"data {wanted.data!r} have nothing to train on, only inputs to score with; see help data"
        )
    data, splits = _fitted(data, splits)
    space = load_space(wanted.search_space or _space_for(splits))
    score = ScoreSpec(n_inputs=64, seeds=2)
    look = look_at(data, space, score, TrainSpec(), device=wanted.device)
    sizes = sizes_for(
        60 * wanted.minutes,
        score_seconds=look.score_seconds,
        epoch_seconds=_CHOSEN * float(np.mean(look.epoch_seconds)),
        fixed_seconds=look.fixed_seconds,
        n_train=len(splits.y_train),
    )
    return _text(wanted, data, splits, space, score, sizes), sizes


def _fitted(data: DataSpec, splits: Splits) -> tuple[DataSpec, Splits]:
    """Return data as a first study takes them: tables standardised, large pictures smaller."""
    if not is_one_float(splits.x_train):
        return data, splits
    shape = tuple(splits.input_shape)
    if len(shape) == 1:
        data = replace(data, standardize=True)
    elif len(shape) == 3 and max(shape[1:]) > _SIDE and data.image_size is None and _takes_size(data.name):
        data = replace(data, image_size=_SIDE)
    else:
        return data, splits
    return data, load_data(data)


def _takes_size(name: str) -> bool:
    dataset = DATASETS.table().get(name.partition(":")[0])
    return dataset is not None and "image_size" in dataset.options


def _space_for(splits: Splits) -> str:
    """Return the name of the bundled search space that goes with data.

    Raises:
        InvalidInputError: None does.
    """
    if not is_one_float(splits.x_train):
        raise InvalidInputError(
            "no search space of nas_sens takes these inputs, which are not one tensor of numbers; give a function of "
            "your own that builds networks as a space of yours with --search-space"
        )
    shape = tuple(splits.input_shape)
    if len(shape) != 3 or min(shape[1:]) < 12:
        return "fc_small"
    return "fc_vs_cnn" if max(shape[1:]) <= _SMALL else "mbconv"


def _text(wanted: Wanted, data: DataSpec, splits: Splits, space: SearchSpace, score: ScoreSpec, sizes: Sizes) -> str:
    what = {"classification": f"{splits.n_outputs} classes", "multilabel": f"{splits.n_outputs} labels"}
    of = what.get(splits.task, "a quantity to predict")
    shape = "×".join(map(str, splits.input_shape)) if isinstance(splits.input_shape, tuple) else "several tensors"
    schema = (bundled_folder("schemas") / "study.json").as_uri()
    own_space = wanted.search_space or space.name
    optional = {
        "target": data.target,
        "image_size": data.image_size,
        "train_samples": sizes.train_samples,
        "standardize": data.standardize or None,
        "root": data.root if data.root != "data" else None,
        "download": data.download or None,
    }
    why = {
        "target": "the column to predict",
        "image_size": "pixels that pictures are resized to",
        "train_samples": "fewer, for the time that there is; leave it out to train on all",
        "standardize": "features have mean 0 and standard deviation 1",
        "root": "where downloaded data lie",
        "download": "may be downloaded",
    }
    more = "".join(f"{_line(key, value, why[key])}\n" for key, value in optional.items() if value is not None)
    return f"""#:schema {schema}
# A study of nas_sens, written by nas-sens init for about {wanted.minutes:g} minutes on {wanted.device}.
# Expected by what was measured here: scoring {_minutes(sizes.score_seconds)}, training {_minutes(sizes.train_seconds)}.
# Run it, and run it again to go on where it was:   nas-sens search {wanted.name}.toml
# What a table may hold:                            nas-sens help data    (score, search, select, train, …)

name = {_value(wanted.name)}
{_line("search_space", own_space, "nas-sens list spaces, or a file of your own")}

[data]                                  # {len(splits.y_train):,} training samples, inputs {shape}, {of}
{_line("name", _name_beside(wanted), "nas-sens data NAME shows what is read")}
{more}
[score]                                 # every candidate is scored, untrained, by the sensitivity of its output
{_line("n_inputs", score.n_inputs, "inputs that it is measured on")}
{_line("seeds", score.seeds, "random networks of a candidate, where no closed form is known")}

[search]
{_line("n_candidates", sizes.n_candidates, "architectures that are drawn and scored")}
{_line("grow", sizes.grow, "more of them before each round of trainings, most near good ones")}
{_line("seed", 0, "same seed, same study")}

[select]                                # which candidates are trained
{_line("top_k", sizes.top_k, "chosen by a rule that learns from what is trained")}
{_line("control", sizes.control, "chosen at random beside them, so that the report can tell whether choosing helps")}

[train]
{_line("epochs", sizes.epochs, "passes over the training set")}
{_line("seeds", sizes.seeds, "trainings of each architecture, from other initial weights")}
{_line("optimizer", "adam", "or adamw, sgd, rmsprop, lbfgs")}
{_line("learning_rate", 1e-3, "before the schedule, which is constant unless you say so")}
"""


def _line(key: str, value: object, comment: str) -> str:
    return f"{f'{key} = {_value(value)}':<39} # {comment}"


def _value(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.2g} min" if seconds >= 60 else f"{seconds:.2g} s"


def _name_beside(wanted: Wanted) -> str:
    """Return the data set's name, a path in it as it is written from the study's folder."""
    kind, colon, place = wanted.data.partition(":")
    dataset = DATASETS.table().get(kind)
    is_path = dataset is not None and (dataset.argument == "PATH" or kind == "hf")
    if not colon or not is_path or not os.path.exists(os.path.expanduser(place)) or os.path.isabs(place):
        return wanted.data
    return kind + colon + os.path.relpath(place, wanted.folder)
