"""Stiffness against gradients and losses taken one input at a time; the critical length against known lines."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from torch import nn

from nas_sens.core.errors import InvalidInputError
from nas_sens.metrics.class_diameter import class_diameter
from nas_sens.metrics.cosine_critical_length import cosine_critical_length
from nas_sens.metrics.critical_length import critical_length, fit_critical_length, input_distances
from nas_sens.metrics.stiffness import as_kind, class_stiffness, gradient_cosines, stiffness


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def loss_of_one(model, point, label):
    logits = model(point[None])[0]
    return logits.exp().sum().log() - logits[label]


def slow_cosines(model, x, y):
    """Return the cosine of every pair of gradients, in Python's numbers."""
    twin = copy.deepcopy(model).eval().requires_grad_(True)
    rows = []
    for point, label in zip(x, y.tolist(), strict=True):
        gradients = torch.autograd.grad(
            loss_of_one(twin, point, label), list(twin.parameters()), materialize_grads=True
        )
        rows.append([v for g in gradients for v in g.flatten().tolist()])
    norms = [math.sqrt(math.fsum(v * v for v in row)) for row in rows]
    return [
        [math.fsum(a * b for a, b in zip(r, s, strict=True)) / (m * n) for s, n in zip(rows, norms, strict=True)]
        for r, m in zip(rows, norms, strict=True)
    ]


@pytest.mark.parametrize("block_size", [1, 4, None])
@pytest.mark.usefixtures("untouched", "same_global_rng")
def test_equals_the_slow_twin(network, x, y, block_size):
    expected = slow_cosines(network, x, y)
    cosines = gradient_cosines(network, x, y, block_size=block_size)
    np.testing.assert_allclose(cosines.numpy(), expected, rtol=1e-8, atol=1e-10)
    assert torch.equal(cosines, cosines.T)
    pairs = [expected[i][j] for i in range(len(x)) for j in range(len(x)) if i != j]
    assert stiffness(network, x, y, kind="cosine") == pytest.approx(sum(pairs) / len(pairs), rel=1e-8)
    signs = [math.copysign(1, v) for v in pairs]
    assert stiffness(network, x, y) == pytest.approx(sum(signs) / len(signs), rel=1e-12)


def test_the_sign_says_whether_a_step_for_one_input_lowers_the_loss_of_another(network, x, y):
    # Eq. 2-3, by a step and not by a product of gradients.
    twin = copy.deepcopy(network).eval().requires_grad_(True)
    signs = as_kind(gradient_cosines(network, x, y), "sign")
    for i in range(3):
        gradients = torch.autograd.grad(loss_of_one(twin, x[i], y[i]), list(twin.parameters()), materialize_grads=True)
        with torch.no_grad():
            before = [float(loss_of_one(twin, x[j], y[j])) for j in range(len(x))]
            for p, g in zip(twin.parameters(), gradients, strict=True):
                p.sub_(1e-7 * g)
            after = [float(loss_of_one(twin, x[j], y[j])) for j in range(len(x))]
            for p, g in zip(twin.parameters(), gradients, strict=True):
                p.add_(1e-7 * g)
        assert [math.copysign(1, b - a) for a, b in zip(after, before, strict=True)] == signs[i].tolist()


