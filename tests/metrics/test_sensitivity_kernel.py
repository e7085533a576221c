"""The sensitivity kernel against Jacobians, loops over inputs and draws, and its closed form against drawn networks."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from torch import nn

from nas_sens.architectures.cnn import CNNSpec
from nas_sens.architectures.fc import FCSpec
from nas_sens.architectures.initialization import initialize_
from nas_sens.architectures.resnet import ResNetSpec
from nas_sens.core.errors import InvalidInputError
from nas_sens.metrics.closed_form.draws import NoClosedFormError
from nas_sens.metrics.closed_form.gain_kernels import closed_form_gain_kernels, closed_form_sensitivity_kernel
from nas_sens.metrics.sensitivity_kernel import estimate, log_det, responses, sensitivity_kernel

BOTH = pytest.mark.parametrize("batch_statistics", [True, False])


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def taken_in(model, batch):
    """Return what every ReLU takes in, one row for each input, of one pass."""
    found = []
    hooks = [
        m.register_forward_pre_hook(lambda _, a: found.append(a[0].flatten(1).clone()))
        for m in model.modules()
        if isinstance(m, nn.ReLU)
    ]
    model(batch)
    for hook in hooks:
        hook.remove()
    return found


def twin_of(model, batch_statistics):
    twin = copy.deepcopy(model).eval().requires_grad_(False)
    for m in twin.modules():
        if isinstance(m, nn.modules.batchnorm._BatchNorm):
            m.train(batch_statistics)
    return twin


@BOTH
@pytest.mark.usefixtures("untouched", "same_global_rng")
def test_equals_the_slow_twin(network, x, batch_statistics):
    std, n_noise, n = 0.3, 3, len(x) - 1
    noise = std * torch.randn((n_noise, *x.shape[1:]), generator=seeded(4), dtype=torch.float64)
    used = x[:n]
    batch = torch.cat([used, *(used + e for e in noise)])
    expected = 0.0
    v = np.var(used.flatten(1).numpy(), axis=0, ddof=1).mean()
    for z in taken_in(twin_of(network, batch_statistics), batch):
        rows = z.numpy()
        k = np.zeros((n, n))
        for m in range(1, n_noise + 1):
            for i in range(n):
                for j in range(n):
                    k[i, j] += (rows[m * n + i] - rows[i]) @ (rows[m * n + j] - rows[j])
        g = k / n_noise / rows.shape[1] * v / std**2
        expected += math.log(np.linalg.det(np.eye(n) + 10 * g))
    options = {"noise_std": std, "n_noise": n_noise, "batch_statistics": batch_statistics}
    found = sensitivity_kernel(network, x, n_inputs=n, generator=seeded(4), **options)
    assert found == pytest.approx(expected, rel=1e-9)


@pytest.mark.slow
def test_small_noise_gives_the_product_of_jacobians(network, x):
    """E over noise of the products is σ² tr(J_i J_jᵀ): here by as many draws as the error needs, and by autograd."""
    twin, std, n_noise = twin_of(network, batch_statistics=False), 1e-5, 4000
    n_activations = len(taken_in(twin, x))
    jacobians = [
        [torch.autograd.functional.jacobian(lambda one: taken_in(twin, one)[a], x[i : i + 1]).flatten(2)[0, :, :]  # noqa: B023
         for i in range(len(x))] for a in range(n_activations)
    ]  # fmt: skip
    noise = std * torch.randn((n_noise, 1, *x.shape[1:]), generator=seeded(1), dtype=torch.float64)
    found = responses(network, torch.cat([x[None], x + noise]), batch_statistics=False).products / std**2
    for a, j in enumerate(jacobians):
        exact = torch.tensor([[float((p * q).sum()) for q in j] for p in j]) / j[0].shape[0]
        error = found[a].std(dim=0) / n_noise**0.5
        assert ((found[a].mean(dim=0) - exact).abs() <= 4.5 * error + 1e-12).all()
        assert (error.diagonal() < 0.05 * exact.diagonal()).all()


def test_by_hand():
    # One unit z = 3 x: both inputs answer by 3 ε. v = 2; G = 9 ε² · 2 / σ² in all entries: log(1 + 10 · 2 G).
    model = nn.Sequential(nn.Linear(1, 1, bias=False), nn.ReLU(inplace=True), nn.Linear(1, 1)).double()
    nn.init.constant_(model[0].weight, 3.0)
    x = torch.tensor([[1.0], [-1.0]], dtype=torch.float64)
    noise = float(0.5 * torch.randn((1, 1), generator=seeded(), dtype=torch.float64))
    g = 9 * noise**2 * 2 / 0.25
    assert sensitivity_kernel(model, x, noise_std=0.5, generator=seeded()) == pytest.approx(math.log(1 + 20 * g))
    # Every call of an activation counts.
    twice = nn.Sequential(*model[:2], nn.Identity(), nn.ReLU(), model[2])
    z, moved = x * 3, (x + noise) * 3
    r = moved.clamp(min=0) - z.clamp(min=0)
    second = torch.linalg.slogdet(torch.eye(2) + 10 * (r @ r.T) * 2 / 0.25).logabsdet
    value = sensitivity_kernel(twice, x, noise_std=0.5, generator=seeded())
    assert value == pytest.approx(math.log(1 + 20 * g) + float(second))


@pytest.mark.usefixtures("same_global_rng")
def test_it_has_no_scale():
    model = ResNetSpec(stages=2, blocks=1, width=3, batch_norm=True).build((2, 4, 4), 3, generator=seeded()).double()
    x = torch.randn((8, 2, 4, 4), generator=seeded(1), dtype=torch.float64)
    noise = 1e-3 * torch.randn((2, 1, 2, 4, 4), generator=seeded(2), dtype=torch.float64)

    def value(network, factor):
        batch = factor * torch.cat([x[None], x + noise])
        return float(log_det(responses(network, batch, batch_statistics=True).gains(factor * 1e-3).mean(dim=1)))

    scaled = copy.deepcopy(model)
    for m in scaled.modules():
        if isinstance(m, (nn.Conv2d, nn.Linear)):
            m.weight.data *= 30
        if isinstance(m, nn.modules.batchnorm._BatchNorm):
            m.eps = 1e-12
    for m in model.modules():
        if isinstance(m, nn.modules.batchnorm._BatchNorm):
            m.eps = 1e-12
    assert value(scaled, 1.0) == pytest.approx(value(model, 1.0), rel=1e-6)
    assert value(model, 50.0) == pytest.approx(value(model, 1.0), rel=1e-6)


def test_inputs_that_answer_alike_tell_less():
    # Without an activation before it, a unit answers to all inputs alike: rank 1. Behind a ReLU they differ.
    wide = FCSpec(depth=2, width=400, init="he_normal").build((30,), 3, generator=seeded(), dtype=torch.float64)
    x = torch.randn((10, 30), generator=seeded(1), dtype=torch.float64)
    noise = 1e-3 * torch.randn((1, 1, 30), generator=seeded(2), dtype=torch.float64)
    first, second = responses(wide, torch.cat([x[None], x + noise]), batch_statistics=False).gains(1e-3).mean(dim=1)
    assert torch.linalg.matrix_rank(first, rtol=1e-9) == 1
    assert torch.linalg.matrix_rank(second, rtol=1e-9) == 10


def test_signals_are_variances_without_noise(network, x):
    batch = torch.cat([x[None], (x + 5)[None]])
    found = responses(network, batch, batch_statistics=False, with_signals=True)
    rows = taken_in(twin_of(network, batch_statistics=False), x)
    expected = [float(np.var(z.numpy(), axis=0, ddof=1).mean()) for z in rows]
    np.testing.assert_allclose(found.signals, expected, rtol=1e-9)
    assert len(responses(network, batch, batch_statistics=False).signals) == 0


def test_only_the_first_inputs_are_used(network, x):
    many = torch.cat([x] * 4)
    assert len(many) > 16
    value = sensitivity_kernel(network, many, generator=seeded())
    assert value == sensitivity_kernel(network, many[:16], n_inputs=None, generator=seeded())
    assert value != sensitivity_kernel(network, many, n_inputs=None, generator=seeded())


def test_what_leaves_single_precision_is_taken_in_double():
    model = nn.Sequential(*[m for _ in range(6) for m in (nn.Linear(4, 4, bias=False), nn.ReLU())], nn.Linear(4, 2))
    for m in model[::2]:
        nn.init.normal_(m.weight, std=1e15, generator=seeded(5))
    x = torch.randn(6, 4, generator=seeded())
    value = sensitivity_kernel(model, x, generator=seeded(1))
    # The noise of single precision, in double.
    noise = 0.1 * torch.randn((1, 1, 4), generator=seeded(1))
    batch = torch.cat([x[None], x + noise]).double()
    found = responses(copy.deepcopy(model).double(), batch, batch_statistics=True).gains(0.1).mean(dim=1)
    assert math.isfinite(value)
    assert value == pytest.approx(float(log_det(found)), rel=1e-5)


def test_nothing_that_moves_adds_nothing():
    model = nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 2))
    nn.init.zeros_(model[0].weight)
    assert sensitivity_kernel(model, torch.randn(4, 3, generator=seeded())) == 0.0


@pytest.mark.slow
@pytest.mark.parametrize("n_noise", [6, 24])
def test_the_error_is_calibrated(n_noise):
    spec = CNNSpec(depth=2, channels=6, padding=1, hidden_units=8, batch_norm=True)
    model = spec.build((2, 6, 6), 3, generator=seeded(), dtype=torch.float64)
    initialize_(model, "he_normal", generator=seeded())
    x = torch.randn((6, 2, 6, 6), generator=seeded(1), dtype=torch.float64)
    found = [estimate(model, x, n_noise=n_noise, batch_statistics=False, generator=seeded(s)) for s in range(400)]
    exact = estimate(model, x, n_noise=20_000, batch_statistics=False, generator=seeded(9)).value
    values, errors = np.array([f.value for f in found]), np.array([f.stderr for f in found])
    assert np.sqrt((errors**2).mean()) == pytest.approx(values.std(), rel=0.15)
    bias = abs(values.mean() - exact)
    plain = [sensitivity_kernel(model, x, n_noise=n_noise, batch_statistics=False, generator=seeded(s))
             for s in range(400)]  # fmt: skip
    assert bias < 4 * values.std() / 20 + 0.3 * abs(np.mean(plain) - exact)


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"noise_std": 0.0}, "noise_std must be greater than 0 and n_noise at least 1; given 0.0 and 1"),
        ({"n_noise": 0}, "given 0.1 and 0"),
        ({"n_inputs": 1}, "at least 2 inputs are needed; given 1"),
    ],
)
def test_what_it_needs(network, x, options, what):
    with pytest.raises(InvalidInputError, match=what):
        sensitivity_kernel(network, x, **options)


def test_networks_that_it_cannot_see_into(x):
    with pytest.raises(InvalidInputError, match="activation modules are needed; the network calls none"):
        sensitivity_kernel(nn.Sequential(nn.Flatten(), nn.Linear(32, 2)).double(), x)
    with pytest.raises(InvalidInputError, match=r"a ReLU takes \(1, 12, 32\) of 12 inputs"):
        sensitivity_kernel(nn.Sequential(nn.Flatten(0), nn.Unflatten(0, (1, 12, 32)), nn.ReLU()).double(), x)
    with pytest.raises(InvalidInputError, match="at least 2 draws of the noise; given n_noise = 1"):
        estimate(nn.ReLU(), x, n_noise=1)


# ------------------------------------------------------------------------------------------------------ closed form


def test_the_closed_form_of_a_wide_network_is_a_product_of_angles():
    """Without biases, for small noise: 2 v Π (1 − θ_k / π), whatever the width."""
    x = np.random.default_rng(0).normal(size=(5, 12)) + 0.5
    found = closed_form_gain_kernels(
        FCSpec(depth=4, width=7, bias=False), x, noise_std=1e-3, init="he_normal", n_outputs=3
    )
    v = x.var(axis=0, ddof=1).mean()
    cosine = x @ x.T / np.sqrt(np.outer((x**2).sum(1), (x**2).sum(1)))
    expected = np.full((5, 5), 2 * v)
    for kernel in found:
        np.testing.assert_allclose(kernel, expected, rtol=2e-3)  # noise of 1e-3 has angles of its own
        theta = np.arccos(np.clip(cosine, -1, 1))
        np.fill_diagonal(theta, 0.0)
        expected = expected * (1 - theta / math.pi)
        cosine = (np.sin(theta) + (math.pi - theta) * np.cos(theta)) / math.pi
    other = closed_form_gain_kernels(FCSpec(depth=4, width=90, bias=False), x, noise_std=1e-3, n_outputs=3)
    np.testing.assert_allclose(other, found, rtol=1e-9)


WIDE = {
    "fc": (FCSpec(depth=3, width=300, bias=True), (20,)),
    "cnn": (CNNSpec(depth=3, channels=64, padding=1, stride=2, hidden_units=100), (3, 8, 8)),
}


@pytest.mark.slow
@pytest.mark.parametrize("noise_std", [0.01, 0.7])
@pytest.mark.parametrize("init", ["he_normal", "torch_default"])
@pytest.mark.parametrize("name", WIDE)
def test_the_closed_form_is_the_mean_over_wide_networks(name, init, noise_std):
    spec, shape = WIDE[name]
    x = torch.rand((4, *shape), generator=seeded(), dtype=torch.float64) * 2
    exact = closed_form_gain_kernels(spec, x, noise_std=noise_std, init=init, n_outputs=3)
    draws = []
    model = spec.build(shape, 3, dtype=torch.float64)
    for seed in range(60):
        initialize_(model, init, generator=seeded(seed))
        noise = noise_std * torch.randn((16, 1, *shape), generator=seeded(1000 + seed), dtype=torch.float64)
        found = responses(model, torch.cat([x[None], x + noise]), batch_statistics=False)
        draws.append(found.gains(noise_std).mean(dim=1).numpy())
    mean, error = np.mean(draws, axis=0), np.std(draws, axis=0) / math.sqrt(len(draws))
    assert len(exact) == len(mean)
    assert (np.abs(mean - exact) < 4.5 * error + 0.02 * exact).all()
    assert (error < 0.06 * exact).all()


def test_the_measure_of_a_wide_network_is_near_its_closed_form():
    spec = FCSpec(depth=3, width=1500, init="he_normal")
    x = torch.randn((6, 40), generator=seeded(), dtype=torch.float64)
    model = spec.build((40,), 3, dtype=torch.float64)
    initialize_(model, "he_normal", generator=seeded())
    value = sensitivity_kernel(model, x, n_noise=400, generator=seeded(1))
    assert closed_form_sensitivity_kernel(spec, x, n_outputs=3) == pytest.approx(value, rel=0.01)


def test_what_has_no_closed_form():
    x = np.random.default_rng(0).normal(size=(3, 2, 4, 4))
    with pytest.raises(NoClosedFormError, match="it has no activation"):
        closed_form_gain_kernels(nn.Sequential(nn.Flatten(), nn.Linear(32, 2)), x)
    pooled = nn.Sequential(nn.Conv2d(2, 3, 1), nn.AvgPool2d(2), nn.Conv2d(3, 3, 1), nn.ReLU())
    with pytest.raises(NoClosedFormError, match="'1'"):
        closed_form_gain_kernels(pooled, x)
    with pytest.raises(InvalidInputError, match="at least 2 finite inputs"):
        closed_form_gain_kernels(FCSpec(depth=1, width=4), x[:1], n_outputs=2)
    with pytest.raises(InvalidInputError, match="n_outputs = None"):
        closed_form_gain_kernels(FCSpec(depth=1, width=4), x)
    with pytest.raises(InvalidInputError, match="noise_std must be positive and finite; given 0"):
        closed_form_gain_kernels(FCSpec(depth=1, width=4), x, noise_std=0, n_outputs=2)
