"""Figures that a study declares: what may be declared, what they show, how they are drawn."""

from __future__ import annotations

import itertools
import json
import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from nas_sens.core.candidates import TrainedCandidate
from nas_sens.core.declarations import validate
from nas_sens.core.errors import InvalidInputError
from nas_sens.report.declared.curves import course
from nas_sens.report.declared.equal_loss import epoch_of_loss, value_at_loss, value_between
from nas_sens.report.declared.figures import declared_panels
from nas_sens.report.declared.pairs import mean_difference, pairs_of
from nas_sens.report.text import CLASSIFICATION
from nas_sens.results.quantities import number_of, value_of
from nas_sens.statistics.bootstrap import expanded_tail, resamples
from nas_sens.statistics.line_fit import line_fit
from nas_sens.study.figure_spec import FigureSpec
from nas_sens.study.load import load_study


def trained(depth: int, width: int, batch_norm: bool, **more) -> TrainedCandidate:
    architecture = {"family": "fc", "depth": depth, "width": width, "batch_norm": batch_norm}
    values = {
        "digest": f"{depth}-{width}-{batch_norm}",
        "params": depth * width,
        "flops": 1,
        "candidate": 0,
        "chosen_by": "random",
        "train_error": 0.0 if width > 10 else 0.2,
        "test_loss": 10.0**depth * (0.5 if batch_norm else 1.0),
        "log10_sensitivity_after": 2.0 * depth + 0.01 * width,
        "predicted_loss": 9.0**depth,
        "training": {"learning_rate": 0.1 * depth},
        "measures": {"stiffness": 0.5, "stiffness_on_train": 0.75, "zero": 0.0},
        "curve": (3.0, 2.0, 1.0),
        "curve_epochs": (1, 2, 3),
        "curves": {"train_loss": (2.0, 1.0, 0.5)},
        "measured_epochs": (0, 2, 3),
        "measure_curves": {"stiffness": (0.9, None, 0.1)},
    }
    return TrainedCandidate(architecture=json.dumps(architecture), **{**values, **more})


NETWORKS = [trained(d, w, b) for d, w, b in itertools.product((1, 2, 3), (10, 20), (False, True))]


def panel(**figure):
    (found,) = declared_panels({"figures": [figure]}, NETWORKS, CLASSIFICATION)
    return found


def test_values_by_name():
    t = NETWORKS[1]
    assert number_of(t, "log10_test_loss") == math.log10(5.0)
    assert number_of(t, "log10_sensitivity_after") == 2.1
    assert number_of(t, "measure_stiffness") == 0.5
    assert number_of(t, "training_learning_rate") == 0.1
    assert (value_of(t, "family"), value_of(t, "batch_norm"), value_of(t, "depth")) == ("fc", True, 1)
    assert number_of(t, "measure_stiffness_gap") == -0.25
    assert number_of(t, "test_loss_over_measure_stiffness") == 10.0
    own = replace(t, measures={**t.measures, "turn_over_depth": 3.0})  # a measure of the user's own, of such a name
    assert number_of(own, "measure_turn_over_depth") == 3.0
    assert number_of(t, "log10_test_loss_over_measure_stiffness") == 1.0
    assert all(
        math.isnan(number_of(t, name))
        for name in (
            "log10_measure_zero",
            "test_loss_over_measure_zero",
            "family_over_depth",
            "measure_none",
            "measure_zero_gap",
            "val_loss",
            "family",
        )
    )


def test_pairs_are_those_that_a_look_at_all_finds():
    levels, pairs = pairs_of(NETWORKS, "batch_norm")
    slow = {
        (a.digest, b.digest)
        for a, b in itertools.product(NETWORKS, NETWORKS)
        if value_of(a, "batch_norm") is False
        and value_of(b, "batch_norm") is True
        and all(value_of(a, k) == value_of(b, k) for k in ("depth", "width", "training_learning_rate"))
    }
    assert levels == [False, True]
    assert {(a.digest, b.digest) for a, b in pairs} == slow
    assert len(slow) == 6
    assert pairs_of(NETWORKS, "depth") == ([], [])  # three values
    together = [trained(1, 10, b, training={"learning_rate": 1.0 + b, "momentum": 0.5}) for b in (False, True)]
    assert pairs_of(together, "batch_norm")[1] == []
    assert pairs_of(together, "batch_norm", ["training_learning_rate"])[1] == [together]
    other = [trained(1, 10, False), trained(1, 10, True, training={"learning_rate": 9.0})]
    assert pairs_of(other, "batch_norm")[1] == []


