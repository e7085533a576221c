"""Output sensitivity against its definition in plain loops, linear networks, and eq. 10 of forouzesh2020."""

from __future__ import annotations

import copy
import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

from nas_sens.architectures.fc import FCSpec
from nas_sens.architectures.initialization import initialize_
from nas_sens.core.errors import InvalidInputError
from nas_sens.core.identity import make_generator
from nas_sens.core.module_mode import evaluation_mode
from nas_sens.metrics import metric_names
from nas_sens.metrics.output_sensitivity import output_sensitivity

FLOAT64_RTOL = 1e-10
FLOAT32_RTOL = 1e-3  # differences of nearly equal float32 outputs


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def inputs(n, *shape, seed=5):
    return torch.rand(n, *shape, generator=seeded(seed), dtype=torch.float64)


def forward_by_hand(model, x: list[float]) -> list[float]:
    """Return the logits of a ReLU network of linear layers, one number after another."""
    layers = [m for m in model if isinstance(m, nn.Linear)]
    for i, layer in enumerate(layers):
        w, b = layer.weight.tolist(), layer.bias.tolist()
        x = [sum(wij * xj for wij, xj in zip(row, x, strict=True)) + bi for row, bi in zip(w, b, strict=True)]
        if i < len(layers) - 1:
            x = [max(v, 0.0) for v in x]
    return x


def softmax_by_hand(y: list[float]) -> list[float]:
    e = [math.exp(v - max(y)) for v in y]
    return [v / sum(e) for v in e]


def variance_by_hand(values: list[float]) -> float:
    mean = sum(values) / len(values)
    return sum((v - mean) ** 2 for v in values) / (len(values) - 1)


def slow_twin(model, x, noise_std, n_noise, after_softmax, seed):
    """Return S_θ by eq. 2, with Python's numbers and loops alone (the noise is drawn as the fast one draws it)."""
    generator = seeded(seed)
    differences = []  # one vector ε_y for each input and noise draw
    for _ in range(n_noise):
        noise = torch.randn(x.shape, generator=generator, dtype=x.dtype).flatten(1).tolist()
        for clean, eps in zip(x.flatten(1).tolist(), noise, strict=True):
            a = forward_by_hand(model, clean)
            b = forward_by_hand(model, [c + noise_std * e for c, e in zip(clean, eps, strict=True)])
            if after_softmax:
                a, b = softmax_by_hand(a), softmax_by_hand(b)
            differences.append([v - u for u, v in zip(a, b, strict=True)])
    k = len(differences[0])
    if after_softmax:  # eq. 2 for uncorrelated outputs: of a softmax, Σ_k ε_y^k is 0
        return sum(variance_by_hand([d[i] for d in differences]) for i in range(k)) / k**2
    return variance_by_hand([sum(d) / k for d in differences])


@pytest.mark.parametrize("after_softmax", [False, True])
@pytest.mark.parametrize(("n_noise", "noise_std"), [(1, 0.1), (3, 0.5)])
@pytest.mark.parametrize(("depth", "init"), [(0, "standard_normal"), (2, "standard_normal"), (2, "torch_default")])
def test_equals_the_slow_twin(depth, init, n_noise, noise_std, after_softmax):
    model = FCSpec(depth=depth, width=4, init=init).build((2, 3), 5, generator=seeded(1), dtype=torch.float64)
    x = inputs(7, 2, 3)
    kwargs = {"noise_std": noise_std, "n_noise": n_noise, "after_softmax": after_softmax}
    fast = output_sensitivity(model, x, generator=seeded(2), **kwargs)
    assert fast == pytest.approx(slow_twin(model, x, seed=2, **kwargs), rel=FLOAT64_RTOL)


def test_after_softmax_is_not_rounding_error():
    # The entries of a softmax sum to 1, so that eq. 2 taken literally is 0 up to rounding for any network.
    model = FCSpec(depth=1, width=8, init="he_normal").build((6,), 5, generator=seeded(1), dtype=torch.float64)
    s = [
        output_sensitivity(model, inputs(50, 6), noise_std=n, generator=seeded(2), after_softmax=True)
        for n in (1e-4, 2e-4)
    ]
    assert s[0] > 1e-12
    assert s[1] / s[0] == pytest.approx(4, rel=0.05)


