"""Gradient norm, SNIP and SynFlow against finite differences of the loss, and against examples by hand."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import nn

from nas_sens.core.errors import InvalidInputError
from nas_sens.metrics._network import layer_norms, probing_mode
from nas_sens.metrics.grad_norm import grad_norm
from nas_sens.metrics.snip import snip
from nas_sens.metrics.synflow import synflow

RTOL = 1e-6  # of central differences in float64
STEP = 1e-5
LAYERS = (nn.Linear, nn.Conv2d)


def loss_by_hand(model, x, y):
    """Return the mean cross-entropy, one input after another."""
    logits = model(x).tolist()
    total = 0.0
    for row, label in zip(logits, y.tolist(), strict=True):
        total += math.log(sum(math.exp(v) for v in row)) - row[label]
    return total / len(logits)


def twin_in_mode(model, batch_statistics):
    """Return a copy in which dropout is off and batch norms are in training mode or not: altering it is harmless."""
    twin = copy.deepcopy(model).eval().requires_grad_(False)
    for m in twin.modules():
        if isinstance(m, nn.modules.batchnorm._BatchNorm):
            m.train(batch_statistics)
    return twin


def differences(model, f, step):
    """Return one tensor per weight layer: the central difference of ``f`` by each weight, changed by ``step(w)``."""
    found = []
    for layer in (m for m in model.modules() if isinstance(m, LAYERS)):
        flat = layer.weight.view(-1)
        values = []
        for i in range(flat.numel()):
            w = float(flat[i])
            h = step(w)
            flat[i] = w + h
            above = f()
            flat[i] = w - h
            below = f()
            flat[i] = w
            values.append((above - below) / (2 * STEP))
        found.append(values)
    return found


@pytest.mark.parametrize("batch_statistics", [True, False])
@pytest.mark.usefixtures("untouched", "same_global_rng")
def test_grad_norm_and_snip_equal_finite_differences(network, x, y, batch_statistics):
    twin = twin_in_mode(network, batch_statistics)
    gradients = differences(twin, lambda: loss_by_hand(twin, x, y), lambda w: STEP)
    expected = sum(math.sqrt(sum(g * g for g in layer)) for layer in gradients)
    assert grad_norm(network, x, y, batch_statistics=batch_statistics) == pytest.approx(expected, rel=RTOL)
    # SNIP by its definition: the derivative by a factor c = 1 on the weight.
    masks = differences(twin, lambda: loss_by_hand(twin, x, y), lambda w: w * STEP)
    expected = sum(abs(m) for layer in masks for m in layer)
    assert snip(network, x, y, batch_statistics=batch_statistics) == pytest.approx(expected, rel=RTOL)


@pytest.mark.usefixtures("untouched", "same_global_rng")
def test_synflow_equals_finite_differences_on_absolute_values(network, x):
    twin = copy.deepcopy(network).eval().requires_grad_(False)
    for tensor in twin.state_dict().values():
        tensor.abs_()
    ones = torch.ones_like(x[:1])
    # R is linear in every single weight: the difference quotient is exact but for rounding.
    flows = differences(twin, lambda: float(twin(ones).sum()), lambda w: w * STEP)
    expected = sum(f for layer in flows for f in layer)
    assert 10 ** synflow(network, x) == pytest.approx(expected, rel=RTOL)


def test_by_hand():
    # One input (1, 2), logits (1 - 2, 3) = (-1, 3), label 0; p = softmax; gradient (p - e_0) xᵀ.
    layer = nn.Linear(2, 2, bias=False).double()
    layer.weight.data = torch.tensor([[1.0, -1.0], [3.0, 0.0]], dtype=torch.float64)
    x, y = torch.tensor([[1.0, 2.0]], dtype=torch.float64), torch.tensor([0])
    q = 1 / (1 + math.exp(-4))  # p_1 = 1 - p_0
    assert grad_norm(layer, x, y) == pytest.approx(math.sqrt(2 * q * q * 5), rel=1e-12)
    assert snip(layer, x, y) == pytest.approx(q * (1 * 1 + 1 * 2 + 3 * 1 + 0 * 2), rel=1e-12)
    assert synflow(layer, x) == pytest.approx(math.log10(1 + 1 + 3 + 0), rel=1e-12)


def test_synflow_of_a_deep_wide_network_is_finite_and_of_a_dead_one_not():
    deep = nn.Sequential(*[m for _ in range(40) for m in (nn.Linear(32, 32, bias=False), nn.ReLU())])
    for m in deep:
        if isinstance(m, nn.Linear):
            nn.init.constant_(m.weight, 1e4)  # R = 32 · (32e4)^40 = 10^221.7: far beyond float32
    expected = math.log10(40) + math.log10(32) + 40 * math.log10(32e4)
    assert synflow(deep, torch.zeros(1, 32)) == pytest.approx(expected, rel=1e-6)
    nn.init.zeros_(deep[20].weight)
    assert synflow(deep, torch.zeros(1, 32)) == -math.inf


def test_regression_targets_and_wrong_labels(x, y):
    model = nn.Sequential(nn.Flatten(), nn.Linear(32, 1)).double()
    target = torch.arange(6.0, dtype=torch.float64)
    error = model(x).squeeze(1) - target
    expected = 2 * (error[:, None] * x.flatten(1)).mean(dim=0).norm().detach()
    assert grad_norm(model, x, target) == pytest.approx(float(expected), rel=1e-12)
    with pytest.raises(InvalidInputError, match="labels are needed"):
        snip(model, x)
    with pytest.raises(InvalidInputError, match="6 inputs and 5 labels"):
        grad_norm(model, x, y[:5])
    with pytest.raises(InvalidInputError, match="shape of the outputs"):
        grad_norm(nn.Sequential(nn.Flatten(), nn.Linear(32, 2)).double(), x, target)
    with pytest.raises(InvalidInputError, match="the network has none"):
        synflow(nn.Flatten(), x)


def test_a_weight_that_two_layers_share_counts_once():
    first, second = nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False)
    second.weight = first.weight
    nn.init.eye_(first.weight)
    # R = Σ (W²) 1; θ·∂R/∂θ summed over the one weight matrix counts both uses: 2 · R = 6.
    assert synflow(nn.Sequential(first, second), torch.zeros(1, 3)) == pytest.approx(math.log10(6))


def test_the_mode_is_restored_after_an_error(network):
    before = [m.training for m in network.modules()]
    with pytest.raises(ZeroDivisionError), probing_mode(network, batch_statistics=True):
        raise ZeroDivisionError
    assert before == [m.training for m in network.modules()]


@pytest.mark.parametrize("scale", [1e-25, 1.0, 1e25])
def test_layer_norms_lose_nothing_whatever_the_range(scale):
    # Squares of 1e±25 leave the range of float32, and a plain float32 sum of 60,000 squares loses digits.
    sizes = (1, 5, 60_000, 65_536)
    g = torch.Generator().manual_seed(0)
    tensors = [scale * torch.randn(n, generator=g) for n in sizes]
    expected = [math.sqrt(math.fsum(v * v for v in t.tolist())) for t in tensors]
    assert layer_norms(tensors).tolist() == pytest.approx(expected, rel=2e-7)
    assert layer_norms([torch.zeros(3), tensors[1]]).tolist() == pytest.approx([0.0, expected[1]], rel=1e-12)
    assert math.isnan(float(layer_norms([torch.full((4,), math.nan)])))
