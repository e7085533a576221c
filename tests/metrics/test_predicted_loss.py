"""The loss that eq. 9 of forouzesh2020 predicts, against numbers by hand."""

from __future__ import annotations

import math

import pytest

from nas_sens.metrics.predicted_loss import predicted_loss


def test_by_hand():
    # K = 10: ½ · 9/10 · 4e4 · 0.25 / 0.01 = 450,000.
    found = predicted_loss(4e4, n_outputs=10, input_second_moment=0.25, noise_std=0.1)
    assert found == pytest.approx(math.sqrt(450_000), rel=1e-12)


def test_the_papers_table_to_a_factor_of_two():
    # CIFAR-10, fully-connected, 4 hidden layers, standard normal: width to (S_after, test loss).
    for s, loss in ((1.27e8, 35_511), (6.08e8, 92_611), (5.48e9, 317_060)):
        predicted = predicted_loss(s, n_outputs=10, input_second_moment=0.2648, noise_std=0.1)
        assert 0.5 < predicted / loss < 2


def test_scaling():
    kwargs = {"n_outputs": 10, "input_second_moment": 0.3, "noise_std": 0.1}
    base = predicted_loss(2.0, **kwargs)
    assert predicted_loss(8.0, **kwargs) == pytest.approx(2 * base)
    # S grows with the noise variance, so that the prediction does not depend on the noise it was measured with.
    assert predicted_loss(8.0, **{**kwargs, "noise_std": 0.2}) == pytest.approx(base)
    assert predicted_loss(0.0, **kwargs) == 0
