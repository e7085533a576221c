"""Closed form of S against eq. 10, slow twins written from SCIENCE.md, high precision, and Monte Carlo."""

from __future__ import annotations

import dataclasses
import doctest
import math
from decimal import Decimal, localcontext
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional

from nas_sens.architectures import load_spec
from nas_sens.architectures.cnn import CNNSpec
from nas_sens.architectures.fc import FCSpec
from nas_sens.architectures.initialization import initialize_
from nas_sens.core.errors import InvalidInputError, NasSensError
from nas_sens.core.init_schemes import INIT_SCHEMES
from nas_sens.metrics.closed_form import expectation as closed_form_module
from nas_sens.metrics.closed_form.draws import Draw
from nas_sens.metrics.closed_form.expectation import (
    ClosedForm,
    InputMoments,
    NoClosedFormError,
    closed_form,
    closed_form_batch,
    closed_form_sensitivity,
)
from nas_sens.metrics.closed_form.graph import steps_of
from nas_sens.metrics.closed_form.kernels import rectify
from nas_sens.metrics.closed_form.memo import Memo
from nas_sens.metrics.closed_form.moments import Moments

K = 10


@cache
def digits(n: int) -> torch.Tensor:
    order = np.random.default_rng(0).permutation(1797)[:n]
    return torch.tensor(load_digits().images[order] / 16).reshape(n, 1, 8, 8)


def values(result: ClosedForm) -> list[float]:
    return [result.log10_sensitivity, result.log10_output_power, result.log10_relative_sensitivity]


# ------------------------------------------------------------------------------------------------------ small noise


@pytest.mark.parametrize(("depth", "width"), [(0, 1), (1, 64), (4, 100), (6, 500)])
def test_small_noise_limit_is_equation_10(depth: int, width: int) -> None:
    x, noise_std = digits(8), 1e-6
    s = closed_form_sensitivity(FCSpec(depth=depth, width=width, bias=False), x, noise_std=noise_std, n_outputs=K)
    assert s == pytest.approx(64 / K * (width / 2) ** depth * noise_std**2, rel=1e-5, abs=0)


def decimal_asin(x: Decimal) -> Decimal:
    term, total = x, x
    for k in range(1, 60):
        term *= x * x * (2 * k - 1) ** 2 / Decimal((2 * k) * (2 * k + 1))
        total += term
    return total


@pytest.mark.parametrize("noise", ["1e-6", "1e-4", "1e-2"])
@pytest.mark.parametrize("slope", [0.0, 0.25, -1.0])
def test_difference_keeps_its_digits(noise: str, slope: float) -> None:
    """Against the textbook recursion on a, b, c in 60-digit arithmetic."""
    n_layers, bias, r = 6, 0.5, Decimal(slope)
    pi = Decimal("3.14159265358979323846264338327950288419716939937510582097494459230781640628620899")
    with localcontext() as context:
        context.prec = 60
        a, c, b = Decimal("0.4"), Decimal("0.4"), Decimal("0.4") + Decimal(noise) ** 2
        for _ in range(n_layers):
            a, b, c = (2 * t + Decimal(bias) for t in (a, b, c))
            s = (a * b).sqrt()
            sine = ((a * b - c * c) / (a * b)).sqrt()
            f = sine - decimal_asin(sine) * c / s
            c = c * (1 + r * r) / 2 + (1 - r) ** 2 * s * f / (2 * pi)
            a, b = a * (1 + r * r) / 2, b * (1 + r * r) / 2
        exact = float(a + b - 2 * c)
    planes = np.array([0.4, 0.4 + float(noise) ** 2, 0.1, 0.1, 0.1, 0.1, float(noise) ** 2])
    moments = Moments(planes, 1, 1)
    for _ in range(n_layers):
        shift = bias / math.exp(moments.log_scale)
        planes = 2 * moments.planes + np.array([shift] * 6 + [0.0])
        moments = rectify(moments.replace(planes=planes), slope)
    assert moments.difference[0] * math.exp(moments.log_scale) == pytest.approx(exact, rel=1e-9, abs=0)


# -------------------------------------------------------------------------------------------------------- slow twins


def relu_kernel(a: float, b: float, c: float) -> float:
    """The arc-cosine step of SCIENCE.md."""
    s = math.sqrt(a * b)
    if s == 0:
        return 0.0
    theta = math.acos(min(1.0, max(-1.0, c / s)))
    return s / (2 * math.pi) * (math.sin(theta) + (math.pi - theta) * math.cos(theta))


