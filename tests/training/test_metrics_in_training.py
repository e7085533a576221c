"""Measures during and after training: when, on what, how they are stored, and that they change nothing."""

from __future__ import annotations

import dataclasses
import itertools

import pytest
import torch

import nas_sens as ns
from nas_sens.core.identity import make_generator
from nas_sens.data.subset import stratified_order
from nas_sens.storage.study_storage import StudyStorage
from nas_sens.study.train_spec import TrainSpec
from nas_sens.training import train
from nas_sens.training.label_noise import noisy_labels
from nas_sens.training.seed_means import MOST_POINTS, compact, mean_curve, mean_measures

FC = ns.FCSpec(depth=1, width=8, init="he_normal", dropout=0.2)
SPEC = TrainSpec(epochs=5, metrics=("jacobian_norm", "l2_norm"), metrics_every=2, metrics_inputs=16)


def test_measures_are_those_of_the_network_as_it_was(digits):
    outcome = train(FC, digits, SPEC, seed=1)
    assert outcome.measured_epochs == (0, 2, 4, 5)
    for i, epoch in enumerate(outcome.measured_epochs):
        if epoch == 0:
            stream = make_generator("initial weights", FC.digest, 1)
            model = FC.build(digits.input_shape, 10, generator=stream)
        else:
            model = FC.build(digits.input_shape, 10)
            model.load_state_dict(train(FC, digits, dataclasses.replace(SPEC, epochs=epoch), seed=1).state)
        generator = make_generator("measures in training", 1)
        rows = stratified_order(digits.y_val, generator=make_generator("inputs of measures", 1))[:16]
        x, y = digits.x_val[rows], digits.y_val[rows]
        for found in ns.measure(model, x, y, metrics=SPEC.metrics, generator=generator):
            assert outcome.measure_curves[found.name][i] == found.value
    assert outcome.measures == {name: curve[-1] for name, curve in outcome.measure_curves.items()}


@pytest.mark.parametrize("measure", ["jacobian_norm", "snip", "stiffness", "zen", "output_sensitivity"])
def test_training_does_not_depend_on_what_is_measured(digits, measure):
    spec = TrainSpec(epochs=2, batch_size=50)
    plain = train(FC, digits, spec, seed=1)
    measured = train(FC, digits, dataclasses.replace(spec, metrics=(measure,), metrics_every=1), seed=1)
    assert all(torch.equal(plain.state[k], measured.state[k]) for k in plain.state)
    assert plain.curve == measured.curve
    assert list(measured.measures) == [measure]


def test_measures_can_be_taken_on_the_training_set(digits):
    spec = TrainSpec(epochs=1, metrics=("jacobian_norm",))
    held_out, seen = (
        train(FC, digits, dataclasses.replace(spec, metrics_on=on), seed=1) for on in ("validation", "train")
    )
    assert held_out.measures != seen.measures
    assert held_out.measured_epochs == (1,)


def test_measures_of_the_training_set_see_the_labels_that_were_trained_on(digits):
    spec = TrainSpec(epochs=1, metrics=("grad_norm",), metrics_on="train", metrics_inputs=200, label_noise=0.9)
    outcome = train(FC, digits, spec, seed=1)
    model = FC.build(digits.input_shape, 10)
    model.load_state_dict(outcome.state)
    labels = make_generator("label noise", 1)
    noisy = noisy_labels(digits.y_train, share=0.9, n_classes=10, generator=labels)
    on_noisy, on_true = (
        ns.measure(model, digits.x_train, y, metrics="grad_norm")[0].value for y in (noisy, digits.y_train)
    )
    assert outcome.measures["grad_norm"] == pytest.approx(on_noisy, rel=1e-5)
    assert outcome.measures["grad_norm"] != pytest.approx(on_true, rel=1e-2)


def test_both_sets_are_normalised_by_the_same_output(digits):
    spec = TrainSpec(epochs=1, metrics=("output_normalized_loss",), metrics_on="both", metrics_inputs=200)
    outcome = train(FC, digits, spec, seed=1)
    model = FC.build(digits.input_shape, 10)
    model.load_state_dict(outcome.state)
    model.eval()
    with torch.no_grad():
        norm = model(digits.x_train[:1])[0].square().sum().sqrt()
        for name, x, y in (("", digits.x_val, digits.y_val), ("_on_train", digits.x_train, digits.y_train)):
            loss = torch.nn.functional.cross_entropy(model(x) / norm, y)
            assert outcome.measures["output_normalized_loss" + name] == pytest.approx(float(loss), rel=1e-5)


