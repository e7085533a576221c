"""Regression from the data to the report: MSE in the target's units, 1 - R² as error, the words that go with them."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch
from sklearn.linear_model import LinearRegression
from sklearn.metrics import mean_squared_error, r2_score

from nas_sens import SearchSpace, StudySpec, search
from nas_sens.architectures.fc import FCSpec
from nas_sens.architectures.initialization import initialize_
from nas_sens.core.candidates import STATUS_OK
from nas_sens.core.errors import InvalidInputError
from nas_sens.data import DataSpec, Splits, load_data
from nas_sens.metrics.output_sensitivity import output_sensitivity
from nas_sens.metrics.predicted_loss import predicted_mse
from nas_sens.models.model_folder import CONFIG
from nas_sens.models.trained import export_model, load_model
from nas_sens.report import render_report
from nas_sens.report.numbers_as_text import percent
from nas_sens.report.text import CLASSIFICATION, REGRESSION, wording_of
from nas_sens.study.score_spec import ScoreSpec
from nas_sens.study.select_spec import SelectSpec
from nas_sens.study.study_spec import SearchSpec
from nas_sens.study.train_spec import TrainSpec
from nas_sens.training import train

NET = FCSpec(depth=1, width=24, init="he_normal")
RTOL = 1e-5


@pytest.fixture(scope="module")
def boston() -> Splits:
    return load_data(DataSpec(name="boston_housing", standardize=True))


def predictions(spec, outcome, splits, part):
    model = spec.build(splits.input_shape, 1, generator=torch.Generator())
    model.load_state_dict(outcome.state)
    with torch.no_grad():
        return model.eval()(getattr(splits, f"x_{part}")).double().numpy(), getattr(splits, f"y_{part}").numpy()


def test_loss_and_error_are_those_of_scikit_learn(boston):
    outcome = train(NET, boston, TrainSpec(epochs=3, batch_size=32), seed=1)
    for part in ("train", "val", "test"):
        y_hat, y = predictions(NET, outcome, boston, part)
        assert getattr(outcome, f"{part}_loss") == pytest.approx(mean_squared_error(y, y_hat), rel=RTOL)
        assert getattr(outcome, f"{part}_error") == pytest.approx(1 - r2_score(y, y_hat), rel=RTOL)
    assert outcome.val_loss == outcome.curve[-1]


def test_a_linear_network_comes_to_least_squares(boston):
    linear = FCSpec(depth=0, width=1)
    outcome = train(linear, boston, TrainSpec(epochs=800, batch_size=len(boston.x_train), learning_rate=0.1), seed=0)
    fit = LinearRegression().fit(boston.x_train.double(), boston.y_train.double())
    best = mean_squared_error(boston.y_train, fit.predict(boston.x_train.double()))
    assert outcome.train_loss == pytest.approx(best, rel=1e-4)
    assert outcome.test_error == pytest.approx(1 - fit.score(boston.x_test.double(), boston.y_test.double()), abs=0.02)


def test_one_full_batch_step_of_sgd_by_hand(boston):
    spec = TrainSpec(epochs=1, optimizer="sgd", learning_rate=1e-3, batch_size=len(boston.x_train))
    before, after = (train(NET, boston, dataclasses.replace(spec, learning_rate=r), seed=1) for r in (1e-30, 1e-3))
    model = NET.build(boston.input_shape, 1, generator=torch.Generator())
    model.load_state_dict(before.state)
    (model(boston.x_train) - boston.y_train).square().mean().backward()
    for name, p in model.named_parameters():
        torch.testing.assert_close(after.state[name], p.detach() - 1e-3 * p.grad, atol=1e-5, rtol=1e-5)


def test_targets_are_not_rescaled(boston):
    scaled = dataclasses.replace(boston, **{f"y_{p}": 10 * getattr(boston, f"y_{p}") for p in ("train", "val", "test")})
    a, b = (train(NET, s, TrainSpec(epochs=1), seed=1) for s in (boston, scaled))
    assert b.val_loss > 50 * a.val_loss


@pytest.mark.parametrize("depth", [1, 2])
def test_the_predicted_mse_is_the_variance_over_random_networks(depth, generator):
    # What eq. 7 says for K = 1, where its assumptions hold: normal weights of mean 0, no biases, ReLU.
    x = torch.rand(64, 20, generator=generator, dtype=torch.float64)
    model = FCSpec(depth=depth, width=40, bias=False).build((20,), 1, generator=generator).double()
    outputs, sensitivities = [], []
    for _ in range(600):
        initialize_(model, "standard_normal", scale=1.0, generator=generator)
        with torch.no_grad():
            outputs.append(model(x).flatten())
        sensitivities.append(output_sensitivity(model, x, noise_std=1e-3, generator=generator))
    variance = float(torch.stack(outputs).var(0).mean())
    second_moment = float(x.square().mean())
    found = predicted_mse(float(np.mean(sensitivities)), input_second_moment=second_moment, noise_std=1e-3)
    assert found == pytest.approx(variance, rel=0.2)


def study(**changes) -> StudySpec:
    space = SearchSpace(name="tiny", families={"fc": {"depth": 1, "width": [8, 12, 16], "init": "he_normal"}})
    fields = {
        "name": "tiny",
        "search_space": space,
        "data": DataSpec(name="diabetes", standardize=True),
        "search": SearchSpec(n_candidates=3),
        "select": SelectSpec(rule="lowest", top_k=2, control=1),
        "train": TrainSpec(epochs=4, seeds=1),
    }
    return StudySpec(**{**fields, **changes})


def test_a_study_of_a_regression_from_search_to_export(tmp_path):
    storage = f"sqlite:///{tmp_path}/a.db"
    result = search(study(), storage=storage)
    assert len(result.trials) == 3
    assert result.protocol["data"]["task"] == "regression"
    best = result.best
    assert best.status == STATUS_OK
    assert best.val_loss > 1000  # mean squares of a score of about 150, not nats
    assert best.generalization_gap == pytest.approx(best.test_error - best.train_error)
    assert best.predicted_loss > 0
    assert search(study(), storage=storage).best == best  # resumed: nothing to do
    model = load_model(storage, "tiny")
    splits = load_data(study().data)
    with torch.no_grad():
        y_hat = model(splits.x_val)
    assert mean_squared_error(splits.y_val, y_hat) == pytest.approx(best.val_loss, rel=1e-4)
    export_model(storage, "tiny", tmp_path / "net")
    notes = json.loads((tmp_path / "net" / CONFIG).read_text())["nas_sens"]
    assert (notes["task"], notes["feature_names"]) == ("regression", list(splits.feature_names))
    page = render_report(name="tiny", protocol=result.protocol, candidates=result.candidates, trained=result.trials)
    assert "mean squared errors" in page
    assert "1 − R²" in page
    assert "eq. 7" in page
    for wrong in ("nats", "cross-entrop", "wrong predictions", "eq. 9"):
        assert wrong not in page


def test_class_names_reach_the_export(tmp_path):
    lines = [f"{i % 7},{i % 5},{'yes' if i % 7 > 3 else 'no'}" for i in range(60)]
    (tmp_path / "t.csv").write_text("\n".join(["a,b,y", *lines]))
    spec = study(data=DataSpec(name=f"csv:{tmp_path}/t.csv", target="y"))
    result = search(spec, storage=f"sqlite:///{tmp_path}/a.db")
    assert result.protocol["data"]["task"] == "classification"
    export_model(f"sqlite:///{tmp_path}/a.db", "tiny", tmp_path / "net")
    assert json.loads((tmp_path / "net" / CONFIG).read_text())["nas_sens"]["class_names"] == ["no", "yes"]


def test_a_softmax_of_one_output_is_refused(tmp_path):
    with pytest.raises(InvalidInputError, match=r"after_softmax = true in .score. needs classes, but data 'diabetes'"):
        search(study(score=ScoreSpec(after_softmax=True)), storage=f"sqlite:///{tmp_path}/a.db")


def test_wording_follows_the_task():
    assert wording_of({"data": {"task": "regression"}}) is REGRESSION
    for protocol in ({}, {"data": {}}, {"data": {"task": "classification"}}, {"data": "x"}):
        assert wording_of(protocol) is CLASSIFICATION


def test_huge_errors_stay_readable():
    assert percent(1.31e9, 4e8) == "1.31×10¹¹ ± 4×10¹⁰\N{NO-BREAK SPACE}%"
    assert percent(15.9, None) == "1590\N{NO-BREAK SPACE}%"