def slow_fc(x: np.ndarray, noise_std: float, layers: list[tuple[float, float]]) -> ClosedForm:
    """Recursion for every pair of inputs alone; layers: (fan_in · σ_w², σ_b²)."""

    def kernel(aa: float, bb: float, ab: float) -> tuple[float, float, float]:
        for i, (gain, bias) in enumerate(layers):
            aa, bb, ab = gain * aa + bias, gain * bb + bias, gain * ab + bias
            if i < len(layers) - 1:
                aa, bb, ab = aa / 2, bb / 2, relu_kernel(aa, bb, ab)
        return aa, bb, ab

    clean = [float(np.mean(v * v)) for v in x]
    noisy = [v + noise_std**2 for v in clean]
    noise, power, shift, signal = [], [], [], []
    for i in range(len(x)):
        a, b, c = kernel(clean[i], noisy[i], clean[i])
        noise.append(a + b - 2 * c)
        power.append(a)
    for i in range(len(x) - 1):
        dot = float(np.mean(x[i] * x[i + 1]))
        k = {(s, t): kernel((clean, noisy)[s][i], (clean, noisy)[t][i + 1], dot)[2] for s in (0, 1) for t in (0, 1)}
        shift.append(k[1, 1] - k[1, 0] - k[0, 1] + k[0, 0])
        signal.append((power[i] + power[i + 1]) / 2 - k[0, 0])
    return ClosedForm(
        math.log10((np.mean(noise) - np.mean(shift)) / K),
        math.log10(np.mean(power) * K),
        math.log10(np.mean(noise) / np.mean(signal)),
    )


@pytest.mark.parametrize("noise_std", [0.1, 1.0])
@pytest.mark.parametrize("init", ["standard_normal", "torch_default", "he_normal"])
def test_fc_equals_its_slow_twin(noise_std: float, init: str) -> None:
    moments = InputMoments.from_inputs(digits(6), noise_std)
    fans = [64, 30, 30, 30]
    layers = []
    for n in fans:
        weight = {"standard_normal": 1.0, "torch_default": 1 / (3 * n), "he_normal": 2 / n}[init]
        bias = {"standard_normal": 1.0, "torch_default": 1 / (3 * n), "he_normal": 0.0}[init]
        layers.append((n * weight, bias))
    slow = slow_fc(moments.x.reshape(6, -1), noise_std, layers)
    spec = FCSpec(depth=3, width=30)
    (batched,) = closed_form_batch([spec], moments, init=init, n_outputs=K)
    for fast in (closed_form(spec, moments, init=init, n_outputs=K), batched):
        np.testing.assert_allclose(values(fast), values(slow), rtol=1e-9)


def slow_conv(t: np.ndarray, conv: nn.Conv2d, bias: float) -> np.ndarray:
    """One map of channel means (H, W) through a convolution of N(0, 1) weights, pixel by pixel."""
    (kh, kw), (sh, sw), (dh, dw), (ph, pw) = conv.kernel_size, conv.stride, conv.dilation, conv.padding
    height = (t.shape[0] + 2 * ph - dh * (kh - 1) - 1) // sh + 1
    width = (t.shape[1] + 2 * pw - dw * (kw - 1) - 1) // sw + 1
    out = np.zeros((height, width))
    for i in range(height):
        for j in range(width):
            for u in range(kh):
                for v in range(kw):
                    y, x = i * sh + u * dh - ph, j * sw + v * dw - pw
                    if 0 <= y < t.shape[0] and 0 <= x < t.shape[1]:
                        out[i, j] += conv.in_channels / conv.groups * t[y, x]
    return out + bias


def test_conv_equals_its_slow_twin() -> None:
    x, noise_std = digits(3).numpy(), 0.2
    x = np.concatenate([x, x[:, :, ::-1]], axis=1)  # two channels
    convs = [
        nn.Conv2d(2, 12, (3, 2), stride=(2, 1), padding=(1, 0)),
        nn.Conv2d(12, 8, 2, dilation=2, groups=2, padding=2, bias=False),
        nn.Conv2d(8, 4, 3, stride=3, padding=(0, 1)),
    ]
    model = nn.Sequential(convs[0], nn.ReLU(), convs[1], nn.ReLU(), convs[2], nn.ReLU(), nn.Flatten(), nn.Linear(24, K))
    moments = InputMoments.from_inputs(x, noise_std)
    x = moments.x

    def kernel(aa: np.ndarray, bb: np.ndarray, ab: np.ndarray) -> tuple[float, float, float]:
        for conv in convs:
            bias = 0.0 if conv.bias is None else 1.0
            aa, bb, ab = (slow_conv(t, conv, bias) for t in (aa, bb, ab))
            ab = np.array([[relu_kernel(*t) for t in zip(*rows, strict=True)] for rows in zip(aa, bb, ab, strict=True)])
            aa, bb = aa / 2, bb / 2
        return tuple(float(t.sum() * 4 + 1) for t in (aa, bb, ab))  # type: ignore[return-value]

    clean = [(v * v).mean(axis=0) for v in x]
    noisy = [v + noise_std**2 for v in clean]
    noise = []
    for i in range(3):
        a, b, c = kernel(clean[i], noisy[i], clean[i])
        noise.append(a + b - 2 * c)
    shift = []
    for i in range(2):
        dot = (x[i] * x[i + 1]).mean(axis=0)
        k11, k10 = kernel(noisy[i], noisy[i + 1], dot)[2], kernel(noisy[i], clean[i + 1], dot)[2]
        k01, k00 = kernel(clean[i], noisy[i + 1], dot)[2], kernel(clean[i], clean[i + 1], dot)[2]
        shift.append(k11 - k10 - k01 + k00)
    assert 10 ** closed_form(model, moments).log10_sensitivity == pytest.approx(
        (np.mean(noise) - np.mean(shift)) / K, rel=1e-9
    )


