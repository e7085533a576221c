"""Figures of arrays that trained networks keep: single inputs, trajectories, slices."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch

from nas_sens.core.candidates import TrainedCandidate
from nas_sens.core.errors import InvalidInputError
from nas_sens.metrics import jacobian_bounds
from nas_sens.report.declared.curves import prediction_scale
from nas_sens.report.declared.figures import declared_panels
from nas_sens.report.declared.points import Points, bounds_of, class_bounds, expected_norm, wrong_at_the_top
from nas_sens.report.text import CLASSIFICATION
from nas_sens.results.quantities import arrays_of, number_of
from nas_sens.study.figure_spec import FigureSpec
from nas_sens.study.load import load_study

LOSSES = (0.01, 0.1, 0.5, 1.0, 2.0, 5.0)
POINTS = {
    "loss": (*LOSSES, None),
    "is_right": (1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 1.0),
    "jacobian_norm": (0.2, 0.3, 1.0, 2.0, 3.0, 0.0, 1.0),
    "class_norm": (0.1, 0.2, 0.5, 1.0, 1.5, 0.1, 1.0),
    "mean_square": 4.0,
    "n_classes": 10.0,
}
SIDE = tuple(0.1 * i for i in range(10))
ALONG = {
    "position": SIDE,
    "norm_same": tuple(1 + v for v in SIDE),
    "norm_random": tuple(100 + v for v in SIDE),
    "anchors": (0.2, 0.5),
}
SLICE = {
    "counts": tuple(tuple(float(i * j) for j in range(4)) for i in range(4)),
    "corners": ((0.4, 0.7), (-0.8, 0.0), (0.4, -0.7)),
    "labels": (3.0, 1.0, 7.0),
    "near": (0.25, 0.75),
    "n_units": 100.0,
}


def network(depth: int) -> TrainedCandidate:
    return TrainedCandidate(
        digest=str(depth),
        architecture=json.dumps({"family": "fc", "depth": depth}),
        **{"params": 1, "flops": 1, "candidate": 0, "chosen_by": "random", "train_error": 0.0},
        records={"points": {0: POINTS, 5: POINTS}, "trajectories": {5: ALONG}, "slice": {0: SLICE, 5: SLICE}},
        **{"log10_sensitivity_after": 4.0, "predicted_loss": 30.0, "curve": (9.0, 3.0), "measured_epochs": (0, 1, 2)},
        measure_curves={"output_sensitivity": (1.0, 100.0, 10.0)},
    )


NETWORKS = [network(1), network(2)]


def panel(networks=NETWORKS, **figure):
    (found,) = declared_panels({"figures": [figure]}, networks, CLASSIFICATION)
    return found


def test_bounds_are_those_of_the_metric():
    losses = np.geomspace(1e-9, 30, 200)
    x = torch.from_numpy(losses)
    scale = {"mean_square": 3.7, "n_classes": 7}
    for found, expected in zip(class_bounds(losses, **scale), jacobian_bounds.class_bounds(x, **scale), strict=True):
        np.testing.assert_allclose(found, expected.numpy(), rtol=1e-13)
    np.testing.assert_allclose(
        expected_norm(losses, **scale), jacobian_bounds.expected_norm(x, **scale).numpy(), rtol=1e-13
    )
    for y, place in (
        ("class_norm", class_bounds(losses, **scale)[1]),
        ("jacobian_norm", expected_norm(losses, **scale)),
    ):
        np.testing.assert_array_equal(bounds_of(scale, y, losses)[1], place)


def test_the_top_tenth_is_that_of_a_sorted_list():
    rng = np.random.default_rng(0)
    y, right = rng.normal(size=57), rng.random(57) > 0.4
    p = Points(NETWORKS[0], y, y, right, {})
    order = sorted(range(57), key=lambda i: -y[i])[:6]
    expected = (sum(not right[i] for i in order) / 6, sum(not r for r in right) / 57)
    assert wrong_at_the_top(p) == pytest.approx(expected)
    assert wrong_at_the_top(Points(NETWORKS[0], y, y, None, {})) is None


def test_points_have_statistics_bounds_and_marks():
    svg = panel(kind="points", recording="points", x="loss", y="jacobian_norm", group="depth").svg
    for text in ("Spearman 1 to 1 within 2 networks", "wrong: 100 % of the top tenth, 20 % of all", "depth 2"):
        assert text in svg, text  # a norm of 0 and a missing loss are left out: 5 points, 1 of them wrong
    assert "loss of the input (nats)" in svg
    one = panel(NETWORKS[:1], kind="points", recording="points", x="loss", y="class_norm", bounds=True).svg
    shape = [math.exp(-v) * (1 - math.exp(-v)) for v in LOSSES]
    inside = [math.sqrt(40 / 9) * s <= n <= math.sqrt(8) * s for s, n in zip(shape, POINTS["class_norm"], strict=False)]
    assert f"between the bounds: {100 * sum(inside) / 6:.0f} % of points" in one
    assert "lower bound (eq. 5)" in one
    full = panel(kind="points", recording="points", x="loss", y="jacobian_norm", bounds=True, epoch=0).svg
    assert full.count("expected (eq. 7)") == 1
    assert panel(kind="points", recording="points", x="loss", y="jacobian_norm", epoch=3).svg is None


def test_profiles_are_means_on_the_axis_that_fits():
    lines = ["norm_random", "norm_same"]
    svg = panel(kind="profile", recording="trajectories", x="position", lines=lines).svg
    assert "through three of one class" in svg
    assert ">random<" in svg
    assert "Jacobian norm (per unit of input)" in svg
    by_depth = panel(kind="profile", recording="trajectories", x="position", lines=lines[:1], group="depth").svg
    assert ">depth 1<" in by_depth
    assert panel(kind="profile", recording="trajectories", x="position", lines=["other"]).svg is None


def test_a_slice_tells_how_few_boundaries_are_near_the_inputs():
    svg = panel(kind="slice", recording="slice", epoch=0).svg
    assert "100 units; boundaries near the three inputs: 0.25" in svg
    assert "mean of 2 planes: 0.5" in svg
    assert "class 7" in svg
    assert panel(kind="slice", recording="slice", epoch=1).svg is None


def test_arrays_and_their_means_by_name():
    t = NETWORKS[0]
    assert arrays_of(t, "points", None) is t.records["points"][5]
    assert arrays_of(t, "points", 4) == arrays_of(t, "other", None) == {}
    assert number_of(t, "record_slice_near") == 0.5
    assert number_of(t, "log10_record_slice_n_units") == 2.0
    assert math.isnan(number_of(t, "record_points_loss"))  # one is missing
    assert math.isnan(number_of(t, "record_other_loss"))


def test_a_curve_can_be_against_a_measure_with_the_prediction():
    assert prediction_scale(NETWORKS) == pytest.approx(0.3)  # 30 = 0.3 · √10⁴
    assert prediction_scale([]) is None
    svg = panel(kind="curve", x="output_sensitivity", y="val_loss", predicted=True).svg
    assert "predicted by eq. 9" in svg
    assert "S after training" not in svg


@pytest.mark.parametrize(
    ("figure", "words"),
    [
        ('kind = "points"\nx = "loss"\ny = "class_norm"', "needs record"),
        (
            'kind = "points"\nrecording = "pints"\nx = "loss"\ny = "class_norm"',
            "no recording 'pints'; did you mean 'points'?",
        ),
        (
            'kind = "points"\nrecording = "points"\nx = "los"\ny = "class_norm"',
            "no array 'los' of recording 'points'; did you",
        ),
        ('kind = "points"\nrecording = "points"\nx = "loss"\ny = "loss"\nbounds = true', 'y = "jacobian_norm" or'),
        ('kind = "slice"\nrecording = "points"\nepoch = 3', "needs an epoch of [train] recording_epochs, or none"),
        ('kind = "profile"\nrecording = "points"\nx = "loss"', "needs lines"),
        ('kind = "scatter"\nx = "depth"\ny = "test_loss"\nepoch = 0', "cannot have epoch"),
        ('kind = "scatter"\nx = "depth"\ny = "record_points_los"', "no quantity 'record_points_los'"),
        ('kind = "curve"\nx = "depth"\ny = "val_loss"', "no curve 'depth'"),
        ('kind = "curve"\nx = "val_error"\ny = "val_loss"\npredicted = true', 'x = "output_sensitivity"'),
    ],
)
def test_wrong_figures_are_told_in_one_line(tmp_path, figure, words):
    path = tmp_path / "mine.toml"
    head = '[search_space.fc]\ndepth = [1, 2]\nwidth = 8\n[data]\nname = "digits"\n'
    path.write_text(f'{head}[train]\nrecordings = ["points"]\nrecording_epochs = [0]\n[[figures]]\n{figure}\n')
    with pytest.raises(InvalidInputError) as caught:
        load_study(path)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_figure_of_a_kind_says_what_it_needs():
    with pytest.raises(ValueError, match="needs y"):
        FigureSpec(kind="scatter", x="depth")


def test_the_same_networks_give_the_same_pictures_in_any_order():
    figures = [
        {"kind": "points", "recording": "points", "x": "loss", "y": "jacobian_norm", "group": "depth", "bounds": True},
        {"kind": "profile", "recording": "trajectories", "x": "position", "lines": ["norm_same"], "group": "depth"},
    ]
    there, back = (declared_panels({"figures": figures}, t, CLASSIFICATION) for t in (NETWORKS, NETWORKS[::-1]))
    assert [p.svg for p in there] == [p.svg for p in back]
