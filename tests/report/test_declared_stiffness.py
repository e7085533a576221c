"""Figures of stiffness: by two classes, by distance, and the course of means of arrays; what may be declared."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from nas_sens.core.candidates import TrainedCandidate
from nas_sens.core.errors import InvalidInputError
from nas_sens.report.declared.curves import course
from nas_sens.report.declared.distances import zero_of
from nas_sens.report.declared.figures import declared_panels
from nas_sens.report.declared.matrices import epochs_to_show, mean_arrays
from nas_sens.report.text import CLASSIFICATION
from nas_sens.study.figure_spec import FigureSpec
from nas_sens.study.load import load_study


def trained(width: int, *, factor: float = 1.0) -> TrainedCandidate:
    matrix = ((0.8, -0.25), (None, 0.6))
    records = {
        epoch: {
            "distance": (0.05, 0.15, 0.25),
            "train_val_sign": tuple(tuple(v and v * factor for v in row) for row in matrix),
            "train_val_sign_within": 0.7 * factor,
            "train_val_sign_between": -0.25 * factor,
            "train_val_sign_by_distance": (0.9, 0.4, None),
            "train_val_sign_stderr": (0.1, None, None),
            "train_val_sign_line": (1.0, -0.5 - epoch),
        }
        for epoch in (0, 2, 3)
    }
    return TrainedCandidate(
        digest=str(width),
        architecture=json.dumps({"family": "fc", "width": width}),
        params=1,
        flops=1,
        candidate=0,
        chosen_by="random",
        train_error=0.0,
        curve=(3.0, 2.0, 1.5),
        curve_epochs=(1, 2, 3),
        curves={"train_loss": (2.0, 1.0, 0.5)},
        records={"stiffness": records},
    )


NETWORKS = [trained(8), trained(9, factor=0.5)]


def panel(networks=NETWORKS, **figure):
    (found,) = declared_panels({"figures": [figure]}, networks, CLASSIFICATION)
    return found


def test_epochs_are_those_asked_for_or_four_from_the_first_to_the_last():
    spec = {"kind": "matrix", "recording": "stiffness", "y": "train_val_sign"}
    every = FigureSpec(**spec)
    assert epochs_to_show([3, 0, 2, 0], every) == [0, 2, 3]
    assert epochs_to_show(range(10), every) == [0, 3, 6, 9]
    assert epochs_to_show([5], every) == [5]
    assert epochs_to_show([0, 1, 2], FigureSpec(**spec, epochs=(7, 2, 0))) == [0, 2]


def test_means_over_networks_leave_out_what_is_no_number():
    spec = FigureSpec(kind="matrix", recording="stiffness", y="train_val_sign", epochs=(2,))
    other = trained(10)
    other.records["stiffness"][2]["train_val_sign"] = ((None, 0.5), (0.1, None))
    found = mean_arrays([*NETWORKS, other], spec, ("train_val_sign",))
    np.testing.assert_allclose(found[2]["train_val_sign"], [[0.6, (-0.25 - 0.125 + 0.5) / 3], [0.1, 0.45]])


def test_a_matrix_has_a_panel_an_epoch_and_says_what_it_is_within_and_between():
    svg = panel(kind="matrix", recording="stiffness", y="train_val_sign").svg
    for text in ("epoch 0", "epoch 2", "epoch 3", "within 0.53, between −0.19", "training–validation pairs"):
        assert text in svg, text
    assert "epoch 2" not in panel(kind="matrix", recording="stiffness", y="train_val_sign", epochs=[0, 3]).svg
    assert panel(kind="matrix", recording="points", y="loss").svg is None


def test_distance_tells_the_zero_of_every_line():
    svg = panel(kind="distance", recording="stiffness", y="train_val_sign", epochs=[0, 3]).svg
    for text in ("epoch 0: ξ = 2", "epoch 3: ξ = 0.286", "distance of inputs (1 − cos)"):
        assert text in svg, text
    assert zero_of(np.array([1.0, -4.0])) == 0.25
    assert zero_of(np.array([-1.0, -4.0])) == 0.0
    assert zero_of(np.array([1.0, 0.0])) is None
    assert zero_of(np.array([math.nan, math.nan])) is None


def test_curves_of_arrays_beside_each_other():
    name = "record_stiffness_train_val_sign"
    assert course(NETWORKS[1], f"{name}_within") == {0: 0.35, 2: 0.35, 3: 0.35}
    assert course(NETWORKS[0], name) == {}  # it lacks a number
    svg = panel(kind="curve", y=f"{name}_within", lines=[f"{name}_between"]).svg
    for text in (
        ">within classes<",
        ">between classes<",
        "sign stiffness, training–validation pairs against",
        ">epoch<",
    ):
        assert text in svg, text
    losses = panel(kind="curve", y="val_loss", lines=["train_loss"], group="width").svg
    for text in (">loss (nats)<", "validation loss (nats), width 8", "training loss (nats), width 9"):
        assert text in losses, text
    grouped = panel(kind="curve", y=f"{name}_within", lines=[f"{name}_between"], group="width", x="train_loss").svg
    for text in ("within classes, width 8", "between classes, width 9", "training loss (nats)"):
        assert text in grouped, text
    assert "sign stiffness, training–validation" in panel(kind="curve", y=f"{name}_within").svg


@pytest.mark.parametrize(
    ("figure", "words"),
    [
        ('kind = "matrix"\nrecording = "stiffness"', ["needs y"]),
        ('kind = "matrix"\nrecording = "stiffness"\ny = "train_val_sine"', ["no array 'train_val_sine'"]),
        (
            'kind = "matrix"\nrecording = "stiffness"\ny = "train_val_sign"\nepochs = [2]',
            ["recording_epochs", "given 2"],
        ),
        ('kind = "matrix"\nrecording = "stiffness"\ny = "train_val_sign"\nx = "distance"', ["cannot have x"]),
        ('kind = "distance"\nrecording = "stiffness"\ny = "distance"', ["stiffness as y", "'train_train_cosine'"]),
        ('kind = "curve"\ny = "val_loss"\nlines = ["record_stiffness_x"]', ["no curve 'record_stiffness_x'"]),
    ],
)
def test_wrong_figures_are_told_in_one_line(tmp_path, figure, words):
    path = tmp_path / "mine.toml"
    space = "[search_space.fc]\ndepth = 1\nwidth = 8\n"
    train = '[train]\nrecordings = ["stiffness"]\nrecording_epochs = [0, 1]\n'
    path.write_text(f'{space}[data]\nname = "digits"\n{train}[[figures]]\n{figure}\n')
    with pytest.raises(InvalidInputError) as caught:
        load_study(path)
    assert all(word in str(caught.value) for word in words), str(caught.value)
    assert "\n" not in str(caught.value)