@pytest.mark.parametrize("mode", ["valid", "same"])
def test_string_padding_equals_numbers(mode: str) -> None:
    for kernel, dilation in ((3, 1), (3, 2)):
        padding = 0 if mode == "valid" else dilation * (kernel - 1) // 2
        side = 8 - (0 if mode == "same" else dilation * (kernel - 1))
        results = [
            closed_form(
                nn.Sequential(
                    nn.Conv2d(1, 4, kernel, padding=p, dilation=dilation), nn.ReLU(), nn.Flatten(),
                    nn.Linear(4 * side**2, K),
                ),
                digits(4),
            )
            for p in (mode, padding)
        ]  # fmt: skip
        assert results[0] == results[1]


def test_even_kernel_pads_as_pytorch_does_for_same() -> None:
    conv = nn.Conv2d(1, 1, (2, 4), padding="same", bias=False).double()
    nn.init.ones_(conv.weight)
    from nas_sens.metrics.closed_form.layers import conv2d

    moments = InputMoments.from_inputs(digits(3), 0.1)
    squares = torch.tensor(moments.x) ** 2
    expected = conv(squares)[:, 0].detach().numpy()
    out = conv2d(conv, moments.maps, Draw("standard_normal", 1.0))
    np.testing.assert_allclose(out.variance[0] * math.exp(out.log_scale), expected, rtol=1e-12)


# ------------------------------------------------------------------------------------------------------- Monte Carlo


class PreActivationNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 24, 3, padding=1)
        self.norm = nn.BatchNorm2d(24)
        self.first, self.second = nn.Conv2d(24, 24, 3, padding=1), nn.Conv2d(24, 24, 3, padding=1)
        self.shortcut, self.third = nn.Conv2d(24, 24, 1, stride=2), nn.Conv2d(24, 24, 3, stride=2, padding=1)
        self.drop = nn.Dropout(0.5)
        self.read_out = nn.Linear(24 * 16, K)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.stem(x)
        h = h + self.second(torch.relu(self.first(functional.relu(self.norm(h)))))
        r = h.relu()
        h = torch.add(self.shortcut(r), self.drop(self.third(r)))
        return self.read_out(functional.leaky_relu(h, 0.2).view(x.size(0), -1))


class ErfNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.read_out = nn.Linear(64, 60), nn.Linear(60, 60), nn.Linear(60, K)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.read_out(torch.erf(self.second(torch.erf(self.first(torch.flatten(x, 1))))))


def mlp(*activations: nn.Module, width: int = 60) -> nn.Module:
    layers, n_in = [nn.Flatten()], 64
    for activation in activations:
        layers += [nn.Linear(n_in, width), nn.BatchNorm1d(width), activation]
        n_in = width
    return nn.Sequential(*layers, nn.Linear(n_in, K))


def conv_net() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 32, 3, stride=2, groups=2, dilation=2),
        nn.BatchNorm2d(32), nn.ReLU(), nn.Flatten(), nn.Linear(32 * 4, 40), nn.ReLU(), nn.Linear(40, K),
    )  # fmt: skip


def pool_net() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.AvgPool2d(2), nn.Conv2d(32, 32, 3, padding=1), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, K),
    )  # fmt: skip


MONTE_CARLO = [
    ("fc", lambda: mlp(nn.ReLU(), nn.ReLU(), nn.ReLU()), "standard_normal", 0.1),
    ("fc, large noise", lambda: mlp(nn.ReLU(), nn.ReLU()), "standard_normal", 1.0),
    ("fc, orthogonal", lambda: mlp(nn.ReLU(), nn.ReLU()), "orthogonal", 0.3),
    ("leaky, prelu, gelu", lambda: mlp(nn.LeakyReLU(0.3), nn.GELU()), "torch_default", 0.5),
    ("gelu", lambda: mlp(nn.GELU(), nn.GELU()), "lecun_normal", 0.3),
    ("erf", ErfNet, "lecun_normal", 0.3),
    ("erf, saturated", ErfNet, "standard_normal", 0.1),
    ("cnn", conv_net, "standard_normal", 0.1),
    ("residual", PreActivationNet, "standard_normal", 0.1),
    ("residual, own", PreActivationNet, "torch_default", 0.3),
    ("pool", pool_net, "standard_normal", 0.1),
]