def test_a_line_is_that_of_scipy_and_its_interval_that_of_a_plain_bootstrap():
    rng = np.random.default_rng(1)
    x = rng.normal(size=40) + 1e3
    y = 0.5 * x + rng.normal(size=40)
    found, exact = line_fit([*x, None], [*y, 1.0]), stats.linregress(x, y)
    assert found is not None
    assert found.n == 40
    np.testing.assert_allclose(found.slope.estimate, exact.slope, rtol=1e-10)
    np.testing.assert_allclose(found.intercept, exact.intercept, rtol=1e-8)
    np.testing.assert_allclose(found.r2, exact.rvalue**2, rtol=1e-10)
    counts = np.vstack([chunk for (chunk,) in resamples(40, n=2000, seed=0)]).astype(int)
    slopes = [stats.linregress(np.repeat(x, c), np.repeat(y, c)).slope for c in counts]
    tail = expanded_tail(len(x))
    np.testing.assert_allclose([found.slope.low, found.slope.high], np.quantile(slopes, [tail, 1 - tail]), rtol=1e-8)
    assert line_fit(x[:4], y[:4]) is None
    assert line_fit(np.ones(9), np.arange(9.0)) is None


def test_a_mean_of_differences_has_an_interval_from_five_on():
    assert mean_difference(np.arange(4.0)) is None
    found = mean_difference(np.arange(9.0))
    assert found is not None
    assert found.low < found.estimate == 4.0 < found.high
    same = mean_difference(np.full(6, 2.0))
    assert same is not None
    assert (same.low, same.high) == (2.0, 2.0)


def test_scatter_tells_correlation_line_prediction_and_groups():
    found = panel(
        kind="scatter", x="log10_sensitivity_after", y="log10_test_loss", group="batch_norm", fit=True, predicted=True
    )
    assert "n = 12" in found.svg
    for text in ("Pearson", "slope", "R²", "least squares", "predicted by eq. 9", "batch norm true", "(nats)"):
        assert text in found.svg, text
    same = panel(kind="scatter", x="log10_sensitivity_after", y="log10_sensitivity_after", diagonal=True)
    assert "Pearson +1.000" in same.svg
    assert "y = x" in same.svg
    gap = panel(kind="scatter", x="depth", y="measure_stiffness_gap").svg
    assert "sign stiffness, validation −" in gap


def test_networks_that_did_not_fit_are_left_out_where_the_figure_says_so():
    assert "n = 6" in panel(kind="scatter", x="depth", y="test_loss", max_train_error=0.0).svg
    assert "n = 6" in panel(kind="scatter", x="depth", y="test_loss", where={"batch_norm": True}).svg
    nobody = panel(kind="scatter", x="depth", y="val_loss")
    assert nobody.svg is None
    assert "12 looked at" in nobody.missing


def test_paired_tells_how_many_lie_below_the_diagonal():
    svg = panel(kind="paired", y="log10_test_loss", pair="batch_norm", group="width").svg
    assert "below the diagonal: 6 of 6 pairs" in svg
    assert "−0.30 [−0.30, −0.30]" in svg
    assert "with batch norm = true" in svg
    assert panel(kind="paired", y="test_loss", pair="depth").svg is None


def test_curves_leave_out_what_was_not_measured():
    assert course(NETWORKS[0], "stiffness") == {0: 0.9, 3: 0.1}
    assert course(NETWORKS[0], "val_loss") == {1: 3.0, 2: 2.0, 3: 1.0}
    assert "epoch" in panel(kind="curve", y="stiffness", group="depth").svg
    against = panel(kind="curve", y="stiffness", x="train_loss")
    assert "training loss (nats)" in against.svg
    assert panel(kind="curve", y="jacobian_norm").svg is None


def test_a_heat_map_has_means_in_its_squares():
    svg = panel(kind="heat_map", x="width", y="depth", colour="test_loss").svg
    for value in ("7.5", "75", "750"):
        assert f">{value}<" in svg


def test_the_same_networks_give_the_same_picture_in_any_order():
    figures = {
        "figures": [{"kind": "paired", "y": "test_loss", "pair": "batch_norm"}, {"kind": "curve", "y": "val_loss"}]
    }
    there, back = (declared_panels(figures, t, CLASSIFICATION) for t in (NETWORKS, NETWORKS[::-1]))
    assert [p.svg for p in there] == [p.svg for p in back]