def test_layers_that_are_shared_called_twice_or_see_tokens(y):
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.tokens, self.twice, self.unused = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(2, 2)
            self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4)
            self.second.weight = self.first.weight
            self.end = nn.Linear(4, 3)

        def forward(self, x):
            x = self.tokens(x.flatten(1).unflatten(1, (8, 4))).tanh().mean(dim=1)
            x = self.twice(self.twice(x).relu_())
            return self.end(self.second(self.first(x).relu_()).tanh())

    model = Odd().double()
    x = torch.randn(6, 2, 4, 4, generator=seeded(), dtype=torch.float64)
    np.testing.assert_allclose(gradient_cosines(model, x, y).numpy(), slow_cosines(model, x, y), rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize(
    "conv",
    [
        nn.Conv2d(5, 6, 3, stride=2, padding=1),  # 2 × 2 positions: products of factors
        nn.Conv2d(5, 6, (3, 4), padding=(1, 0), dilation=(1, 1), bias=False),
        nn.Conv2d(5, 6, 3, stride=2, padding=1, padding_mode="reflect"),
        nn.Conv2d(5, 6, 3, padding="same"),
        nn.Conv2d(5, 5, 4, groups=5),
    ],
)
def test_convolutions_of_all_kinds(conv, y):
    start = nn.Conv2d(2, 5, 1)
    with torch.no_grad():
        end = nn.Linear(conv(start(torch.zeros(1, 2, 4, 4))).numel(), 3)
    model = nn.Sequential(start, nn.ReLU(inplace=True), conv, nn.ReLU(inplace=True), nn.Flatten(), end).double()
    x = torch.randn(6, 2, 4, 4, generator=seeded(), dtype=torch.float64)
    np.testing.assert_allclose(gradient_cosines(model, x, y).numpy(), slow_cosines(model, x, y), rtol=1e-8, atol=1e-10)


def test_factors_of_few_positions_are_taken_and_in_parts(y):
    from nas_sens.metrics import _gradient_gram

    model = nn.Sequential(nn.Conv2d(5, 6, 3, stride=2), nn.Flatten(), nn.Linear(6, 3)).double()
    x = torch.randn(6, 5, 4, 4, generator=seeded(), dtype=torch.float64)
    gram, done = _gradient_gram._gram_of_factored_layers(model, x, x.new_ones(6, 3))
    parts, _ = _gradient_gram._gram_of_factored_layers(
        model, x, x.new_ones(6, 3), most_numbers=12
    )  # two rows at a time
    torch.testing.assert_close(parts, gram, rtol=1e-12, atol=1e-12)
    assert done == {"0.weight", "0.bias", "2.weight", "2.bias"}
    np.testing.assert_allclose(gradient_cosines(model, x, y).numpy(), slow_cosines(model, x, y), rtol=1e-8, atol=1e-10)


def test_more_inputs_than_a_pass_takes():
    model = nn.Sequential(nn.Flatten(), nn.Linear(32, 4), nn.ReLU(), nn.Linear(4, 3)).double()
    x = torch.randn(70, 2, 4, 4, generator=seeded(), dtype=torch.float64)
    y = torch.arange(70) % 3
    cosines = gradient_cosines(model, x, y)
    some = [0, 3, 63, 64, 69]
    np.testing.assert_allclose(cosines[some][:, some].numpy(), slow_cosines(model, x[some], y[some]), atol=1e-10)


@pytest.mark.parametrize("is_conv", [False, True])
def test_a_network_whose_loss_is_nearly_zero_still_has_cosines(is_conv):
    # Logits far apart: gradients of 1e-30, whose products no float32 holds.
    model = nn.Linear(2, 2, bias=False)
    weight = torch.tensor([[70.0, 0.0], [0.0, 0.0]])
    x = torch.tensor([[1.0, 0.0], [1.0, 1.0], [1.0, -1.0]])
    if is_conv:  # the same at each of two positions, of which the mean is taken
        model = nn.Sequential(nn.Conv2d(2, 2, 1, bias=False), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        model[0].weight.data = weight[:, :, None, None]
        x = x[:, :, None, None].expand(3, 2, 1, 2)
    else:
        model.weight.data = weight
    cosines = gradient_cosines(model, x, torch.zeros(3, dtype=torch.long))
    s = math.sqrt(0.5)
    np.testing.assert_allclose(cosines.numpy(), [[1, s, s], [s, 1, 0], [s, 0, 1]], atol=1e-6)


def test_a_gradient_of_zero_is_neither_stiff_nor_not_and_nan_is_not_hidden():
    model = nn.Linear(2, 1, bias=False).double()
    x = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], dtype=torch.float64)
    target = model(x).detach()
    target[1:] += 1
    cosines = gradient_cosines(model, x, target)
    assert cosines[0].tolist() == [0.0, 0.0, 0.0]
    assert float(cosines[1, 2]) == pytest.approx(math.sqrt(0.5))
    nn.init.constant_(model.weight, math.nan)
    assert math.isnan(stiffness(model, x, target))


def test_class_matrix_equals_loops_over_pairs():
    n, m = 9, 7
    values = torch.randn(n, n, generator=seeded(), dtype=torch.float64)
    y = torch.tensor([0, 0, 0, 1, 1, 3, 3, 3, 1])
    other = torch.tensor([0, 1, 1, 3, 3, 2, 0])

    def mean(pairs):
        return sum(pairs) / len(pairs) if pairs else math.nan

    found = class_stiffness(values, y)
    expected = [
        [mean([float(values[i, j]) for i in range(n) for j in range(n) if i != j and (y[i], y[j]) == (a, b)])
         for b in range(4)] for a in range(4)
    ]  # fmt: skip
    np.testing.assert_allclose(found.matrix.numpy(), expected, rtol=1e-12)
    assert found.within == pytest.approx(np.nanmean(np.diag(expected)), rel=1e-12)
    off = [expected[a][b] for a in range(4) for b in range(4) if a != b]
    assert found.between == pytest.approx(np.nanmean(off), rel=1e-12)
    crossed = class_stiffness(values[:, :m], y, other)
    expected = [
        [mean([float(values[i, j]) for i in range(n) for j in range(m) if (y[i], other[j]) == (a, b)])
         for b in range(4)] for a in range(4)
    ]  # fmt: skip
    np.testing.assert_allclose(crossed.matrix.numpy(), expected, rtol=1e-12)