def simulate(
    model: nn.Module, x: torch.Tensor, noise_std: float, init: str, n_networks: int, seed: int = 0
) -> np.ndarray:
    """Return S_θ (eq. 2), mean ‖f‖², mean ‖δ‖² and Σ_k Var_x f_k of random networks, (4, n_networks)."""
    generator = torch.Generator().manual_seed(seed)
    rows = []
    with torch.no_grad():
        for _ in range(n_networks):
            initialize_(model, init, generator=generator)  # type: ignore[arg-type]
            clean = model(x).double()
            delta = model(x + noise_std * torch.randn(x.shape, generator=generator)).double() - clean
            rows.append(
                [delta.mean(1).var(), clean.square().sum(1).mean(), delta.square().sum(1).mean(), clean.var(0).sum()]
            )
    return np.array(rows).T


@pytest.mark.parametrize(
    ("make", "init", "noise_std"), [case[1:] for case in MONTE_CARLO], ids=[c[0] for c in MONTE_CARLO]
)
def test_agrees_with_monte_carlo(make, init: str, noise_std: float) -> None:
    model, x = make().eval(), digits(24)
    s, power, noise, signal = simulate(model, x.float(), noise_std, init, 500)
    result = closed_form(model, x, noise_std=noise_std, init=init)
    for name, log10, sample in (
        ("S", result.log10_sensitivity, s),
        ("power", result.log10_output_power, power),
    ):
        error = sample.std(ddof=1) / math.sqrt(len(sample)) / sample.mean()
        assert error < 0.05, name
        assert 10**log10 / sample.mean() == pytest.approx(1, abs=3.5 * error), name
    ratios = noise / noise.mean() - signal / signal.mean()  # linearised log of the ratio of means
    error = ratios.std(ddof=1) / math.sqrt(len(ratios))
    # partners are a random cycle through the inputs, which leaves a few per cent in Var_x
    assert 10**result.log10_relative_sensitivity * signal.mean() / noise.mean() == pytest.approx(
        1, abs=3.5 * error + 0.08
    )


@pytest.mark.slow
def test_agrees_with_monte_carlo_within_two_per_cent() -> None:
    model, x = mlp(nn.ReLU(), nn.ReLU(), width=300).eval(), digits(64)
    s = simulate(model, x.float(), 0.3, "he_normal", 6000)[0]
    error = s.std(ddof=1) / math.sqrt(len(s)) / s.mean()
    assert error < 0.007
    ratio = closed_form_sensitivity(model, x, noise_std=0.3, init="he_normal") / s.mean()
    assert ratio == pytest.approx(1, abs=0.02)


def test_relative_sensitivity_of_a_linear_network() -> None:
    """K D σ² σ_w² over K σ_w² times the total variance of x."""
    x = digits(400)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    relative = closed_form_sensitivity(model, x, noise_std=0.2, relative=True)
    exact = 64 * 0.2**2 / x.flatten(1).var(0).sum().item()
    assert relative == pytest.approx(exact, rel=0.05)
    moments = InputMoments.from_inputs(x, 0.2)
    flat = moments.x.reshape(400, 64)
    pairs = np.mean([((u - v) ** 2).sum() / 2 for u, v in pairwise(flat)])
    assert closed_form_sensitivity(model, moments, relative=True) == pytest.approx(64 * 0.2**2 / pairs, rel=1e-9)


# ------------------------------------------------------------------------------------------------------------- pools


def test_pool_of_one_position_changes_nothing() -> None:
    """The position-by-position path must give what the path of single positions gives."""
    (start,) = InputMoments.from_inputs(digits(5), 0.1, n_noise=1).with_pixels()
    for pool in (nn.AvgPool2d(1), nn.AdaptiveAvgPool2d(3)):
        plain, pooled = (
            nn.Sequential(
                nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, stride=2, dilation=(1, 2), padding=(0, 1)),
                nn.LeakyReLU(0.1), *middle, nn.Flatten(), nn.Linear(72, K),
            )
            for middle in ((), (pool,))
        )  # fmt: skip
        for init in ("standard_normal", "torch_default"):
            ends = [closed_form_module.walk(steps_of(m), start, Draw(init, 1.0)) for m in (plain, pooled)]
            np.testing.assert_allclose(ends[1].planes, ends[0].planes, rtol=1e-9)
            assert ends[1].log_scale == ends[0].log_scale


