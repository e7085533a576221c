"""Stiffness by classes and by distance, against loops over pairs of inputs; of several trainings as one."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch

import nas_sens as ns
from nas_sens.recordings import Recorded, recordings
from nas_sens.recordings import stiffness as module
from nas_sens.recordings.stiffness import RECORDING, over_seeds, stiffness


def gradient(model, x, label):
    """Return the gradient of one input's cross-entropy by all parameters (P,)."""
    logits = model(x[None])[0]
    return torch.cat(
        [g.flatten() for g in torch.autograd.grad(logits.logsumexp(0) - logits[label], model.parameters())]
    )


def mean(values):
    return math.fsum(values) / len(values) if values else math.nan


def test_arrays_are_those_of_loops_over_pairs(digits, same_global_rng):
    double = dataclasses.replace(digits, x_train=digits.x_train.double(), x_val=digits.x_val.double())
    model = ns.FCSpec(depth=1, width=6, init="he_normal").build(
        digits.input_shape, 10, generator=torch.Generator().manual_seed(3), dtype=torch.float64
    )
    noisy = digits.y_train // 2  # classes 0 to 4 only: the labels that are trained on
    recorded = Recorded(splits=double, y_train=noisy, n_inputs=30, loss="mse", generator=torch.Generator())
    found = stiffness(model, recorded)
    assert set(found) | {f for f in RECORDING.fields if f.endswith("_xi")} == set(RECORDING.fields)
    sets = {"train": recorded.train, "val": recorded.validation}
    gradients = {k: [gradient(model, a, b) for a, b in zip(*s, strict=True)] for k, s in sets.items()}
    for mode in module.MODES:
        first, second = mode.split("_")
        (xs, ys), (us, vs) = sets[first], sets[second]
        for kind in module.KINDS:
            by_class, within = {}, []
            for i in range(30):
                for j in range(30):
                    if first == second and i == j:
                        continue
                    g, h = gradients[first][i], gradients[second][j]
                    value = float(g @ h / g.norm() / h.norm())
                    value = math.copysign(1.0, value) if kind == "sign" else value
                    by_class.setdefault((int(ys[i]), int(vs[j])), []).append(value)
                    if ys[i] == vs[j] and (first != second or i < j):
                        a, b = xs[i].flatten(), us[j].flatten()
                        within.append((1 - float(a @ b / a.norm() / b.norm()), value))
            name = f"{mode}_{kind}"
            expected = [[mean(by_class.get((a, b), [])) for b in range(10)] for a in range(10)]
            np.testing.assert_allclose(found[name].numpy(), expected, rtol=1e-9, atol=1e-12)
            diagonal = [expected[c][c] for c in range(10) if not math.isnan(expected[c][c])]
            assert float(found[f"{name}_within"]) == pytest.approx(mean(diagonal), rel=1e-6)
            off = [v for a, row in enumerate(expected) for b, v in enumerate(row) if a != b and not math.isnan(v)]
            assert float(found[f"{name}_between"]) == pytest.approx(mean(off), rel=1e-6)
            bins = [[v for d, v in within if 0.1 * k <= d < 0.1 * (k + 1)] for k in range(20)]
            np.testing.assert_allclose(found[f"{name}_by_distance"].numpy(), [mean(b) for b in bins], rtol=1e-9)
            errors = [np.std(b, ddof=1) / math.sqrt(len(b)) if len(b) > 1 else math.nan for b in bins]
            np.testing.assert_allclose(found[f"{name}_stderr"].numpy(), errors, rtol=1e-9, atol=1e-12)
            slope, intercept = np.polyfit(*zip(*within, strict=True), 1)
            np.testing.assert_allclose(found[f"{name}_line"].numpy(), [intercept, slope], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found["distance"].numpy()[[0, 19]], [0.05, 1.95])


def test_trainings_become_one_by_what_each_of_them_has():
    def one(value, error, line):
        fields = {f: np.array(value) for f in RECORDING.fields if not f.endswith("_xi")}
        fields |= {f: np.array(error) for f in fields if f.endswith("_stderr")}
        return fields | {f: np.array(line) for f in fields if f.endswith("_line")}

    found = over_seeds([one([1.0, np.nan], [0.3, 0.5], [1.0, -1.0]), one([3.0, np.nan], [0.4, np.nan], [0.0, -3.0])])
    assert list(found) == list(RECORDING.fields)
    np.testing.assert_array_equal(found["val_val_sign"], [2.0, np.nan])
    np.testing.assert_allclose(found["val_val_sign_stderr"], [0.25, 0.5])
    np.testing.assert_allclose(found["val_val_sign_line"], [0.5, -2.0])
    assert float(found["val_val_sign_xi"]) == 0.25
    rising = over_seeds([one([1.0], [1.0], [1.0, 1.0])])
    assert math.isnan(float(rising["train_val_cosine_xi"]))


def test_it_is_found_small_and_for_classes_only(digits):
    recording = recordings()["stiffness"]
    assert recording.size(500, digits) <= 1_000
    assert recording.requirement(ns.load_data(ns.DataSpec(name="diabetes")))
    recorded = Recorded(splits=digits, y_train=digits.y_train, n_inputs=1, loss="mse", generator=torch.Generator())
    model = ns.FCSpec(depth=1, width=3).build(digits.input_shape, 10)
    with pytest.raises(ns.InvalidInputError, match="at least 3 pairs"):
        stiffness(model, recorded)