def test_regressions_can_be_measured():
    data = ns.load_data(ns.DataSpec(name="diabetes", train_samples=60, standardize=True))
    outcome = train(FC, data, TrainSpec(epochs=2, metrics=("stiffness", "jacobian_norm")), seed=1)
    assert outcome.measures["stiffness"] or outcome.measure_problems["stiffness"]
    assert set(outcome.measures) | set(outcome.measure_problems) == {"stiffness", "jacobian_norm"}


def test_a_measure_that_cannot_be_taken_gives_a_line_and_others_still_run(digits):
    tanh = ns.CNNSpec(depth=1, channels=2)
    spec = TrainSpec(epochs=2, metrics=("stiffness", "l2_norm"), metrics_inputs=1, metrics_every=1)
    outcome = train(tanh, digits, spec, seed=1)
    assert outcome.measure_curves["stiffness"] == (None, None, None)
    assert list(outcome.measures) == ["l2_norm"]
    assert list(outcome.measure_problems) == ["stiffness"]
    assert "2 inputs" in outcome.measure_problems["stiffness"]


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"metrics": ["jacobian_nrom"]}, "unknown metric 'jacobian_nrom'; did you mean 'jacobian_norm'?"),
        ({"metrics_every": 2}, "needs a list metrics for metrics_every; given metrics_every = 2"),
    ],
)
def test_wrong_declarations_are_one_line(values, text):
    with pytest.raises(ns.InvalidInputError) as error:
        ns.core.declarations.validate(TrainSpec, values, source="study.toml", where="train")
    assert text in str(error.value)
    assert "\n" not in str(error.value)


def test_means_over_seeds():
    assert mean_curve([(3.0, 1.0), (1.0, 2.0, 6.0)]) == (2.0, 1.5, 3.5)  # one stopped early and keeps its last value
    epochs, means = mean_measures([(0, 2, 3), (0, 2, 4, 5)], [{"a": (1.0, 2.0, 3.0)}, {"a": (3.0, 4.0, None, 6.0)}])
    assert epochs == (0, 2, 3, 4, 5)
    assert means == {"a": (2.0, 3.0, 3.5, None, 4.5)}
    assert mean_measures([(), ()], [{}, {}]) == ((), {})


@pytest.mark.parametrize("n", [1, 2, MOST_POINTS, MOST_POINTS + 1, 5 * MOST_POINTS])
def test_long_curves_are_thinned_out_evenly(n):
    epochs, curves = compact({"a": [1 / (i + 3) for i in range(n)]})
    assert len(epochs) == min(n, MOST_POINTS) == len(curves["a"])
    assert (epochs[0], epochs[-1]) == (1, n)
    steps = {b - a for a, b in itertools.pairwise(epochs)}
    assert len(steps) <= 2
    assert curves["a"][-1] == float(f"{1 / (n + 2):.6g}")


def test_measures_and_curves_come_back_from_the_database(tmp_path):
    space = ns.SearchSpace(name="tiny", families={"fc": {"depth": [1, 2], "width": 4, "init": "he_normal"}})
    spec = ns.StudySpec(
        name="tiny",
        search_space=space,
        data=ns.DataSpec(name="digits", train_samples=60),
        score=ns.ScoreSpec(n_inputs=16, seeds=2),
        search=ns.SearchSpec(n_candidates=2),
        select=ns.SelectSpec(rule="pareto", top_k=1, control=0),
        train=dataclasses.replace(SPEC, epochs=3, seeds=2),
    )
    url = f"sqlite:///{tmp_path}/a.db"
    result = ns.search(spec, storage=url)
    (trial,) = StudyStorage(url).trained("tiny")
    outcomes = [
        train(ns.load_spec(trial.architecture), ns.load_data(spec.data), spec.train, seed=s)
        for s in (ns.core.identity.derive_seed("training", 0, 0), ns.core.identity.derive_seed("training", 0, 1))
    ]
    assert trial.measured_epochs == (0, 2, 3)
    for name in SPEC.metrics:
        means = [sum(values) / 2 for values in zip(*(o.measure_curves[name] for o in outcomes), strict=True)]
        assert trial.measure_curves[name] == pytest.approx(means, rel=1e-5)
        assert trial.measures[name] == trial.measure_curves[name][-1]
        assert result.frame()[f"measure_{name}"][0] == trial.measures[name]
    assert trial.curve_epochs == (1, 2, 3)
    assert set(trial.curves) == {"train_loss", "train_error", "val_error"}
    assert trial.curves["val_error"][-1] == pytest.approx(trial.val_error, rel=1e-5)
    assert "curves" not in result.frame()