def test_pool_of_a_linear_network_by_brute_force() -> None:
    """Without activations mean output noise is linear in ε: sums over all taps of the kernel, here with drawn noise."""
    model = nn.Sequential(
        nn.Conv2d(1, 2, 3, padding=1, bias=False), nn.AvgPool2d(3, stride=2, padding=1, count_include_pad=False),
        nn.Flatten(), nn.Linear(32, K, bias=False),
    )  # fmt: skip
    moments = InputMoments.from_inputs(digits(8), 0.1)
    (start,) = moments.with_pixels()
    assert start.pixels is not None
    assert start.n == 64
    noise = torch.tensor(start.pixels[1] - start.pixels[0])
    assert noise.std().item() == pytest.approx(0.1, rel=0.05)
    conv, features = nn.Conv2d(1, 1, 3, padding=1, bias=False).double(), []
    for tap in range(9):
        with torch.no_grad():
            conv.weight.zero_().view(-1)[tap] = 1.0
            features.append(model[1](conv(noise)).flatten(1) * math.sqrt(2))
    f = torch.cat(features, dim=1)
    expected = (f.square().sum(1).mean() - (f[1:] * f[:-1]).sum(1).mean()).item() / K
    assert closed_form_sensitivity(model, moments) == pytest.approx(expected, rel=1e-9)


def test_pool_results_hardly_depend_on_how_inputs_are_split() -> None:
    moments = InputMoments.from_inputs(digits(16))
    whole = closed_form(pool_net(), moments)
    parts = closed_form(pool_net(), dataclasses.replace(moments, cross_bytes=1))
    assert len(moments.with_pixels()) < len(dataclasses.replace(moments, cross_bytes=1).with_pixels())
    assert parts.log10_output_power == pytest.approx(whole.log10_output_power, abs=1e-12)
    assert parts.log10_sensitivity == pytest.approx(whole.log10_sensitivity, abs=0.05)  # other partners


# ------------------------------------------------------------------------------------------------------- scaling laws


@pytest.mark.parametrize("family", ["fc", "cnn"])
def test_scaling_laws(family: str) -> None:
    spec = load_spec({"family": family, "depth": 3, ("width" if family == "fc" else "channels"): 20, "bias": False})
    x = digits(6)

    def log10(factor: float = 1.0, **kwargs) -> float:
        return closed_form(spec, x * factor, **{"noise_std": 0.1, "n_outputs": K, **kwargs}).log10_sensitivity

    base = log10()
    assert log10(3.0, noise_std=0.3) == pytest.approx(base + 2 * math.log10(3), abs=1e-10)
    assert log10(init_scale=0.5) == pytest.approx(base + 8 * math.log10(0.5), abs=1e-10)
    assert log10(n_outputs=1) == pytest.approx(base + 1, abs=1e-10)


# ------------------------------------------------------------------------------------------------------------- draws


@pytest.mark.parametrize("scheme", INIT_SCHEMES)
@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_variances_of_every_scheme(scheme: str, scale: float) -> None:
    layers = [nn.Linear(150, 400), nn.Linear(400, 150), nn.Conv2d(24, 48, 3, groups=2), nn.Conv2d(40, 400, (1, 2))]
    generator = torch.Generator().manual_seed(0)
    for layer in layers:
        initialize_(layer, scheme, scale=scale, generator=generator)  # type: ignore[arg-type]
        weight, bias = Draw(scheme, scale).variances(layer)  # type: ignore[arg-type]
        assert weight == pytest.approx(layer.weight.square().mean().item(), rel=0.06)
        assert bias == pytest.approx(layer.bias.square().mean().item(), rel=0.35)
        layer.bias = None
        assert Draw(scheme, scale).variances(layer)[1] == 0  # type: ignore[arg-type]


def test_current_takes_the_variances_of_the_weights() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 400), nn.BatchNorm1d(400), nn.ReLU(), nn.Linear(400, K)).eval()
    initialize_(model, "standard_normal", scale=3.0, generator=torch.Generator().manual_seed(0))
    by_scheme = closed_form(model, digits(8), init_scale=3.0).log10_sensitivity
    assert closed_form(model, digits(8), init="current").log10_sensitivity == pytest.approx(by_scheme, abs=0.02)
    model[2].weight.data.fill_(2.0)
    model[2].running_var.fill_(0.25)
    assert closed_form(model, digits(8), init="current").log10_sensitivity == pytest.approx(
        by_scheme + math.log10(16), abs=0.02
    )
    assert closed_form(model, digits(8), init_scale=3.0).log10_sensitivity == by_scheme  # a scheme resets statistics
    model[2].running_mean.fill_(0.1)
    with pytest.raises(NoClosedFormError, match=r"'2'.*BatchNorm1d.*running mean"):
        closed_form(model, digits(8), init="current")