def test_distance_by_hand():
    x = torch.tensor([[3.0, 0.0], [0.0, 2.0], [-1.0, 0.0], [1.0, 1.0]])
    expected = [[0, 1, 2, 1 - math.sqrt(0.5)]]
    np.testing.assert_allclose(input_distances(x[:1], x).numpy(), expected, atol=1e-7)


def test_the_line_is_that_of_numpy():
    n = 8
    g = seeded(3)
    distances = torch.rand(n, n, generator=g, dtype=torch.float64)
    values = 1 - 2 * distances + torch.randn(n, n, generator=g, dtype=torch.float64) * 0.2
    pairs = ~torch.eye(n, dtype=torch.bool)
    pairs[0, 5] = False
    found = fit_critical_length(values, distances, pairs)
    slope, intercept = np.polyfit(distances[pairs].numpy(), values[pairs].numpy(), 1)
    assert (found.slope, found.intercept) == pytest.approx((slope, intercept), rel=1e-9)
    assert found.xi == pytest.approx(-intercept / slope, rel=1e-9)


def test_lines_that_do_not_cross_zero():
    d = torch.linspace(0, 1, 16, dtype=torch.float64).view(4, 4)
    every = torch.ones(4, 4, dtype=torch.bool)
    assert fit_critical_length(0.5 - 0.25 * d, d, every).xi == pytest.approx(2.0)
    assert fit_critical_length(0.5 + d, d, every).xi == math.inf
    assert fit_critical_length(-0.5 - d, d, every).xi == 0.0
    with pytest.raises(InvalidInputError, match="given 2"):
        fit_critical_length(d, d, d < 0.1)


def test_critical_length_of_a_network(network, x, y):
    y = torch.tensor([0, 0, 0, 1, 1, 1])
    cosines = np.array(slow_cosines(network, x, y))
    d, s = [], []
    for i in range(6):
        for j in range(6):
            if i != j and y[i] == y[j]:
                a, b = x[i].flatten().numpy(), x[j].flatten().numpy()
                d.append(1 - a @ b / np.linalg.norm(a) / np.linalg.norm(b))
                s.append(cosines[i, j])
    slope, intercept = np.polyfit(d, s, 1)
    expected = max(0.0, -intercept / slope) if slope < 0 else math.inf
    assert critical_length(network, x, y, kind="cosine") == pytest.approx(expected, rel=1e-6)
    assert cosine_critical_length(network, x, y) == pytest.approx(expected, rel=1e-6)


def test_measures_share_the_cosines_of_the_same_tensors(network, x, y, monkeypatch):
    from nas_sens.metrics import stiffness as module

    y = torch.tensor([0, 0, 0, 1, 1, 1])
    measures = [lambda: stiffness(network, x, y), lambda: critical_length(network, x, y)]
    measures += [lambda: cosine_critical_length(network, x, y), lambda: stiffness(network, x, y.clone(), kind="cosine")]
    alone = [measure() for measure in measures]
    calls = []
    whole = module.gradient_gram
    monkeypatch.setattr(module, "gradient_gram", lambda *a, **k: calls.append(1) or whole(*a, **k))
    with module.shared_cosines():
        assert [measure() for measure in measures] == alone
    assert len(calls) == 2  # the last measure's labels are another tensor
    assert [measure() for measure in measures] == alone
    assert len(calls) == 6


def test_wrong_input(network, x, y):
    with pytest.raises(InvalidInputError, match="'sign' or 'cosine'; given 'sine'"):
        stiffness(network, x, y, kind="sine")
    with pytest.raises(InvalidInputError, match="integer label for every row"):
        class_stiffness(torch.zeros(3, 3), torch.zeros(2, dtype=torch.long))
    with pytest.raises(InvalidInputError, match="integer labels"):
        critical_length(network, x, torch.zeros(6, 3, dtype=torch.float64))


def test_the_largest_distance_within_a_class(network):
    x = torch.tensor([[1.0, 0.0], [0.0, 2.0], [3.0, 3.0], [-1.0, 0.0], [0.0, -9.0]])
    assert class_diameter(network, x, torch.tensor([0, 0, 1, 1, 2])) == pytest.approx(1 + 1 / math.sqrt(2))
    assert class_diameter(network, x, torch.tensor([0, 0, 1, 2, 3])) == pytest.approx(1.0)
    with pytest.raises(InvalidInputError, match="two inputs of one class"):
        class_diameter(network, x, torch.arange(5))