def test_a_linear_network_has_the_exact_value():
    w = torch.tensor([[1.0, -2.0, 0.5], [3.0, 0.0, 1.5]], dtype=torch.float64)
    model = nn.Linear(3, 2).double()
    model.weight.data, model.bias.data = w, torch.tensor([100.0, -7.0], dtype=torch.float64)
    x = inputs(500, 3)
    noise = torch.randn(x.shape, generator=seeded(3), dtype=x.dtype) * 0.3
    exact_of_this_noise = float((noise @ w.mean(dim=0)).var())
    assert output_sensitivity(model, x, noise_std=0.3, generator=seeded(3)) == pytest.approx(
        exact_of_this_noise, rel=1e-10
    )
    n_noise = 40
    expected = 0.3**2 * float((w.mean(dim=0) ** 2).sum())
    estimate = output_sensitivity(model, x, noise_std=0.3, n_noise=n_noise, generator=seeded(3))
    assert estimate == pytest.approx(expected, rel=4 * math.sqrt(2 / (n_noise * 500)))  # four standard errors


def test_a_constant_shift_is_no_variance():
    class Shift(nn.Module):
        """Its second output is 1 wherever there is noise; the mean output noise is ½, always."""

        def forward(self, x):
            return torch.stack([torch.zeros(len(x)), (x != x.round()).any(dim=1).double()], dim=1)

    assert output_sensitivity(Shift(), torch.zeros(10, 3, dtype=torch.float64), generator=seeded()) == 0


@pytest.mark.parametrize("depth", [0, 1, 3])
def test_scales_with_the_noise_variance(depth):
    model = FCSpec(depth=depth, width=30, init="standard_normal").build(
        (64,), 10, generator=seeded(), dtype=torch.float64
    )
    stds = (1e-6, 1e-5, 1e-4)
    s = [output_sensitivity(model, inputs(100, 64), noise_std=std, generator=seeded()) for std in stds]
    for (a, b), (u, v) in zip(pairwise(s), pairwise(stds), strict=True):
        assert b / a == pytest.approx((v / u) ** 2, rel=1e-2)  # few units change sign under so small a noise


@pytest.mark.parametrize("batch_size", [1, 3, 10, 11])
def test_batches_do_not_matter(batch_size):
    model = FCSpec(depth=2, width=9).build((4,), 3, generator=seeded(), dtype=torch.float64)
    x = inputs(10, 4)
    a, b = (output_sensitivity(model, x, generator=seeded(1), n_noise=2, batch_size=n) for n in (None, batch_size))
    assert a == pytest.approx(b, rel=FLOAT64_RTOL)


def test_float32_networks_are_accumulated_in_float64():
    model = FCSpec(depth=2, width=50, init="standard_normal").build((64,), 10, generator=seeded(), dtype=torch.float64)
    x = inputs(200, 64)
    noise = torch.randn(x.shape, generator=seeded(1), dtype=torch.float32)
    precise = (model(x + 0.1 * noise.double()) - model(x)).mean(dim=1).var().item()
    model, x = model.float(), x.float()
    found = output_sensitivity(model, x, generator=seeded(1))
    assert found == pytest.approx(precise, rel=FLOAT32_RTOL)
    difference = model(noise.mul(0.1).add(x)).double() - model(x).double()
    assert found == pytest.approx(difference.mean(dim=1).var().item(), rel=FLOAT64_RTOL)


def test_the_mode_comes_back_after_an_error():
    model = nn.Linear(3, 2)
    with pytest.raises(RuntimeError), evaluation_mode(model):
        model(torch.zeros(1, 4))
    assert model.training


def test_dead_and_overflowing_networks():
    model = FCSpec(depth=1, width=9).build((4,), 3, generator=seeded())
    x = inputs(10, 4).float()
    model[1].weight.data.zero_()
    assert output_sensitivity(model, x, generator=seeded()) == 0.0
    model = FCSpec(depth=9, width=9, init="standard_normal", init_scale=1e35).build((4,), 3, generator=seeded())
    assert not math.isfinite(output_sensitivity(model, x, generator=seeded()))


@pytest.mark.parametrize(
    ("x", "kwargs", "message"),
    [
        (torch.rand(10, 4), {"noise_std": 0.0}, "noise_std must be greater than 0; given 0.0"),
        (torch.rand(10, 4), {"noise_std": -1.0}, "noise_std must be greater than 0"),
        (torch.rand(10, 4), {"noise_std": math.nan}, "noise_std must be greater than 0; given nan"),
        (torch.rand(10, 4), {"n_noise": 0}, "n_noise = 0"),
    ],
)
def test_what_cannot_be_measured_is_refused(x, kwargs, message):
    with pytest.raises(InvalidInputError, match=message):
        output_sensitivity(nn.Linear(4, 2), x, **kwargs)


