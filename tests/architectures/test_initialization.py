"""Initialisation schemes against the variances that their papers give, for linear and convolution layers."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from torch import nn

from nas_sens.architectures import load_spec
from nas_sens.architectures.fc import FCSpec
from nas_sens.architectures.initialization import initialize_
from nas_sens.core.errors import InvalidInputError
from nas_sens.core.init_schemes import INIT_SCHEMES

# (layer, fan-in, fan-out); 40,000 weights or more each.
LAYERS = [
    (lambda: nn.Linear(400, 100), 400, 100),
    (lambda: nn.Linear(100, 400), 100, 400),
    (lambda: nn.Conv2d(40, 60, 5), 40 * 25, 60 * 25),
    (lambda: nn.Conv1d(80, 200, 3), 80 * 3, 200 * 3),
    (lambda: nn.Conv2d(40, 80, 5, groups=2), 20 * 25, 80 * 25),  # PyTorch's fan-out takes no account of groups
]
VARIANCES = {
    "standard_normal": lambda n_in, n_out: 1.0,
    "xavier_uniform": lambda n_in, n_out: 2 / (n_in + n_out),
    "xavier_normal": lambda n_in, n_out: 2 / (n_in + n_out),
    "he_uniform": lambda n_in, n_out: 2 / n_in,
    "he_normal": lambda n_in, n_out: 2 / n_in,
    "lecun_normal": lambda n_in, n_out: 1 / n_in,
    "torch_default": lambda n_in, n_out: 1 / (3 * n_in),
    "orthogonal": None,
}
UNIFORM = {"xavier_uniform", "he_uniform", "torch_default"}
# The relative standard error of a variance over 40,000 normal draws is sqrt(2 / 40,000) = 0.007; four of them.
VARIANCE_RTOL = 0.028
ORTHOGONAL_ATOL = 1e-10


def test_every_scheme_is_tested():
    assert set(VARIANCES) == set(INIT_SCHEMES)


@pytest.mark.parametrize("scheme", [s for s in INIT_SCHEMES if s != "orthogonal"])
@pytest.mark.parametrize("case", LAYERS)
def test_variance_and_shape_of_the_weights(scheme, case, generator):
    make, n_in, n_out = case
    layer = make().double()
    initialize_(layer, scheme, generator=generator)
    expected = VARIANCES[scheme](n_in, n_out)
    w = layer.weight.detach()
    assert float(w.var()) == pytest.approx(expected, rel=VARIANCE_RTOL)
    assert abs(float(w.mean())) < 5 * math.sqrt(expected / w.numel())
    kurtosis = float((w**4).mean() / (w**2).mean() ** 2)
    assert kurtosis == pytest.approx(1.8 if scheme in UNIFORM else 3.0, rel=0.06)


@pytest.mark.parametrize(
    ("activation", "gain"),
    [("relu", 2), ("relu6", 2), ("hard_sigmoid", 2), ("gelu", 2), ("tanh", 1), ("hard_tanh", 1)],
)
def test_weights_by_activation_as_in_novak2018(activation, gain, generator):
    """Section A.5: variance 2 / n for ReLU, ReLU6 and HardSigmoid, 1 / n for Tanh and HardTanh."""
    spec = FCSpec(depth=2, width=200, activation=activation, init="by_activation", bias=False)
    for layer in spec.build((400,), 100, generator=generator, dtype=torch.float64):
        if isinstance(layer, nn.Linear):
            variance = float(layer.weight.detach().var()) * layer.in_features / gain
            assert variance == pytest.approx(1, rel=2 * VARIANCE_RTOL)  # 20,000 weights in the last layer
    scheme = dataclasses.replace(spec, init=spec.init_scheme)
    same = [s.build((400,), 100, generator=torch.Generator().manual_seed(1)) for s in (spec, scheme)]
    assert all(torch.equal(a, b) for a, b in zip(*(m.parameters() for m in same), strict=True))


def test_weights_by_activation_need_one():
    cell = {"family": "cell", **{f"op_{i}_{j}": "none" for i in range(1, 4) for j in range(i)}}
    with pytest.raises(InvalidInputError, match="needs a family with an activation"):
        load_spec({**cell, "init": "by_activation"})
    assert load_spec({**cell, "init": "he_normal"}).init_scheme == "he_normal"


@pytest.mark.parametrize("shape", [(30, 80), (80, 30)])
def test_orthogonal_has_orthonormal_rows_or_columns(shape, generator):
    layer = nn.Linear(shape[1], shape[0]).double()
    initialize_(layer, "orthogonal", generator=generator)
    w = layer.weight.detach() if shape[0] < shape[1] else layer.weight.detach().T
    torch.testing.assert_close(w @ w.T, torch.eye(30, dtype=torch.float64), atol=ORTHOGONAL_ATOL, rtol=0)
    conv = nn.Conv2d(4, 8, 3).double()
    initialize_(conv, "orthogonal", generator=generator)
    w = conv.weight.detach().flatten(1)
    torch.testing.assert_close(w @ w.T, torch.eye(8, dtype=torch.float64), atol=ORTHOGONAL_ATOL, rtol=0)


@pytest.mark.parametrize("scheme", INIT_SCHEMES)
def test_biases(scheme, generator):
    layer = nn.Conv2d(3, 20_000, 2).double()  # fan-in 12
    initialize_(layer, scheme, generator=generator)
    expected = {"standard_normal": 1.0, "torch_default": 1 / (3 * 12)}.get(scheme, 0.0)
    if expected:
        assert float(layer.bias.detach().var()) == pytest.approx(expected, rel=2 * VARIANCE_RTOL)
    else:
        assert not layer.bias.any()


def test_torch_default_is_what_torch_draws():
    torch_layer = nn.Linear(7, 5)
    with torch.random.fork_rng():
        torch.manual_seed(3)
        torch_layer.reset_parameters()
    mine = nn.Linear(7, 5)
    initialize_(mine, "torch_default", generator=torch.Generator().manual_seed(3))
    assert torch.equal(torch_layer.weight, mine.weight)
    assert torch.equal(torch_layer.bias, mine.bias)


@pytest.mark.parametrize("scheme", INIT_SCHEMES)
def test_scale_multiplies_weights_and_not_biases(scheme):
    layers = [nn.Linear(6, 4).double() for _ in range(2)]
    for layer, scale in zip(layers, (1.0, 2.5), strict=True):
        initialize_(layer, scheme, scale=scale, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(layers[1].weight, 2.5 * layers[0].weight)
    torch.testing.assert_close(layers[1].bias, layers[0].bias)


@pytest.mark.parametrize("scheme", INIT_SCHEMES)
def test_equal_generators_give_equal_networks_and_leave_the_global_state(scheme, same_global_rng):
    with torch.random.fork_rng():
        models = [nn.Sequential(nn.Conv2d(1, 3, 3), nn.Flatten(), nn.Linear(12, 2)) for _ in range(3)]
    for model, seed in zip(models, (1, 1, 2), strict=True):
        initialize_(model, scheme, generator=torch.Generator().manual_seed(seed))
    a, b, c = (torch.cat([p.flatten() for p in m.parameters()]) for m in models)
    assert torch.equal(a, b)
    assert not torch.equal(a, c)


@pytest.mark.parametrize("scheme", INIT_SCHEMES)
def test_normalisation_layers_start_as_the_identity(scheme, generator):
    model = nn.Sequential(
        nn.BatchNorm2d(3), nn.GroupNorm(1, 3), nn.LayerNorm(4), nn.LayerNorm(4, elementwise_affine=False)
    )
    for tensor in (*model.parameters(), model[0].running_mean, model[0].running_var):
        tensor.data.fill_(7.0)
    initialize_(model, scheme, generator=generator)
    assert all((m.weight == 1).all() and (m.bias == 0).all() for m in model[:3])
    assert (model[0].running_mean == 0).all()
    assert (model[0].running_var == 1).all()


def test_unknown_layers_and_schemes_are_refused(generator):
    with pytest.raises(NotImplementedError, match=r"no initialisation rule for Embedding \(layer '1'\)"):
        initialize_(nn.Sequential(nn.ReLU(), nn.Embedding(3, 2)), "he_normal", generator=generator)
    with pytest.raises(InvalidInputError, match=r"must be one of standard_normal, .*given 'he'"):
        initialize_(nn.Linear(2, 2), "he", generator=generator)
