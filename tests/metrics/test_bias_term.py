"""Σ of eq. 8: by a loop over layers, by many random networks, and where there is none."""

import math
from itertools import pairwise

import pytest
import torch
from torch import nn

from nas_sens.core.errors import InvalidInputError
from nas_sens.metrics.bias_term import bias_term
from nas_sens.metrics.norm_product import norm_product


def mean_square(values):
    numbers = values.double().flatten().tolist()
    return math.fsum(v * v for v in numbers) / len(numbers)


def test_it_is_the_sum_of_what_every_bias_becomes():
    torch.manual_seed(0)
    first, second, third = nn.Conv2d(2, 6, 3, groups=2), nn.Linear(6 * 4, 5, bias=False), nn.Linear(5, 3)
    model = nn.Sequential(first, nn.LeakyReLU(0.3), nn.Flatten(), nn.Sequential(second, nn.PReLU(5, 0.5)), third)
    behind_first = (1 + 0.3**2) / 2 * mean_square(second.weight) * 24 * (1 + 0.5**2) / 2 * mean_square(third.weight) * 5
    expected = (mean_square(first.bias) * behind_first + mean_square(third.bias)) / 3
    assert bias_term(model) == pytest.approx(expected, rel=1e-6)
    assert model(torch.zeros(1, 2, 4, 4)).shape == (1, 3)  # the layers fit together


def test_the_fan_in_of_a_convolution_is_its_kernel_times_its_channels():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 3, groups=2, bias=False))
    expected = mean_square(model[0].bias) * 0.5 * mean_square(model[2].weight) * (2 * 3 * 3) / 2
    assert bias_term(model) == pytest.approx(expected, rel=1e-6)


def test_a_batch_norm_is_a_layer_with_a_bias():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6, bias=False), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 2, bias=False))
    norm = model[1]
    for values in (norm.running_mean, norm.bias.data):
        values.normal_()
    norm.running_var.uniform_(0.5, 2)
    shift = norm.bias - norm.running_mean * norm.weight / torch.sqrt(norm.running_var + norm.eps)
    assert bias_term(model) == pytest.approx(mean_square(shift) * 0.5 * mean_square(model[3].weight) * 6 / 2, rel=1e-5)


def test_at_random_weights_it_is_what_biases_add_to_the_variance_of_outputs():
    """One large vectorised draw: 20,000 networks of 2 hidden layers, the same weights with and without biases."""
    g = torch.Generator().manual_seed(1)
    n, d, width, k = 20_000, 3, 8, 4
    sizes = [d, width, width, k]
    x = torch.tensor([1.0, -0.5, 2.0])
    with_biases, without = x.expand(n, d), x.expand(n, d)
    terms = []
    for i, (n_in, n_out) in enumerate(pairwise(sizes)):
        w, b = torch.randn(n, n_out, n_in, generator=g), 2 * torch.randn(n, n_out, generator=g)
        with_biases = torch.einsum("nij,nj->ni", w, with_biases) + b
        without = torch.einsum("nij,nj->ni", w, without)
        if i < 2:
            with_biases, without = with_biases.relu(), without.relu()
        terms.append((w, b))
    model = nn.Sequential(
        *(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 4)),
    )
    values = []
    for i in range(300):
        for layer, (w, b) in zip((model[0], model[2], model[4]), terms, strict=True):
            layer.weight.data, layer.bias.data = w[i], b[i]
        values.append(bias_term(model))
    added = float(with_biases.mean(dim=1).var() - without.mean(dim=1).var())
    assert sum(values) / len(values) == pytest.approx(added, rel=0.1)
    assert added > 10


def test_without_biases_it_is_nothing():
    assert bias_term(nn.Sequential(nn.Linear(4, 6, bias=False), nn.ReLU(), nn.Linear(6, 2, bias=False))) == 0


@pytest.mark.parametrize("layer", [nn.Tanh(), nn.BatchNorm1d(2)])
def test_it_is_refused_where_the_product_of_norms_is(layer):
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), layer, nn.Linear(2, 2))
    reasons = []
    for measure in (bias_term, norm_product):
        with pytest.raises(InvalidInputError, match="plain chain") as caught:
            measure(model)
        reasons.append(str(caught.value).split("; ")[1])
    assert reasons[0] == reasons[1]