def test_model_and_inputs_are_left_alone() -> None:
    model, x = PreActivationNet().eval(), digits(4)
    before = {name: t.clone() for name, t in model.state_dict().items()}
    copy = x.clone()
    moments = InputMoments.from_inputs(x)
    planes = moments.maps.planes.copy(), moments.flat.planes.copy()
    results = [closed_form(model, moments, init=init) for init in ("he_normal", "current", "he_normal")]
    assert all(torch.equal(before[name], t) for name, t in model.state_dict().items())
    assert torch.equal(x, copy)
    assert results[0] == results[2] == closed_form(model, x, init="he_normal")
    np.testing.assert_array_equal(moments.maps.planes, planes[0])
    np.testing.assert_array_equal(moments.flat.planes, planes[1])
    with torch.device("meta"):
        assert closed_form(PreActivationNet().eval(), x, init="he_normal") == results[0]


# --------------------------------------------------------------------------------------------------- same, other ways


@pytest.mark.parametrize(
    "spec",
    [
        FCSpec(depth=3, width=40, batch_norm=True, dropout=0.2),
        CNNSpec(depth=2, channels=12, padding=1, hidden_units=20, batch_norm=True, activation="gelu", dropout=0.2),
    ],
)
def test_spec_and_module_agree(spec) -> None:
    x = digits(6)
    module = spec.build((1, 8, 8), K).eval()
    result = closed_form(spec, x, n_outputs=K)
    assert closed_form(module, x) == result
    assert closed_form(nn.Sequential(nn.Identity(), nn.Sequential(module)), x).log10_sensitivity == pytest.approx(
        result.log10_sensitivity, abs=1e-12
    )

    class Wrapped(nn.Module):  # goes through torch.fx
        def __init__(self) -> None:
            super().__init__()
            self.inner = module

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.inner(x)

    assert closed_form(Wrapped().eval(), x) == result


def test_functional_calls_equal_modules() -> None:
    class Net(nn.Module):
        def __init__(self, way: int) -> None:
            super().__init__()
            self.way = way
            self.first, self.second = nn.Conv2d(1, 8, 3), nn.Linear(8, K)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            h = self.first(x)
            if self.way == 0:
                h = functional.dropout(functional.relu(h), 0.1, self.training)
                h = functional.adaptive_avg_pool2d(functional.avg_pool2d(h, 2), 1)
                return self.second(h.reshape(h.shape[0], -1))
            h = functional.avg_pool2d(torch.relu_(h), kernel_size=2)
            return self.second(
                h.mean((2, 3)) if self.way == 1 else torch.mean(h, dim=(-1, -2), keepdim=True).flatten(1)
            )

    modules = nn.Sequential(
        nn.Conv2d(1, 8, 3), nn.ReLU(), nn.AvgPool2d(2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, K)
    )
    expected = values(closed_form(modules, digits(4)))
    for way in range(3):
        assert values(closed_form(Net(way).eval(), digits(4))) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("init", INIT_SCHEMES)
def test_batch_agrees_with_single(init: str) -> None:
    moments = InputMoments.from_inputs(digits(9), 0.3, n_pairs=3)
    specs = [
        FCSpec(depth=depth, width=width, bias=bias, batch_norm=norm)
        for depth in (0, 1, 4)
        for width in (1, 17, 300)
        for bias in (True, False)
        for norm in (True, False)
    ]
    others = [
        CNNSpec(depth=2, channels=8),
        CNNSpec(depth=1, channels=8, max_pool=True),
        FCSpec(depth=1, width=9, activation="gelu"),
    ]
    results = closed_form_batch([others[0], *specs, *others[1:]], moments, init=init, init_scale=0.7, n_outputs=K)
    assert isinstance(results[-2], NoClosedFormError)
    del results[-2], others[1]
    for spec, result in zip([others[0], *specs, others[1]], results, strict=True):
        single = closed_form(spec, moments, init=init, init_scale=0.7, n_outputs=K)
        assert values(result) == pytest.approx(values(single), abs=1e-9), spec


@pytest.mark.parametrize("init", ["standard_normal", "he_normal"])
def test_candidates_with_layers_in_common_get_what_each_gets_alone(init: str) -> None:
    x = torch.rand((5, 2, 12, 12), generator=torch.Generator().manual_seed(0))
    moments = InputMoments.from_inputs(x, 0.3, n_pairs=3)
    specs = [
        CNNSpec(depth=depth, channels=channels, kernel=kernel, stride=stride, bias=bias, activation=activation)
        for depth in (1, 2)
        for channels in (3, 16)
        for kernel in (2, 3)
        for stride in (1, 2)
        for bias in (True, False)
        for activation in ("relu", "gelu")
    ]
    results = closed_form_batch(specs, moments, init=init, n_outputs=K)
    for spec, result in zip(specs, results, strict=True):
        assert values(result) == values(closed_form(spec, moments, init=init, n_outputs=K)), spec
    assert len({tuple(values(result)) for result in results}) == (64 if init == "standard_normal" else 16)