# Eq. 10: S = (D / K) (H / 2)^M σ_ε² for M hidden layers of width H, standard normal weights and no biases.
PAIRS = [(1, 16), (1, 50), (2, 20), (2, 60), (3, 30), (3, 100), (4, 60), (5, 60)]
N_NETWORKS, NOISE_STD, CONFIDENCE = 256, 0.01, 0.95


@pytest.fixture(scope="module")
def measured(digits):
    """S_θ of 256 networks for each pair, each with weights and noise of its own."""
    x = digits.x_val[:64]
    found = {}
    for pair in PAIRS:
        spec = FCSpec(depth=pair[0], width=pair[1], init="standard_normal", bias=False)
        # Hashed seeds: streams of torch's Mersenne Twister from seeds in arithmetic progression are not independent.
        generators = [make_generator("eq. 10", *pair, i) for i in range(N_NETWORKS)]
        models = [spec.build(digits.input_shape, 10, generator=g) for g in generators]
        pairs = zip(models, generators, strict=True)
        found[pair] = np.array([output_sensitivity(m, x, noise_std=NOISE_STD, generator=g) for m, g in pairs])
    return found


def eq_10(depth, width):
    return 64 / 10 * (width / 2) ** depth * NOISE_STD**2


def test_eq_10_lies_within_the_confidence_interval_of_the_mean(measured):
    inside = {}
    for pair, values in measured.items():
        # Student's interval over networks, which are independent of each other.
        low, high = stats.t.interval(CONFIDENCE, len(values) - 1, values.mean(), stats.sem(values))
        inside[pair] = low < eq_10(*pair) < high
        assert high / low < 1.4, "the interval is too wide to say anything"
    assert sum(inside.values()) >= 6, inside
    # No bias over all pairs together: the sum of their t statistics, of which each has variance near 1.
    t = [(v.mean() - eq_10(*p)) / stats.sem(v) for p, v in measured.items()]
    assert abs(sum(t)) / math.sqrt(len(t)) < 2.6, t


def test_neither_another_depth_nor_another_width_would_pass(measured):
    for (depth, width), values in measured.items():
        assert abs(values.mean() - eq_10(depth + 1, width)) > 10 * stats.sem(values)
        assert abs(values.mean() - eq_10(depth, 2 * width)) > 5 * stats.sem(values)


def test_metrics_are_listed_with_a_description():
    names = metric_names()
    assert {"output_sensitivity", "predicted_loss"} <= set(names)
    assert names["output_sensitivity"].startswith("Output sensitivity S: variance of")
    assert not [n for n in names if n.startswith("_")]


def test_outputs_beyond_float32_are_taken_in_float64_and_the_network_is_left_as_it_was():
    g = torch.Generator().manual_seed(0)
    layers = [layer for _ in range(30) for layer in (torch.nn.Linear(64, 64), torch.nn.ReLU())]
    model = torch.nn.Sequential(*layers, torch.nn.Linear(64, 3))
    initialize_(model, "standard_normal", scale=4.0, generator=g)
    x = torch.rand(32, 64, generator=g)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(1)) * 0.1
    twin = copy.deepcopy(model).double()
    with torch.no_grad():
        moved = (twin((x + noise).double()) - twin(x.double())).mean(dim=1)
        assert not torch.isfinite(model(x)).all()
    found = output_sensitivity(model, x, noise_std=0.1, generator=torch.Generator().manual_seed(1))
    assert found == pytest.approx(float(moved.var()), rel=1e-6)
    assert found > 1e60
    assert all(torch.equal(v, before[k]) and v.dtype == torch.float32 for k, v in model.state_dict().items())
    torch.manual_seed(1)
    assert output_sensitivity(model, x, noise_std=0.1) == pytest.approx(found, rel=1e-6)


@pytest.mark.parametrize("alpha", [0.25, 8.0])
def test_inputs_times_a_number_and_outputs_divided_by_it_divide_s_by_its_square(alpha):
    """The loss stays and σ_x² grows by α², so that eq. 9 asks for it; forouzesh2020, section VI-B, says α⁴."""
    spec = FCSpec(depth=2, width=30, bias=False, init="standard_normal")
    model = spec.build((20,), 4, generator=seeded(3), dtype=torch.float64)
    x, small = inputs(400, 20), 1e-6  # noise that crosses no kink
    scaled = copy.deepcopy(model)
    with torch.no_grad():
        list(scaled.parameters())[-1].div_(alpha)
    torch.testing.assert_close(scaled(alpha * x), model(x))
    s = output_sensitivity(model, x, noise_std=small, generator=seeded(4))
    rescaled = output_sensitivity(scaled, alpha * x, noise_std=small, generator=seeded(4))
    assert s / rescaled == pytest.approx(alpha**2, rel=1e-6)