@pytest.mark.parametrize(
    ("figure", "words"),
    [
        ('kind = "scater"\nx = "depth"\ny = "test_loss"', ["figures 1", "scatter"]),
        ('kind = "scatter"\ny = "test_loss"', ["needs x"]),
        ('kind = "scatter"\nx = "dept"\ny = "test_loss"', ["'dept'", "'depth'"]),
        ('kind = "scatter"\nx = "depth"\ny = "test_loss"\nwhere = {widht = 8}', ["'widht'", "'width'"]),
        ('kind = "scatter"\nx = "depth"\ny = "measure_stiffness"', ["measure_stiffness"]),
        ('kind = "scatter"\nx = "depth"\ny = "measure_l2_norm_gap"', ["'measure_l2_norm_gap'"]),
        ('kind = "scatter"\nx = "depth"\ny = "test_error"\npredicted = true', ["test_loss"]),
        ('kind = "scatter"\nx = "depth"\ny = "test_loss"\npair = "width"', ["cannot have pair"]),
        ('kind = "paired"\ny = "test_loss"', ["needs pair"]),
        ('kind = "curve"\ny = "stiffness"', ["no curve 'stiffness'"]),
        ('kind = "curve"\ny = "val_loss"\nx = "depth"', ["train_loss"]),
        ('kind = "heat_map"\ny = "depth"\nx = "width"', ["needs colour"]),
        ('kind = "scatter"\nx = "depth"\ny = "test_loss"\nhue = "width"', ["figures 1.hue"]),
    ],
)
def test_wrong_figures_are_told_in_one_line(tmp_path, figure, words):
    path = tmp_path / "mine.toml"
    space = "[search_space.fc]\ndepth = [1, 2]\nwidth = 8\n"
    path.write_text(f'{space}[data]\nname = "digits"\n[[figures]]\n{figure}\n')
    with pytest.raises(InvalidInputError) as caught:
        load_study(path)
    assert all(word in str(caught.value) for word in words), str(caught.value)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_when_a_loss_first_comes_down_to_a_value():
    losses = {1: 4.0, 2: 1.0, 3: 2.0, 4: 0.0}
    assert epoch_of_loss(losses, 2.0) == pytest.approx(1.5)  # half way between the logarithms
    assert epoch_of_loss(losses, 1.0) == 2.0
    assert epoch_of_loss(losses, 0.5) == 4.0  # no logarithm of 0
    assert math.isnan(epoch_of_loss(losses, 4.0))  # begins there
    assert math.isnan(epoch_of_loss({1: 2.0, 2: 1.0}, 0.5))
    assert math.isnan(epoch_of_loss({}, 0.5))
    assert value_between({0: 1.0, 4: 3.0, 6: 0.0}, 1.0) == 1.5
    assert value_between({0: 1.0, 4: 3.0, 6: 0.0}, 5.0) == 1.5
    assert math.isnan(value_between({0: 1.0, 4: 3.0}, 4.5))
    assert math.isnan(value_between({0: 1.0, 4: 3.0}, math.nan))


def test_networks_are_compared_at_equal_loss():
    slower = trained(2, 10, True, curves={"train_loss": (2.0, 2.0, 0.5)}, measure_curves={"stiffness": (0.9, 0.7, 0.1)})
    never = trained(3, 10, True, curves={"train_loss": (2.0, 1.9, 1.8)})
    figure = {"kind": "equal_loss", "x": "depth", "y": "stiffness", "train_loss": 1.0}
    spec = FigureSpec(**figure)
    assert value_at_loss(NETWORKS[0], spec) == pytest.approx(0.9 - 0.8 * 2 / 3)  # at epoch 2
    assert value_at_loss(slower, spec) == pytest.approx(0.4)  # at epoch 2.5
    assert math.isnan(value_at_loss(never, spec))
    (found,) = declared_panels({"figures": [figure]}, [NETWORKS[0], slower, never], CLASSIFICATION)
    assert found.svg is not None
    assert "1 of 3 networks do not come to this loss" in found.svg
    for wrong in ({"y": ""}, {"train_loss": None}, {"lines": ["train_loss"]}, {"kind": "scatter"}):
        with pytest.raises(InvalidInputError, match=r"needs|cannot have"):
            validate(FigureSpec, {**figure, **wrong}, source="test", where="figures 1")