def test_memory_of_a_batch_is_bounded_and_returns_what_would_be_computed() -> None:
    memo, rng, n_computed = Memo(max_bytes=3 * 800), np.random.default_rng(0), 0
    arrays = [rng.normal(size=100) for _ in range(5)]

    def doubled(source: np.ndarray) -> np.ndarray:
        nonlocal n_computed
        n_computed += 1
        return 2 * source

    for i in (0, 1, 2, 0, 3, 0, 1, 4, 0):  # 1 was the least recently used when 3 came
        source = arrays[i]
        assert (memo.get(source, ("double",), lambda source=source: doubled(source)) == 2 * source).all()
    assert n_computed == 6
    assert (memo.get(arrays[0], ("minus",), lambda: -arrays[0]) == -arrays[0]).all()
    assert len(memo._entries) == 3


# -------------------------------------------------------------------------------------------------- extreme networks


@pytest.mark.parametrize("bias", [True, False])
def test_deep_and_wide_networks_do_not_overflow(bias: bool) -> None:
    x, spec = digits(4), FCSpec(depth=200, width=10_000, bias=bias)
    power = (x.double() ** 2).sum(dim=(1, 2, 3)).mean().item()
    for result in (closed_form(spec, x, n_outputs=K), closed_form_batch([spec], x, n_outputs=K)[0]):
        if not bias:
            expected = math.log10(power * K) + 200 * math.log10(5000)
            assert result.log10_output_power == pytest.approx(expected, abs=1e-6)
        assert 700 < result.log10_sensitivity < result.log10_output_power < 750
    assert closed_form_sensitivity(spec, x, n_outputs=K) == math.inf


@pytest.mark.parametrize("init_scale", [1e-30, 1.0, 1e30])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_deep_convolutions_stay_finite(init_scale: float, activation: str) -> None:
    spec = CNNSpec(depth=60, channels=10_000, padding=1, bias=False, activation=activation)
    result = closed_form(spec, digits(2), init_scale=init_scale, n_outputs=K)
    assert all(math.isfinite(v) for v in values(result))


def test_vanishing_signal_beside_biases() -> None:
    spec = FCSpec(depth=30, width=10)
    result = closed_form(spec, digits(4), init_scale=1e-4, n_outputs=K)
    assert result.log10_output_power == pytest.approx(math.log10(K), abs=1e-6)  # the read-out's biases
    assert result.log10_sensitivity == pytest.approx(math.log10(64 / K * 0.01) + 30 * math.log10(5) - 31 * 8, abs=0.01)
    assert closed_form_batch([spec], digits(4), init_scale=1e-4, n_outputs=K)[0].log10_sensitivity == pytest.approx(
        result.log10_sensitivity, abs=1e-6
    )


def test_signal_below_the_range_of_float64_is_taken_for_dead() -> None:
    spec = FCSpec(depth=60, width=10)
    (batched,) = closed_form_batch([spec], digits(4), init_scale=1e-9, n_outputs=K)
    for result in (closed_form(spec, digits(4), init_scale=1e-9, n_outputs=K), batched):
        assert result.log10_output_power == pytest.approx(math.log10(K), abs=1e-6)
        assert result.log10_sensitivity == -math.inf


@pytest.mark.parametrize("init", ["standard_normal", "he_normal"])
def test_dead_networks_have_no_sensitivity(init: str) -> None:
    for spec in (FCSpec(depth=2, width=9), CNNSpec(depth=2, channels=4)):
        result = closed_form(spec, digits(3), init=init, init_scale=0.0, n_outputs=K)
        assert result.log10_sensitivity == -math.inf
        assert closed_form_sensitivity(spec, digits(3), init=init, init_scale=0.0, n_outputs=K) == 0.0
        (batched,) = closed_form_batch([spec], digits(3), init=init, init_scale=0.0, n_outputs=K)
        assert batched.log10_sensitivity == -math.inf


def test_black_images_have_noise_only() -> None:
    x = torch.zeros(4, 1, 8, 8)
    spec = CNNSpec(depth=1, channels=16, bias=False)
    s = closed_form_sensitivity(spec, x, noise_std=0.1, n_outputs=1)
    # E d = b at the output; D is the arc-cosine kernel at a right angle: s / 2π instead of s / 2
    b = 36 * 16 * 9 * 0.01 / 2
    assert s == pytest.approx(b * (1 - 1 / math.pi), rel=1e-9)


def test_one_input_gives_the_variance_over_noise() -> None:
    x = digits(1)
    model = mlp(nn.ReLU()).eval()
    repeated = closed_form(model, x.repeat(5, 1, 1, 1), noise_std=0.5).log10_sensitivity
    result = closed_form(model, x, noise_std=0.5)
    assert result.log10_sensitivity == pytest.approx(repeated, abs=1e-12)
    assert math.isnan(result.log10_relative_sensitivity)


# ------------------------------------------------------------------------------------------------------------ errors


