"""Loss and Jacobian norm of single test inputs: against one input and one output at a time."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch

import nas_sens as ns
from nas_sens.recordings import Recorded
from nas_sens.recordings.points import points


@pytest.mark.parametrize("loss", ["cross_entropy", "mse", "brier"])
def test_points_equal_the_slow_twin(digits, loss):
    model = ns.FCSpec(depth=2, width=6, init="he_normal", dropout=0.5).build(
        digits.input_shape, 10, generator=torch.Generator().manual_seed(3)
    )
    model.double().train()
    double = dataclasses.replace(digits, x_test=digits.x_test.double())
    recorded = Recorded(
        splits=double, y_train=digits.y_train, n_inputs=5, loss=loss, generator=torch.Generator().manual_seed(0)
    )
    found = points(model, recorded)
    assert model.training
    model.eval()
    for i, (x, y) in enumerate(zip(recorded.test[0], recorded.test[1].tolist(), strict=True)):
        logits = model(x[None])[0].tolist()
        total = math.fsum(math.exp(v) for v in logits)
        expected = -math.log(math.exp(logits[y]) / total)
        if loss == "mse":
            expected = math.fsum((v - (k == y)) ** 2 for k, v in enumerate(logits)) / 10
        if loss == "brier":
            expected = math.fsum((math.exp(v) / total - (k == y)) ** 2 for k, v in enumerate(logits))
        rows = torch.autograd.functional.jacobian(lambda z: model(z[None])[0].softmax(0), x).flatten(1)
        assert float(found["loss"][i]) == pytest.approx(expected, rel=1e-9)
        assert float(found["jacobian_norm"][i]) == pytest.approx(float(rows.norm()), rel=1e-9)
        assert float(found["class_norm"][i]) == pytest.approx(float(rows[y].norm()), rel=1e-9)
        assert float(found["is_right"][i]) == (max(range(10), key=logits.__getitem__) == y)
    assert float(found["n_classes"]) == 10
