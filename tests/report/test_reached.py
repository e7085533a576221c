"""What the best network reaches, with its error, and what the error is of."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nas_sens.core.figures import Objective
from nas_sens.report import answer
from nas_sens.report.reached import reached
from nas_sens.report.shown_figures import shown_figures
from tests.report.test_report import _study

LAST = {"last_run": {"n_val": 250, "n_test": 1000}}
ONE = {"n_seeds": 1, "test_error_sd": None, "val_error_sd": None}
REGRESSION = {"data": {"task": "regression"}}
OWN = {"train": {"trainer": "m:f"}, "select": {"target": "val_f1"}}
SEEDS = "± is one standard error, of 2 seeds"


@pytest.mark.parametrize(
    ("protocol", "changes", "figure", "error"),
    [
        ({}, {"test_error": 0.07}, "93.0 ± 0.2\u202f% accurate", SEEDS),
        (LAST, {"test_error": 0.07}, "93.0 ± 0.8\u202f% accurate", f"{SEEDS} and 1\u202f000 inputs"),
        (LAST, {"test_error": 0.07} | ONE, "93.0 ± 0.8\u202f% accurate",
         "± is one standard error, of 1\u202f000 inputs, and one seed, of which others may scatter more"),
        (LAST, {"test_error": None, "val_error": 0.2}, "80.0 ± 2.6\u202f% accurate", f"{SEEDS} and 250 inputs"),
        (LAST | {"train": {"table": "t.csv"}}, {"test_error": 0.07}, "93.0 ± 0.2\u202f% accurate", SEEDS),
        ({}, {"test_error": 0.0712, "test_error_sd": 0.0002}, "92.88 ± 0.01\u202f% accurate", SEEDS),
        ({}, {"test_error": 0.07} | ONE, "93.0\u202f% accurate", "its error is not known, as it was trained with one"),
        (LAST, {"test_error": 0.0} | ONE, "100.0 ± 0.1\u202f% accurate", "± is one standard error, of 1\u202f000"),
        (REGRESSION | LAST, {"test_error": 0.13, "test_error_sd": 0.03}, "R² 0.87 ± 0.02", SEEDS),
        (REGRESSION, {"test_error": 1.2} | ONE, "R² −0.20", "its error is not known"),
        (OWN, {"figures": {"val_f1": 0.5}, "figure_sds": {"val_f1": 0.02}}, "val_f1 0.5 ± 0.014", SEEDS),
        (OWN, {"figures": {"val_f1": 0.5}} | ONE, "val_f1 0.5", "its error is not known"),
    ],
)  # fmt: skip
def test_what_the_best_network_reaches_is_said_in_the_words_of_the_task(protocol, changes, figure, error):
    candidates, trained = _study()
    found = answer("study", protocol, candidates, [replace(t, **changes) for t in trained]).hero
    assert found.figure == figure
    assert error in found.on
    assert found.line.startswith(figure.replace("\u202f", " "))


def test_two_errors_hold_the_truth_between_them_as_often_as_they_say():
    """Networks whose seeds differ, judged by inputs that a seed gets right by its own luck and by the inputs' own."""
    draw, n, k, protocol = np.random.default_rng(0), 300, 8, {"last_run": {"n_test": 300}}
    (one,), is_inside = _study(n=1, n_selected=1, n_control=0)[1], []
    for _ in range(400):
        hard = draw.choice([0.02, 0.8], n, p=[0.9, 0.1])
        errors = (draw.random((k, n)) < hard + draw.uniform(-0.015, 0.015, (k, 1))).mean(axis=1)
        trained = replace(one, n_seeds=k, test_error=errors.mean(), test_error_sd=errors.std(ddof=1))
        figure = reached(trained, protocol, Objective("val_loss"), shown_figures(protocol, [trained])).figure
        value, error = (float(v) / 100 for v in figure.split("\u202f")[0].split(" ± "))
        is_inside.append(abs((1 - value) - 0.098) < 1.96 * error)
    assert 0.95 <= np.mean(is_inside) < 0.995