class Residual(nn.Module):
    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.stem, self.conv, self.read_out = nn.Conv2d(1, 4, 3), nn.Conv2d(4, 4, 3, padding=1), nn.Linear(144, K)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.stem(x)
        if self.kind == "after":
            h = torch.relu(h)
            h = torch.relu(h + self.conv(h))
        elif self.kind == "correlated":
            h = torch.relu(h) + torch.relu(self.conv(h))
        elif self.kind == "itself":
            h = h + h
        elif self.kind == "product":
            h = h * self.conv(h)
        elif self.kind == "twice":
            h = self.conv(torch.relu(self.conv(h)))
        elif self.kind == "input":
            h = torch.relu(x)[:, :, :6, :6]
        elif self.kind == "branches" and h.sum() > 0:
            h = -h
        return self.read_out(h.flatten(1))


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (CNNSpec(depth=1, channels=4, max_pool=True), r"'2' \(MaxPool2d\)"),
        (FCSpec(depth=1, width=4, activation="tanh"), r"'2' \(Tanh\)"),
        (FCSpec(depth=1, width=4, activation="hard_sigmoid"), r"'2' \(HardSigmoid"),
        (
            nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.BatchNorm1d(8), nn.Linear(8, K)),
            r"'2' \(BatchNorm1d\).*eval",
        ),
        (nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.GELU("tanh"), nn.Linear(8, K)), r"'2' \(GELU\).*tanh"),
        (nn.Sequential(nn.Flatten(), nn.ReLU(), nn.Linear(64, K)), r"'1' \(ReLU\).*input itself"),
        (nn.Sequential(nn.Flatten(), nn.Linear(64, K), nn.ReLU()), r"'2' \(output\)"),
        (nn.Sequential(nn.Conv2d(1, K, 3), nn.ReLU(), nn.ReLU()), r"'2' \(ReLU\).*normal"),
        (nn.Sequential(nn.Conv2d(1, K, 3, padding_mode="circular", padding=1)), r"'0' \(Conv2d\).*circular"),
        (nn.Sequential(nn.Conv2d(1, K, 3)), "read-out"),
        (nn.TransformerEncoderLayer(8, 2), "TransformerEncoderLayer"),
        (Residual("after"), "relu_1.*normal"),
        (Residual("correlated"), "add.*correlated"),
        (Residual("itself"), "add.*correlated"),
        (Residual("product"), "mul"),
        (Residual("twice"), "'conv'.*twice"),
        (Residual("input"), "getitem"),
        (Residual("branches"), "Residual.*trace"),
    ],
    ids=str,
)
def test_what_has_no_closed_form_is_named(model, message: str) -> None:
    with pytest.raises(NoClosedFormError, match=message) as info:
        closed_form(model, digits(3), n_outputs=K)
    assert isinstance(info.value, NasSensError)
    assert "Monte Carlo" in str(info.value)


def test_pools_of_large_maps_are_refused() -> None:
    with pytest.raises(NoClosedFormError, match=r"'0' \(Conv2d\).*1156 positions, at most 1024"):
        closed_form(pool_net(), torch.rand(2, 1, 34, 34))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": torch.rand(3, 2, 8, 8)}, "'0' .Conv2d.*expects 1 channels but gets 2"),
        ({"x": torch.rand(3, 1, 9, 8)}, "'6' .Linear.*expects 128 features"),
        ({"x": torch.full((3, 1, 8, 8), math.nan)}, "finite"),
        ({"x": torch.rand(8)}, "shape"),
        ({"noise_std": 0.0}, "noise_std must be positive"),
        ({"noise_std": math.nan}, "noise_std must be positive"),
        ({"init": "normal"}, "init must be one of.*'normal'"),
        ({"init_scale": -1.0}, "init_scale"),
        ({"model": CNNSpec(depth=1, channels=3)}, "n_outputs is required"),
        ({"model": CNNSpec(depth=1, channels=3), "n_outputs": K, "init": "current"}, "needs a module"),
    ],
)
def test_wrong_arguments_are_explained(change: dict, message: str) -> None:
    arguments = {"model": conv_net().eval(), "x": digits(3), **change}
    with pytest.raises(InvalidInputError, match=message):
        closed_form(**arguments)


def test_subsets_of_inputs() -> None:
    moments = InputMoments.from_inputs(digits(50), 0.1, n_inputs=8, n_pairs=2)
    assert (moments.n, moments.n_pairs, moments.input_shape) == (8, 2, (1, 8, 8))
    whole = closed_form(conv_net().eval(), digits(50)).log10_sensitivity
    assert closed_form(conv_net().eval(), moments).log10_sensitivity == pytest.approx(whole, abs=0.05)
    for wrong in ({"n_inputs": 0}, {"n_pairs": 0}):
        with pytest.raises(InvalidInputError, match="at least 1"):
            InputMoments.from_inputs(digits(5), **wrong)


def test_example_in_the_docstring() -> None:
    assert doctest.testmod(closed_form_module).failed == 0
    assert closed_form_module.closed_form_sensitivity.__doc__ is not None
